"""The table of formats: a format is a row here, and a module with the functions that `Format.module` names."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from keras_resnet.errors import InputError, unknown_name

if TYPE_CHECKING:
    from keras_resnet.signals.conventions import Preprocess

INPUT, OUTPUT = "image", "probabilities"  # the names in every exported file
CAM = "cam"  # of the class activation map
SAMPLES = 200  # images to calibrate with, unless told otherwise
CALIBRATED = ("int8", "int16x8", "int8x4")  # precisions whose activations need ranges
QUANTIZERS = ("tensorflow", "litert")
INPUTS = ("raw", "tf", "normalized")
LABELS = "labels.txt"
LAYOUTS = ("nhwc", "nchw")
ENGINES = ("xnnpack", "reference")  # of TFLite: phones' kernels, and the plain ones that microcontrollers' follow
OUTSIDE = ("tflm", "mediapipe", "arm64")  # in environments of their own: keras_resnet/outside


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a format offers in one precision.

    Attributes:
        io: dtypes that input and output may have, the default first.
        quantizers: that make it, the default first; empty where nothing is quantized.
        note: for people.
    """

    io: tuple[str, ...] = ("float32",)
    quantizers: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One file format.

    Attributes:
        name: as commands and reports have it.
        suffix: of its files.
        offers: by precision: dtype of weights and activations (`float16`, `weight_only_...`: weights alone;
            `int16x8`, `int8x4`: of activations and weights).
        batch: of the exported input; None for any.
        layouts: that the input may have.
    """

    name: str
    suffix: str
    offers: dict[str, Offer]
    batch: int | None
    layouts: tuple[str, ...] = ("nhwc",)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Names of the offers."""
        return tuple(self.offers)

    @property
    def module(self) -> ModuleType:
        """`export.formats.NAME`, with `convert`, `add_card`, `fingerprint` and `describe`."""
        return importlib.import_module(f"export.formats.{self.name}")


_SLOW = "for accelerators: no fast kernels on CPUs"

FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            name="tflite",
            suffix=".tflite",
            offers={
                "float32": Offer(),
                "float16": Offer(quantizers=QUANTIZERS),
                "dynamic_int8": Offer(quantizers=QUANTIZERS),
                "int8": Offer(io=("int8", "uint8", "float32"), quantizers=QUANTIZERS),
                "int16x8": Offer(io=("int16", "float32"), quantizers=QUANTIZERS, note=_SLOW),
                "int8x4": Offer(
                    io=("int8", "float32"),
                    quantizers=("litert",),
                    note="half of int8's flash; train for it (export.compress)",
                ),
                "weight_only_int8": Offer(quantizers=("litert",)),
                "weight_only_int4": Offer(quantizers=("litert",), note="half a byte a weight; small nets lose much"),
            },
            batch=1,  # microcontrollers and accelerators take static shapes only
        ),
        Format(
            name="onnx",
            suffix=".onnx",
            offers={
                "float32": Offer(),
                "float16": Offer(note="for GPUs; CPUs compute in float32"),
                "dynamic_int8": Offer(note="for servers: convolutions with a range per image"),
                "int8": Offer(),
            },
            batch=None,
            layouts=LAYOUTS,
        ),
        Format(name="saved_model", suffix=".savedmodel", offers={"float32": Offer()}, batch=None),
        Format(name="keras", suffix=".keras", offers={"float32": Offer()}, batch=None),
    )
}


