"""A picture with its objects, for pages and for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data.truth import CLASS, FLAG, USUAL
from keras_resnet.gallery import Strip, image_tag, mark
from keras_resnet.tasks.detection.painting import colours, fitted, marked, painted, readable
from keras_resnet.tasks.detection.predictions import Detections, decode
from keras_resnet.tasks.detection.settings import TRUTH
from keras_resnet.tasks.facts import facts_of

SIDE = 640  # pixels of a picture's longer side, at most
_GAP = 4  # white pixels between pictures that are one
_GREY = (128, 128, 128)  # of crowds and difficult objects


def strip(pixels: np.ndarray, answer: Detections, card: ModelCard) -> Strip:
    """A picture, the same with its objects, and a legend: every class that is there, how often, and its best score.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`, all of what boxes lie in.
        answer: its objects.
        card: card with the names of the classes.
    """
    seen = readable(pixels, most=SIDE)
    own = colours(card, int(answer.classes.max(initial=-1)) + 1)
    shown = {
        "image": image_tag(seen, answer.image, side=SIDE),
        "objects": image_tag(painted(seen, answer, card), f"objects in {answer.image}", side=SIDE),
    }
    legend = []
    for number in dict.fromkeys(map(int, answer.classes)):
        scores = [float(score) for score, label in zip(answer.scores, answer.classes, strict=True) if label == number]
        name = answer.names[int(np.flatnonzero(answer.classes == number)[0])]
        legend.append((mark(tuple(map(int, own[number]))), name, f"× {len(scores)}, best {max(scores):.2f}"))
    return Strip(shown, answer.image, "" if legend else "no object", legend=tuple(legend))


def compared(
    pixels: np.ndarray, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], card: ModelCard
) -> list[np.ndarray]:
    """Images with their true objects beside images with answers, from the card's threshold on, uint8 `(h, w, 3)`.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`, what the net sees.
        outputs: raw outputs.
        truth: `boxes` `(n, M, 7)` in pixels of the net's input; crowds and difficult objects are grey.
        card: card with the names of the classes.
    """
    return side_by_side(pixels, decode(outputs, card), np.asarray(truth[TRUTH]), card)


def side_by_side(pixels: np.ndarray, found: list[Detections], true: np.ndarray, card: ModelCard) -> list[np.ndarray]:
    """Images with their true objects beside images with answers, in one picture each, uint8 `(h, w, 3)`.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`, what the net sees.
        found: answers in pixels of the net's input.
        true: true boxes, `(n, M, 7)`.
        card: card with the names of the classes.
    """
    pictures = []
    for image, each, rows in zip(pixels, found, true, strict=True):
        seen = readable(image, most=SIDE)
        halves = [with_truth(seen, rows, image.shape[:2], card), painted(seen, each, card)]
        gap = np.full((len(seen), _GAP, 3), 255, np.uint8)
        pictures.append(np.concatenate([halves[0], gap, halves[1]], axis=1))
    return pictures


def with_truth(pixels: np.ndarray, rows: np.ndarray, size: tuple[int, int], card: ModelCard) -> np.ndarray:
    """A picture with its true objects, uint8 `(H, W, 3)`.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`.
        rows: `(M, 7)`, boxes of a truth; rows that are none have no area.
        size: height and width of what boxes lie in.
        card: card with the names of the classes.
    """
    rows = rows[rows[:, 2] > rows[:, 0]]
    labels, names = rows[:, CLASS].astype(int), facts_of(card).names
    own = colours(card, int(labels.max(initial=-1)) + 1)
    shown = [own[n] if flag == USUAL else _GREY for n, flag in zip(labels, rows[:, FLAG], strict=True)]
    words = [names[n] if n < len(names) else str(n) for n in labels]
    return marked(pixels, fitted(rows[:, :4], size, pixels), shown, words)
