"""Folders of images: `root/class_name/*.png|jpg`, or the same under `train`, `val` and `test`, as ImageNet has them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_resnet.console import progress, without_chatter
from keras_resnet.data.dataset import Dataset, EncodedSplit, Files, Split
from keras_resnet.data.parts import complete, part_name
from keras_resnet.errors import InputError
from keras_resnet.signals.table import get_signal

MAX_UNREADABLE = 0.01


def load(root: str | os.PathLike, image_shape: tuple[int, ...], keep: float = 1.0) -> Dataset:
    """Finds the images and divides them.

    Where `root` has the folders `train` and `validation` (or `val`) or `test`, these are the splits (`data.parts` says
    what becomes of those that are missing). Else 80 / 10 / 10 percent, seeded and stratified.

    Args:
        root: the folder.
        image_shape: `(height, width, channels)` that every image gets.
        keep: share of the central part's height and width that is used.

    Returns:
        A `Dataset` whose files are decoded when needed; `unreadable` names the files left out.

    Raises:
        InputError: no such folder, no classes, no images, fewer than three readable images in a class, or parts
            whose classes differ.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(
            f"{root} is no folder: expected a dataset name (digits, cifar10, cifar100) or a folder of class folders"
        )
    parts = {name: p for p in root.iterdir() if p.is_dir() and (name := part_name(p.name))}
    if "train" not in parts:
        parts = {"train": root}
    classes = _classes(parts["train"])
    found = {name: _files(folder, classes) for name, folder in parts.items()}
    everything = [path for paths, _ in found.values() for path in paths]
    if not everything:
        raise InputError(
            f"{root}: no {', '.join(get_signal('image').suffixes)} files below {', '.join(classes[:5])}, ..."
        )
    bad = set(find_unreadable(everything, image_shape))
    splits: dict[str, Split] = {}
    for name, (paths, labels) in found.items():
        good = np.flatnonzero([path not in bad for path in paths])
        split = EncodedSplit(Files(paths), {"label": labels}, image_shape, keep)
        splits[name] = split.take(good)
    for number, name in enumerate(classes):
        if np.count_nonzero(splits["train"].truth["label"] == number) < 3:
            raise InputError(f"{parts['train'] / name}: expected at least 3 readable images in every class")
    whole = complete(splits)
    parts_in_order = whole["train"], whole["validation"], whole["test"]
    return Dataset(str(root), classes, image_shape, *parts_in_order, unreadable=tuple(sorted(bad)))


def _classes(folder: Path) -> tuple[str, ...]:
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not names:
        raise InputError(f"{folder} has no class folders: expected {folder}/CLASS/*.png or *.jpg")
    return tuple(names)


def _files(folder: Path, classes: Sequence[str]) -> tuple[tuple[Path, ...], np.ndarray]:
    strangers = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != "." and p.name not in classes)
    if strangers:
        raise InputError(f"{folder} has classes that the training images have not: {', '.join(strangers[:5])}")
    paths, labels, suffixes = [], [], get_signal("image").suffixes
    for number, name in enumerate(classes):
        members = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in suffixes and p.is_file())
        paths += members
        labels += [number] * len(members)
    return tuple(paths), np.asarray(labels, np.int64)


def find_unreadable(paths: Sequence[Path], image_shape: tuple[int, ...]) -> list[Path]:
    """Decodes every file once, with the decoder that training uses.

    Args:
        paths: image files.
        image_shape: `(height, width, channels)` that every image gets.

    Returns:
        The files that cannot be decoded.
    """
    is_readable = get_signal("image").code.is_readable
    with without_chatter(), ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = pool.map(lambda path: is_readable(path.read_bytes(), image_shape), paths)
        if len(paths) > 1000:
            verdicts = progress(verdicts, "checking images", len(paths))
        return [path for path, good in zip(paths, verdicts, strict=True) if not good]


def check_unreadable(dataset: Dataset, limit: float = MAX_UNREADABLE) -> None:
    """Refuses to train on a folder of which too much cannot be read.

    Raises:
        InputError: more than `limit` of the images are unreadable.
    """
    total = sum(len(part) for part in (dataset.train, dataset.validation, dataset.test))
    bad = len(dataset.unreadable)
    if bad > limit * (total + bad):
        names = ", ".join(str(path) for path in dataset.unreadable[:3])
        raise InputError(
            f"{bad} of {total + bad} images cannot be decoded ({names}{', ...' if bad > 3 else ''}): more than "
            f"{limit:.0%}. Repair or remove them, or allow it: --set max_unreadable={bad / (total + bad) + 0.01:.2f}"
        )
