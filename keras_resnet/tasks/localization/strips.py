"""A picture with its object, for pages and for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.gallery import Strip
from keras_resnet.tasks.detection import strips
from keras_resnet.tasks.localization.answers import Located, decode
from keras_resnet.tasks.localization.settings import TRUTH


def strip(pixels: np.ndarray, answer: Located, card: ModelCard) -> Strip:
    """A picture, and the same with its object.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`, all of what the box lies in.
        answer: its object.
        card: card with the names of the classes.
    """
    return strips.strip(pixels, answer.detections(), card)


def compared(
    pixels: np.ndarray, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], card: ModelCard
) -> list[np.ndarray]:
    """Images with their true objects, and with the answers, side by side in one picture each, uint8 `(h, w, 3)`.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`, what the net sees.
        outputs: `logits` and `box`.
        truth: `boxes` `(n, M, 7)` in pixels of the net's input.
        card: card with the names of the classes.
    """
    found = [each.detections() for each in decode(outputs, card, limit=1)]
    return strips.side_by_side(pixels, found, np.asarray(truth[TRUTH]), card)
