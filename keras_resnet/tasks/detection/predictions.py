"""Objects in examples, as a model found them: for terminals, JSON, tables and pictures."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet import pictures
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.signals.fits import Keep
from keras_resnet.tasks.detection.answers import Boxes, boxes_of
from keras_resnet.tasks.detection.painting import colours, fitted, letters
from keras_resnet.tasks.detection.settings import DECODED, RAW, SUPPRESSED, Facts, head_of
from keras_resnet.tasks.detection.suppression import suppressed
from keras_resnet.tasks.facts import facts_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects that a model found in one example, from the highest score.

    Attributes:
        image: name of the example, its file for instance.
        names: class of every object.
        scores: score of every object, 0 to 1.
        boxes: float32 `(n, 4)`: x1, y1, x2, y2 in pixels, 0-based, ends exclusive: of the net's input, or of the whole
            picture after `within`.
        classes: number of every object's class, int64 `(n,)`.
        size: height and width in pixels of what the boxes lie in.
    """

    image: str
    names: tuple[str, ...]
    scores: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray = field(repr=False)
    size: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.boxes)

    def to_json(self) -> dict[str, Any]:
        """The objects as JSON types."""
        return {
            "image": self.image,
            "height": self.size[0],
            "width": self.size[1],
            "objects": [
                {"class": name, "score": float(score), "box": [round(float(side), 2) for side in box]}
                for name, score, box in zip(self.names, self.scores, self.boxes, strict=True)
            ],
        }

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """A table for the terminal: names of its columns, and a row for every object."""
        sides = [[f"{side:.1f}" for side in box] for box in self.boxes]
        found = zip(self.names, self.scores, sides, strict=True)
        return ("class", "score", "x1", "y1", "x2", "y2"), [(name, f"{score:.2f}", *box) for name, score, box in found]


def answers(outputs: Mapping[str, np.ndarray], card: ModelCard, threshold: float | None = None) -> list[Boxes]:
    """Boxes of every example in pixels of the net's input, whatever form a file gives.

    Args:
        outputs: arrays by output name, of the card's form.
        card: card of the model.
        threshold: score above which there is an answer; None for that of an evaluation.

    Raises:
        InputError: outputs that the card's form does not have.
    """
    facts: Facts = facts_of(card)
    least = facts.floor if threshold is None else threshold
    if facts.form in ("", RAW):
        return boxes_of(outputs, head_of(facts), input_size(outputs, facts), threshold=least)
    lacking = sorted({"boxes", "scores"} - set(outputs))
    if lacking or len(facts.size) != 2:
        raise InputError(f"a file of the form {facts.form} has boxes, scores and a size on its card; no {lacking}")
    height, width = facts.size
    scale = np.array([width, height, width, height], "f")
    make = {DECODED: _of_decoded, SUPPRESSED: _of_suppressed}[facts.form]
    return make({name: np.asarray(values) for name, values in outputs.items()}, scale, facts, least)


def _of_decoded(outputs: Mapping[str, np.ndarray], scale: np.ndarray, facts: Facts, least: float) -> list[Boxes]:
    found = []
    for boxes, scores in zip(outputs["boxes"], outputs["scores"], strict=True):
        place, label = np.nonzero(scores > least)
        values = scores[place, label]
        if len(values) > facts.candidates:  # as a file of the form `nms` has it
            best = np.sort(np.argpartition(-values, facts.candidates - 1)[: facts.candidates])
            place, label, values = place[best], label[best], values[best]
        chosen = boxes[place] * scale
        kept = suppressed(chosen, values, label, overlap=facts.overlap, most=facts.most)
        found.append(Boxes(boxes=chosen[kept].astype("f"), scores=values[kept], classes=label[kept]))
    return found


def _of_suppressed(outputs: Mapping[str, np.ndarray], scale: np.ndarray, facts: Facts, least: float) -> list[Boxes]:
    found = []
    for boxes, scores, classes in zip(outputs["boxes"], outputs["scores"], outputs["classes"], strict=True):
        kept = scores > least  # what is padded has the score 0
        found.append(
            Boxes(boxes=(boxes[kept] * scale).astype("f"), scores=scores[kept], classes=classes[kept].astype(np.int64))
        )
    return found


def input_size(outputs: Mapping[str, np.ndarray], facts: Facts) -> tuple[int, int]:
    """Height and width in pixels of a net's input: its maps' sizes are that, divided by their strides.

    Args:
        outputs: outputs of a file.
        facts: facts of its card.

    Raises:
        InputError: the finest map is missing.
    """
    if facts.form not in ("", RAW):
        return facts.size[0], facts.size[1]
    name = f"scores_{facts.strides[0]}"
    if name not in outputs:
        raise InputError(
            f"the model has the outputs {', '.join(outputs)}: expected {name} and others, as its card says"
        )
    rows, columns = np.shape(outputs[name])[1:3]
    return rows * facts.strides[0], columns * facts.strides[0]