@dataclass(frozen=True)
class Contents:
    """What is in a file.

    Attributes:
        operators: how many of each.
        precision: a row of `verify.TOLERANCES`.
        forbidden: operators and shapes that an exported file must not have.
        unfolded: how many batch normalisations are operators of their own; None where they cannot be counted.
        scales: `{"image": [scale, zero point], ...}` of quantized inputs and outputs.
    """

    operators: Counter[str]
    precision: str
    forbidden: tuple[str, ...] = ()
    unfolded: int | None = None
    scales: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file to be made; `artifact()` checks the choices and fills in what was left open.

    Attributes:
        format: row of `FORMATS`.
        precision: one of its offers.
        quantizer: that makes it; empty where nothing is quantized.
        input: `"raw"`: RGB 0..255, or `"tf"`: RGB -1..1, and the weights' preprocessing is in the graph;
            `"normalized"`: it is the caller's.
        io: dtype of input and output.
        layout: of the input.
        features: output strides of the feature maps that become outputs `features_8`, ... too.
        cam: whether the class activation map `(n, h, w, classes)` becomes an output too.
        keep_float: layers that stay in float32 (`litert` quantizer).
        size: height and width of the file's input, which it resizes itself; None for the net's own.
        labels_file: name of the labels in a TFLite file's metadata; without it no metadata are written.
        plan_arena: whether a TFLite file tells TFLite Micro where to put its tensors (`fit.write_plan`).
    """

    format: Format
    precision: str
    quantizer: str = ""
    input: str = "normalized"
    io: str = "float32"
    layout: str = "nhwc"
    features: tuple[int, ...] = ()
    cam: bool = False
    keep_float: tuple[str, ...] = ()
    size: int | None = None
    labels_file: str = ""
    plan_arena: bool = False

    @property
    def offer(self) -> Offer:
        """The precision's."""
        return self.format.offers[self.precision]

    @property
    def name(self) -> str:
        """`tflite:int8`, as `--artifact` takes it; with `@litert` where that is not the default."""
        other = self.quantizer not in self.offer.quantizers[:1] and self.quantizer
        return f"{self.format.name}:{self.precision}{f'@{self.quantizer}' if other else ''}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of its outputs, `probabilities` first."""
        return (OUTPUT, *([CAM] if self.cam else []), *(f"features_{stride}" for stride in self.features))

    def size_of(self, image_shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of the file's input, for a net that takes images of `image_shape`."""
        return (self.size, self.size) if self.size else tuple(image_shape[:2])

    def convention(self, weights: Preprocess) -> Preprocess:
        """What the file expects of its caller, given the convention of the weights."""
        from keras_resnet.signals.conventions import PREPROCESS  # brings NumPy, which `--help` does not need

        return {"raw": PREPROCESS["none"], "tf": PREPROCESS["tf"], "normalized": weights}[self.input]

    def file(self, folder: Path, stem: str) -> Path:
        """Its default name."""
        return folder / f"{stem}-{self.name.partition(':')[2].replace('@', '-')}{self.format.suffix}"


def artifact(
    name: str,
    *,
    quantizer: str | None = None,
    input: str | None = None,
    io: str | None = None,
    layout: str = "nhwc",
    features: tuple[int, ...] = (),
    cam: bool = False,
    keep_float: tuple[str, ...] = (),
    size: int | None = None,
    labels_file: str = "",
    plan_arena: bool = False,
) -> Artifact:
    """Parses `FORMAT:PRECISION` or `FORMAT:PRECISION@QUANTIZER`, and completes the choices.

    Args:
        name: of the artifact.
        quantizer: by default the first that the precision has.
        input: by default `"raw"` for int8 and int8x4, which run where nobody should have to normalise, else
            `"normalized"`.
        io: dtype of input and output; by default the first that the precision has.
        layout: `"nhwc"`, or for ONNX `"nchw"`.
        features: output strides.
        cam: class activation map.
        keep_float: layers that stay in float32.
        size: height and width of the file's input; by default the net's own.
        labels_file: name of the labels in a TFLite file's metadata; by default there are none.
        plan_arena: whether a TFLite file tells TFLite Micro where to put its tensors.

    Raises:
        InputError: unknown format, or a choice that it has not.

    Example:
        >>> artifact("tflite:int8", io="uint8").input
        'raw'
    """
    short, _, own = name.partition("@")
    quantizer = own or quantizer
    format_name, _, precision = short.partition(":")
    if format_name not in FORMATS:
        raise unknown_name("format", format_name, FORMATS)
    row = FORMATS[format_name]
    if precision not in row.offers:
        raise unknown_name(f"precision of {format_name}", precision, row.offers)
    offer = row.offers[precision]
    choices = {
        "quantizer": (quantizer, offer.quantizers),
        "input": (input, INPUTS),
        "io": (io, offer.io),
        "layout": (layout, row.layouts),
    }
    for what, (choice, known) in choices.items():
        if choice is not None and choice not in known:
            only = ", ".join(known) or "none: nothing is quantized by a choice of quantizers"
            raise InputError(f"{short}: {what} {choice!r} is not offered; expected {only}")
    quantizer = quantizer or (offer.quantizers or ("",))[0]
    if quantizer == "litert" and io == "uint8":
        raise InputError(f"{short}: the litert quantizer has no uint8; use --io int8 or --quantizer tensorflow")
    if keep_float and quantizer != "litert":
        raise InputError(f"{short}: layers stay in float32 with --quantizer litert only")
    if labels_file and format_name != "tflite":
        raise InputError(f"{short}: --metadata is for TFLite files; other formats carry their labels in the card")
    return Artifact(
        format=row,
        precision=precision,
        quantizer=quantizer,
        input=input or ("raw" if precision in ("int8", "int8x4") else "normalized"),
        io=io or offer.io[0],
        layout=layout,
        features=tuple(features),
        cam=cam,
        keep_float=tuple(keep_float),
        size=size,
        labels_file=labels_file,
        plan_arena=plan_arena,
    )


def format_of(path: Path) -> Format:
    """The format that a file's suffix names.

    Raises:
        InputError: none.
    """
    for row in FORMATS.values():
        if path.suffix == row.suffix:
            return row
    raise InputError(f"{path}: expected a file that ends in {' or '.join(row.suffix for row in FORMATS.values())}")


def all_artifacts(quantizers: tuple[str, ...] = ("tensorflow",)) -> list[str]:
    """Names of every format in every precision that these quantizers make."""
    names = []
    for row in FORMATS.values():
        for precision, offer in row.offers.items():
            known = [quantizer for quantizer in quantizers if quantizer in offer.quantizers]
            names += [artifact(f"{row.name}:{precision}@{quantizer}").name for quantizer in known]
            names += [] if offer.quantizers else [f"{row.name}:{precision}"]
    return names
