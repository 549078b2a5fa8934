"""The table of formats: a format is a row here, and a module with the functions that `Format.module` names."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from export.formats.precisions import PRECISIONS, Offer
from keras_resnet.errors import InputError

LAYOUTS = ("nhwc", "nchw")
ENGINES = ("xnnpack", "reference")  # of TFLite: phones' kernels, and the plain ones that microcontrollers' follow
_ONNX = ("tf2onnx", "onnx", "onnxruntime")
OUTSIDE = ("tflm", "mediapipe", "arm64")  # in environments of their own: keras_resnet/runtime/outside


@dataclass(frozen=True, kw_only=True)
class Format:
    """One file format.

    Attributes:
        name: name in commands and reports.
        suffix: ending of its files.
        batch: batch size of the exported input; None for any.
        layouts: layouts that the input may have.
        packages: packages of an extra that make and run its files, by the names that are imported.
    """

    name: str
    suffix: str
    batch: int | None
    layouts: tuple[str, ...] = ("nhwc",)
    packages: tuple[str, ...] = ()

    @property
    def offers(self) -> dict[str, Offer]:
        """Offers by precision."""
        return {row.name: row.offers[self.name] for row in PRECISIONS.values() if self.name in row.offers}

    @property
    def precisions(self) -> tuple[str, ...]:
        """Names of the offers."""
        return tuple(self.offers)

    @property
    def module(self) -> ModuleType:
        """`export.formats.NAME`, with `convert`, `add_card`, `fingerprint` and `describe`."""
        return importlib.import_module(f"export.formats.{self.name}")


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        # Microcontrollers and accelerators take static shapes only.
        Format(name="tflite", suffix=".tflite", batch=1, packages=("ai_edge_litert",)),
        Format(name="onnx", suffix=".onnx", batch=None, layouts=LAYOUTS, packages=_ONNX),
        Format(name="saved_model", suffix=".savedmodel", batch=None),
        Format(name="keras", suffix=".keras", batch=None),
    )
}


@dataclass(frozen=True)
class Contents:
    """What is in a file.

    Attributes:
        operators: number of operators by name.
        precision: row of `PRECISIONS`.
        forbidden: operators and shapes that an exported file must not have.
        unfolded: number of batch normalisations that are operators of their own; None where they cannot be counted.
        scales: `{"image": [scale, zero point], ...}` of quantized inputs and outputs.
    """

    operators: Counter[str]
    precision: str
    forbidden: tuple[str, ...] = ()
    unfolded: int | None = None
    scales: dict[str, list[float]] = field(default_factory=dict)


def format_of(path: Path) -> Format:
    """The format that a file's suffix names.

    Raises:
        InputError: none.
    """
    for row in FORMATS.values():
        if path.suffix == row.suffix:
            return row
    raise InputError(f"{path}: expected a file that ends in {' or '.join(row.suffix for row in FORMATS.values())}")
