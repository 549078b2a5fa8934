"""Truth follows the pixels: placements against painted images, and a kind of truth that a test brings along."""

import functools
import importlib.util

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet import InputError
from keras_resnet.data import batches, training_batches
from keras_resnet.data import truth as truths
from keras_resnet.data.augment import (
    AUGMENTATIONS,
    ELASTIC,
    affine,
    elastic,
    get_augmentation,
    in_turn,
    pad_crop,
    unmoved,
)
from keras_resnet.data.dataset import ArraySplit, EncodedSplit, Files
from keras_resnet.data.parts import complete
from keras_resnet.data.randaugment import DRAWS, GEOMETRIC, OPERATIONS, rand_augment
from keras_resnet.data.splits import divided, stratified
from keras_resnet.signals import crops
from keras_resnet.signals import image as images
from keras_resnet.signals.placement import Placement, in_a_row

HEIGHT, WIDTH = 40, 56


def _ramp(height=HEIGHT, width=WIDTH):
    """Red is the column, green the row, so that a pixel says where it comes from; blue is full: 0 is outside."""
    y, x = np.mgrid[:height, :width]
    return np.stack([4 * x, 4 * y, np.full_like(x, 255)], axis=-1).astype(np.uint8)


def _sources(placement, index=0):
    """Where the output's pixels come from, `(H, W)` columns and rows."""
    y, x = np.mgrid[: placement.size[0], : placement.size[1]]
    if placement.offsets is not None:
        x, y = x + np.asarray(placement.offsets)[index, ..., 0], y + np.asarray(placement.offsets)[index, ..., 1]
    found = np.asarray(placement.matrix)[index] @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    return (found[:2] / found[2]).reshape(2, *placement.size)


def _check(moved, placement, index=0, tolerance=0.6, whole=(HEIGHT, WIDTH), margin=1.0, border=1, share=0.3):
    """What a ramp's pixels say is what the placement says, wherever these lie inside and nothing was filled in."""
    x, y = _sources(placement, index)
    inside = (x > margin) & (x < whole[1] - 1 - margin) & (y > margin) & (y < whole[0] - 1 - margin)
    values = np.asarray(moved, float)[index]
    inside &= values[..., 2] > (250 if tolerance > 1 else 253)
    inside[:border] = inside[-border:] = inside[:, :border] = inside[:, -border:] = False  # smoothed less there
    assert inside.mean() > share
    np.testing.assert_allclose(values[..., 0][inside] / 4, x[inside], atol=tolerance)
    np.testing.assert_allclose(values[..., 1][inside] / 4, y[inside], atol=tolerance)


STEPS = {
    "pad_crop": (functools.partial(pad_crop, pixels=6, flip=True), 3),
    "affine": (functools.partial(affine, degrees=20, zoom=0.2, pixels=5), 4),
    "elastic": (functools.partial(elastic, degrees=20, pixels=6), ELASTIC),
}
STEPS["bent at last"] = (in_turn(STEPS["affine"], STEPS["elastic"]), 4 + ELASTIC)
STEPS["both"] = (in_turn(STEPS["pad_crop"], (unmoved(lambda x, d: x), 2), STEPS["affine"]), 9)


@pytest.mark.parametrize("name", STEPS)
def test_placements_say_where_pixels_come_from(name):
    step, count = STEPS[name]
    draws = np.random.default_rng(0).random((6, count)).astype("f")
    moved, placement = step(tf.constant(np.repeat(_ramp()[None], 6, 0)), tf.constant(draws))
    assert placement.size == (HEIGHT, WIDTH)
    matrices = np.asarray(placement.matrix)
    assert len({matrix.tobytes() for matrix in matrices}) == 6
    for index in range(6):
        _check(moved, placement, index)
    if name == "pad_crop":
        assert set(matrices[:, 0, 0]) == {-1.0, 1.0}  # mirrored and not


