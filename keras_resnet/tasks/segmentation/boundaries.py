"""Boundary F: how well the outlines of classes agree, within a tolerance (Csurka et al., BMVC 2013)."""

from __future__ import annotations

import math

import numpy as np

from keras_resnet.data.truth import VOID

SHARE = 0.0075  # of the diagonal, as Berkeley's benchmark of boundaries has it


def tolerance(shape: tuple[int, ...]) -> int:
    """Pixels that two outlines may be apart: 0.75 % of the diagonal, rounded up, at least one.

    Args:
        shape: size of a mask, of any number of axes.

    Example:
        >>> tolerance((352, 480)), tolerance((32, 32))
        (5, 1)
    """
    return max(1, math.ceil(SHARE * math.hypot(*shape)))


def outline(mask: np.ndarray, number: int) -> np.ndarray:
    """Pixels of a class that touch another one along an axis, int64 `(pixels, axes)`; void and the rim are no other.

    Args:
        mask: classes, of any number of axes; 255 is void.
        number: class.
    """
    own = mask == number
    other = ~own & (mask != VOID)
    touching = np.zeros_like(own)
    for axis in range(mask.ndim):
        ahead = (slice(None),) * axis + (slice(1, None),)
        behind = (slice(None),) * axis + (slice(None, -1),)
        touching[behind] |= other[ahead]
        touching[ahead] |= other[behind]
    return np.argwhere(own & touching)


def boundary_f(answer: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """F of the outline of every class in one example, float64 `(classes,)`; nan where the truth does not have it.

    Precision is the share of the answer's outline within the tolerance of the true one, recall that of the true
    outline within the tolerance of the answer's, and F their harmonic mean. What is void in the truth counts in
    neither. A class without an outline in both, because it is all of the image, is left out too.

    Args:
        answer: classes, of any number of axes.
        truth: classes of the same shape; 255 is void.
        classes: number of classes.
    """
    reach = tolerance(truth.shape)
    answer = np.where(truth == VOID, VOID, answer)
    found = np.full(classes, np.nan)
    for number in np.unique(truth):
        if number >= classes:
            continue  # void
        true, given = outline(truth, int(number)), outline(answer, int(number))
        if len(true) and len(given):
            precision, recall = _near(given, true, reach), _near(true, given, reach)
            found[number] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        elif len(true) or len(given):
            found[number] = 0.0
    return found


def _near(places: np.ndarray, others: np.ndarray, reach: int) -> float:
    """Share of the places with another one within reach."""
    from scipy.spatial import cKDTree

    # Outlines are few pixels: asking a tree for each costs a tenth of the distances of all pixels.
    apart, _ = cKDTree(others).query(places, distance_upper_bound=reach + 0.5)
    return float((apart <= reach).mean())


def over_images(each: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Means over the examples by class, float64 `(classes,)`, and the mean of these; nan and None where there is none.

    Args:
        each: `boundary_f` of every example, `(n, classes)`.
    """
    there = ~np.isnan(each)
    count = there.sum(axis=0)
    by_class = np.where(count > 0, np.where(there, each, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    seen = by_class[count > 0]
    return by_class, float(seen.mean()) if len(seen) else None
