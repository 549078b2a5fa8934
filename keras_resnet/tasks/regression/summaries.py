"""Everything that answers say about a regression: errors with their intervals, beside those of the mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.regression.scores import Scores, errors, scorer
from keras_resnet.tasks.regression.settings import OUTPUT, TRUTH, name_of
from keras_resnet.tasks.results import Table, bootstrapped

Interval = tuple[float, float]


@dataclass(frozen=True)
class ValueFigures:
    """Figures of one value.

    Attributes:
        name: name of the value.
        mae: mean absolute error.
        mae_interval: its 95 % interval, over 1,000 samples of the examples, as are the others.
        rmse: root of the mean squared error.
        rmse_interval: its interval.
        r2: share of the variance that is explained; None where the truth does not vary.
        r2_interval: its interval.
        mae_of_mean: MAE of always the training mean; None where the card has none.
    """

    name: str
    mae: float
    mae_interval: Interval
    rmse: float
    rmse_interval: Interval
    r2: float | None
    r2_interval: Interval | None
    mae_of_mean: float | None


@dataclass(frozen=True)
class Summary:
    """What a test split says about a regression.

    Attributes:
        scores: figures of all examples.
        values: figures of every value.
        found: answers, float32 `(n, k)`.
        truth: what is right, float32 `(n, k)`.
    """

    scores: Scores
    values: tuple[ValueFigures, ...]
    found: np.ndarray
    truth: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types; `scores` at the top."""
        return {**self.scores.to_json(), "values": [vars(each) for each in self.values]}

    def figures(self) -> dict[str, str]:
        """The main figures by name, for one row of a table."""
        figures = self.scores.figures()
        if len(self.values) == 1:
            (only,) = self.values
            low, high = only.mae_interval
            figures = {"MAE": figures.pop("MAE"), "95 % interval": f"{low:.4g} .. {high:.4g}", **figures}
        return figures

    def tables(self) -> Iterator[Table]:
        """Every value with its intervals."""
        columns = ("value", "MAE", "95 % interval", "RMSE", "95 % interval", "R2", "95 % interval", "MAE of the mean")
        yield Table("Values", columns, tuple(map(_row, self.values)))

    def notes(self) -> Iterator[str]:
        """Sentences below the tables."""
        for each in self.values:
            if each.mae_of_mean:
                yield f"{each.name}: {each.mae / each.mae_of_mean:.0%} of the error of always the training mean"

    def warnings(self) -> Iterator[str]:
        """No warnings."""
        yield from ()


def _row(each: ValueFigures) -> tuple[object, ...]:
    def interval(found: Interval | None, form: str) -> str | None:
        return None if found is None else f"{found[0]:{form}} .. {found[1]:{form}}"

    return (
        each.name,
        f"{each.mae:.4g}",
        interval(each.mae_interval, ".4g"),
        f"{each.rmse:.4g}",
        interval(each.rmse_interval, ".4g"),
        None if each.r2 is None else f"{each.r2:.4f}",
        interval(each.r2_interval, ".4f"),
        None if each.mae_of_mean is None else f"{each.mae_of_mean:.4g}",
    )


def summary(
    outputs: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    *,
    labels: Sequence[str] = (),
    fitted_on: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None = None,
    logits: bool = False,
    cross_fit: str = "",
    card: ModelCard | None = None,
) -> Summary:
    """Judges answers.

    Args:
        outputs: `values` `(n, k)`.
        truth: `values`, float32 `(n, k)`.
        labels: not used: the names of the values are the card's.
        fitted_on: not used.
        logits: not used.
        cross_fit: not used.
        card: card of the model, which has names, means and ranges of the training values.
    """
    del labels, fitted_on, logits, cross_fit
    card = card or ModelCard()
    adding = scorer(card)
    adding.update(outputs, truth)
    found, known = sole(outputs, OUTPUT), truth[TRUTH]
    values = tuple(_figures(card, found, known, number) for number in range(known.shape[1]))
    return Summary(adding.result(), values, found, known)


def _figures(card: ModelCard, found: np.ndarray, truth: np.ndarray, number: int) -> ValueFigures:
    one, right = found[:, [number]], truth[:, [number]]
    mae, rmse, r2 = (float(each[0]) for each in errors(one, right))
    intervals = bootstrapped(lambda rows: np.array(errors(one[rows], right[rows]))[:, 0], len(right))
    means = card.facts.get("mean") or ()
    return ValueFigures(
        name=name_of(card.facts, number),
        mae=mae,
        mae_interval=intervals[0],
        rmse=rmse,
        rmse_interval=intervals[1],
        r2=r2 if np.isfinite(r2) else None,
        r2_interval=intervals[2] if np.isfinite(r2) else None,
        mae_of_mean=float(np.abs(right - means[number]).mean()) if number < len(means) else None,
    )
