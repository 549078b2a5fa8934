"""Weights for other channels and other heads, in part, and for the wrong net."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import keras_resnet
from keras_resnet import InputError, ModelCard, build, load_weights, save_weights
from keras_resnet.nets.graph import without_values
from keras_resnet.nets.specs import SPECS
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.weights.identify import hint, looks_like
from keras_resnet.weights.matching import adapt_channels

TIMM = json.loads((Path(__file__).parent / "timm_tensors.json").read_text())
SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def source():
    model = build("resnet8")
    rng = np.random.default_rng(5)
    model.set_weights([w + 0.1 * rng.random(w.shape).astype("f") for w in model.get_weights()])
    return model


@pytest.fixture
def saved(source, tmp_path):
    save_weights(source, tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def _grey(n=2):
    return np.random.default_rng(0).uniform(0, 1, (n, 32, 32, 1)).astype("f")


def test_one_channel_answers_grey_images_as_three_did(source, saved):
    model = build("resnet8", input_shape=(32, 32, 1), weights=saved, weights_match="adapt")
    grey = _grey()
    expected = source.predict_on_batch(np.repeat(grey, 3, axis=-1))
    np.testing.assert_allclose(model.predict_on_batch(grey), expected, atol=1e-5)


def test_grey_weights_answer_colour_images_without_colour_alike(tmp_path):
    grey_net = build("resnet8", input_shape=(32, 32, 1))
    save_weights(grey_net, tmp_path / "g.safetensors")
    model = build("resnet8", weights=tmp_path / "g.safetensors", weights_match="adapt")
    images = _grey()
    expected = grey_net.predict_on_batch(images)
    np.testing.assert_allclose(model.predict_on_batch(np.repeat(images, 3, axis=-1)), expected, atol=1e-5)


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_more_channels_repeat_the_colours_and_keep_the_response(source, saved, channels):
    model = build("resnet8", input_shape=(32, 32, channels), weights=saved, weights_match="adapt")
    kernel, before = model.get_layer("conv1_conv").kernel.numpy(), source.get_layer("conv1_conv").kernel.numpy()
    for index in range(channels):
        np.testing.assert_allclose(kernel[:, :, index], before[:, :, index % 3] * 3 / channels, rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_kernels_in_bgr_respond_to_the_same_picture_as_their_rgb_twins(channels):
    rng = np.random.default_rng(0)
    rgb = rng.standard_normal((3, 3, 3, 8)).astype("f")
    picture = rng.uniform(0, 255, (1, 3, 3, channels)).astype("f")  # red, green, blue, ...
    caffe = PREPROCESS["caffe"].for_channels(channels)
    twin = keras_resnet.Preprocess(mean=(123.68, 116.779, 103.939)).for_channels(channels)
    for_bgr, for_rgb = adapt_channels(rgb[:, :, ::-1], channels, bgr=True), adapt_channels(rgb, channels)
    received = np.einsum("nhwc,hwco->o", caffe(picture), for_bgr)
    np.testing.assert_allclose(received, np.einsum("nhwc,hwco->o", twin(picture), for_rgb), rtol=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("received", "channels"), [(1, 3), (3, 1), (3, 6)])
def test_kernels_of_every_rank_keep_the_response_to_a_constant_input(rank, received, channels):
    kernel = np.random.default_rng(0).standard_normal((*(3,) * rank, received, 5)).astype("f")
    adapted = adapt_channels(kernel, channels)
    assert adapted.shape == (*(3,) * rank, channels, 5)
    np.testing.assert_allclose(adapted.sum(axis=-2), kernel.sum(axis=-2), rtol=1e-4, atol=1e-5)


def test_the_card_follows_the_channels(tmp_path):
    card = ModelCard(preprocess=PREPROCESS["caffe"], spec="resnet8")
    assert card.preprocess.for_channels(1).mean == pytest.approx((114.799,), abs=1e-3)
    save_weights(build("resnet8"), tmp_path / "w.safetensors", card=card)
    model = build("resnet8", input_shape=(32, 32, 4), weights=tmp_path / "w.safetensors", weights_match="adapt")
    original = build("resnet8", weights=tmp_path / "w.safetensors").get_layer("conv1_conv").kernel.numpy()
    fourth = model.get_layer("conv1_conv").kernel.numpy()[:, :, 3]
    np.testing.assert_allclose(fourth, original[:, :, 2] * 3 / 4, rtol=1e-6)  # red again, which caffe has third


def test_other_numbers_of_channels_cannot_be_adapted(tmp_path):
    save_weights(build("resnet8", input_shape=(32, 32, 2)), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="2 input channels; it can be adapted from 1 or 3"):
        build("resnet8", weights=tmp_path / "w.safetensors", weights_match="adapt")


@pytest.mark.parametrize("arguments", [{"input_shape": (32, 32, 1)}, {"classes": 3}, {"include_top": False}])
def test_nothing_is_adapted_unasked(saved, arguments):
    with pytest.raises(InputError, match="weights_match='adapt' fits the first convolution"):
        build("resnet8", weights=saved, **arguments)


def test_a_new_head_keeps_its_initial_values_and_the_report_says_so(source, saved, caplog):
    model = build("resnet8", classes=3)
    head = model.get_layer("predictions").kernel.numpy()
    with caplog.at_level(logging.WARNING, "keras_resnet"):
        report = load_weights(model, saved, match="adapt")
    np.testing.assert_array_equal(model.get_layer("predictions").kernel.numpy(), head)
    np.testing.assert_array_equal(
        model.get_layer("conv4_block1_2_conv").kernel, source.get_layer("conv4_block1_2_conv").kernel
    )
    assert set(report.initial) == set(report.left_over) == {"predictions/kernel", "predictions/bias"}
    assert report.loaded == len(source.weights) - 2
    assert not report.exact
    assert "kept their values: predictions/kernel, predictions/bias" in caplog.text


def test_an_exact_load_reports_that_and_logs_nothing(source, saved, caplog):
    report = load_weights(build("resnet8"), saved)
    assert report.exact
    assert report.loaded == len(source.weights)
    assert not caplog.text


def test_adapting_forgives_the_stem_and_the_head_only(saved):
    tensors = safetensors.numpy.load_file(saved)
    del tensors["conv2_block1_1_bn/beta"]
    safetensors.numpy.save_file(tensors, saved)
    with pytest.raises(InputError, match="missing: conv2_block1_1_bn/beta"):
        build("resnet8", classes=3, weights=saved, weights_match="adapt")


def test_partial_loading_takes_what_has_name_and_shape(source, saved):
    wider = build("resnet8_26")
    before = {w.path: w.numpy() for w in wider.weights}
    report = load_weights(wider, saved, match="partial", spec="resnet8_26")
    assert report.loaded == 1  # only the bias of the head has the same shape
    assert "conv1_conv/kernel" in report.initial
    assert "conv1_conv/kernel" in report.left_over
    np.testing.assert_array_equal(wider.get_layer("predictions").bias, source.get_layer("predictions").bias)
    for w in wider.weights:
        if not w.path.startswith("predictions/bias"):
            np.testing.assert_array_equal(w.numpy(), before[w.path])
    assert "and " in str(report)


def test_nothing_in_common_is_an_error_even_in_part(tmp_path):
    safetensors.numpy.save_file({"a": np.zeros(1, "f")}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="no name in common"):
        build("resnet8", weights=tmp_path / "w.safetensors", weights_match="partial")
    with pytest.raises(InputError, match="unknown weights_match 'exactly': did you mean exact"):
        build("resnet8", weights=tmp_path / "w.safetensors", weights_match="exactly")


def test_torch_state_dicts_are_adapted_too(tmp_path):
    rng = np.random.default_rng(0)
    state = {key: rng.standard_normal(shape).astype("f") for key, shape in TIMM["resnet10t"].items()}
    safetensors.numpy.save_file(state, tmp_path / "w.safetensors")
    model = build(
        "resnet10t",
        weights=tmp_path / "w.safetensors",
        weights_match="adapt",
        include_top=False,
        input_shape=(32, 32, 1),
    )
    expected = state["conv1.0.weight"].sum(axis=1).transpose(1, 2, 0)[:, :, None]
    np.testing.assert_allclose(model.get_layer("conv1_1_conv").kernel, expected, rtol=1e-5, atol=1e-6)


# --- What a file looks like


def _ours(name):
    """Names and shapes; zeros that take no memory."""
    with without_values():
        layers = build(name, classes=10).layers
    return {
        f"{layer.name}/{w.name}": np.broadcast_to(np.float32(0), w.shape) for layer in layers for w in layer.weights
    }


@pytest.mark.parametrize("name", TIMM)
def test_state_dicts_are_recognised(name):
    assert looks_like({key: np.empty(shape, "f") for key, shape in TIMM[name].items()}) == [name]


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "resnet18_c", "resnet50", "resnet8", "resnetv2_18", "resnet20_cifar_b", "wrn_16_4_cifar"),
        *("resnet18d", "resnet50_v1_5", "resnet50v2", "seresnet50", "resnext50_32x4d"),
    ],
)
def test_our_files_are_recognised(name):
    assert name in looks_like(_ours(name))


def test_nets_that_differ_in_no_weight_are_all_named():
    assert looks_like(_ours("resnet20_cifar")) == ["resnet20_cifar", "plain20_cifar"]


def test_antialiased_nets_look_like_the_plain_ones():
    tensors = _ours("resnetblur18")
    assert looks_like(tensors) == ["resnet18"]
    assert hint(tensors, SPECS["resnetblur18"]) == hint(tensors, SPECS["resnet18"]) == ""
    assert hint(tensors, SPECS["resnetblur50"]) == ". The file looks like resnet18"


def test_other_tensors_look_like_nothing():
    assert looks_like({"a": np.zeros(3), "conv9_block1_1_conv/kernel": np.zeros((3, 3, 4, 4))}) == []


def test_the_wrong_net_is_named(zero_kernels, tmp_path):
    tensors = {name: np.zeros(value.shape, "f") for name, value in _ours("resnet18d").items()}
    safetensors.numpy.save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="does not fit resnet18: .*The file looks like resnet18d"):
        build("resnet18", classes=10, weights=tmp_path / "w.safetensors")
    with pytest.raises(InputError) as error:  # the right net with other classes
        build("resnet18d", classes=3, weights=tmp_path / "w.safetensors")
    assert "looks like" not in str(error.value)
