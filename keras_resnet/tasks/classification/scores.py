"""Accuracy of answers `(n, classes)`: top-1, top-5, cross-entropy, agreement of two models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.tasks.classification.settings import OUTPUT
from keras_resnet.tasks.interface import sole

_TINY = 1e-7  # a quantized softmax gives exact zeros, whose logarithm is minus infinity


@dataclass(frozen=True)
class Scores:
    """Figures over a split, as fractions.

    Attributes:
        top1: fraction of examples whose likeliest class is right.
        top5: fraction of examples with the right class among the five likeliest.
        count: number of examples.
        loss: mean cross-entropy in nats.
    """

    top1: float
    top5: float
    count: int
    loss: float

    @property
    def value(self) -> float:
        """The headline figure: top-1."""
        return self.top1

    def figures(self) -> dict[str, str]:
        """The figures by name, for one row of a table."""
        return {"top-1": f"{self.top1:.2%}", "top-5": f"{self.top5:.2%}", "loss": f"{self.loss:.4f}"}

    def to_json(self) -> dict[str, float | int]:
        """The fields as JSON types."""
        return asdict(self)


def chance(shapes: Mapping[str, tuple[int | None, ...]]) -> float:
    """Top-1 of guessing among equally frequent classes.

    Args:
        shapes: shapes of the outputs by name; `probabilities` `(n, classes)`.
    """
    return 1 / (shapes[OUTPUT][-1] or 1)


def score(probabilities: np.ndarray, labels: np.ndarray) -> Scores:
    """Figures from outputs.

    Args:
        probabilities: float `(N, classes)`.
        labels: int `(N,)`.

    Returns:
        The figures; top5 is over as many classes as there are, if fewer.

    Raises:
        InputError: a label outside the model's classes.
    """
    if labels.max() >= probabilities.shape[1]:
        raise InputError(
            f"the dataset has {labels.max() + 1} classes, the model {probabilities.shape[1]}: "
            "they do not belong together"
        )
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    right = probabilities[np.arange(len(labels)), labels]
    return Scores(
        top1=float((order[:, 0] == labels).mean()),
        top5=float((order == labels[:, None]).any(axis=1).mean()),
        count=len(labels),
        loss=float(-np.log(np.clip(right, _TINY, 1.0)).mean()),
    )


class Scorer:
    """Adds up answers chunk by chunk; see `tasks.interface.Scorer`."""

    def __init__(self) -> None:
        """Starts without examples."""
        self._answers: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    @property
    def examples(self) -> np.ndarray:
        """1.0 for every right answer so far, 0.0 for every wrong one: float64 `(n,)`."""
        right = [a.argmax(axis=1) == t for a, t in zip(self._answers, self._labels, strict=True)]
        return np.concatenate(right).astype(np.float64) if right else np.empty(0)

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk of examples.

        Args:
            outputs: `probabilities` `(n, classes)`, or the only output of a foreign file.
            truth: `label`, int `(n,)`.
        """
        self._answers.append(np.asarray(sole(outputs, OUTPUT)))
        self._labels.append(np.asarray(truth["label"]))

    def result(self) -> Scores:
        """The figures of all examples so far."""
        return score(np.concatenate(self._answers), np.concatenate(self._labels))


def scorer(card: ModelCard) -> Scorer:
    """A new scorer.

    Args:
        card: card of the model.
    """
    del card
    return Scorer()


def agreement(
    reference: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    card: ModelCard,
    truth: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """1.0 where both models have the same likeliest class: float64 `(n,)`.

    Args:
        reference: outputs of one model by name.
        outputs: outputs of the other model by name.
        card: card of the models.
        truth: not used.
    """
    del card, truth
    return (sole(reference, OUTPUT).argmax(axis=1) == sole(outputs, OUTPUT).argmax(axis=1)).astype(np.float64)
