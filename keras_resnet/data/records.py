"""TFRecord files in the usual layouts, read at random places: an index of every record is made once and kept."""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_resnet import arrays, files, untrusted
from keras_resnet.data.dataset import Dataset, EncodedSplit
from keras_resnet.data.parts import complete, part_name
from keras_resnet.errors import InputError
from keras_resnet.signals.fits import Keep
from keras_resnet.signals.table import get_signal

_log = logging.getLogger("keras_resnet")
INDEX = "keras_resnet_index.npz"
_MASKS = "keras_resnet_masks.npz"  # the index of the same files where masks are learned
LABELS = "labels.txt"
_SHARD = re.compile(r"(?:^|[-_.])(train|validation|valid|val|test)(?=[-_.]|$).*", re.IGNORECASE)
_COUNTED = re.compile(r"-(\d{5})-of-(\d{5})$")


@dataclass(frozen=True)
class Records:
    """Images in TFRecord files on a local disk.

    Attributes:
        shards: TFRecord files.
        feature: name of the feature that holds the encoded image.
        shard: place of every record's file in `shards`, int32 `(N,)`.
        offset: place of every record's first byte in its file, int64 `(N,)`.
        length: length of every record in bytes, int64 `(N,)`.
    """

    shards: tuple[Path, ...]
    feature: str
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        """Number of records."""
        return len(self.shard)

    def records(self, indices: np.ndarray) -> np.ndarray:
        """The records at these positions, bytes `(n,)`."""
        found = np.empty(len(indices), object)
        for place, index in enumerate(indices):
            with self.shards[self.shard[index]].open("rb", buffering=0) as file:
                found[place] = os.pread(file.fileno(), int(self.length[index]), int(self.offset[index]))
        return found

    def read(self, indices: np.ndarray) -> list[bytes]:
        """The images of the records at these positions."""
        feature_of = importlib.import_module("keras_resnet.data.reading").feature_of  # the parser is TensorFlow's
        return list(feature_of(self.records(indices), self.feature).numpy())

    def take(self, indices: np.ndarray) -> Records:
        """The records at these positions."""
        return replace(self, **{name: getattr(self, name)[indices] for name in ("shard", "offset", "length")})

    def of(self, feature: str) -> Records:
        """The same records, of which another feature is read.

        Args:
            feature: name of a feature with one string.
        """
        return replace(self, feature=feature)

    def joined(self, other: Records) -> Records:
        """These records, then the others."""
        return Records(
            self.shards + other.shards,
            self.feature,
            np.concatenate([self.shard, other.shard + len(self.shards)]),
            np.concatenate([self.offset, other.offset]),
            np.concatenate([self.length, other.length]),
        )


def find(root: Path) -> dict[str, tuple[Path, ...]]:
    """The shards of every part below `root`: `train-00000-of-00016`, `flowers-train.tfrecord-00000-of-00002`, ...

    Raises:
        InputError: shards are missing.
    """
    parts: dict[str, list[Path]] = {}
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        match = _SHARD.search(path.name)
        name = part_name(match[1]) if match else None
        if name and path.is_file() and (_COUNTED.search(path.name) or ".tfrecord" in path.name):
            parts.setdefault(name, []).append(path)
    for shards in parts.values():
        counted = _COUNTED.search(shards[0].name)
        if counted and len(shards) != int(counted[2]):
            raise InputError(f"{root}: {len(shards)} of the {int(counted[2])} files like {shards[0].name} are there")
    return {name: tuple(shards) for name, shards in parts.items()}


