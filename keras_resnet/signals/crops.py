"""Which rectangle of an image file becomes a training image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_resnet.signals.operations import operations

# (height, width, draws) -> int32 (4,): first row, first column, height, width.
Box = Callable[[Any, Any, Any], Any]  # tensors, or arrays: height, width and draws to a rectangle


def random_box(height: Any, width: Any, draws: Any, area: tuple[float, float]) -> Any:
    """A rectangle of random area, aspect and place (Szegedy et al. 2014, arXiv:1409.4842).

    Args:
        height: height of the image in pixels, int32 scalar.
        width: width of the image in pixels, int32 scalar.
        draws: uniform in [0, 1), `(4,)`: area, aspect, row, column.
        area: smallest and largest share of the image's area.

    Returns:
        int32 `(4,)`: first row, first column, height, width. The aspect lies between 3/4 and 4/3; a rectangle that does
        not fit is as high or as wide as the image.
    """
    xp = operations(draws)
    size = xp.cast(xp.stack([height, width]), "float32")
    wanted = (area[0] + draws[0] * (area[1] - area[0])) * size[0] * size[1]
    aspect = xp.exp((2 * draws[1] - 1) * float(np.log(np.float32(4 / 3))))
    sides = xp.round(xp.sqrt(xp.stack([wanted / aspect, wanted * aspect])))
    sides = xp.clip(sides, 1.0, size)
    first = xp.floor(draws[2:4] * (size - sides + 1))
    return xp.cast(xp.concat([first, sides], 0), "int32")


def scale_box(height: Any, width: Any, draws: Any, scales: tuple[float, float]) -> Any:
    """A square at a random place, as if the shorter side had been resized to a random length before the cut.

    "Scale augmentation" of section 3.4 of the ResNet paper, which is VGG's: the shorter side becomes 256 to 480 pixels
    long, of which a square of 224 is taken.

    Args:
        height: height of the image in pixels, int32 scalar.
        width: width of the image in pixels, int32 scalar.
        draws: uniform in [0, 1), `(3,)` or more: scale, row, column.
        scales: shortest and longest shorter side, as multiples of the square's.

    Returns:
        int32 `(4,)`: first row, first column, height, width.
    """
    xp = operations(draws)
    size = xp.cast(xp.stack([height, width]), "float32")
    side = xp.minimum(size[0], size[1]) / (scales[0] + draws[0] * (scales[1] - scales[0]))
    side = xp.maximum(xp.round(side), 1.0)
    first = xp.floor(draws[1:3] * (size - side + 1))
    return xp.cast(xp.stack([first[0], first[1], side, side]), "int32")
