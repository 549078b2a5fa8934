"""Data sets from tables: files with labels, tags or values become splits; what cannot be right is refused."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data import tables
from keras_resnet.data.dataset import Dataset, EncodedSplit, Files, Split
from keras_resnet.data.finding import find as find
from keras_resnet.data.finding import opened
from keras_resnet.data.folder import find_unreadable
from keras_resnet.data.parts import complete, part_name
from keras_resnet.data.tables import SEPARATOR, TASKS, Roles, Table
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.signals.fits import Keep
from keras_resnet.untrusted import visible

_LARGEST = float(np.finfo(np.float32).max)
_LEAST = 3  # training examples of a label, as of a class folder
_log = logging.getLogger("keras_resnet")


def load(
    source: Any,
    image_shape: tuple[int, ...],
    keep: Keep = 1.0,
    *,
    columns: Mapping[str, str] | None = None,
    truth: str | None = None,
    classes: Sequence[str] | None = None,
    fold: str | None = None,
    root: str | os.PathLike | None = None,
    test_only: bool = False,
) -> Dataset:
    """Reads a table of files and of what is known of them.

    A column `split` says which rows are for training, validation and test; parts that it does not name are taken from
    the training rows (`data.parts`). Without it, the last fold of a column `fold` is the test; without both, the rows
    are divided 80 / 10 / 10 percent, seeded and stratified. A group is never divided.

    Args:
        source: `.csv`, `.tsv` or `.jsonl` file, a folder that holds one, or a DataFrame.
        image_shape: `(height, width, channels)` that every image gets.
        keep: share of the central part's height and width that is used.
        columns: the table's own names of columns by their meaning (`tables.parse_columns`).
        truth: kind of truth to learn, where the columns leave that open: `"label"`, `"tags"` or `"values"`.
        classes: names of the labels in their order, where a model has one; by default those of the table, sorted.
        fold: fold that is the test, in place of the column `split`.
        root: folder that files are relative to; by default the table's own.
        test_only: whether a table without training rows is taken, whose other parts may then be empty.

    Returns:
        A `Dataset` whose files are decoded when needed; `unreadable` names the files left out.

    Raises:
        InputError: see `tables.read` and `tables.roles`; missing files, a file twice with different labels or in two
            splits, a group in two splits, a label with fewer than three training examples, no numbers where numbers
            are expected.
    """
    table = opened(source, root) or tables.read(source, root)
    who = tables.roles(table, columns, truth)
    rows = _without_repeats(table, who, _rows(table, who, classes, fold))
    bad = set(find_unreadable(list(dict.fromkeys(rows.paths)), image_shape))
    rows = rows.take([number for number, path in enumerate(rows.paths) if path not in bad])
    if bad and not rows.paths:
        names = ", ".join(visible(path)[:80] for path in sorted(map(str, bad))[:3]) + ", ..." * (len(bad) > 3)
        raise InputError(
            f"{table.origin}: none of the {len(bad)} pictures can be decoded ({names}); are they damaged, or of "
            "formats that are not read?"
        )
    if bad:
        names = ", ".join(sorted(map(str, bad))[:3])
        _log.warning("note: left out of %s: %d pictures cannot be decoded (%s)", table.origin, len(bad), names)
    _check_groups(table, rows)
    whole = EncodedSplit(Files(rows.paths), {who.truth: rows.truth}, image_shape, keep)
    parts = np.array(rows.parts)
    splits: dict[str, Split] = {
        name: whole.take(np.flatnonzero(parts == name))
        for name in ("train", "validation", "test")
        if (parts == name).any()
    }
    if test_only and "test" in splits and "train" not in splits:
        none: Split = whole.take(np.arange(0))
        found = {"train": none, "validation": splits.get("validation", none), "test": splits["test"]}
        return _in_parts(found, table, rows, image_shape, who, bad)
    if "train" not in splits:
        raise InputError(f"{table.origin} has no row of the split train: expected some to learn from")
    least = _LEAST if classes is None else 0  # a model's own labels need not be here
    _check_train(table, who, splits["train"].truth[who.truth], rows.names, least)
    groups = None if rows.groups is None else np.array(rows.groups)[parts == "train"]
    found = complete(splits, groups)
    _check_train(table, who, found["train"].truth[who.truth], rows.names, min(1, least))
    return _in_parts(found, table, rows, image_shape, who, bad)


def _in_parts(
    found: Mapping[str, Split], table: Table, rows: _Rows, shape: tuple[int, ...], who: Roles, bad: set[Path]
) -> Dataset:
    three = found["train"], found["validation"], found["test"]
    return Dataset(table.origin, rows.names, shape, *three, unreadable=tuple(sorted(bad)), truth=who.truth)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rows of a table as values.

    Attributes:
        paths: file of each.
        truth: what is known of them, `(N, ...)`.
        names: names of the labels or values.
        parts: split of each.
        groups: group of each; None without groups.
        numbers: row of the table, for messages.
    """

    paths: tuple[Path, ...]
    truth: np.ndarray
    names: tuple[str, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...] | None
    numbers: tuple[int, ...]

    def take(self, rows: Sequence[int]) -> _Rows:
        """Some of the rows."""
        return _Rows(
            paths=tuple(self.paths[row] for row in rows),
            truth=self.truth[np.asarray(rows, np.int64)],
            names=self.names,
            parts=tuple(self.parts[row] for row in rows),
            groups=None if self.groups is None else tuple(self.groups[row] for row in rows),
            numbers=tuple(self.numbers[row] for row in rows),
        )