def load(
    root: str | os.PathLike,
    image_shape: tuple[int, ...],
    keep: Keep = 1.0,
    *,
    parts: Mapping[str, Sequence[Path]] | None = None,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """Opens a folder of TFRecord files.

    The first time, every record is read and its image decoded once; the index of that is kept in the folder (where it
    can be written). Labels start at 0, or at 1 as in ImageNet's usual files, where no training image has the label 0.

    Args:
        root: the folder; its shards' names hold `train`, `validation` (or `val`) or `test`. `labels.txt`, if there,
            names the classes, one on a line; else `image/class/text` or `image/class/synset` of the records does.
        image_shape: `(height, width, channels)` that every image gets.
        keep: share of the central part's height and width that is used.
        parts: shards by part, where their names do not tell.
        classes: names of the classes, where the folder does not tell.

    Returns:
        A `Dataset` whose images are decoded when needed; `unreadable` names the records left out.

    Raises:
        InputError: no training shards, shards missing or damaged, records of another layout, labels without a name.
    """
    root = Path(root)
    parts = dict(parts or find(root))
    if "train" not in parts:
        raise InputError(f"{root} has no TFRecord files for training: expected names like train-00000-of-00016")
    shards = tuple(path for name in parts for path in parts[name])
    table = _index(root, shards, image_shape[2])
    part_of = np.repeat(list(parts), [len(parts[name]) for name in parts])[table["shard"]]
    good = table["readable"]
    labels, classes = _labelled(root, table, good & (part_of == "train"), classes)
    records = Records(shards, str(table["feature"]), table["shard"], table["offset"], table["length"])
    whole = EncodedSplit(records, {"label": labels}, image_shape, keep)
    found = complete({name: whole.take(np.flatnonzero(good & (part_of == name))) for name in parts})
    bad = _left_out(root, shards, table)
    return Dataset(str(root), classes, image_shape, found["train"], found["validation"], found["test"], bad)


def with_masks(
    root: Path, parts: Mapping[str, Sequence[Path]], features: tuple[str, str], channels: int
) -> tuple[dict[str, Records], tuple[Path, ...]]:
    """Records of pictures with masks, those that can be decoded; see `load`.

    Args:
        root: folder where the index is kept.
        parts: shards by part.
        features: names of the features of the picture and of the mask.
        channels: channels of the pictures.

    Returns:
        Records by part, and those that were left out.

    Raises:
        InputError: shards that are damaged, or without these features.
    """
    shards = tuple(path for name in parts for path in parts[name])
    table = _index(root, shards, channels, features)
    part_of = np.repeat(list(parts), [len(parts[name]) for name in parts])[table["shard"]]
    whole = Records(shards, features[0], table["shard"], table["offset"], table["length"])
    found = {name: whole.take(np.flatnonzero(table["readable"] & (part_of == name))) for name in parts}
    return found, _left_out(root, shards, table)


def _left_out(root: Path, shards: tuple[Path, ...], table: Mapping[str, np.ndarray]) -> tuple[Path, ...]:
    bad = tuple(Path(f"{shards[table['shard'][i]]}@{table['offset'][i]}") for i in np.flatnonzero(~table["readable"]))
    if bad:
        _log.warning("note: left out of %s: %d records without a picture that can be decoded", root, len(bad))
    return bad


def _labelled(
    root: Path, table: Mapping[str, np.ndarray], train: np.ndarray, classes: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels from 0 of all records, and the classes' names; `train` says which records are for training."""
    if classes is None and (root / LABELS).is_file():
        try:
            classes = _lines(untrusted.content(root / LABELS).decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise InputError(f"{root / LABELS}: expected a name per line in UTF-8 ({error})") from error
    first = _first_label(table["label"][train], classes)
    classes = tuple(classes or _named(table, first))
    labels = table["label"] - first
    wrong = table["readable"] & ((labels < 0) | (labels >= len(classes)))
    if wrong.any():
        raise InputError(
            f"{root}: label {table['label'][wrong][0]} has no name: expected {first} to {first + len(classes) - 1}, as "
            f"there are {len(classes)} classes"
        )
    return labels, classes


def _lines(text: str) -> list[str]:
    """Lines of a file of names, in which other separators than line ends are characters."""
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _first_label(labels: np.ndarray, classes: Sequence[str] | None) -> int:
    """0 or 1: the number of the first class."""
    if not len(labels):
        raise InputError("the TFRecord files for training hold no readable image")
    if classes is not None:
        return int(labels.max() == len(classes) and labels.min() > 0)
    return int(labels.min() > 0)


def _named(table: Mapping[str, np.ndarray], first: int) -> list[str]:
    """The classes' names as the records have them, or else their numbers."""
    count = int(table["label"].max()) - first + 1
    names = [str(number) for number in range(count)]
    for label, name in zip(table["named_labels"], table["names"], strict=True):
        if name and 0 <= label - first < count:
            names[label - first] = str(name)
    return names


def _index(
    root: Path, shards: tuple[Path, ...], channels: int, features: tuple[str, str] | None = None
) -> dict[str, np.ndarray]:
    """Where every record is, from the file kept in the folder or made now."""
    asked = [f"{channels}", *(features or ())]
    state = np.array(asked + [f"{path.name} {path.stat().st_size}" for path in shards])
    kept = root / (_MASKS if features else INDEX)
    if kept.is_file():
        try:
            table = arrays.read(kept)
            if np.array_equal(table["state"], state):
                _check_index(table, shards)
                return table
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise InputError(f"{kept} is damaged ({error}): delete it, it will be made anew") from error
    table = {"state": state, **_scan(shards, channels, features)}
    try:
        with files.writing(kept, overwrite=True) as temporary:
            np.savez(temporary, **table)  # type: ignore[arg-type]  # it takes these for its own arguments
    except InputError as error:
        print(f"note: the index of {root} is not kept for the next time: {error}")
    return table


_KINDS = {"shard": "i", "offset": "i", "length": "i", "label": "i", "readable": "b", "named_labels": "i", "names": "U"}


def _check_index(table: Mapping[str, np.ndarray], shards: tuple[Path, ...]) -> None:
    """Raises ValueError for an index whose records do not lie in the files: it may be a stranger's."""
    count, named = table["shard"].shape, table["names"].shape
    for name, kind in _KINDS.items():
        shape = named if name in ("names", "named_labels") else count
        if table[name].dtype.kind != kind or table[name].shape != shape or len(shape) != 1:
            raise ValueError(f"{name} is {table[name].dtype} of {table[name].shape}")
    if table["feature"].dtype.kind != "U" or table["feature"].shape:
        raise ValueError(f"feature is {table['feature'].dtype} of {table['feature'].shape}")
    if not len(table["shard"]) or table["shard"].min() < 0 or table["shard"].max() >= len(shards):
        raise ValueError("its records lie in files that are not there")
    sizes = np.array([path.stat().st_size for path in shards])[table["shard"]]
    offset, length = table["offset"], table["length"]
    if (offset < 0).any() or (length < 0).any() or (length > sizes).any() or (offset > sizes - length).any():
        raise ValueError("its records lie outside of their files")


def _scan(shards: tuple[Path, ...], channels: int, features: tuple[str, str] | None = None) -> dict[str, np.ndarray]:
    """Reads every record once and decodes its image."""
    is_readable = get_signal("image").code.is_readable
    scanning = importlib.import_module("keras_resnet.data.scanning")  # the reader is TensorFlow's
    layouts = scanning.LAYOUTS if features is None else (features,)
    return scanning.scan(shards, lambda encoded: is_readable(encoded, (0, 0, channels)), layouts)
