"""Reading one image, the same way for training, evaluation and prediction."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_resnet.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg")


def decode(contents: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a PNG or JPEG file: uint8 `(height, width, channels)`."""
    image = tf.io.decode_image(contents, channels=channels, expand_animations=False)
    image.set_shape((None, None, channels))
    return image


def resize(image: tf.Tensor, size: tuple[int, int], keep: float = 1.0) -> tf.Tensor:
    """Cuts out the central part that has the aspect of `size` and resizes it.

    Args:
        image: uint8 `(height, width, channels)`.
        size: `(height, width)` of the result.
        keep: share of the largest such part's height and width: 0.875 is the usual evaluation on ImageNet, to resize
            the shorter side to 256 and to cut out the central 224.

    Returns:
        uint8 `(*size, channels)`; bilinear, with antialiasing when the image shrinks.
    """
    shape = tf.shape(image)
    height, width = shape[0], shape[1]
    crop_height = tf.minimum(height, width * size[0] // size[1])
    crop_width = tf.minimum(width, height * size[1] // size[0])
    crop_height, crop_width = (
        tf.cast(tf.round(tf.cast(n, tf.float32) * keep), tf.int32) for n in (crop_height, crop_width)
    )
    # At least one pixel, however extreme the aspect.
    crop_height, crop_width = tf.maximum(crop_height, 1), tf.maximum(crop_width, 1)
    image = tf.image.crop_to_bounding_box(
        image, (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width
    )
    return _scaled(image, size)


def _scaled(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    resized = tf.image.resize(image, size, antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def read(path: tf.Tensor | str, size: tuple[int, int], channels: int = 3, keep: float = 1.0) -> tf.Tensor:
    """Reads, decodes and resizes one file: uint8 `(*size, channels)`."""
    image = resize(decode(tf.io.read_file(path), channels), size, keep)
    image.set_shape((*size, channels))
    return image


def random_box(height: tf.Tensor, width: tf.Tensor, draws: tf.Tensor, area: tuple[float, float]) -> tf.Tensor:
    """A rectangle of random area, aspect and place (Szegedy et al. 2014, arXiv:1409.4842).

    Args:
        height: of the image, int32.
        width: likewise.
        draws: uniform in [0, 1), `(4,)`: area, aspect, row, column.
        area: smallest and largest share of the image's area.

    Returns:
        int32 `(4,)`: first row, first column, height, width. The aspect lies between 3/4 and 4/3; a rectangle that does
        not fit is as high or as wide as the image.
    """
    size = tf.cast(tf.stack([height, width]), tf.float32)
    wanted = (area[0] + draws[0] * (area[1] - area[0])) * size[0] * size[1]
    aspect = tf.exp((2 * draws[1] - 1) * tf.math.log(4 / 3))
    sides = tf.round(tf.sqrt(tf.stack([wanted / aspect, wanted * aspect])))
    sides = tf.clip_by_value(sides, 1.0, size)
    first = tf.floor(draws[2:4] * (size - sides + 1))
    return tf.cast(tf.concat([first, sides], 0), tf.int32)


def read_random_crop(
    path: tf.Tensor, size: tuple[int, int], channels: int, draws: tf.Tensor, area: tuple[float, float]
) -> tf.Tensor:
    """Reads a random rectangle of one file, of a JPEG no more than that, mirrors half of them, and resizes it.

    Args:
        path: of the file.
        size: `(height, width)` of the result.
        channels: 1 or 3.
        draws: uniform in [0, 1), `(5,)`: as in `random_box`, and whether to mirror.
        area: as in `random_box`.

    Returns:
        uint8 `(*size, channels)`.
    """
    contents = tf.io.read_file(path)

    def jpeg() -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(contents)
        return tf.io.decode_and_crop_jpeg(contents, random_box(shape[0], shape[1], draws, area), channels=channels)

    def other() -> tf.Tensor:
        image = decode(contents, channels)
        shape = tf.shape(image)
        row, column, height, width = tf.unstack(random_box(shape[0], shape[1], draws, area))
        return image[row : row + height, column : column + width]

    image = tf.cond(tf.io.is_jpeg(contents), jpeg, other)
    image = _scaled(image, size)
    image = tf.where(draws[4] < 0.5, image[:, ::-1], image)
    image.set_shape((*size, channels))
    return image


def load(path: str | os.PathLike, size: tuple[int, int], channels: int = 3, keep: float = 1.0) -> np.ndarray:
    """Reads an image that a person named.

    Args:
        path: of a PNG or JPEG file.
        size: `(height, width)` of the result.
        channels: 1 for grey, 3 for RGB.
        keep: as in `resize`.

    Returns:
        uint8 `(*size, channels)`.

    Raises:
        InputError: no such file, or it cannot be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is no file: expected a PNG or JPEG image")
    try:
        return read(str(path), size, channels, keep).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise InputError(f"{path} cannot be decoded as an image: expected a PNG or JPEG file") from error
