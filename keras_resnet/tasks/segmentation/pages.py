"""Sections of a report page about masks: classes, confusion of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet import pictures
from keras_resnet.page import Html, render, table
from keras_resnet.tasks.segmentation.reports import Detailed

_MANY = 40  # classes from which on the confusions are a list, not a matrix
_LISTED = 15


def sections(found: Any) -> Html:
    """HTML sections, in the order of the page.

    Args:
        found: summary of a segmentation, `Detailed` or plain scores.
    """
    if not isinstance(found, Detailed):
        rows = [(each.title, table(each.title, each.columns, each.rows)) for each in found.tables()]
        return Html(render("keras_resnet/tables.html", tables=rows))
    counts = np.array(found.confusion, np.int64)
    names = list(found.boundary_f)
    listed = _listed(counts, names)
    text = render(
        "keras_resnet/masks.html",
        classes=_classes(found, counts),
        listed=listed,
        matrix=None if len(names) > _MANY else _matrix(counts, names),
    )
    return Html(text)


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"


def _classes(found: Detailed, counts: np.ndarray) -> Html:
    shares = counts.sum(axis=1) / max(counts.sum(), 1)
    scores = found.scores
    rows = []
    for (name, boundary), share in zip(found.boundary_f.items(), shares, strict=True):
        interval = scores.iou_intervals.get(name)
        words = None if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}"
        rows.append((name, f"{share:.2%}", _percent(scores.iou.get(name)), words, _percent(boundary)))
    return table("Figures by class", ("class", "share of pixels", "IoU", "95 % interval", "boundary F"), rows)


def _listed(counts: np.ndarray, names: list[str]) -> Html | str:
    """The most frequent confusions."""
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    worst = np.argsort(-wrong, axis=None, kind="stable")[:_LISTED]
    pairs = [divmod(int(place), len(counts)) for place in worst if wrong.flat[place]]
    rows = [
        (names[a], names[b], f"{wrong[a, b] / counts[a].sum():.2%}", f"{wrong[a, b] / counts.sum():.2%}")
        for a, b in pairs
    ]
    header = ("class", "taken for", "share of the class", "share of all pixels")
    return table("The most frequent confusions", header, rows) if rows else ""


def _matrix(counts: np.ndarray, names: list[str]) -> dict[str, Html]:
    """Shares of a class's pixels by answer, as a chart and as a table."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    made = pictures.matrix(shares, names, names, "called", "class")
    rows = [
        (name, *(f"{share:.1%}" if total else None for share in row))
        for name, row, total in zip(names, shares, counts.sum(axis=1), strict=True)
    ]
    words = "Pixels of a class (row) that were called (column), of a hundred"
    return {
        "chart": pictures.svg(made, f"{words}: {len(names)} classes; the table below has the numbers."),
        "table": table("Pixels of a class (row) that were called (column)", ("class", *names), rows),
    }
