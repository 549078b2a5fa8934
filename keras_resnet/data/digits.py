"""scikit-learn's digits: 1,797 real scanned digits, no download."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.data.splits import stratified
from keras_resnet.labels import DIGITS

_VALIDATION, _TEST = 180, 360


def load() -> Dataset:
    """The digits as 32x32 RGB, light on dark: 1,257 for training, 180 for validation, 360 for the test.

    The originals are 8x8 with values 0..16 (Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits).

    Returns:
        A `Dataset` with uint8 images in memory.
    """
    raw = load_digits()
    grey = np.rint(raw.images * (255 / 16)).astype(np.uint8)[..., None]  # (1797, 8, 8, 1)
    large = tf.image.resize(grey, (32, 32))
    pixels = tf.cast(tf.round(large), tf.uint8).numpy().repeat(3, axis=-1)
    labels = raw.target.astype(np.int64)
    train, validation, test = (
        ArraySplit(pixels[part], labels[part]) for part in stratified(labels, _VALIDATION, _TEST)
    )
    return Dataset("digits", DIGITS, (32, 32, 3), train, validation, test)
