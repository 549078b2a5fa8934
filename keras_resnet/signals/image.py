"""Reading one image, the same way for training, evaluation and prediction."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_resnet.errors import InputError
from keras_resnet.signals.crops import Box

SUFFIXES = (".png", ".jpg", ".jpeg")


def decode(contents: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a PNG or JPEG file: uint8 `(height, width, channels)`; with 0 channels, as many as it has."""
    image = tf.io.decode_image(contents, channels=channels, expand_animations=False)
    image.set_shape((None, None, channels or None))
    return image


def is_readable(contents: tf.Tensor, channels: int) -> bool:
    """Whether `decode` can decode it."""
    try:
        decode(contents, channels)
    except tf.errors.OpError:
        return False
    return True


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
    return scaled(image, size)


def scaled(image: tf.Tensor, size: tuple[int, int], antialias: bool = True) -> tf.Tensor:
    """The whole image, resized: uint8 `(*size, channels)`."""
    resized = tf.image.resize(image, size, antialias=antialias)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def central(contents: tf.Tensor, size: tuple[int, int], channels: int = 3, keep: float = 1.0) -> tf.Tensor:
    """Decodes a file and resizes its central part: uint8 `(*size, channels)`."""
    image = resize(decode(contents, channels), size, keep)
    image.set_shape((*size, channels))
    return image


def random_part(contents: tf.Tensor, size: tuple[int, int], channels: int, draws: tf.Tensor, box: Box) -> tf.Tensor:
    """Decodes a random rectangle of a file, of a JPEG no more than that, mirrors half of them, and resizes it.

    Args:
        contents: of the file.
        size: `(height, width)` of the result.
        channels: 1 or 3.
        draws: uniform in [0, 1), `(5,)`: four for `box`, and whether to mirror.
        box: chooses the rectangle; one of `data.crops`.

    Returns:
        uint8 `(*size, channels)`.
    """

    def jpeg() -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(contents)
        return tf.io.decode_and_crop_jpeg(contents, box(shape[0], shape[1], draws), channels=channels)

    def other() -> tf.Tensor:
        image = decode(contents, channels)
        shape = tf.shape(image)
        row, column, height, width = tf.unstack(box(shape[0], shape[1], draws))
        return image[row : row + height, column : column + width]

    image = tf.cond(tf.io.is_jpeg(contents), jpeg, other)
    # Smoothing takes half of the time, and hardly shows below a reduction to a half; evaluation always smooths.
    is_large = tf.reduce_any(tf.shape(image)[:2] > 2 * tf.constant(size))
    image = tf.cond(is_large, lambda: scaled(image, size), lambda: scaled(image, size, antialias=False))
    image = tf.cond(draws[4] < 0.5, lambda: tf.reverse(image, (1,)), lambda: image)  # tf.where takes 50 times as long
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
        return central(tf.io.read_file(str(path)), size, channels, keep).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise InputError(f"{path} cannot be decoded as an image: expected a PNG or JPEG file") from error
