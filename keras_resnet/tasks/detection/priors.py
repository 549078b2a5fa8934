"""Prior boxes: where the numbers of a net's outputs start from, as torchvision lays them."""

from __future__ import annotations

import functools

import numpy as np

from keras_resnet.nets.detection import HeadSpec


def prior_boxes(head: HeadSpec, stride: int, grid: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Prior boxes of one map, in pixels of the net's input.

    The centre of those of row i and column j is (j, i), plus `head.offset`, times the pixels of a cell; these are whole
    pixels, the input's size divided by the map's. Sides are fractions of the stride made whole downwards, half
    extents are rounded.

    Args:
        head: sizes and ratios.
        stride: the map's, in pixels.
        grid: `(height, width)` of the map.
        size: `(height, width)` of the net's input in pixels.

    Returns:
        `(height * width * priors, 4)`, float32, x1, y1, x2, y2: ratios in turn, each with all sizes. The array is kept
        for the next call, and cannot be written to.
    """
    return _laid(tuple(head.sizes), tuple(head.ratios), stride, tuple(grid), tuple(size), head.offset)


@functools.lru_cache(maxsize=64)
def _laid(
    sizes: tuple[float, ...],
    ratios: tuple[float, ...],
    stride: int,
    grid: tuple[int, ...],
    size: tuple[int, ...],
    offset: float,
) -> np.ndarray:
    sides = np.array([int(each * stride) for each in sizes], "f")
    roots = np.sqrt(np.array(ratios, "f"))
    widths, heights = ((1 / roots)[:, None] * sides).ravel(), (roots[:, None] * sides).ravel()
    base = np.round(np.stack([-widths, -heights, widths, heights], axis=1) / 2)
    rows, columns = (
        (np.arange(n, dtype="f") + np.float32(offset)) * (full // n) for n, full in zip(grid, size, strict=True)
    )
    y, x = np.meshgrid(rows, columns, indexing="ij")
    boxes = (np.stack([x, y, x, y], axis=-1)[:, :, None] + base).reshape(-1, 4)
    boxes.flags.writeable = False
    return boxes
