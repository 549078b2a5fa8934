"""Segmentation nets: exact counts of published ones, shapes, values that travel, and what is refused."""

import math

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import InputError, segmenter
from keras_resnet.nets.graph import multiply_adds, stage_outputs, without_values
from keras_resnet.nets.segmentation import SEGMENTERS, SegmenterSpec

TINY = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 1, 1, 1), width=4)


def _trainable(net):
    return sum(math.prod(variable.shape) for variable in net.trainable_variables)


@pytest.mark.parametrize(
    ("name", "aux", "parameters", "multiplied"),  # at 520 x 520: torchvision's metadata, and counted without the head
    [
        ("fcn_r50", False, 32_957_013, 142_725_772_800),
        ("fcn_r50", True, 35_322_218, 152_716_512_000),
        ("deeplabv3_r50", False, 39_638_869, 168_731_205_888),
        ("deeplabv3_r50", True, 42_004_074, 178_721_945_088),
        ("fcn_r101", True, 54_314_346, 232_737_606_400),
        ("deeplabv3_r101", True, 60_996_202, 258_743_039_488),
    ],
)
def test_published_nets_have_their_exact_size(name, aux, parameters, multiplied):
    with without_values():
        net = segmenter(name, aux=aux)
    assert _trainable(net) == parameters
    assert multiply_adds(net) == multiplied
    shapes = net.output_shape if aux else [net.output_shape]
    assert set(shapes) == {(None, 520, 520, 21)} and len(net.outputs) == 1 + aux


def test_a_unet_has_the_size_that_others_give_it():
    with without_values():
        net = segmenter("unet", backbone="resnet18", classes=1, input_shape=(96, 64, 3))
    assert _trainable(net) == 14_328_209  # segmentation_models.pytorch's Unet("resnet18")
    assert net.output_shape == (None, 96, 64, 1)


@pytest.mark.parametrize(
    ("backbone", "size"),
    [
        ("resnet20_cifar", (32, 28)),
        ("resnetv2_18", (64, 32)),
        ("resnet10t", (64, 64)),
        ("resnet8", (32, 32)),
        (TINY, (64, 96)),
    ],
)
@pytest.mark.parametrize("name", ["fcn", "deeplabv3", "unet"])
def test_any_row_is_a_backbone(name, backbone, size):
    with without_values():
        net = segmenter(name, backbone=backbone, classes=5, input_shape=(*size, 3))
    assert net.output_shape == (None, *size, 5)
    assert net.outputs[0].dtype == "float32"


@pytest.mark.parametrize(("stride", "rates"), [(8, (12, 24, 36)), (16, (6, 12, 18)), (32, (3, 6, 9))])
def test_dilations_follow_the_output_stride(stride, rates):
    with without_values():
        net = segmenter("deeplabv3plus", backbone=TINY, output_stride=stride, classes=2, input_shape=(64, 96, 3))
        own = segmenter("deeplabv3plus", backbone=TINY, output_stride=stride, rates=(5, 7), input_shape=(64, 96, 3))
    assert stage_outputs(net)[-1].shape[1:-1] == (64 // stride, 96 // stride)
    assert [net.get_layer(f"aspp_{n}_conv").dilation_rate[0] for n in (2, 3, 4)] == list(rates)
    assert [own.get_layer(f"aspp_{n}_conv").dilation_rate[0] for n in (2, 3)] == [5, 7]
    assert net.get_layer("decoder_concat").output.shape[1:] == (16, 24, 256 + 48)


def test_a_net_is_small_where_stages_and_widths_are():
    with without_values():
        net = segmenter("unet", backbone=TINY, stages=2, widths=(8, 8, 4), classes=3, input_shape=(64, 64, 3))
        plus = segmenter("deeplabv3plus", backbone=TINY, stages=3, width=16, classes=3, input_shape=(64, 64, 3))
    assert not any(layer.name.startswith(("conv4", "conv5")) for layer in net.layers)
    assert [net.get_layer(f"up{n}_2_conv").filters for n in (1, 2, 3)] == [8, 8, 4]
    assert not any(layer.name.startswith("conv5") for layer in plus.layers)
    assert plus.get_layer("decoder_1_conv").filters == 16


def test_stages_of_one_stride_are_told_apart():
    with without_values():
        net = keras_resnet.build("resnetv2_18", include_top=False, output_stride=8, input_shape=(64, 64, 3))
    outputs = stage_outputs(net)
    assert [tensor.shape[1:] for tensor in outputs] == [(16, 16, 64), (8, 8, 128), (8, 8, 256), (8, 8, 512)]
    assert outputs[-1] is net.get_layer("post_relu").output
    with pytest.raises(InputError, match="expected a ResNet"):
        stage_outputs(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))


