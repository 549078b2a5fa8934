"""Tables of labels as people have them: CSV, TSV, JSON lines and DataFrames become columns of text with a meaning.

What becomes of the rows, files, splits and truth, is in `data/labelled.py`.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet import untrusted
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.untrusted import visible

SUFFIXES = (".csv", ".tsv", ".jsonl")
SEPARATOR = "|"  # between the labels of a cell
FILE, LABEL, LABELS, VALUE = "file", "label", "labels", "value"
_OPTIONAL = ("split", "fold", "group")
_NAMES = {FILE: (FILE, "image", "path"), **{name: (name,) for name in (LABEL, LABELS, VALUE, *_OPTIONAL)}}
_TRUTH = {LABEL: "label", LABELS: "tags", VALUE: "values"}  # kinds of truth by the column that tells them
TASKS = {"label": "classification", "tags": "multilabel", "values": "regression"}  # for messages, and for `--task`
_MOST_BYTES = 256 << 20
_MOST_CELL = 1 << 16  # characters
_MOST_COLUMNS = 1000
_NEAR = 0.81  # of a column's name to one that was probably meant


@dataclass(frozen=True)
class Table:
    """Columns of text.

    Attributes:
        origin: file, or `"DataFrame"`, for messages.
        root: folder that files are relative to.
        columns: cells by name of the column, empty ones as `""`.
        lines: where each row stands, for messages: line of the file, or position in the DataFrame.
    """

    origin: str
    root: Path
    columns: Mapping[str, tuple[str, ...]]
    lines: tuple[int, ...]

    def where(self, rows: Sequence[int]) -> str:
        """The places of some rows, in words."""
        word = "row" if self.origin == FRAME else "line"
        named = ", ".join(str(self.lines[row]) for row in rows[:3])
        return f"{word}{'s' if len(rows) > 1 else ''} {named}{', ...' if len(rows) > 3 else ''}"


FRAME = "DataFrame"


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What the columns of a table mean.

    Attributes:
        file: column of files.
        truth: kind of truth that is learned: `"label"`, `"tags"` or `"values"`.
        known: its columns: one, or one for each value.
        names: names of the values; empty for other kinds.
        split: column of the split, None without; as are `fold` and `group`.
        fold: column of the fold.
        group: column of the group.
    """

    file: str
    truth: str
    known: tuple[str, ...]
    names: tuple[str, ...] = ()
    split: str | None = None
    fold: str | None = None
    group: str | None = None


def parse_columns(text: str) -> dict[str, str]:
    """What a command's `--columns` says: `file=photo,label=breed`.

    Args:
        text: pairs of a meaning (`file`, `label`, `labels`, `value`, `value:NAME`, `split`, `fold`, `group`) and of the
            table's own name of that column; may be empty.

    Raises:
        InputError: no pairs, an unknown meaning (the nearest are in the message), or one that comes twice.

    Example:
        >>> parse_columns("file=photo, label=breed")
        {'file': 'photo', 'label': 'breed'}
    """
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        role, equals, own = (each.strip() for each in part.partition("="))
        if not (role and equals and own):
            raise InputError(f"--columns {visible(text)}: expected pairs like file=photo,label=breed")
        if role in found:
            raise InputError(f"--columns {visible(text)}: {visible(role)} is there twice")
        found[role] = own
    _check_roles(found)
    return found


def _check_roles(columns: Mapping[str, str]) -> None:
    for role in columns:
        if role not in _NAMES and not (role.startswith(f"{VALUE}:") and role != f"{VALUE}:"):
            raise unknown_name("meaning of a column", visible(role), [*_NAMES, f"{VALUE}:NAME"])


def is_frame(source: object) -> bool:
    """Whether something is a DataFrame, of pandas or alike."""
    return hasattr(source, "columns") and hasattr(source, "to_dict") and not isinstance(source, str | os.PathLike)


def read(source: Any, root: str | os.PathLike | None = None) -> Table:
    """Reads a table.

    Args:
        source: `.csv`, `.tsv` or `.jsonl` file in UTF-8, or a DataFrame.
        root: folder that files are relative to; by default the table's own, or the current one.

    Raises:
        InputError: no such file, another encoding, a damaged or empty table, or more than its limits allow.
    """
    if is_frame(source):
        columns, lines = _of_frame(source)
        return _checked(Table(FRAME, Path(root or "."), columns, lines))
    path = Path(source)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a table that ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"{path} is not there: expected a table of files and labels")
    text = _text(path)
    columns, lines = (_of_json if path.suffix.lower() == ".jsonl" else _of_csv)(text, path)
    return _checked(Table(str(path), Path(root) if root else path.parent, columns, lines))


