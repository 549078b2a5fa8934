"""Files here and elsewhere by one name: a path, or an address that pyarrow or fsspec can open (`s3://`, `gs://`, ...).

A path is read on the machine of the command. An address is read wherever the work is done, `file:///mnt/photos` for
instance, where all machines see the same disk.
"""

from __future__ import annotations

import errno
import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from keras_resnet import extras
from keras_resnet.errors import InputError
from keras_resnet.untrusted import visible

MISSING = os.strerror(errno.ENOENT)
_READERS = 16  # files of a shard that are asked for at once
_TRIES, _PAUSE = 3, 0.5  # of a file elsewhere; seconds before the second one, twice that before the third
_LARGEST = 500_000_000  # bytes of a file
_SHARD_FILES, _SHARD_BYTES = 256, 64_000_000  # of a shard: seconds of work; it is in memory as a whole
_HIDDEN = (".", "__MACOSX")  # `..` too: a listing may hold any name


class Address(NamedTuple):
    """What is opened.

    Attributes:
        uri: address as it was given, of the file or of a folder above it; empty for a file of this machine.
        path: path in the file system of the address, empty for that of the address itself; or absolute path here.
    """

    uri: str
    path: str = ""


class Place(NamedTuple):
    """One file.

    Attributes:
        name: what people see: a path, or an address without who may open it.
        address: what is opened.
        mark: size and time as they are listed; a changed file has others.
    """

    name: str
    address: Address
    mark: str = ""

    @property
    def size(self) -> int:
        """Bytes; 0 where they are not known."""
        return int(self.mark.partition(":")[0] or 0)

    def facts(self) -> tuple[str, ...]:
        """What tells the file, as it is now, from every other: texts without a password."""
        base, _, query = self.address.uri.partition("?")
        return self.name, public(base), query, self.mark


def is_address(text: str) -> bool:
    """Whether a name is an address and no path."""
    return "://" in text and not Path(text).exists()


def public(address: str) -> str:
    """An address without user, password and query."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def here(path: Path) -> Place:
    """A file of this machine.

    Args:
        path: path, which need not exist: then it is a bad file among the others.
    """
    try:
        mark = _mark(path.stat().st_size, path.stat().st_mtime_ns)
    except OSError:
        mark = ""
    return Place(str(path), Address("", os.path.abspath(path)), mark)


def listed(address: str) -> list[Place]:
    """All files below an address, by name; the file itself, where it is one.

    Args:
        address: address of a folder or a file.

    Raises:
        InputError: there is no such thing, it cannot be asked for, or a name in it has control characters.
    """
    fs: Any = extras.imported("pyarrow.fs")
    system, root = _opened(address)
    try:
        info = system.get_file_info(root)
        if info.type == fs.FileType.File:
            return [Place(public(address), Address(address), _mark(info.size, info.mtime_ns))]
        found = system.get_file_info(fs.FileSelector(root, recursive=True))
        paths = [(each, PurePosixPath(each.path.removeprefix(root).lstrip("/"))) for each in found]
    except UnicodeDecodeError as error:
        raise InputError(f"{public(address)} holds names that are not UTF-8: rename them") from error
    except FileNotFoundError as error:
        raise InputError(f"{public(address)} cannot be read: {MISSING}") from error
    except (OSError, ValueError) as error:
        raise _unreachable(address, error) from error
    places = []
    for each, inside in paths:
        if each.type != fs.FileType.File or any(part.startswith(_HIDDEN) for part in inside.parts):
            continue
        if not str(inside).isprintable():
            raise InputError(f"{public(address)} holds a file whose name has control characters: {visible(inside)}")
        name = f"{public(address).rstrip('/')}/{inside}"
        places.append(Place(name, Address(address, each.path), _mark(each.size, each.mtime_ns)))
    return sorted(places)


def _mark(size: int | None, nanoseconds: int | None) -> str:
    return f"{size or 0}:{nanoseconds or 0}"


@functools.lru_cache(maxsize=256)
def _opened(address: str) -> tuple[Any, str]:
    """A file system of pyarrow's, or of fsspec's, and the path in it."""
    fs: Any = extras.imported("pyarrow.fs")
    try:
        return fs.FileSystem.from_uri(address)
    except (OSError, ValueError) as error:
        first = error
    if "Unrecognized filesystem type" not in str(first):
        raise _unreachable(address, first) from first
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(address)
        return fs.PyFileSystem(fs.FSSpecHandler(system)), path
    except (ImportError, OSError, ValueError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> InputError:
    said = " ".join(str(error).replace(address, public(address)).split())[:300]
    return InputError(f"{public(address)} cannot be read: {said or type(error).__name__}")


def read(address: Address) -> bytes:
    """The bytes of a file; one elsewhere is asked for three times.

    Args:
        address: what is opened.

    Raises:
        InputError: it cannot be read, or is larger than any picture.
    """
    if not address.uri:
        return _read_here(Path(address.path))
    for number in range(1, _TRIES + 1):
        try:
            system, path = _opened(address.uri)
            with system.open_input_stream(address.path or path) as stream:
                return _limited(stream, address)
        except FileNotFoundError as error:
            raise InputError(f"{public(address.uri)} cannot be read: {MISSING}") from error
        except OSError as error:
            if number == _TRIES:
                raise _unreachable(address.uri, error) from error
            time.sleep(_PAUSE * number)
    raise AssertionError("unreachable")


def _read_here(path: Path) -> bytes:
    if not path.is_file():  # a pipe would be waited for
        raise InputError(f"{path} cannot be read: {MISSING}")
    try:
        with path.open("rb") as stream:
            return _limited(stream, Address("", str(path)))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _limited(stream: Any, address: Address) -> bytes:
    contents = stream.read(_LARGEST + 1)
    if len(contents) > _LARGEST:
        raise InputError(f"{address.path or public(address.uri)} is larger than {_LARGEST / 1e6:,.0f} MB")
    return bytes(contents)


def read_all(addresses: Sequence[Address]) -> Iterator[bytes | InputError]:
    """Reads files, many at once, in their order; an error in place of one that cannot be read.

    Args:
        addresses: what is opened.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(_read_or_error, addresses)


