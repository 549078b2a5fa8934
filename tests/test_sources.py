"""Tables of sources and signals, and splits of other kinds: rows that a test brings along, without TensorFlow."""

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet import PREPROCESS, InputError, ModelCard, Preprocess, load_dataset
from keras_resnet.data import SOURCES, Dataset, batches, joined, sampled, training_batches
from keras_resnet.data.augment import AUGMENTATIONS, get_augmentation
from keras_resnet.data.dataset import ArraySplit, EncodedSplit
from keras_resnet.data.digits import enlarged
from keras_resnet.data.mixing import make_mix
from keras_resnet.data.sources import Source, find_source
from keras_resnet.data.truth import KINDS
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.signals import image as images
from keras_resnet.signals.table import SIGNALS, Signal, get_signal

PACKAGE = Path(keras_resnet.__file__).parent


# --- Sources


def test_rows_are_whole():
    for name, row in SOURCES.items():
        assert row.name == name
        assert row.summary
        assert row.signal in SIGNALS
        assert row.truth in KINDS
        assert isinstance(row.at_hand(None), bool)
    assert {"digits", "cifar10", "cifar100", "imagenet"} <= set(SOURCES)


def test_a_source_is_at_hand_where_its_files_are(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    assert SOURCES["digits"].at_hand(None)
    assert not SOURCES["cifar10"].at_hand(None)
    assert not SOURCES["cifar10"].at_hand(tmp_path)
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").touch()
    assert SOURCES["cifar10"].at_hand(tmp_path)
    assert not SOURCES["cifar100"].at_hand(tmp_path)
    assert not SOURCES["imagenet"].at_hand(tmp_path)  # no default: a million images


def test_names_find_their_rows(image_folder, tmp_path):
    (tmp_path / "train-00000-of-00001").touch()
    found = {str(name): find_source(str(name)).name for name in ("cifar10", "tfds:a/b", image_folder, tmp_path)}
    assert list(found.values()) == [
        "cifar10",
        "tfds:NAME",
        "a folder of class folders",
        "a folder of TFRecord files",
    ]
    with pytest.raises(InputError, match=r"unknown dataset 'cifar': did you mean .*\(or name a folder, or tfds:NAME\)"):
        find_source("cifar")


def test_a_source_of_a_test_is_loaded_by_its_row(monkeypatch):
    asked = []

    def load(name, data_dir, shape, keep):
        asked.append((name, data_dir, shape, keep))
        split = ArraySplit({"image": np.zeros((6, *shape), np.uint8), "label": np.arange(6) % 2})
        return Dataset(name, ("a", "b"), shape, split, split, split)

    row = Source(
        name="stripes:N", summary="stripes", load=load, at_hand=bool, matches=lambda x: x.startswith("stripes:")
    )
    monkeypatch.setitem(SOURCES, row.name, row)
    dataset = load_dataset("stripes:a/3", "folder", [4, 5, 1], 0.5)
    assert asked == [("stripes:a/3", Path("folder"), (4, 5, 1), 0.5)]
    assert (dataset.shape, dataset.image_shape, dataset.signal, dataset.truth) == ((4, 5, 1),) * 2 + ("image", "label")
    assert len(dataset.named("other").train) == 6


def test_digits_are_enlarged_as_tensorflow_does_it():
    small = np.random.default_rng(0).integers(0, 256, (50, 8, 5, 3), np.uint8)
    expected = tf.cast(tf.round(tf.image.resize(small, (32, 20))), tf.uint8)
    np.testing.assert_array_equal(enlarged(small), expected)
    assert enlarged(small).dtype == np.uint8


def test_all_digits_are_those_of_tensorflow(digits):
    from sklearn.datasets import load_digits

    grey = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)[..., None]
    expected = tf.cast(tf.round(tf.image.resize(grey, (32, 32))), tf.uint8).numpy().repeat(3, axis=-1)
    whole = np.concatenate([part.images for part in (digits.train, digits.validation, digits.test)])
    assert sorted(image.tobytes() for image in whole) == sorted(image.tobytes() for image in expected)


