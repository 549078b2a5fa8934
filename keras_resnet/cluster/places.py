"""Files here and elsewhere by one name: a path, or an address that pyarrow or fsspec can open (`s3://`, `gs://`, ...).

A path is read on the machine of the command. An address is read wherever the work is done, `file:///mnt/photos` for
instance, where all machines see the same disk.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from keras_resnet import extras
from keras_resnet.errors import InputError

_READERS = 16  # files of a shard that are asked for at once
_TRIES, _PAUSE = 3, 0.5  # of a file elsewhere; seconds before the second one, twice that before the third
MISSING = os.strerror(errno.ENOENT)
_HIDDEN = (".", "__MACOSX")  # `..` too: a listing may hold any name


class Place(NamedTuple):
    """One file.

    Attributes:
        name: what people see: a path, or an address without who may open it.
        address: what is opened.
        mark: size and time of a file that is listed; a changed one has another.
    """

    name: str
    address: str
    mark: str = ""


def is_address(text: str) -> bool:
    """Whether a name is an address and no path."""
    return "://" in text and not Path(text).exists()


def public(address: str) -> str:
    """An address without user, password and query."""
    if not is_address(address):
        return address
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def listed(address: str) -> list[Place]:
    """All files below an address, by name; the file itself, where it is one.

    Args:
        address: address of a folder or a file.

    Raises:
        InputError: there is no such thing, or it cannot be asked for.
    """
    fs: Any = extras.imported("pyarrow.fs")
    system, root = _opened(address)
    try:
        info = system.get_file_info(root)
        if info.type == fs.FileType.File:
            return [Place(public(address), address, _mark(info))]
        found = system.get_file_info(fs.FileSelector(root, recursive=True))
    except (OSError, ValueError) as error:
        raise _unreachable(address, error) from error
    base, _, query = address.partition("?")
    places = []
    for each in found:
        inside = PurePosixPath(each.path.removeprefix(root).lstrip("/"))
        if each.type != fs.FileType.File or any(part.startswith(_HIDDEN) for part in inside.parts):
            continue
        full = f"{base.rstrip('/')}/{inside}"
        places.append(Place(public(full), f"{full}?{query}" if query else full, _mark(each)))
    return sorted(places)


def _mark(info: Any) -> str:
    return f"{info.size}:{info.mtime_ns}"


def _opened(address: str) -> tuple[Any, str]:
    """A file system of pyarrow's, or of fsspec's, and the path in it."""
    fs: Any = extras.imported("pyarrow.fs")
    try:
        return fs.FileSystem.from_uri(address)
    except (OSError, ValueError) as error:
        first = error
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(address)
        return fs.PyFileSystem(fs.FSSpecHandler(system)), path
    except (ImportError, OSError, ValueError) as error:
        raise _unreachable(address, first if isinstance(error, ValueError) else error) from error


def _unreachable(address: str, error: Exception) -> InputError:
    said = " ".join(str(error).replace(address, public(address)).split())[:300]
    return InputError(f"{public(address)} cannot be read: {said or type(error).__name__}")


def read(address: str) -> bytes:
    """The bytes of a file; one elsewhere is asked for three times.

    Args:
        address: path or address.

    Raises:
        InputError: it cannot be read.
    """
    if not is_address(address):
        try:
            return Path(address).read_bytes()
        except OSError as error:
            raise InputError(f"{address} cannot be read: {error.strerror}") from error
    for number in range(1, _TRIES + 1):
        try:
            system, path = _opened(address)
            with system.open_input_stream(path) as stream:
                return stream.read()
        except FileNotFoundError as error:
            raise InputError(f"{public(address)} cannot be read: {MISSING}") from error
        except OSError as error:
            if number == _TRIES:
                raise _unreachable(address, error) from error
            time.sleep(_PAUSE * number)
    raise AssertionError("unreachable")


def read_all(addresses: Sequence[str]) -> Iterator[bytes | InputError]:
    """Reads files, many at once, in their order; an error in place of one that cannot be read.

    Args:
        addresses: paths or addresses.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(_read_or_error, addresses)


def _read_or_error(address: str) -> bytes | InputError:
    try:
        return read(address)
    except InputError as error:
        return error


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
