"""Sections of a report page about a classifier: classes, confusions, reliability."""

from __future__ import annotations

import numpy as np

from keras_resnet import pictures
from keras_resnet.page import Html, render, table
from keras_resnet.tasks.classification.reliability import Reliability
from keras_resnet.tasks.classification.summaries import Summary

_MANY = 40  # classes from which on the confusions are a list, not a matrix
_LISTED = 15


def sections(found: Summary) -> Html:
    """HTML sections, in the order of the page.

    Args:
        found: figures of a classifier.
    """
    listed, matrix = _confusions(found)
    tempered = None
    if found.tempered and found.temperature is not None:
        words = f"{found.temperature:.2f}, {found.fitted}"
        tempered = {"ece": _percent(found.tempered.ece), "temperature": words}
    text = render(
        "keras_resnet/classifier.html",
        classes=_classes(found),
        confusions=listed,
        matrix=matrix,
        ece=_percent(found.reliability.ece),
        tempered=tempered,
        diagram=_diagrams(found),
        bins=_bins(found.reliability),
    )
    return Html(text)


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"


def _classes(found: Summary) -> str:
    rows = [
        (
            each.name,
            each.count,
            _percent(each.accuracy),
            None if each.interval is None else f"{each.interval[0]:.1%} to {each.interval[1]:.1%}",
            each.taken_for,
        )
        for each in found.classes
    ]
    header = ("class", "images", "top-1", "95 % interval", "most often taken for")
    return table("Accuracy by class", header, rows)


def _confusions(found: Summary) -> tuple[str, dict[str, str] | None]:
    """The most frequent confusions, and all of them as a matrix where there are not too many classes."""
    counts, names = np.array(found.confusion), [each.name for each in found.classes]
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    worst = np.argsort(-wrong, axis=None, kind="stable")[:_LISTED]
    pairs = [divmod(int(place), len(counts)) for place in worst if wrong.flat[place]]
    rows = [(names[a], names[b], int(wrong[a, b]), _percent(wrong[a, b] / counts[a].sum())) for a, b in pairs]
    header = ("class", "taken for", "images", "share of the class")
    listed = table("The most frequent confusions", header, rows) if rows else ""
    return listed, None if len(counts) > _MANY else _matrix(counts, names)


def _matrix(counts: np.ndarray, names: list[str]) -> dict[str, str]:
    size = 3 + 0.45 * len(counts)
    made = pictures.figure(size + 0.8, size)
    axes = made.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="called", ylabel="class", xticks=range(len(names)), yticks=range(len(names)))
    axes.set_xticklabels(names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticklabels(names)
    letters = 9 if counts.max() < 1000 else 7  # of a cell of 32 points
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=letters)
    matrix = table(
        "Images of a class (row) that were called (column)",
        ("class", *names),
        [(name, *map(int, row)) for name, row in zip(names, counts, strict=True)],
    )
    chart = pictures.svg(made, f"Confusion matrix of {len(names)} classes; the table below has its numbers.")
    return {"chart": chart, "table": matrix}


def _diagrams(found: Summary) -> str:
    made = pictures.figure(8.5, 4)
    shown = [("as it is", found.reliability)]
    shown += [(f"temperature {found.temperature:.2f}", found.tempered)] if found.tempered else []
    for axes, (name, each) in zip(np.atleast_1d(made.subplots(1, len(shown), sharey=True)), shown, strict=True):
        _diagram(axes, name, each)
    return pictures.svg(made, f"Reliability diagram: accuracy over confidence. ECE {found.reliability.ece:.2%}.")


def _bins(found: Reliability) -> str:
    header = ("confidence", "images", "mean confidence", "accuracy")
    bins = len(found.counts)
    rows = [
        (f"{i / bins:.2f} to {(i + 1) / bins:.2f}", n, _percent(c) if n else None, _percent(a) if n else None)
        for i, (n, c, a) in enumerate(zip(found.counts, found.confidence, found.accuracy, strict=True))
    ]
    return table("Bins, as it is", header, rows)


def _diagram(axes, name: str, found: Reliability) -> None:
    bins = len(found.counts)
    filled = [i for i in range(bins) if found.counts[i]]
    left = [i / bins for i in filled]
    axes.bar(left, [found.accuracy[i] for i in filled], 1 / bins, align="edge", color="#5598d3", edgecolor="white")
    places = [found.confidence[i] for i in filled]
    axes.plot(places, [found.accuracy[i] for i in filled], "o", color="#1b1f24", markersize=3)
    axes.plot((0, 1), (0, 1), "--", color="#d55e00", linewidth=1)
    axes.set(title=f"{name}: ECE {found.ece:.2%}", xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
