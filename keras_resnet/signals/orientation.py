"""EXIF's orientation of a picture: how the pixels in a file are turned to stand upright."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

ENTRY = 0x0112  # EXIF's number of the entry, whose values are 1 to 8
# By that value: whether rows and columns change places, and then whether rows, and columns, are reversed.
TURNS = ((0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0))


def of(image: Image) -> int:
    """EXIF's entry of an opened picture, 1 to 8; 1 where there is none that readers here follow.

    Args:
        image: picture as Pillow opens it. Of PNG files TensorFlow reads no EXIF, and all readers here do the same.
    """
    found = 1 if image.format == "PNG" else image.getexif().get(ENTRY, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def upright(image: Image) -> Image:
    """A picture turned as `of` says.

    Args:
        image: picture as Pillow opens it.
    """
    from PIL import ImageOps

    return image if of(image) == 1 else ImageOps.exif_transpose(image)
