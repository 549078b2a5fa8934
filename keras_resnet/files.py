"""Writing files so that nothing is lost: beside the target first, renamed when complete."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

from keras_resnet.errors import InputError


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuses a target that exists, before any work is done for it.

    Raises:
        InputError: `path` exists and `overwrite` is false, or it is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected the name of a file to write")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists: choose another name or pass --overwrite")


def existing_file(path: str | os.PathLike) -> Path:
    """Checks that a model file is there and holds something.

    Raises:
        InputError: it does not exist, is a folder, or is empty.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected a model file (a run's model is {path / 'model.keras'})")
    if not path.exists():
        raise InputError(f"{path} does not exist: expected a .keras, .tflite or .onnx file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty: expected a .keras, .tflite or .onnx file")
    return path


@contextlib.contextmanager
def writing(path: str | os.PathLike, *, overwrite: bool = False) -> Iterator[Path]:
    """Gives a temporary name beside `path`; what was written there gets the name `path` when the block ends well.

    Args:
        path: final name of the file; its folder is made if needed.
        overwrite: whether an existing file is replaced.

    Yields:
        A path in the same folder with the same suffix.

    Raises:
        InputError: `path` exists, cannot be written, or the disk is full. Nothing is left behind then and an
            existing `path` is as it was.

    Example:
        >>> import tempfile, pathlib
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "note.txt"
        >>> with writing(target) as temporary:
        ...     _ = temporary.write_text("done")
        >>> target.read_text()
        'done'
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if is_full(error):
            free = shutil.disk_usage(path.parent).free
            raise InputError(
                f"disk full while writing {path} ({free / 1e6:.1f} MB free): nothing was left under that name; "
                "free some space and repeat"
            ) from error
        if isinstance(error, (PermissionError, NotADirectoryError, FileExistsError)) or error.errno == errno.EROFS:
            raise InputError(f"cannot write {path}: {error.strerror}; choose another place") from error
        raise
    finally:
        with contextlib.suppress(OSError):  # it was renamed, or never made
            temporary.unlink()


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


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk is full."""
    # HDF5 wraps the code of the operating system in its own text.
    full = (errno.ENOSPC, errno.EDQUOT)
    return error.errno in full or any(f"errno = {code}" in str(error) for code in full)
