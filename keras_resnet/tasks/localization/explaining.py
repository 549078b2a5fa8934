"""What of a localization is explained: a question is a class, by its logit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.tasks.classification import explaining
from keras_resnet.tasks.classification.head import scalar
from keras_resnet.tasks.classification.settings import OUTPUT
from keras_resnet.tasks.facts import facts_of
from keras_resnet.tasks.localization.answers import corners, probabilities
from keras_resnet.tasks.localization.settings import LOGITS

__all__ = [
    "asked_boxes",
    "called",
    "evidence",
    "in_one",
    "question_name",
    "questions",
    "questions_named",
    "scalar",
]


def in_one(outputs: Mapping[str, Any]) -> Any:
    """The logits, `(n, classes)`.

    Args:
        outputs: `logits` and `box`, tensors.
    """
    return outputs[LOGITS]


def _as_classes(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {OUTPUT: probabilities(outputs).astype(np.float32)}


def questions(outputs: Mapping[str, np.ndarray], asked: Sequence[int] | int | None) -> np.ndarray:
    """One class for every example: int `(n,)`; see `classification.questions`."""
    return explaining.questions(_as_classes(outputs), asked)


def questions_named(
    outputs: Mapping[str, np.ndarray], name: str | None, limit: int, card: ModelCard
) -> list[list[int]]:
    """Classes to explain for every example, best first; see `classification.questions_named`."""
    return explaining.questions_named(_as_classes(outputs), name, limit, card)


def question_name(question: int, card: ModelCard) -> str:
    """A class's name.

    Args:
        question: class.
        card: card with the class names.
    """
    names = facts_of(card).names
    return names[question] if question < len(names) else str(question)


def evidence(outputs: Mapping[str, np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Probability of one class for every example: float32 `(n,)`; see `classification.evidence`."""
    return explaining.evidence(_as_classes(outputs), chosen)


def called(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The likeliest class of every example: int `(n,)`."""
    return explaining.called(_as_classes(outputs))


def asked_boxes(outputs: Mapping[str, np.ndarray], chosen: np.ndarray, card: ModelCard) -> np.ndarray:
    """The box of every example in pixels of the net's input, whatever the class: float64 `(n, 4)`.

    Args:
        outputs: `logits` and `box`.
        chosen: int `(n,)`, which does not count.
        card: card of the model.
    """
    del chosen
    return corners(outputs, facts_of(card).size)
