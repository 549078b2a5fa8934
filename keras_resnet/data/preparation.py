"""`prepare`: any data source becomes TFRecord files, which large sets are read from faster than from single files."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet import files
from keras_resnet.console import progress
from keras_resnet.data import records
from keras_resnet.data.dataset import Dataset, EncodedSplit, Split
from keras_resnet.errors import InputError
from keras_resnet.lazily import tf
from keras_resnet.signals import image as images
from keras_resnet.untrusted import visible

PARTS = ("train", "validation", "test")
_SEED = 2015
_CHUNK = 64  # images in memory per thread
_SHARD_BYTES = 128_000_000  # large enough to read in one go, small enough to spread over disks


@dataclass(frozen=True)
class Shard:
    """A TFRecord file that will be written.

    Attributes:
        part: `"train"`, `"validation"` or `"test"`.
        name: name of the file.
        indices: places of its examples in the part, int64 `(n,)`.
    """

    part: str
    name: str
    indices: np.ndarray


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

    @classmethod
    def of(cls, plan: Sequence[Shard], folder: Path, size: int) -> Prepared:
        """What was written for a plan, `size` bytes of it.

        Args:
            plan: all shards.
            folder: folder with them.
            size: bytes of all files.
        """
        images: Counter[str] = Counter()
        for shard in plan:
            images[shard.part] += len(shard.indices)
        return cls(folder, dict(images), dict(Counter(shard.part for shard in plan)), size)

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
    check(dataset, folder, shards, shorter_side)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write_labels(dataset, partial)
        plan = planned(dataset, shards, shorter_side)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            todo = (path for shard in plan for path in _written(dataset, shard, partial, shorter_side, pool))
            for _ in progress(todo, "writing", sum(len(shard.indices) for shard in plan)):
                pass
        size = sum(path.stat().st_size for path in partial.iterdir())
        os.replace(partial, folder)
    except (OSError, tf.errors.OpError) as error:
        if files.is_full(error):
            raise files.disk_full(error, folder) from error
        raise InputError(f"cannot write {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Prepared.of(plan, folder, size)


def check(dataset: Dataset, folder: Path, shards: int, shorter_side: int) -> None:
    """Refuses what `prepare` cannot do; see there."""
    if (dataset.signal, dataset.truth) != ("image", "label"):
        raise InputError(f"{dataset.name} has {dataset.signal} and {dataset.truth}: prepare writes image and label")
    if folder.exists():
        raise InputError(f"{folder} exists: choose a new folder")
    if shards < 0 or shorter_side < 0:
        raise InputError(f"shards={shards}, shorter_side={shorter_side}: expected at least 0")


def write_labels(dataset: Dataset, folder: Path) -> None:
    """Writes the names of the classes as `data.records` reads them.

    Args:
        dataset: data source.
        folder: folder for them.
    """
    for name in dataset.classes:
        if "\n" in name or "\r" in name:
            raise InputError(f"class {visible(name)}: expected a name without line ends, as labels.txt has a line each")
    (folder / records.LABELS).write_text("\n".join(dataset.classes) + "\n", encoding="utf-8")


def planned(dataset: Dataset, shards: int, shorter_side: int) -> list[Shard]:
    """All files that will be written; the images of a part are in a random order, the same every time.

    Args:
        dataset: data source.
        shards: see `prepare`.
        shorter_side: see `prepare`.
    """
    per_shard = len(dataset.train) / shards if shards else _images_per_shard(dataset.train, shorter_side)
    plan = []
    for part in PARTS:
        size = len(getattr(dataset, part))
        count = max(1, round(size / per_shard))
        order = np.random.default_rng(_SEED).permutation(size)
        for number, indices in enumerate(np.array_split(order, count)):
            plan.append(Shard(part, f"{part}-{number:05}-of-{count:05}", indices))
    return plan


def _images_per_shard(split: Split, shorter_side: int) -> float:
    """Images that make a shard of the usual size, by the size of some."""
    some = np.linspace(0, len(split) - 1, min(_CHUNK, len(split)), dtype=np.int64)
    sizes = [len(images.reduced(each, shorter_side, is_upright(split))) for each in _encoded(split, some)]
    return max(1.0, float(_SHARD_BYTES / np.mean(sizes)))


def is_upright(split: Split) -> bool:
    """Whether pictures are written as EXIF turns them; records are read as they lie."""
    return not isinstance(split, EncodedSplit) or split.upright


def _encoded(split: Split, indices: np.ndarray) -> list[bytes]:
    """The files' bytes; of a split without files, its images as PNG."""
    if isinstance(split, EncodedSplit):
        return split.contents.read(indices)
    return [images.encode(image) for image in split.fetch(indices)[split.key]]


def example(encoded: bytes, label: int, text: str, *, shorter_side: int, upright: bool) -> bytes:
    """A record of one picture.

    Args:
        encoded: bytes of its file.
        label: number of its class, from 0.
        text: name of its class.
        shorter_side: see `prepare`.
        upright: whether EXIF's orientation is applied where it is reduced.

    Raises:
        tf.errors.OpError: it is no picture.
    """
    encoded = images.reduced(encoded, shorter_side, upright)
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
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def _written(
    dataset: Dataset, shard: Shard, folder: Path, shorter_side: int, pool: ThreadPoolExecutor
) -> Iterator[None]:
    """Writes a shard, an example a step."""
    split: Split = getattr(dataset, shard.part)
    labels, upright = split.truth["label"], is_upright(split)

    def record(encoded: bytes, index: int) -> bytes:
        label = int(labels[index])
        return example(encoded, label, dataset.classes[label], shorter_side=shorter_side, upright=upright)

    with tf.io.TFRecordWriter(str(folder / shard.name)) as writer:
        for chunk in np.array_split(shard.indices, max(1, len(shard.indices) // (_CHUNK * (os.cpu_count() or 1)))):
            for each in pool.map(record, _encoded(split, chunk), chunk):
                writer.write(each)
                yield
