"""Checks of places that find objects: another way to run the file, beside our own runner, a few images at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.targets import masks
from export.targets.bundle import Bundle, Check
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals.image import resize
from keras_resnet.tasks.detection.answers import Boxes
from keras_resnet.tasks.detection.predictions import answers, decode, within
from keras_resnet.tasks.localization import answers as localization

MOST = 100  # images that are compared
LEAST = 0.995  # share of the objects that must be the same
PIXEL = 2.01  # of the net's input, that a side may be away: MediaPipe cuts corner and size to whole ones
NEAR = 0.1  # of the same for the same numbers
CLOSE = 0.02  # of scores: five steps of 8 bits

Objects = Sequence[Mapping[str, Any]]  # what a program told of an image


def compared(bundle: Bundle, name: str, other: Runner, count: int) -> Check:
    """Whether another engine finds our own runner's objects, and no others.

    Args:
        bundle: folder with the file.
        name: name of the engine.
        other: the same file on that engine.
        count: number of images at most.
    """
    card, few = bundle.runner.card, bundle.evidence.first(count)
    images, _ = few.fetch()
    values = card.preprocess(images)
    theirs, ours = (answers(runner.run(values), card) for runner in (other, bundle.runner))
    return same(name, theirs, ours)


def pictures(images: np.ndarray) -> list[np.ndarray]:
    """Pictures of other sizes and aspects than the net's.

    Args:
        images: uint8 `(n, H, W, 3)`.
    """
    return list(masks.pictures(images).values())


def told(bundle: Bundle, name: str, files: Sequence[Path], found: Sequence[Objects], exact: int) -> list[Check]:
    """Checks of a program that told the objects in pictures, in the pictures' own pixels.

    Args:
        bundle: folder with the file.
        name: name of the program.
        files: pictures of any size.
        found: objects of each: `index` of the class, `score`, and `box`.
        exact: number of the first ones, which have the net's size; others are resized, by everybody a little otherwise.
    """
    theirs = [_boxes(objects) for objects in found]
    ours = [_in_picture(bundle, file) for file in files[:exact]]
    return [
        same(name, theirs[:exact], ours, pixel=NEAR),
        in_pictures(bundle, f"{name}, of other sizes", files[exact:], found[exact:]),
    ]


def in_pictures(bundle: Bundle, name: str, files: Sequence[Path], found: Sequence[Objects]) -> Check:
    """The check of a program that told the objects in pictures of other sizes, in the pictures' own pixels.

    Args:
        bundle: folder with the file.
        name: name of the check.
        files: pictures of any size.
        found: objects of each: `index` of the class, `score`, and `box`.
    """
    return same(name, [_boxes(each) for each in found], [_in_picture(bundle, file) for file in files], least=0.9)


def found(bundle: Bundle, name: str, said: Sequence[Objects]) -> Check:
    """The check of a program that told all objects in the first test images, the unlikely ones too.

    Args:
        bundle: folder with the file.
        name: name of the program.
        said: objects of each image: `index` of the class, `score`, and `box` in 0..1 of the net's input.
    """
    card, (rows, columns, _) = bundle.runner.card, bundle.request.image_shape
    images, _ = bundle.evidence.fetch(0, len(said))
    ours = answers(bundle.runner.run(card.preprocess(images)), card)
    theirs = [_boxes(each, np.array([columns, rows] * 2, "f")) for each in said]
    return same(name, theirs, ours, pixel=NEAR)


def _boxes(objects: Objects, scale: np.ndarray | float = 1.0) -> Boxes:
    """What a program told of an image."""
    return Boxes(
        boxes=np.array([each["box"] for each in objects], "f").reshape(-1, 4) * scale,
        scores=np.array([each["score"] for each in objects], "f"),
        classes=np.array([each["index"] for each in objects], np.int64),
    )


def _in_picture(bundle: Bundle, file: Path) -> Boxes:
    """Our own objects in a picture, in its pixels."""
    from PIL import Image

    card, (rows, columns, _) = bundle.runner.card, bundle.request.image_shape
    with Image.open(file) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    seen = resize(pixels, (rows, columns), card.keep).numpy()
    outputs, (height, width) = bundle.runner.run(card.preprocess(seen[None])), pixels.shape[:2]
    if bundle.task == "localization":
        (one,) = localization.decode(outputs, card)
        one = localization.within(one, height, width, card)
        score, label = next(iter(one.scores.values())), one.number
        return Boxes(boxes=one.box[None].astype("f"), scores=np.array([score]), classes=np.array([label]))
    (answer,) = decode(outputs, card)
    found = within(answer, height, width, card)
    return Boxes(boxes=found.boxes, scores=found.scores, classes=found.classes)


def same(
    name: str, theirs: Sequence[Boxes], ours: Sequence[Boxes], pixel: float = PIXEL, least: float = LEAST
) -> Check:
    """The check of objects that a program found, beside our own.

    Args:
        name: name of the check.
        theirs: objects of each image, boxes in pixels.
        ours: those of our own runner, in the same pixels.
        pixel: largest difference of a side.
        least: lowest passing share.
    """
    both = sum(_matched(a, b, pixel) for a, b in zip(theirs, ours, strict=True))
    counts = [sum(map(len, each)) for each in (theirs, ours)]
    share = 2 * both / max(1, sum(counts))
    return Check(
        name=name,
        wanted=f"{least:.1%} of our own runner's objects and no others: sides {pixel:.2g} pixels apart at most, scores "
        f"{CLOSE}",
        found=f"{share:.2%} of {counts[1]:,} objects in {len(ours)} images, {counts[0]:,} in all",
        passed=share >= least and counts[1] > 0,
    )


def _matched(theirs: Boxes, ours: Boxes, pixel: float) -> int:
    """Number of objects that both have: each takes the nearest one that is left."""
    if not len(theirs) or not len(ours):
        return 0
    apart = np.abs(theirs.boxes[:, None] - ours.boxes[None]).max(axis=-1)
    apart = np.where(theirs.classes[:, None] == ours.classes[None], apart, np.inf)
    apart = np.where(np.abs(theirs.scores[:, None] - ours.scores[None]) <= CLOSE, apart, np.inf)
    count = 0
    for row in range(len(theirs)):
        place = int(apart[row].argmin())
        if apart[row, place] <= pixel:
            count += 1
            apart[:, place] = np.inf
    return count
