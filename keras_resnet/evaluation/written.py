"""Tables of predictions as files, row by row: CSV, JSON lines, Parquet."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from keras_resnet import extras, files
from keras_resnet.errors import InputError

Record = Mapping[str, Any]  # plain values by column
_ROWS = 8192  # of a Parquet group


def check(path: Path, overwrite: bool) -> None:
    """Refuses a table that could not be written, before any work is done for it.

    Args:
        path: file that will be written.
        overwrite: whether an existing file will be replaced.

    Raises:
        InputError: another ending, a missing package, or a place that takes no file.
    """
    if path.suffix not in WRITERS:
        raise InputError(f"{path}: expected a name with the ending {', '.join(WRITERS)}")
    if path.suffix == ".parquet":
        extras.require("pyarrow", for_what=str(path))
    files.check_place(path, overwrite)


@contextlib.contextmanager
def writing(path: Path | None, *, overwrite: bool = False) -> Iterator[Callable[[Record], None]]:
    """Gives a function that adds a row; the table is there when the block ends well.

    Args:
        path: file with one of the endings of `WRITERS`; None for none.
        overwrite: whether an existing file is replaced.

    Raises:
        InputError: see `check`.
    """
    if path is None:
        yield lambda record: None
        return
    check(path, overwrite)
    with files.writing(path, overwrite=overwrite) as temporary:
        kinds: dict[str, set[type]] = {}
        with tempfile.TemporaryFile("w+", encoding="ascii", dir=temporary.parent) as lines:

            def add(record: Record) -> None:
                for name, value in record.items():
                    kinds.setdefault(name, set()).add(type(value))
                lines.write(json.dumps(record) + "\n")

            yield add
            lines.seek(0)
            WRITERS[path.suffix](temporary, lines, kinds)


def _json_lines(path: Path, lines: IO[str], kinds: Mapping[str, set[type]]) -> None:
    with path.open("w", encoding="ascii") as out:
        out.writelines(lines)


def _csv(path: Path, lines: IO[str], kinds: Mapping[str, set[type]]) -> None:
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        writer = csv.DictWriter(out, list(kinds) or ["file"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(json.loads, lines))


def _parquet(path: Path, lines: IO[str], kinds: Mapping[str, set[type]]) -> None:
    pa: Any = extras.imported("pyarrow")
    parquet: Any = extras.imported("pyarrow.parquet")
    columns = {name: _type(types) for name, types in kinds.items()} or {"file": str}
    arrow = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    schema = pa.schema([(name, arrow[kind]) for name, kind in columns.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in _groups(map(json.loads, lines)):
            values = {name: [_cell(row.get(name), kind) for row in rows] for name, kind in columns.items()}
            writer.write_table(pa.table(values, schema=schema))


def _groups(rows: Iterable[Record]) -> Iterator[list[Record]]:
    rows = iter(rows)
    while some := list(itertools.islice(rows, _ROWS)):
        yield some


def _type(types: set[type]) -> type:
    """The one type that holds all values of a column."""
    types = types - {type(None)}
    if types == {int, float}:
        return float
    return types.pop() if len(types) == 1 and types <= {bool, int, float, str} else str


def _cell(value: Any, kind: type) -> Any:
    if value is None:
        return None
    if kind is not str:
        return kind(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")  # of a name in another encoding


WRITERS = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