def test_placements_of_randaugment_are_those_of_its_operations():
    """Each alone at full strength, and twice in a row."""
    names = list(OPERATIONS)
    chosen = [(names.index(name) + 0.5) / len(names) for name in GEOMETRIC]
    one = np.float32([[c, 0, 0.5, sign, 0, 0.9, 0.5, 0] for c in chosen for sign in (0.2, 0.8)])
    twice = np.float32([[c, 0, 0.5, 0.8, chosen[0], 0, 0.5, 0.2] for c in chosen])
    draws = np.concatenate([one, twice])
    count = len(draws)
    moved, placement = rand_augment(tf.constant(np.repeat(_ramp()[None], count, 0)), tf.constant(draws), 7)
    assert draws.shape[1] == 2 * DRAWS
    for index in range(count):
        _check(moved, placement, index)
    inverted = np.float32([[(names.index("invert") + 0.5) / len(names), 0, 0.5, 0, 0, 0.9, 0.5, 0]])
    _, still = rand_augment(tf.constant(_ramp()[None]), tf.constant(inverted), 7)
    np.testing.assert_array_equal(still.matrix, np.eye(3)[None])


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_placements_of_decoded_parts(suffix):
    """The central part, smaller and larger than the file's, and random parts with and without mirror."""
    encode = {"png": tf.io.encode_png, "jpg": functools.partial(tf.io.encode_jpeg, quality=100)}[suffix]
    contents = tf.constant([encode(_ramp()).numpy()])
    tolerance = 0.2 if suffix == "png" else 1.5
    for shape, keep in (((12, 18, 3), 0.9), ((64, 60, 3), 1.0)):
        pixels, matrices = images.decoded(contents, shape, keep)
        _check(pixels, Placement(matrices, shape[:2]), tolerance=tolerance, margin=2)
    box = functools.partial(crops.random_box, area=(0.3, 0.9))
    for draws in ([0.4, 0.2, 0.9, 0.3, 0.2], [0.9, 0.8, 0.1, 0.7, 0.9]):
        pixels, matrices = images.parts(contents, (20, 30, 3), np.float32([draws]), box)
        assert (matrices[0, 0, 0] < 0) == (draws[4] < 0.5)
        _check(pixels, Placement(matrices, (20, 30)), tolerance=tolerance, margin=2)


def test_moves_in_a_row_may_be_none():
    first = Placement(np.float32([[[1, 0, 3], [0, 1, 0], [0, 0, 1]]]), (4, 4))
    second = Placement(np.float32([[[2, 0, 0], [0, 2, 0], [0, 0, 1]]]), (2, 2))
    assert in_a_row(None, None) is None
    assert in_a_row(first, None) is first
    assert in_a_row(None, second) is second
    both = in_a_row(first, second)
    assert both.size == (2, 2)
    assert (both.matrix[0] @ [1, 1, 1]).tolist() == [5, 2, 1]  # column 1 was column 2, which was column 5


# --- Masks


@pytest.fixture
def painted(tmp_path):
    """Images with a white rectangle each, in memory and as files, and masks that are 1 there."""
    rng = np.random.default_rng(0)
    masks = np.zeros((24, HEIGHT, WIDTH), np.uint8)
    for mask in masks:
        top, left = rng.integers(4, 16), rng.integers(4, 30)
        mask[top : top + rng.integers(6, 18), left : left + rng.integers(6, 18)] = 1
    pixels = np.repeat(255 * masks[..., None], 3, axis=-1)
    paths = [tmp_path / f"{number:02}.png" for number in range(len(masks))]
    for path, each in zip(paths, pixels, strict=True):
        path.write_bytes(tf.io.encode_png(each).numpy())
    files = EncodedSplit(Files(tuple(paths)), {"mask": masks}, (32, 32, 3), keep=0.8)
    return {"memory": ArraySplit({"image": pixels, "mask": masks}), "files": files}


def _agree(batch):
    """Share of the pixels whose mask says what their colour says; void is outside."""
    known = batch["mask"] != 255
    assert (batch["mask"][known] == 1).any()
    assert known.mean() > 0.5
    return ((batch["image"][..., 0] > 127) == (batch["mask"] == 1))[known].mean()


MOVING = ["memory affine", "memory crop-flip", "files none", "files affine", "files resized-crop", "files scale-crop"]


@pytest.mark.parametrize("name", MOVING)
def test_a_mask_lands_where_its_pixels_land(name, painted):
    source, row = name.split()
    pipeline = training_batches(painted[source], 8, seed=3, augment=get_augmentation(row, "image"), first_epoch=1)
    batch = next(pipeline.as_numpy_iterator())
    assert batch["image"].shape[:-1] == batch["mask"].shape
    assert _agree(batch) > (0.999 if row == "crop-flip" else 0.97)  # edges of resized rectangles are grey
    if row == "crop-flip":
        outside = batch["mask"] == 255
        assert outside.any()
        assert batch["image"][outside].max() == 0  # the padding


def test_one_pixel_of_a_mask_moves_with_the_image_s():
    mask = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    mask[0, 11, 20] = 1
    for draws in ([0.1, 0.7, 0.2], [0.9, 0.3, 0.8]):
        moved, placement = pad_crop(tf.constant(255 * mask[..., None]), tf.constant([draws], tf.float32), 4, flip=True)
        found = truths.moved({"mask": mask}, placement)["mask"].numpy()
        assert (found == 1).sum() == 1
        np.testing.assert_array_equal(found == 1, moved.numpy()[..., 0] == 255)


