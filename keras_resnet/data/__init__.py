"""Data sources: one module each, found by name."""

from __future__ import annotations

import os
from pathlib import Path

from keras_resnet.data import catalog, cifar, digits, folder, records
from keras_resnet.data.dataset import Dataset, Split, batches, joined, sampled, training_batches
from keras_resnet.data.preparation import prepare
from keras_resnet.errors import InputError, unknown_name

IMAGENET = "imagenet"
SOURCES = ("digits", *cifar.LAYOUTS, IMAGENET)

__all__ = ["SOURCES", "Dataset", "Split", "batches", "joined", "load_dataset", "prepare", "sampled", "training_batches"]


def load_dataset(
    name: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    image_shape: tuple[int, int, int] = (224, 224, 3),
    keep: float = 1.0,
) -> Dataset:
    """Loads a data source.

    Args:
        name: `"digits"`, `"cifar10"`, `"cifar100"`; `"imagenet"` for class folders or TFRecord files in `data_dir`;
            `"tfds:NAME"` for a set of tensorflow-datasets; or a folder: `root/class_name/*.png|jpg`, the same under
            `train` and `val`, or TFRecord files (`data.records`).
        data_dir: where the files of a named source are; by default Keras' cache or that of tensorflow-datasets.
        image_shape: of the images read from a folder; digits and CIFAR have their own.
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
    if image_shape[2] not in (1, 3):
        raise InputError(f"images of a folder have 1 or 3 channels, the model takes {image_shape[2]}")
    if str(name).startswith(catalog.PREFIX):
        return catalog.load(str(name).removeprefix(catalog.PREFIX), data_dir, image_shape, keep)
    if name == IMAGENET:
        if data_dir is None:
            raise InputError("imagenet needs --data-dir: the folder with train/ and val/, or with the TFRecord files")
        return _folder(Path(data_dir), image_shape, keep).named(IMAGENET)
    if not Path(name).exists() and os.sep not in str(name):
        raise unknown_name("dataset", str(name), SOURCES, "(or name a folder, or tfds:NAME)")
    return _folder(Path(name), image_shape, keep)


def _folder(root: Path, image_shape: tuple[int, int, int], keep: float) -> Dataset:
    source = records if records.find(root) else folder
    return source.load(root, image_shape, keep)