WITHOUT = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
import numpy as np
from keras_resnet.data import SOURCES, joined, load_dataset, sampled
from keras_resnet.data import cifar, folder, parts, records, splits, truth
from keras_resnet.signals import conventions, interface, placement, table
digits = load_dataset("digits")
whole = joined(digits.train, digits.validation)
batch = sampled(whole, 100).fetch(np.arange(32))
assert batch["image"].shape == (32, 32, 32, 3) and batch["label"].dtype == np.int64
np.zeros((7, 3073), np.uint8).tofile("x.bin")
images, labels = cifar.read_records(__import__("pathlib").Path("x.bin"), records=7)
assert images.shape == (7, 32, 32, 3) and len(labels) == 7
assert [name for name, row in SOURCES.items() if row.at_hand(None)] == ["digits", "digits-scenes"]
assert conventions.PREPROCESS["torch"](batch["image"]).dtype == np.float32
print(len(whole))
"""


@pytest.mark.cold_start
@pytest.mark.slow
def test_sources_and_splits_need_no_tensorflow(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE.parent))
    child = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert (child.stdout, child.stderr) == ("1437\n", "")


# --- Splits


def test_splits_have_a_length_and_give_dicts(digits):
    assert len(digits.test) == 360
    assert (digits.test.key, list(digits.test.truth)) == ("image", ["label"])
    found = digits.test.fetch([3, 0])
    np.testing.assert_array_equal(found["image"], digits.test.images[[3, 0]])
    np.testing.assert_array_equal(found["label"], digits.test.labels[[3, 0]])
    assert found["label"].dtype == np.int64


def test_a_split_without_labels_says_what_it_has():
    split = ArraySplit({"image": np.zeros((3, 2, 2, 1)), "mask": np.zeros((3, 2, 2))})
    with pytest.raises(AttributeError, match="no labels: its truth is mask"):
        _ = split.labels
    assert not hasattr(ArraySplit({"image": np.zeros((3, 2, 2, 1))}), "labels")


def test_what_needs_labels_is_refused(digits, tmp_path):
    import dataclasses

    from keras_resnet.data import prepare

    with pytest.raises(InputError, match="digits has image and mask: prepare writes image and label"):
        prepare(dataclasses.replace(digits, truth="mask"), tmp_path / "out")


class Foreign:
    """A split of somebody else: eight steps of two channels, computed when asked for."""

    key, truth = "series", {"label": np.arange(10) % 3}

    def __len__(self):
        return 10

    def fetch(self, indices):
        steps = np.arange(8)[None, :, None] + 10 * np.asarray(indices)[:, None, None]
        return {"series": np.float32(steps.repeat(2, axis=2)), "label": self.truth["label"][indices]}


def test_any_object_with_the_interface_of_a_split_can_be_trained_on():
    (batch,) = batches(Foreign(), 10)
    np.testing.assert_array_equal(batch["series"], Foreign().fetch(np.arange(10))["series"])
    np.testing.assert_array_equal(batch["label"], Foreign.truth["label"])
    encode = lambda truth: tf.one_hot(truth["label"], 3)  # noqa: E731
    pipeline = training_batches(Foreign(), 4, seed=0, encode=encode, mix=make_mix(0.5, 0.0))
    series, targets = next(pipeline.as_numpy_iterator())
    assert (pipeline.element_spec[0].shape, series.dtype) == ((4, 8, 2), np.float32)
    np.testing.assert_allclose(np.diff(series, axis=1), 1, rtol=1e-5)  # a mean of series of slope 1
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    with pytest.raises(ValueError, match="pass encode too"):
        training_batches(Foreign(), 4, seed=0, mix=make_mix(0.5, 0.0))


def test_arrays_of_any_rank_are_taken_joined_and_sampled():
    split = ArraySplit({"volume": np.arange(2 * 27).reshape(2, 3, 3, 3, 1), "label": np.arange(2)})
    whole = joined(split, split)
    assert (whole.key, len(whole), whole.labels.tolist()) == ("volume", 4, [0, 1, 0, 1])
    np.testing.assert_array_equal(whole.take(np.array([3])).images[0], split.images[1])
    assert len(sampled(whole, 3)) == 3


class Computed:
    """Contents of somebody else."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def read(self, indices):
        return [tf.io.encode_png(np.full((3, 3, 1), self.values[i], np.uint8)).numpy() for i in indices]


def test_contents_may_come_from_anywhere():
    split = EncodedSplit(Computed([5, 60, 200]), {"label": np.arange(3)}, (2, 2, 1))
    (batch,) = batches(split, 8)
    assert batch["image"].numpy()[:, 0, 0, 0].tolist() == [5, 60, 200]
    assert split.fetch([2])["image"].tolist() == [[[[200]] * 2] * 2]