def test_a_mask_moves_as_tensorflows_kernel_moves_it_by_any_library(monkeypatch):
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 9, (30, 17, 23), np.uint8)
    matrices = np.float32(rng.normal(0, 0.2, (30, 3, 3)) + np.eye(3)) * np.float32([1, 1, 0.01])[None, :, None]
    matrices[:, :2, 2] += rng.uniform(-5, 9, (30, 2)).astype("f")
    matrices[:, 2, 2] = 1
    placement = Placement(matrices, (20, 14))
    coefficients = tf.reshape(tf.constant(matrices), (-1, 9))
    theirs = tf.raw_ops.ImageProjectiveTransformV3(
        images=masks[..., None],
        transforms=coefficients[:, :8],
        output_shape=placement.size,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
        fill_value=255.0,
    ).numpy()[..., 0]
    found = {"tensorflow": truths.moved({"mask": tf.constant(masks)}, placement)["mask"].numpy()}
    monkeypatch.setattr("keras_resnet.signals.operations.has_tensorflow", lambda: False)
    found["numpy"] = truths.moved({"mask": masks}, placement)["mask"]
    if importlib.util.find_spec("jax"):
        import jax.numpy as jnp

        found["jax"] = np.asarray(truths.moved({"mask": jnp.asarray(masks)}, placement)["mask"])
    for name, ours in found.items():
        assert ours.dtype == np.uint8, name
        assert (ours != theirs).mean() < 0.002, name  # a place between two elements
    assert 0.1 < (theirs == 255).mean() < 0.9


def test_evaluation_and_fetch_move_the_mask_alike(painted):
    batch = next(iter(batches(painted["files"], 8).as_numpy_iterator()))
    fetched = painted["files"].fetch(range(8))
    assert _agree(batch) > 0.97
    for name, values in fetched.items():
        assert isinstance(values, np.ndarray)
        np.testing.assert_array_equal(values, batch[name])


def test_encoded_targets_see_the_moved_truth(painted):
    how = {"seed": 3, "augment": get_augmentation("crop-flip", "image")}
    plain = next(training_batches(painted["memory"], 8, **how).as_numpy_iterator())
    encode = lambda truth: {"share": tf.reduce_mean(tf.cast(truth["mask"] == 1, tf.float32), (1, 2))}  # noqa: E731
    pixels, targets = next(training_batches(painted["memory"], 8, encode=encode, **how).as_numpy_iterator())
    np.testing.assert_array_equal(pixels, plain["image"])
    np.testing.assert_allclose(targets["share"], (plain["mask"] == 1).mean((1, 2)), rtol=1e-5)


def test_what_cannot_be_stratified_by_is_divided_at_random_and_always_the_same(painted):
    split = painted["memory"]
    assert truths.strata(split.truth) is None
    assert truths.strata({}) is None
    parts = divided(24, None, 6, 4)
    assert [len(part) for part in parts] == [14, 6, 4]
    assert sorted(np.concatenate(parts)) == list(range(24))
    for one, again in zip(parts, divided(24, None, 6, 4), strict=True):
        np.testing.assert_array_equal(one, again)
    whole = complete({"train": split})
    assert {name: len(part) for name, part in whole.items()} == {"train": 20, "validation": 2, "test": 2}
    with pytest.raises(InputError, match="2 training examples: too few"):
        complete({"train": split.take(np.arange(2))})


def test_the_first_kind_that_can_be_stratified_by_counts():
    labels = np.arange(40) % 4
    found = truths.strata({"mask": np.zeros((40, 2, 2)), "label": labels})
    np.testing.assert_array_equal(found, labels)
    for part, other in zip(divided(40, found, 8), stratified(labels, 8), strict=True):
        np.testing.assert_array_equal(part, other)
        assert set(np.bincount(labels[part])) == {len(part) // 4}


def test_truth_of_an_unknown_kind_is_named():
    with pytest.raises(InputError, match="unknown kind of truth 'lable': did you mean label"):
        truths.strata({"lable": np.zeros(3)})


def test_labels_stay_what_they_are():
    labels = np.arange(3)
    placement = Placement(np.zeros((3, 3, 3)), (4, 4))
    assert truths.moved({"label": labels}, placement)["label"] is labels


def test_every_augmentation_of_images_returns_pairs():
    for row in AUGMENTATIONS.values():
        if row.batch:
            _, placement = row.batch(tf.zeros((2, 8, 8, 3), tf.uint8), tf.zeros((2, row.draws)))
            assert placement is None or tuple(placement.matrix.shape) == (2, 3, 3)
