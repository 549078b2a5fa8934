"""The table of formats: a format is a row here, and a module with the functions that `Format.module` names."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from keras_resnet.errors import InputError, unknown_name

INPUT, OUTPUT = "image", "probabilities"  # the names in every exported file
SAMPLES = 200  # images to calibrate with, unless told otherwise
CALIBRATED = ("int8", "int16x8")  # precisions whose activations need ranges


@dataclass(frozen=True, kw_only=True)
class Format:
    """One file format.

    Attributes:
        name: as commands and reports have it.
        suffix: of its files.
        precisions: that `convert` offers: dtype of weights and activations (`float16`: weights only).
        batch: of the exported input; None for any.
        io: dtype of input and output where it is not float32, per precision.
    """

    name: str
    suffix: str
    precisions: tuple[str, ...]
    batch: int | None
    io: dict[str, str] = field(default_factory=dict)

    @property
    def module(self) -> ModuleType:
        """`export.NAME`, with `convert`, `add_card`, `fingerprint` and `describe`."""
        return importlib.import_module(f"export.{self.name}")


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            name="tflite",
            suffix=".tflite",
            precisions=("float32", "float16", "dynamic_int8", "int8", "int16x8"),
            batch=1,  # microcontrollers and accelerators take static shapes only
            io={"int8": "int8", "int16x8": "int16"},
        ),
        Format(name="onnx", suffix=".onnx", precisions=("float32", "int8"), batch=None),
    )
}


@dataclass(frozen=True)
class Contents:
    """What is in a file.

    Attributes:
        operators: how many of each.
        precision: a row of `verify.TOLERANCES`.
        forbidden: operators and shapes that an exported file must not have.
    """

    operators: Counter[str]
    precision: str
    forbidden: tuple[str, ...]


@dataclass(frozen=True)
class Artifact:
    """A file to be made."""

    format: Format
    precision: str

    @property
    def name(self) -> str:
        """`tflite:int8`, as `--artifact` takes it."""
        return f"{self.format.name}:{self.precision}"

    def file(self, folder: Path, stem: str) -> Path:
        """Its default name."""
        return folder / f"{stem}-{self.precision}{self.format.suffix}"


def artifact(name: str) -> Artifact:
    """Parses `FORMAT:PRECISION`.

    Raises:
        InputError: unknown format, or a precision that it has not.
    """
    format_name, _, precision = name.partition(":")
    if format_name not in FORMATS:
        raise unknown_name("format", format_name, FORMATS)
    row = FORMATS[format_name]
    if precision not in row.precisions:
        raise unknown_name(f"precision of {format_name}", precision, row.precisions)
    return Artifact(row, precision)


def format_of(path: Path) -> Format:
    """The format that a file's suffix names.

    Raises:
        InputError: none.
    """
    for row in FORMATS.values():
        if path.suffix == row.suffix:
            return row
    raise InputError(f"{path}: expected a file that ends in {' or '.join(row.suffix for row in FORMATS.values())}")


def all_artifacts() -> list[Artifact]:
    """Every format in every precision."""
    return [Artifact(row, precision) for row in FORMATS.values() for precision in row.precisions]
