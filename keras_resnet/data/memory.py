"""Data of a program that are in memory: they get a name, under which they are a source like any other."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data.dataset import ArraySplit, Dataset, EncodedSplit, Split
from keras_resnet.data.parts import complete
from keras_resnet.errors import InputError
from keras_resnet.signals.fits import Keep

PREFIX = "memory:"
_KEPT: dict[str, Dataset] = {}


def register(dataset: Dataset, name: str | None = None) -> str:
    """Gives a data set a name that `load_dataset` knows in this process.

    Args:
        dataset: splits with their truth.
        name: words that are the same in every process, for runs that are gone on with; by default a number.

    Returns:
        Its name, the same for the same data.
    """
    if name is not None:
        _KEPT[PREFIX + name] = dataset.named(PREFIX + name)
        return PREFIX + name
    name = PREFIX + _digest(dataset)
    _KEPT[name] = dataset.named(name)
    return name


def _digest(dataset: Dataset) -> str:
    """Some letters of a hash of what is known of the examples: other data of another process have another name."""
    sha = hashlib.sha256(repr((dataset.classes, dataset.shape, dataset.truth)).encode())
    for split in (dataset.train, dataset.validation, dataset.test):
        sha.update(str(len(split)).encode())
        for values in split.truth.values():
            sha.update(np.ascontiguousarray(values).tobytes())
        if len(split):
            sha.update(split.fetch([0])[split.key].tobytes())
    return sha.hexdigest()[:12]


def is_name(name: str) -> bool:
    """Whether `register` gave a name."""
    return name.startswith(PREFIX)


def truth_of(name: str) -> str:
    """The kind of truth of what `register` was given.

    Args:
        name: name that `register` gave.

    Raises:
        InputError: nothing of that name was given in this process.
    """
    return _kept(name).truth


def _kept(name: str) -> Dataset:
    if name not in _KEPT:
        raise InputError(f"{name}: these data were in the memory of another process; pass them again, or a folder")
    return _KEPT[name]


def load(name: str, data_dir: Path | None, shape: tuple[int, ...], keep: Keep) -> Dataset:
    """Opens what `register` was given, with encoded examples in the shape that is asked for.

    Args:
        name: name that `register` gave.
        data_dir: not used.
        shape: shape that every encoded example gets.
        keep: share of the central part's sides.

    Raises:
        InputError: nothing of that name was given in this process.
    """
    del data_dir
    dataset = _kept(name)

    def shaped(split: Split) -> Split:
        return replace(split, shape=shape, keep=keep) if isinstance(split, EncodedSplit) else split

    parts = [shaped(split) for split in (dataset.train, dataset.validation, dataset.test)]
    encoded = isinstance(dataset.train, EncodedSplit)
    train, validation, test = parts
    return replace(dataset, shape=shape if encoded else dataset.shape, train=train, validation=validation, test=test)


def of_arrays(images: Any, truth: Any, classes: tuple[str, ...] = ()) -> Dataset:
    """Makes a data set of arrays, in three parts: 80, 10 and 10 per cent, seeded, every class in proportion.

    Args:
        images: uint8 `(N, height, width, channels)`, or `(N, height, width)` for grey ones.
        truth: integers `(N,)` for classes.
        classes: names of the classes; by default the numbers.

    Raises:
        InputError: arrays of other shapes or types.

    Example:
        >>> import numpy as np
        >>> from keras_resnet.data.memory import of_arrays
        >>> len(of_arrays(np.zeros((40, 8, 8), "uint8"), np.arange(40) % 2).test)
        4
    """
    images, labels = np.asarray(images), np.asarray(truth)
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.dtype != np.uint8:
        raise InputError(
            f"images: expected uint8 (N, height, width, channels), received {images.dtype} {images.shape}; pixels are "
            "0..255"
        )
    if not len(images):
        raise InputError("images: expected some, received none")
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels: expected integers ({len(images)},), received {labels.dtype} {labels.shape}")
    if len(labels) and labels.min() < 0:
        raise InputError(f"labels: expected numbers from 0, received {labels.min()}")
    count = len(classes) or int(labels.max(initial=0)) + 1
    if len(labels) and labels.max() >= count:
        raise InputError(f"labels: expected numbers below {count}, as there are names, received {labels.max()}")
    whole = ArraySplit(images, labels.astype(np.int64))
    parts = complete({"train": whole})
    names = tuple(classes) or tuple(map(str, range(count)))
    return Dataset(PREFIX, names, images.shape[1:], parts["train"], parts["validation"], parts["test"])
