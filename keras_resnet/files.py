"""Writing files so that nothing is lost: beside the target first, renamed when complete; devices are written into."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from keras_resnet.errors import DiskFullError, InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last: a limit of the process, RLIMIT_FSIZE
_NO_PLACE = (errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EPIPE, errno.ENXIO, errno.ECONNREFUSED)
_DESCRIPTORS = re.compile(r"/proc/(\d+)(/task/\d+)?/fd")


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuses a target that exists; devices and pipes, which hold nothing that could be lost, are none.

    Raises:
        InputError: `path` exists and `overwrite` is false, or it is a folder or a whole disk.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected the name of a file to write")
    if path.is_block_device():
        raise InputError(f"{path} is a disk: expected the name of a file to write")
    if path.exists() and not overwrite and not _is_special(path):
        raise InputError(f"{path} exists: choose another name or pass --overwrite")


def refuse_no_json(path: Path) -> None:
    """Refuses to replace a file that holds something else than JSON, such as an image named by a slip.

    Raises:
        InputError: there is such a file.
    """
    if not path.is_file() or _is_special(path) or not path.stat().st_size:
        return
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} exists and is no JSON: it is not replaced; choose another name") from error


def check_place(path: Path, overwrite: bool = False) -> None:
    """Refuses the name of a file that could not be written, before any work is done for it; leaves nothing there.

    Args:
        path: file that will be written.
        overwrite: whether an existing file will be replaced.

    Raises:
        InputError: see `refuse_existing`; or its folder takes no new file: it is read-only, on a full disk, a file.
    """
    try:
        refuse_existing(path, overwrite)
        if not _is_special(path):
            check_folder(Path(os.path.realpath(path)).parent, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose another place") from error


def check_folder(folder: Path, name: Path | None = None) -> None:
    """Refuses a folder that takes no new file, or that could not be made; neither makes it nor leaves anything there.

    Args:
        folder: folder that will be written into.
        name: what will be written, for the message; the folder itself by default.

    Raises:
        InputError: it takes no file.
    """
    name = folder if name is None else name
    there = _existing(folder)
    if not there.is_dir():
        raise InputError(f"cannot write {name}: {there} is a file and no folder; choose another place")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        if is_full(error):
            raise disk_full(error, name) from error
        said = f"{there} takes no new files ({error.strerror})"
        raise InputError(f"cannot write {name}: {said}; choose another place") from error


def existing_file(path: str | os.PathLike) -> Path:
    """Checks that a model file is there and holds something.

    Raises:
        InputError: it does not exist, is a folder, or is empty.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected a model file (a run's model is {path / 'model.keras'})")
    if not path.exists():
        raise InputError(f"{path} does not exist: expected a .keras, .h5, .tflite or .onnx file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty: expected a .keras, .tflite or .onnx file")
    return path


@contextlib.contextmanager
def writing(path: str | os.PathLike, *, overwrite: bool = False) -> Iterator[Path]:
    """Gives a temporary name beside `path`; what was written there gets the name `path` when the block ends well.

    Of a symbolic link the target is replaced, and the link stays. What is no file (a device, a pipe, a socket, a
    descriptor like /dev/fd/3) is written into.

    Args:
        path: final name of the file; its folder is made if needed.
        overwrite: whether an existing file is replaced.

    Yields:
        A path with the same suffix, in the same folder where `path` is a file.

    Raises:
        InputError: `path` exists, cannot be written, or the disk is full (`DiskFullError`). Nothing is left behind then
            and an existing `path` is as it was.

    Example:
        >>> import tempfile, pathlib
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "note.txt"
        >>> with writing(target) as temporary:
        ...     _ = temporary.write_text("done")
        >>> target.read_text()
        'done'
    """
    path = Path(path)
    try:
        with told_if_full(path):
            refuse_existing(path, overwrite)
            with _poured(path) if _is_special(path) else _renamed(Path(os.path.realpath(path))) as temporary:
                yield temporary
    except OSError as error:
        if _is_of_place(error, path):
            raise InputError(f"cannot write {path}: {error.strerror}; choose another place") from error
        raise


@contextlib.contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.stem[:40]}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # it was renamed, or never made
            temporary.unlink()


@contextlib.contextmanager
def _poured(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder, f"written{path.suffix}")
        yield temporary
        with temporary.open("rb") as source, _opened(path) as target:
            shutil.copyfileobj(source, target)


def _opened(path: Path) -> BinaryIO:
    """What is no file, opened to be written into."""
    number = _descriptor(path)
    if number is not None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        return os.fdopen(os.dup(number), "wb")
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            return cast(BinaryIO, connection.makefile("wb"))
    return path.open("wb")


