"""Compares a file with its Keras model, chunk by chunk: values output by output, answers by the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data.dataset import end_to_end
from keras_resnet.tasks import Output, Task, get_task
from keras_resnet.tasks.results import RedrawnScorer, Scorer, redrawn

_OUTLIERS = 1000  # one of so many examples
_MAX_DB = 200.0  # of equal outputs, which have no noise
_BLOCK = 64_000_000  # bytes of outputs that are compared at once
DECISIVE = 100  # examples from which a share or a drop is taken as it is found: one of fewer is worth more than a point
_DRAWS, _DECIDING_DRAWS = 1000, 2000  # of a bootstrap whose interval is shown, and of one by which a file fails


def sqnr(reference: np.ndarray, outputs: np.ndarray) -> float:
    """Ratio of signal to noise in dB: `10 log10(sum(reference^2) / sum((reference - outputs)^2))`, at most 200.

    Args:
        reference: array of any shape.
        outputs: array of that shape.
    """
    return _decibels(*_powers(reference, outputs))


def _powers(reference: np.ndarray, outputs: np.ndarray) -> tuple[float, float]:
    """Sums of squares of signal and noise."""
    signal = float(np.square(reference, dtype=np.float64).sum())
    return signal, float(np.square(reference.astype(np.float64) - outputs).sum())


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return _MAX_DB
    with np.errstate(divide="ignore"):
        ratio = 10 * float(np.log10(max(signal, 1e-300) / noise))
    return min(ratio, _MAX_DB)  # in this order nan stays nan, which no gate lets pass


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Values of one output beside those of Keras.

    Attributes:
        max_abs: largest difference; nan where a value is not finite.
        max_abs_of_most: largest difference without the worst thousandth of the examples (which is none of less than a
            thousand).
        cosine: mean cosine similarity of an example's values; of an output with one value for each example that of all
            examples together, as one number has no direction.
        sqnr: signal to noise in dB.
        scale: largest absolute value of Keras, at least one.
    """

    max_abs: float
    max_abs_of_most: float
    cosine: float
    sqnr: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A file beside its Keras model, over the same examples.

    Attributes:
        task: row of `TASKS`.
        figures: values by output, those of the task first; none of numbers of classes, or where the interface is wrong.
        answers: names of the task's outputs.
        agreement: mean agreement of the answers, 0 to 1.
        agreement_interval: the agreement's 95 % interval over samples of the examples; None where it was not asked for.
        score: headline figure of the file as a fraction, None without truth.
        score_reference: headline figure of Keras, None without truth.
        drop: loss of the file in points of a hundred, None without truth.
        drop_error: half the width of the drop's 95 % confidence interval, None where it is not known.
        drop_interval: the drop's 95 % interval over samples of the examples, in points; None where it is not known.
        shares: more shares of equal answers by what they are called, which no gate judges.
        count: number of examples.
        noun: what examples are called.
        too_few: how many, and of what, are too few to decide on a drop; empty where they are not.
        interface: what is wrong with names, shapes and dtypes; values are not compared then.
    """

    task: str = "classification"
    figures: Mapping[str, Figures] = field(default_factory=dict)
    answers: tuple[str, ...] = ()
    agreement: float | None = None
    agreement_interval: tuple[float, float] | None = None
    score: float | None = None
    score_reference: float | None = None
    drop: float | None = None
    drop_error: float | None = None
    drop_interval: tuple[float, float] | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    count: int = 0
    noun: str = "examples"
    too_few: str = ""
    interface: tuple[str, ...] = ()

    @property
    def first(self) -> Figures | None:
        """Values of the most important output."""
        return next(iter(self.figures.values()), None)

    @property
    def sqnr(self) -> dict[str, float]:
        """Signal to noise in dB by output."""
        return {name: each.sqnr for name, each in self.figures.items()}


class _Values:
    """Sums over the values of one output."""

    def __init__(self) -> None:
        self._largest: list[np.ndarray] = []
        self._cosines: list[np.ndarray] = []
        self._signal = self._noise = 0.0
        self._scale = 1.0
        self._single = np.zeros(3)  # products of one value with the other, and with themselves

    def update(self, theirs: np.ndarray, ours: np.ndarray) -> None:
        signal, noise = _powers(theirs, ours)
        self._signal, self._noise = self._signal + signal, self._noise + noise
        rows, others = (each.reshape(len(each), -1) for each in (theirs, ours))
        if rows.shape[1] > 1:
            norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(others, axis=1)
            self._cosines.append((rows * others).sum(axis=1) / np.maximum(norms, 1e-30))
        else:
            pairs = ((rows, others), (rows, rows), (others, others))
            self._single += [float(np.multiply(a, b, dtype=np.float64).sum()) for a, b in pairs]
        self._largest.append(np.abs(rows - others).max(axis=1))
        self._scale = max(self._scale, float(np.abs(theirs).max()))

    def result(self) -> Figures:
        largest = np.sort(np.concatenate(self._largest))  # nan comes last
        most = largest[-1 - len(largest) // _OUTLIERS]
        return Figures(
            max_abs=float(largest[-1]),
            max_abs_of_most=float(most if np.isfinite(largest[-1]) else largest[-1]),
            cosine=self._cosine(),
            sqnr=_decibels(self._signal, self._noise),
            scale=self._scale,
        )

    def _cosine(self) -> float:
        if self._cosines:
            return float(np.concatenate(self._cosines).mean())
        product, *squares = self._single
        return float(product / max(np.sqrt(squares[0] * squares[1]), 1e-30))


class Comparer:
    """Adds up what a file and its Keras model say of the same examples.

    A few numbers are kept of every example, and outputs only until there is a block of them to be compared.
    """

    def __init__(self, card: ModelCard, answers: Sequence[Output]):
        """Starts without examples.

        Args:
            card: card that says what the outputs are.
            answers: the task's outputs; others are compared by their values alone, and numbers of classes by the task.
        """
        self._task: Task = get_task(card.task)
        self._card, self._answers = card, tuple(each.name for each in answers)
        self._unvalued = {each.name for each in answers if not each.valued}
        self._waiting: list[tuple[Mapping, Mapping, Mapping]] = []
        self._bytes = 0
        self._values: dict[str, _Values] = {}
        self._agreement: list[np.ndarray] = []
        self._shares: dict[str, list[np.ndarray]] = {}
        self._count = self._counted = 0
        self._scorers: tuple[Scorer, Scorer] | None = None

    def update(
        self, reference: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]
    ) -> None:
        """Adds a chunk of examples.

        Args:
            reference: Keras' float32 outputs by name, one row per example; those of the task first.
            outputs: outputs of the file, of the same names and shapes.
            truth: arrays by kind of truth, one row per example; empty where nothing is known.
        """
        self._waiting.append((reference, outputs, truth))
        self._bytes += sum(values.nbytes for values in reference.values())
        if self._bytes >= _BLOCK:
            self._compare()

    def _compare(self) -> None:
        """Compares what has come together."""
        if not self._waiting:
            return
        reference, outputs, truth = (end_to_end([each[i] for each in self._waiting]) for i in range(3))
        self._waiting, self._bytes = [], 0
        with np.errstate(invalid="ignore"):  # outputs that are not finite give nan, which no gate lets pass
            for name, values in reference.items():
                if name in self._unvalued:
                    continue
                self._values.setdefault(name, _Values()).update(values, outputs[name])
        theirs, ours = ({name: each[name] for name in self._answers} for each in (reference, outputs))
        self._count += len(next(iter(theirs.values())))
        self._agreement.append(self._task.code.agreement(theirs, ours, self._card, truth))
        if hasattr(self._task.code, "shares"):
            for name, share in self._task.capable.shares(theirs, ours, self._card).items():
                self._shares.setdefault(name, []).append(share)
        if truth:
            self._counted += (
                self._task.capable.counted(truth) if self._task.score.of else len(next(iter(truth.values())))
            )
            if self._scorers is None:
                self._scorers = self._task.code.scorer(self._card), self._task.code.scorer(self._card)
            for scorer, found in zip(self._scorers, (theirs, ours), strict=True):
                scorer.update(found, truth)

    def result(self) -> Comparison:
        """Figures of all examples."""
        self._compare()
        names = sorted(self._values, key=lambda name: name not in self._answers)
        agreement = np.concatenate(self._agreement)
        shares = {name: np.concatenate(each) for name, each in self._shares.items()}
        score, noun = self._task.score, "images" if self._card.signal == "image" else "examples"
        return Comparison(
            task=self._task.name,
            figures={name: self._values[name].result() for name in names},
            answers=self._answers,
            agreement=float(agreement.mean()) if len(agreement) else float("nan"),  # which no gate lets pass
            agreement_interval=_of_mean(agreement, few=True) if 0 < len(agreement) < DECISIVE else None,
            shares={name: float(np.mean(found)) for name, found in shares.items() if len(found)},
            count=self._count,
            noun=noun,
            too_few=f"{self._counted} {score.of or noun}" if self._counted < score.decisive else "",
            **(_scores(*self._scorers, self._counted < score.decisive, score.per_example) if self._scorers else {}),
        )


def _scores(theirs: Scorer, ours: Scorer, few: bool, per_example: bool) -> dict[str, Any]:
    """Headline figures, the drop, its error and its interval; by that interval a file of `few` examples fails."""
    if per_example:
        lost = 100 * (theirs.examples - ours.examples)
        score, reference, drop = float(ours.examples.mean()), float(theirs.examples.mean()), float(lost.mean())
        error: float | None = float(1.96 * lost.std() / len(lost) ** 0.5)
        interval: tuple[float, float] | None = _of_mean(lost, few)
    else:
        score, reference = _figure(ours), _figure(theirs)
        drop, interval = 100 * (reference - score), _redrawn(theirs, ours, few)
        error = None if interval is None else (interval[1] - interval[0]) / 2
    figures = {"score": score, "score_reference": reference, "drop": drop}
    return {**figures, "drop_error": error, "drop_interval": interval}


def _figure(scorer: Scorer) -> float:
    """The headline figure, without the intervals that some scorers find with their other figures."""
    value = scorer.drawn(np.arange(scorer.count)) if isinstance(scorer, RedrawnScorer) else np.nan
    return float(scorer.result().value) if np.isnan(value) else float(value)


def _redrawn(theirs: Scorer, ours: Scorer, few: bool) -> tuple[float, float] | None:
    """The drop's interval where the score is no mean; None where the scorers cannot be asked."""
    if not (isinstance(theirs, RedrawnScorer) and isinstance(ours, RedrawnScorer)):
        return None

    def often(samples: np.ndarray) -> np.ndarray:
        found, known = (np.asarray(each.drawn_often(samples)) for each in (ours, theirs))  # type: ignore[attr-defined]
        return 100 * (known - found)

    fast = hasattr(theirs, "drawn_often") and hasattr(ours, "drawn_often")
    return _bootstrapped(
        lambda chosen: 100 * (theirs.drawn(chosen) - ours.drawn(chosen)), ours.count, few, often if fast else None
    )


def _of_mean(values: np.ndarray, few: bool) -> tuple[float, float]:
    return _bootstrapped(lambda chosen: float(values[chosen].mean()), len(values), few)


def _bootstrapped(
    lost: Callable[[np.ndarray], float],
    count: int,
    few: bool,
    often: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[float, float]:
    """95 % interval of what is lost: examples are drawn again and again, the same for both."""
    found = redrawn(lost, count, _DECIDING_DRAWS if few else _DRAWS, often)
    low, high = np.percentile(found, [2.5, 97.5])  # nan stays nan, which no gate lets pass
    return float(low), float(high)


def compare(
    reference: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray] | None,
    card: ModelCard,
    answers: Sequence[str],
) -> Comparison:
    """Compares outputs that are in memory.

    Args:
        reference: Keras' float32 outputs by name, one row per example.
        outputs: outputs of the file, of the same names and shapes.
        truth: arrays by kind of truth, or None.
        card: card of the Keras model.
        answers: names of the task's outputs.
    """
    comparer = Comparer(card, [Output(name, ()) for name in answers])
    comparer.update(reference, outputs, truth or {})
    return comparer.result()