def _text(path: Path) -> str:
    """The contents, within limits and in UTF-8."""
    raw = untrusted.content(path, most=_MOST_BYTES)
    if len(raw) > _MOST_BYTES:
        raise InputError(f"{path} has more than {_MOST_BYTES >> 20} MB: expected a table; divide it")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is in UTF-16: expected UTF-8; save it as 'CSV UTF-8'")
    if b"\0" in raw:
        raise InputError(f"{path} holds bytes of value 0: expected a text in UTF-8; it is no table, or damaged")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{path} is not in UTF-8 (line {line}): save it as 'CSV UTF-8'") from None


def _of_csv(text: str, path: Path) -> tuple[dict[str, tuple[str, ...]], tuple[int, ...]]:
    first = text.split("\n", 1)[0]
    between = "\t" if path.suffix.lower() == ".tsv" else ";" if ";" in first and "," not in first else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between)
    rows, lines = [], []
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                rows.append(cells)
                lines.append(reader.line_num)
    except csv.Error as error:  # a cell of more than 131,072 characters, for instance
        line = max(lines, default=0)
        raise InputError(f"{path}, after line {line}: {error}; a quotation mark may be missing") from None
    header = [name.strip() for name in rows[0]] if rows else []
    _check_count(header, path)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"{path} has two columns {visible(twice[0]) or 'without a name'}: rename one")
    for cells, line in zip(rows[1:], lines[1:], strict=True):
        if len(cells) != len(header):
            raise InputError(f"{path}, line {line}: {len(cells)} cells, expected {len(header)} as in the first line")
    columns = list(zip(*rows[1:], strict=True)) or [()] * len(header)
    return {name: tuple(map(str.strip, cells)) for name, cells in zip(header, columns, strict=True)}, tuple(lines[1:])


def _check_count(names: Sequence[str], path: Path) -> None:
    if len(names) > _MOST_COLUMNS:
        raise InputError(f"{path} has {len(names)} columns: expected at most {_MOST_COLUMNS}")


def _of_json(text: str, path: Path) -> tuple[dict[str, tuple[str, ...]], tuple[int, ...]]:
    rows: list[dict[str, str]] = []
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = untrusted.parse(line, most=16 * _MOST_CELL)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: expected an object of JSON ({error})") from None
        if not isinstance(value, dict):
            raise InputError(f"{path}, line {number}: expected an object of JSON, received {type(value).__name__}")
        rows.append({str(key).strip(): _cell(cell, f"{path}, line {number}") for key, cell in value.items()})
        lines.append(number)
    names = list(dict.fromkeys(name for row in rows for name in row))
    _check_count(names, path)
    return {name: tuple(row.get(name, "") for row in rows) for name in names}, tuple(lines)


def _of_frame(frame: Any) -> tuple[dict[str, tuple[str, ...]], tuple[int, ...]]:
    names = [str(name).strip() for name in frame.columns]
    if len(set(names)) < len(names) or len(names) > _MOST_COLUMNS:
        raise InputError(f"{FRAME}: expected at most {_MOST_COLUMNS} columns of different names")
    columns = {
        name: tuple(_cell(value, FRAME) for value in frame[own].tolist())
        for name, own in zip(names, frame.columns, strict=True)
    }
    return columns, tuple(range(len(frame)))


