"""Folders of images: `root/class_name/*.jpg`, or the same under `train`, `val` and `test`, as ImageNet has them."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.console import progress, without_chatter
from keras_resnet.data.dataset import Dataset, EncodedSplit, Files, Split
from keras_resnet.data.parts import complete, part_name
from keras_resnet.errors import InputError
from keras_resnet.signals.fits import Keep
from keras_resnet.signals.table import get_signal
from keras_resnet.untrusted import visible

MAX_UNREADABLE = 0.01
_log = logging.getLogger("keras_resnet")


def load(root: str | os.PathLike, image_shape: tuple[int, ...], keep: Keep = 1.0) -> Dataset:
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
        InputError: no such folder, no classes or only one, no images, fewer than three readable images in a class, or
            parts whose classes differ.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(
            f"{root} is no folder: expected a dataset name (digits, cifar10, cifar100) or a folder of class folders"
        )
    parts = {name: p for p in _folders(root) if (name := part_name(p.name))}
    if "train" not in parts:
        parts = {"train": root}
    classes = _classes(root, parts["train"])
    found = {name: _files(folder, classes) for name, folder in parts.items()}
    bad = set(find_unreadable([path for each in found.values() for path in each.paths], image_shape))
    splits: dict[str, Split] = {}
    for name, each in found.items():
        good = np.flatnonzero([path not in bad for path in each.paths])
        split = EncodedSplit(Files(each.paths), {"label": each.labels}, image_shape, keep)
        splits[name] = split.take(good)
    for number, name in enumerate(classes):
        if np.count_nonzero(splits["train"].truth["label"] == number) < 3:
            raise InputError(f"{parts['train'] / name}: expected at least 3 readable images in every class")
    _say_what_is_left_out(root, found.values(), sorted(bad))
    whole = complete(splits)
    parts_in_order = whole["train"], whole["validation"], whole["test"]
    return Dataset(str(root), classes, image_shape, *parts_in_order, unreadable=tuple(sorted(bad)))


def load_part(
    folder: str | os.PathLike, classes: Sequence[str], image_shape: tuple[int, ...], keep: Keep = 1.0
) -> EncodedSplit:
    """All pictures of a folder of class folders, for a model that knows the classes.

    Args:
        folder: folder with a folder for every class, or for some of them.
        classes: names of the model's classes; empty: the folders in order.
        image_shape: `(height, width, channels)` that every image gets.
        keep: share of the central part's height and width that is used.

    Raises:
        InputError: no pictures, or classes that the model does not know.
    """
    folder = Path(folder)
    names = tuple(classes) or tuple(each.name for each in _folders(folder))
    found = _files(folder, names, owner="the model has")
    if not found.paths:
        raise InputError(f"{folder}: expected a folder for every class: {', '.join(names[:5])}, ... with pictures")
    bad = set(find_unreadable(found.paths, image_shape))
    _say_what_is_left_out(folder, [found], sorted(bad))
    good = np.flatnonzero([path not in bad for path in found.paths])
    return EncodedSplit(Files(found.paths), {"label": found.labels}, image_shape, keep).take(good)


def listing(root: Path) -> dict[str, dict[str, tuple[list[Path], list[Path]]]]:
    """Pictures, and other files, by part and class; nothing is read. One part `""` where the folder is not divided.

    Args:
        root: folder that `load` takes.
    """
    parts = {name: folder for folder in _folders(root) if (name := part_name(folder.name))}
    whole = parts if "train" in parts else {"": root}
    return {part: {each.name: _members(each) for each in _folders(folder)} for part, folder in whole.items()}


@dataclass(frozen=True)
class _Found:
    """Files of a part of the data.

    Attributes:
        paths: pictures.
        labels: class of each, int64 `(N,)`.
        others: files that are no pictures by their suffix.
        empty: class folders without pictures.
    """

    paths: tuple[Path, ...]
    labels: np.ndarray
    others: tuple[Path, ...]
    empty: tuple[Path, ...]


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder that a person has put there, by name."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not _is_hidden(p))


def _is_hidden(path: Path) -> bool:
    """Whether an operating system has put it there: `.DS_Store`, `._photo.jpg`, `__MACOSX`."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def _classes(root: Path, folder: Path) -> tuple[str, ...]:
    folders = _folders(folder)
    if not folders:
        raise InputError(f"{folder} has no class folders: expected {folder}/CLASS/*.png or *.jpg")
    names = tuple(p.name for p in folders if _members(p)[0])
    if not names:
        suffixes, empty = get_signal("image").suffixes, ", ".join(p.name for p in folders[:5])
        raise InputError(f"{root}: no {', '.join(suffixes)} files below {empty}, ...")
    for name in names:
        if not _is_text(name):
            raise InputError(f"{folder}: the name of the class folder {visible(name)} is not UTF-8: rename it")
    if len(names) == 1:
        raise InputError(
            f"{folder} has one class, {names[0]}: expected the pictures of two or more, each in a folder of its own"
        )
    return names


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of another encoding
        return False
    return True


