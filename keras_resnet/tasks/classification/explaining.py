"""What of an answer is explained: a question is a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.tasks.classification.predictions import label
from keras_resnet.tasks.classification.settings import OUTPUT
from keras_resnet.tasks.explained import chosen
from keras_resnet.tasks.interface import sole


def questions(outputs: Mapping[str, np.ndarray], asked: Sequence[int] | int | None) -> np.ndarray:
    """One class for every example: int `(n,)`.

    Args:
        outputs: `probabilities` `(n, classes)`, or the only output of a foreign file.
        asked: one class for all examples, or one for each; None for the likeliest.

    Raises:
        InputError: no whole numbers, another number of them, or classes that the model does not have.
    """
    probabilities = sole(outputs, OUTPUT)
    return probabilities.argmax(axis=1) if asked is None else chosen(asked, *probabilities.shape)


def questions_named(
    outputs: Mapping[str, np.ndarray], name: str | None, limit: int, card: ModelCard
) -> list[list[int]]:
    """Classes to explain for every example, best first.

    Args:
        outputs: `probabilities` `(n, classes)`, or the only output of a foreign file.
        name: name or number of one class; None for the likeliest ones.
        limit: number of classes per example, where no name is given.
        card: card with the class names.

    Raises:
        InputError: no such class; the nearest names are in the message.
    """
    probabilities = sole(outputs, OUTPUT)
    count = probabilities.shape[1]
    if name is None:
        return np.argsort(-probabilities, axis=1, kind="stable")[:, :limit].tolist()
    labels = card.labels
    if name in labels:
        return [[labels.index(name)]] * len(probabilities)
    if not name.isdecimal():
        raise unknown_name("class", name, labels or map(str, range(min(count, 10))))
    if int(name) >= count:
        raise InputError(f"--class {name}: the model has the classes 0 to {count - 1}")
    return [[int(name)]] * len(probabilities)


def question_name(question: int, card: ModelCard) -> str:
    """A class's name.

    Args:
        question: label of the class.
        card: card with the class names.
    """
    return label(card.labels, question)


def evidence(outputs: Mapping[str, np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Probability of one class for every example: float32 `(n,)`.

    Args:
        outputs: `probabilities` `(n, classes)`, or the only output of a foreign file.
        chosen: int `(n,)`, the class of each example.
    """
    probabilities = sole(outputs, OUTPUT)
    return probabilities[np.arange(len(probabilities)), chosen]


def called(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The likeliest class of every example: int `(n,)`.

    Args:
        outputs: `probabilities` `(n, classes)`, or the only output of a foreign file.
    """
    return sole(outputs, OUTPUT).argmax(axis=1)
