"""What of a detection is explained: a question is an object, by the place and the class whose score made it.

The numbers of questions: below the number of classes it is a class, and stands for its best place; from there on the
scores of all maps one after the other, by row, column, prior box and class, the finest map first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.tasks.detection.answers import boxes_of
from keras_resnet.tasks.detection.boxes import clipped, decoded
from keras_resnet.tasks.detection.predictions import input_size
from keras_resnet.tasks.detection.priors import prior_boxes
from keras_resnet.tasks.detection.settings import head_of
from keras_resnet.tasks.explained import chosen
from keras_resnet.tasks.facts import facts_of

EVIDENCE = "score {:.2f}"
METHOD = "hires-cam"  # a score has a place, and mean slopes have none


def in_one(outputs: Mapping[str, Any]) -> Any:
    """All scores as one tensor, differentiable: logits `(n, questions)`.

    Args:
        outputs: raw outputs, tensors.
    """
    ops, parts = keras.ops, []
    for stride, classes in _maps(outputs):
        scores = outputs[f"scores_{stride}"]
        count = scores.shape[1] * scores.shape[2] * scores.shape[3] // classes
        parts.append(ops.reshape(ops.cast(scores, "float32"), (-1, count, classes)))
    rows = ops.concatenate(parts, axis=1)
    return ops.concatenate([ops.max(rows, axis=1), ops.reshape(rows, (-1, rows.shape[1] * rows.shape[2]))], axis=1)


def finest(outputs: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the finest map of answers.

    Args:
        outputs: raw outputs, tensors.
    """
    shape = outputs[f"scores_{_maps(outputs)[0][0]}"].shape
    return int(shape[1]), int(shape[2])


def scalar(outputs: Any, questions: Any) -> Any:
    """The logit of one question for every example, differentiable: `(n,)`.

    Args:
        outputs: result of `in_one`.
        questions: int `(n,)`.
    """
    wanted = keras.ops.expand_dims(keras.ops.convert_to_tensor(questions, "int32"), -1)
    return keras.ops.take_along_axis(outputs, wanted, axis=1)[:, 0]


