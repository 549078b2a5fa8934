"""Forms of a detector's file: its raw numbers, boxes with all their scores, or the answers that stay; by NumPy alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.nets.detection import HeadSpec
from keras_resnet.tasks.detection.answers import Boxes, boxes_of
from keras_resnet.tasks.detection.boxes import decoded
from keras_resnet.tasks.detection.priors import prior_boxes
from keras_resnet.tasks.detection.settings import DECODED, SUPPRESSED, Facts, head_of
from keras_resnet.tasks.detection.suppression import suppressed


def found(outputs: Mapping[str, np.ndarray], card: ModelCard, *, threshold: float | None = None) -> list[Boxes]:
    """Answers of every image, whatever the form of the file is.

    Args:
        outputs: arrays by output name.
        card: card of the file.
        threshold: score above which there is an answer; None for that of an evaluation. A file of the form `nms` has
            left lower ones out already.

    Returns:
        Answers with boxes in 0..1 of the net's input.

    Raises:
        InputError: the outputs are not those of the form.
    """
    facts = Facts(**card.facts)
    head = head_of(facts)
    if threshold is not None:
        head = dataclasses.replace(head, threshold=threshold)
    outputs = {name: np.asarray(values) for name, values in outputs.items()}
    if facts.form == DECODED:
        boxes, scores = _checked(outputs, {"boxes": (None, 4), "scores": (None, None)})
        return [_chosen(*pair, head) for pair in zip(boxes, scores, strict=True)]
    if facts.form == SUPPRESSED:
        return _counted(outputs, head.threshold)
    height, width = size = size_of(outputs)
    unit = np.array([width, height, width, height], "f")
    answers = boxes_of(outputs, head, size)
    return [dataclasses.replace(each, boxes=each.boxes / unit) for each in answers]


def size_of(outputs: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Height and width of the input, in pixels, that a net's raw outputs are of.

    Args:
        outputs: arrays by output name.

    Raises:
        InputError: none is called `scores_S`.
    """
    strides = sorted(int(end) for name in outputs if (end := name.removeprefix("scores_")) != name and end.isdecimal())
    if not strides or outputs[f"scores_{strides[0]}"].ndim != 4:
        raise InputError(f"outputs: expected scores_S and boxes_S, received {', '.join(outputs) or 'none'}")
    stride = strides[0]  # a detector's input is a multiple of the largest one, and so of this one
    _, height, width, _ = outputs[f"scores_{stride}"].shape
    return height * stride, width * stride


def restored(outputs: Mapping[str, np.ndarray], card: ModelCard) -> dict[str, np.ndarray]:
    """The outputs: what is left to the caller of a file, `found` does.

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
    facts = Facts(**card.facts)
    if facts.form not in (DECODED, SUPPRESSED):
        return dict(outputs)
    head = head_of(facts)
    boxes, scores = places_of({name: np.asarray(values, "f") for name, values in outputs.items()}, head)
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


def places_of(outputs: Mapping[str, np.ndarray], head: HeadSpec) -> tuple[np.ndarray, np.ndarray]:
    """The box and the scores of every prior box.

    Args:
        outputs: raw outputs of a net.
        head: what they mean.

    Returns:
        `(n, N, 4)` in 0..1 of the net's input, and `(n, N, classes)`; the maps in the order of their strides.
    """
    size = size_of(outputs)
    unit = np.array([size[1], size[0], size[1], size[0]], "f")
    boxes, scores = [], []
    for stride in sorted(int(name.removeprefix("scores_")) for name in outputs if name.startswith("scores_")):
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
    """The answers of one image, of all prior boxes."""
    index = np.flatnonzero(scores > head.threshold)
    flat = scores.ravel()[index]
    if len(flat) > head.candidates:
        best = np.sort(np.argpartition(-flat, head.candidates - 1)[: head.candidates])
        index, flat = index[best], flat[best]
    place, label = np.divmod(index, scores.shape[1])
    kept = suppressed(boxes[place], flat, label, overlap=head.overlap, most=head.most)
    return Boxes(boxes=boxes[place[kept]], scores=flat[kept], classes=label[kept])


def _counted(outputs: Mapping[str, np.ndarray], threshold: float) -> list[Boxes]:
    """Answers without what they are padded with."""
    shapes: dict[str, tuple[int | None, ...]] = {"boxes": (None, 4), "classes": (None,), "scores": (None,), "count": ()}
    answers = []
    for boxes, classes, scores, count in zip(*_checked(outputs, shapes), strict=True):
        number = min(max(0, int(np.nan_to_num(count))), len(scores))
        kept = np.arange(len(scores)) < number
        kept &= scores > threshold
        answers.append(Boxes(boxes=boxes[kept], scores=scores[kept], classes=classes[kept].astype(np.int64)))
    return answers


def _checked(outputs: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int | None, ...]]) -> list[np.ndarray]:
    """Arrays in the order of the shapes, without the batch; refuses what no file of the form has."""
    if set(outputs) != set(shapes):
        raise InputError(f"outputs: expected {', '.join(shapes)}, received {', '.join(outputs) or 'none'}")
    arrays = [np.asarray(outputs[name], "f") for name in shapes]
    for name, array, shape in zip(shapes, arrays, shapes.values(), strict=True):
        right = array.ndim == len(shape) + 1 and all(w in (None, g) for w, g in zip(shape, array.shape[1:], strict=True))
        if not right or len(array) != len(arrays[0]) or (shape and array.shape[1] != arrays[0].shape[1]):
            raise InputError(f"{name} is {array.shape}: expected one row for each image, as long as that of boxes")
    return arrays
