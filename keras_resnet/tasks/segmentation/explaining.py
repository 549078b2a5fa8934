"""What of a mask is explained: a question is a class, over the pixels that are called so (Seg-Grad-CAM, 2002.11434)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.tasks.explained import chosen
from keras_resnet.tasks.segmentation.merging import scores_of, to_probabilities
from keras_resnet.tasks.segmentation.scores import class_names, classes_of, names_of

EVIDENCE = "{:.2%} of the pixels"


def questions(outputs: Mapping[str, np.ndarray], asked: Sequence[int] | int | None) -> np.ndarray:
    """One class for every example: int `(n,)`.

    Args:
        outputs: `logits` `(n, ..., classes)`, or the only output of a foreign file.
        asked: one class for all examples, or one for each; None for the one with most pixels.

    Raises:
        InputError: no whole numbers, another number of them, or classes that an example is not called anywhere.
    """
    found = _pixels(outputs)
    if asked is None:
        return found.argmax(axis=1)
    wanted = chosen(asked, *found.shape)
    _check_there(found, wanted, [str(number) for number in range(found.shape[1])])
    return wanted


def questions_named(
    outputs: Mapping[str, np.ndarray], name: str | None, limit: int, card: ModelCard
) -> list[list[int]]:
    """Classes to explain for every example, those with most pixels first; as many for each.

    Args:
        outputs: `logits` `(n, ..., classes)`, or the only output of a foreign file.
        name: name or number of one class; None for those with most pixels.
        limit: number of classes per example, where no name is given.
        card: card with the class names.

    Raises:
        InputError: no such class, the nearest names are in the message, or one that an example is not called anywhere.
    """
    found = _pixels(outputs)
    if name is None:
        most = min(limit, int((found > 0).sum(axis=1).min()))
        return np.argsort(-found, axis=1, kind="stable")[:, :most].tolist()
    known = _names(card, found.shape[1])
    if name not in known and not (name.isdecimal() and int(name) < len(known)):
        raise unknown_name("class", name, known)
    number = known.index(name) if name in known else int(name)
    _check_there(found, np.full(len(found), number), known)
    return [[number]] * len(found)


def question_name(question: int, card: ModelCard) -> str:
    """A class's name.

    Args:
        question: class.
        card: card with the class names.
    """
    return _names(card, question + 1)[question]


def evidence(outputs: Mapping[str, np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Mean probability of one class over all pixels, its expected share of them: float32 `(n,)`.

    Args:
        outputs: `logits` `(n, ..., classes)`, or the only output of a foreign file.
        chosen: int `(n,)`, the class of each example.
    """
    scores = scores_of(outputs)
    found = [to_probabilities(each[None])[0, ..., number].mean() for each, number in zip(scores, chosen, strict=True)]
    return np.array(found, np.float32)


def called(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Refuses to name a class for each example.

    Raises:
        InputError: always.
    """
    del outputs
    raise InputError("an example has a class for each pixel: expected a classifier, as --embeddings colours by class")


def scalar(outputs: Any, questions: Any) -> Any:
    """Mean score of one class over the pixels that are called so, differentiable: `(n,)`.

    Args:
        outputs: logits `(n, ..., classes)`, a tensor.
        questions: int `(n,)`, the class of each example.
    """
    classes = outputs.shape[-1]
    wanted = keras.ops.one_hot(keras.ops.convert_to_tensor(questions, "int32"), classes, dtype="float32")
    answers = keras.ops.one_hot(keras.ops.argmax(outputs, axis=-1), classes, dtype="float32")
    return _mean(outputs, wanted, keras.ops.stop_gradient(answers))


def focused(outputs: Mapping[str, np.ndarray]) -> Callable[[Any, Any], Any]:
    """`scalar` over the pixels of one example, whatever a changed copy of it is called.

    Args:
        outputs: `logits` `(1, ..., classes)` of the example.
    """
    scores = scores_of(outputs)
    answers = np.eye(scores.shape[-1], dtype=np.float32)[classes_of(scores)]

    def value(changed: Any, questions: Any) -> Any:
        wanted = keras.ops.one_hot(keras.ops.convert_to_tensor(questions, "int32"), scores.shape[-1], dtype="float32")
        return _mean(changed, wanted, answers)

    return value


def _mean(scores: Any, wanted: Any, answers: Any) -> Any:
    """Mean score of the class of each example over its pixels.

    Args:
        scores: `(n, ..., classes)`.
        wanted: 1 for the class of each example, `(n, classes)`.
        answers: 1 for the class of each pixel, of `scores`' shape or one that broadcasts to it.
    """
    spread = keras.ops.reshape(wanted, (-1, *[1] * (len(scores.shape) - 2), scores.shape[-1]))
    places = spread * answers
    axes = tuple(range(1, len(scores.shape)))
    return keras.ops.sum(scores * places, axis=axes) / keras.ops.maximum(keras.ops.sum(places, axis=axes), 1.0)


def _pixels(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Number of pixels by example and class, int64 `(n, classes)`."""
    scores = scores_of(outputs)
    if scores.shape[-1] == 1:
        raise InputError("the model gives one score for each pixel: expected one for each class")
    return np.array([np.bincount(each.ravel(), minlength=scores.shape[-1]) for each in classes_of(scores)])


def _names(card: ModelCard, count: int) -> list[str]:
    return class_names(names_of(card), count)


def _check_there(found: np.ndarray, chosen: np.ndarray, names: Sequence[str]) -> None:
    for place, (own, number) in enumerate(zip(found, chosen, strict=True)):
        if not own[number]:
            there = ", ".join(names[n] for n in np.argsort(-own, kind="stable") if own[n])
            which = f"image {place + 1} of {len(found)}" if len(found) > 1 else "the image"
            raise InputError(f"no pixel of {which} is called {names[number]}: it has {there}")
