"""Mosaics: four pictures of a batch in one, with their boxes (YOLOv4, arXiv:2004.10934)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from keras_resnet.signals import geometry
from keras_resnet.signals.fits import GREY
from keras_resnet.signals.operations import operations
from keras_resnet.signals.placement import Placement

_PARTS = 4
_CENTRE = 0.3  # share of a side that the parts' common corner is away from the edges, at least
_SMALLEST = 0.5  # of a picture's own scale


@dataclass(frozen=True)
class Mosaic:
    """Makes mosaics of a batch.

    Attributes:
        probability: share of the examples that become one.
        off: share of a training's epochs, the last ones, that have none: pictures are then as they will be.
        until: first epoch without, from 0; None for all with.
    """

    probability: float = 0.5
    off: float = 0.15
    until: int | None = None

    DRAWS: ClassVar[int] = 3 + 3 * _PARTS  # whether, the corner; of every part scale and place

    def over(self, epochs: int) -> Mosaic:
        """The same for a training of so many epochs.

        Args:
            epochs: number of epochs.
        """
        return replace(self, until=math.floor((1 - self.off) * epochs))

    def drawn(self, draws: np.ndarray, epoch: int) -> np.ndarray:
        """The draws of an epoch, that of `whether` as one that says no where mosaics are over.

        Args:
            draws: uniform in [0, 1), `(n, DRAWS)`.
            epoch: number of the epoch, from 0.
        """
        if self.until is None or epoch < self.until:
            return draws
        return np.concatenate([np.ones_like(draws[:, :1]), draws[:, 1:]], axis=1)

    def __call__(self, images: Any, truth: Mapping[str, Any], draws: Any) -> tuple[Any, dict[str, Any]]:
        """Puts four pictures into one: the example, and the three that follow it in the batch.

        They lie around a common corner, each at half to its own scale and a random place, of which a part is seen.
        Boxes follow as everywhere: less than a quarter in sight is dropped. An example has room for four times the
        boxes.

        Args:
            images: uint8 `(n, H, W, C)`.
            truth: `boxes`, float32 `(n, M, 7)`, and what stays as it is.
            draws: uniform in [0, 1), `(n, DRAWS)`.

        Returns:
            Images of the same shape, and the truth with boxes `(n, 4 M, 7)`.
        """
        xp, (height, width), boxes = operations(images), images.shape[1:3], truth["boxes"]
        chosen = draws[:, 0] < self.probability
        corner = [xp.round((_CENTRE + (1 - 2 * _CENTRE) * draws[:, n]) * side) for n, side in ((1, width), (2, height))]
        canvas, found = images, []
        zero = xp.zeros_like(corner[0])
        for number in range(_PARTS):
            right, down = bool(number % 2), bool(number // 2)
            spans = [
                (place, zero + side) if beyond else (zero, place)
                for place, side, beyond in zip(corner, (width, height), (right, down), strict=True)
            ]
            window = xp.stack([spans[0][0], spans[1][0], spans[0][1], spans[1][1]], axis=1)
            own = draws[:, 3 + 3 * number : 6 + 3 * number]
            matrix = _matrix(own, spans, (width, height))
            rolled = [xp.concat([each[number:], each[:number]], 0) for each in (images, boxes)]
            moved = xp.projected(rolled[0], xp.reshape(matrix, (-1, 9))[:, :8], GREY)
            seen = _inside(window, height, width, xp) & chosen[:, None, None, None]
            canvas = xp.where(seen, moved, canvas)
            found.append(geometry.boxes(rolled[1], Placement(matrix, (height, width)), window))
        none = -xp.ones_like(boxes)
        apart = xp.concat([boxes, *[none] * (_PARTS - 1)], 1)
        return canvas, {**truth, "boxes": xp.where(chosen[:, None, None], xp.concat(found, 1), apart)}


def _matrix(draws: Any, spans: Any, sides: tuple[int, int]) -> Any:
    """From places of the mosaic to those of a picture that lies in a part of it, float32 `(n, 3, 3)`."""
    scale = _SMALLEST + (1 - _SMALLEST) * draws[:, 0]
    values = []
    for axis, ((first, last), side) in enumerate(zip(spans, sides, strict=True)):
        begin = first + draws[:, 1 + axis] * (last - first - scale * side)  # from one end to the other, either way
        values += [1 / scale, (0.5 - begin) / scale - 0.5]
    return geometry.stretched(*values)


def _inside(window: Any, height: int, width: int, xp: Any) -> Any:
    """Which pixels lie in a window of every example, bool `(n, H, W, 1)`."""
    y, x = xp.arange(height, "float32")[None, :, None], xp.arange(width, "float32")[None, None]
    x1, y1, x2, y2 = (xp.reshape(window[:, n], (-1, 1, 1)) for n in range(4))
    return ((x >= x1) & (x < x2) & (y >= y1) & (y < y2))[..., None]
