"""Arrays of npz files from elsewhere, read after the sizes that they declare; arrays in the types that JAX has."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

MOST = 2_000_000_000  # bytes of a file's arrays: four times the largest ResNet


def read(path: Path, *, most: int = MOST) -> dict[str, np.ndarray]:
    """Reads all arrays of an npz file, after their declared sizes; pickled objects are refused.

    Args:
        path: file.
        most: largest number of bytes of all arrays together.

    Raises:
        ValueError: damaged, too large, or with objects.
        OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for each in members):
                raise ValueError("its arrays are neither stored nor deflated")
            claimed = sum(each.file_size for each in members)
            if claimed > most:
                raise ValueError(f"its arrays have {claimed:,} bytes, expected at most {most:,}")
            return {each.filename.removesuffix(".npy"): _array(archive, each) for each in members}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, MemoryError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array, whose header must claim the bytes that the member has."""
    with archive.open(member) as file:
        shape, fortran, dtype, header = _header(file)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds objects of Python, which are never opened")
        claimed = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or header + claimed != member.file_size:
            raise ValueError(f"{member.filename} claims {claimed:,} bytes and has {member.file_size - header:,}")
        content = file.read(claimed)
    if len(content) != claimed:
        raise ValueError(f"{member.filename} ends early")
    if dtype.itemsize == 0:
        return np.empty(shape, dtype)
    flat = np.frombuffer(bytearray(content), dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether columns come first, dtype, and bytes of the header."""
    try:
        version = np.lib.format.read_magic(file)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"npy format {version[0]}.{version[1]}, expected 1.0 or 2.0")
        shape, fortran, dtype = readers[version](file)
    except Exception as error:  # NumPy takes the header for Python's source, whose parsers have their own exceptions
        raise ValueError(str(error) or type(error).__name__) from error
    return shape, fortran, dtype, file.tell()


def in_32_bits(values: np.ndarray) -> np.ndarray:
    """The values as JAX holds them, which has no types of 64 bits unless it is asked to.

    Args:
        values: array of any type.

    Returns:
        int32 for int64, float32 for float64, else `values` itself.
    """
    narrow = {"int64": np.int32, "float64": np.float32}.get(str(values.dtype))
    return values if narrow is None else values.astype(narrow)
