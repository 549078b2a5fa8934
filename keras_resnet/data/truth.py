"""What is known of an example: a kind of truth is a row that says how to stratify by it and how it follows the pixels.

A split's entries are named after these rows. The rows hold no array work: `move` is called with tensors in a pipeline
and with arrays elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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


KINDS: dict[str, Kind] = {
    row.name: row
    for row in (
        Kind(
            name="label",
            summary="the class of an example: int64 (n,), the place of its name among the data source's classes",
            strata=lambda labels: labels,
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
