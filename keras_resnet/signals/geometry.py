"""Matrices of moved images as tensors, for `Placement`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from keras_resnet.signals.operations import operations
from keras_resnet.signals.placement import Placement

_LEAST_LEFT = 0.25  # of a box's area, for the box to stay


def projective(coefficients: Any) -> Any:
    """Makes matrices of the eight numbers that `ImageProjectiveTransformV3` takes.

    Args:
        coefficients: float32 `(..., 8)`.

    Returns:
        float32 `(..., 3, 3)`.
    """
    xp = operations(coefficients)
    return xp.matrices(xp.concat([coefficients, xp.ones_like(coefficients[..., :1])], axis=-1))


def stretched(scale_x, shift_x, scale_y, shift_y) -> Any:
    """Makes matrices that scale and shift every axis by itself.

    Args:
        scale_x: input columns for a column of the output, any number type, `(...)`.
        shift_x: input column that the output's first column comes from, `(...)`.
        scale_y: input rows for a row of the output, `(...)`.
        shift_y: input row that the output's first row comes from, `(...)`.

    Returns:
        float32 `(..., 3, 3)`.
    """
    xp = operations(scale_x)
    values = [xp.cast(x, "float32") for x in (scale_x, shift_x, scale_y, shift_y)]
    zero = xp.zeros_like(values[0])
    return projective(xp.stack([values[0], zero, values[1], zero, values[2], values[3], zero, zero], axis=-1))


def nearest(values: Any, placement: Placement, outside: int) -> Any:
    """Maps of examples that were moved: every place gets the value of the nearest one that it comes from.

    Args:
        values: integers `(n, H, W)`, array or tensor.
        placement: where the moved examples come from.
        outside: value of places that come from outside.

    Returns:
        The dtype of `values`, `(n, *placement.size)`.
    """
    xp, (height, width), (high, wide) = operations(values), values.shape[1:3], placement.size
    column, row = (xp.floor(each + 0.5) for each in sources(placement, xp))
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    row, column = (xp.cast(each, "int32") for each in (xp.clip(row, 0, height - 1), xp.clip(column, 0, width - 1)))
    index = row * width + column  # as whole numbers: float32 has no odd ones above 2**24
    moved = xp.gathered(xp.reshape(values, (-1, height * width)), index, axis=1)
    return xp.reshape(xp.where(inside, moved, xp.cast(outside, values.dtype)), (-1, high, wide))


def bilinear(images: Any, placement: Placement, outside: int) -> Any:
    """Images that are moved: every place gets what lies where it comes from, between four pixels.

    Args:
        images: uint8 `(n, H, W, C)`, array or tensor.
        placement: where the moved images come from.
        outside: value of pixels beyond the image.

    Returns:
        uint8 `(n, *placement.size, C)`.
    """
    xp, (height, width), channels = operations(images), images.shape[1:3], images.shape[3]
    column, row = sources(placement, xp)
    left, top = xp.floor(column), xp.floor(row)
    right, down = (column - left)[..., None], (row - top)[..., None]
    pixels = xp.reshape(images, (-1, height * width, channels))

    def at(y, x):
        within = ((y >= 0) & (y < height) & (x >= 0) & (x < width))[..., None]
        places = (xp.cast(xp.clip(each, 0, most - 1), "int32") for each, most in ((y, height), (x, width)))
        index = next(places) * width + next(places)
        return xp.where(within, xp.cast(xp.gathered(pixels, index, axis=1), "float32"), float(outside))

    upper = (1 - right) * at(top, left) + right * at(top, left + 1)
    lower = (1 - right) * at(top + 1, left) + right * at(top + 1, left + 1)
    found = xp.cast(xp.round((1 - down) * upper + down * lower), images.dtype)
    return xp.reshape(found, (-1, *placement.size, channels))


def boxes(values: Any, placement: Placement, window: Any = None) -> Any:
    """Boxes of examples that were moved: what holds their corners then, as far as it is in the example.

    A box is dropped (all its numbers become -1) when less than a quarter of it is left, or when it is cut to less than
    a pixel across. One that is smaller by its scale alone stays: figures count the objects of the whole picture.

    Args:
        values: float32 `(n, boxes, 4 or more)`, array or tensor: x1, y1, x2, y2 in pixels, 0-based, ends exclusive, and
            numbers that stay; -1 in rows that are no box.
        placement: where the moved examples come from; nothing elastic.
        window: part of each output that they are seen in, float32 `(n, 4)`: x1, y1, x2, y2; by default all of it.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: the placement is elastic.
    """
    if placement.offsets is not None:
        raise ValueError("boxes do not follow an elastic move: leave elastic moves out of the augmentation")
    xp, (height, width) = operations(values), placement.size
    x1, y1, x2, y2 = (xp.cast(values[..., n], "float32") - 0.5 for n in range(4))  # a place is a pixel's centre
    corners = xp.stack([xp.concat([x1, x2, x1, x2], 1), xp.concat([y1, y1, y2, y2], 1)], axis=1)
    places = xp.concat([corners, xp.ones_like(corners[:, :1])], axis=1)
    found = xp.matmul(xp.inverse(xp.cast(placement.matrix, "float32")), places)  # (n, 3, 4 * boxes)
    x, y = (xp.reshape(found[:, n] / found[:, 2] + 0.5, (-1, 4, values.shape[1])) for n in range(2))
    whole = [_extreme(each, way, xp) for way in (xp.minimum, xp.maximum) for each in (x, y)]
    if window is None:
        seen = [xp.clip(each, 0.0, float(most)) for each, most in zip(whole, (width, height) * 2, strict=True)]
    else:
        low, high = ([window[:, None, n + axis] for axis in (0, 1)] for n in (0, 2))
        seen = [xp.minimum(xp.maximum(each, low[n % 2]), high[n % 2]) for n, each in enumerate(whole)]
    area, left = ((b[2] - b[0]) * (b[3] - b[1]) for b in (whole, seen))
    across, own = (xp.minimum(b[2] - b[0], b[3] - b[1]) for b in (seen, whole))
    enough = across >= xp.minimum(own, xp.ones_like(own))
    stays = (values[..., 2] > values[..., 0]) & (left >= _LEAST_LEFT * area) & enough
    moved = xp.concat([xp.stack(seen, axis=-1), xp.cast(values[..., 4:], "float32")], axis=-1)
    return xp.where(stays[..., None], moved, -xp.ones_like(moved))


def _extreme(corners: Any, way: Any, xp: ModuleType) -> Any:
    """The smallest or largest of four, `(n, 4, boxes)` to `(n, boxes)`."""
    return way(way(corners[:, 0], corners[:, 1]), way(corners[:, 2], corners[:, 3]))


def within(placement: Placement, size: tuple[int, int], xp: ModuleType) -> Any:
    """Which places of moved examples come from inside of what was moved, bool `(n, *placement.size)`.

    Args:
        placement: where moved examples come from.
        size: `(height, width)` of what was moved.
        xp: array functions (`signals.operations`).
    """
    column, row = sources(placement, xp)
    inside = (column >= -0.5) & (column < size[1] - 0.5) & (row >= -0.5) & (row < size[0] - 0.5)
    return xp.reshape(inside, (-1, *placement.size))


def sources(placement: Placement, xp: ModuleType) -> tuple[Any, Any]:
    """Columns and rows of the input that every place of the output comes from, float32 `(n, height * width)` each.

    Args:
        placement: where moved examples come from.
        xp: array functions (`signals.operations`).
    """
    high, wide = placement.size
    columns, rows = xp.cast(xp.arange(wide), "float32"), xp.cast(xp.arange(high), "float32")
    x = xp.reshape(columns[None] + xp.zeros_like(rows)[:, None], (1, -1))
    y = xp.reshape(xp.zeros_like(columns)[None] + rows[:, None], (1, -1))
    if placement.offsets is not None:
        offsets = xp.reshape(placement.offsets, (-1, high * wide, 2))
        x, y = x + offsets[..., 0], y + offsets[..., 1]
    places = xp.stack([x, y, xp.ones_like(x)], axis=1)
    found = xp.matmul(xp.cast(placement.matrix, "float32"), places)  # (n, 3, high * wide)
    return found[:, 0] / found[:, 2], found[:, 1] / found[:, 2]


def cut_out(row, column, height, width, size: tuple[int, int], mirrored=False) -> Any:
    """Makes the matrix of a rectangle that was cut out, resized to `size`, and mirrored left and right or not.

    Args:
        row: first row of the rectangle in the input, scalar.
        column: first column of the rectangle, scalar.
        height: rows of the rectangle, scalar.
        width: columns of the rectangle, scalar.
        size: `(height, width)` of the output.
        mirrored: whether the output was mirrored, scalar.

    Returns:
        float32 `(3, 3)`.
    """
    xp = operations(row)
    row, column, height, width = (xp.cast(x, "float32") for x in (row, column, height, width))
    scale_y, scale_x = height / size[0], width / size[1]
    first_y, first_x = row + scale_y / 2 - 0.5, column + scale_x / 2 - 0.5  # centres, as tf.image.resize has them
    last_x = first_x + (size[1] - 1) * scale_x
    signed = xp.where(mirrored, -scale_x, scale_x)
    return stretched(signed, xp.where(mirrored, last_x, first_x), scale_y, first_y)
