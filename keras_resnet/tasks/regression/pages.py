"""Sections of a report page about a regression: a chart of answers over truth, and the tables."""

from __future__ import annotations

import numpy as np

from keras_resnet import pictures
from keras_resnet.page import Html, render, table
from keras_resnet.tasks.regression.summaries import Summary

_MOST = 6  # values that are drawn


def sections(found: Summary) -> Html:
    """HTML sections, in the order of the page.

    Args:
        found: figures of a regression.
    """
    tables = [(each.title, table(each.title, each.columns, each.rows)) for each in found.tables()]
    charts = [("Answers and truth", pictures.svg(_chart(found), "Answers over the truth, one dot for each image."))]
    return Html(render("keras_resnet/tables.html", tables=[*tables, *charts]))


def _chart(found: Summary):
    names = [each.name for each in found.values[:_MOST]]
    made = pictures.figure(4.2 * len(names), 4)
    for number, (axes, name) in enumerate(zip(made.subplots(1, len(names), squeeze=False)[0], names, strict=True)):
        right, said = found.truth[:, number], found.found[:, number]
        ends = [float(np.min([right, said])), float(np.max([right, said]))]
        axes.plot(ends, ends, "--", color="#d55e00", linewidth=1)
        axes.plot(right, said, ".", color="#1b6ab3", markersize=4)
        axes.set(title=name, xlabel="truth", ylabel="answer")
    return made