def test_cutmix_takes_an_interval_of_a_series():
    shares = []
    series = tf.constant(np.arange(4, dtype="f")[:, None, None] * np.ones((4, 64, 2), "f"))
    for seed in range(20):
        mix = make_mix(0.0, 1.0)
        mixed, soft = mix(series, tf.eye(4), mix.values((seed, 7)))
        pasted = mixed.numpy()[0, :, 0] == 3
        assert np.abs(np.diff(pasted.astype(int))).sum() <= 2  # in one piece
        assert soft[0, 3].numpy() == pytest.approx(pasted.mean())
        shares.append(pasted.mean())
    assert max(shares) > 0.5
    assert min(shares) < 0.2


def test_targets_by_name_are_mixed_alike():
    images, targets = tf.zeros((4, 8, 8, 1)), tf.eye(4)
    for mix in (make_mix(1.0, 0.0), make_mix(0.0, 1.0)):
        values = mix.values((1, 2))
        _, plain = mix(images, targets, values)
        _, named = mix(images, {"a": targets, "b": 2 * targets}, values)
        np.testing.assert_array_equal(named["a"], plain)
        np.testing.assert_array_equal(named["b"], 2 * plain)


# --- Signals


def test_unknown_signals_are_named_with_the_nearest():
    with pytest.raises(InputError, match="unknown signal 'imgae': did you mean image"):
        get_signal("imgae")


def test_a_signal_s_module_is_found_by_its_name_on_first_use(monkeypatch):
    row = Signal(name="steps", summary="series", key="steps", rank=1, module="signal_of_a_test")
    monkeypatch.setitem(SIGNALS, "steps", row)
    with pytest.raises(ModuleNotFoundError):
        _ = get_signal("steps").code
    module = types.ModuleType("signal_of_a_test")
    monkeypatch.setitem(sys.modules, "signal_of_a_test", module)
    assert get_signal("steps").code is module


@pytest.mark.parametrize("shape", [(8, 8, 2), (None, 2), (2,)])
def test_data_have_the_fixed_shape_of_their_signal(shape, monkeypatch):
    """Evaluation and export ask the same function."""
    from export.model import source
    from keras_resnet import evaluation

    row = Signal(name="steps", summary="series", key="steps", rank=1, module="signal_of_a_test")
    monkeypatch.setitem(SIGNALS, "steps", row)
    assert row.fixed_shape((8, 2), (None, 8, 2)) == (8, 2)
    runner = Runner()
    runner.card, runner.input = ModelCard(signal="steps"), Tensor("steps", (None, *shape), "float32")
    assert source.check_fit is evaluation.check_fit
    with pytest.raises(InputError, match=r"the model takes \(None, .*\): expected \(batch, length, channels\), fixed"):
        evaluation.image_shape(runner)


def test_augmentations_are_for_their_signal():
    assert get_augmentation("none", "series") is AUGMENTATIONS["none"]
    assert get_augmentation("affine", "image") is AUGMENTATIONS["affine"]
    with pytest.raises(InputError, match="affine is for the signal image; for series there is: none"):
        get_augmentation("affine", "series")


def test_noise_and_sizes_of_images():
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(
        images.noise((3, 4, 1), 5, np.random.default_rng(0)), rng.integers(0, 256, (5, 3, 4, 1), np.uint8)
    )
    few = images.noise((4, 4, 3), 2, rng)
    assert few.dtype == np.uint8
    assert images.resized(few, (4, 4, 3)) is few
    assert images.resized(few, (None, 8, 3)) is few
    larger = images.resized(few, (8, 6, 3))
    np.testing.assert_array_equal(larger, np.round(tf.image.resize(few, (8, 6)).numpy()).astype("u1"))


@pytest.mark.parametrize("shape", [(2, 8, 4), (2, 3, 5, 2, 4)])
def test_conventions_hold_for_any_rank(shape):
    values = np.random.default_rng(0).normal(size=shape).astype("f")
    own = Preprocess(mean=(1.0, 2.0, 3.0, 4.0), std=(1.0, 2.0, 4.0, 8.0))
    expected = (values - [1, 2, 3, 4]) / [1, 2, 4, 8]
    for kind in (np.asarray, tf.constant):
        np.testing.assert_allclose(own(kind(values)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(PREPROCESS["tf"](values), (values - 127.5) / 127.5, rtol=1e-6)
