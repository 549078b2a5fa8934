"""Detection nets: exact counts of published ones, names and shapes of raw outputs, and what is refused."""

import dataclasses
import math
import re

import keras
import numpy as np
import pytest
import safetensors.numpy

import keras_resnet
from keras_resnet import InputError, detector
from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.detection import DETECTORS, HEADS, DetectorSpec, HeadSpec
from keras_resnet.nets.graph import multiply_adds, stage_taps, without_values
from keras_resnet.nets.pyramids import PYRAMIDS, PyramidSpec

TINY = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 1, 1, 1), width=4)
NECK = PyramidSpec(name="narrow", width=8)
# For values: two levels, towers of one convolution.
MINE = DetectorSpec(
    name="mine",
    neck=PyramidSpec(name="two", levels=(3, 4), width=8, extra=1),
    head=HeadSpec(name="mine", depth=1, sizes=(2.0, 3.0)),
    classes=3,
)
HOW = {"backbone": TINY, "input_shape": (32, 48, 3)}


def _trainable(net):
    return sum(math.prod(variable.shape) for variable in net.trainable_variables)


@pytest.mark.parametrize(
    ("name", "parameters", "multiplied"),  # torchvision's, its norms frozen; at 800 x 800
    [
        ("retinanet_r50_fpn", 34_014_999, 151_540_437_248),
        ("retinanet_r50_fpn_v2", 38_145_815, 152_238_199_040),
        ("fcos_r50_fpn", 32_269_600, 128_207_052_800),
    ],
)
def test_published_nets_have_their_exact_size(name, parameters, multiplied):
    with without_values():
        frozen, free = detector(name, freeze_bn=True), detector(name)
    assert _trainable(frozen) == parameters
    assert _trainable(free) == parameters + 53_120
    assert multiply_adds(free) == multiplied
    sides = {stride: tensor.shape[1:3] for stride, tensor in zip((8, 16, 32, 64, 128), _maps(free), strict=True)}
    assert sides == {8: (100, 100), 16: (50, 50), 32: (25, 25), 64: (13, 13), 128: (7, 7)}


def _maps(net):
    return [net.output[f"boxes_{stride}"] for stride in (8, 16, 32, 64, 128)]


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),  # torchvision's with other numbers of outputs, norms frozen
    [("retinanet_r50_fpn", 21, 32_562_849), ("fcos_r50_fpn", 2, 32_064_455)],
)
def test_a_number_of_classes_changes_the_last_convolution_alone(name, classes, parameters):
    with without_values():
        net = detector(name, classes=classes, freeze_bn=True, input_shape=(64, 64, 3))
    assert _trainable(net) == parameters


@pytest.mark.parametrize(
    ("name", "priors", "kinds"),
    [("retinanet", 9, {"scores": 27, "boxes": 36}), ("fcos", 1, {"scores": 3, "boxes": 4, "centerness": 1})],
)
def test_raw_outputs_have_a_name_for_every_stride(name, priors, kinds):
    with without_values():
        net = detector(name, backbone=TINY, neck=NECK, classes=3, input_shape=(64, 96, 3))
    spec = DETECTORS[name]
    assert net.name == f"{name}_tiny" and spec.head.priors == priors
    sides = {8: (8, 12), 16: (4, 6), 32: (2, 3), 64: (1, 2), 128: (1, 1)}
    expected = {f"{kind}_{s}": (None, *side, channels) for kind, channels in kinds.items() for s, side in sides.items()}
    assert {name: tensor.shape for name, tensor in net.output.items()} == expected
    assert tuple(expected) == spec.outputs
    assert all(net.get_layer(each).output is tensor for each, tensor in net.output.items())


@pytest.mark.parametrize(
    ("name", "backbone"), [("retinanet", "resnetv2_18"), ("fcos", "resnet10t"), ("fcos", "resnetblur18")]
)
def test_any_row_with_these_strides_is_a_backbone(name, backbone):
    with without_values():
        net = detector(name, backbone=backbone, neck="light", classes=5, input_shape=(64, 32, 3))
    assert net.output["scores_32"].shape == (None, 2, 1, 5 * DETECTORS[name].head.priors)
    assert sorted(stage_taps(net))[-3:] == [8, 16, 32]  # shared layers behind them do not stand in the way
    assert len(net.outputs) == 3 * len({each.partition("_")[0] for each in net.output})


def test_a_net_for_small_pictures_takes_levels_of_its_own():
    neck = PyramidSpec(name="small", levels=(1, 2), width=8, extra=0)
    with without_values():
        net = detector("fcos", backbone="resnet20_cifar", neck=neck, classes=2, input_shape=(32, 24, 3))
    assert {name: tensor.shape[1:3] for name, tensor in net.output.items() if "boxes" in name} == {
        "boxes_2": (16, 12),
        "boxes_4": (8, 6),
    }


