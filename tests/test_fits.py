"""How images fill a frame: cut, padded, stretched or as large as they are, with TensorFlow and without."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from test_tiles import Pointwise

import keras_resnet
from keras_resnet import InputError
from keras_resnet.data.augment import AUGMENTATIONS
from keras_resnet.evaluation.examples import loaded
from keras_resnet.signals import crops, image, plain
from keras_resnet.signals.fits import GREY
from keras_resnet.tasks.segmentation.answers import Mask
from keras_resnet.training import RECIPES, override
from keras_resnet.training.optimization import make_schedule

HIGH, WIDE = 60, 80
Y, X = np.mgrid[:HIGH, :WIDE]
RAMP = np.stack([3 * X, 4 * Y, np.full_like(X, 250)], axis=-1).astype(np.uint8)


def contents(suffix="png"):
    file = io.BytesIO()
    Image.fromarray(RAMP).save(file, suffix)
    return np.array([file.getvalue()], object)


def places(matrices, size):
    """Columns and rows of the picture that the frame's pixels come from, `(2, *size)`."""
    y, x = np.mgrid[: size[0], : size[1]]
    return (np.asarray(matrices[0]) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)]))[:2].reshape(2, *size)


def test_rectangles_of_a_frame():
    """CamVid's 480 x 360 frames in a net of 480 x 368: every pixel stays what it is, and eight rows are padding."""
    assert crops.rectangle(360, 480, (368, 480), "pad") == (0, 0, 368, 480)
    assert crops.rectangle(100, 200, (64, 64), "pad") == (0, 0, 200, 200)
    assert crops.rectangle(200, 100, (64, 128), "pad") == (0, 0, 200, 400)
    assert crops.rectangle(100, 200, (64, 64), "stretch") == (0, 0, 100, 200)
    assert crops.rectangle(100, 200, (64, 64), "own") == (18, 68, 64, 64)
    assert crops.rectangle(40, 200, (64, 64), "own") == (-12, 68, 64, 64)
    assert crops.rectangle(100, 200, (64, 64), 0.5) == (25, 75, 50, 50)
    for size in ((368, 480), (64, 64), (31, 77)):
        for keep in ("pad", "stretch", "own", 1.0, 0.875):
            ours = crops.rectangle(HIGH, WIDE, size, keep)
            theirs = crops.rectangle(tf.constant(HIGH), tf.constant(WIDE), size, keep)
            assert ours == tuple(int(each) for each in theirs)


@pytest.mark.parametrize("keep", ["pad", "stretch", "own", 0.8])
@pytest.mark.parametrize("size", [(60, 80), (48, 48), (96, 64)])
def test_pixels_lie_where_the_placement_says(keep, size):
    pixels, matrices = image.decoded(contents(), (*size, 3), keep)
    own, own_matrices = plain.decoded(contents(), (*size, 3), keep)
    np.testing.assert_allclose(own_matrices, matrices, rtol=1e-6, atol=1e-6)
    assert np.abs(own.astype(int) - pixels.numpy()).max() <= 1
    column, row = places(matrices, size)
    inside = (column > 1) & (column < WIDE - 2) & (row > 1) & (row < HIGH - 2)
    assert inside.mean() > 0.2
    np.testing.assert_allclose(own[0, ..., 0][inside], 3 * column[inside], atol=2.5)
    np.testing.assert_allclose(own[0, ..., 1][inside], 4 * row[inside], atol=2.5)
    outside = (column > WIDE + 1) | (row > HIGH + 1) | (column < -2) | (row < -2)
    assert (own[0][outside] == GREY).all()
    assert outside.any() == (keep in ("pad", "own") and size != (60, 80) and (keep, size) != ("own", (48, 48)))


