"""Examples that a person should look at: sure mistakes, unsure answers, labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.tasks.classification.predictions import label, likely
from keras_resnet.tasks.classification.settings import OUTPUT
from keras_resnet.tasks.interface import sole

_SHOWN = 12


@dataclass(frozen=True)
class Suspect:
    """An example whose label is probably wrong.

    Attributes:
        index: position of the example.
        given: its label.
        probability: of that class, by a net that has not seen the example.
        other: class that the net is sure of.
        other_probability: of that class.
    """

    index: int
    given: str
    probability: float
    other: str
    other_probability: float


def remarkable(
    outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], labels: Sequence[str] = ()
) -> dict[str, list[tuple[int, str]]]:
    """Examples to look at, by what is remarkable about them.

    Args:
        outputs: `probabilities` `(n, classes)`.
        truth: `label` `(n,)`.
        labels: class names.

    Returns:
        Positions with a few words, the most remarkable first.
    """
    found = likely(sole(outputs, OUTPUT))
    given, called = truth["label"], found.argmax(1)
    sure = found.max(1)
    second = np.argsort(-found, axis=1, kind="stable")[:, 1]
    margin = sure - found[np.arange(len(found)), second]
    wrong = np.flatnonzero(called != given)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:_SHOWN]
    unsure = np.argsort(margin, kind="stable")[:_SHOWN]
    mistakes = [
        (int(n), f"{label(labels, int(given[n]))}, called {label(labels, int(called[n]))} ({sure[n]:.1%})")
        for n in wrong
    ]
    between = [
        (
            int(n),
            f"{label(labels, int(called[n]))} {sure[n]:.1%} or {label(labels, int(second[n]))} "
            f"{found[n, second[n]]:.1%}; it is {label(labels, int(given[n]))}",
        )
        for n in unsure
    ]
    return {"The most confident mistakes": mistakes, "The least sure predictions": between}


def suspects(
    outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], labels: Sequence[str] = ()
) -> list[Suspect]:
    """Labels that are probably wrong, by confident learning (Northcutt, Jiang and Chuang, JAIR 2021).

    A net is sure of a class where it gives it at least the probability that it gives it on average to examples with
    that label. An example is suspected where the net is sure of another class than the given one, and not of that.

    Args:
        outputs: `probabilities` `(n, classes)` of nets that have not seen the examples.
        truth: `label` `(n,)`.
        labels: class names.

    Returns:
        The suspects, those first whose two probabilities are farthest apart.
    """
    found, given = likely(sole(outputs, OUTPUT)).astype(np.float64), truth["label"]
    rows = np.arange(len(found))
    own = found[rows, given]
    counts = np.bincount(given, minlength=found.shape[1])
    sums = np.bincount(given, weights=own, minlength=found.shape[1])
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    sure = found >= thresholds
    rivals = np.where(sure, found, -1.0)
    rivals[rows, given] = -1.0
    best = rivals.argmax(1)
    other = rivals[rows, best]
    places = np.flatnonzero(~sure[rows, given] & (other > own))
    places = places[np.argsort(own[places] - other[places], kind="stable")]
    return [
        Suspect(int(n), label(labels, int(given[n])), float(own[n]), label(labels, int(best[n])), float(other[n]))
        for n in places
    ]
