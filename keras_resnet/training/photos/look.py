"""What the decisions of `photos` depend on: number and size of the photos, evenness of the classes, the machine."""

from __future__ import annotations

import io
import os
import statistics
from dataclasses import dataclass

import numpy as np
from PIL import Image

from keras_resnet.data import Dataset
from keras_resnet.data.dataset import EncodedSplit

_SAMPLE = 64  # photos whose headers are read
_DEFAULT_MEMORY = 4 << 30


@dataclass(frozen=True, kw_only=True)
class Look:
    """Facts of a data set and of the machine.

    Attributes:
        count: training examples.
        side: median length of the shorter side, in pixels.
        encoded: whether the photos are files, of which parts can be cut; else arrays of one size.
        channels: number of channels.
        unevenness: examples of the largest class by those of the smallest; 1 where there are no classes.
        memory: bytes that are free.
        gpu: whether there is an accelerator.
    """

    count: int
    side: int
    encoded: bool
    channels: int
    unevenness: float
    memory: int
    gpu: bool


def look(dataset: Dataset) -> Look:
    """Looks at a data set and at the machine.

    Args:
        dataset: opened data.
    """
    split = dataset.train
    encoded = isinstance(split, EncodedSplit)
    labels = split.truth.get("label")
    counts = np.bincount(labels, minlength=len(dataset.classes)) if labels is not None else np.ones(1)
    return Look(
        count=len(split),
        side=_side(split) if isinstance(split, EncodedSplit) else min(dataset.shape[:2]),
        encoded=encoded,
        channels=dataset.shape[-1],
        unevenness=float(counts.max() / max(1, counts.min())),
        memory=free_memory(),
        gpu=_has_gpu(),
    )


def _side(split: EncodedSplit) -> int:
    """Median of the shorter sides of a sample; 224 where no header can be read."""
    chosen = np.linspace(0, len(split) - 1, min(_SAMPLE, len(split)), dtype=np.int64)
    sides = []
    for content in split.contents.read(np.unique(chosen)):
        try:
            with Image.open(io.BytesIO(content)) as image:
                sides.append(min(image.size))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # of a format of TensorFlow alone
            continue
    return int(statistics.median(sides)) if sides else 224


def free_memory() -> int:
    """Bytes of memory that are free on this machine; 4 GiB where it does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError, AttributeError):
        return _DEFAULT_MEMORY


def _has_gpu() -> bool:
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    return not keras.distribution.list_devices()[0].startswith("cpu")
