"""Boxes in tables: a row an object, with the columns of a file, of four sides and of a class."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.data.finding import opened
from keras_resnet.data.labelled import paths_of
from keras_resnet.data.objects import FoundThings, Thing, Things, numbers
from keras_resnet.data.parts import part_name
from keras_resnet.data.tables import Table
from keras_resnet.data.truth import CROWD, DIFFICULT, USUAL
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.signals.table import get_signal
from keras_resnet.untrusted import visible

_FILE = ("file", "image", "path", "filename", "image_path", "file_name")
_CLASS = ("label", "class", "name", "category", "class_name")
_SPLIT, _FLAGS = ("split",), {"difficult": DIFFICULT, "iscrowd": CROWD, "crowd": CROWD}
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
_SIZED = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))
_EXPECTED = "expected the columns file, label and x1, y1, x2, y2 (or xmin, ...; or x, y, w, h)"
_log = logging.getLogger("keras_resnet")


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Columns of a table of boxes by their meaning.

    Attributes:
        file: column of files.
        label: column of classes.
        sides: columns of the four sides.
        sized: whether the last two are a width and a height.
        split: column of the split; None without one.
        flags: columns that say that an object is difficult or a crowd, and the flag.
    """

    file: str
    label: str
    sides: tuple[str, ...]
    sized: bool
    split: str | None
    flags: tuple[tuple[str, int], ...]


def is_one(table: Table, truth: str | None = None) -> bool:
    """Whether a table has boxes, by the names of its columns.

    Args:
        table: table.
        truth: kind of truth that was asked for.
    """
    return truth == "boxes" or (truth is None and _sides(table) is not None)


def _sides(table: Table) -> tuple[tuple[str, ...], bool] | None:
    """Columns of the four sides, and whether the last two are a width and a height."""
    for known, sized in ((_CORNERS, False), (_SIZED, True)):
        for names in known:
            found = [_column(table, (name,)) for name in names]
            if all(found):
                return tuple(str(each) for each in found), sized
    return None


def _column(table: Table, names: Sequence[str]) -> str | None:
    return next((own for name in names for own in table.columns if own.casefold() == name), None)


def _columns(table: Table, given: Mapping[str, str]) -> _Columns:
    for role, own in given.items():
        if role not in ("file", "label", "split"):
            raise InputError(f"--columns {visible(role)}: of a table of boxes file, label and split can be named")
        if own not in table.columns:
            raise unknown_name(f"column of {table.origin} (for {role})", visible(own), map(visible, table.columns))
    sides = _sides(table)
    file, label = given.get("file") or _column(table, _FILE), given.get("label") or _column(table, _CLASS)
    if sides is None or file is None or label is None:
        names = ", ".join(visible(name)[:40] for name in list(table.columns)[:8])
        raise InputError(f"{table.origin}: {_EXPECTED}; it has {names}; name others: --columns file=NAME,label=NAME")
    known = ((_column(table, (name,)), flag) for name, flag in _FLAGS.items())
    flags = tuple((own, flag) for own, flag in known if own is not None)
    split = given.get("split") or _column(table, _SPLIT)
    return _Columns(file=file, label=label, sides=sides[0], sized=sides[1], split=split, flags=flags)


def find(source: Any, columns: Mapping[str, str] | None = None, root: Path | None = None) -> tuple[Table, FoundThings]:
    """Pictures of a table with their objects.

    A row whose sides and class are empty says that its picture has no object. Pictures beside those of the table that
    no row names have none either, unless a column `split` divides them: then they are left out, with a note.

    Args:
        source: `.csv`, `.tsv` or `.jsonl` file, a folder that holds one, or a DataFrame.
        columns: the table's own names of `file`, `label` and `split`.
        root: folder that files are relative to; by default the table's own.

    Raises:
        InputError: no such columns, no numbers, no class, files that are not there, or one file in two splits.
    """
    table = opened(source, root)
    if table is None:
        raise InputError(f"{source}: {_EXPECTED}")
    who = _columns(table, dict(columns or {}))
    paths = paths_of(table, table.columns[who.file])
    things: dict[Path, list[tuple[str, Thing]]] = {}
    for row, path in enumerate(paths):
        own = things.setdefault(path, [])
        if (thing := _thing(table, who, row)) is not None:
            own.append(thing)
    parts = _parts(table, who, paths)
    others = _others(things)
    if others and who.split is not None:
        _log.warning(
            "note: %s: %d pictures beside its own (%s, ...) have no row and so no split: left out; a row with an empty "
            "box names a picture without objects",
            *(table.origin, len(others), visible(others[0].name)),
        )
    elif others:
        _log.warning("note: %s: %d pictures have no row: they count as without objects", table.origin, len(others))
        things.update((path, []) for path in others)
        parts.update((path, "train") for path in others)
    names = _sorted({name for own in things.values() for name, _ in own})
    places = {name: place for place, name in enumerate(names)}
    found: dict[str, list[tuple[Path, Things]]] = {}
    for path, pairs in things.items():
        whole = tuple(Thing(each.corners, places[name], each.where, each.flag) for name, each in pairs)
        found.setdefault(parts[path], []).append((path, Things(table.origin, whole)))
    return table, FoundThings(found, names)


def _sorted(names: set[str]) -> tuple[str, ...]:
    """Numbers by their size, others by the alphabet, as labels of tables."""
    numeric = all(name.isascii() and name.isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numeric and len(name) < 20 else 0, name)))


def _thing(table: Table, who: _Columns, row: int) -> tuple[str, Thing] | None:
    """The class and the box of a row; None where it has neither."""
    cells, name = [table.columns[side][row] for side in who.sides], table.columns[who.label][row]
    where = table.where([row])
    if not any(cells) and not name:
        return None
    if not name or not all(cells):
        raise InputError(f"{table.origin}, {where}: expected a class and four sides, or neither for a picture without")
    x, y, third, fourth = numbers(cells, f"{table.origin}, {where}")
    flag = USUAL
    for column, value in who.flags:
        if table.columns[column][row].casefold() not in ("", "0", "0.0", "false", "no"):
            flag = value
    corners = (x, y, x + third, y + fourth) if who.sized else (x, y, third, fourth)
    return name, Thing(corners, 0, f"{where} ({visible(name)[:40]})", flag)


def _parts(table: Table, who: _Columns, paths: Sequence[Path]) -> dict[Path, str]:
    """The part of every picture; all of them for training where the table does not say."""
    if who.split is None:
        return dict.fromkeys(paths, "train")
    found: dict[Path, str] = {}
    for row, (path, cell) in enumerate(zip(paths, table.columns[who.split], strict=True)):
        part = part_name(cell)
        if part is None:
            raise InputError(
                f"{table.origin}, {table.where([row])}: unknown split ({visible(cell)[:40] or 'nothing'}): expected "
                "train, validation (or val) or test"
            )
        if found.setdefault(path, part) != part:
            raise InputError(
                f"{table.origin}, {table.where([row])}: {visible(path.name)} is in {found[path]} and in {part}: "
                "expected it in one split"
            )
    return found


def _others(known: Mapping[Path, object]) -> list[Path]:
    """Pictures in the folders of those that are known, which are none of them."""
    suffixes = get_signal("image").suffixes
    found = (path for folder in sorted({path.parent for path in known}) for path in sorted(folder.iterdir()))
    return [path for path in found if path.suffix.lower() in suffixes and path not in known and path.is_file()]
