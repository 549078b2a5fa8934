"""Sections of a report page about objects: classes, curves, confusions, sizes, how far scores are to be believed."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet import pictures
from keras_resnet.page import Html, render, table
from keras_resnet.tasks.detection.matches import RECALLS
from keras_resnet.tasks.detection.reports import BACKGROUND, Detailed

_MANY = 40  # classes from which on the confusions are a list, not a matrix
_LISTED = 15
_DRAWN = 8  # curves in a chart
_AT = (0, 20, 40, 60, 80, 100)  # places of recalls in a table


def sections(found: Any) -> Html:
    """HTML sections, in the order of the page.

    Args:
        found: summary of a detection, `Detailed` or plain scores.
    """
    if not isinstance(found, Detailed):
        rows = [(each.title, table(each.title, each.columns, each.rows)) for each in found.tables()]
        return Html(render("keras_resnet/tables.html", tables=rows))
    counts = np.array(found.confusion, np.int64)
    text = render(
        "keras_resnet/boxes.html",
        classes=_classes(found),
        sizes=_sizes(found),
        curves=[_curves(found, place, overlap) for place, overlap in enumerate(("0.5", "0.75"))]
        if found.curves
        else [],
        listed=_listed(counts, found.names),
        matrix=None if len(found.names) > _MANY else _matrix(counts, found.names),
        calibration=_calibration(found),
        threshold=f"{found.threshold:g}",
    )
    return Html(text)


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"


def _classes(found: Detailed) -> Html:
    rows = []
    for name, each in found.scores.classes.items():
        at_75 = float(np.mean(found.curves[name][1])) if name in found.curves else None
        rows.append((name, each.objects, *map(_percent, (each.ap, each.ap50, at_75, each.found))))
    header = ("class", "objects", "AP", "AP at 0.5", "AP at 0.75", "found")
    return table("Figures by class", header, rows)


def _sizes(found: Detailed) -> Html:
    scores = found.scores
    figures = {"small": scores.ap_small, "medium": scores.ap_medium, "large": scores.ap_large}
    words = {"small": "below 32 x 32", "medium": "32 x 32 to below 96 x 96", "large": "from 96 x 96 on"}
    rows = [(name, words[name], found.sizes[name], _percent(value)) for name, value in figures.items()]
    return table("AP by size, in pixels of the whole picture", ("size", "pixels", "objects", "AP"), rows)


def _curves(found: Detailed, place: int, overlap: str) -> dict[str, Any]:
    """Precision over recall, of a few classes where there are many, and of the mean of all."""
    own = {name: np.array(both[place]) for name, both in found.curves.items()}
    worst = sorted(own, key=lambda name: float(own[name].mean()))[: _DRAWN - 1]
    shown = {name: values for name, values in own.items() if len(own) < _DRAWN or name in worst}
    if len(own) > 1:
        shown["mean of all classes"] = np.mean(list(own.values()), axis=0)
    curves = {name: (100 * RECALLS, 100 * values) for name, values in shown.items()}
    title = f"Precision and recall at overlap {overlap}"
    chart = pictures.lines(title, curves, "recall: objects found, in %", "precision: answers that are right, in %")
    chart.axes[0].set(xlim=(0, 100), ylim=(0, 102))
    few = f"of the {_DRAWN - 1} classes with the smallest area below it" if len(own) >= _DRAWN else ""
    header = ("class", *(f"recall {RECALLS[n]:.0%}" for n in _AT))
    rows = [(name, *(f"{values[n]:.1%}" for n in _AT)) for name, values in own.items()]
    return {
        "few": few,
        "chart": pictures.svg(chart, f"{title} {few}; the table below has numbers of all classes."),
        "table": table(f"Precision by recall at overlap {overlap}", header, rows),
    }


def _listed(counts: np.ndarray, names: list[str]) -> Html | str:
    """The most frequent confusions, also with nothing."""
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    worst = np.argsort(-wrong, axis=None, kind="stable")[:_LISTED]
    pairs = [divmod(int(place), len(counts)) for place in worst if wrong.flat[place]]
    rows = []
    for true, called in pairs:
        share = None if true == len(counts) - 1 else f"{wrong[true, called] / counts[true].sum():.2%}"
        rows.append((names[true], names[called], int(wrong[true, called]), share))
    header = ("object", "taken for", "times", "share of the class")
    return table("The most frequent confusions", header, rows) if rows else ""


def _matrix(counts: np.ndarray, names: list[str]) -> dict[str, Html]:
    """Shares of a class's objects by answer, as a chart and as a table of numbers; the last row has numbers alone."""
    objects = counts[:-1]
    shares = objects / np.maximum(objects.sum(axis=1, keepdims=True), 1)
    words = "Objects of a class (row) that were called (column), of a hundred"
    made = pictures.matrix(shares, names[:-1], names, "called", "class")
    rows = [(name, *map(int, row)) for name, row in zip(names, counts, strict=True)]
    return {
        "chart": pictures.svg(made, f"{words}: {len(names) - 1} classes; the table below has the numbers."),
        "table": table(f"Objects (row) that were called (column); {BACKGROUND} where none is", ("class", *names), rows),
    }


def _calibration(found: Detailed) -> dict[str, Html] | None:
    """How many of the answers with about a score are right."""
    there = [each for each in found.calibration if each.score is not None and each.right is not None]
    if not there:
        return None
    curves = {
        "answers": ([100 * (each.score or 0) for each in there], [100 * (each.right or 0) for each in there]),
        "score and share are equal": ([0.0, 100.0], [0.0, 100.0]),
    }
    chart = pictures.lines("Answers that are right, by score", curves, "mean score, in %", "right, in %", marker="o")
    chart.axes[0].set(xlim=(0, 100), ylim=(0, 102))
    rows = [
        (f"{each.low:.1f} to {each.high:.1f}", each.count, _percent(each.score), _percent(each.right))
        for each in found.calibration
    ]
    return {
        "chart": pictures.svg(chart, "Share of right answers over their score; the table below has the numbers."),
        "table": table("Answers by score", ("score", "answers", "mean score", "right"), rows),
    }
