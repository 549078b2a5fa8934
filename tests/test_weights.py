"""Weight files: keyed by layer name, complete or refused, and the model untouched by a refusal."""

import json

import keras
import numpy as np
import pytest
import safetensors.numpy
from tiers import in_proof

import keras_resnet
from keras_resnet import InputError, ModelCard, build, save_weights
from keras_resnet.signals.conventions import row_of
from keras_resnet.weights import WEIGHT_SETS, registry


@pytest.fixture
def model(mini_spec):
    return build(mini_spec)


@pytest.fixture
def other(mini_spec):
    keras.utils.set_random_seed(1)
    return build(mini_spec)


def _equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def test_safetensors_round_trip_by_layer_name(model, mini_spec, tmp_path):
    save_weights(model, tmp_path / "w.safetensors")
    assert "conv1_conv/kernel" in safetensors.numpy.load_file(tmp_path / "w.safetensors")
    again = build(mini_spec, weights=tmp_path / "w.safetensors")
    assert _equal(again, model)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_files_of_keras_load(model, mini_spec, tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    if suffix == ".weights.h5":
        model.save_weights(path)
    else:
        model.save(path)
    assert _equal(build(mini_spec, weights=path), model)


def _tensors(model):
    return {f"{layer.name}/{v.name}": v.numpy() for layer in model.layers for v in layer.variables}


def _drop(tensors):
    del tensors["conv1_conv/kernel"]


def _add(tensors):
    tensors["conv9_conv/kernel"] = np.zeros(1, "f")


def _reshape(tensors):
    tensors["conv1_conv/kernel"] = tensors["conv1_conv/kernel"][:1]


def _poison(tensors):
    tensors["conv1_conv/kernel"][0, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_drop, "missing: conv1_conv/kernel"),
        (_add, "left over: conv9_conv/kernel"),
        (_reshape, r"wrong shape: conv1_conv/kernel \(1, 3, 3, 4\) instead of \(3, 3, 3, 4\)"),
        (_poison, "NaN or infinity in conv1_conv/kernel"),
    ],
)
def test_files_that_do_not_fit_are_refused_and_change_nothing(model, other, mini_spec, tmp_path, spoil, said):
    from keras_resnet import load_weights

    tensors = _tensors(other)
    spoil(tensors)
    safetensors.numpy.save_file(tensors, tmp_path / "bad.safetensors")
    before = model.get_weights()
    with pytest.raises(InputError, match=said):
        load_weights(model, tmp_path / "bad.safetensors", spec=mini_spec)
    assert all(np.array_equal(x, y) for x, y in zip(before, model.get_weights(), strict=True))


def test_weights_of_another_net_in_h5_are_refused_and_change_nothing(model, mini_spec, tmp_path):
    from keras_resnet import load_weights

    build("resnet8").save_weights(tmp_path / "other.weights.h5")
    before = model.get_weights()
    with pytest.raises(InputError, match="does not fit mini"):
        load_weights(model, tmp_path / "other.weights.h5", spec=mini_spec)
    assert all(np.array_equal(x, y) for x, y in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("w.safetensors", b"no tensors", "no readable safetensors file"),
        ("w.h5", b"no tensors", "no readable HDF5 file"),
        ("w.keras", b"no tensors", "cannot be read as a Keras 3 model"),
        ("w.pth", b"no tensors", "never opened"),
    ],
)
def test_foreign_files(mini_spec, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        build(mini_spec, weights=tmp_path / name)


def test_missing_files_and_unknown_sets(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        build("resnet8", weights=tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="is a folder"):
        build("resnet8", weights=tmp_path)
    with pytest.raises(InputError, match="did you mean digits"):
        build("resnet8", weights="digit")
    with pytest.raises(InputError, match="no weight set is registered for resnet18"):
        build("resnet18", weights="imagenet")


def test_half_precision_files_take_half_the_space_and_load_as_float32(model, mini_spec, tmp_path):
    save_weights(model, tmp_path / "full.safetensors")
    save_weights(model, tmp_path / "half.safetensors", dtype="float16")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.8 * (tmp_path / "full.safetensors").stat().st_size
    again = build(mini_spec, weights=tmp_path / "half.safetensors")
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)
    model.get_layer("conv1_bn").moving_variance.assign(np.full(4, 1e6))
    with pytest.raises(InputError, match="conv1_bn/moving_variance hold values beyond its range"):
        save_weights(model, tmp_path / "large.safetensors", dtype="float16")
    with pytest.raises(InputError, match="dtype='int8'"):
        save_weights(model, tmp_path / "int.safetensors", dtype="int8")


def test_saving_refuses_other_suffixes(model, tmp_path):
    with pytest.raises(InputError, match="ends in .safetensors"):
        save_weights(model, tmp_path / "w.h5")


@pytest.mark.parametrize("row", WEIGHT_SETS.values(), ids=lambda row: f"{row.spec}-{row.name}")
def test_registered_rows_have_their_facts(row):
    assert row.source
    assert row.resolution > 0
    assert row_of(row.preprocess)  # a training from these weights needs a row
    assert row in keras_resnet.list_weights(row.spec)
    assert (row.url is None) == (not row.md5)
    assert json.loads(json.dumps(row.to_json()))["spec"] == row.spec
    assert row.license
    assert 0 < row.top1 < 1
    assert row.md5 or row.fetch(include_top=True).exists()  # tests/test_shipped.py loads it


@pytest.fixture
def public(zero_kernels):
    """keras.applications' net with values that are not the initial ones."""
    theirs = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(32, 32, 3))
    rng = np.random.default_rng(0)
    theirs.set_weights([rng.random(w.shape, np.float32) for w in theirs.get_weights()])
    return theirs


