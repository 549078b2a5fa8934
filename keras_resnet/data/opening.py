"""How sources whose files decide more than their row are opened: folders, tables, ImageNet, the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_resnet.data import box_tables, boxed, catalog, folder, labelled, records
from keras_resnet.data.dataset import Dataset
from keras_resnet.data.finding import opened
from keras_resnet.errors import InputError
from keras_resnet.signals.fits import Keep

IMAGENET = "imagenet"


def from_files(name: str, data_dir: Path | None, shape: tuple[int, ...], keep: Keep) -> Dataset:
    """Opens a folder of class folders, or of TFRecord files; an `interface.Load`."""
    _check_channels(shape)
    root = Path(name)
    return (records if records.find(root) else folder).load(root, shape, keep)


def from_table(name: Any, data_dir: Path | None, shape: tuple[int, ...], keep: Keep, **how: Any) -> Dataset:
    """Opens a table of labels, tags, values or boxes; an `interface.Load` with arguments of `load_dataset` besides."""
    _check_channels(shape)
    table = opened(name, data_dir)
    if table is None or not box_tables.is_one(table, how["truth"]):
        return labelled.load(name, shape, keep, root=data_dir, **how)
    if how["fold"] is not None:
        raise InputError(f"fold {how['fold']}: a table of boxes has no folds; expected a column split")
    own = {name: how[name] for name in ("columns", "classes", "test_only")}
    return boxed.load_table(name, shape, keep, root=data_dir, **own)


def imagenet(name: str, data_dir: Path | None, shape: tuple[int, ...], keep: Keep) -> Dataset:
    """Opens ImageNet, in either form; an `interface.Load`."""
    _check_channels(shape)
    if data_dir is None:
        raise InputError(
            "imagenet needs its folder: --data imagenet:DIR, with train/ and val/ or TFRecord files in DIR"
        )
    return from_files(str(data_dir), None, shape, keep).named(IMAGENET)


def from_catalog(name: str, data_dir: Path | None, shape: tuple[int, ...], keep: Keep) -> Dataset:
    """Opens a set with classes of tensorflow-datasets; an `interface.Load`."""
    _check_channels(shape)
    return catalog.load(name.removeprefix(catalog.PREFIX), data_dir, shape, keep)


def _check_channels(shape: tuple[int, ...]) -> None:
    if shape[-1] not in (1, 3):
        raise InputError(f"images of a folder have 1 or 3 channels, the model takes {shape[-1]}")