def _maps(outputs: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Stride and number of classes of every map, the finest first.

    Raises:
        InputError: the outputs are those of a file's form, or of another net.
    """
    strides = sorted(int(name.partition("_")[2]) for name in outputs if name.startswith("scores_"))
    if not strides or any(f"boxes_{stride}" not in outputs for stride in strides):
        raise InputError(f"outputs {', '.join(outputs)}: an explanation needs raw ones, scores_8, boxes_8 and others")
    return [
        (stride, outputs[f"scores_{stride}"].shape[-1] * 4 // outputs[f"boxes_{stride}"].shape[-1])
        for stride in strides
    ]


def _scores(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Scores of all places as answers have them, float64 `(n, places, classes)`."""
    parts = []
    for stride, classes in _maps(outputs):
        found = _sigmoid(np.asarray(outputs[f"scores_{stride}"], np.float64))
        found = found.reshape(len(found), -1, classes)
        if f"centerness_{stride}" in outputs:
            centers = _sigmoid(np.asarray(outputs[f"centerness_{stride}"], np.float64)).reshape(len(found), -1, 1)
            found = np.sqrt(found * centers)
        parts.append(found)
    return np.concatenate(parts, axis=1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


def questions(outputs: Mapping[str, np.ndarray], asked: Sequence[int] | int | None) -> np.ndarray:
    """One place and class for every example: int `(n,)`.

    Args:
        outputs: raw outputs.
        asked: one class, or one result of `questions_named`, for all examples or for each; None for the best object.

    Raises:
        InputError: no whole numbers, another number of them, or some that the net does not have.
    """
    scores = _scores(outputs)
    count, classes = len(scores), scores.shape[-1]
    flat = scores.reshape(count, -1)
    if asked is None:
        return classes + flat.argmax(axis=1)
    wanted = chosen(asked, count, classes + flat.shape[1])
    best = scores.argmax(axis=1)[np.arange(count), np.minimum(wanted, classes - 1)]
    return np.where(wanted < classes, classes + best * classes + wanted, wanted)


def questions_named(
    outputs: Mapping[str, np.ndarray], name: str | None, limit: int, card: ModelCard
) -> list[list[int]]:
    """Objects to explain for every example, from the highest score; as many for each.

    Args:
        outputs: raw outputs.
        name: name or number of the objects' class; None for all classes.
        limit: largest number of objects per example.
        card: card with names and threshold; without an object from it on, the best one below is explained.

    Raises:
        InputError: no such class, the nearest names are in the message, or one of which an example has no object.
    """
    names = list(facts_of(card).names)
    if name is not None and name not in names and not (name.isdecimal() and int(name) < len(names)):
        raise unknown_name("class", name, names)
    label = None if name is None else names.index(name) if name in names else int(name)
    each = [_objects(outputs, image, label, card) for image in range(len(_scores(outputs)))]
    most = min(limit, *(len(own) for own in each))
    return [own[:most] for own in each]


def _objects(outputs: Mapping[str, np.ndarray], image: int, label: int | None, card: ModelCard) -> list[int]:
    """Questions of the objects of an image that the card's threshold lets through, from the highest score."""
    facts = facts_of(card)
    own = {key: np.asarray(values)[image : image + 1] for key, values in outputs.items()}
    (found,) = boxes_of(own, head_of(facts), input_size(own, facts), threshold=0.0)
    there = found.scores >= facts.threshold - 1e-7
    if label is not None:
        if not (there & (found.classes == label)).any():
            known = ", ".join(dict.fromkeys(facts.names[n] for n in found.classes[there])) or "no object"
            of = f"image {image + 1}" if len(next(iter(outputs.values()))) > 1 else "the image"
            raise InputError(f"no object of {of} is called {facts.names[label]}: it has {known}")
        there &= found.classes == label
    places = np.flatnonzero(there) if there.any() else [0]
    scores, boxes = _scores(own)[0], _boxes(own, card)[0]
    classes, most = scores.shape[1], max(input_size(own, facts))
    questions = []
    for place in places:  # the place whose score and box it has
        number = int(found.classes[place])
        apart = np.abs(boxes - found.boxes[place]).max(axis=1) / most + np.abs(scores[:, number] - found.scores[place])
        questions.append(classes + int(apart.argmin()) * classes + number)
    return questions


def _boxes(outputs: Mapping[str, np.ndarray], card: ModelCard) -> np.ndarray:
    """Boxes of all places in pixels of the net's input, float32 `(n, places, 4)`."""
    facts, parts = facts_of(card), []
    head, size = head_of(facts), input_size(outputs, facts)
    for stride, _ in _maps(outputs):
        values = np.asarray(outputs[f"boxes_{stride}"], np.float32)
        priors = prior_boxes(head, stride, values.shape[1:3], size)
        rows = values.reshape(len(values), -1, 4)
        parts.append(np.stack([clipped(decoded(each, priors, head.coder), size) for each in rows]))
    return np.concatenate(parts, axis=1)


def asked_boxes(outputs: Mapping[str, np.ndarray], chosen: np.ndarray, card: ModelCard) -> np.ndarray:
    """The boxes of questions, in pixels of the net's input: float32 `(n, 4)`.

    Args:
        outputs: raw outputs.
        chosen: int `(n,)`, result of `questions`.
        card: card of the model.
    """
    boxes, classes = _boxes(outputs, card), _maps(outputs)[0][1]
    return boxes[np.arange(len(boxes)), (np.asarray(chosen) - classes) // classes]


def question_name(question: int, card: ModelCard) -> str:
    """A question's class.

    Args:
        question: class, or result of `questions_named`.
        card: card with the class names.
    """
    names = facts_of(card).names
    return names[question % len(names)]


def evidence(outputs: Mapping[str, np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Score of each question: float32 `(n,)`.

    Args:
        outputs: raw outputs.
        chosen: int `(n,)`, result of `questions`.
    """
    scores = _scores(outputs)
    flat = scores.reshape(len(scores), -1)
    return flat[np.arange(len(flat)), np.asarray(chosen) - scores.shape[-1]].astype(np.float32)


def called(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Refuses to name a class for each example.

    Raises:
        InputError: always.
    """
    del outputs
    raise InputError("an example has any number of objects: expected a classifier, as --embeddings colours by class")
