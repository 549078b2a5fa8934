"""State dicts of PyTorch: published weights with their logits, and timm's own names and shapes."""

import ast
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from tiers import in_proof

import keras_resnet
from keras_resnet import InputError, ResNetSpec, build, load_dataset
from keras_resnet.nets.graph import without_values
from keras_resnet.nets.specs import SPECS
from keras_resnet.weights import files, pytorch

# Names and shapes of the tensors of timm's models with 10 classes, written by timm 1.0 on 2026-11-21.
TIMM = json.loads((Path(__file__).parent / "timm_tensors.json").read_text())
AKAMASTER = Path(__file__).resolve().parents[2] / "shared" / "data" / "akamaster"


def _cifar_logits(layers, pixels):
    model = build(f"resnet{layers}_cifar", weights=AKAMASTER / f"resnet{layers}.npz", classifier_activation=None)
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    return model.predict((pixels / np.float32(255) - mean) / std, batch_size=500, verbose=0)


@pytest.fixture
def published():
    """PyTorch's logits by number of layers."""
    if not AKAMASTER.exists():
        pytest.skip("no ../shared/data/akamaster: published CIFAR weights with PyTorch's logits")
    return {n: np.load(AKAMASTER / f"resnet{n}_test_logits.npy", allow_pickle=False) for n in (20, 32)}


@pytest.mark.slow
@pytest.mark.parametrize("layers", [20, in_proof(32)])
def test_published_cifar_weights_give_pytorchs_logits(layers, published, cifar_few):
    logits = _cifar_logits(layers, cifar_few[0][:100])
    assert np.abs(logits - published[layers][:100]).max() <= 1e-3


@pytest.mark.proof
@pytest.mark.parametrize(("layers", "right"), [(20, 9173), (32, 9263)])
def test_published_cifar_weights_give_pytorchs_logits_of_all_images(layers, right, published, cifar_dir):
    test = load_dataset("cifar10", cifar_dir).test
    logits = _cifar_logits(layers, test.images)
    assert np.abs(logits - published[layers]).max() <= 1e-3
    assert (logits.argmax(axis=1) == test.labels).sum() == right


def _state(name):
    rng = np.random.default_rng(0)
    return {key: rng.standard_normal(shape).astype("f") for key, shape in TIMM[name].items()}


def _build(name, path):
    return build(name, weights=path, input_shape=(64, 64, 3), classes=10)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n if n in ("resnet10t", "resnetv2_18") else in_proof(n) for n in TIMM])
def test_every_tensor_of_timm_is_used_every_variable_filled_and_all_go_back(name, zero_kernels, tmp_path):
    state = _state(name)
    safetensors.numpy.save_file(state, tmp_path / "w.safetensors")
    model = _build(name, tmp_path / "w.safetensors")
    own = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert model.count_params() == sum(value.size for value in own.values())
    assert all(np.std(weight) > 0.1 for weight in model.get_weights() if weight.size > 9)
    keras_resnet.export_weights(model, tmp_path / "back.safetensors", layout="timm")
    back = safetensors.numpy.load_file(tmp_path / "back.safetensors")
    assert set(back) == set(state)
    if name == "resnetv2_18":  # timm's head is a 1x1 convolution there
        assert back["head.fc.weight"].shape == (10, 512, 1, 1)
        own["head.fc.weight"] = own["head.fc.weight"].reshape(10, 512, 1, 1)
    for key, value in own.items():
        np.testing.assert_array_equal(back[key], value, err_msg=key)


