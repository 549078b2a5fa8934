"""Arithmetic of boxes x1, y1, x2, y2 in pixels, 0-based, their ends exclusive."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LARGEST = np.float32(np.log(1000 / 16))  # of a logarithm of sizes: no box is 63 times its prior box
_Coder = tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]]


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of pairs.

    Args:
        boxes: `(..., 4)`.
        others: `(..., 4)` that broadcasts with it: `overlaps(a[:, None], b)` has all pairs.

    Returns:
        Numbers from 0 to 1, without the last axis; 0 where neither box has an area.
    """
    x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
    u1, v1, u2, v2 = np.moveaxis(others, -1, 0)
    width = np.minimum(x2, u2) - np.maximum(x1, u1)
    height = np.minimum(y2, v2) - np.maximum(y1, v1)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def clipped(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes within an image.

    Args:
        boxes: `(n, 4)`.
        size: `(height, width)` of the image.
    """
    height, width = size
    return np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))


def decoded(values: np.ndarray, priors: np.ndarray, coder: str) -> np.ndarray:
    """Boxes from a net's numbers.

    Args:
        values: `(n, 4)`.
        priors: prior boxes, `(n, 4)`.
        coder: row of `CODERS`: `"deltas"` (of the centre in sizes of the prior box, and logarithms of the size) or
            `"distances"` (from the centre to the left, top, right and bottom side, in sizes of the prior box).

    Returns:
        `(n, 4)`, float32.
    """
    return CODERS[coder][0](values, priors)


def encoded(boxes: np.ndarray, priors: np.ndarray, coder: str) -> np.ndarray:
    """Numbers that a net should give for boxes: the inverse of `decoded`.

    Args:
        boxes: `(n, 4)`, of positive area where the coder is `"deltas"`.
        priors: prior boxes, `(n, 4)`.
        coder: row of `CODERS`.

    Returns:
        `(n, 4)`, float32.
    """
    return CODERS[coder][1](boxes, priors)


def _centered(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres and sizes, `(n, 2)` each."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + np.float32(0.5) * size, size


def _from_deltas(values: np.ndarray, priors: np.ndarray) -> np.ndarray:
    center, size = _centered(priors)
    center = values[:, :2] * size + center
    half = np.float32(0.5) * np.exp(np.minimum(values[:, 2:], LARGEST)) * size
    return np.concatenate([center - half, center + half], axis=1, dtype="f")


def _to_deltas(boxes: np.ndarray, priors: np.ndarray) -> np.ndarray:
    (center, size), (start, unit) = _centered(boxes), _centered(priors)
    return np.concatenate([(center - start) / unit, np.log(size / unit)], axis=1, dtype="f")


def _from_distances(values: np.ndarray, priors: np.ndarray) -> np.ndarray:
    center, size = _centered(priors)
    return np.concatenate([center - values[:, :2] * size, center + values[:, 2:] * size], axis=1, dtype="f")


def _to_distances(boxes: np.ndarray, priors: np.ndarray) -> np.ndarray:
    center, size = _centered(priors)
    return np.concatenate([(center - boxes[:, :2]) / size, (boxes[:, 2:] - center) / size], axis=1, dtype="f")


CODERS: dict[str, _Coder] = {
    "deltas": (_from_deltas, _to_deltas),
    "distances": (_from_distances, _to_distances),
}