@pytest.mark.parametrize("name", ["retinanet", "retinanet_r50_fpn_v2", "fcos"])
def test_towers_are_the_same_layers_on_every_map(name):
    """No layer of a tower stands there twice."""
    with without_values():
        net = detector(name, backbone=TINY, neck=NECK, classes=2, input_shape=(64, 64, 3))
    towers = [layer.name for layer in net.layers if "_tower_" in layer.name and layer.weights]
    each = 2 if DETECTORS[name].head.norm == "group" else 1
    assert len(towers) == 2 * 4 * each
    assert net.get_layer("scores_tower_1_conv").use_bias == (name != "retinanet_r50_fpn_v2")


def test_heads_begin_as_published():
    net = detector("fcos", backbone=TINY, neck=NECK, classes=2, input_shape=(64, 64, 3))
    np.testing.assert_allclose(net.get_layer("scores_conv").bias, -math.log(99), rtol=1e-6)  # score 0.01
    assert not np.any(net.get_layer("boxes_conv").bias)
    assert np.std(net.get_layer("boxes_tower_1_conv").kernel) == pytest.approx(0.01, rel=0.15)
    # PyTorch's kaiming_uniform(a=1): from -b to b with b = sqrt(3 / fan in)
    kernel = np.abs(net.get_layer("fpn_p6_conv").kernel)
    assert 0.95 * math.sqrt(3 / 72) < kernel.max() <= math.sqrt(3 / 72)
    found = net(np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("f"))
    assert all(np.min(found[f"boxes_{stride}"]) >= 0 for stride in (8, 16, 32, 64, 128))


