"""Sets of tensorflow-datasets, by name, where that package is installed: pictures with classes, masks or boxes."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import extras
from keras_resnet.data import boxed, masked, published, records
from keras_resnet.data.dataset import Dataset, EncodedSplit, Split
from keras_resnet.data.legends import NOTHING, Legend, Reading
from keras_resnet.data.masks import MaskFiles
from keras_resnet.data.objects import FoundThings, Thing, Things, numbers
from keras_resnet.data.parts import complete, part_name
from keras_resnet.data.records import Records
from keras_resnet.data.truth import CROWD, DIFFICULT, USUAL
from keras_resnet.errors import InputError
from keras_resnet.signals.fits import Keep

PREFIX = "tfds:"
MASKS = "tfds-masks:"
BOXES = "tfds-boxes:"
_FLAGS = {"is_crowd": CROWD, "is_difficult": DIFFICULT}  # parts of a set's objects
_LEGENDS: dict[str, Legend] = {"oxford_iiit_pet": published.PETS}  # of sets that do not say what their values mean


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
    builder, tfds = _builder(name, data_dir, PREFIX)
    features = builder.info.features
    kinds = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    if any(key not in features or not isinstance(features[key], kind) for key, kind in kinds.items()):
        raise InputError(
            f"{name} is not for classification: expected the features image and label, received {features}"
        )
    root = Path(builder.data_dir)
    names = features["label"].names
    dataset = records.load(root, image_shape, keep, parts=_shards(builder), classes=names)
    return dataset.named(f"{PREFIX}{name}")


def _builder(name: str, data_dir: str | os.PathLike | None, prefix: str) -> tuple[Any, Any]:
    """The builder of a set whose files are there now, and the package."""
    extras.require_for(f"{prefix}{name}")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir, file_format="tfrecord")
        builder.download_and_prepare()
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        raise InputError(f"tensorflow-datasets cannot open {name}: {str(error).splitlines()[0]}") from error
    return builder, tfds


def _shards(builder: Any) -> dict[str, tuple[Path, ...]]:
    """Files by part."""
    return {
        part: tuple(Path(path) for path in info.filepaths)
        for split, info in builder.info.splits.items()
        if (part := part_name(split))
    }


@dataclass(frozen=True, eq=False)
class _Entry:
    """A picture within a record; `masks.Encoded`.

    Attributes:
        records: records, with the name of the picture's feature.
        index: place of the record.
    """

    records: Records
    index: int

    def read_bytes(self) -> bytes:
        """Its bytes."""
        return self.records.read(np.array([self.index]))[0]

    def __str__(self) -> str:
        """File and place, for messages."""
        shard = self.records.shards[self.records.shard[self.index]]
        return f"{shard}@{self.records.offset[self.index]}, {self.records.feature}"


def load_masks(
    name: str,
    data_dir: str | os.PathLike | None,
    image_shape: tuple[int, ...],
    keep: Keep = 1.0,
    reading: Reading = NOTHING,
) -> Dataset:
    """Opens a set whose examples have one picture and one mask; see `load`.

    Args:
        name: name in the catalog behind the prefix: `"tfds-masks:oxford_iiit_pet"`.
        data_dir: folder of tensorflow-datasets' files; None for its own default.
        image_shape: `(height, width, channels)` that every image gets.
        keep: share of the central part's height and width that is used.
        reading: what is said of the masks' values besides.

    Returns:
        A `Dataset` named `"tfds-masks:NAME"`.

    Raises:
        InputError: see `load`; the set has not one mask, or `masked.checked` refuses them.
    """
    if image_shape[-1] not in (1, 3):
        raise InputError(f"pictures of a set have 1 or 3 channels, the model takes {image_shape[-1]}")
    name = name.removeprefix(MASKS)
    builder, tfds = _builder(name, data_dir, MASKS)
    features, key = builder.info.features, "image"
    pictures = {each: found for each, found in features.items() if isinstance(found, tfds.features.Image)}
    others = [each for each, found in pictures.items() if each != key and found.shape[-1] == 1]
    if key not in pictures or len(others) != 1:
        raise InputError(f"{name}: expected the feature image and one mask (h, w, 1), received {features}")
    root = Path(builder.data_dir)
    found, bad = records.with_masks(root, _shards(builder), (key, others[0]), image_shape[-1])
    legend = reading.of(_LEGENDS.get(builder.name, Legend()))
    entries = {
        part: [(_Entry(each, place), _Entry(each.of(others[0]), place)) for place in range(len(each))]
        for part, each in found.items()
    }
    legend = masked.checked(root, [pair for pairs in entries.values() for pair in pairs], legend, reading)
    splits: dict[str, Split] = {
        part: EncodedSplit(each, {}, image_shape, keep, maps={"mask": MaskFiles(_second(entries[part]), legend)})
        for part, each in found.items()
    }
    whole = complete(splits)
    ready = whole["train"], whole["validation"], whole["test"]
    return Dataset(f"{MASKS}{name}", legend.names, image_shape, *ready, unreadable=bad, truth="mask")


def load_boxes(
    name: str,
    data_dir: str | os.PathLike | None,
    image_shape: tuple[int, ...],
    keep: Keep = 1.0,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """Opens a set whose examples have one picture and objects with boxes; see `load`.

    Args:
        name: name in the catalog behind the prefix: `"tfds-boxes:voc/2007"`.
        data_dir: folder of tensorflow-datasets' files; None for its own default.
        image_shape: `(height, width, channels)` that every image gets.
        keep: share of the central part's height and width that is used.
        classes: names of the classes in a model's order; by default the set's own.

    Returns:
        A `Dataset` named `"tfds-boxes:NAME"`.

    Raises:
        InputError: see `load`; the set has no objects with boxes and classes, or `boxed.whole` refuses them.
    """
    if image_shape[-1] not in (1, 3):
        raise InputError(f"pictures of a set have 1 or 3 channels, the model takes {image_shape[-1]}")
    name = name.removeprefix(BOXES)
    builder, tfds = _builder(name, data_dir, BOXES)
    features, kinds = builder.info.features, tfds.features
    own = dict(features.items())
    image, inner = own.get("image"), dict(getattr(getattr(own.get("objects"), "feature", None), "items", dict)())
    label, box = inner.get("label") or inner.get("labels"), inner.get("bbox")
    wanted = ((image, kinds.Image), (label, kinds.ClassLabel), (box, kinds.BBoxFeature))
    if label is None or not all(isinstance(each, kind) for each, kind in wanted):
        raise InputError(f"{name}: expected the features image and objects with bbox and label, received {features}")
    root, names = Path(builder.data_dir), tuple(label.names)
    read, bad = records.with_masks(root, _shards(builder), ("image", "image"), image_shape[-1])
    parts = {
        part: [(_Entry(each, place), things) for place, things in enumerate(_things(each, len(names)))]
        for part, each in read.items()
    }
    found = FoundThings(parts, names, named=True)
    found = found if classes is None else boxed.in_order(name, found, classes)
    return boxed.whole(f"{BOXES}{name}", found, read, image_shape, keep, bad)


def _things(found: Records, classes: int) -> Iterator[Things]:
    """The objects of every record, of so many classes."""
    scanning = importlib.import_module("keras_resnet.data.scanning")  # the parser is TensorFlow's
    for some in np.array_split(np.arange(len(found)), max(1, len(found) // 256)):
        for place, each in zip(some, scanning.objects(found.records(some), "objects"), strict=True):
            origin = str(_Entry(found, int(place)))
            yield Things(origin, tuple(_of_record(each, origin, classes)), relative=True, lying=True)


def _of_record(parts: dict[str, list[float]], origin: str, classes: int) -> Iterator[Thing]:
    """Objects of a record; sides are shares, y before x."""
    sides, kinds = parts.get("bbox", []), parts.get("label") or parts.get("labels") or []
    areas = parts.get("area") or [0.0] * len(kinds)
    flags = [(flag, parts.get(name) or [0] * len(kinds)) for name, flag in _FLAGS.items()]
    if not len(sides) == 4 * len(kinds) == 4 * len(areas) or any(len(values) != len(kinds) for _, values in flags):
        raise InputError(f"{origin}: expected four sides for each of {len(kinds)} labels, received {len(sides)}")
    for number, kind in enumerate(kinds):
        where = f"object {number + 1}"
        y1, x1, y2, x2 = numbers(sides[4 * number : 4 * number + 4], f"{origin}, {where}")
        if not 0 <= kind < classes:
            raise InputError(f"{origin}, {where} has the class {kind:g}: expected 0 to {classes - 1}")
        flag = max((flag for flag, values in flags if values[number]), default=USUAL)
        yield Thing((x1, y1, x2, y2), int(kind), where, flag, areas[number])


def _second(pairs: list[tuple[_Entry, _Entry]]) -> tuple[_Entry, ...]:
    return tuple(mask for _, mask in pairs)