def decode(
    outputs: Mapping[str, np.ndarray], card: ModelCard, *, limit: int = 0, names: Sequence[str] | None = None
) -> list[Detections]:
    """The objects in every example, in pixels of the net's input.

    Args:
        outputs: raw outputs, or those of a file's form.
        card: card of the model; its `threshold` is the least score.
        limit: ignored: an app shows all objects from the threshold on.
        names: names of the examples; by default their numbers.
    """
    del limit
    facts: Facts = facts_of(card)
    found = answers(outputs, card, max(0.0, facts.threshold - 1e-7))
    names = [str(number) for number in range(len(found))] if names is None else names
    size = input_size(outputs, facts)
    return [_named(each, name, facts.names, size) for each, name in zip(found, names, strict=True)]


def _named(found: Boxes, image: str, names: Sequence[str], size: tuple[int, int]) -> Detections:
    called = tuple(names[n] if n < len(names) else str(n) for n in map(int, found.classes))
    return Detections(image, called, found.scores, found.boxes, found.classes, size)


def moved_back(boxes: np.ndarray, height: int, width: int, size: tuple[int, int], keep: Keep) -> np.ndarray:
    """Boxes in pixels of the whole picture.

    Args:
        boxes: `(n, 4)` in pixels of the net's input.
        height: height of the picture.
        width: its width.
        size: height and width of the net's input.
        keep: what of the picture the net saw (`card.keep`).
    """
    plain = importlib.import_module("keras_resnet.signals.plain")  # array work of all libraries
    (top, left, high, wide), _ = plain.placed(height, width, size, keep)
    scale = np.array([wide / size[1], high / size[0]] * 2, np.float64)
    found = boxes * scale + np.array([left, top] * 2, np.float64)
    return np.clip(found, 0, np.array([width, height] * 2)).astype("f")


def within(found: Detections, height: int, width: int, card: ModelCard, limit: int = 0) -> Detections:
    """The objects in pixels of the whole picture.

    Args:
        found: answer to a picture that was resized.
        height: height of the picture that stands upright.
        width: its width.
        card: card of the model.
        limit: ignored.
    """
    del limit
    boxes = moved_back(found.boxes, height, width, found.size, card.keep)
    return replace(found, boxes=boxes, size=(height, width))


def at_threshold(card: ModelCard, threshold: float) -> ModelCard:
    """A card with another score from which an app shows an object.

    Args:
        card: card of the model.
        threshold: score, 0 to 1.

    Raises:
        InputError: no such number.
    """
    if not 0 <= threshold <= 1:  # nan too
        raise InputError(f"threshold {threshold:g}: expected a score from 0 to 1")
    return replace(card, facts={**card.facts, "threshold": float(threshold)})


def yolo_lines(found: Detections) -> list[str]:
    """Objects in YOLO's text: class, centre x and y, width and height in shares of the picture, and the score.

    Args:
        found: objects in pixels of the whole picture.
    """
    high, wide = found.size
    lines = []
    for number, score, (x1, y1, x2, y2) in zip(found.classes, found.scores, found.boxes.astype(float), strict=True):
        shares = ((x1 + x2) / 2 / wide, (y1 + y2) / 2 / high, (x2 - x1) / wide, (y2 - y1) / high)
        lines.append(" ".join([str(int(number)), *(f"{share:.6f}" for share in shares), f"{score:.4f}"]))
    return lines


def draw(pixels: np.ndarray | Sequence[np.ndarray], predictions: Sequence[Detections], card: ModelCard) -> Figure:
    """Images with the boxes of their objects, names and scores.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`, or a list of images: all of what boxes lie in, at any size.
        predictions: objects of each image.
        card: card of the model.
    """
    from matplotlib.patches import Rectangle

    painted = colours(card, max(int(each.classes.max(initial=-1)) + 1 for each in predictions)) / 255
    columns = min(3, len(predictions))
    lines = -(-len(predictions) // columns)
    highest = max(image.shape[0] / image.shape[1] for image in pixels)
    made = pictures.figure(4.2 * columns, (4.2 * highest + 0.4) * lines)
    for axes in (grid := made.subplots(lines, columns, squeeze=False)).flat:
        axes.axis("off")
    for axes, image, each in zip(grid.flat, pixels, predictions, strict=False):
        axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(each.image, fontsize=9)
        found = zip(each.names, each.scores, each.classes, fitted(each.boxes, each.size, image), strict=True)
        for name, score, number, (x1, y1, x2, y2) in reversed(list(found)):  # the best lies on top
            axes.add_patch(
                Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=painted[number], linewidth=1.5)
            )
            where = {"va": "bottom", "ha": "left", "fontsize": 7}
            back = {"facecolor": painted[number], "edgecolor": "none", "pad": 1, "alpha": 0.8}
            readable = np.array(letters(255 * painted[number])) / 255
            words = f"{name} {score:.2f}"
            axes.text(x1 - 0.5, y1 - 0.5, words, bbox=back, color=readable, parse_math=False, **where)
    return made