def test_outputs_are_float32_under_a_mixed_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        net = detector("fcos", backbone=TINY, neck=NECK, classes=2, input_shape=(64, 64, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {output.dtype for output in net.outputs} == {"float32"}
    assert net.get_layer("scores_conv").compute_dtype == "float32"
    assert net.get_layer("boxes_tower_4_conv").compute_dtype == "bfloat16"


@pytest.fixture(scope="module")
def trained():
    """A net whose values are no initial ones."""
    net = detector(MINE, **HOW)
    rng = np.random.default_rng(0)
    for variable in net.variables:
        variable.assign(variable.numpy() + 0.05 * rng.random(variable.shape))
    return net


def test_values_travel(trained, tmp_path):
    path, images = tmp_path / "net.safetensors", np.random.default_rng(1).random((2, 32, 48, 3), "f")
    keras_resnet.save_weights(trained, path)
    same, expected = detector(MINE, weights=path, **HOW)(images), trained(images)
    assert same.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(same[name], value, atol=1e-6 * np.abs(value).max())
    other = detector(MINE, classes=5, weights=path, weights_match="adapt", **HOW)
    np.testing.assert_array_equal(other.get_layer("boxes_conv").kernel, trained.get_layer("boxes_conv").kernel)
    np.testing.assert_allclose(other.get_layer("scores_conv").bias, -math.log(99), rtol=1e-6)
    with without_values(), pytest.raises(InputError, match="weights_match='adapt'"):
        detector(MINE, classes=5, weights=path, **HOW)


def test_a_backbones_own_values_are_taken(tmp_path):
    backbone = keras_resnet.build(TINY, include_top=False, input_shape=(64, 64, 3))
    path = tmp_path / "backbone.safetensors"
    keras_resnet.save_weights(backbone, path)
    net = detector(MINE, backbone=TINY, neck=NECK, backbone_weights=path, input_shape=(64, 64, 3))
    for layer in backbone.layers:
        for ours, theirs in zip(net.get_layer(layer.name).weights if layer.weights else (), layer.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_saved_net_opens_without_this_package(trained, tmp_path):
    trained.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras", compile=False)
    assert all(type(layer).__module__.startswith("keras.") for layer in again.layers)
    assert multiply_adds(again) == multiply_adds(trained)
    images = np.random.default_rng(1).random((1, 32, 48, 3), "f")
    found = again(images)
    assert found.keys() == trained.output.keys()
    for name, expected in trained(images).items():
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("yolo", {}, "unknown detection net 'yolo': known: fcos"),
        ("fcos", {}, "pass backbone='resnet18'"),
        ("fcos", {"backbone": "resnet18", "neck": "bifpn"}, "unknown pyramid 'bifpn'"),
        ("fcos", {"backbone": "resnet18", "input_shape": (360, 480, 3)}, "32 divides: the next ones are 384 x 480"),
        ("fcos", {"backbone": "resnet18", "input_shape": (None, None, 3)}, r"expected \(height, width, channels\)"),
        ("fcos", {"backbone": "resnet20_cifar", "input_shape": (64, 64, 3)}, "the backbone has them at 1, 2, 4: take"),
        ("fcos", {"backbone": "resnet18", "classes": 0}, "classes=0, expected a whole number from 1"),
        ("fcos", {"backbone": "resnet18", "classes": True}, "classes=True, expected a whole number from 1"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_line(name, how, message):
    with without_values(), pytest.raises(InputError, match=message):
        detector(name, **how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"coder": "corners"}, "unknown coder 'corners'"),
        ({"norm": "batch"}, "norm='batch' goes with shared=False"),
        ({"sizes": ()}, r"sizes=\(\), expected numbers above 0"),
        ({"ratios": (1, 0)}, r"ratios=\(1, 0\), expected numbers above 0"),
        ({"sizes": (float("nan"),)}, "expected numbers above 0"),
        ({"depth": -1}, "depth=-1, expected a whole number from 0"),
        ({"most": 0}, "most=0, expected a whole number from 1"),
        ({"threshold": 1.5}, "threshold=1.5, expected a number from 0 to 1"),
        ({"overlap": True}, "overlap=True, expected a number from 0 to 1"),
    ],
)
def test_heads_that_make_no_sense_are_refused_where_they_are_declared(how, message):
    with pytest.raises(InputError, match=message):
        HeadSpec(name="mine", **how)


def test_rows_have_a_place_of_publication_and_a_net_of_ones_own_is_a_difference():
    assert all("arXiv" in row.paper for row in (*DETECTORS.values(), *PYRAMIDS.values()))
    assert {row.name for row in HEADS.values()} == set(HEADS)
    with without_values():
        net = detector(MINE, classes=4, backbone="resnet10t", input_shape=(64, 64, 3))
    assert net.name == "mine_resnet10t" and net.output["scores_8"].shape[-1] == 2 * 4


def test_a_net_that_is_only_called_does_not_train(trained):
    """Keras' Resizing takes itself to be in a training, and what is behind it followed."""
    pixels = np.random.default_rng(0).normal(3, 2, (2, 32, 48, 3)).astype("f")
    before = trained.get_weights()
    found = trained(pixels)
    for name, value in trained(pixels, training=False).items():
        np.testing.assert_array_equal(found[name], value)
    assert all((one == other).all() for one, other in zip(before, trained.get_weights(), strict=True))


def _own(name, **how):
    """A net with a published head, of two convolutions, whose values are no initial ones."""
    row = DETECTORS[name]
    spec = dataclasses.replace(row, name="own", neck=NECK, head=dataclasses.replace(row.head, depth=2), classes=2)
    return detector(spec, **{"backbone": TINY, "input_shape": (32, 64, 3), **how})


@pytest.fixture(scope="module", params=["retinanet", "retinanet_r50_fpn_v2", "fcos"])
def exported(request, tmp_path_factory):
    """A published head's name, the net, and the state dict that torchvision would read."""
    net, rng = _own(request.param), np.random.default_rng(0)
    for variable in net.variables:
        variable.assign(variable.numpy() + 0.1 * rng.random(variable.shape))
    path = tmp_path_factory.mktemp("exported") / "net.safetensors"
    keras_resnet.export_weights(net, path, layout="torchvision", spec=TINY)
    return request.param, net, path


def _same(net, other, scale=1e-6):
    """Whether two nets give the same, to a share of each output's scale."""
    images = np.random.default_rng(1).normal(size=(1, 32, 64, 3)).astype("f")
    found, expected = net(images), other(images)
    apart = [np.abs(found[name] - each).max() / np.abs(each).max() for name, each in expected.items()]
    return max(apart) <= scale


TOWERS = {  # torchvision's names of today, and the numbers of convolutions and norms in a tower of two
    "retinanet": {"0.0.weight", "0.0.bias", "1.0.weight", "1.0.bias"},
    "retinanet_r50_fpn_v2": {f"{n}.{part}" for n in (0, 1) for part in ("0.weight", "1.weight", "1.bias")},
    "fcos": {f"{n}.{kind}" for n in (0, 1, 3, 4) for kind in ("weight", "bias")},
}


def test_state_dicts_have_torchvisions_names(exported):
    name, _, path = exported
    state = safetensors.numpy.load_file(path)
    towers = {key.partition(".conv.")[2] for key in state if key.startswith("head.classification_head.conv.")}
    assert towers == TOWERS[name]
    pyramid = {key.removeprefix("backbone.fpn.") for key in state if key.startswith("backbone.fpn.")}
    blocks = [f"{kind}_blocks.{n}.0" for kind in ("inner", "layer") for n in range(3)]
    blocks += ["extra_blocks.p6", "extra_blocks.p7"]
    assert pyramid == {f"{block}.{kind}" for block in blocks for kind in ("weight", "bias")}
    last = {"classification_head.cls_logits", "regression_head.bbox_reg"}
    last |= {"regression_head.bbox_ctrness"} if name == "fcos" else set()
    rest = {key.removeprefix("head.") for key in state if key.startswith("head.") and ".conv." not in key}
    assert rest == {f"{each}.{kind}" for each in last for kind in ("weight", "bias")}
    body = {key for key in state if key.startswith("backbone.body.")}
    assert len(body) + len(pyramid) + len(rest) + 2 * len(towers) == len(state)
    assert {"backbone.body.conv1.weight", "backbone.body.layer4.0.bn2.num_batches_tracked"} <= body


def test_state_dicts_are_read_back_under_any_prefix(exported, tmp_path):
    name, net, path = exported
    state = safetensors.numpy.load_file(path)
    wrapped = {f"model.module.{key}": value for key, value in state.items()}
    safetensors.numpy.save_file(wrapped, tmp_path / "wrapped.safetensors")
    loaded = _own(name, weights=tmp_path / "wrapped.safetensors")
    assert all((one == other).all() for one, other in zip(loaded.get_weights(), net.get_weights(), strict=True))
    assert _same(loaded, net)
    state["head.regression_head.bbox_reg.weight"] = state.pop("head.classification_head.cls_logits.bias")
    safetensors.numpy.save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="missing: scores_conv/bias; wrong shape: boxes_conv/kernel"):
        _own(name, weights=tmp_path / "other.safetensors")


