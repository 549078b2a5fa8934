"""CIFAR-10 and CIFAR-100 in their official binary layout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet import labels
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.data.splits import stratified
from keras_resnet.errors import InputError

_PIXELS = 32 * 32 * 3
_VALIDATION = 5_000  # the paper's 45k / 5k


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a CIFAR release stores its images.

    Attributes:
        name: name of the data source.
        folder: folder that the release's archive unpacks to.
        pickled: folder of the pickled release of the same images.
        train: files of training images.
        test: file of test images.
        records: images per training file; the test file has 10,000.
        label_bytes: bytes before the pixels of a record; the last one is the class.
        classes: names of the classes, in the order of the labels.
    """

    name: str
    folder: str
    pickled: str
    train: tuple[str, ...]
    test: str
    records: int
    label_bytes: int
    classes: tuple[str, ...]


LAYOUTS: dict[str, Layout] = {
    "cifar10": Layout(
        name="cifar10",
        folder="cifar-10-batches-bin",
        pickled="cifar-10-batches-py",
        train=tuple(f"data_batch_{part}.bin" for part in range(1, 6)),
        test="test_batch.bin",
        records=10_000,
        label_bytes=1,
        classes=labels.CIFAR10,
    ),
    "cifar100": Layout(
        name="cifar100",
        folder="cifar-100-binary",
        pickled="cifar-100-python",
        train=("train.bin",),
        test="test.bin",
        records=50_000,
        label_bytes=2,  # of twenty coarse classes, and of the hundred
        classes=labels.CIFAR100,
    ),
}


def load(name: str, data_dir: str | os.PathLike | None) -> Dataset:
    """45,000 images for training, 5,000 for validation, 10,000 for the test.

    Args:
        name: row of `LAYOUTS`.
        data_dir: the folder that the official archive unpacks to, or the one that holds it; by default it is looked
            for in Keras' cache, `~/.keras/datasets`.

    Returns:
        A `Dataset` with uint8 images `(N, 32, 32, 3)` in memory.

    Raises:
        InputError: no folder, files missing, or a file has not its number of records.
    """
    layout = LAYOUTS[name]
    folder = find(name, data_dir)
    if folder is None:
        raise InputError(_missing(layout, data_dir))
    parts = [read_records(folder / part, layout) for part in layout.train]
    images = np.concatenate([pixels for pixels, _ in parts])
    classes = np.concatenate([answers for _, answers in parts])
    train, validation = stratified(classes, _VALIDATION)
    return Dataset(
        name,
        layout.classes,
        (32, 32, 3),
        ArraySplit(images[train], classes[train]),
        ArraySplit(images[validation], classes[validation]),
        ArraySplit(*read_records(folder / layout.test, layout, 10_000)),
    )


def find(name: str, data_dir: str | os.PathLike | None) -> Path | None:
    """The folder with a release's files: `data_dir`, one in it, or one in Keras' cache; None where there is none."""
    layout = LAYOUTS[name]
    root = _cache() if data_dir is None else Path(data_dir)
    folder = root / layout.folder if (root / layout.folder).is_dir() else root
    return folder if (folder / layout.test).exists() else None


def _cache() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets"


def _missing(layout: Layout, data_dir: str | os.PathLike | None) -> str:
    root = _cache() if data_dir is None else Path(data_dir)
    is_pickled = (root / layout.pickled).is_dir() or (root / layout.test.removesuffix(".bin")).is_file()
    pickled = " (the pickled version is not read: unpickling can run any code)" if is_pickled else ""
    if data_dir is None:
        return (
            f"{layout.name} needs its files: --data {layout.name}:DIR, where DIR holds {layout.folder} (the official "
            f"binary version, cs.toronto.edu/~kriz/cifar.html); or put that folder into {root}{pickled}"
        )
    return (
        f"{data_dir}: expected {layout.folder}/{layout.train[0]} ... {layout.test}, the official binary version of "
        f"{layout.name}{pickled}"
    )


def read_records(
    path: Path, layout: Layout = LAYOUTS["cifar10"], records: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Reads one file of the binary layout: label bytes, then the planes of R, G and B.

    Args:
        path: file to read.
        layout: release that the file belongs to.
        records: records that the file must hold; by default the release's number in a training file.

    Returns:
        uint8 `(records, 32, 32, 3)` and int64 `(records,)`.

    Raises:
        InputError: missing, truncated, or labels outside the classes.
    """
    records = layout.records if records is None else records
    width = layout.label_bytes + _PIXELS
    expected = records * width
    if not path.is_file():
        raise InputError(f"{path} is missing: expected {expected:,} bytes of {layout.name} records")
    size = path.stat().st_size
    if size != expected:
        raise InputError(
            f"{path} is {'truncated' if size < expected else 'too long'}: expected {expected:,} bytes "
            f"({records:,} records), received {size:,}; unpack the official archive again"
        )
    rows = np.fromfile(path, np.uint8).reshape(records, width)
    classes = rows[:, layout.label_bytes - 1].astype(np.int64)
    if classes.max() >= len(layout.classes):
        raise InputError(
            f"{path} is damaged: it has label {classes.max()}, expected 0..{len(layout.classes) - 1}; unpack the "
            "archive again"
        )
    images = rows[:, layout.label_bytes :].reshape(records, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), classes