def test_norm_and_activation_are_those_of_the_whole_net():
    with without_values():
        net = segmenter("unet", backbone=TINY, norm="group", activation="silu", input_shape=(64, 64, 3))
    norms = [layer for layer in net.layers if layer.name.endswith("_bn")]
    assert {type(layer) for layer in norms} == {keras.layers.GroupNormalization} and len(norms) > 10
    assert {layer.activation.__name__ for layer in net.layers if layer.name.endswith("_relu")} == {"silu"}


def test_logits_are_float32_under_a_mixed_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        net = segmenter("fcn", backbone=TINY, classes=2, aux=True, input_shape=(40, 48, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {output.dtype for output in net.outputs} == {"float32"}
    assert net.get_layer("fcn_conv").compute_dtype == "bfloat16"
    found = net(np.zeros((1, 40, 48, 3), "f"), training=True)
    assert sorted(found) == ["aux_logits", "logits"] and found["logits"].shape == (1, 40, 48, 2)


@pytest.fixture(scope="module")
def trained():
    """A net whose values are no initial ones."""
    net = segmenter("deeplabv3plus", backbone=TINY, classes=3, aux=True, width=8, input_shape=(64, 64, 3))
    rng = np.random.default_rng(0)
    for variable in net.variables:
        if "seed" not in variable.path:
            variable.assign(variable.numpy() + 0.05 * rng.random(variable.shape))
    return net


def test_values_travel_and_the_auxiliary_head_is_left_behind(trained, tmp_path):
    path, images = tmp_path / "net.safetensors", np.random.default_rng(1).random((2, 64, 64, 3), "f")
    keras_resnet.save_weights(trained, path)
    how = {"backbone": TINY, "width": 8, "input_shape": (64, 64, 3)}
    same = segmenter("deeplabv3plus", classes=3, weights=path, **how)
    expected = np.asarray(trained(images)["logits"])
    np.testing.assert_allclose(same(images), expected, atol=1e-6 * np.abs(expected).max())
    assert not any(layer.name.startswith("aux") for layer in same.layers)
    other = segmenter("deeplabv3plus", classes=5, weights=path, weights_match="adapt", **how)
    np.testing.assert_array_equal(other.get_layer("decoder_2_conv").kernel, trained.get_layer("decoder_2_conv").kernel)
    assert other.output_shape[-1] == 5
    with pytest.raises(InputError, match="weights_match='adapt'"):
        segmenter("deeplabv3plus", classes=5, weights=path, **how)
    with pytest.raises(InputError, match="missing: aux_fcn_conv/kernel"):
        keras_resnet.save_weights(same, tmp_path / "plain.safetensors")
        segmenter("deeplabv3plus", classes=3, aux=True, weights=tmp_path / "plain.safetensors", **how)
    with pytest.raises(InputError, match="torchvision has fcn and deeplabv3"):
        keras_resnet.export_weights(same, tmp_path / "theirs.safetensors", layout="torchvision", spec="resnet18")


def test_a_backbones_own_values_are_taken(tmp_path):
    backbone = keras_resnet.build(TINY, include_top=False, input_shape=(64, 64, 3))
    keras_resnet.save_weights(backbone, tmp_path / "backbone.safetensors")
    net = segmenter("unet", backbone=TINY, backbone_weights=tmp_path / "backbone.safetensors", input_shape=(64, 64, 3))
    for layer in backbone.layers:
        for ours, theirs in zip(net.get_layer(layer.name).weights if layer.weights else (), layer.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_saved_net_opens_without_this_package(trained, tmp_path):
    plain = segmenter("unet", backbone=TINY, classes=2, input_shape=(64, 64, 3))
    plain.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras", compile=False)
    assert all(type(layer).__module__.startswith("keras.") for layer in again.layers)
    images = np.random.default_rng(1).random((1, 64, 64, 3), "f")
    np.testing.assert_array_equal(again(images), plain(images))


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("segnet", {}, "unknown segmentation net 'segnet': did you mean"),
        ("unet", {}, "pass backbone='resnet18'"),
        ("unet", {"backbone": "resnet18", "input_shape": (360, 480, 3)}, "the next ones are 384 x 480"),
        ("deeplabv3plus", {"backbone": "resnet18", "input_shape": (360, 480, 3)}, "stride, 16, divides: .* 368 x 480"),
        ("deeplabv3plus", {"backbone": "resnet20_cifar", "input_shape": (64, 64, 3)}, "joins a map at stride 4"),
        ("fcn", {"backbone": "resnet18", "output_stride": 5}, "output_stride=5: resnet18 reaches"),
        ("fcn", {"backbone": "resnet18", "classes": 0}, "classes=0: expected"),
        ("fcn", {"backbone": "resnet18", "stages": 5}, "stages=5: resnet18 has 1 to 4"),
        ("fcn", {"backbone": "resnet18", "stages": 2, "aux": True}, "takes stage 3, and there are fewer"),
        ("fcn", {"backbone": "resnet18", "input_shape": (None, None, 3)}, r"expected \(height, width, channels\)"),
        ("unet", {"backbone": "resnet18", "widths": (8, 4), "input_shape": (64, 64, 3)}, "expected 5 of them"),
        ("fcn", {"backbone": "resnet18", "dropout": 1.0}, "dropout=1.0, expected 0 to below 1"),
        ("deeplabv3", {"backbone": "resnet18", "rates": (0, 2)}, r"rates=\(0, 2\), expected whole numbers from 1"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_line(name, how, message):
    with without_values(), pytest.raises(InputError, match=message):
        segmenter(name, **how)


def test_rows_have_a_place_of_publication_and_a_net_of_ones_own_is_a_difference():
    assert all("arXiv" in row.paper for row in SEGMENTERS.values())
    with pytest.raises(InputError, match="unknown decoder 'psp'"):
        SegmenterSpec(name="mine", decoder="psp")
    own = SegmenterSpec(name="mine", decoder="fcn", backbone="resnet10t", width=32, classes=4)
    with without_values():
        net = segmenter(own, input_shape=(64, 64, 3))
    assert net.name == "mine" and net.get_layer("fcn_conv").filters == 32 and net.output_shape[-1] == 4


@pytest.mark.parametrize(("name", "backbone"), [("unet", "resnet8"), ("deeplabv3plus", "resnet10t")])
def test_a_net_that_is_only_called_does_not_train(name, backbone):
    """Keras' Resizing takes itself to be in a training, and what is behind it followed: statistics moved."""
    net = keras_resnet.segmenter(name, backbone=backbone, classes=3, width=8, widths=(8,) * 5, input_shape=(32, 32, 3))
    pixels = np.random.default_rng(0).normal(3, 2, (2, 32, 32, 3)).astype("f")
    before = net.get_weights()
    np.testing.assert_array_equal(net(pixels), net(pixels, training=False))
    assert all((one == other).all() for one, other in zip(before, net.get_weights(), strict=True))
    assert np.abs(np.asarray(net(pixels, training=True)) - net(pixels, training=False)).max() > 0.01
