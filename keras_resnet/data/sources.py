"""The table of data sources: a source is a row here, and a module of its own where loading takes one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_resnet.data import (
    box_tables,
    boxed,
    catalog,
    cifar,
    digit_scenes,
    digits,
    labelled,
    masked,
    memory,
    opening,
    records,
    tables,
)
from keras_resnet.data.dataset import Dataset
from keras_resnet.data.interface import Source, never
from keras_resnet.data.legends import Reading
from keras_resnet.data.named import Named
from keras_resnet.data.opening import IMAGENET
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.signals.fits import Keep

_SEVERAL = ("mask", "boxes")  # kinds of truth that one folder may have
_FILES = "a folder of class folders (root/class_name/*.png|jpg, or these under train and val), or of TFRecord files"


def _has_records(name: str) -> bool:
    return bool(records.find(Path(name)))


def _is_path(name: str) -> bool:
    return Path(name).exists() or os.sep in name


def _has_boxes(name: str) -> bool:
    return Path(name).is_dir() and boxed.is_one(Path(name))


def _has_masks(name: str) -> bool:
    return Path(name).is_dir() and masked.is_one(Path(name))


def _cifar(name: str, summary: str) -> Source:
    return Source(
        name=name,
        summary=summary,
        needs=f"{cifar.LAYOUTS[name].folder}, the official binary version, in --data {name}:DIR or in Keras' cache",
        load=lambda name, data_dir, shape, keep: cifar.load(name, data_dir),
        at_hand=lambda data_dir: cifar.find(name, data_dir) is not None,
    )


SOURCES: dict[str, Source] = {
    row.name: row
    for row in (
        Source(
            name="digits",
            summary="1,797 scanned digits of 10 classes, which scikit-learn brings",
            load=lambda name, data_dir, shape, keep: digits.load(),
            at_hand=lambda data_dir: True,
        ),
        Source(
            name=digit_scenes.NAME,
            summary="1,400 scenes of scanned digits of several sizes, with the box of each",
            load=lambda name, data_dir, shape, keep, **how: digit_scenes.load(),
            at_hand=lambda data_dir: True,
            truth="boxes",
        ),
        _cifar("cifar10", "60,000 photographs of 10 classes, 32x32"),
        _cifar("cifar100", "60,000 photographs of 100 classes, 32x32"),
        Source(
            name=IMAGENET,
            summary="1.3 million photographs of 1,000 classes",
            needs=f"--data imagenet:DIR: {_FILES}",
            load=opening.imagenet,
        ),
        Source(
            name="a folder of class folders",
            summary="images of one's own",
            needs="root/class_name/*.png, *.jpg, ..., or the same under train, val and test",
            upright=True,
            load=opening.from_files,
            matches=_is_path,
        ),
        Source(
            name="a folder of TFRecord files",
            summary="images of one's own, or what `prepare` wrote",
            needs="files like train-00000-of-00016",
            load=opening.from_files,
            matches=_has_records,
        ),
        Source(
            name="a table of files",
            summary="images of one's own with labels, tags or values",
            needs="a .csv, .tsv or .jsonl file with the columns file and label, labels or value; or the folder of one",
            upright=True,
            load=opening.from_table,
            matches=lambda name: labelled.find(Path(name)) is not None,
            table=True,
        ),
        Source(
            name="a folder of pictures and boxes",
            summary="images of one's own with the boxes of objects",
            needs="a layout of docs/detection.md: Pascal VOC, COCO, YOLO, .xml files; perhaps classes.txt",
            upright=True,
            test_alone=True,
            load=lambda name, data_dir, shape, keep, **how: boxed.load(name, shape, keep, **how),
            matches=_has_boxes,
            truth="boxes",
        ),
        Source(
            name="a folder of pictures and masks",
            summary="images of one's own with the class of every pixel",
            needs="images/ and masks/ with the same names, or a layout of docs/segmentation.md; perhaps classes.txt",
            test_alone=True,
            load=lambda name, data_dir, shape, keep, **how: masked.load(name, shape, keep, **how),
            matches=_has_masks,
            truth="mask",
        ),
        Source(
            name=f"{memory.PREFIX}NAME",
            summary="data in the memory of a program (`data.memory`)",
            upright=True,
            load=memory.load,
            matches=memory.is_name,
        ),
        Source(
            name=f"{catalog.PREFIX}NAME",
            summary="a set for image classification of tensorflow-datasets",
            needs="the package tensorflow-datasets, which downloads the set the first time",
            load=opening.from_catalog,
            matches=lambda name: name.startswith(catalog.PREFIX),
        ),
        Source(
            name=f"{catalog.MASKS}NAME",
            summary="a set of tensorflow-datasets with one picture and one mask",
            needs="the package tensorflow-datasets, which downloads the set the first time",
            load=lambda name, data_dir, shape, keep, **how: catalog.load_masks(name, data_dir, shape, keep, **how),
            matches=lambda name: name.startswith(catalog.MASKS),
            truth="mask",
        ),
        Source(
            name=f"{catalog.BOXES}NAME",
            summary="a set of tensorflow-datasets with one picture and the boxes of objects",
            needs="the package tensorflow-datasets, which downloads the set the first time",
            upright=True,
            load=lambda name, data_dir, shape, keep, **how: catalog.load_boxes(name, data_dir, shape, keep, **how),
            matches=lambda name: name.startswith(catalog.BOXES),
            truth="boxes",
        ),
    )
}


def find_source(name: str, truth: str | None = None) -> Source:
    """Returns the row that a name belongs to: its own, or the last one that matches it, as later rows know more.

    Args:
        name: name of a source, or a path.
        truth: kind of truth that was asked for, where a folder has several, such as masks and boxes.

    Raises:
        InputError: no source has that name, and there is no such folder.
    """
    if name in SOURCES:
        return SOURCES[name]
    found = [row for row in reversed(SOURCES.values()) if row.matches(name)]
    if found:
        asked = (row for row in found if row.truth == truth and truth in _SEVERAL)
        return next(asked, found[0])
    named = [row.name for row in SOURCES.values() if row.matches is never]
    raise unknown_name("dataset", name, named, "(or name a folder, or tfds:NAME)")


def locate(data: str | os.PathLike, usual: str | None = None) -> Named:
    """Reads what `--data` is given: `NAME`, `NAME:DIR`, or a path.

    Args:
        data: name of a source, a name and a folder with a colon between, or a path.
        usual: name of the source that the recipe or the model is about: a folder of its files is that source.

    Returns:
        A name that `find_source` knows; for a path whose content is that of a named source (CIFAR's binary files), that
        source in that folder.

    Raises:
        InputError: no such source or path.

    Example:
        >>> from keras_resnet.data.sources import locate
        >>> str(locate("digits"))
        'digits'
    """
    text = os.fspath(data)
    try:
        return _located(text, usual)
    except OSError as error:  # a name that no file can have
        raise InputError(f"{text[:60]}... is no name and no path: {error.strerror}") from error


def _located(text: str, usual: str | None) -> Named:
    if text in SOURCES:
        return Named(text)
    start, colon, rest = text.partition(":")
    if memory.is_name(text):
        return Named(text)
    if start in SOURCES and colon:
        if not rest:
            raise InputError(f"{text}: expected a folder behind the colon, or {start} alone")
        return Named(start, Path(rest))
    if text.startswith((catalog.PREFIX, catalog.MASKS, catalog.BOXES)):
        prefix, name, folder = (*text.split(":", 2), "")[:3]
        return Named(f"{prefix}:{name}", Path(folder) if folder else None)
    if Path(text).is_dir():
        if usual == IMAGENET:
            return Named(IMAGENET, Path(text))
        for name in sorted(cifar.LAYOUTS, key=lambda each: each != usual):
            if SOURCES[name].at_hand(text):
                return Named(name, Path(text))
    find_source(text)
    return Named(text)


def truth_of(name: Any, *, columns: Mapping[str, str] | None = None, truth: str | None = None) -> str:
    """The kind of truth of a data source, which decides the task: that of its row, or of a table's columns.

    Args:
        name: name as `load_dataset` takes it, or a DataFrame.
        columns: the table's own names of columns by their meaning; for tables only.
        truth: kind of truth that was asked for, where the columns or the folder have several.

    Returns:
        Row of `data.truth.KINDS`.

    Raises:
        InputError: no such source; a table without a column to learn, or with several.
    """
    if not tables.is_frame(name):
        if memory.is_name(str(name)):
            return memory.truth_of(str(name))  # read with its columns already
        row = find_source(str(name), truth)
        if not row.table:
            _refuse_columns(row, columns)
            return row.truth
        name = labelled.find(Path(name)) or name
    table = tables.read(name)
    return "boxes" if box_tables.is_one(table, truth) else tables.roles(table, columns, truth).truth


def _refuse_columns(row: Source, columns: Mapping[str, str] | None) -> None:
    if columns:
        raise InputError(f"--columns goes with a table (.csv, .tsv, .jsonl): the data are {row.name}")


def load_dataset(
    name: Any,
    data_dir: str | os.PathLike | None = None,
    image_shape: tuple[int, ...] = (224, 224, 3),
    keep: Keep = 1.0,
    *,
    columns: Mapping[str, str] | None = None,
    truth: str | None = None,
    classes: Sequence[str] | None = None,
    fold: str | None = None,
    test_only: bool = False,
    void: Sequence[int] = (),
    reduce_zero_label: bool = False,
) -> Dataset:
    """Loads a data source.

    Args:
        name: `"digits"`, `"cifar10"`, `"cifar100"`; `"imagenet"` for class folders or TFRecord files in `data_dir`;
            `"tfds:NAME"` for a set of tensorflow-datasets; a folder: `root/class_name/*.png|jpg`, the same under
            `train` and `val`, or TFRecord files (`data.records`); or a table of files (`data.labelled`), a DataFrame
            as well. `"cifar10:DIR"` names the folder too.
        data_dir: folder with the files of a named source; by default Keras' cache or that of tensorflow-datasets.
        image_shape: `(height, width, channels)` of the images read from a folder; digits and CIFAR have their own.
        keep: share of the central part's height and width of a folder's images: 0.875 for the usual ImageNet crop.
        columns: a table's own names of columns by their meaning, like `{"file": "photo", "label": "breed"}`.
        truth: kind of truth to learn, where a table's columns or a folder leave that open (`truth_of`).
        classes: names of a table's labels, or of the classes of boxes, in a model's order; by default their own.
        fold: fold of a table that is the test.
        test_only: whether a table, or a folder with `Source.test_alone`, without a part to learn from is taken.
        void: values of masks that mean nothing, besides what the folder says.
        reduce_zero_label: whether 0 means nothing in masks, and the first class is 1.

    Returns:
        The three splits, with uint8 images.

    Raises:
        InputError: no such source or folder, or its files are damaged.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_dataset("digits")
        >>> len(digits.test)
        360
    """
    if not tables.is_frame(name) and data_dir is None:
        name, data_dir = locate(name)
    where = None if data_dir is None else Path(data_dir), tuple(image_shape), keep
    row = None if tables.is_frame(name) else find_source(str(name), truth)
    reading = Reading(tuple(void), bool(reduce_zero_label))
    if reading and (row is None or row.truth != "mask"):
        raise InputError(f"void and reduce_zero_label go with masks: the data are {row.name if row else 'a table'}")
    if row is None or row.table:
        how: dict[str, Any] = {"columns": columns, "truth": truth, "classes": classes, "fold": fold}
        return opening.from_table(name, *where, **how, test_only=test_only)
    _refuse_columns(row, columns)
    if fold is not None:
        raise InputError(f"fold {fold} goes with a table that has a column fold: the data are {row.name}")
    load: Callable[..., Dataset] = row.load
    said: dict[str, Any] = {"reading": reading} if reading else {}
    said |= {"classes": classes} if row.truth == "boxes" and classes else {}
    said |= {"test_only": True} if row.test_alone and test_only else {}
    found = load(str(name), *where, **said)
    return found if row.upright else found.as_it_lies()
