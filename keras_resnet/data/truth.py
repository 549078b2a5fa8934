"""What is known of an example: a kind of truth is a row that says how to stratify by it and how it follows the pixels.

A split's entries are named after these rows. The rows hold no array work: `move` is called with tensors in a pipeline
and with arrays elsewhere.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from keras_resnet.errors import unknown_name
from keras_resnet.signals.placement import Placement


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of truth.

    Attributes:
        name: name of the row, and of the entry in what a split's `fetch` gives.
        summary: what the values are, for people.
        strata: from the values of a split, `(N, ...)`, to integers `(N,)`, each of which every part of the split gets
            in proportion; None where one cannot stratify by this kind: then parts are drawn at random.
        move: from values `(n, ...)` and the placement of their examples to the values of the moved examples; None for
            a truth that stays what it is.
    """

    name: str
    summary: str
    strata: Callable[[np.ndarray], np.ndarray] | None = None
    move: Callable[[object, Placement], object] | None = None


_LEAST = 10  # examples of a stratum, so that a tenth of it is one


def _merged(found: np.ndarray, least: int = _LEAST) -> np.ndarray:
    """The same integers with all that are rarer than `least` as one, which joins the largest if it is rare as well."""
    names, places, counts = np.unique(found, return_inverse=True, return_counts=True)
    rare = counts < least
    if not rare.any():
        return found
    rest = int(names[rare][0])
    if counts[rare].sum() < least:
        rest = int(names[counts.argmax()])
    return np.where(rare, rest, names)[places]


def _rarest(tags: np.ndarray) -> np.ndarray:
    """The rarest tag of every example; the number of tags where it has none."""
    frequent = tags.sum(axis=0, dtype=np.int64)
    kept = np.where(tags > 0, frequent, len(tags) + 1)
    return _merged(np.where(tags.any(axis=1), kept.argmin(axis=1), tags.shape[1]))


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Tenths of the examples by their first value, or larger parts of few examples."""
    parts = min(10, len(values) // (2 * _LEAST))
    inner = np.quantile(values[:, 0], np.linspace(0, 1, parts + 1)[1:-1]) if parts > 1 else np.empty(0)
    return _merged(np.searchsorted(inner, values[:, 0], side="right"))


VOID = 255  # of a pixel that nobody labelled, or that comes from outside


@functools.cache  # what is cached, TensorFlow does not try to trace
def _geometry() -> ModuleType:
    """Array work of all libraries."""
    return importlib.import_module("keras_resnet.signals.geometry")


def _nearest(masks: object, placement: Placement) -> object:
    return _geometry().nearest(masks, placement, VOID)


def _boxes(values: object, placement: Placement) -> object:
    return _geometry().boxes(values, placement)


# Columns of a box behind its four sides: its class; what it is; and its area in pixels of the whole picture, which may
# be that of the object's outline.
CLASS, FLAG, AREA = 4, 5, 6
BOX = 7  # numbers of a box
USUAL, CROWD, DIFFICULT = 0, 1, 2  # of `FLAG`: a crowd is a region of many; these two count neither for nor against

KINDS: dict[str, Kind] = {
    row.name: row
    for row in (
        Kind(
            name="label",
            summary="the class of an example: int64 (n,), the place of its name among the data source's classes",
            strata=lambda labels: labels,
        ),
        Kind(
            name="tags",
            summary="every class of an example that has several: uint8 (n, classes), 1 where it has it",
            strata=_rarest,
        ),
        Kind(
            name="values",
            summary="numbers that are known of an example: float32 (n, k), in units of their own",
            strata=_quantiles,
        ),
        Kind(
            name="mask",
            summary=f"the class of every pixel: uint8 (n, height, width), {VOID} where it is void",
            move=_nearest,
        ),
        Kind(
            name="boxes",
            summary=(
                "the boxes of objects: float32 (n, boxes, 7), each x1, y1, x2, y2 in pixels, 0-based, ends exclusive, "
                "then class, flag (0, 1 a crowd, 2 difficult) and area in pixels of the whole picture; -1 in rows that "
                "are none"
            ),
            move=_boxes,
        ),
        Kind(
            name="frame",
            summary="the size of the whole picture before anything was cut or resized: float32 (n, 2), height, width",
        ),
    )
}


def get_kind(name: str) -> Kind:
    """Returns the kind of truth of that name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in KINDS:
        raise unknown_name("kind of truth", name, KINDS)
    return KINDS[name]


def strata(truth: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Integers to stratify a split by, `(N,)`; None where no truth of it can be stratified by.

    Args:
        truth: values of every example by kind, those that are known without decoding.
    """
    for name, values in truth.items():
        if (rule := get_kind(name).strata) is not None:
            return rule(values)
    return None


def moved(truth: Mapping[str, object], placement: Placement | None) -> dict[str, object]:
    """The truth of examples that were moved.

    Args:
        truth: values by kind, arrays or tensors `(n, ...)`.
        placement: where the moved examples come from; None where nothing moved.
    """
    return {name: _moved(get_kind(name), values, placement) for name, values in truth.items()}


def _moved(kind: Kind, values: object, placement: Placement | None) -> object:
    return values if placement is None or kind.move is None else kind.move(values, placement)
