"""Figures of values `(n, k)`: errors in their units, R2, and errors in units of the training range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.regression.settings import OUTPUT, TRUTH, name_of, spans


@dataclass(frozen=True)
class Scores:
    """Figures over a split, by name of the value.

    Attributes:
        closeness: 1 - mean absolute error in units of the training range, mean over the values.
        mae: mean absolute errors.
        rmse: roots of the mean squared errors.
        r2: shares of the variance that are explained; None where the truth does not vary.
        count: number of examples.
    """

    closeness: float
    mae: dict[str, float]
    rmse: dict[str, float]
    r2: dict[str, float | None]
    count: int

    @property
    def value(self) -> float:
        """The headline figure."""
        return self.closeness

    def figures(self) -> dict[str, str]:
        """The figures by name, for one row of a table; of several values each."""
        return {
            "MAE": _text(self.mae, "{:.4g}"),
            "RMSE": _text(self.rmse, "{:.4g}"),
            "R2": _text(self.r2, "{:.4f}"),
            "1 - MAE / range": f"{self.closeness:.2%}",
        }

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return asdict(self)


def _text(figures: Mapping[str, float | None], form: str) -> str:
    said = ["-" if value is None else form.format(value) for value in figures.values()]
    return said[0] if len(said) == 1 else ", ".join(f"{n} {s}" for n, s in zip(figures, said, strict=True))


def errors(found: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MAE, RMSE and R2 of every value: float64 `(k,)` each; R2 is nan where the truth does not vary.

    Args:
        found: `(n, k)`.
        truth: `(n, k)`.
    """
    apart = found.astype(np.float64) - truth
    spread = np.square(truth - truth.mean(axis=0, dtype=np.float64)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = np.where(spread > 0, 1 - np.square(apart).sum(axis=0) / spread, np.nan)
    return np.abs(apart).mean(axis=0), np.sqrt(np.square(apart).mean(axis=0)), explained


class Scorer:
    """Adds up answers chunk by chunk; see `tasks.results.Scorer`."""

    def __init__(self, card: ModelCard) -> None:
        """Starts without examples."""
        self._card = card
        self._found: list[np.ndarray] = []
        self._truth: list[np.ndarray] = []

    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate(self._found), np.concatenate(self._truth)

    @property
    def examples(self) -> np.ndarray:
        """1 - the mean absolute error of every example so far, in units of the training range: float64 `(n,)`."""
        if not self._found:
            return np.empty(0)
        found, truth = self._all()
        return 1 - (np.abs(found.astype(np.float64) - truth) / spans(self._card.facts, truth)).mean(axis=1)

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk of examples.

        Args:
            outputs: `values` `(n, k)`, or the only output of a foreign file.
            truth: `values`, float32 `(n, k)`.

        Raises:
            InputError: other numbers of values.
        """
        found, known = np.asarray(sole(outputs, OUTPUT)), np.asarray(truth[TRUTH])
        if found.shape != known.shape:
            raise InputError(
                f"the dataset has {known.shape[-1]} values, the model {found.shape[-1]}: they do not belong together"
            )
        self._found.append(found)
        self._truth.append(known)

    def result(self) -> Scores:
        """The figures of all examples so far."""
        found, truth = self._all()
        names = [name_of(self._card.facts, number) for number in range(truth.shape[1])]
        mae, rmse, r2 = (dict(zip(names, map(float, column), strict=True)) for column in errors(found, truth))
        explained = {name: value if np.isfinite(value) else None for name, value in r2.items()}
        return Scores(float(self.examples.mean()), mae, rmse, explained, len(truth))


def scorer(card: ModelCard) -> Scorer:
    """A new scorer.

    Args:
        card: card of the model, which has the training range.
    """
    return Scorer(card)


def agreement(
    reference: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    card: ModelCard,
    truth: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """1 - the mean difference of two models in units of the training range, from 0: float64 `(n,)`.

    Args:
        reference: outputs of one model by name.
        outputs: outputs of the other model by name.
        card: card of the models, which has the range.
        truth: not used.
    """
    del truth
    one, other = sole(reference, OUTPUT).astype(np.float64), sole(outputs, OUTPUT)
    return (1 - (np.abs(one - other) / spans(card.facts, one)).mean(axis=1)).clip(0)
