"""Data sources: one module each, found by name."""

from __future__ import annotations

import os
from pathlib import Path

from keras_resnet.data import cifar, digits, folder
from keras_resnet.data.dataset import Dataset, Split, batches, joined, training_batches
from keras_resnet.errors import InputError, unknown_name

SOURCES = ("digits", *cifar.LAYOUTS)

__all__ = ["SOURCES", "Dataset", "Split", "batches", "joined", "load_dataset", "training_batches"]


def load_dataset(
    name: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    image_shape: tuple[int, int, int] = (224, 224, 3),
    keep: float = 1.0,
) -> Dataset:
    """Loads a data source.

    Args:
        name: `"digits"`, `"cifar10"`, `"cifar100"`, or a folder `root/class_name/*.png|jpg`.
        data_dir: where CIFAR's official binary files are; by default Keras' cache.
        image_shape: of the images read from a folder; the named sources have their own.
        keep: of a folder's images, share of the central part's height and width: 0.875 for the usual ImageNet crop.

    Returns:
        The three splits, with uint8 images.

    Raises:
        InputError: no such source or folder, or its files are damaged.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_dataset("digits")
        >>> len(digits.test.labels)
        360
    """
    if name == "digits":
        return digits.load()
    if name in cifar.LAYOUTS:
        return cifar.load(str(name), data_dir)
    if not Path(name).exists() and os.sep not in str(name):
        raise unknown_name("dataset", str(name), SOURCES, "(or name a folder of class folders)")
    if image_shape[2] not in (1, 3):
        raise InputError(f"images of a folder have 1 or 3 channels, the model takes {image_shape[2]}")
    return folder.load(name, image_shape, keep)
