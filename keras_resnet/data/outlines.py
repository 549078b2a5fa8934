"""Masks that are drawn: polygons and run lengths of things become the class of every pixel, as COCO's tools do it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import machine
from keras_resnet.data.legends import Legend
from keras_resnet.data.masks import size_of
from keras_resnet.data.truth import VOID
from keras_resnet.errors import InputError
from keras_resnet.untrusted import visible

MOST_POINTS = 100_000  # of the polygons of a picture; the richest one of COCO has some thousands
_SCALE = 5  # parts of a pixel that COCO's tools count in
_MOST_STEPS = 1 << 22  # of such parts along a polygon: the outline of a picture of 100,000 pixels' width
_BEYOND = 1.0  # pixels that a corner may be outside of its picture, by rounding
_MOST_DIGITS = 7  # of a compressed run length: pixels of a picture fit into six


@dataclass(frozen=True, eq=False)
class Shape:
    """A thing of a picture.

    Attributes:
        value: place of its class among the names; 255 for a region that means nothing.
        area: size in pixels, or in another unit that the whole picture has; smaller things are drawn over larger ones.
        polygons: outlines, whose union it is, each `(k, 2)` of x and y from the top left corner.
        runs: run lengths, int64, column by column and from outside on, in place of polygons.
    """

    value: int
    area: float
    polygons: tuple[np.ndarray, ...] = ()
    runs: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """The things of a picture.

    Attributes:
        origin: file, and place in it, for messages.
        shapes: things in the order of the file.
        size: height and width of the picture; None where nobody knows: then nothing is drawn.
        relative: whether corners are shares of the picture's width and height.
    """

    origin: str
    shapes: tuple[Shape, ...] = ()
    size: tuple[int, int] | None = None
    relative: bool = False

    def draw(self) -> np.ndarray:
        """The value of every pixel, uint8 `(H, W)`: 0 where nothing is.

        Regions that mean nothing come first, then things by size: the smaller one is seen, the later one of equals.
        """
        height, width = self.size or (0, 0)
        canvas = np.zeros((height, width), np.uint8)
        for shape in sorted(self.shapes, key=lambda each: (each.value != VOID, -each.area)):
            if shape.runs is not None:
                canvas[filled_runs(shape.runs, height, width)] = shape.value
            for polygon in shape.polygons:
                scaled = polygon * (width, height) if self.relative else polygon
                columns, inside = filled_columns(scaled, height, width)
                canvas[:, columns][inside] = shape.value
        return canvas


@dataclass(frozen=True, eq=False)
class Drawn:
    """Masks that are drawn when they are needed, one for every picture.

    Attributes:
        scenes: things of every picture.
        legend: meaning of their values.
    """

    scenes: tuple[Scene, ...]
    legend: Legend

    def __len__(self) -> int:
        """Number of masks."""
        return len(self.scenes)

    def read(self, index: int) -> np.ndarray:
        """The mask of a picture: uint8 `(H, W)`."""
        return self.legend.lookup()[self.scenes[index].draw()]

    def take(self, indices: np.ndarray) -> Drawn:
        """The masks at these positions."""
        return replace(self, scenes=tuple(self.scenes[index] for index in indices))

    def joined(self, other: Drawn) -> Drawn:
        """These masks, then the others."""
        return replace(self, scenes=self.scenes + other.scenes)


def sized(pairs: Sequence[tuple[Path, Scene]]) -> list[tuple[Path, Scene]]:
    """Scenes with the sizes of their pictures, and with corners that are inside.

    Args:
        pairs: pictures that can be decoded, and their things.

    Raises:
        InputError: a picture has another size than its file says, or a corner is outside of it.
    """
    with ThreadPoolExecutor(machine.cores()) as pool:
        return list(pool.map(_sized, pairs))


def _sized(pair: tuple[Path, Scene]) -> tuple[Path, Scene]:
    path, scene = pair
    size = size_of(path)
    if size is None:
        return pair
    height, width = size
    if scene.size is not None and scene.size != size:
        raise InputError(
            f"{scene.origin} is {scene.size[1]} x {scene.size[0]} pixels, its picture {path} {width} x {height}: "
            "expected the same size"
        )
    for shape in scene.shapes:
        for polygon in shape.polygons:
            points = polygon * (width, height) if scene.relative else polygon
            beyond = (points < -_BEYOND) | (points > np.array([width, height]) + _BEYOND)
            if beyond.any():
                x, y = polygon[beyond.any(axis=1)][0].tolist()
                raise InputError(
                    f"{scene.origin} has a polygon with the corner {x:g}, {y:g}, outside of {path} of "
                    f"{width} x {height} pixels"
                )
            if _SCALE * len(points) * max(width, height) > _MOST_STEPS:
                _check_length(points, scene.origin)
    return path, replace(scene, size=size)


def _check_length(polygon: np.ndarray, origin: str) -> None:
    """Refuses a polygon that takes gigabytes to draw: one that goes to and fro across its picture."""
    pixels = np.abs(polygon - np.roll(polygon, -1, axis=0)).max(axis=1).sum()
    if _SCALE * pixels > _MOST_STEPS:
        raise InputError(
            f"{origin} has a polygon of {len(polygon):,} corners that is {pixels:,.0f} pixels long: expected at most "
            f"{_MOST_STEPS // _SCALE:,}"
        )


def corners(numbers: Any, origin: str) -> np.ndarray:
    """A polygon of a file, float64 `(k, 2)`.

    Args:
        numbers: x and y of one corner after the other.
        origin: where it was, for messages.

    Raises:
        InputError: no numbers, fewer than three corners, or more than a picture may have.
    """
    if not isinstance(numbers, list) or len(numbers) > 2 * MOST_POINTS:
        raise InputError(f"{origin}: expected a polygon of at most {MOST_POINTS:,} corners, x and y of each")
    if len(numbers) < 6 or len(numbers) % 2:
        raise InputError(f"{origin} has a polygon of {len(numbers)} numbers: expected x and y of three corners or more")
    if not all(type(each) in (int, float) and abs(each) < 1e9 for each in numbers):
        raise InputError(f"{origin} has a polygon with something else than numbers: expected x and y of every corner")
    return np.array(numbers, np.float64).reshape(-1, 2)


def area(polygon: np.ndarray) -> float:
    """The area within a polygon, by the shoelace formula.

    Args:
        polygon: corners `(k, 2)`.
    """
    x, y = polygon[:, 0], polygon[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def run_lengths(value: Any, size: tuple[int, int], origin: str) -> np.ndarray:
    """The run lengths of a file, int64.

    Args:
        value: `{"size": [H, W], "counts": ...}`, counts as a list, or compressed to a text as COCO does.
        size: height and width of the picture.
        origin: where it was, for messages.

    Raises:
        InputError: another form, or lengths that are not the picture's pixels.
    """
    height, width = size
    counts = value.get("counts") if isinstance(value, dict) else None
    if not isinstance(counts, list | str) or value.get("size") != [height, width]:
        raise InputError(f"{origin}: expected run lengths with counts, and the size [{height}, {width}] of the picture")
    if len(counts) > (height * width + 1) * (_MOST_DIGITS if isinstance(counts, str) else 1):
        raise InputError(f"{origin} has {len(counts):,} run lengths, more than the picture has pixels")
    found = _decompressed(counts, origin) if isinstance(counts, str) else counts
    if not all(type(each) is int and 0 <= each <= height * width for each in found) or sum(found) != height * width:
        raise InputError(f"{origin} has run lengths of something else than {height * width:,} pixels")
    return np.array(found, np.int64)


def _decompressed(text: str, origin: str) -> list[int]:
    """Run lengths of a text: six bits a character, five of them of the number; from the third on, differences."""
    found: list[int] = []
    value = digits = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or digits == _MOST_DIGITS:
            raise InputError(f"{origin} has run lengths that cannot be decompressed: {visible(text[:20])}...")
        value |= (code & 31) << 5 * digits
        digits += 1
        if not code & 32:
            value -= (1 << 5 * digits) if code & 16 else 0
            found.append(value + (found[-2] if len(found) > 2 else 0))
            value = digits = 0
    if digits:
        raise InputError(f"{origin} has run lengths that end within a number: {visible(text[-20:])}")
    return found


def filled_runs(runs: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels of run lengths, bool `(H, W)`.

    Args:
        runs: run lengths, from outside on, column by column.
        height: of the picture.
        width: of the picture.
    """
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def filled(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels within a polygon, bool `(H, W)`: those that COCO's tools (`rleFrPoly` of pycocotools) find.

    Args:
        polygon: corners `(k, 2)`, near the picture (`sized`).
        height: of the picture.
        width: of the picture.
    """
    found = np.zeros((height, width), bool)
    columns, inside = filled_columns(polygon, height, width)
    found[:, columns] = inside
    return found


def filled_columns(polygon: np.ndarray, height: int, width: int) -> tuple[slice, np.ndarray]:
    """The columns of a picture that a polygon is in, as most things are small, and its pixels there.

    Corners are rounded where they are in the picture: moved before, those half way between would go elsewhere.

    Args:
        polygon: as `filled` takes it.
        height: of the picture.
        width: of the picture.

    Returns:
        Columns, and bool `(H, columns)`.
    """
    u, v = _outline((_SCALE * polygon + 0.5).astype(np.int64))
    crossed = np.flatnonzero(u[1:] != u[:-1]) + 1
    x = (np.where(u[crossed] < u[crossed - 1], u[crossed], u[crossed] - 1) + 0.5) / _SCALE - 0.5
    y = (np.minimum(v[crossed], v[crossed - 1]) + 0.5) / _SCALE - 0.5
    inside = (np.floor(x) == x) & (x >= 0) & (x <= width - 1)
    if not inside.any():
        return slice(0, 0), np.zeros((height, 0), bool)
    rows = np.ceil(np.clip(y[inside], 0, height)).astype(np.int64)
    column = x[inside].astype(np.int64)
    left, right = int(column.min()), min(int(column.max()) + 2, width)  # one that ends below turns in the next column
    size = (right - left) * height
    turns = np.bincount((column - left) * height + rows, minlength=size + 1)[:size]
    return slice(left, right), (np.cumsum(turns) % 2 == 1).reshape(right - left, height).T


def _outline(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole-numbered points along the edges of a polygon, the longer axis step by step."""
    start, end = points, np.roll(points, -1, axis=0)
    steps = np.abs(end - start)
    flat = steps[:, 0] >= steps[:, 1]
    length = steps.max(axis=1)
    flip = np.where(flat, start[:, 0] > end[:, 0], start[:, 1] > end[:, 1])[:, None]
    first, last = np.where(flip, end, start), np.where(flip, start, end)
    edge = np.repeat(np.arange(len(points)), length + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(length + 1) - (length + 1), length + 1)
    along = np.where(flip[edge, 0], length[edge] - step, step)
    slope = np.where(flat, (last - first)[:, 1], (last - first)[:, 0]) / np.maximum(length, 1)
    across = (np.where(flat, first[:, 1], first[:, 0])[edge] + slope[edge] * along + 0.5).astype(np.int64)
    main = np.where(flat, first[:, 0], first[:, 1])[edge] + along
    return np.where(flat[edge], main, across), np.where(flat[edge], across, main)
