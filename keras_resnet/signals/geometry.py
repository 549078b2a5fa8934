"""Matrices of moved images as tensors, for `Placement`."""

from __future__ import annotations

from typing import Any

from keras_resnet.signals.operations import operations


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
