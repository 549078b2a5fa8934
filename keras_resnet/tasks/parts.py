"""What a task says of itself: its outputs, its score, its limits, what a training minimises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Output:
    """One tensor that a model gives.

    Attributes:
        name: name in every exported file, like `"probabilities"`.
        axes: meaning of every axis, like `("n", "classes")`.
        range: smallest and largest value that the network can give, known before any calibration; None: to be measured.
        labels: whether values are numbers of classes, uint8, between which there is no distance.
        floating: whether the output is float32 in every file, whatever the precision of the net is.
        ordered: whether a place in the array means the same in every file; answers in the order of their scores have
            no such places, and the task alone compares them.
    """

    name: str
    axes: tuple[str, ...]
    range: tuple[float, float] | None = None
    labels: bool = False
    floating: bool = False
    ordered: bool = True

    @property
    def dtype(self) -> str | None:
        """Dtype that every file has it in; None for the one that was asked for."""
        return "uint8" if self.labels else "float32" if self.floating else None

    @property
    def valued(self) -> bool:
        """Whether its values can be compared one by one."""
        return self.ordered and not self.labels


@dataclass(frozen=True)
class Score:
    """The headline figure of a task; larger is better.

    Attributes:
        name: words for tables, like `"top-1"`.
        key: name in JSON and in `Scores`, like `"top1"`.
        form: format of the figure as a fraction, like `"{:.2%}"`.
        per_example: whether the figure is the mean of one value per example, which makes paired intervals exact.
        of: what the figure is of, plural, where that is not examples: the task counts them (`counted`).
        decisive: number of examples, or of these, from which a drop is taken as it is found: of fewer, single ones
            decide, and a file fails only where the drop's whole interval lies beyond the limit.
    """

    name: str
    key: str
    form: str = "{:.2%}"
    per_example: bool = True
    of: str = ""
    decisive: int = 100

    @property
    def title(self) -> str:
        """The name at the beginning of a line: `"Top-1"`, `"mAP"`."""
        return self.name.capitalize() if self.name.islower() else self.name

    def text(self, value: float | None) -> str | None:
        """The figure as people read it; None for none."""
        return None if value is None else self.form.format(value)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an exported file may change the answers, in one precision.

    Attributes:
        agreement: smallest mean agreement with the Keras model, 0 to 1.
        drop: largest loss of the headline score, in points of a hundred.
        reason: why these figures.
    """

    agreement: float
    drop: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """What a training minimises and watches.

    Attributes:
        loss: what `keras.Model.compile` takes as `loss`.
        loss_weights: what it takes as `loss_weights`; None for one output.
        metrics: what it takes as `weighted_metrics`.
        watch: name of the metric, without `val_`, whose best value on the validation split is kept.
        larger_is_better: direction of `watch`; equal values are decided by the loss.
        form: format of the watched value, like `"{:.2%}"`.
        by_scorer: whether the watched figure is the task's own score, which its scorer finds on the validation examples
            after every epoch, and no metric of `metrics`.
        as_error: whether charts show the watched value as an error: 1 - value, in per cent.
    """

    loss: Any
    loss_weights: Mapping[str, float] | None = None
    metrics: Any = None
    watch: str = "loss"
    larger_is_better: bool = False
    form: str = "{:.4f}"
    by_scorer: bool = False
    as_error: bool = False
