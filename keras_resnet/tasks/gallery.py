"""A picture of predictions: images in a grid, with words above each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_resnet import pictures

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


def gallery(pixels: np.ndarray, titles: Sequence[str]) -> Figure:
    """Draws images in rows of six.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`.
        titles: words above each image.
    """
    columns = min(6, len(titles))
    lines = -(-len(titles) // columns)
    made = pictures.figure(2.4 * columns, 2.9 * lines)
    for axes in (grid := made.subplots(lines, columns, squeeze=False)).flat:
        axes.axis("off")
    for axes, image, title in zip(grid.flat, pixels, titles, strict=False):
        axes.imshow(image.repeat(3, axis=-1) if image.shape[-1] == 1 else image, interpolation="nearest")
        axes.set_title(title, fontsize=9)
    return made