def test_kernels_are_transposed_and_norms_keep_their_parts(zero_kernels, tmp_path):
    state = _state("resnet14t")
    safetensors.numpy.save_file(state, tmp_path / "w.safetensors")
    model = _build("resnet14t", tmp_path / "w.safetensors")
    for ours, theirs in {
        "conv1_1_conv/kernel": "conv1.0.weight",
        "conv1_conv/kernel": "conv1.6.weight",
        "conv3_block1_2_conv/kernel": "layer2.0.conv2.weight",
        "conv3_block1_0_conv/kernel": "layer2.0.downsample.1.weight",
        "conv3_block1_0_bn/gamma": "layer2.0.downsample.2.weight",
        "conv2_block1_3_bn/moving_variance": "layer1.0.bn3.running_var",
        "conv1_2_bn/beta": "conv1.4.bias",
        "predictions/kernel": "fc.weight",
        "predictions/bias": "fc.bias",
    }.items():
        layer, variable = ours.split("/")
        value = getattr(model.get_layer(layer), variable).numpy()
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim]
        np.testing.assert_array_equal(value.transpose(axes), state[theirs], err_msg=ours)


def test_norms_of_pre_activation_nets_count_from_the_one_before(zero_kernels, tmp_path):
    state = _state("resnetv2_18")
    np.savez(tmp_path / "w.npz", **state)
    model = _build("resnetv2_18", tmp_path / "w.npz")
    for ours, theirs in {
        "conv3_block2_preact_bn": "stages.1.blocks.1.norm1",
        "conv3_block2_1_bn": "stages.1.blocks.1.norm2",
        "post_bn": "norm",
    }.items():
        np.testing.assert_array_equal(model.get_layer(ours).gamma.numpy(), state[f"{theirs}.weight"], err_msg=ours)
    head = state["head.fc.weight"].reshape(10, -1)
    np.testing.assert_array_equal(model.get_layer("predictions").kernel.numpy().T, head)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("layer1.0.conv2.weight"), "missing: conv2_block1_2_conv/kernel"),
        (lambda s: s.update({"layer9.weight": np.zeros(1, "f")}), "left over: layer9.weight"),
        (lambda s: s.update({"fc.weight": np.zeros((5, 512), "f")}), "wrong shape: predictions/kernel"),
    ],
)
def test_leftovers_are_listed_both_ways(change, said, zero_kernels, tmp_path):
    state = _state("resnet10t")
    change(state)
    np.savez(tmp_path / "w.npz", **state)
    with pytest.raises(InputError, match=said):
        _build("resnet10t", tmp_path / "w.npz")


def test_a_file_for_another_net_is_refused(zero_kernels, tmp_path):
    np.savez(tmp_path / "w.npz", **_state("resnet10t"))
    with pytest.raises(InputError, match="does not fit resnet18"):
        build("resnet18", weights=tmp_path / "w.npz", classes=10)


def test_pickles_are_refused_with_the_recipe_to_convert_them(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"\x80\x02")
    with pytest.raises(InputError, match=r"weights_only=True.*safetensors.torch.save_file") as error:
        build("resnet18", weights=tmp_path / "w.pth")
    line = str(error.value).partition("safetensors: ")[2]  # tests/test_at_peers.py runs it
    assert str(tmp_path / "w.safetensors") in line
    assert "\n" not in line
    ast.parse(line)
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "w.npz", **{"layer1.0.conv1.weight": np.array([{}], dtype=object)})
    with pytest.raises(InputError, match="no readable npz file"):
        build("resnet18", weights=tmp_path / "w.npz")


