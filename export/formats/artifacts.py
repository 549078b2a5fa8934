"""Files to be made: `artifact()` parses a name, checks the choices and fills in what was left open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from export.formats.precisions import PRECISIONS, Offer
from export.formats.table import FORMATS, Format
from keras_resnet.errors import InputError, unknown_name

if TYPE_CHECKING:
    from keras_resnet.signals.conventions import Preprocess

CAM = "cam"  # name of the class activation map
SAMPLES = 200  # representative samples, unless told otherwise
INPUTS = ("raw", "tf", "normalized")
LABELS = "labels.txt"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file to be made; `artifact()` checks the choices and fills in what was left open.

    Attributes:
        format: row of `FORMATS`.
        precision: name of an offer of the format.
        quantizer: program that quantizes; empty where nothing is quantized.
        input: `"raw"`: values of the signal (RGB 0..255), or `"tf"`: RGB -1..1, and the weights' preprocessing is in
            the graph; `"normalized"`: preprocessing is the caller's.
        io: dtype of input and output.
        layout: layout of the input, `"nhwc"` or `"nchw"`.
        features: output strides of the feature maps that become outputs `features_8`, ... too.
        cam: whether the class activation map `(n, h, w, classes)` becomes an output too.
        keep_float: layers that stay in float32 (`litert` quantizer).
        size: height and width of the file's input, which it resizes itself; None for the net's own.
        labels_file: name of the labels in a TFLite file's metadata; without it no metadata are written.
        plan_arena: whether a TFLite file tells TFLite Micro where to put its tensors (`memory.write_plan`).
        input_range: smallest and largest value of a raw input, known from its signal; None: to be measured.
        form: one of the task's forms (`Task.forms`); empty for the model's own outputs.
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
    input_range: tuple[float, float] | None = (0.0, 255.0)
    form: str = ""

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages of an extra that make and run the file, by the names that are imported."""
        quantizer = ("litert_quantizer",) if self.quantizer == "litert" else ()
        return (*self.format.packages, *quantizer, *(("flatbuffers",) if self.labels_file else ()))

    @property
    def offer(self) -> Offer:
        """Offer of the format in this precision."""
        return self.format.offers[self.precision]

    @property
    def calibrated(self) -> bool:
        """Whether ranges of activations are measured on representative samples."""
        return PRECISIONS[self.precision].calibrated

    @property
    def known_range(self) -> tuple[float, float] | None:
        """Range of the input where it is known before any calibration."""
        return self.input_range if self.input == "raw" else None

    @property
    def name(self) -> str:
        """Name as `--artifact` takes it, with `@litert` where that is not the default quantizer."""
        other = self.quantizer not in self.offer.quantizers[:1] and self.quantizer
        return f"{self.format.name}:{self.precision}{f'@{self.quantizer}' if other else ''}"

    @property
    def more_outputs(self) -> tuple[str, ...]:
        """Names of the outputs besides those of the task."""
        return (*([CAM] if self.cam else []), *(f"features_{stride}" for stride in self.features))

    def shape_of(self, example_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one example as the file takes it.

        Args:
            example_shape: shape that the net takes, channels last.
        """
        return (*[self.size] * (len(example_shape) - 1), example_shape[-1]) if self.size else tuple(example_shape)

    def convention(self, weights: Preprocess) -> Preprocess:
        """Input convention of the file.

        Args:
            weights: convention that the weights know.
        """
        from keras_resnet.signals.conventions import PREPROCESS  # brings NumPy, which `--help` does not need

        return {"raw": PREPROCESS["none"], "tf": PREPROCESS["tf"], "normalized": weights}[self.input]

    def file(self, folder: Path, stem: str) -> Path:
        """Default name.

        Args:
            folder: folder of the file.
            stem: name of the model.
        """
        kind = self.name.partition(":")[2].replace("@", "-")
        return folder / f"{stem}-{kind}{self.form and f'-{self.form}'}{self.format.suffix}"


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
    form: str = "",
) -> Artifact:
    """Parses `FORMAT:PRECISION` or `FORMAT:PRECISION@QUANTIZER`, and completes the choices.

    Args:
        name: name of the artifact.
        quantizer: program that quantizes; by default the first that the precision has.
        input: one of `INPUTS`; by default `"raw"` for int8 and int8x4, which run where nobody should have to
            normalise, else `"normalized"`.
        io: dtype of input and output; by default the first that the precision has.
        layout: `"nhwc"`, or for ONNX `"nchw"`.
        features: output strides of feature maps that become outputs too.
        cam: whether the class activation map becomes an output too.
        keep_float: names of layers that stay in float32.
        size: height and width of the file's input; by default the net's own.
        labels_file: name of the labels in a TFLite file's metadata; by default there are none.
        plan_arena: whether a TFLite file tells TFLite Micro where to put its tensors.
        form: one of the task's forms, like a segmentation's `"probabilities"`; empty for the model's own outputs.

    Raises:
        InputError: unknown format, or a choice that the format does not offer.

    Example:
        >>> artifact("tflite:int8", io="uint8").input
        'raw'
    """
    short, _, own = name.partition("@")
    row, precision = _parsed(short)
    offer = row.offers[precision]
    quantizer = own or quantizer
    _refuse(short, "quantizer", quantizer, offer.quantizers)
    _refuse(short, "input", input, INPUTS)
    _refuse(short, "io", io, offer.io)
    _refuse(short, "layout", layout, row.layouts)
    quantizer = quantizer or (offer.quantizers or ("",))[0]
    if quantizer == "litert" and io == "uint8":
        raise InputError(f"{short}: the litert quantizer has no uint8; use --io int8 or --quantizer tensorflow")
    if keep_float and quantizer != "litert":
        raise InputError(f"{short}: layers stay in float32 with --quantizer litert only")
    if labels_file and row.name != "tflite":
        raise InputError(f"{short}: --metadata is for TFLite files; other formats carry their labels in the card")
    return Artifact(
        format=row,
        precision=precision,
        quantizer=quantizer,
        input=input or ("raw" if PRECISIONS[precision].raw else "normalized"),
        io=io or offer.io[0],
        layout=layout,
        features=tuple(features),
        cam=cam,
        keep_float=tuple(keep_float),
        size=size,
        labels_file=labels_file,
        plan_arena=plan_arena,
        form=form,
    )


def _parsed(short: str) -> tuple[Format, str]:
    name, _, precision = short.partition(":")
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    if precision not in FORMATS[name].offers:
        raise unknown_name(f"precision of {name}", precision, FORMATS[name].offers)
    return FORMATS[name], precision


def _refuse(short: str, what: str, choice: str | None, known: Sequence[str]) -> None:
    if choice is not None and choice not in known:
        only = ", ".join(known) or "none: nothing is quantized by a choice of quantizers"
        raise InputError(f"{short}: {what} {choice!r} is not offered; expected {only}")


def all_artifacts(quantizers: tuple[str, ...] = ("tensorflow",)) -> list[str]:
    """Names of every format in every precision that these quantizers make."""
    names = []
    for row in FORMATS.values():
        for precision, offer in row.offers.items():
            known = [quantizer for quantizer in quantizers if quantizer in offer.quantizers]
            names += [artifact(f"{row.name}:{precision}@{quantizer}").name for quantizer in known]
            names += [] if offer.quantizers else [f"{row.name}:{precision}"]
    return names
