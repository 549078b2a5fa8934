"""Pictures that EXIF turns: how they lie in their files, how they stand upright, and boxes from one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from keras_resnet import machine
from keras_resnet.data.masks import Encoded, opened
from keras_resnet.signals import orientation
from keras_resnet.signals.orientation import TURNS


@dataclass(frozen=True)
class Head:
    """What the head of a picture says.

    Attributes:
        lying: height and width of the pixels in the file.
        orientation: EXIF's entry, 1 to 8, where readers here follow it: 1 is upright.
    """

    lying: tuple[int, int]
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width of the picture that stands upright."""
        return self.lying[::-1] if TURNS[self.orientation][0] else self.lying

    @property
    def is_turned(self) -> bool:
        """Whether the picture is to be shown otherwise than it lies."""
        return any(TURNS[self.orientation])


def heads_of(pictures: Sequence[Encoded]) -> list[Head | None]:
    """What the heads of pictures say; None where one cannot be opened: others count and name such files.

    Args:
        pictures: files, or parts of such.
    """
    with ThreadPoolExecutor(machine.cores()) as pool:
        return list(pool.map(_head, pictures))


def _head(source: Encoded) -> Head | None:
    try:
        with opened(source) as picture:
            width, height = picture.size
            return Head((height, width), orientation.of(picture))
    except Exception:  # Pillow raises anything on damaged files
        return None


def stood_up(boxes: np.ndarray, head: Head) -> np.ndarray:
    """Boxes of the pixels in a file as boxes of the picture that stands upright.

    Args:
        boxes: float `(k, 4 or more)`, the first four x1, y1, x2, y2 in pixels, ends exclusive.
        head: head of the picture.

    Returns:
        A copy with other corners.
    """
    changed, reversed_rows, reversed_columns = TURNS[head.orientation]
    (x1, y1, x2, y2), (height, width) = boxes[:, :4].T, head.upright
    if changed:
        x1, y1, x2, y2 = y1, x1, y2, x2
    if reversed_rows:
        y1, y2 = height - y2, height - y1
    if reversed_columns:
        x1, x2 = width - x2, width - x1
    return np.concatenate([np.stack([x1, y1, x2, y2], axis=1), boxes[:, 4:]], axis=1).astype(boxes.dtype)
