"""The object of every example, as words and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet import pictures
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.tasks.detection.painting import painted as painted_boxes
from keras_resnet.tasks.detection.predictions import Detections, moved_back
from keras_resnet.tasks.detection.predictions import draw as draw_boxes
from keras_resnet.tasks.facts import facts_of
from keras_resnet.tasks.localization.settings import BOX, LOGITS, Facts
from keras_resnet.tasks.results import Numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Located:
    """The object that a model found in one example.

    Attributes:
        image: name of the example, its file for instance.
        scores: probability by class, the largest first.
        box: float64 `(4,)`: x1, y1, x2, y2 in pixels, 0-based, ends exclusive: of the net's input, or of the whole
            picture after `within`.
        size: height and width in pixels of what the box lies in.
        number: number of the first class.
    """

    image: str
    scores: Mapping[str, float]
    box: np.ndarray
    size: tuple[int, int]
    number: int = 0

    def to_json(self) -> dict[str, Any]:
        """The object as JSON types, as `Detections` has several, and the probabilities of the classes."""
        return {**self.detections().to_json(), "scores": dict(self.scores)}

    def detections(self) -> Detections:
        """The same as the only object of a detection."""
        name, score = next(iter(self.scores.items()))
        box, number = self.box[None].astype("f"), np.array([self.number])
        return Detections(self.image, (name,), np.array([score]), box, number, self.size)

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """A table for the terminal: names of its columns, and a row for every class."""
        box = ", ".join(f"{side:.1f}" for side in self.box)
        shown: list[tuple[str, ...]] = [
            (name, f"{score:.2%}", "" if n else box) for n, (name, score) in enumerate(self.scores.items())
        ]
        return ("class", "probability", "x1, y1, x2, y2"), shown


def numbers(card: ModelCard, count: int) -> Numbers:
    """Names and colours of the classes.

    Args:
        card: card of the file.
        count: number of classes, where the card does not name them.
    """
    facts: Facts = facts_of(card)
    names = tuple(card.labels or facts.names) or tuple(map(str, range(count)))
    return Numbers(LOGITS, "classes", names, {"colours": pictures.hues(len(names)).tolist()})


def probabilities(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Probabilities of the classes, float64 `(n, classes)`.

    Args:
        outputs: `logits` and `box`.

    Raises:
        InputError: one of them is missing.
    """
    lacking = sorted({LOGITS, BOX} - set(outputs))
    if lacking:
        raise InputError(f"the model has the outputs {', '.join(outputs)}: expected {' and '.join(lacking)} too")
    logits = np.asarray(outputs[LOGITS], np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def corners(outputs: Mapping[str, np.ndarray], size: Sequence[int]) -> np.ndarray:
    """Boxes in pixels of the net's input, float64 `(n, 4)`, x1, y1, x2, y2.

    Args:
        outputs: `box`, centre and size in 0..1.
        size: height and width of the input.
    """
    box = np.asarray(outputs[BOX], np.float64)
    found = np.concatenate([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], axis=1).clip(0, 1)
    return found * np.array([size[1], size[0]] * 2)


def decode(
    outputs: Mapping[str, np.ndarray], card: ModelCard, *, limit: int = 5, names: Sequence[str] | None = None
) -> list[Located]:
    """The object of every example, in pixels of the net's input.

    Args:
        outputs: `logits` and `box`.
        card: card of the model.
        limit: largest number of classes that are named.
        names: names of the examples; by default their numbers.
    """
    facts: Facts = facts_of(card)
    found, boxes = probabilities(outputs), corners(outputs, facts.size)
    names = [str(number) for number in range(len(found))] if names is None else names
    size = (facts.size[0], facts.size[1])
    made = []
    for name, row, box in zip(names, found, boxes, strict=True):
        order = np.argsort(-row, kind="stable")[:limit]
        scores = {facts.names[n] if n < len(facts.names) else str(n): float(row[n]) for n in order}
        made.append(Located(name, scores, box, size, int(order[0])))
    return made


def within(found: Located, height: int, width: int, card: ModelCard, limit: int = 5) -> Located:
    """The object in pixels of the whole picture.

    Args:
        found: answer to a picture that was resized.
        height: height of the picture that stands upright.
        width: its width.
        card: card of the model.
        limit: ignored.
    """
    del limit
    (box,) = moved_back(found.box[None], height, width, found.size, card.keep)
    return replace(found, box=box.astype(np.float64), size=(height, width))


def draw(pixels: np.ndarray | Sequence[np.ndarray], predictions: Sequence[Located], card: ModelCard) -> Figure:
    """Images with the boxes of their objects, names and probabilities.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`, or a list of images: all of what boxes lie in, at any size.
        predictions: object of each image.
        card: card of the model.
    """
    return draw_boxes(pixels, [each.detections() for each in predictions], card)


def painted(pixels: np.ndarray, found: Located, card: ModelCard) -> np.ndarray:
    """A picture with its object, uint8 `(H, W, 3)`.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`, all of what the box lies in, at any size.
        found: object.
        card: card of the model.
    """
    return painted_boxes(pixels, found.detections(), card)
