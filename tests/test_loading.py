"""Training examples without TensorFlow: grain's batches are those of tf.data, random parts of pictures included."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_resnet
from keras_resnet import extras
from keras_resnet.data import loading, training_batches
from keras_resnet.data.augment import AUGMENTATIONS, Augmentation, get_augmentation
from keras_resnet.data.pipeline import plan
from keras_resnet.data.records import Records
from keras_resnet.errors import InputError
from keras_resnet.signals import crops, decoding, image, operations, plain
from keras_resnet.training import feeding, inputs, resident

PHOTO = AUGMENTATIONS["photo"]


@pytest.fixture
def without_tensorflow(monkeypatch):
    """Pictures are read, and rectangles chosen, as where TensorFlow is not installed."""

    def hide():
        for module in (image, operations, decoding):
            monkeypatch.setattr(module, "has_tensorflow", lambda: False)

    return hide


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes of PNG files of several sizes."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, number in itertools.product(("left", "right"), range(20)):
        height, width = rng.integers(30, 150, 2)
        pixels = np.kron(rng.integers(0, 256, (9, 9, 3)), np.ones((17, 17, 1)))[:height, :width]
        (root / name).mkdir(exist_ok=True)
        Image.fromarray(np.uint8(pixels)).save(root / name / f"{number}.png")
    return keras_resnet.load_dataset(root, image_shape=(40, 32, 3)).train


@pytest.mark.parametrize(
    "box",
    [
        functools.partial(crops.random_box, area=(0.08, 1.0)),
        functools.partial(crops.scale_box, scales=(1.1, 2.1)),
        functools.partial(crops.scene_box, scales=(0.5, 2.0)),
    ],
)
def test_rectangles_are_tensorflows(box, without_tensorflow):
    rng = np.random.default_rng(0)
    sizes, draws = rng.integers(1, 900, (400, 2)), rng.random((400, 5), np.float32)
    theirs = np.array([box(*size, own, (64, 48)).numpy() for size, own in zip(sizes, draws, strict=True)])
    without_tensorflow()
    ours = np.array([box(*size, own, (64, 48)) for size, own in zip(sizes, draws, strict=True)])
    assert ours.dtype == np.int32
    apart = np.abs(ours - theirs)
    assert apart.max() <= 1 and (apart > 0).any(axis=1).mean() < 0.01  # an exponential may round otherwise
    assert (ours[:, 2:] >= 1).all()
    if box.func is not crops.scene_box:  # which may reach beyond a picture
        assert (ours[:, :2] + ours[:, 2:] <= sizes).all()


@pytest.mark.slow
def test_random_parts_are_tensorflows_but_for_one_level(photos, without_tensorflow):
    rng, places = np.random.default_rng(0), np.arange(len(photos))
    contents = np.array(photos.contents.read(places), object)
    draws = rng.random((len(photos), image.DRAWS), np.float32)
    theirs, matrices = (found.numpy() for found in image.parts(contents, photos.shape, draws, PHOTO.box))
    without_tensorflow()
    ours, own = image.parts(contents, photos.shape, draws, PHOTO.box)
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1
    np.testing.assert_allclose(own, matrices, rtol=1e-5, atol=1e-5)
    assert np.abs(ours.astype(int) - plain.parts(contents, photos.shape, draws[::-1], PHOTO.box)[0]).max() > 50


@pytest.mark.slow
@pytest.mark.parametrize("augment", [PHOTO, Augmentation()])
@pytest.mark.parametrize("arguments", [{}, {"repeats": 2}])
def test_batches_are_those_of_tf_data_from_any_step_on(photos, augment, arguments, without_tensorflow):
    shares = np.linspace(1, 3, len(photos))
    arguments = {"seed": 7, "augment": augment, "shares": shares} | arguments
    steps = len(photos) // 8
    pipeline = training_batches(photos, 8, first_epoch=1, first_batch=2, **arguments)
    theirs = [tf.nest.map_structure(np.asarray, batch) for batch in pipeline.take(steps)]  # into the next epoch
    without_tensorflow()
    sent = []
    run = plan(photos, **arguments)
    ours = loading.loaded(photos, run, 8, box=augment.box, first=(1, 2), send=lambda each: sent.append(0) or each)
    for expected, found in zip(theirs, ours, strict=False):
        np.testing.assert_array_equal(found["label"], expected["label"])
        assert found["image"].shape == (8, *photos.shape) and found["image"].dtype == np.uint8
        assert np.abs(found["image"].astype(int) - expected["image"]).max() <= 1
    assert len(sent) >= steps and np.ptp(found["image"]) > 100


def test_a_file_that_cannot_be_decoded_is_named(photos, without_tensorflow):
    without_tensorflow()

    class Damaged:
        def read(self, places):
            return [b"no picture"]

        def __len__(self):
            return len(photos)

        names = photos.names

    split = dataclasses.replace(photos, contents=Damaged())
    with pytest.raises(InputError, match=r"\.png: expected a picture"):
        next(loading.loaded(split, plan(split, PHOTO, seed=0), 8, box=PHOTO.box))


def test_without_grain_the_line_that_installs_it_is_said(photos, monkeypatch):
    monkeypatch.setattr(extras, "is_there", lambda module: module != "grain")
    with pytest.raises(InputError, match=r"read by grain, which is not installed: pip install 'grain>=0.2.18,<0.3'$"):
        next(loading.loaded(photos, plan(photos, PHOTO, seed=0), 8))


@pytest.fixture
def jax_alone(monkeypatch):
    """Keras computes on JAX, and there is no TensorFlow."""
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    monkeypatch.setattr(extras, "is_there", lambda module: module != "tensorflow")


def _feeder(dataset, **changes):
    recipe = dataclasses.replace(keras_resnet.RECIPES["digits-resnet8"], **changes)
    return feeding.feeder(recipe, inputs.Inputs(dataset, get_augmentation(recipe.augmentation, "image"), 1))


def test_what_feeds_a_training_without_tensorflow(digits, photos, jax_alone, monkeypatch):
    pictures = dataclasses.replace(digits, train=photos, validation=photos.take(np.arange(9)))
    assert _feeder(digits) == "device"
    assert _feeder(pictures) == _feeder(pictures, augmentation="resized-crop") == "grain"
    with pytest.raises(InputError, match="augmentation=resized-crop-rand7 is TensorFlow's"):
        _feeder(pictures, augmentation="resized-crop-rand7")
    records = dataclasses.replace(photos, contents=object.__new__(Records))
    with pytest.raises(InputError, match="has TFRecord files, which TensorFlow reads"):
        _feeder(dataclasses.replace(pictures, train=records))
    sizes = []
    monkeypatch.setattr(resident, "fits", lambda *splits: sizes.append(resident._nbytes(splits[-1])) or len(splits) > 1)
    with pytest.raises(InputError, match="the 9 validation examples do not fit on the device"):
        _feeder(pictures)
    assert sizes == [9 * (40 * 32 * 3 + 8)]
    assert _feeder(pictures, hold_out=False) == "grain"
    monkeypatch.setattr(resident, "fits", lambda *splits: len(splits) == 1)
    assert _feeder(digits) == "grain"
    monkeypatch.setattr(extras, "is_there", lambda module: True)
    assert _feeder(pictures) == _feeder(digits) == "tf.data"


@pytest.mark.slow
def test_what_is_validated_on_is_decoded_once(photos):
    kept = inputs.in_memory(photos)
    assert list(kept.arrays) == ["image", "label"] and len(kept) == len(photos)
    expected = photos.fetch(np.arange(len(photos)))
    for name, values in kept.arrays.items():
        np.testing.assert_array_equal(values, expected[name])
    assert inputs.in_memory(kept) is kept and not len(inputs.in_memory(photos.take(np.arange(0))))
