"""What of an answer is explained: a question is a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.tasks.classification.head import scalar
from keras_resnet.tasks.explained import chosen
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.regression.settings import OUTPUT, name_of

__all__ = ["EVIDENCE", "called", "evidence", "question_name", "questions", "questions_named", "scalar"]
EVIDENCE = "{:.4g}"  # format of a value


def questions(outputs: Mapping[str, np.ndarray], asked: Sequence[int] | int | None) -> np.ndarray:
    """One value for every example: int `(n,)`.

    Args:
        outputs: `values` `(n, k)`, or the only output of a foreign file.
        asked: place of one value for all examples, or of one for each; None for the first.

    Raises:
        InputError: no whole numbers, another number of them, or values that the model does not have.
    """
    count, width = sole(outputs, OUTPUT).shape
    return chosen(0 if asked is None else asked, count, width, noun="value")


def questions_named(
    outputs: Mapping[str, np.ndarray], name: str | None, limit: int, card: ModelCard
) -> list[list[int]]:
    """Values to explain for every example, in their order.

    Args:
        outputs: `values` `(n, k)`, or the only output of a foreign file.
        name: name or number of one value; None for all.
        limit: number of values per example, where no name is given.
        card: card with the names of the values.

    Raises:
        InputError: no such value; the nearest names are in the message.
    """
    count, width = sole(outputs, OUTPUT).shape
    known = [name_of(card.facts, number) for number in range(width)]
    if name is None:
        return [list(range(min(limit, width)))] * count
    if name in known:
        return [[known.index(name)]] * count
    if name.isdecimal() and int(name) < width:
        return [[int(name)]] * count
    raise unknown_name("value", name, known)


def question_name(question: int, card: ModelCard) -> str:
    """A value's name.

    Args:
        question: place of the value.
        card: card with the names of the values.
    """
    return name_of(card.facts, question)


def evidence(outputs: Mapping[str, np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """One value of every example: float32 `(n,)`.

    Args:
        outputs: `values` `(n, k)`, or the only output of a foreign file.
        chosen: int `(n,)`, place of the value of each example.
    """
    found = sole(outputs, OUTPUT)
    return found[np.arange(len(found)), chosen]


def called(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Refuses to name a class for each example.

    Raises:
        InputError: always.
    """
    del outputs
    raise InputError("an example has values, no class: expected a classifier, as --embeddings colours by class")
