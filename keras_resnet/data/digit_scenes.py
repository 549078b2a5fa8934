"""Scenes of scanned digits, made when they are asked for: several of different sizes on a canvas, with their boxes."""

from __future__ import annotations

import functools

import numpy as np

from keras_resnet.data import digits
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.data.truth import BOX, USUAL
from keras_resnet.labels import DIGITS

NAME = "digits-scenes"
SIDE = 96  # pixels of a scene
_COUNTS = {"train": 1000, "validation": 200, "test": 200}
_SEED = 2017  # fixed for good: published figures refer to these scenes
_MOST = 5  # digits of a scene
_EMPTY = 0.06  # share of scenes without one
_SMALLEST, _LARGEST = 14, 40  # pixels of a digit's height
_INK = 64  # of 255: what is lighter belongs to the digit
_GAP = 1  # pixels between two boxes, at least
_TRIES = 20  # places that are tried for a digit


def load() -> Dataset:
    """Scenes of 96 x 96 pixels, RGB: 1,000 for training, 200 for validation, 200 for the test; the same every time.

    A scene has none to five digits, light on dark, among spots that are none. Those of a part come from the
    same part of `digits`, so a test digit was never seen. A box is what holds the digit's ink; no two overlap.

    Returns:
        A `Dataset` in memory with the truth `boxes` and `frame`.
    """
    known = digits.load()
    parts = {name: _scenes(getattr(known, name), count, number) for number, (name, count) in enumerate(_COUNTS.items())}
    return Dataset(NAME, DIGITS, (SIDE, SIDE, 3), parts["train"], parts["validation"], parts["test"], truth="boxes")


def _scenes(source: ArraySplit, count: int, number: int) -> ArraySplit:
    """Scenes of a part."""
    rng = np.random.default_rng([_SEED, number])
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    boxes = np.full((count, _MOST, BOX), -1, np.float32)
    inks = [_ink(image[..., 0]) for image in source.images]
    for place in range(count):
        canvas = _background(rng)
        taken: list[tuple[int, int, int, int]] = []
        for index in rng.integers(0, len(inks), 0 if rng.random() < _EMPTY else rng.integers(1, _MOST + 1)):
            digit = _resized(inks[index], int(rng.integers(_SMALLEST, _LARGEST + 1)))
            where = _free(rng, digit.shape, taken)
            if where is None:
                continue
            x1, y1, x2, y2 = where
            light = rng.uniform(0.6, 1.0, 3)
            canvas[y1:y2, x1:x2] = np.maximum(canvas[y1:y2, x1:x2], digit[..., None] * light)
            area = float((x2 - x1) * (y2 - y1))
            boxes[place, len(taken)] = *where, source.labels[index], USUAL, area
            taken.append(where)
        noise = rng.normal(0, 6, canvas.shape)
        images[place] = np.clip(np.rint(canvas + noise), 0, 255).astype(np.uint8)
    frame = np.full((count, 2), SIDE, np.float32)
    return ArraySplit({"image": images, "boxes": boxes, "frame": frame})


def _ink(image: np.ndarray) -> np.ndarray:
    """The rectangle of a digit that holds its ink, float32."""
    rows, columns = (np.flatnonzero((image >= _INK).any(axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)


@functools.lru_cache(maxsize=256)
def _weights(size: int, length: int) -> np.ndarray:
    """Bilinear weights from `length` to `size` places, float32 `(size, length)`; their rows have the sum 1."""
    places = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(length)[None])).astype(np.float32)


def _resized(ink: np.ndarray, height: int) -> np.ndarray:
    """A digit at another height, its width in proportion."""
    width = max(4, round(ink.shape[1] * height / ink.shape[0]))
    return _weights(height, ink.shape[0]) @ ink @ _weights(width, ink.shape[1]).T


def _background(rng: np.random.Generator) -> np.ndarray:
    """A dark slope of light with some spots, float64 `(SIDE, SIDE, 3)`."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    slope = rng.uniform(0, 30) + rng.uniform(-25, 25) * x + rng.uniform(-25, 25) * y
    canvas = np.repeat(slope[..., None], 3, axis=-1) + rng.uniform(0, 20, 3)
    for _ in range(rng.integers(0, 4)):
        top, left = rng.integers(0, SIDE - 8, 2)
        high, wide = rng.integers(2, 8, 2)
        canvas[top : top + high, left : left + wide] += rng.uniform(20, 90)
    return canvas


def _free(
    rng: np.random.Generator, shape: tuple[int, ...], taken: list[tuple[int, int, int, int]]
) -> tuple[int, int, int, int] | None:
    """A place where a digit touches no other one; None where none was found."""
    for _ in range(_TRIES):
        y1, x1 = int(rng.integers(0, SIDE - shape[0] + 1)), int(rng.integers(0, SIDE - shape[1] + 1))
        x2, y2 = x1 + shape[1], y1 + shape[0]
        if all(
            x1 >= right + _GAP or x2 + _GAP <= left or y1 >= down + _GAP or y2 + _GAP <= top
            for left, top, right, down in taken
        ):
            return x1, y1, x2, y2
    return None
