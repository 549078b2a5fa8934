"""NumPy's array functions under the names of `signals.operations`: those that rectangles and their matrices need."""

from __future__ import annotations

import numpy as np

exp, floor, maximum, minimum, round, sqrt = (  # noqa: A001
    np.exp, np.floor, np.maximum, np.minimum, np.round, np.sqrt
)  # fmt: skip
clip, concat, ones_like, stack, where, zeros_like = (
    np.clip, np.concatenate, np.ones_like, np.stack, np.where, np.zeros_like
)  # fmt: skip


def cast(values: object, dtype: str) -> np.ndarray:
    """The values in another number type."""
    return np.asarray(values, dtype)


def matrices(values: np.ndarray) -> np.ndarray:
    """Nine numbers as a matrix: `(..., 9)` to `(..., 3, 3)`."""
    return values.reshape(*values.shape[:-1], 3, 3)
