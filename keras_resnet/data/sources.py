"""The table of data sources: a source is a row here, and a module of its own where loading takes one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from keras_resnet.data import catalog, cifar, digits, folder, labelled, masked, memory, records, tables
from keras_resnet.data.dataset import Dataset
from keras_resnet.data.legends import Reading
from keras_resnet.data.named import Named
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.signals.fits import Keep

IMAGENET = "imagenet"
_FILES = "a folder of class folders (root/class_name/*.png|jpg, or these under train and val), or of TFRecord files"


class Load(Protocol):
    """Opens a data source."""

    def __call__(self, name: str, data_dir: Path | None, shape: tuple[int, ...], keep: Keep) -> Dataset:
        """Opens it.

        Args:
            name: what the user named: the row's name, or what the row matches.
            data_dir: folder of the source's files; None where the user named none.
            shape: shape that every example gets, where the source leaves that open.
            keep: share of the central part's sides that is used, where examples are cut.

        Raises:
            InputError: files are missing or damaged.
        """


def _never(name: str) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where examples come from.

    Attributes:
        name: name that the commands know it by; of a source that many names belong to, their form, like `"tfds:NAME"`.
        summary: what the examples are, for people.
        needs: what must be there before it can be loaded, for people; empty for nothing.
        load: opens it.
        at_hand: from a data folder, or None, to whether all that it needs is there, so that it can be a default.
        matches: says whether a name that is no row's belongs to this source.
        signal: row of `signals.table.SIGNALS`: what an example is.
        truth: row of `data.truth.KINDS`: what is known of an example; `load` of masks may be given a `Reading` too.
        upright: whether pictures are turned as EXIF says. Published figures and places of a set mean the pixels as they
            lie in its files; photographs of one's own are to be seen as people see them.
        table: whether it is a table, whose columns decide the truth (`labelled.load`).
    """

    name: str
    summary: str
    needs: str = ""
    load: Load
    at_hand: Callable[[str | os.PathLike | None], bool] = lambda data_dir: False
    matches: Callable[[str], bool] = _never
    signal: str = "image"
    truth: str = "label"
    upright: bool = False
    table: bool = False


def _from_files(name: str, data_dir: Path | None, shape: tuple[int, ...], keep: Keep) -> Dataset:
    _check_channels(shape)
    root = Path(name)
    return (records if records.find(root) else folder).load(root, shape, keep)


def _from_table(name: Any, data_dir: Path | None, shape: tuple[int, ...], keep: Keep, **how: Any) -> Dataset:
    _check_channels(shape)
    return labelled.load(name, shape, keep, root=data_dir, **how)


def _imagenet(name: str, data_dir: Path | None, shape: tuple[int, ...], keep: Keep) -> Dataset:
    _check_channels(shape)
    if data_dir is None:
        raise InputError(
            "imagenet needs its folder: --data imagenet:DIR, with train/ and val/ or TFRecord files in DIR"
        )
    return _from_files(str(data_dir), None, shape, keep).named(IMAGENET)


def _catalog(name: str, data_dir: Path | None, shape: tuple[int, ...], keep: Keep) -> Dataset:
    _check_channels(shape)
    return catalog.load(name.removeprefix(catalog.PREFIX), data_dir, shape, keep)


def _check_channels(shape: tuple[int, ...]) -> None:
    if shape[-1] not in (1, 3):
        raise InputError(f"images of a folder have 1 or 3 channels, the model takes {shape[-1]}")


def _has_records(name: str) -> bool:
    return bool(records.find(Path(name)))


def _is_path(name: str) -> bool:
    return Path(name).exists() or os.sep in name


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
        _cifar("cifar10", "60,000 photographs of 10 classes, 32x32"),
        _cifar("cifar100", "60,000 photographs of 100 classes, 32x32"),
        Source(
            name=IMAGENET,
            summary="1.3 million photographs of 1,000 classes",
            needs=f"--data imagenet:DIR: {_FILES}",
            load=_imagenet,
        ),
        Source(
            name="a folder of class folders",
            summary="images of one's own",
            needs="root/class_name/*.png, *.jpg, ..., or the same under train, val and test",
            upright=True,
            load=_from_files,
            matches=_is_path,
        ),
        Source(
            name="a folder of TFRecord files",
            summary="images of one's own, or what `prepare` wrote",
            needs="files like train-00000-of-00016",
            load=_from_files,
            matches=_has_records,
        ),
        Source(
            name="a table of files",
            summary="images of one's own with labels, tags or values",
            needs="a .csv, .tsv or .jsonl file with the columns file and label, labels or value; or the folder of one",
            upright=True,
            load=_from_table,
            matches=lambda name: labelled.find(Path(name)) is not None,
            table=True,
        ),
        Source(
            name="a folder of pictures and masks",
            summary="images of one's own with the class of every pixel",
            needs="images/ and masks/ with the same names, or a layout of docs/segmentation.md; perhaps classes.txt",
            load=lambda name, data_dir, shape, keep, **how: masked.load(name, shape, keep, **how),
            matches=lambda name: Path(name).is_dir() and masked.is_one(Path(name)),
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
            load=_catalog,
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
    )
}


def find_source(name: str) -> Source:
    """Returns the row that a name belongs to: its own, or the last one that matches it, as later rows know more.

    Raises:
        InputError: no source has that name, and there is no such folder.
    """
    if name in SOURCES:
        return SOURCES[name]
    for row in reversed(SOURCES.values()):
        if row.matches(name):
            return row
    named = [row.name for row in SOURCES.values() if row.matches is _never]
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
    if text.startswith((catalog.PREFIX, catalog.MASKS)):
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
        truth: kind of truth that was asked for, where the columns have several.

    Returns:
        Row of `data.truth.KINDS`.

    Raises:
        InputError: no such source; a table without a column to learn, or with several.
    """
    if not tables.is_frame(name):
        if memory.is_name(str(name)):
            return memory.truth_of(str(name))  # read with its columns already
        row = find_source(str(name))
        if not row.table:
            _refuse_columns(row, columns)
            return row.truth
        name = labelled.find(Path(name)) or name
    return tables.roles(tables.read(name), columns, truth).truth


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
        truth: kind of truth to learn from a table, where its columns leave that open (`truth_of`).
        classes: names of a table's labels in a model's order; by default those of the table, sorted.
        fold: fold of a table that is the test.
        test_only: whether a table without training rows is taken.
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
    row = None if tables.is_frame(name) else find_source(str(name))
    reading = Reading(tuple(void), bool(reduce_zero_label))
    if reading and (row is None or row.truth != "mask"):
        raise InputError(f"void and reduce_zero_label go with masks: the data are {row.name if row else 'a table'}")
    if row is None or row.table:
        how: dict[str, Any] = {"columns": columns, "truth": truth, "classes": classes, "fold": fold}
        return _from_table(name, *where, **how, test_only=test_only)
    _refuse_columns(row, columns)
    if fold is not None:
        raise InputError(f"fold {fold} goes with a table that has a column fold: the data are {row.name}")
    load: Callable[..., Dataset] = row.load
    found = load(str(name), *where, reading=reading) if reading else load(str(name), *where)
    return found if row.upright else found.as_it_lies()
