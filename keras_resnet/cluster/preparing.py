"""`prepare --ray`: the files of `data.preparation`, checked, reduced and written shard by shard on many machines."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import files
from keras_resnet.cluster import jobs, places, session
from keras_resnet.cluster.places import Place
from keras_resnet.cluster.shards import Shards, beside, digest
from keras_resnet.console import without_chatter
from keras_resnet.data import preparation, records, tables
from keras_resnet.data.dataset import Dataset, Files
from keras_resnet.data.folder import checked_by
from keras_resnet.errors import InputError
from keras_resnet.signals.table import get_signal

_LARGEST = 1_000_000_000  # bytes of a TFRecord file, which is in memory as a whole here


@dataclass(frozen=True)
class Source:
    """A folder of pictures, or a table of them, here or elsewhere.

    Attributes:
        path: what `load_dataset` is given: the folder or table, or a stand-in with its names.
        place_of: from a path in it to the file that is meant.
    """

    path: Path
    place_of: Callable[[Path], Place]


@contextlib.contextmanager
def source(data: str | os.PathLike) -> Iterator[Source]:
    """A source by path or address.

    Args:
        data: path, or address of a folder or of a table.

    Raises:
        InputError: an address that cannot be read, or TFRecord files.
    """
    text = os.fspath(data)
    if not places.is_address(text):
        yield Source(Path(text), places.here)
        return
    found = places.listed(text)
    alone = [each.name for each in found] == [places.public(text)]
    if alone:  # of a table, which names files around it
        found = places.listed(_parent(text))
    root = places.public(_parent(text) if alone else text).rstrip("/")
    with tempfile.TemporaryDirectory(prefix="keras-resnet-listing-") as folder, _called(f"{folder}/files", root):
        stand_in = Path(folder, "files")
        by_path = {stand_in / each.name.removeprefix(root).lstrip("/"): each for each in found}
        for path, place in by_path.items():
            _stand_in(path, place)
        if records.find(stand_in):
            raise InputError(f"{root} holds TFRecord files: expected pictures")

        def place_of(path: Path) -> Place:
            place = by_path.get(Path(os.path.normpath(path)))
            if place is None:
                raise InputError(f"{path} is no file below {root}")
            return place

        yield Source(stand_in / places.public(text).rpartition("/")[2] if alone else stand_in, place_of)


def _stand_in(path: Path, place: Place) -> None:
    """Makes an empty file in the place of one elsewhere; of a table, one with its contents."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(places.read(place.address) if path.suffix.lower() in tables.SUFFIXES else b"")
    except OSError as error:
        raise InputError(f"{place.name}: no file here can have that name: {error.strerror}") from error


def _parent(address: str) -> str:
    base, mark, query = address.partition("?")
    return base.rpartition("/")[0] + mark + query


@contextlib.contextmanager
def _called(path: str, name: str) -> Iterator[None]:
    """What is said of a stand-in names what it stands for."""

    def renamed(record: logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage().replace(path, name), ()
        return True

    log = logging.getLogger("keras_resnet")
    log.addFilter(renamed)
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(path, name)) from error
    finally:
        log.removeFilter(renamed)


class _Checking(jobs.Worker):
    """Says which pictures can be decoded, as `data.folder` does."""

    def prepare(self, what: int) -> None:
        """Takes the number of channels."""
        self._shape = (1, 1, what)

    def work(self, row: jobs.Row, contents: Iterable[bytes | str]) -> bytes:
        """A byte for each picture: 1 for a good one."""
        is_readable = get_signal("image").code.is_readable
        with without_chatter():
            return bytes(isinstance(each, bytes) and is_readable(each, self._shape) for each in contents)


class _Preparing(jobs.Worker):
    """Writes TFRecord files by `preparation.example`."""

    def prepare(self, what: dict[str, Any]) -> None:
        """Takes the names of the classes, and what is done with a picture."""
        self._classes = what["classes"]
        self._how = {name: value for name, value in what.items() if name != "classes"}

    def work(self, row: jobs.Row, contents: Iterable[bytes | str]) -> bytes:
        """The bytes of a TFRecord file."""
        import tensorflow as tf

        with tempfile.TemporaryDirectory(prefix="keras-resnet-shard-") as folder:
            path = Path(folder, "records")
            with tf.io.TFRecordWriter(str(path)) as writer:
                for encoded, label in zip(contents, row["labels"], strict=True):
                    if isinstance(encoded, str):
                        raise InputError(encoded)
                    writer.write(preparation.example(encoded, label, self._classes[label], **self._how))
            return path.read_bytes()