def _cell(value: object, where: str) -> str:
    """A value as the text that a CSV file would have."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list | tuple | set | frozenset):
        parts = [_cell(each, where) for each in value]
        if any(SEPARATOR in part or not part for part in parts):
            raise InputError(f"{where}: a list of {visible(parts)[:80]}: expected names without {SEPARATOR}")
        return SEPARATOR.join(sorted(parts) if isinstance(value, set | frozenset) else parts)
    if isinstance(value, dict):
        raise InputError(f"{where}: expected texts, numbers or lists of names, received an object")
    if value is None or str(value) in ("nan", "NaT", "<NA>"):  # what pandas calls missing
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _checked(table: Table) -> Table:
    if not table.lines:
        raise InputError(f"{table.origin} has no rows: expected a file and its label in each")
    for name, cells in table.columns.items():
        for row, cell in enumerate(cells):
            if len(cell) > _MOST_CELL or "\0" in cell:
                limit = f"text without the character 0, of at most {_MOST_CELL:,} characters"
                raise InputError(f"{table.origin}, {table.where([row])}: expected in {visible(name)[:40]} {limit}")
    return table


def roles(table: Table, columns: Mapping[str, str] | None = None, truth: str | None = None) -> Roles:
    """What the columns mean, by their names alone.

    Args:
        table: table.
        columns: the table's own names of columns by their meaning, as in `parse_columns`.
        truth: kind of truth to learn; by default that of the only column of labels or values.

    Raises:
        InputError: no files, nothing to learn, several things to learn, or a name that no column has.
    """
    given = dict(columns or {})
    _check_roles(given)
    for role, own in given.items():
        if own not in table.columns:
            raise unknown_name(f"column of {table.origin} (for {role})", visible(own), map(visible, table.columns))
    mine = {name: given.get(name) or next(_known_as(table, name, given), None) for name in (FILE, *_OPTIONAL)}
    if mine[FILE] is None:
        raise InputError(
            f"{table.origin} has no column file (or image, path){_near(table, _NAMES[FILE])}: it has "
            f"{_listed(table.columns)}; name it with --columns file=NAME"
        )
    _refuse_misspelt(table, given, mine)
    found = _labelled(table, given)
    kind, known = _chosen(table, found, truth)
    names = tuple(_value_name(role, column) for role, column in known) if kind == "values" else ()
    rest = {name: mine[name] for name in _OPTIONAL}
    return Roles(file=str(mine[FILE]), truth=kind, known=tuple(column for _, column in known), names=names, **rest)


def _known_as(table: Table, role: str, given: Mapping[str, str]) -> Iterator[str]:
    """Columns that are called like their meaning, in upper or lower case."""
    for name in _NAMES[role]:
        yield from (own for own in table.columns if own.casefold() == name and own not in given.values())


def _labelled(table: Table, given: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Columns that can be learned, as pairs of meaning and own name, by the kind of truth."""
    chosen = {role: own for role, own in given.items() if role.partition(":")[0] in _TRUTH}
    if not chosen:
        chosen = {role: own for role in _TRUTH for own in _known_as(table, role, given)}
        if VALUE not in chosen:
            chosen |= {own: own for own in table.columns if own.casefold().startswith(f"{VALUE}:")}
    found: dict[str, list[tuple[str, str]]] = {}
    for role, own in chosen.items():
        found.setdefault(_TRUTH[role.partition(":")[0].casefold()], []).append((role, own))
    return found


def _chosen(
    table: Table, found: Mapping[str, list[tuple[str, str]]], truth: str | None
) -> tuple[str, list[tuple[str, str]]]:
    """The kind of truth that is learned, and its columns."""
    if truth is None:
        if not found:
            raise InputError(
                f"{table.origin} has no column label, labels or value{_near(table, (LABEL, LABELS, VALUE))}: it has "
                f"{_listed(table.columns)}; name one with --columns label=NAME"
            )
        if len(found) > 1:
            own = " and ".join(column for pairs in found.values() for _, column in pairs[:1])
            tasks = " or ".join(f"--task {TASKS[kind]}" for kind in found)
            raise InputError(f"{table.origin} has the columns {visible(own)}: say what to learn with {tasks}")
        truth = next(iter(found))
    if truth not in TASKS:
        raise InputError(f"{table.origin} is a table, which holds {', '.join(TASKS)}: it cannot hold {truth}")
    # A column of labels may be read as another kind where the task says so.
    other = next((found[kind] for kind in ("label", "tags") if kind in found), None)
    pairs = found.get(truth) or other
    if pairs is None:
        name = next(name for name, kind in _TRUTH.items() if kind == truth)
        raise InputError(f"{table.origin} has no column {name}, which task {TASKS[truth]} needs: --columns {name}=NAME")
    return truth, pairs


def _value_name(role: str, column: str) -> str:
    return role.partition(":")[2] or (VALUE if column.casefold() == VALUE else column)


def _refuse_misspelt(table: Table, given: Mapping[str, str], own: Mapping[str, str | None]) -> None:
    """Refuses a column that is nearly called like one that would change the splits."""
    used = {*given.values(), *filter(None, own.values())}
    for role in _OPTIONAL:
        rest = [name for name in table.columns if name not in used and name.casefold() not in _NAMES]
        near = difflib.get_close_matches(role, rest, n=1, cutoff=_NEAR)
        if own[role] is None and near:
            raise InputError(
                f"{table.origin} has a column {visible(near[0])}: did you mean {role}? Rename it, or say --columns "
                f"{role}={visible(near[0])}"
            )


def _near(table: Table, names: Iterable[str]) -> str:
    """A hint at columns that are nearly called like these."""
    near = [match for name in names for match in difflib.get_close_matches(name, table.columns, n=1)]
    return f" (did you mean that by {visible(near[0])}?)" if near else ""


def _listed(names: Iterable[str]) -> str:
    known = [visible(name)[:40] or "one without a name" for name in names]
    return f"{', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"
