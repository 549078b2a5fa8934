"""CIFAR-10 in its official binary layout."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.data.splits import stratified
from keras_resnet.errors import InputError

FOLDER = "cifar-10-batches-bin"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_PIXELS = 32 * 32 * 3
_RECORDS = 10_000
_VALIDATION = 5_000  # the paper's 45k / 5k


def load(data_dir: str | os.PathLike | None) -> Dataset:
    """45,000 images for training, 5,000 for validation, 10,000 for the test.

    Args:
        data_dir: the folder `cifar-10-batches-bin`, or the one that holds it.

    Returns:
        A `Dataset` with uint8 images `(N, 32, 32, 3)` in memory.

    Raises:
        InputError: no folder, files missing, or a file has not 10,000 records of 3,073 bytes.
    """
    folder = _folder(data_dir)
    training = [read_records(folder / f"data_batch_{part}.bin") for part in range(1, 6)]
    images = np.concatenate([pixels for pixels, _ in training])
    labels = np.concatenate([labels for _, labels in training])
    train, validation = stratified(labels, _VALIDATION)
    return Dataset(
        "cifar10",
        CLASSES,
        (32, 32, 3),
        ArraySplit(images[train], labels[train]),
        ArraySplit(images[validation], labels[validation]),
        ArraySplit(*read_records(folder / "test_batch.bin")),
    )


def _folder(data_dir: str | os.PathLike | None) -> Path:
    if data_dir is None:
        raise InputError(
            f"cifar10 needs --data-dir: the folder that holds {FOLDER} (the official binary version, "
            "cs.toronto.edu/~kriz/cifar.html)"
        )
    folder = Path(data_dir)
    if (folder / FOLDER).is_dir():
        folder = folder / FOLDER
    if not (folder / "test_batch.bin").exists():
        pickled = " (the pickled version is not read: unpickling can run any code)" * (folder / "test_batch").exists()
        raise InputError(
            f"{data_dir}: expected {FOLDER}/data_batch_1.bin ... test_batch.bin, the official binary version of "
            f"CIFAR-10{pickled}"
        )
    return folder


def read_records(path: Path, records: int = _RECORDS) -> tuple[np.ndarray, np.ndarray]:
    """Reads one file of the binary layout: a label byte, then the planes of R, G and B.

    Args:
        path: of the file.
        records: how many it must hold.

    Returns:
        uint8 `(records, 32, 32, 3)` and int64 `(records,)`.

    Raises:
        InputError: missing, truncated, or labels outside 0..9.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: expected {records * (_PIXELS + 1):,} bytes of CIFAR-10 records")
    size, expected = path.stat().st_size, records * (_PIXELS + 1)
    if size != expected:
        raise InputError(
            f"{path} is {'truncated' if size < expected else 'too long'}: expected {expected:,} bytes "
            f"({records:,} records), received {size:,}; unpack the official archive again"
        )
    rows = np.fromfile(path, np.uint8).reshape(records, _PIXELS + 1)
    labels = rows[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        raise InputError(f"{path} is damaged: it has label {labels.max()}, expected 0..9; unpack the archive again")
    images = rows[:, 1:].reshape(records, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels
