"""Image classification sets of tensorflow-datasets, by name, where that package is installed."""

from __future__ import annotations

import os
from pathlib import Path

from keras_resnet import extras
from keras_resnet.data import records
from keras_resnet.data.dataset import Dataset
from keras_resnet.data.parts import part_name
from keras_resnet.errors import InputError
from keras_resnet.signals.fits import Keep

PREFIX = "tfds:"


def load(name: str, data_dir: str | os.PathLike | None, image_shape: tuple[int, ...], keep: Keep = 1.0) -> Dataset:
    """Opens a set, which tensorflow-datasets downloads and prepares the first time; its files are read by `records`.

    Args:
        name: as `tensorflow_datasets.builder` takes it, like `"oxford_flowers102"` or `"imagenette/320px-v2"`.
        data_dir: folder of tensorflow-datasets' files; None for its own default.
        image_shape: `(height, width, channels)` that every image gets.
        keep: share of the central part's height and width that is used.

    Returns:
        A `Dataset` named `"tfds:NAME"`.

    Raises:
        InputError: tensorflow-datasets is missing, knows no such set, or the set has not one image and one class.
    """
    extras.require_for(f"{PREFIX}{name}")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir, file_format="tfrecord")
        builder.download_and_prepare()
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        raise InputError(f"tensorflow-datasets cannot open {name}: {str(error).splitlines()[0]}") from error
    features = builder.info.features
    kinds = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    if any(key not in features or not isinstance(features[key], kind) for key, kind in kinds.items()):
        raise InputError(
            f"{name} is not for classification: expected the features image and label, received {features}"
        )
    parts = {
        part: tuple(Path(path) for path in info.filepaths)
        for split, info in builder.info.splits.items()
        if (part := part_name(split))
    }
    root = Path(builder.data_dir)
    dataset = records.load(root, image_shape, keep, parts=parts, classes=features["label"].names)
    return dataset.named(f"{PREFIX}{name}")