@pytest.mark.proof
def test_public_files_are_fetched_with_their_hash_and_loaded(public, monkeypatch, tmp_path):
    theirs = public
    theirs.save(tmp_path / "file.h5")
    asked = {}

    def get_file(name, origin, cache_subdir, file_hash):
        asked.update(name=name, origin=origin, hash=file_hash)
        return str(tmp_path / "file.h5")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    ours = build("resnet50", weights="imagenet", include_top=False, input_shape=(32, 32, 3))
    assert _equal(ours, theirs)
    assert asked["name"] == "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert asked["origin"].endswith("/resnet/" + asked["name"])


@pytest.mark.proof
def test_downloads_are_checked_by_hash_and_a_wrong_one_loads_nothing(public, monkeypatch, tmp_path):
    import dataclasses
    import hashlib

    theirs = public
    row = WEIGHT_SETS["resnet50", "imagenet"]
    server, home = tmp_path / "server", tmp_path / "home"
    server.mkdir()
    public = server / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    theirs.save(public)
    monkeypatch.setattr(registry, "_KERAS_URL", f"file://{server}/")
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(home))
    for digest, said in (
        ("0" * 32, "cannot be downloaded .*hash"),
        (hashlib.md5(public.read_bytes()).hexdigest(), None),
    ):
        changed = dataclasses.replace(row, md5={True: digest, False: digest})
        monkeypatch.setitem(WEIGHT_SETS, ("resnet50", "imagenet"), changed)
        if said:
            with pytest.raises(InputError, match=said):
                build("resnet50", weights="imagenet", include_top=False, input_shape=(32, 32, 3))
        else:
            assert _equal(build("resnet50", weights="imagenet", include_top=False, input_shape=(32, 32, 3)), theirs)


def test_hashes_are_those_of_keras_applications():
    from keras.src.applications import resnet  # the only place that has them

    for name in ("resnet50", "resnet101", "resnet152", "resnet50v2", "resnet101v2", "resnet152v2"):
        md5 = WEIGHT_SETS[name, "imagenet"].md5
        assert (md5[True], md5[False]) == resnet.WEIGHTS_HASHES[name]


def test_an_unreachable_host_is_said(zero_kernels, monkeypatch):
    def get_file(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(InputError, match="cannot be downloaded .*weights=None"):
        build("resnet50", weights="imagenet")


def test_cards_travel_in_safetensors(model, mini_spec, tmp_path):
    from keras_resnet.weights import weights_card

    card = ModelCard(labels=("a",), spec="mini")
    save_weights(model, tmp_path / "w.safetensors", card=card, metadata={"recipe": "{}"})
    assert weights_card(tmp_path / "w.safetensors", mini_spec) == card
    with safetensors.safe_open(tmp_path / "w.safetensors", framework="numpy") as file:
        assert file.metadata()["recipe"] == "{}"


CIFAR = [row.spec for row in WEIGHT_SETS.values() if row.dataset == "cifar10"]
SMALL = ("resnet8", "resnet20_cifar", "resnetv2_20_cifar")


@pytest.mark.proof
@pytest.mark.parametrize("spec", [*SMALL, "resnet32_cifar", "resnet44_cifar"])
def test_shipped_cifar_weights_have_their_registered_accuracy(spec, cifar_dir):
    """ResNet-56: tests/test_shipped.py; the others take minutes of a core: tests/test_benchmarks.py asks the file."""
    from keras_resnet import evaluate, load_dataset
    from keras_resnet.runtime.opening import open_named

    scores = evaluate(open_named(spec, "cifar10"), load_dataset("cifar10", cifar_dir).test)
    assert scores.top1 == pytest.approx(registry.find(spec, "cifar10").top1, abs=0.0005)  # five images of 10,000


@pytest.mark.slow
@pytest.mark.parametrize("spec", [spec if spec in SMALL else in_proof(spec) for spec in CIFAR])
def test_shipped_cifar_weights_know_real_images(spec, cifar_few):
    from keras_resnet.runtime.opening import open_named

    runner, (pixels, labels) = open_named(spec, "cifar10"), cifar_few
    right = (runner(runner.card.preprocess(pixels[:100]))["predictions"].argmax(axis=1) == labels[:100]).sum()
    assert right >= 82  # 88 to 94 expected; each of 100 has a deviation of 3


@pytest.mark.parametrize(
    "row", [row for row in WEIGHT_SETS.values() if "ship_weights" in row.source], ids=lambda r: f"{r.spec}-{r.name}"
)
def test_shipped_files_state_their_recipe_seed_and_commit(row):
    with safetensors.safe_open(row.fetch(True), framework="numpy") as file:
        header = file.metadata()
    recipe, environment = json.loads(header["recipe"]), json.loads(header["environment"])
    assert recipe["model"] == row.spec
    assert recipe["seed"] == environment["seed"]
    assert len(environment["git_commit"]) == 40  # a clean checkout: no "+changes"


def test_shipped_digits_reach_their_registered_accuracy(digits, digits_runner):
    from keras_resnet import evaluate

    assert evaluate(digits_runner, digits.test).top1 == pytest.approx(
        registry.find("resnet8", "digits").top1, abs=0.003
    )  # one image is 0.0028
