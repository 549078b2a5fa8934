"""Sentences of pages that hold measured figures, with where these come from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from results import BENCHMARKS, content, found
from table import ROOT


@dataclass(frozen=True)
class Quote:
    """A sentence of a page that holds figures.

    Attributes:
        page: file, from the root.
        text: its words, with places for the values.
        values: gives the values.
    """

    page: str
    text: str
    values: Callable[[], dict[str, Any]]

    def said(self) -> str:
        """The words as they must stand there."""
        return re.sub(r"(?<=\d)%", " %", self.text.format(**self.values()))


def _steps() -> dict[str, Any]:
    steps = found("training")["resnet20_cifar"]
    return {"times": steps["keras, float32"]["step"] / steps["ours, bfloat16"]["step"]}


def _file(net: str) -> dict[str, Any]:
    rows = found("files")["rows"]
    row = next(row for row in rows if (row["net"], row["file"]) == (net, "tflite:int8"))
    return {**row, "kb": row["bytes"] / 1000}


def _smaller() -> dict[str, Any]:
    rows = [row for row in content("compression-kept")["rows"] if row["net"] == "ResNet-20" and not row["engine"]]
    whole, int8 = (next(row for row in rows if (row["processor"], row["precision"]) == ("VNNI", kind))
                   for kind in ("float32", "int8"))  # fmt: skip
    return {**_file("resnet20_cifar"), "whole": whole["bytes"] / 1000, "latency": int8["latency_ratio"]}


def _photos() -> dict[str, Any]:
    each = content("photos")["clothing"]
    low, high = each["test_interval"]
    figures = {"right": each["test_accuracy"], "int8": each["int8_test_accuracy"], "low": low, "high": high}
    return {**figures, "balanced": each["test_balanced_accuracy"]}


def _narrower() -> dict[str, Any]:
    rows = [row for row in content("compression-kept")["rows"] if row["what"] == "half the multiply-adds"]
    return {"drop": rows[0]["drop"]}


def _resnet20() -> dict[str, Any]:
    return found("evaluation")["alone"]["resnet20_cifar"]


def _notebook() -> dict[str, Any]:
    """Accuracies of the notebook from PyTorch to int8, as its last run printed them."""
    text = (ROOT / "examples" / "pytorch.ipynb").read_text(encoding="utf-8")
    net, int8 = re.findall(r"Scores\(top1=([0-9.]+)", text)
    return {"net": float(net), "int8": float(int8)}


def _digits() -> dict[str, Any]:
    right = [each["top1"] for each in found("recipes")["digits-resnet8"]]
    return {"low": f"{100 * min(right):.1f}", "high": max(right)}


def _duration() -> dict[str, Any]:
    minutes = {row.name: row.minutes for row in BENCHMARKS.values()}
    short = sum(minutes.values()) - minutes["compression"] - minutes["lab"]
    return {"hours": sum(minutes.values()) / 60, "short": short}


QUOTES = (
    Quote("README.md", "{low} to {high:.1%} of 360 handwritten digits right (three seeds)", _digits),
    Quote("docs/benchmarks.md", "(estimated: {hours:.0f} hours on two cores, {short} minutes without", _duration),
    Quote("README.md", "ResNet-20 on CIFAR-10: {top1:.2%} (the paper", _resnet20),
    Quote("README.md", "the same net in int8: {top1:.2%}, {kb:.0f} kB instead of {whole:,.0f}", _smaller),
    Quote("README.md", "{latency:.2f} of the time (on a processor with VNNI)", _smaller),
    Quote("README.md", "a training step of ResNet-20 in 1 / {times:.1f} of the time of Keras' `fit`", _steps),
    Quote("README.md", "no pretrained weights: {right:.1%}, as int8 {int8:.1%}", _photos),
    Quote("docs/photos.md", "{right:.1%} of the test photos right ({low:.1%} to {high:.1%})", _photos),
    Quote("docs/photos.md", "balanced accuracy {balanced:.1%}, as an int8 file {int8:.1%}", _photos),
    Quote("docs/weights.md", "the author's {net:.2%} here, and {int8:.2%} in int8", _notebook),
    Quote("docs/compression.md", "Half of ResNet-20's multiply-adds cost {drop:.1f} point", _narrower),
    Quote("docs/compression.md", "It costs ResNet-8 {drop:.2f} points and no training", lambda: _file("resnet8")),
)
