"""`predict --ray`: the answers of `evaluation.bulk`, shard by shard on many machines."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.cluster import jobs, models, places, session
from keras_resnet.cluster.places import Place
from keras_resnet.cluster.shards import Shards, beside, digest
from keras_resnet.errors import InputError
from keras_resnet.evaluation import bulk
from keras_resnet.evaluation.bulk import Unreadable
from keras_resnet.evaluation.prediction import at_threshold, renamed

_ASKING = 16  # addresses that are looked up at once


@dataclass(frozen=True)
class Kept:
    """A prediction as it is kept on disk (`tasks.results.Prediction`).

    Attributes:
        image: name of the example.
        fields: its fields as JSON types.
        table: names of the columns and cells of its table.
    """

    image: str
    fields: dict[str, Any]
    table: tuple[Sequence[str], Sequence[Sequence[str]]]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return dict(self.fields)

    def rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """A table for the terminal: names of its columns, and its rows."""
        return self.table


@dataclass(frozen=True)
class _What:
    """What a worker is sent once."""

    model: models.Packed
    labels: tuple[str, ...] | None
    top: int
    threshold: float | None = None


class _Predicting(jobs.Worker):
    """Predicts by `bulk.answers`, as the plain command does."""

    def prepare(self, what: _What) -> None:
        """Opens the model."""
        self._folder = tempfile.TemporaryDirectory(prefix="keras-resnet-model-")
        self._runner = what.model.opened(self._folder.name)
        card = self._runner.card
        card = card if what.labels is None else renamed(card, what.labels)
        self._card = card if what.threshold is None else at_threshold(card, what.threshold)
        self._top = what.top

    def __del__(self) -> None:
        """Removes the model's files: Ray Data deletes what a worker has, and then ends its process by a signal."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()

    def work(self, row: jobs.Row, contents: Iterable[bytes | str]) -> bytes:
        """JSON lines, one for a file."""
        names: list[str] = row["names"]
        why: dict[int, str] = {}
        paths: list[Path] = []
        lines: list[dict[str, Any]] = []
        with tempfile.TemporaryDirectory(prefix="keras-resnet-shard-") as folder:
            for number, each in enumerate(contents):
                paths.append(Path(folder, f"{number:05}{Path(names[number]).suffix[:20]}"))
                if isinstance(each, bytes):
                    paths[-1].write_bytes(each)
                elif not each.endswith(places.MISSING):  # a missing file is one here too, and said to be
                    why[number] = each
            for number, found in enumerate(bulk.answers(self._runner, paths, self._card, self._top, names)):
                if isinstance(found, Unreadable):
                    lines.append({"bad": why.get(number) or found.reason.replace(str(paths[number]), names[number])})
                else:
                    lines.append({"image": names[number], "fields": found.to_json(), "rows": found.rows()})
        return "".join(json.dumps(line) + "\n" for line in lines).encode()


def expanded(texts: Sequence[str], suffixes: Sequence[str]) -> list[Place]:
    """The files that a command line names, in its order: as `bulk.listed`, and addresses of files and folders too.

    Args:
        texts: files, folders, patterns, addresses; `-` for a list on standard input, one a line.
        suffixes: endings of the files that are taken out of folders.

    Raises:
        InputError: a folder without such files, a pattern that nothing matches, nothing at all.
    """
    todo = [(line, text != bulk.LIST) for text in texts for line in (bulk.lines() if text == bulk.LIST else [text])]

    def places_of(pair: tuple[str, bool]) -> list[Place]:
        line, patterns = pair
        if places.is_address(line):
            return _elsewhere(line, suffixes)
        return [places.here(path) for path in bulk.members(line, suffixes, patterns=patterns)]

    with ThreadPoolExecutor(_ASKING) as pool:
        found = [each for several in pool.map(places_of, todo) for each in several]
    if not found:
        raise InputError("standard input: expected names of files, one a line; received none")
    return found


def _elsewhere(address: str, suffixes: Sequence[str]) -> list[Place]:
    """Pictures below an address, or the file itself, which need not have such an ending."""
    name = places.public(address)
    try:
        found = places.listed(address)
    except InputError as error:
        if Path(name).suffix.lower() in suffixes and str(error).endswith(places.MISSING):
            return [Place(name, places.Address(address))]  # a bad file among the others
        raise
    if [each.name for each in found] == [name]:
        return found
    pictures = [each for each in found if Path(each.name).suffix.lower() in suffixes]
    if not pictures:
        raise InputError(f"{name} holds no {', '.join(suffixes)} files")
    return pictures


def answers(
    address: str,
    files: Sequence[Place],
    model: models.Packed,
    labels: tuple[str, ...] | None,
    top: int,
    output: Path,
    threshold: float | None = None,
) -> Iterator[Kept | Unreadable]:
    """A model's answers for files, in their order; the same as those of `bulk.answers`.

    Finished shards are kept in a folder beside the table until `forget` is called; a repeated call goes on from them.

    Args:
        address: what `--ray` was given.
        files: files.
        model: model.
        labels: names of the classes in place of those of its card.
        top: number of answers per file at most.
        output: table that will be written.
        threshold: score from which an object is an answer; None for that of the card.

    Yields:
        What the model says of each file, or why it says nothing.

    Raises:
        InputError: no connection, or shards of another call are there.
        GateError: a shard fails again and again; the others are kept.
    """
    of = {
        "model": model.digest(),
        "class names": list(labels or ()),
        "top": top,
        "list of files": digest(part for each in files for part in each.facts()),
        **({} if threshold is None else {"threshold": threshold}),
    }
    shards = Shards(beside(output), of)
    parts = places.cut(files)
    rows = [
        {
            "shard": number,
            "addresses": [each.address for each in files[part]],
            "names": [each.name for each in files[part]],
        }
        for number, part in enumerate(parts)
        if not shards.has(_name(number))
    ]
    if len(rows) < len(parts):
        print(f"{len(parts) - len(rows):,} of {len(parts):,} shards are there from an earlier call", file=sys.stderr)
    if rows:
        here = any(not each.address.uri for each in files)
        job = jobs.Job(worker=_Predicting, what=_What(model, labels, top, threshold), here=here, title="predicting")
        with session.connected(address):
            for number, lines in jobs.finished(job, rows):
                shards.put(_name(number), lines)
    for number in range(len(parts)):
        with (shards.folder / _name(number)).open(encoding="ascii") as kept:
            yield from map(_read, kept)


def forget(output: Path) -> None:
    """Removes the shards of a table that is written.

    Args:
        output: the table.
    """
    shutil.rmtree(beside(output), ignore_errors=True)


def _name(number: int) -> str:
    return f"{number:06}.jsonl"


def _read(line: str) -> Kept | Unreadable:
    each = json.loads(line)
    if "bad" in each:
        return Unreadable(Path(), each["bad"])
    return Kept(each["image"], each["fields"], tuple(each["rows"]))
