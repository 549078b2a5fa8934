"""NumPy's array functions under the names of `signals.operations`: those that rectangles and their matrices need."""

from __future__ import annotations

import numpy as np

exp, floor, maximum, minimum, round, sqrt = (  # noqa: A001
    np.exp, np.floor, np.maximum, np.minimum, np.round, np.sqrt
)  # fmt: skip
clip, concat, inverse, matmul, ones_like, reshape, stack, where, zeros_like = (
    np.clip, np.concatenate, np.linalg.inv, np.matmul, np.ones_like, np.reshape, np.stack, np.where, np.zeros_like
)  # fmt: skip


def cast(values: object, dtype: str) -> np.ndarray:
    """The values in another number type."""
    return np.asarray(values, dtype)


def arange(count: int, dtype: str = "int32") -> np.ndarray:
    """The numbers below `count`."""
    return np.arange(count, dtype=dtype)


def gathered(values: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    """Takes other elements of examples `(n, m)` along their axis 1: indices int32 `(n, k)`."""
    if axis != 1 or values.ndim != 2:
        raise ValueError(f"expected the axis 1 of values (n, m), received the axis {axis} of {values.shape}")
    return np.take_along_axis(values, indices, axis=1)


def matrices(values: np.ndarray) -> np.ndarray:
    """Nine numbers as a matrix: `(..., 9)` to `(..., 3, 3)`."""
    return values.reshape(*values.shape[:-1], 3, 3)