def _read_or_error(address: Address) -> bytes | InputError:
    try:
        return read(address)
    except InputError as error:
        return error


def cut(places: Sequence[Place]) -> list[slice]:
    """Files as shards: at most 256 of them, and 64 MB where there is more than one.

    Args:
        places: files in their order.
    """
    shards, start, size = [], 0, 0
    for number, each in enumerate(places):
        if number > start and (number - start == _SHARD_FILES or size + each.size > _SHARD_BYTES):
            shards.append(slice(start, number))
            start, size = number, 0
        size += each.size
    return [*shards, slice(start, len(places))] if places else []


def _good(contents: bytes | InputError) -> bytes:
    if isinstance(contents, InputError):
        raise contents
    return contents


@dataclass(frozen=True)
class Addresses:
    """Encoded examples by their addresses (`data.dataset.Contents`).

    Attributes:
        places: one file per example.
    """

    places: tuple[Place, ...]

    def __len__(self) -> int:
        """Number of files."""
        return len(self.places)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files."""
        return tuple(each.name for each in self.places)

    def read(self, indices: np.ndarray) -> list[bytes]:
        """The files' bytes."""
        return [_good(each) for each in read_all([self.places[i].address for i in indices])]

    def take(self, indices: np.ndarray) -> Addresses:
        """The files at these positions."""
        return Addresses(tuple(self.places[i] for i in indices))

    def joined(self, other: Addresses) -> Addresses:
        """These files, then the others."""
        return Addresses(self.places + other.places)


def addressed(dataset: Any, place_of: Callable[[Path], Place]) -> Any:
    """A data set of files as one of addresses.

    Args:
        dataset: `Dataset` whose parts are splits of `Files`.
        place_of: from a path to where the file is.
    """

    def part(split: Any) -> Any:
        return replace(split, contents=Addresses(tuple(map(place_of, split.contents.paths))))

    parts = {name: part(getattr(dataset, name)) for name in ("train", "validation", "test")}
    return replace(dataset, **parts)
