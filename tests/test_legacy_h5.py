"""Keras' `.h5` files: written by keras.applications and by mlcommons/tiny, by name and in order, damaged ones."""

from pathlib import Path

import h5py
import keras
import numpy as np
import peers
import pytest
from tiers import in_proof

import keras_resnet
from keras_resnet import InputError, build, load_dataset, load_weights
from keras_resnet.weights import WEIGHT_SETS

FULL = ("ResNet50", "ResNet50V2", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2")
MLPERF_TINY = Path(__file__).resolve().parents[2] / "shared" / "data" / "mlperf-tiny" / "resnet8.h5"


def _equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def _same_outputs(theirs, build_ours, tmp_path):
    rng = np.random.default_rng(0)
    theirs.set_weights([w + 0.05 * rng.random(w.shape).astype("f") * (w.ndim == 1) for w in theirs.get_weights()])
    theirs.save(tmp_path / "w.h5")
    ours = build_ours(tmp_path / "w.h5")
    images = rng.uniform(-50, 50, (2, 64, 64, 3)).astype("f")
    expected = theirs.predict_on_batch(images)
    assert np.abs(ours.predict_on_batch(images) - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
    assert np.ptp(expected) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("peer", "top"),
    [("resnet50", True), in_proof("resnet50v2", False),
     *(in_proof(*row) for row in (("resnet50", False), ("resnet50v2", True)))],
)  # fmt: skip
def test_files_of_small_nets_from_keras_applications_give_their_outputs(peer, top, tmp_path):
    how = {"include_top": top, "input_shape": (64, 64, 3)}
    theirs = peers.build(peer, **how)
    _same_outputs(theirs, lambda path: build(peers.spec(peer), weights=path, **how), tmp_path)


@pytest.mark.proof
@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("peer", FULL)
def test_files_of_keras_applications_give_their_outputs(peer, top, tmp_path):
    how = {"include_top": top, "input_shape": (64, 64, 3)}
    theirs = getattr(keras.applications, peer)(weights=None, **how)
    _same_outputs(theirs, lambda path: getattr(keras_resnet, peer)(weights=path, **how), tmp_path)


@pytest.fixture(scope="module")
def theirs():
    return peers.build("resnet50", include_top=False, input_shape=(32, 32, 3))


@pytest.fixture(scope="module")
def notop(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("h5") / "notop.h5"
    theirs.save(path)
    return path


@pytest.fixture(scope="module")
def model():
    """Random values that no damaged file may change."""
    return _build(None)


def _rename(path, target, change):
    """Copies a legacy file with other layer names, in an order of their own."""
    with h5py.File(path) as source, h5py.File(target, "w") as file:
        root, new = source["model_weights"], file.create_group("model_weights")
        names = [change(index, name) for index, name in enumerate(root.attrs["layer_names"])]
        for name, renamed in names:
            root.copy(name, new, name=renamed)
        new.attrs["layer_names"] = [renamed for _, renamed in names]
    return target


def _build(path, **arguments):
    return build(peers.spec("resnet50"), weights=path, include_top=False, input_shape=(32, 32, 3), **arguments)


@pytest.mark.slow
def test_in_the_order_of_the_layers_where_names_are_others(theirs, notop, tmp_path):
    renamed = _rename(notop, tmp_path / "w.h5", lambda index, name: (name, f"layer_{index}"))
    assert _equal(_build(renamed), theirs)
    assert _equal(_build(renamed, prefix="a_"), theirs)


@pytest.mark.slow
def test_by_name_where_the_order_is_another(theirs, notop, tmp_path):
    with h5py.File(notop) as file:
        names = list(file["model_weights"].attrs["layer_names"])[::-1]
    reversed_ = _rename(notop, tmp_path / "w.h5", lambda index, name: (names[index], names[index]))
    assert _equal(_build(reversed_), theirs)
    assert _equal(_build(reversed_, prefix="a_"), theirs)


@pytest.mark.slow
def test_order_is_not_trusted_where_an_option_changes_it(theirs, notop, tmp_path):
    dropped = _build(notop, stochastic_depth=0.1)  # by name
    block = "conv2_block1_3_conv"
    np.testing.assert_array_equal(dropped.get_layer(block).kernel, theirs.get_layer(block).kernel)
    renamed = _rename(notop, tmp_path / "w.h5", lambda index, name: (name, f"layer_{index}"))
    with pytest.raises(InputError, match="changes the order of the layers"):
        _build(renamed, stochastic_depth=0.1)
    build("resnet8").save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(InputError, match="changes the order of the layers"):
        build("resnet8", stochastic_depth=0.1, weights=tmp_path / "w.weights.h5")


@pytest.mark.slow
def test_a_file_with_head_is_left_over_in_a_net_without_unless_adapted(tmp_path):
    with_head = peers.build("resnet50", classes=5, input_shape=(32, 32, 3))
    with_head.save(tmp_path / "top.h5")
    with pytest.raises(InputError, match=r"left over: predictions/kernel \(256, 5\).*weights_match='adapt'"):
        _build(tmp_path / "top.h5")
    model = _build(tmp_path / "top.h5", weights_match="adapt")
    assert all(np.array_equal(x, y) for x, y in zip(model.get_weights(), with_head.get_weights()[:-2], strict=True))


@pytest.mark.proof
def test_weights_of_mlperf_tiny_have_their_accuracy(cifar_dir):
    if not MLPERF_TINY.exists():
        pytest.skip("no ../shared/data/mlperf-tiny: the reference ResNet-8")
    test = load_dataset("cifar10", cifar_dir).test
    model = build("resnet8", weights=MLPERF_TINY)
    answers = model.predict(test.images.astype("f"), batch_size=500, verbose=0).argmax(axis=1)
    assert (answers == test.labels).mean() == pytest.approx(0.8719, abs=1e-9)


def test_weights_of_mlperf_tiny_answer_as_their_float_file(digits):
    """mlcommons' own TFLite file of the same net, run by its engine."""
    if not MLPERF_TINY.exists():
        pytest.skip("no ../shared/data/mlperf-tiny: the reference ResNet-8")
    from ai_edge_litert.interpreter import Interpreter

    engine = Interpreter(model_path=str(MLPERF_TINY.with_name("resnet8_float.tflite")))
    engine.allocate_tensors()
    (image,), (answer,) = engine.get_input_details(), engine.get_output_details()
    pixels = digits.test.images[:4].astype("f")
    expected = []
    for one in pixels:
        engine.set_tensor(image["index"], one[None])
        engine.invoke()
        expected.append(engine.get_tensor(answer["index"])[0])
    np.testing.assert_allclose(build("resnet8", weights=MLPERF_TINY).predict_on_batch(pixels), expected, atol=1e-4)


def test_weights_of_mlperf_tiny_fit_no_other_net():
    if not MLPERF_TINY.exists():
        pytest.skip("no ../shared/data/mlperf-tiny: the reference ResNet-8")
    with pytest.raises(InputError, match="wrong shape: conv1_conv/kernel"):
        build("resnet8_26", weights=MLPERF_TINY)
    with pytest.raises(InputError, match="does not fit resnet20_cifar.*looks like resnet8"):
        build("resnet20_cifar", weights=MLPERF_TINY)


def test_public_files_are_recognised_by_their_hash(notop, tmp_path, monkeypatch):
    import dataclasses
    import hashlib

    row = WEIGHT_SETS["resnet50", "imagenet"]
    assert keras_resnet.weights_card(notop, "resnet50").dataset is None
    digest = hashlib.md5(notop.read_bytes()).hexdigest()
    monkeypatch.setitem(WEIGHT_SETS, ("resnet50", "imagenet"), dataclasses.replace(row, md5={True: "", False: digest}))
    assert keras_resnet.weights_card(notop, "resnet50").preprocess.channels == "bgr"


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _edit(change):
    def spoil(path):
        with h5py.File(path, "r+") as file:
            change(file["model_weights"])

    return spoil


def _replace(root, **dataset):
    """Puts another dataset in place of the first bias."""
    group = root["conv1_conv"]
    name = group.attrs["weight_names"][1]
    del group[name]
    if "link" in dataset:
        group[name] = dataset["link"]
    else:
        group.create_dataset(name, **dataset)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_truncate, "no readable HDF5 file|is damaged"),
        (_edit(lambda root: root.__delitem__("conv1_conv")), "is damaged"),
        (_edit(lambda root: root.attrs.__delitem__("layer_names")), "is damaged"),
        (_edit(lambda root: _replace(root, data=[b"x"] * 64)), "no array of floating-point numbers"),
        (_edit(lambda root: _replace(root, data=np.full(64, np.nan, "f"))), "NaN or infinity in conv1_conv/bias"),
        (_edit(lambda root: _replace(root, data=np.zeros(65, "f"))), r"wrong shape: conv1_conv/bias \(65,\)"),
        (_edit(lambda root: _replace(root, shape=(1 << 40,), dtype="f", chunks=(1 << 10,))), "claims more than"),
        (
            _edit(lambda root: _replace(root, shape=(64,), dtype="f", external=[("o.bin", 0, 256)])),
            "points into another",
        ),
        (_edit(lambda root: _replace(root, link=h5py.ExternalLink("o.h5", "/x"))), "points into another|is damaged"),
    ],
)
def test_damaged_files_are_refused_and_change_nothing(spoil, said, notop, model, tmp_path):
    path = tmp_path / "w.h5"
    path.write_bytes(notop.read_bytes())
    Path("o.bin").write_bytes(bytes(256))
    with h5py.File("o.h5", "w") as other:
        other["x"] = np.zeros(64, "f")
    spoil(path)
    before = model.get_weights()
    with pytest.raises(InputError, match=said) as error:
        load_weights(model, path, spec=peers.spec("resnet50"))
    assert str(path) in str(error.value)
    assert all(np.array_equal(x, y) for x, y in zip(before, model.get_weights(), strict=True))
