"""`prepare`: any data source becomes TFRecord files, which large sets are read from faster than from single files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_resnet import files
from keras_resnet.console import progress
from keras_resnet.data import records
from keras_resnet.data.dataset import Dataset, EncodedSplit, Split
from keras_resnet.errors import InputError
from keras_resnet.signals import image as images

_SEED = 2015
_CHUNK = 64  # images in memory per thread
_SHARD_BYTES = 128_000_000  # large enough to read in one go, small enough to spread over disks


@dataclass(frozen=True)
class Prepared:
    """What was written.

    Attributes:
        folder: folder with the shards and labels.txt.
        images: number of images by part.
        shards: number of files by part.
        bytes: size of all shards.
    """

    folder: Path
    images: dict[str, int]
    shards: dict[str, int]
    bytes: int

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return {"folder": str(self.folder), "images": self.images, "shards": self.shards, "bytes": self.bytes}


def prepare(dataset: Dataset, folder: str | os.PathLike, *, shards: int = 0, shorter_side: int = 0) -> Prepared:
    """Writes a data source as TFRecord files with the features of ImageNet's usual ones.

    `image/encoded`, `image/format`, `image/height`, `image/width`, `image/class/label` (from 0), `image/class/text`;
    the images of a part are in a random order, the same every time.

    Args:
        dataset: data source with labels, whose splits are kept.
        folder: a new one; it appears when everything is written.
        shards: files of the training part; by default one for every 128 MB. Other parts get fewer, in proportion.
        shorter_side: images whose shorter side is longer are reduced to it (JPEG, quality 95), which saves time and
            space where the training cuts out small parts anyway: 400 or so for 224 pixels. 0 keeps the files' bytes.

    Returns:
        What was written.

    Raises:
        InputError: the folder exists or cannot be written, or the source has no images with labels.

    Example:
        >>> import tempfile, keras_resnet
        >>> from keras_resnet.data import prepare
        >>> folder = tempfile.mkdtemp() + "/digits"
        >>> prepare(keras_resnet.load_dataset("digits"), folder, shards=2).shards["train"]
        2
        >>> keras_resnet.load_dataset(folder, image_shape=(32, 32, 3)).classes[:2]
        ('0', '1')
    """
    folder = Path(folder)
    _check(dataset, folder, shards, shorter_side)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        (partial / records.LABELS).write_text("\n".join(dataset.classes) + "\n", encoding="utf-8")
        splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
        per_shard = len(dataset.train) / shards if shards else _images_per_shard(dataset.train, shorter_side)
        counts = {name: max(1, round(len(split) / per_shard)) for name, split in splits.items()}
        for name, split in splits.items():
            _write(partial, name, split, dataset.classes, counts[name], shorter_side)
        size = sum(path.stat().st_size for path in partial.iterdir())
        os.replace(partial, folder)
    except (OSError, tf.errors.OpError) as error:
        if files.is_full(error):
            raise files.disk_full(error, folder) from error
        raise InputError(f"cannot write {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Prepared(folder, {name: len(split) for name, split in splits.items()}, counts, size)


def _check(dataset: Dataset, folder: Path, shards: int, shorter_side: int) -> None:
    if (dataset.signal, dataset.truth) != ("image", "label"):
        raise InputError(f"{dataset.name} has {dataset.signal} and {dataset.truth}: prepare writes image and label")
    if folder.exists():
        raise InputError(f"{folder} exists: choose a new folder")
    if shards < 0 or shorter_side < 0:
        raise InputError(f"shards={shards}, shorter_side={shorter_side}: expected at least 0")


def _images_per_shard(split: Split, shorter_side: int) -> float:
    """Images that make a shard of the usual size, by the size of some."""
    some = np.linspace(0, len(split) - 1, min(_CHUNK, len(split)), dtype=np.int64)
    sizes = [len(images.reduced(each, shorter_side, _is_upright(split))) for each in _encoded(split, some)]
    return max(1.0, float(_SHARD_BYTES / np.mean(sizes)))


def _is_upright(split: Split) -> bool:
    """Whether pictures are written as EXIF turns them; records are read as they lie."""
    return not isinstance(split, EncodedSplit) or split.upright


def _encoded(split: Split, indices: np.ndarray) -> list[bytes]:
    """The files' bytes; of a split without files, its images as PNG."""
    if isinstance(split, EncodedSplit):
        return split.contents.read(indices)
    return [images.encode(image) for image in split.fetch(indices)[split.key]]


def _example(encoded: bytes, label: int, text: str) -> bytes:
    height, width, channels = images.shape_of(encoded)

    def integer(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def string(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {
        "image/encoded": string(encoded),
        "image/format": string(images.format_of(encoded).encode()),
        "image/height": integer(height),
        "image/width": integer(width),
        "image/channels": integer(channels),
        "image/class/label": integer(label),
        "image/class/text": string(text.encode()),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _write(folder: Path, part: str, split: Split, classes: tuple[str, ...], shards: int, shorter_side: int) -> None:
    order, labels = np.random.default_rng(_SEED).permutation(len(split)), split.truth["label"]

    def example(encoded: bytes, index: int) -> bytes:
        label = int(labels[index])
        return _example(images.reduced(encoded, shorter_side, _is_upright(split)), label, classes[label])

    def examples(indices: np.ndarray) -> Iterator[bytes]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for chunk in np.array_split(indices, max(1, len(indices) // (_CHUNK * (os.cpu_count() or 1)))):
                yield from pool.map(example, _encoded(split, chunk), chunk)

    def everything() -> Iterable[None]:
        for number, indices in enumerate(np.array_split(order, shards)):
            with tf.io.TFRecordWriter(str(folder / f"{part}-{number:05}-of-{shards:05}")) as writer:
                for record in examples(indices):
                    writer.write(record)
                    yield

    for _ in progress(everything(), f"writing {part}", len(order)):
        pass
