"""Pictures without TensorFlow: decoded by Pillow and resized here, for who computes on JAX and has nothing else.

Sizes, crops and the resizing are those of `signals.image`, where rounding may differ by one level. Of a JPEG the two
libraries' decoders differ as well: `tests/test_plain.py` has the limits.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from keras_resnet.signals import crops, geometry
from keras_resnet.signals.crops import Box
from keras_resnet.signals.decoding import pixels
from keras_resnet.signals.fits import GREY, Keep


def resized(image: np.ndarray, size: tuple[int, int], keep: Keep = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Cuts out the central part that has the aspect of `size` and resizes it, as `signals.image.resize`.

    Args:
        image: uint8 `(height, width, channels)`.
        size: `(height, width)` of the result.
        keep: share of the largest such part's height and width, or a word (`signals.fits`).

    Returns:
        uint8 `(*size, channels)`, and the matrix of the placement, float32 `(3, 3)`.
    """
    part, matrix = placed(image.shape[0], image.shape[1], size, keep)
    return scaled(padded(image, *part), size), matrix


def padded(image: np.ndarray, row: int, column: int, height: int, width: int) -> np.ndarray:
    """A rectangle of an image that may reach beyond it on every side, where it is grey.

    Args:
        image: uint8 `(H, W, channels)`.
        row: first row.
        column: first column.
        height: rows of the rectangle.
        width: columns of the rectangle.
    """
    inside = image[max(row, 0) : max(row + height, 0), max(column, 0) : max(column + width, 0)]
    if inside.shape[:2] == (height, width):
        return inside
    whole = np.full((height, width, image.shape[2]), GREY, np.uint8)
    top, left = max(-row, 0), max(-column, 0)
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return whole


def placed(
    height: int, width: int, size: tuple[int, int], keep: Keep = 1.0
) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """Which part of an image `resized` cuts out, and where it puts it.

    Args:
        height: height of the image.
        width: its width.
        size: `(height, width)` of the result.
        keep: share of the largest part's height and width, or `"pad"`, `"stretch"` or `"own"`.

    Returns:
        First row, first column, height and width of the part; and the matrix of the placement, float32 `(3, 3)`.
    """
    top, left, high, wide = crops.rectangle(int(height), int(width), size, keep)
    scale_y, scale_x = high / size[0], wide / size[1]
    first = left + scale_x / 2 - 0.5, top + scale_y / 2 - 0.5  # centres of pixels, as in `geometry.cut_out`
    return (top, left, high, wide), np.array([[scale_x, 0, first[0]], [0, scale_y, first[1]], [0, 0, 1]], np.float32)


def scaled(images: np.ndarray, size: tuple[int, int], smooth: bool = True) -> np.ndarray:
    """Images in another size, bilinear.

    Args:
        images: uint8 `(..., height, width, channels)`.
        size: `(height, width)` of the result.
        smooth: whether what is lost is averaged where images shrink (antialiasing).

    Returns:
        uint8 `(..., *size, channels)`.
    """
    found: np.ndarray = images.astype(np.float32)
    for axis, new in zip((-3, -2), size, strict=True):
        found = _stretched(found, axis, new, smooth and found.shape[axis] > new)
    return np.clip(np.round(found), 0, 255).astype(np.uint8)


def _stretched(images: np.ndarray, axis: int, new: int, smooth: bool) -> np.ndarray:
    """Images with another length of an axis: between two elements, or where it shrinks the mean of what is covered."""
    length = images.shape[axis]
    scale = length / new
    centres = (np.arange(new) + 0.5) * scale - 0.5
    if smooth:
        triangle = np.maximum(1 - np.abs(centres[:, None] - np.arange(length)[None]) / scale, 0)
        weights = (triangle / triangle.sum(axis=1, keepdims=True)).astype(np.float32)
        return np.moveaxis(np.tensordot(weights, images, (1, axis)), 0, axis)
    centres = np.clip(centres, 0, length - 1)
    first = np.minimum(centres.astype(np.int64), max(length - 2, 0))
    share = (centres - first).astype(np.float32).reshape(-1, *[1] * (-1 - axis))
    near, far = np.take(images, first, axis), np.take(images, np.minimum(first + 1, length - 1), axis)
    return near + share * (far - near)


def png(image: np.ndarray) -> bytes:
    """Makes a PNG file of an image, uint8 `(height, width, channels)`."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "png")
    return file.getvalue()


def decoded(
    contents: np.ndarray, shape: tuple[int, ...], keep: Keep = 1.0, upright: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes files and resizes their central parts, on all cores.

    Args:
        contents: bytes of files, `(n,)`.
        shape: `(height, width, channels)` of an image.
        keep: share of the central part's height and width that is used, or a word (`signals.fits`).
        upright: whether the orientation in EXIF is applied.

    Returns:
        uint8 `(n, *shape)`, and the matrices of their placement, float32 `(n, 3, 3)`.

    Raises:
        InputError: a file cannot be decoded.
    """
    return _together(partial(_decoded, shape=shape, keep=keep, upright=upright), contents)


def parts(
    contents: np.ndarray, shape: tuple[int, ...], draws: np.ndarray, box: Box, upright: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes random rectangles of files, mirrors half of them and resizes them, as `signals.image.random_part`.

    Args:
        contents: bytes of files, `(n,)`.
        shape: `(height, width, channels)` of an image.
        draws: uniform in [0, 1), float32 `(n, 5)`: four for `box`, and whether to mirror.
        box: chooses the rectangle; a function of `signals.crops`.
        upright: whether the orientation in EXIF is applied.

    Returns:
        uint8 `(n, *shape)`, and the matrices of their placement, float32 `(n, 3, 3)`.

    Raises:
        InputError: a file cannot be decoded.
    """
    return _together(partial(_part, shape=shape, box=box, upright=upright), contents, draws)


def _together(one: Callable[..., tuple[np.ndarray, np.ndarray]], *columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images and matrices of files, made one by one on all cores."""
    if len(columns[0]) == 1:
        found = [one(*(column[0] for column in columns))]
    else:
        with ThreadPoolExecutor() as pool:  # Pillow decodes without the interpreter's lock
            found = list(pool.map(one, *columns))
    images, matrices = zip(*found, strict=True)
    return np.stack(images), np.stack(matrices)


def _part(
    contents: bytes, draws: np.ndarray, shape: tuple[int, ...], box: Box, upright: bool
) -> tuple[np.ndarray, np.ndarray]:
    image, size = pixels(contents, shape[2], upright), (shape[0], shape[1])
    part = np.asarray(box(image.shape[0], image.shape[1], draws, size))
    row, column, height, width = part.tolist()
    image, mirrored = padded(image, row, column, height, width), bool(draws[4] < 0.5)
    image = scaled(image, size, smooth=height > 2 * size[0] or width > 2 * size[1])
    matrix = np.asarray(geometry.cut_out(part[0], part[1], part[2], part[3], size, mirrored))
    return image[:, ::-1] if mirrored else image, matrix


def _decoded(contents: bytes, shape: tuple[int, ...], keep: Keep, upright: bool) -> tuple[np.ndarray, np.ndarray]:
    return resized(pixels(contents, shape[2], upright), (shape[0], shape[1]), keep)
