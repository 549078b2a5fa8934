"""Boxes follow the pixels: a box is painted, moved by every augmentation, and found again."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from tiers import in_proof

from keras_resnet import InputError
from keras_resnet.data import batches, load_dataset, training_batches
from keras_resnet.data import truth as truths
from keras_resnet.data.augment import AUGMENTATIONS, get_augmentation, pad_crop
from keras_resnet.data.dataset import ArraySplit, EncodedSplit, Files
from keras_resnet.data.mosaic import Mosaic
from keras_resnet.data.pipeline import plan
from keras_resnet.data.randaugment import GEOMETRIC, OPERATIONS, rand_augment

HEIGHT, WIDTH, COUNT = 60, 84, 24
RED, BLUE = (200, 40, 40), (40, 40, 200)  # unlike grey, which comes from outside, in any light


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Red pictures with a blue rectangle each, in memory and as files, and its box; the last picture has none."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("painted")
    pixels = np.full((COUNT, HEIGHT, WIDTH, 3), RED, np.uint8)
    boxes = np.full((COUNT, 2, 7), -1, np.float32)
    for number in range(COUNT - 1):
        y, x, high, wide = rng.integers((2, 2, 14, 14), (30, 50, 27, 31))
        pixels[number, y : y + high, x : x + wide] = BLUE
        boxes[number, number % 2] = x, y, x + wide, y + high, number % 5, 0, high * wide
    paths = [root / f"{number:02}.png" for number in range(COUNT)]
    for path, each in zip(paths, pixels, strict=True):
        path.write_bytes(tf.io.encode_png(each).numpy())
    frame = np.full((COUNT, 2), (HEIGHT, WIDTH), np.float32)
    files = EncodedSplit(Files(tuple(paths)), {"boxes": boxes, "frame": frame}, (64, 64, 3), keep="pad")
    return {"memory": ArraySplit({"image": pixels, "boxes": boxes, "frame": frame}), "files": files}


def seen(image):
    """The rectangles of blue pixels in an image, and how many pixels each has."""
    blue = image[..., 2].astype(int) - image[..., 0]
    labels, _ = ndimage.label(blue > max(12, 0.3 * blue.max()))
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        size = int((labels == number).sum())
        if size > 4:
            found.append((columns.start, rows.start, columns.stop, rows.stop, size))
    return found


def compare(image, boxes, tolerance, size=None):
    """Every rectangle that is seen has its box and every box its rectangle; what has no box is small."""
    height, width = image.shape[:2] if size is None else size
    kept = boxes[boxes[:, 4] >= 0]
    rectangles, matched = seen(image), 0
    for box in kept:
        apart = [np.abs(np.subtract(each[:4], box[:4])).max() for each in rectangles]
        near = [n for n, far in enumerate(apart) if far <= tolerance]
        inside = box[0] > 1 and box[1] > 1 and box[2] < width - 1 and box[3] < height - 1
        if near:
            matched += 1
        elif inside:
            raise AssertionError(f"{box[:4]} is not among {rectangles}")
        else:  # a turned rectangle whose corner is out of sight: what is seen lies within the box
            assert any(
                (np.subtract(each[:2], box[:2]) >= -tolerance).all()
                and (np.subtract(each[2:4], box[2:4]) <= tolerance).all()
                for each in rectangles
            ), (box[:4], rectangles)
    return matched, len(kept), len(rectangles)


MOVING = [name for name, row in AUGMENTATIONS.items() if not row.bends and "rand" not in name and not row.mosaic]
EVERYDAY = ("scene-turn", "objects-turn")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name if name in EVERYDAY else in_proof(name) for name in MOVING])
def test_a_painted_box_is_found_again_after_every_augmentation(name, painted):
    row = get_augmentation(name, "image")
    for source in ("files",) if row.box else ("memory",) if "erase" in name else ("memory", "files"):
        matched = kept = rectangles = 0
        pipeline = training_batches(painted[source], COUNT, seed=5, augment=row)
        for batch in pipeline.take(2).as_numpy_iterator():
            assert batch["boxes"].shape == (COUNT, 2, 7)
            for image, boxes, frame in zip(batch["image"], batch["boxes"], batch["frame"], strict=True):
                if "erase" in name and (image == 127).all(axis=-1).sum() > 4:
                    continue  # what is covered cannot be found
                assert frame.tolist() == [HEIGHT, WIDTH]
                found = compare(image, boxes, 2.2 if row.box else 1.6)
                matched, kept, rectangles = (a + b for a, b in zip((matched, kept, rectangles), found, strict=True))
        assert kept > 10 and matched >= 0.75 * kept and kept >= 0.6 * rectangles, (source, matched, kept, rectangles)


def test_the_property_notices_boxes_that_stay_behind(painted):
    still = training_batches(painted["memory"], COUNT, seed=5).as_numpy_iterator()
    moving = training_batches(painted["memory"], COUNT, seed=5, augment=AUGMENTATIONS["crop-flip"]).as_numpy_iterator()
    images, boxes = next(moving)["image"], next(still)["boxes"]
    with pytest.raises(AssertionError, match="is not among"):
        for image, each in zip(images, boxes, strict=True):
            compare(image, each, 1.6)


def test_boxes_follow_the_operations_of_randaugment(painted):
    names = list(OPERATIONS)
    chosen = [(names.index(name) + 0.5) / len(names) for name in GEOMETRIC]
    draws = np.float32([[c, 0, 0.5, sign, 0, 0.9, 0.5, 0] for c in chosen for sign in (0.2, 0.8)])
    count, one = len(draws), painted["memory"].fetch([3])
    images = np.repeat(one["image"], count, 0)
    moved, placement = rand_augment(tf.constant(images), tf.constant(draws), 5)
    boxes = truths.moved({"boxes": tf.constant(np.repeat(one["boxes"], count, 0))}, placement)["boxes"].numpy()
    found = [compare(image, each, 1.6) for image, each in zip(moved.numpy(), boxes, strict=True)]
    assert sum(matched for matched, _, _ in found) >= count - 1


def test_a_box_of_which_less_than_a_quarter_is_left_is_dropped_and_flags_stay():
    boxes = np.float32([[[0, 10, 20, 20, 3, 2, 555], [10, 10, 16, 20, 1, 1, 7]]])
    image = tf.zeros((1, 40, 40, 3), tf.uint8)
    for pixels, expected in ((14, 1), (16, 0)):  # columns that go: 30 % of 20 are left, then 20 %
        _, placement = pad_crop(image, tf.constant([[0.5, 0.9999, 0.9]]), pixels)
        found = truths.moved({"boxes": boxes}, placement)["boxes"].numpy()[0]
        assert (found[:, 4] >= 0).tolist()[0] == bool(expected)
        if expected:
            np.testing.assert_allclose(found[0], [0, 10, 6, 20, 3, 2, 555], atol=1e-4)


@pytest.mark.slow
def test_a_mosaic_is_the_same_on_jax():
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed: extra 'jax'")
    rng = np.random.default_rng(0)
    images, draws = rng.integers(0, 256, (5, 24, 32, 3), np.uint8), rng.random((5, Mosaic.DRAWS), np.float32)
    boxes = np.float32([[[2, 3, 15, 14, 0, 0, 143], [9, 1, 30, 20, 1, 0, 88]]]).repeat(5, axis=0)
    ours, truth = Mosaic(0.7)(tf.constant(images), {"boxes": tf.constant(boxes)}, tf.constant(draws))
    theirs, other = Mosaic(0.7)(jnp.asarray(images), {"boxes": jnp.asarray(boxes)}, jnp.asarray(draws))
    np.testing.assert_allclose(truth["boxes"], other["boxes"], atol=1e-3)
    assert (np.abs(np.asarray(ours, int) - np.asarray(theirs, int)) > 1).mean() < 0.01
    assert (np.asarray(other["boxes"])[..., 4] >= 0).sum(axis=1).max() > 2


@pytest.mark.slow
def test_evaluation_and_fetch_move_boxes_alike(painted):
    batch = next(batches(painted["files"], COUNT).as_numpy_iterator())
    fetched = painted["files"].fetch(range(COUNT))
    np.testing.assert_allclose(batch["boxes"], fetched["boxes"], atol=1e-4)
    assert (
        sum(compare(image, boxes, 1.2)[0] for image, boxes in zip(batch["image"], batch["boxes"], strict=True))
        == COUNT - 1
    )


@pytest.mark.slow
def test_boxes_end_where_a_part_does_that_was_cut_out_and_then_turned(painted):
    """A turned part shows grey beyond itself: no box reaches there, though the picture went on."""
    split = painted["files"]
    for batch in (
        training_batches(split, COUNT, seed=2, augment=AUGMENTATIONS["scene-turn"]).take(2).as_numpy_iterator()
    ):
        for image, boxes in zip(batch["image"], batch["boxes"], strict=True):
            for box in boxes[boxes[:, 4] >= 0]:
                x1, y1, x2, y2 = np.round(box[:4]).astype(int)
                blue = image[y1:y2, x1:x2, 2].astype(int) - image[y1:y2, x1:x2, 0] > 12
                assert blue.mean() > 0.35, box  # a square turned by 10 degrees fills 0.74 of its box


# --- Mosaics


@pytest.mark.slow
@pytest.mark.parametrize("source", [in_proof("memory"), "files"])
def test_a_mosaic_shows_parts_of_four_pictures_with_their_boxes(source, painted):
    row = AUGMENTATIONS["objects-mosaic" if source == "files" else "zoom-mosaic"]
    row = dataclasses.replace(row, mosaic=Mosaic(1.0))
    matched = kept = rectangles = 0
    for batch in training_batches(painted[source], COUNT, seed=3, augment=row).take(2).as_numpy_iterator():
        assert batch["boxes"].shape == (COUNT, 8, 7) and batch["image"].dtype == np.uint8
        assert ((batch["boxes"][..., 4] >= 0).sum(axis=1) <= 4).all()
        for image, boxes in zip(batch["image"], batch["boxes"], strict=True):
            found = compare_parts(image, boxes)
            matched, kept, rectangles = (a + b for a, b in zip((matched, kept, rectangles), found, strict=True))
    assert kept > 2 * COUNT  # several in most pictures
    assert matched >= 0.9 * kept, (matched, kept, rectangles)


def compare_parts(image, boxes):
    """Boxes whose edges are those of blue pixels; parts of two pictures may touch."""
    blue = image[..., 2].astype(int) - image[..., 0] > 25
    kept = boxes[boxes[:, 4] >= 0]
    right = 0
    for box in kept:
        x1, y1, x2, y2 = np.round(box[:4]).astype(int)
        inner = blue[y1:y2, x1:x2]
        right += inner.mean() > 0.8 and all(edge.any() for edge in (inner[:2], inner[-2:], inner[:, :2], inner[:, -2:]))
    covered = np.zeros(blue.shape, bool)
    for box in kept:
        covered[int(box[1]) : int(np.ceil(box[3])) + 1, int(box[0]) : int(np.ceil(box[2])) + 1] = True
    assert (blue & ~covered).sum() <= 0.06 * blue.size  # what was dropped is small
    return right, len(kept), len(seen(image))


@pytest.mark.slow
def test_mosaics_have_a_share_and_an_end(painted):
    row, split = AUGMENTATIONS["zoom-mosaic"], painted["memory"]
    plain = AUGMENTATIONS["zoom"]
    ending = row.over(20)
    assert ending.mosaic.until == 17 and plain.over(20) is plain

    def batch(augment, epoch):
        pipeline = training_batches(split, COUNT, seed=3, augment=augment, first_epoch=epoch)
        return next(pipeline.as_numpy_iterator())

    during, after = batch(ending, 16), batch(ending, 17)
    numbers = (during["boxes"][..., 4] >= 0).sum(axis=1)
    assert 0.2 < (numbers > 1).mean() < 0.8
    assert (during["boxes"][numbers > 1][:, 2:, 4] >= 0).any()
    assert ((after["boxes"][..., 4] >= 0).sum(axis=1) <= 1).all() and (after["boxes"][:, 2:] == -1).all()
    assert row.over(0).mosaic.until == 0
    assert after["boxes"].shape == during["boxes"].shape


def test_what_boxes_cannot_follow_is_refused_in_one_line(painted):
    with pytest.raises(InputError, match="boxes do not follow an augmentation that bends") as caught:
        plan(painted["files"], AUGMENTATIONS["sample"], seed=0)
    assert "\n" not in str(caught.value)
    labels = load_dataset("digits").train
    with pytest.raises(InputError, match="a mosaic is made of pictures with boxes, and the data have label"):
        training_batches(labels, 8, seed=0, augment=AUGMENTATIONS["zoom-mosaic"])