def _of_2020(state):
    """The names of torchvision's first RetinaNet file."""
    renamed = {}
    for name, value in state.items():
        name = re.sub(r"(_blocks\.\d)\.0\.", r"\1.", name)
        name = re.sub(r"(_head\.conv)\.(\d)\.0\.", lambda match: f"{match[1]}.{2 * int(match[2])}.", name)
        if "num_batches" not in name:
            renamed[name] = value
    return renamed


@pytest.mark.parametrize("exported", ["retinanet"], indirect=True)  # the others were published later, with an epsilon
def test_the_first_published_file_computes_with_norms_without_an_epsilon(exported, tmp_path, monkeypatch):
    name, _, path = exported
    state = safetensors.numpy.load_file(path)
    for key in state:
        if key.endswith("running_var"):
            state[key] = 1e-5 * (1 + state[key])
    safetensors.numpy.save_file(state, tmp_path / "today.safetensors")
    safetensors.numpy.save_file(_of_2020(state), tmp_path / "2020.safetensors")
    monkeypatch.setitem(CONVENTIONS, "without", dataclasses.replace(CONVENTIONS["torch"], epsilon=0.0))
    without = dataclasses.replace(TINY, convention="without")
    expected = _own(name, weights=tmp_path / "today.safetensors", backbone=without)
    assert _same(_own(name, weights=tmp_path / "2020.safetensors"), expected, 1e-5)
    assert not _same(_own(name, weights=tmp_path / "today.safetensors"), expected, 0.01)


def test_a_file_with_both_namings_is_refused(exported, tmp_path):
    name, _, path = exported
    state = safetensors.numpy.load_file(path)
    state["backbone.fpn.inner_blocks.0.weight"] = state["backbone.fpn.inner_blocks.0.0.weight"] + 1
    safetensors.numpy.save_file(state, tmp_path / "both.safetensors")
    with pytest.raises(InputError, match="left over: backbone.fpn.inner_blocks.0.weight"):
        _own(name, weights=tmp_path / "both.safetensors")


def test_nets_that_torchvision_has_not_are_not_written(tmp_path):
    neck = dataclasses.replace(PYRAMIDS["fpn_pool"], width=8)
    net = detector(MINE, neck=neck, **{**HOW, "input_shape": (32, 32, 3)})
    for layout in ("torchvision", "timm"):
        with pytest.raises(InputError, match="torchvision has retinanet and fcos with pyramids from level 3"):
            keras_resnet.export_weights(net, tmp_path / "net.safetensors", layout=layout, spec=TINY)


def test_arguments_of_another_type_are_named():
    with pytest.raises(InputError, match="input_shape=32: expected"):
        detector("realtime", backbone="resnet18", input_shape=32)
    with pytest.raises(InputError, match="unknown pyramid"):
        detector("realtime", backbone="resnet18", neck=["fpn"])
    with pytest.raises(InputError, match="levels=3, expected levels"):
        PyramidSpec(name="mine", levels=3)
    with pytest.raises(InputError, match="neck='fpn', expected a PyramidSpec"):
        DetectorSpec(name="mine", neck="fpn", head=HEADS["fcos"])
