"""Which rectangle of an image becomes what a net sees: all of its frame.

A rectangle may reach beyond the image, where it is grey (`fits.GREY`): that is padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_resnet.signals.fits import Keep
from keras_resnet.signals.operations import operations

# Height, width, draws (4,) and the frame's (height, width) -> int32 (4,): first row, first column, height, width.
Box = Callable[[Any, Any, Any, tuple[int, int]], Any]  # of tensors, or of arrays
_ASPECT = 1.15  # a scene is stretched by so much at most


def random_box(height: Any, width: Any, draws: Any, size: tuple[int, int], *, area: tuple[float, float]) -> Any:
    """A rectangle of random area, aspect and place (Szegedy et al. 2014, arXiv:1409.4842).

    Args:
        height: height of the image in pixels, int32 scalar.
        width: width of the image in pixels, int32 scalar.
        draws: uniform in [0, 1), `(4,)`: area, aspect, row, column.
        size: any.
        area: smallest and largest share of the image's area.

    Returns:
        int32 `(4,)`: first row, first column, height, width. The aspect lies between 3/4 and 4/3; a rectangle that does
        not fit is as high or as wide as the image.
    """
    del size
    xp = operations(draws)
    whole = xp.cast(xp.stack([height, width]), "float32")
    wanted = (area[0] + draws[0] * (area[1] - area[0])) * whole[0] * whole[1]
    aspect = xp.exp((2 * draws[1] - 1) * float(np.log(np.float32(4 / 3))))
    sides = xp.round(xp.sqrt(xp.stack([wanted / aspect, wanted * aspect])))
    sides = xp.clip(sides, 1.0, whole)
    first = xp.floor(draws[2:4] * (whole - sides + 1))
    return xp.cast(xp.concat([first, sides], 0), "int32")


def scale_box(height: Any, width: Any, draws: Any, size: tuple[int, int], *, scales: tuple[float, float]) -> Any:
    """A square at a random place, as if the shorter side had been resized to a random length before the cut.

    "Scale augmentation" of section 3.4 of the ResNet paper, which is VGG's: the shorter side becomes 256 to 480 pixels
    long, of which a square of 224 is taken.

    Args:
        height: height of the image in pixels, int32 scalar.
        width: width of the image in pixels, int32 scalar.
        draws: uniform in [0, 1), `(3,)` or more: scale, row, column.
        size: any.
        scales: shortest and longest shorter side, as multiples of the square's.

    Returns:
        int32 `(4,)`: first row, first column, height, width.
    """
    del size
    xp = operations(draws)
    whole = xp.cast(xp.stack([height, width]), "float32")
    side = xp.minimum(whole[0], whole[1]) / (scales[0] + draws[0] * (scales[1] - scales[0]))
    side = xp.maximum(xp.round(side), 1.0)
    first = xp.floor(draws[1:3] * (whole - side + 1))
    return xp.cast(xp.stack([first[0], first[1], side, side]), "int32")


def scene_box(
    height: Any, width: Any, draws: Any, size: tuple[int, int], *, scales: tuple[float, float], own: bool = False
) -> Any:
    """A window of the frame's aspect at a random scale and place: "resize by 0.5 to 2 and cut out", in one.

    A window that is larger than the image has it somewhere in its middle, and is grey around it.

    Args:
        height: height of the image in pixels, int32 scalar.
        width: width of the image in pixels, int32 scalar.
        draws: uniform in [0, 1), `(4,)`: scale, row, column, aspect.
        size: `(height, width)` of the frame.
        scales: smallest and largest scale, evenly in its logarithm.
        own: whether scale 1 leaves pixels as large as they are, as a microscope's must be; otherwise all of the image
            fills the frame at scale 1.

    Returns:
        int32 `(4,)`: first row, first column, height, width; a row and a column may be negative.
    """
    xp = operations(draws)
    whole = xp.cast(xp.stack([height, width]), "float32")
    frame = np.asarray(size, np.float32)
    enlarged = 1.0 if own else xp.maximum(whole[0] / frame[0], whole[1] / frame[1])
    low, high = (float(np.log(np.float32(scale))) for scale in scales)
    shrink = enlarged * xp.exp(-(low + draws[0] * (high - low)))
    aspect = xp.exp((draws[3] - 0.5) * float(np.log(np.float32(_ASPECT))))
    sides = xp.maximum(xp.round(xp.stack([frame[0] * shrink * aspect, frame[1] * shrink / aspect])), 1.0)
    first = xp.round(draws[1:3] * (whole - sides))  # on either side of 0: from one end to the other
    return xp.cast(xp.concat([first, sides], 0), "int32")


def inside(box: Any, height: Any, width: Any) -> Any:
    """The part of a rectangle that lies in an image, at least one pixel.

    Args:
        box: int32 `(4,)`: first row, first column, height, width.
        height: height of the image, int32 scalar.
        width: its width.
    """
    xp = operations(box)
    whole = xp.stack([height, width])
    first = xp.minimum(xp.maximum(box[:2], 0), whole - 1)
    last = xp.maximum(xp.minimum(box[:2] + box[2:], whole), first + 1)
    return xp.concat([first, last - first], 0)


def rectangle(height: Any, width: Any, size: tuple[int, int], keep: Keep = 1.0) -> tuple[Any, Any, Any, Any]:
    """The rectangle of an image that becomes a frame.

    Args:
        height: height of the image in pixels, whole number or int32 scalar.
        width: its width.
        size: `(height, width)` of the frame.
        keep: part that is used.

    Returns:
        First row, first column, height and width, of the type of `height`; at least one pixel. Padding lies beyond the
        image: the first row and column of `"own"` may be negative.

    Example:
        >>> rectangle(360, 480, (368, 480), "pad")  # all of it, and eight rows below
        (0, 0, 368, 480)
        >>> rectangle(360, 480, (224, 224))
        (0, 60, 360, 360)
    """
    if keep == "stretch":
        return 0 * height, 0 * width, height, width
    if keep == "own":
        return (height - size[0]) // 2, (width - size[1]) // 2, 0 * height + size[0], 0 * width + size[1]
    if keep == "pad":
        xp = None if isinstance(height, int) else operations(height)
        larger = xp.maximum if xp else max
        wanted = larger(height, -(-width * size[0] // size[1])), larger(width, -(-height * size[1] // size[0]))
        return 0 * height, 0 * width, *wanted
    return _central(height, width, size, float(keep))


def _central(height: Any, width: Any, size: tuple[int, int], keep: float) -> tuple[Any, Any, Any, Any]:
    if isinstance(height, int):
        sides = min(height, width * size[0] // size[1]), min(width, height * size[1] // size[0])
        high, wide = (max(1, int(np.round(np.float32(side) * np.float32(keep)))) for side in sides)
    else:
        xp = operations(height)
        largest = xp.minimum(height, width * size[0] // size[1]), xp.minimum(width, height * size[1] // size[0])
        kept = (xp.cast(xp.round(xp.cast(n, "float32") * keep), "int32") for n in largest)
        high, wide = (xp.maximum(n, 1) for n in kept)  # at least one pixel, however extreme the aspect
    return (height - high) // 2, (width - wide) // 2, high, wide