def _members(folder: Path) -> tuple[list[Path], list[Path]]:
    """Pictures in a folder and below, and other files there, by name."""
    pictures: list[Path] = []
    others: list[Path] = []
    suffixes = get_signal("image").suffixes
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(map(_is_hidden, (path, *path.relative_to(folder).parents[:-1]))):
            (pictures if path.suffix.lower() in suffixes else others).append(path)
    return pictures, others


def _files(folder: Path, classes: Sequence[str], owner: str = "the training images have") -> _Found:
    members = {each.name: _members(each) for each in _folders(folder)}
    strangers = sorted(name for name, (pictures, _) in members.items() if pictures and name not in classes)
    if strangers:
        raise InputError(f"{folder} has classes that {owner} not: {', '.join(strangers[:5])}")
    known = [members.get(name, ([], [])) for name in classes]
    return _Found(
        paths=tuple(path for pictures, _ in known for path in pictures),
        labels=np.repeat(np.arange(len(classes)), [len(pictures) for pictures, _ in known]).astype(np.int64),
        others=tuple(path for _, others in members.values() for path in others),
        empty=tuple(folder / name for name, (pictures, _) in members.items() if not pictures),
    )


def _say_what_is_left_out(root: Path, found: Collection[_Found], bad: Sequence[Path]) -> None:
    """Counts and names what is no picture, cannot be decoded, or holds nothing."""
    others = [path for each in found for path in each.others]
    kinds = Counter(path.suffix.lower() or path.name for path in others)
    empty = [str(path.relative_to(root)) for each in found for path in each.empty]
    said = []
    if others:
        said.append(f"{len(others)} files are no pictures ({', '.join(f'{n} {k}' for k, n in kinds.most_common(4))})")
    if bad:
        names = ", ".join(str(path.relative_to(root)) for path in bad[:3])
        said.append(f"{len(bad)} pictures cannot be decoded ({names}{', ...' if len(bad) > 3 else ''})")
    if empty:
        more = ", ..." if len(empty) > 3 else ""
        said.append(f"{len(empty)} folders hold no pictures ({', '.join(empty[:3])}{more})")
    if said:
        _log.warning("note: left out of %s: %s", root, "; ".join(said))


def find_unreadable(paths: Sequence[Path], image_shape: tuple[int, ...]) -> list[Path]:
    """Decodes every file once, with the decoder that training uses.

    Args:
        paths: image files.
        image_shape: `(height, width, channels)` that every image gets.

    Returns:
        The files that cannot be decoded.
    """
    if _other is not None:
        return _other(paths, image_shape)
    key = fingerprint(paths, image_shape[-1])
    if key in _CHECKED:
        return list(_CHECKED[key])
    bad = _find_unreadable(paths, image_shape)
    _CHECKED[key] = tuple(bad)
    return bad


Check = Callable[[Sequence[Path], tuple[int, ...]], list[Path]]
_other: Check | None = None


@contextlib.contextmanager
def checked_by(check: Check) -> Iterator[None]:
    """Sources that are opened in the block ask another function which files cannot be decoded.

    Args:
        check: takes files and the shape that every image gets, and gives those that cannot be decoded.
    """
    global _other
    former, _other = _other, check
    try:
        yield
    finally:
        _other = former


def unchecked() -> contextlib.AbstractContextManager[None]:
    """Nothing is decoded when a source is opened: the block looks at the files itself."""
    return checked_by(lambda paths, image_shape: [])


_CHECKED: dict[bytes, tuple[Path, ...]] = {}  # of this process, in which a plan and a training open the same folder


def fingerprint(paths: Sequence[Path], *how: object) -> bytes:
    """Hash of files as they are now, by name, size and time.

    Args:
        paths: files.
        *how: what else a result depends on.
    """
    sha = hashlib.sha256(repr(how).encode())
    for path in paths:
        stat = path.stat()
        sha.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return sha.digest()


def _find_unreadable(paths: Sequence[Path], image_shape: tuple[int, ...]) -> list[Path]:
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
