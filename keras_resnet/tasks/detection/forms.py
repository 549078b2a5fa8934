"""Forms of a detector's file: raw numbers, boxes with all their scores, or the answers that stay; by NumPy alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.nets.detection import HeadSpec
from keras_resnet.tasks.detection.answers import Boxes
from keras_resnet.tasks.detection.boxes import decoded
from keras_resnet.tasks.detection.predictions import input_size
from keras_resnet.tasks.detection.priors import prior_boxes
from keras_resnet.tasks.detection.settings import DECODED, RAW, SUPPRESSED, Facts, head_of
from keras_resnet.tasks.detection.suppression import suppressed
from keras_resnet.tasks.facts import facts_of


def restored(outputs: Mapping[str, np.ndarray], card: ModelCard) -> dict[str, np.ndarray]:
    """The outputs as they are: what is left to the caller of a file, `predictions.answers` does.

    Args:
        outputs: arrays by output name.
        card: card of the file.
    """
    del card
    return dict(outputs)


def as_form(outputs: Mapping[str, np.ndarray], card: ModelCard) -> dict[str, np.ndarray]:
    """Raw outputs of a Keras model as a file should give them; by NumPy, and not by the file's graph.

    Args:
        outputs: `scores_S`, `boxes_S` and, of some nets, `centerness_S`.
        card: card of the file.
    """
    facts: Facts = facts_of(card)
    if facts.form not in (DECODED, SUPPRESSED):
        return dict(outputs)
    head = head_of(facts)
    boxes, scores = _places({name: np.asarray(values, "f") for name, values in outputs.items()}, facts)
    if facts.form == DECODED:
        return {"boxes": boxes, "scores": scores}
    made = {
        "boxes": np.zeros((len(boxes), head.most, 4), "f"),
        "classes": np.zeros((len(boxes), head.most), "f"),
        "scores": np.zeros((len(boxes), head.most), "f"),
        "count": np.zeros(len(boxes), "f"),
    }
    for image, pair in enumerate(zip(boxes, scores, strict=True)):
        answer = _chosen(*pair, head)
        made["count"][image] = len(answer)
        for name in ("boxes", "classes", "scores"):
            made[name][image, : len(answer)] = getattr(answer, name)
    return made


def _places(outputs: Mapping[str, np.ndarray], facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """The box of every prior box, `(n, N, 4)` in 0..1 of the net's input, and its scores, `(n, N, classes)`."""
    head, size = head_of(facts), input_size(outputs, dataclasses.replace(facts, form=RAW))
    unit = np.array([size[1], size[0], size[1], size[0]], "f")
    boxes, scores = [], []
    for stride in facts.strides:
        raw, numbers = outputs[f"scores_{stride}"], outputs[f"boxes_{stride}"]
        priors = prior_boxes(head, stride, raw.shape[1:3], size)
        flat = numbers.reshape(len(raw), len(priors), 4)
        boxes.append(np.stack([np.clip(decoded(each, priors, head.coder) / unit, 0, 1) for each in flat]))
        score = _sigmoid(raw.reshape(len(raw), len(priors), -1))
        if head.centerness:
            score = np.sqrt(score * _sigmoid(outputs[f"centerness_{stride}"].reshape(len(raw), len(priors), 1)))
        scores.append(score)
    return np.concatenate(boxes, axis=1), np.concatenate(scores, axis=1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def _chosen(boxes: np.ndarray, scores: np.ndarray, head: HeadSpec) -> Boxes:
    """The answers of one image, of all prior boxes that have an area."""
    scores = scores * (boxes[:, 2:] > boxes[:, :2]).all(axis=1, keepdims=True)
    index = np.flatnonzero(scores > head.threshold)
    flat = scores.ravel()[index]
    if len(flat) > head.candidates:
        best = np.sort(np.argpartition(-flat, head.candidates - 1)[: head.candidates])
        index, flat = index[best], flat[best]
    place, label = np.divmod(index, scores.shape[1])
    kept = suppressed(boxes[place], flat, label, overlap=head.overlap, most=head.most)
    return Boxes(boxes=boxes[place[kept]], scores=flat[kept], classes=label[kept])