def _rows(table: Table, who: Roles, classes: Sequence[str] | None, fold: str | None) -> _Rows:
    paths = paths_of(table, table.columns[who.file])
    truth, names = _READERS[who.truth](table, who, classes)
    groups = None
    if who.group is not None:  # who names no group is one
        groups = tuple(cell or f"\0{row}" for row, cell in enumerate(table.columns[who.group]))
    numbers = tuple(range(len(paths)))
    parts = _parts(table, who, fold)
    return _Rows(paths=paths, truth=truth, names=names, parts=parts, groups=groups, numbers=numbers)


def paths_of(table: Table, cells: Sequence[str]) -> tuple[Path, ...]:
    """Files of the rows, all of which are there."""
    empty = [row for row, cell in enumerate(cells) if not cell]
    if empty:
        raise InputError(f"{table.origin}, {table.where(empty)}: {len(empty)} rows name no file")
    paths = []
    for cell in cells:
        path = table.root / cell
        if "\\" in cell and not path.is_file():
            path = table.root / cell.replace("\\", "/")
        paths.append(Path(os.path.normpath(path)))
    missing = [row for row, path in enumerate(paths) if not path.is_file()]
    if missing:
        names = ", ".join(visible(cells[row])[:80] for row in missing[:3])
        raise InputError(
            f"{table.origin}: {len(missing)} of {len(paths)} files are not there ({names}"
            f"{', ...' if len(missing) > 3 else ''}): expected paths relative to {table.root}, or absolute ones"
        )
    return tuple(paths)


