"""Pictures and what they go with in a folder: files of the same names, lists of names, places that must be inside."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_resnet import untrusted
from keras_resnet.data.legends import Legend
from keras_resnet.data.parts import part_name
from keras_resnet.errors import InputError
from keras_resnet.signals.table import get_signal
from keras_resnet.untrusted import visible

_log = logging.getLogger("keras_resnet")
SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")  # of masks, which lose nothing
_MOST_LIST = 16 << 20  # bytes of a list of names
PARTS = "images.csv"  # says which part a picture belongs to: columns `split`, and `id`, `file` or `name`

Pairs = list[tuple[Path, Path]]


@dataclass(frozen=True)
class Found:
    """Pictures with masks that a folder has.

    Attributes:
        parts: by part, pictures with the files of their masks, or with what is drawn of them (`outlines.Scene`).
        legend: meaning of the values where no `classes.txt` says it.
        named: whether the meaning is the folder's own or a published one, so that a `classes.txt` can only rename.
    """

    parts: Mapping[str, Sequence[tuple[Path, Any]]]
    legend: Legend = field(default_factory=Legend)
    named: bool = False


def pictures(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Pictures in a folder and below by their place without the suffix.

    Args:
        folder: folder.
        suffixes: endings of pictures.

    Raises:
        InputError: two have one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith("."):
            first = found.setdefault(str(path.relative_to(folder).with_suffix("")), path)
            if first != path:
                raise InputError(f"{path} and {first} have one name: expected one file for each")
    return found


def paired(images: Path, masks: Path, endings: tuple[str, str] = ("", "")) -> Pairs:
    """Pictures of a folder with the masks of the same names in another.

    Args:
        images: folder of pictures.
        masks: folder of masks.
        endings: what the names of pictures and of masks end in, where they differ; files that end otherwise are left.

    Raises:
        InputError: one has no partner: it is named.
    """
    here = _ending(pictures(images, get_signal("image").suffixes), endings[0])
    there = _ending(pictures(masks, SUFFIXES), endings[1])
    sides = ((here, there, "mask", masks, endings[1]), (there, here, "picture", images, endings[0]))
    for ours, theirs, kind, folder, ending in sides:
        alone = [name for name in ours if name not in theirs]
        if alone:
            raise InputError(
                f"{ours[alone[0]]} has no {kind}: expected {folder / alone[0]}{ending}.* beside it "
                f"({len(alone)} of {len(ours)} have none)"
            )
    return [(path, there[name]) for name, path in here.items()]


def _ending(found: Mapping[str, Path], ending: str) -> dict[str, Path]:
    return {name.removesuffix(ending): path for name, path in found.items() if name.endswith(ending)}


def listed(
    path: Path,
    images: Path,
    masks: Path,
    *,
    suffix: str = ".jpg",
    ending: str = ".png",
    what: str = "mask",
    may_lack: bool = False,
    others: Mapping[str, Path] | None = None,
) -> Pairs:
    """Pictures that a list names, with their masks, which are PNG files, or with other files of the same names.

    Args:
        path: list, a name at the beginning of every line.
        images: folder of pictures.
        masks: folder of masks.
        suffix: ending of pictures.
        ending: ending of masks.
        what: what these are, for messages.
        may_lack: whether the masks of all may be missing, as those of a test are that is not published.
        others: pictures by name, for names of which there is none with the usual ending.

    Returns:
        Pairs of files; none where all masks are missing and may be.

    Raises:
        InputError: no such list, or a picture or a mask that is not there.
    """
    names = [line.split()[0] for line in lines(path) if line and not line.startswith("#")]
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise InputError(f"{path} has {visible(twice)[:80]} twice")
    pairs = [(inside(images, name + suffix, f"{path}"), inside(masks, name + ending, f"{path}")) for name in names]
    if others:
        pairs = [
            (picture if picture.is_file() else others.get(name, picture), mask)
            for name, (picture, mask) in zip(names, pairs, strict=True)
        ]
    if may_lack and pairs and not any(mask.is_file() for _, mask in pairs):
        _log.warning("note: %s is left out: none of its %d pictures has a %s", path, len(pairs), what)
        return []
    for picture, mask in pairs:
        if not picture.is_file():
            raise InputError(f"{picture} is not there, and {path} names it")
        if not mask.is_file():
            raise InputError(f"{picture} has no {what}: expected {mask}, as {path} names it")
    return pairs


def lines(path: Path) -> list[str]:
    """Lines of a list of names, without spaces around.

    Args:
        path: text in UTF-8.

    Raises:
        InputError: it cannot be read, or is too large.
    """
    try:
        raw = untrusted.content(path, most=_MOST_LIST)
        if len(raw) > _MOST_LIST:
            raise InputError(f"{path} has more than {_MOST_LIST:,} bytes: expected a list of names")
        return [line.strip() for line in raw.decode("utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def inside(root: Path, name: str, origin: str) -> Path:
    """A file or folder that a stranger's file names, which must lie below a folder.

    Args:
        root: folder.
        name: path within it.
        origin: file that names it, for messages.

    Raises:
        InputError: it leads elsewhere, or cannot be a path.
    """
    path = root / name
    # By the words alone: folders that are links to other disks are a person's own.
    if "\0" not in name and len(name) < 1_000 and Path(os.path.abspath(path)).is_relative_to(os.path.abspath(root)):
        return path
    raise InputError(f"{origin} names {visible(name)[:80]}, which is not within {root}")


def subfolders(root: Path) -> dict[str, Path]:
    """Folders below a folder by name.

    Args:
        root: folder; nothing is below one that is not there.
    """
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir()} if root.is_dir() else {}


def by_part(folders: Mapping[str, Path], root: Path) -> dict[str, Path]:
    """Folders by the part that their name means.

    Args:
        folders: folders by name.
        root: where they are, for messages.

    Raises:
        InputError: two mean the same part.
    """
    found: dict[str, Path] = {}
    for name, path in folders.items():
        if part := part_name(name):
            if part in found:
                raise InputError(f"{root} has {found[part].name} and {name}, which are both the {part} part")
            found[part] = path
    return found


def divided(path: Path, pairs: Pairs) -> dict[str, Pairs]:
    """Pictures by the parts that a list gives them.

    Args:
        path: table with the columns `split` (train, val or test) and `id`, `file` or `name`, with or without an ending,
            or with the folders below `images/`; it need not exist.
        pairs: pictures below `images/` beside the table, and masks.

    Returns:
        Pairs by part; all of them as `"train"` where there is no such table.

    Raises:
        InputError: a picture that is not in the list, a name that has two parts there, or a part that is none.
    """
    if not path.is_file():
        return {"train": pairs}
    if path.stat().st_size > _MOST_LIST:
        raise InputError(f"{path}: expected a list of parts of at most {_MOST_LIST >> 20} MB")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a list of parts: {visible(error)[:200]}") from error
    key = next((name for name in ("id", "file", "name") if rows and name in rows[0]), None)
    if key is None or "split" not in rows[0]:
        return {"train": pairs}  # a table about something else
    known: dict[str, str | None] = {}
    for row in rows:
        name, part = str(row[key]), part_name(str(row["split"]))
        if known.setdefault(name, part) != part:
            raise InputError(f"{path} has {visible(name)[:80]} twice, with different splits")
    found: dict[str, Pairs] = {}
    for image, mask in pairs:
        place = image.relative_to(path.parent / "images")
        called = (str(place), str(place.with_suffix("")), image.name, image.stem)  # two folders may have one name
        part = next((known[name] for name in called if name in known), "")
        if not part:
            what = "is not in" if part == "" else "has a split that is none of train, val and test in"
            raise InputError(f"{image} {what} {path}: expected a part for every picture, or no column split")
        found.setdefault(part, []).append((image, mask))
    return found
