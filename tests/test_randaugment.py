"""RandAugment against Pillow, whose operations it means."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from keras_resnet.data import training_batches
from keras_resnet.data.augment import get_augmentation
from keras_resnet.data.randaugment import DRAWS, OPERATIONS, rand_augment

SIZE = 24
GREY = (128, 128, 128)


@pytest.fixture(scope="module")
def picture():
    """Smooth, so that interpolations can be compared, with a range of its own in every channel."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    waves = np.stack([np.sin(5 * x + y), np.cos(4 * y - x), np.sin(3 * (x + y))], -1)
    return np.uint8(128 + waves * [100, 60, 90])


def _affine(*coefficients):
    return lambda image: image.transform(image.size, Image.AFFINE, coefficients, Image.BILINEAR, fillcolor=GREY)


def _solarize_add(image, level):
    x = np.asarray(image).astype(int)
    return Image.fromarray(np.uint8(np.where(x < 128, np.minimum(x + int(level * 110), 255), x)))


PILLOW = {
    "autocontrast": lambda image, level: ImageOps.autocontrast(image),
    "equalize": lambda image, level: ImageOps.equalize(image),
    "invert": lambda image, level: ImageOps.invert(image),
    "rotate": lambda image, level: image.rotate(30 * level, Image.BILINEAR, fillcolor=GREY),
    "posterize": lambda image, level: ImageOps.posterize(image, 4 - int(level * 4)),
    "solarize": lambda image, level: ImageOps.solarize(image, 256 - int(level * 256)),
    "solarize_add": _solarize_add,
    "color": lambda image, level: ImageEnhance.Color(image).enhance(1 + 0.9 * level),
    "contrast": lambda image, level: ImageEnhance.Contrast(image).enhance(1 + 0.9 * level),
    "brightness": lambda image, level: ImageEnhance.Brightness(image).enhance(1 + 0.9 * level),
    "sharpness": lambda image, level: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * level),
    "shear_x": lambda image, level: _affine(1, 0.3 * level, 0, 0, 1, 0)(image),
    "shear_y": lambda image, level: _affine(1, 0, 0, 0.3 * level, 1, 0)(image),
    "translate_x": lambda image, level: _affine(1, 0, 0.45 * level * SIZE, 0, 1, 0)(image),
    "translate_y": lambda image, level: _affine(1, 0, 0, 0, 1, 0.45 * level * SIZE)(image),
}
GEOMETRIC = {"rotate", "shear_x", "shear_y", "translate_x", "translate_y"}
SIGNED = GEOMETRIC | {"color", "contrast", "brightness", "sharpness"}


def test_the_table_of_the_test_covers_every_operation():
    assert set(PILLOW) == set(OPERATIONS)


@pytest.mark.parametrize("level", [0.25, 0.6, -0.6])
@pytest.mark.parametrize("name", PILLOW)
def test_operations_are_those_of_pillow(name, level, picture):
    if level < 0 and name not in SIGNED:
        level = -level
    received = OPERATIONS[name](tf.constant(picture), tf.constant(abs(level)), tf.constant(level)).numpy()
    expected = np.asarray(PILLOW[name](Image.fromarray(picture), level))
    apart = np.abs(received.astype(int) - expected)
    if name in GEOMETRIC:  # at the edge of the image Pillow does not mix with the fill
        assert (apart.max(-1) <= 2).mean() > 0.85
        inner = (expected != 128).any(-1)
        assert np.median(apart[inner]) <= 1
    else:
        assert apart.max() <= 1
        assert (apart == 0).mean() > 0.9
    if name != "equalize":
        assert not np.array_equal(received, picture)


def test_flat_images_stay_as_they_are():
    flat = np.full((8, 8, 3), 77, np.uint8)
    for name in ("autocontrast", "equalize"):
        received = OPERATIONS[name](tf.constant(flat), 0.5, 0.5)
        np.testing.assert_array_equal(received, flat)


def test_smoothing_is_that_of_pillow(picture):
    """At the other end of the scale, where the image itself has the smallest share."""
    received = OPERATIONS["sharpness"](tf.constant(picture), tf.constant(1.0), tf.constant(-1.0)).numpy()
    smooth = Image.fromarray(picture).filter(ImageFilter.SMOOTH)
    assert np.abs(received.astype(int) - np.asarray(Image.blend(smooth, Image.fromarray(picture), 0.1))).max() <= 1


@pytest.mark.slow
def test_draws_decide_everything(picture):
    rng = np.random.default_rng(0)
    images = tf.constant(np.repeat(picture[None], 30, 0))
    draws = rng.random((30, 2 * DRAWS)).astype("f")
    one, again = (rand_augment(images, tf.constant(draws), 7)[0].numpy() for _ in range(2))
    np.testing.assert_array_equal(one, again)
    unchanged = (one == picture).all((1, 2, 3))
    draws[:, 1::DRAWS] = 0.9  # whether
    np.testing.assert_array_equal(rand_augment(images, tf.constant(draws), 7)[0], images)
    assert 3 <= unchanged.sum() <= 15  # a quarter, and operations at a level that changes nothing


@pytest.mark.slow
def test_every_operation_is_drawn_equally_often(picture):
    count = 60
    choices = np.linspace(0, 1, count, endpoint=False, dtype="f")
    draws = np.tile(np.float32([0, 0.1, 0.5, 0.9]), (count, 1))
    draws[:, 0] = choices
    received = rand_augment(tf.constant(np.repeat(picture[None], count, 0)), tf.constant(draws), 6, layers=1)[0].numpy()
    expected = [op(tf.constant(picture), tf.constant(0.6), tf.constant(0.6)).numpy() for op in OPERATIONS.values()]
    for number, image in enumerate(received):
        np.testing.assert_array_equal(image, expected[number * len(expected) // count])


@pytest.mark.slow
def test_magnitudes_are_normally_distributed_about_theirs(picture):
    """Solarize at level a inverts what is brighter than 256 (1 - a): its threshold tells the level."""
    solarize = list(OPERATIONS).index("solarize")
    count = 150
    rng = np.random.default_rng(0)
    draws = np.tile(np.float32([(solarize + 0.5) / len(OPERATIONS), 0.1, 0.5, 0.9]), (count, 1))
    draws[:, 2] = rng.random(count)
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 1, 3))
    changed = rand_augment(tf.constant(np.repeat(ramp[None], count, 0)), tf.constant(draws), 5, layers=1)[0].numpy()
    levels = 10 * (changed[..., 0, 0] != ramp[:, 0, 0]).mean(-1)
    assert levels.mean() == pytest.approx(5, abs=0.2)
    assert levels.std() == pytest.approx(0.5, abs=0.1)


@pytest.mark.proof  # pipelines with other augmentations: test_data.py
def test_pipelines_with_it_are_repeatable(digits):
    row = get_augmentation("crop-flip-rand5", "image")

    def pixels(first_epoch):
        pipeline = training_batches(digits.train, 16, seed=0, augment=row, first_epoch=first_epoch)
        return next(iter(pipeline))["image"].numpy()

    np.testing.assert_array_equal(pixels(0), pixels(0))
    assert not np.array_equal(pixels(0), pixels(1))