def _is_special(path: Path) -> bool:
    """Whether `path` names something that is written into: no file, or a descriptor of a process."""
    if _magic(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _descriptor(path: Path) -> int | None:
    """Number of the descriptor of this process that `path` names, as /dev/stdout and /dev/fd/3 do."""
    magic = _magic(path)
    return magic[1] if magic and magic[0] == os.getpid() else None


def _magic(path: Path) -> tuple[int, int] | None:
    """Process and number, where `path` leads to a descriptor in Linux' /proc."""
    text = os.path.abspath(path)
    for _ in range(40):  # as many links as Linux follows
        folder, name = os.path.realpath(os.path.dirname(text)), os.path.basename(text)
        found = _DESCRIPTORS.fullmatch(folder)
        text = os.path.join(folder, name)
        if found and name.isdigit() and os.path.lexists(text):
            return int(found[1]), int(name)
        if not os.path.islink(text):
            return None
        text = os.path.join(folder, os.readlink(text))
    return None


def _is_of_place(error: OSError, path: Path) -> bool:
    """Whether an error says that a file cannot be written at its place, and not something about another file."""
    kinds = (PermissionError, NotADirectoryError, FileExistsError)
    folder = os.path.dirname(os.path.realpath(path))
    named = error.filename is not None and os.path.dirname(os.fspath(error.filename)) == folder
    return isinstance(error, kinds) or error.errno in _NO_PLACE or named


def _existing(path: Path) -> Path:
    """The nearest folder upwards that is there, or the file that is in its place."""
    path = Path(os.path.abspath(path))
    return next(each for each in (path, *path.parents) if os.path.lexists(each))


@contextlib.contextmanager
def held(folder: Path, what: str) -> Iterator[None]:
    """Keeps a folder for this process while the block runs; what ends the process, kill or power cut, ends that too.

    Args:
        folder: folder, which is made if needed. Nothing is written into it.
        what: what holds it, for the message of others.

    Raises:
        InputError: another process holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}; choose another place") from error
    if os.name != "posix":  # Windows locks no folders: nobody is kept away
        yield
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        if not _locked(number):
            raise InputError(f"{folder} is in use by {what} in another process: wait for its end, or stop it")
        yield
    finally:
        os.close(number)


def _locked(number: int) -> bool:
    """Locks an open folder; false where another process has."""
    import fcntl

    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network's disk without locks: nobody is kept away
        return True
    return True


def member(name: str, *, stored: bool = False) -> zipfile.ZipInfo:
    """A member of a ZIP archive without a time, so that the same contents give the same bytes.

    Args:
        name: name in the archive.
        stored: whether it is kept as it is instead of being compressed.
    """
    info = zipfile.ZipInfo(name)  # of 1 January 1980, the first day that the format knows
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


def is_full(error: BaseException | str) -> bool:
    """Whether an error, or the words of one, say that the disk is full.

    Args:
        error: exception of any library; safetensors, HDF5 and TensorFlow put the system's code into a text of theirs.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    said = str(error)
    forms = ("errno = {},", "os error {})", "[Errno {}]")
    return "No space left on device" in said or any(form.format(code) in said for form in forms for code in _FULL)


@contextlib.contextmanager
def told_if_full(path: Path | None = None) -> Iterator[None]:
    """Turns whatever a library raises for a full disk into `DiskFullError` while the block runs.

    Args:
        path: what is being written, a file or a folder; None where nobody knows.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if is_full(error):
            raise disk_full(error, path) from error
        raise


def disk_full(error: BaseException | str, path: Path | None = None) -> DiskFullError:
    """What is said of a full disk: which one, the target's or that of temporary files, and what to do.

    Args:
        error: what was raised, or its words.
        path: what was being written; None where nobody knows.
    """
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return DiskFullError(f"cannot write {path or error.filename}: a file may not be so large here (ulimit -f)")
    scratch = Path(tempfile.gettempdir())
    free = shutil.disk_usage(scratch).free
    while_writing = f" while writing {path}" if path else ""
    if path:
        there = _existing(path)
        left = shutil.disk_usage(there).free
        if there.stat().st_dev == scratch.stat().st_dev or left <= free:
            return DiskFullError(
                f"disk full{while_writing} ({left / 1e6:.1f} MB free): nothing was left under that name; free some "
                "space and repeat"
            )
    return DiskFullError(
        f"disk full{while_writing}: {scratch}, the folder of temporary files, has {free / 1e6:.1f} MB free; free some "
        "space, or set TMPDIR to another folder"
    )