@pytest.mark.parametrize("keep", ["pad", "stretch", "own"])
def test_a_mask_goes_back_to_the_pixels_of_its_picture(keep):
    """What a net of 48 x 64 says of a picture in three bands is what the picture shows."""
    bands = (3 * Y // HIGH).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.repeat(bands[..., None], 3, -1) * 100).save(file, "png")
    seen = plain.decoded(np.array([file.getvalue()], object), (48, 64, 3), keep)[0][0, ..., 0]
    mask = Mask("x", {}, np.round(seen / 100).astype(np.uint8)).at(HIGH, WIDE, keep)
    known = mask != 255
    assert known.mean() == pytest.approx({"own": 48 * 64 / (HIGH * WIDE)}.get(keep, 1.0))
    assert (mask == bands)[known].mean() > 0.97


@pytest.mark.parametrize("name", ["scene", "scene-own", "sample"])
def test_scenes_are_cut_at_half_to_double_scale_at_any_place(name):
    box = AUGMENTATIONS[name].box
    low, high = box.keywords["scales"]
    draws = np.random.default_rng(0).random((300, 4)).astype("f")
    boxes = np.array([box(HIGH, WIDE, each, (30, 40)).numpy() for each in draws])
    row, column, height, width = boxes.T
    scale = np.sqrt(30 * 40 / (height * width)) * (1 if box.keywords.get("own") else 2)
    assert low * 0.95 < scale.min() < low * 1.1 and high * 0.9 < scale.max() < high * 1.05
    assert (np.abs(np.log(width / height * 30 / 40)) < np.log(1.15) + 0.1).all()
    small = height <= HIGH
    assert (row[small] >= 0).all() and (row + height)[small].max() == HIGH and row[small].min() == 0
    assert (row[~small] <= 0).all() and ((row + height)[~small] >= HIGH).all()
    assert (column[width <= WIDE] >= 0).all() and (column[width > WIDE] <= 0).all()


@pytest.mark.parametrize("suffix", ["png", "jpeg"])
def test_a_window_beyond_the_picture_is_grey_there(suffix):
    box, data = AUGMENTATIONS["scene"].box, contents(suffix)
    for draws in ([0.0, 0.3, 0.6, 0.5, 0.9], [0.05, 0.9, 0.1, 0.9, 0.1], [0.9, 0.3, 0.3, 0.1, 0.9]):
        found, matrices = image.parts(data, (60, 80, 3), np.float32([draws]), box)
        own, own_matrices = plain.parts(data, (60, 80, 3), np.float32([draws]), box)
        np.testing.assert_allclose(own_matrices, matrices, atol=1e-4)
        assert np.abs(own.astype(int) - found.numpy()).max() <= (1 if suffix == "png" else 12)
        column, row = places(matrices, (60, 80))
        inside = (column > 1) & (row > 1) & (column < WIDE - 2) & (row < HIGH - 2)
        outside = (column < -3) | (row < -3) | (column > WIDE + 2) | (row > HIGH + 2)
        np.testing.assert_allclose(found.numpy()[0, ..., 0][inside], 3 * column[inside], atol=8)
        assert (found.numpy()[0][outside] == GREY).all() and outside.any() == (draws[0] < 0.5)


def test_poly_falls_by_the_power_of_what_is_left():
    recipe = override(RECIPES["digits-resnet8"], ["schedule=poly", "epochs=10", "warmup_epochs=2", "learning_rate=0.5"])
    rate = make_schedule(recipe, 10)
    expected = [0.5 * n / 20 if n < 20 else 0.5 * (1 - (n - 20) / 80) ** 0.9 for n in range(101)]
    np.testing.assert_allclose([float(rate(n)) for n in range(101)], expected, atol=1e-6)


def test_a_person_s_picture_is_padded_as_the_card_says(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(RAMP).save(path)
    net = Pointwise((40, 40))
    net.card = type(net.card)(task="segmentation", labels=("a", "b"), fit="pad")
    assert (loaded(path, net)[31:] == GREY).all() and (loaded(path, net)[:29] != GREY).any()


def test_python_evaluates_in_another_fit(tmp_path):
    for name, pixels in (("images", RAMP), ("masks", (Y > 30).astype(np.uint8))):
        (tmp_path / "test" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "test" / name / "0.png")
    net = Pointwise((40, 40))
    given = net.card = type(net.card)(task="segmentation", labels=("0", "1"), fit="stretch")
    keras_resnet.evaluate(net, tmp_path)
    keras_resnet.evaluate(net, tmp_path, fit="pad")
    stretched, padded = net.seen
    assert (stretched[0] != GREY).any(axis=-1).all() and (padded[0, 31:] == GREY).all()
    assert net.card is given
    with pytest.raises(InputError, match="letterbox"):
        keras_resnet.evaluate(net, tmp_path, fit="letterbox")
