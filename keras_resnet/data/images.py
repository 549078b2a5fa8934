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


def resize(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Cuts out the central part that has the aspect of `size` and resizes it.

    Args:
        image: uint8 `(height, width, channels)`.
        size: `(height, width)` of the result.

    Returns:
        uint8 `(*size, channels)`; bilinear, with antialiasing when the image shrinks.
    """
    shape = tf.shape(image)
    height, width = shape[0], shape[1]
    crop_height = tf.minimum(height, width * size[0] // size[1])
    crop_width = tf.minimum(width, height * size[1] // size[0])
    # At least one pixel, however extreme the aspect.
    crop_height, crop_width = tf.maximum(crop_height, 1), tf.maximum(crop_width, 1)
    image = tf.image.crop_to_bounding_box(
        image, (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width
    )
    resized = tf.image.resize(image, size, antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def read(path: tf.Tensor | str, size: tuple[int, int], channels: int = 3) -> tf.Tensor:
    """Reads, decodes and resizes one file: uint8 `(*size, channels)`."""
    image = resize(decode(tf.io.read_file(path), channels), size)
    image.set_shape((*size, channels))
    return image


def load(path: str | os.PathLike, size: tuple[int, int], channels: int = 3) -> np.ndarray:
    """Reads an image that a person named.

    Args:
        path: of a PNG or JPEG file.
        size: `(height, width)` of the result.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 `(*size, channels)`.

    Raises:
        InputError: no such file, or it cannot be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is no file: expected a PNG or JPEG image")
    try:
        return read(str(path), size, channels).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise InputError(f"{path} cannot be decoded as an image: expected a PNG or JPEG file") from error
