"""The examples of a data source as they lie there: nothing is decoded, and nothing is refused that can be shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data import folder, objects
from keras_resnet.data.dataset import ArraySplit, Dataset, EncodedSplit, Files, Split
from keras_resnet.data.objects import Problem
from keras_resnet.data.sources import Named, find_source, load_dataset
from keras_resnet.data.truth import CLASS
from keras_resnet.errors import InputError

_SHAPE = (224, 224, 3)  # of a decoded picture, which nobody looks at here
_FOLDERS = "a folder of class folders"  # row of `data.sources.SOURCES`
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Item:
    """One example.

    Attributes:
        name: its file below the source's folder, or its place in its part.
        part: `"train"`, `"validation"`, `"test"`; empty where the source is not divided.
        labels: names of its classes: one, several tags, or those of its mask or boxes; empty for other kinds of truth.
        source: file, bytes of one, or pixels, uint8 `(H, W, C)`.
    """

    name: str
    part: str
    labels: tuple[str, ...]
    source: Path | bytes | np.ndarray


@dataclass(frozen=True)
class Gathered:
    """The examples of a source.

    Attributes:
        name: name of the source.
        items: examples, part by part.
        classes: names of the classes.
        truth: row of `data.truth.KINDS`.
        own_parts: whether the source itself is divided.
        others: files that are no pictures by their ending.
        empty: class folders without pictures.
        values: values of a regression by their name, float `(N,)`.
        boxes: boxes of every example, rows of the truth `boxes` in pixels of its file, `(k, 7)` each; empty for others.
        problems: boxes that a training drops or clips.
    """

    name: str
    items: tuple[Item, ...]
    classes: tuple[str, ...]
    truth: str = "label"
    own_parts: bool = True
    others: tuple[Path, ...] = ()
    empty: tuple[str, ...] = ()
    values: dict[str, np.ndarray] = field(default_factory=dict)
    boxes: tuple[np.ndarray, ...] = ()
    problems: tuple[Problem, ...] = ()


def gather(place: Named, **how: Any) -> Gathered:
    """Lists the examples of a source.

    Args:
        place: what `--data` names.
        **how: further arguments of `load_dataset`, where it is asked: those of a table or of masks, or the truth.

    Raises:
        InputError: there is nothing, or the source cannot be opened.
    """
    if of_folders(place) and not how.keys() & {"void", "reduce_zero_label"}:
        return _of_folders(Path(place.name))
    with folder.unchecked(), objects.collected() as problems:
        dataset = load_dataset(place.name, place.folder, _SHAPE, **how)
    if dataset.signal != "image":
        raise InputError(f"{place}: expected pictures, received {dataset.signal}s")
    return replace(_of_dataset(dataset), problems=tuple(problems))


def of_folders(place: Named) -> bool:
    """Whether a source is a folder of class folders, which is looked at without TensorFlow."""
    return place.folder is None and Path(place.name).is_dir() and find_source(place.name).name == _FOLDERS


def _of_folders(root: Path) -> Gathered:
    found = folder.listing(root)
    classes = tuple(dict.fromkeys(name for by_class in found.values() for name in sorted(by_class)))
    items = tuple(
        Item(str(path.relative_to(root)), part, (name,), path)
        for part in sorted(found, key=("", *PARTS).index)
        for name, (pictures, _) in found[part].items()
        for path in pictures
    )
    if not items:
        raise InputError(f"{root} holds no pictures: expected {root}/CLASS/*.jpg, or the same under train and test")
    return Gathered(
        name=str(root),
        items=items,
        classes=tuple(name for name in classes if any(found[part].get(name, ([], []))[0] for part in found)),
        own_parts="" not in found,
        others=tuple(path for by_class in found.values() for _, others in by_class.values() for path in others),
        empty=tuple(
            "/".join(filter(None, (part, name)))
            for part, by_class in found.items()
            for name, (pictures, _) in by_class.items()
            if not pictures
        ),
    )


def _of_dataset(dataset: Dataset) -> Gathered:
    splits = {name: getattr(dataset, name) for name in PARTS}
    items = tuple(item for name, split in splits.items() for item in _of_split(split, name, dataset))
    values = {}
    if dataset.truth == "values":
        columns = np.concatenate([split.truth["values"] for split in splits.values()])
        names = dataset.classes or tuple(map(str, range(columns.shape[1])))
        values = dict(zip(names, columns.T, strict=True))
    return Gathered(
        name=dataset.name,
        items=items,
        classes=() if values else dataset.classes,
        truth=dataset.truth,
        own_parts=True,
        values=values,
        boxes=tuple(rows[rows[:, CLASS] >= 0] for split in splits.values() for rows in split.truth.get("boxes", ())),
    )


def _of_split(split: Split, part: str, dataset: Dataset) -> Iterator[Item]:
    root = Path(dataset.name)
    root = root if root.is_dir() else root.parent
    for number, labels in enumerate(_labels(split, dataset.classes)):
        content: Any = None
        if isinstance(split, EncodedSplit) and isinstance(split.contents, Files):
            content = split.contents.paths[number]
        elif isinstance(split, ArraySplit):
            content = split.images[number]
        elif isinstance(split, EncodedSplit):
            content = split.contents.read(np.array([number]))[0]
        if content is None:
            raise InputError(f"{dataset.name}: expected files or arrays; write it with prepare first")
        yield Item(_name(content, root) if isinstance(content, Path) else f"{part} {number}", part, labels, content)


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _labels(split: Split, classes: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if "label" in split.truth:
        yield from ((classes[n] if n < len(classes) else str(n),) for n in split.truth["label"].tolist())
    elif "tags" in split.truth:
        yield from (tuple(classes[n] for n in np.flatnonzero(row)) for row in split.truth["tags"])
    elif "boxes" in split.truth:
        found = (np.unique(rows[:, CLASS]).astype(int).tolist() for rows in split.truth["boxes"])
        yield from (tuple(classes[n] for n in kinds if n >= 0) for kinds in found)
    elif isinstance(split, EncodedSplit) and "mask" in split.maps:
        found = (np.unique(split.maps["mask"].read(number)) for number in range(len(split)))
        yield from (tuple(classes[n] for n in values if n < len(classes)) for values in found)
    else:
        yield from (() for _ in range(len(split)))
