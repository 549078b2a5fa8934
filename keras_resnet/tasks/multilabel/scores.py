"""Figures of tags `(n, classes)`: mean average precision, F1 at the thresholds, area below the ROC curve, agreement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.multilabel import thresholds
from keras_resnet.tasks.multilabel.answers import probabilities_of
from keras_resnet.tasks.multilabel.settings import OUTPUT, TRUTH


@dataclass(frozen=True)
class Scores:
    """Figures over a split, as fractions. Tags that no example has, or all have, count where they are defined.

    Attributes:
        map: mean over the tags of the average precision.
        macro_f1: mean over the tags of F1 at their thresholds.
        micro_f1: F1 of all tags of all examples together.
        auc: mean over the tags of the area below the ROC curve; None where it is defined for none.
        count: number of examples.
    """

    map: float
    macro_f1: float
    micro_f1: float
    auc: float | None
    count: int

    @property
    def value(self) -> float:
        """The headline figure: mean average precision."""
        return self.map

    def figures(self) -> dict[str, str]:
        """The figures by name, for one row of a table."""
        auc = "-" if self.auc is None else f"{self.auc:.4f}"
        return {
            "mAP": f"{self.map:.2%}",
            "macro F1": f"{self.macro_f1:.2%}",
            "micro F1": f"{self.micro_f1:.2%}",
            "AUC": auc,
        }

    def to_json(self) -> dict[str, float | int | None]:
        """The fields as JSON types."""
        return asdict(self)


def average_precisions(probabilities: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Average precision of every tag, as scikit-learn has it: float64 `(classes,)`, nan for one that no example has.

    Args:
        probabilities: `(N, classes)`.
        tags: `(N, classes)`.
    """
    return np.array([_average_precision(p, t) for p, t in zip(probabilities.T, tags.T, strict=True)])


def _average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[:-1] != ordered[1:], True))  # equal scores come at once
    right = np.cumsum(truth[order], dtype=np.float64)[ends]
    if right[-1] == 0:
        return float("nan")
    return float((np.diff(right, prepend=0.0) * right / (ends + 1)).sum() / right[-1])


def mean_average_precision(probabilities: np.ndarray, tags: np.ndarray) -> float:
    """Mean of `average_precisions` over the tags that an example has; 0 where none has any."""
    found = average_precisions(probabilities, tags)
    return float(np.nanmean(found)) if np.isfinite(found).any() else 0.0


def areas(probabilities: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Area below the ROC curve of every tag: float64 `(classes,)`, nan where all examples have it or none has.

    Args:
        probabilities: `(N, classes)`.
        tags: `(N, classes)`.
    """
    from sklearn.metrics import roc_auc_score

    several = [0 < each.sum() < len(each) for each in tags.T]
    pairs = zip(probabilities.T, tags.T, several, strict=True)
    return np.array([roc_auc_score(t, p) if good else np.nan for p, t, good in pairs])


def f1(called: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """F1 of every column: float64 `(classes,)`, nan where the tag neither is there nor is called.

    Args:
        called: bool `(N, classes)`.
        tags: `(N, classes)`.
    """
    right = (called & (tags > 0)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return 2 * right / (called.sum(axis=0) + (tags > 0).sum(axis=0))


def score(probabilities: np.ndarray, tags: np.ndarray, limits: np.ndarray) -> Scores:
    """Figures from outputs.

    Args:
        probabilities: float `(N, classes)`.
        tags: 0 or 1, `(N, classes)`.
        limits: threshold of every tag, `(classes,)`.

    Raises:
        InputError: the dataset has other tags than the model.
    """
    check_width(probabilities, tags)
    called = probabilities >= limits
    each, all_of_them = f1(called, tags), f1(called.reshape(-1, 1), tags.reshape(-1, 1))
    area = areas(probabilities, tags)
    return Scores(
        map=mean_average_precision(probabilities, tags),
        macro_f1=_mean(each) or 0.0,
        micro_f1=_mean(all_of_them) or 0.0,
        auc=_mean(area),
        count=len(tags),
    )


def check_width(probabilities: np.ndarray, tags: np.ndarray) -> None:
    """Refuses a dataset of other tags than the model's."""
    if probabilities.shape != tags.shape:
        raise InputError(
            f"the dataset has {tags.shape[-1]} tags, the model {probabilities.shape[-1]}: they do not belong together"
        )


def _mean(values: np.ndarray) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


class Scorer:
    """Adds up answers chunk by chunk; see `tasks.results.RedrawnScorer`."""

    def __init__(self, card: ModelCard) -> None:
        """Starts without examples."""
        self._card = card
        self._answers: list[np.ndarray] = []
        self._tags: list[np.ndarray] = []

    @property
    def examples(self) -> np.ndarray:
        """Nothing: mean average precision is no mean over examples."""
        return np.empty(0)

    @property
    def count(self) -> int:
        """Number of examples so far."""
        return sum(map(len, self._tags))

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk of examples.

        Args:
            outputs: `probabilities` `(n, classes)`, or the only output of a foreign file.
            truth: `tags`, `(n, classes)`.
        """
        self._answers.append(probabilities_of(np.asarray(sole(outputs, OUTPUT))))
        self._tags.append(np.asarray(truth[TRUTH]))

    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        if len(self._tags) > 1:
            self._answers, self._tags = [np.concatenate(self._answers)], [np.concatenate(self._tags)]
        return self._answers[0], self._tags[0]

    def drawn(self, indices: np.ndarray) -> float:
        """Mean average precision over a sample of the examples; see `tasks.results.RedrawnScorer`."""
        probabilities, tags = self._all()
        return mean_average_precision(probabilities[indices], tags[indices])

    def result(self) -> Scores:
        """The figures of all examples so far."""
        probabilities, tags = self._all()
        return score(probabilities, tags, thresholds.of(self._card, probabilities.shape[1]))


def scorer(card: ModelCard) -> Scorer:
    """A new scorer.

    Args:
        card: card of the model, which has the thresholds.
    """
    return Scorer(card)


def agreement(
    reference: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    card: ModelCard,
    truth: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Share of the tags about which two models say the same, for every example: float64 `(n,)`.

    Args:
        reference: outputs of one model by name.
        outputs: outputs of the other model by name.
        card: card of the models, which has the thresholds.
        truth: not used.
    """
    del truth
    one, other = sole(reference, OUTPUT), sole(outputs, OUTPUT)
    limits = thresholds.of(card, one.shape[1])
    return ((one >= limits) == (other >= limits)).mean(axis=1, dtype=np.float64)
