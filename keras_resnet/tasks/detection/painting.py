"""Boxes in the pixels of a picture: for pages, videos and TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet import pictures
from keras_resnet.card import ModelCard
from keras_resnet.tasks.facts import facts_of
from keras_resnet.untrusted import visible

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

    from keras_resnet.tasks.detection.predictions import Detections

_LEAST, _MOST = 320, 640  # pixels of the longer side between which words can be read on a page
_LINE, _LETTERS = 250, 38  # of the longer side: widths of a line, heights of letters
_BRIGHT = 140  # of 255, from which on letters are black


def letters(colour: Sequence[float] | np.ndarray) -> tuple[int, int, int]:
    """Black or white, whichever can be read on a colour.

    Args:
        colour: red, green and blue, 0 to 255.
    """
    light = float(np.dot(np.asarray(colour, np.float64), (0.299, 0.587, 0.114)))
    return (0, 0, 0) if light >= _BRIGHT else (255, 255, 255)


def colours(card: ModelCard, count: int = 0) -> np.ndarray:
    """A colour for every class, uint8 `(classes, 3)`.

    Args:
        card: card with the names of the classes.
        count: least number of colours.
    """
    return pictures.hues(max(count, len(facts_of(card).names)))


def marked(
    pixels: np.ndarray, boxes: np.ndarray, painted: Sequence[Sequence[int]] | np.ndarray, words: Sequence[str] = ()
) -> np.ndarray:
    """A picture with boxes drawn over it, uint8 `(H, W, 3)`.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`.
        boxes: `(n, 4)`, x1, y1, x2, y2 in its pixels; the first one lies on top.
        painted: colour of every box.
        words: what stands at each; none by default.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))
    side = max(image.size)
    pen, thick = ImageDraw.Draw(image), max(1, round(side / _LINE))
    font = ImageFont.load_default(max(10, round(side / _LETTERS)))
    for number in reversed(range(len(boxes))):
        x1, y1, x2, y2 = (int(edge) for edge in np.round(np.asarray(boxes[number], np.float64)))
        colour = tuple(int(part) for part in painted[number])
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=thick)
        if words:
            _label(pen, font, (x1, y1), words[number], colour, image.size)
    return np.asarray(image)


def noted(pixels: np.ndarray, words: str) -> np.ndarray:
    """A picture with words in its lower left corner, uint8 `(H, W, 3)`.

    Args:
        pixels: uint8 `(H, W, 3)`.
        words: one line.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(np.ascontiguousarray(pixels))
    font = ImageFont.load_default(max(10, round(max(image.size) / _LETTERS)))
    _label(ImageDraw.Draw(image), font, (0, image.height), words, (0, 0, 0), image.size)
    return np.asarray(image)


def _label(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    corner: tuple[int, int],
    words: str,
    colour: tuple[int, ...],
    size: tuple[int, int],
) -> None:
    """Words above a corner, or below where there is no room; inside of the picture."""
    words = visible(words)
    left, top, right, bottom = (int(np.ceil(edge)) for edge in pen.textbbox((0, 0), words, font=font))
    wide, high = right - left + 4, bottom - top + 4
    x = max(0, min(corner[0], size[0] - wide))
    y = corner[1] - high if corner[1] >= high else min(corner[1], size[1] - high)
    pen.rectangle((x, y, x + wide - 1, y + high - 1), fill=colour)
    pen.text((x + 2 - left, y + 2 - top), words, font=font, fill=letters(colour))


def readable(pixels: np.ndarray, *, least: int = _LEAST, most: int = _MOST) -> np.ndarray:
    """A picture in a size at which words over it can be read: uint8 `(H, W, channels)`.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`.
        least: pixels of the longer side at least; small pictures become larger by a whole number.
        most: pixels of the longer side at most.
    """
    side = max(pixels.shape[:2])
    if side < least:
        factor = -(-least // side)
        return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    return pictures.reduced(pixels, most)


def fitted(boxes: np.ndarray, size: Sequence[int], pixels: np.ndarray) -> np.ndarray:
    """Boxes in the pixels of a picture that is another size of the same, `(n, 4)`.

    Args:
        boxes: `(n, 4)` in pixels of `size`.
        size: height and width; none, as `(0, 0)`, where they are in the picture's pixels.
        pixels: picture, `(H, W, channels)`.
    """
    if not all(size):
        return boxes
    return boxes * np.array([pixels.shape[1] / size[1], pixels.shape[0] / size[0]] * 2)


def painted(pixels: np.ndarray, found: Detections, card: ModelCard) -> np.ndarray:
    """A picture with its objects, their names and scores, uint8 `(H, W, 3)`.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`, all of what boxes lie in, at any size.
        found: objects.
        card: card of the model.
    """
    own = colours(card, int(found.classes.max(initial=-1)) + 1)[found.classes]
    words = [f"{name} {score:.2f}" for name, score in zip(found.names, found.scores, strict=True)]
    return marked(pixels, fitted(found.boxes, found.size, pixels), own, words)