def _labels(table: Table, who: Roles, classes: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """One label for each row: int64 `(N,)`."""
    cells = table.columns[who.known[0]]
    wrong = [row for row, cell in enumerate(cells) if not cell]
    if wrong:
        raise InputError(
            f"{table.origin}, {table.where(wrong)}: {len(wrong)} rows have no label; expected one for each"
        )
    names = _names(table, set(cells), classes)
    places = {name: number for number, name in enumerate(names)}
    return np.array([places[cell] for cell in cells], np.int64), names


def _tags(table: Table, who: Roles, classes: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Any number of labels for each row: uint8 `(N, classes)`."""
    rows = [[each.strip() for each in cell.split(SEPARATOR) if each.strip()] for cell in table.columns[who.known[0]]]
    names = _names(table, {each for row in rows for each in row}, classes)
    places = {name: number for number, name in enumerate(names)}
    tags = np.zeros((len(rows), len(names)), np.uint8)
    for number, row in enumerate(rows):
        tags[number, [places[each] for each in row]] = 1
    return tags, names


def _names(table: Table, found: set[str], classes: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the labels: numbers by their size, others by the alphabet."""
    if classes is not None:
        for name in sorted(found - set(classes)):
            raise unknown_name(f"label in {table.origin}", visible(name), classes)
        return tuple(classes)
    numbers = all(name.isascii() and name.isdecimal() for name in found)
    return tuple(sorted(found, key=lambda name: (int(name) if numbers else 0, name)))


def _values(table: Table, who: Roles, classes: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers of each row: float32 `(N, k)`."""
    if classes is not None and tuple(classes) != who.names:
        raise InputError(f"{table.origin} has the values {', '.join(who.names)}: expected {', '.join(classes)}")
    columns = []
    for name in who.known:
        numbers = [_number(cell) for cell in table.columns[name]]
        wrong = [row for row, number in enumerate(numbers) if not math.isfinite(number)]
        if wrong:
            cell = visible(table.columns[name][wrong[0]])[:40] or "nothing"
            raise InputError(
                f"{table.origin}, {table.where(wrong)}: {len(wrong)} cells of {visible(name)} are no finite number "
                f"({cell}); expected one in each, like 3.5"
            )
        columns.append(numbers)
    return np.array(columns, np.float32).T, who.names


def _number(cell: str) -> float:
    """The cell as a number; nan where it is none, and inf where float32 has none of that size."""
    try:
        number = float(cell) if "_" not in cell else math.nan
    except ValueError:
        return math.nan
    return number if abs(number) <= _LARGEST else math.inf if number == number else math.nan


_READERS: dict[str, Callable[[Table, Roles, Sequence[str] | None], tuple[np.ndarray, tuple[str, ...]]]] = {
    "label": _labels,
    "tags": _tags,
    "values": _values,
}


def _parts(table: Table, who: Roles, fold: str | None) -> tuple[str, ...]:
    """The split of every row; all are for training where the table does not say."""
    if fold is not None or (who.split is None and who.fold is not None):
        return _of_fold(table, who, fold)
    if who.split is None:
        return ("train",) * len(table.lines)
    cells = table.columns[who.split]
    found = [part_name(cell) for cell in cells]
    wrong = [row for row, part in enumerate(found) if part is None]
    if wrong:
        received = visible(cells[wrong[0]])[:40] or "nothing"
        raise InputError(
            f"{table.origin}, {table.where(wrong)}: {len(wrong)} rows have an unknown split ({received}): expected "
            "train, validation (or val) or test"
        )
    return tuple(str(part) for part in found)


def _of_fold(table: Table, who: Roles, fold: str | None) -> tuple[str, ...]:
    if who.fold is None:
        raise InputError(f"{table.origin} has no column fold: expected one, as fold {fold} was asked for")
    cells = table.columns[who.fold]
    empty = [row for row, cell in enumerate(cells) if not cell]
    if empty:
        raise InputError(f"{table.origin}, {table.where(empty)}: {len(empty)} rows have no fold")
    names = sorted(set(cells), key=lambda name: (int(name) if name.isascii() and name.isdecimal() else 0, name))
    if len(names) < 2:
        raise InputError(f"{table.origin} has one fold, {visible(names[0])}: expected two or more")
    if fold is None:
        fold = names[-1]
        _log.warning("note: fold %s of %s is the test, as there is no column split", visible(fold), table.origin)
    elif fold not in names:
        raise unknown_name(f"fold of {table.origin}", fold, names)
    return tuple("test" if cell == fold else "train" for cell in cells)


def _without_repeats(table: Table, who: Roles, rows: _Rows) -> _Rows:
    """The rows without those that say the same of a file again."""
    first: dict[Path, int] = {}
    kept = []
    for row, path in enumerate(rows.paths):
        known = first.setdefault(path, row)
        if known == row:
            kept.append(row)
            continue
        where = f"{table.origin}, {table.where([rows.numbers[known], rows.numbers[row]])}: {visible(path.name)}"
        if rows.parts[known] != rows.parts[row]:
            raise InputError(f"{where} is in {rows.parts[known]} and in {rows.parts[row]}: expected it in one split")
        if not np.array_equal(rows.truth[known], rows.truth[row]):
            raise InputError(
                f"{where} is there twice, and not with the same {who.known[0]}: expected one row for each file; "
                f"several labels of a file go into a column labels, with {SEPARATOR} between"
            )
        if rows.groups is not None and rows.groups[known] != rows.groups[row]:
            raise InputError(f"{where} is in two groups: expected one")
    if len(kept) < len(rows.paths):
        _log.warning("note: %d rows of %s name a file again", len(rows.paths) - len(kept), table.origin)
    return rows.take(kept)


def _check_groups(table: Table, rows: _Rows) -> None:
    """Refuses a group that is in two splits."""
    if rows.groups is None:
        return
    first: dict[str, int] = {}
    for row, group in enumerate(rows.groups):
        known = first.setdefault(group, row)
        if rows.parts[known] != rows.parts[row]:
            where = table.where([rows.numbers[known], rows.numbers[row]])
            raise InputError(
                f"{table.origin}, {where}: group {visible(group)} is in {rows.parts[known]} and in {rows.parts[row]}: "
                "expected every group in one split"
            )


def _check_train(table: Table, who: Roles, values: np.ndarray, names: Sequence[str], least: int) -> None:
    """Refuses what cannot be learned from the training rows; `least` is that of a label, 0 for no such check."""
    if not least:
        return
    if who.truth == "values":
        same = [
            name for name, low, high in zip(names, values.min(axis=0), values.max(axis=0), strict=True) if low == high
        ]
        if same:
            raise InputError(f"{table.origin}: {visible(same[0])} is the same in all training rows: nothing to learn")
        return
    if len(names) < (2 if who.truth == "label" else 1):
        only = f"one label, {visible(names[0])}" if names else "no labels"
        raise InputError(f"{table.origin} has {only}: expected two or more for task {TASKS[who.truth]}")
    counts = np.bincount(values, minlength=len(names)) if who.truth == "label" else values.sum(axis=0)
    rare = [number for number in range(len(names)) if counts[number] < least]
    if rare:
        said = ", ".join(f"{visible(names[number])} {counts[number]}" for number in rare[:3])
        raise InputError(
            f"{table.origin}: {len(rare)} labels have fewer than {least} readable training images ({said}): add "
            "images, or take these rows out"
        )