def prepare(
    address: str,
    given: Source,
    load: Callable[[Path], Dataset],
    folder: Path,
    *,
    shards: int = 0,
    shorter_side: int = 0,
) -> preparation.Prepared:
    """Does what `data.prepare` does, with the same files as the result, on a cluster.

    Finished files are kept in a folder beside the result; a repeated call goes on from them.

    Args:
        address: what `--ray` was given.
        given: data source.
        load: from its path to the data set.
        folder: a new folder.
        shards: see `data.prepare`.
        shorter_side: see `data.prepare`.

    Raises:
        InputError: see `data.prepare`; no connection, files of another call, a source that is no files.
        GateError: a file fails again and again; the others are kept.
    """
    if folder.exists():
        raise InputError(f"{folder} exists: choose a new folder")
    with session.connected(address):
        with checked_by(lambda paths, shape: _unreadable(given, paths, shape[-1])):
            dataset = load(given.path)
        _check_files(dataset)
        dataset = places.addressed(dataset, given.place_of)
        preparation.check(dataset, folder, shards, shorter_side)
        plan = preparation.planned(dataset, shards, shorter_side)
        with files.told_if_full(folder):
            kept = Shards(beside(folder), _of(dataset, plan, shorter_side))
            _write(kept, dataset, plan, shorter_side)
            preparation.write_labels(dataset, kept.folder)
            kept.become(folder)
            size = sum(path.stat().st_size for path in folder.iterdir())
    return preparation.Prepared.of(plan, folder, size)


def _check_files(dataset: Dataset) -> None:
    splits = [getattr(dataset, part) for part in preparation.PARTS]
    if not all(isinstance(getattr(split, "contents", None), Files) for split in splits):
        raise InputError(
            f"--ray: expected a folder of pictures or a table of them, received {dataset.name}: leave --ray out"
        )


def _of(dataset: Dataset, plan: Sequence[preparation.Shard], shorter_side: int) -> dict[str, Any]:
    """What is prepared, and how."""
    lines = (
        part
        for shard in plan
        for index in shard.indices
        for part in (shard.name, *_facts(_split(dataset, shard), index))
    )
    return {"data": digest([*dataset.classes, *lines]), "shorter side": shorter_side}


def _facts(split: Any, index: int) -> tuple[str, ...]:
    return *split.contents.places[index].facts(), str(split.truth["label"][index])


def _split(dataset: Dataset, shard: preparation.Shard) -> Any:
    return getattr(dataset, shard.part)


def _write(kept: Shards, dataset: Dataset, plan: Sequence[preparation.Shard], shorter_side: int) -> None:
    rows, names, here = [], {}, False
    for number, shard in enumerate(plan):
        if kept.has(shard.name):
            continue
        split = _split(dataset, shard)
        addresses = [split.contents.places[index].address for index in shard.indices]
        here |= any(not each.uri for each in addresses)
        names[number] = shard.name
        rows.append({"shard": number, "addresses": addresses, "labels": split.truth["label"][shard.indices].tolist()})
        _check_size(split, shard, len(plan))
    upright = preparation.is_upright(dataset.train)
    what = {"classes": dataset.classes, "shorter_side": shorter_side, "upright": upright}
    job = jobs.Job(worker=_Preparing, what=what, here=here, title="writing")
    for number, contents in jobs.finished(job, rows) if rows else ():
        kept.put(names[number], contents)


def _check_size(split: Any, shard: preparation.Shard, count: int) -> None:
    size = sum(split.contents.places[index].size for index in shard.indices)
    if size > _LARGEST:
        raise InputError(
            f"{shard.name} would have {size / 1e6:,.0f} MB: expected at most {_LARGEST / 1e6:,.0f} MB with --ray; ask "
            f"for more files: --shards {count * -(-size // _LARGEST)} or more"
        )


def _unreadable(given: Source, paths: Sequence[Path], channels: int) -> list[Path]:
    """The files that cannot be decoded, found by the cluster."""
    found = [given.place_of(path) for path in paths]
    parts = places.cut(found)
    rows: list[jobs.Row] = [
        {"shard": number, "addresses": [each.address for each in found[part]]} for number, part in enumerate(parts)
    ]
    here = any(not each.address.uri for each in found)
    job = jobs.Job(worker=_Checking, what=channels, here=here, title="checking images")
    good = np.ones(len(paths), bool)
    for number, verdicts in jobs.finished(job, rows) if rows else ():
        good[parts[number]] = np.frombuffer(verdicts, np.uint8)
    return [path for path, each in zip(paths, good, strict=True) if not each]
