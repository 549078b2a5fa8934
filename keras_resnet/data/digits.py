"""scikit-learn's digits: 1,797 real scanned digits, no download."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.data.splits import stratified
from keras_resnet.labels import DIGITS

_VALIDATION, _TEST = 180, 360
_TIMES = 4  # from 8x8 to 32x32


def load() -> Dataset:
    """The digits as 32x32 RGB, light on dark: 1,257 for training, 180 for validation, 360 for the test.

    The originals are 8x8 with values 0..16 (Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits).

    Returns:
        A `Dataset` with uint8 images in memory.
    """
    raw = load_digits()
    grey = np.rint(raw.images * (255 / 16)).astype(np.uint8)[..., None]  # (1797, 8, 8, 1)
    pixels = enlarged(grey).repeat(3, axis=-1)
    labels = raw.target.astype(np.int64)
    train, validation, test = (
        ArraySplit(pixels[part], labels[part]) for part in stratified(labels, _VALIDATION, _TEST)
    )
    return Dataset("digits", DIGITS, (32, 32, 3), train, validation, test)


def enlarged(images: np.ndarray) -> np.ndarray:
    """Enlarges images four times: bilinear between the centres of pixels, rounded to whole values.

    Weights are eighths, so float32 is exact: TensorFlow's `image.resize` gives the same pixels.

    Args:
        images: uint8 `(N, H, W, C)`.

    Returns:
        uint8 `(N, 4 H, 4 W, C)`.
    """
    values = images.astype(np.float32)
    for axis in (1, 2):
        length = values.shape[axis]
        places = (np.arange(_TIMES * length) + 0.5) / _TIMES - 0.5  # in the small image
        before = np.floor(places).astype(int)
        weights = np.float32(places - before).reshape([-1 if each == axis else 1 for each in range(values.ndim)])
        low, high = (values.take(np.clip(index, 0, length - 1), axis) for index in (before, before + 1))
        values = low + weights * (high - low)
    return np.rint(values).astype(np.uint8)