def test_truncated_npz(zero_kernels, tmp_path):
    np.savez(tmp_path / "w.npz", **_state("resnet10t"))
    content = (tmp_path / "w.npz").read_bytes()
    (tmp_path / "w.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="no readable npz file"):
        build("resnet10t", weights=tmp_path / "w.npz", classes=10)


# --- As people have them


def _prefixed(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


PREFIXES = (
    *("module.", "model.", "backbone.", "_orig_mod.", "state_dict.", "state_dict_ema.", "net."),
    *("state_dict.module.", "model._orig_mod.", "_orig_mod.module."),
)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("kind", ["torchvision", "akamaster", "timm_v2"])
def test_prefixes_are_stripped(kind, prefix, tmp_path):
    arrays = {name: np.array([n], "f") for n, name in enumerate(STATES[kind])}
    found = pytorch.unwrapped(_prefixed(prefix, arrays), "w.npz")
    assert found == arrays
    assert pytorch.find_layout(found) is pytorch.LAYOUTS[kind]


STATES = {
    "torchvision": ("conv1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.num_batches_tracked", "fc.weight"),
    "akamaster": ("conv1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "linear.weight"),
    "timm_v2": ("stem.conv.weight", "stages.0.blocks.0.conv1.weight", "norm.weight", "head.fc.weight"),
}


def _cifar_state(seed=0):
    spec = ResNetSpec(name="mini", block="basic", depths=(1, 1), stem="cifar", width=4, shortcut="A", classes=10)
    rng = np.random.default_rng(seed)
    net = build(spec, input_shape=(8, 8, 3))
    tensors = {name: rng.random(v.shape, "f") for name, v in files.named_variables(net).items()}
    return spec, pytorch.to_theirs(tensors, pytorch.LAYOUTS["akamaster"], spec), tensors


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_prefix_in_a_file_changes_nothing(suffix, tmp_path):
    spec, state, tensors = _cifar_state()
    path = tmp_path / f"w.{suffix}"
    write = safetensors.numpy.save_file if suffix == "safetensors" else lambda state, path: np.savez(path, **state)
    write(_prefixed("state_dict.module.", state), path)
    model = build(spec, input_shape=(8, 8, 3), weights=path)
    for name, variable in files.named_variables(model).items():
        np.testing.assert_array_equal(variable, tensors[name])
    write({**_prefixed("module.", state), "best_prec1": np.zeros(1, "f")}, path)
    with pytest.raises(InputError, match=r"does not fit mini: left over: best_prec1 \(1,\)$"):
        build(spec, input_shape=(8, 8, 3), weights=path)
    build(spec, input_shape=(8, 8, 3), weights=path, weights_match="partial")


def test_of_two_nets_in_a_file_none_is_guessed(tmp_path):
    spec, state, _ = _cifar_state()
    np.savez(tmp_path / "w.npz", **_prefixed("state_dict.", state), **_prefixed("state_dict_ema.", state))
    said = r"several nets, below 'state_dict\.', 'state_dict_ema\.'; expected one.*startswith\('state_dict\.'\)"
    with pytest.raises(InputError, match=said):
        build(spec, input_shape=(8, 8, 3), weights=tmp_path / "w.npz")


# --- Another net with the same tensors


@pytest.fixture
def twins(monkeypatch):
    """Four small rows that have the same tensors, and a file of them."""
    rows = {
        name: ResNetSpec(name=name, block="basic", depths=(1, 1), width=4, classes=3, **how)
        for name, how in {"sharp18": {}, "blur18": {"antialiasing": "blur"}, "mean18": {"antialiasing": "mean"}}.items()
    }
    for name, row in rows.items():
        monkeypatch.setitem(SPECS, name, row)
    return rows


SAID = r"holds weights of blur18 \({}\); sharp18 has the same tensors .*Build 'blur18', or pass weights_match='partial'"


@pytest.mark.parametrize("where", ["card", "header", "export", "config", "nothing"])
def test_a_file_that_says_that_it_is_of_another_net_is_refused(where, twins, tmp_path):
    path, card = tmp_path / "w.safetensors", keras_resnet.ModelCard(spec="blur18")
    source = build("blur18", input_shape=(32, 32, 3))
    metadata = {"architecture": "blur18"} if where == "header" else None
    if where == "export":
        keras_resnet.export_weights(source, path, layout="timm")
    else:
        keras_resnet.save_weights(source, path, card=card if where == "card" else None, metadata=metadata)
    if where == "config":
        (tmp_path / "config.json").write_text('{"architecture": "blur18"}')
    build("blur18", input_shape=(32, 32, 3), weights=path)
    renamed = dataclasses.replace(twins["blur18"], name="mine", classes=3)
    build(renamed, input_shape=(32, 32, 3), weights=path)
    for match in ("exact", "adapt"):
        if where == "nothing":
            build("sharp18", input_shape=(32, 32, 3), weights=path, weights_match=match)
            continue
        says = {"card": "its card", "config": "config.json beside it"}.get(where, "'architecture' in its header")
        with pytest.raises(InputError, match=SAID.format(f"{says} says so")):
            build("sharp18", input_shape=(32, 32, 3), weights=path, weights_match=match)
        with pytest.raises(InputError, match="mean18 has the same tensors"):
            build("mean18", input_shape=(32, 32, 3), weights=path, weights_match=match)
    build("sharp18", input_shape=(32, 32, 3), weights=path, weights_match="partial")


def test_a_saved_plain_net_is_no_residual_one(tmp_path):
    keras_resnet.save_model(build("plain20_cifar"), tmp_path / "m.keras", keras_resnet.ModelCard(spec="plain20_cifar"))
    with pytest.raises(InputError, match="holds weights of plain20_cifar"):
        build("resnet20_cifar", weights=tmp_path / "m.keras")


# --- The other way


@pytest.mark.slow
def test_published_cifar_weights_go_back_to_their_own_names(tmp_path):
    if not AKAMASTER.exists():
        pytest.skip("no ../shared/data/akamaster: published CIFAR weights")
    model = build("resnet20_cifar", weights=AKAMASTER / "resnet20.npz", prefix="a_")
    keras_resnet.export_weights(model, tmp_path / "w.safetensors", layout="akamaster", prefix="a_")
    state = safetensors.numpy.load_file(tmp_path / "w.safetensors")
    with np.load(AKAMASTER / "resnet20.npz") as published:
        assert set(published) <= set(state)
        assert all(np.array_equal(published[key], state[key]) for key in published if "tracked" not in key)


def test_prefixes_stay_out_of_exported_files_and_do_not_hinder_loading(tmp_path):
    model = build("resnet8", prefix="rgb_")
    keras_resnet.export_weights(model, tmp_path / "plain.safetensors", prefix="rgb_")
    keras_resnet.save_weights(model, tmp_path / "prefixed.safetensors")
    assert "conv1_conv/kernel" in safetensors.numpy.load_file(tmp_path / "plain.safetensors")
    assert "rgb_conv1_conv/kernel" in safetensors.numpy.load_file(tmp_path / "prefixed.safetensors")
    for file in ("plain", "prefixed"):
        again = build("resnet8", prefix="depth_", weights=tmp_path / f"{file}.safetensors")
        assert all(np.array_equal(x, y) for x, y in zip(model.get_weights(), again.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("name", "layout", "said"),
    [
        ("resnet50", "torchvision", "no net of that library is resnet50; it has resnet18, resnet34, resnet50_v1_5"),
        ("resnet18d", "torchvision", "no net of that library is resnet18d"),
        ("resnetblur18", "torchvision", "no net of that library is resnetblur18"),
        ("plain18", "timm", "no net of that library is plain18"),
        ("resnet18", "akamaster", "it has resnet20_cifar"),
        ("resnet18", "caffe", "unknown layout 'caffe'"),
    ],
)
def test_layouts_that_a_net_has_not(name, layout, said, tmp_path):
    with pytest.raises(InputError, match=said):
        with without_values():
            model = build(name, classes=2)
        keras_resnet.export_weights(model, tmp_path / "w.safetensors", layout=layout)


def test_exports_overwrite_nothing(zero_kernels, tmp_path):
    (tmp_path / "w.safetensors").write_text("precious")
    with pytest.raises(InputError, match="exists"):
        keras_resnet.export_weights(build("resnet18"), tmp_path / "w.safetensors", layout="timm")
