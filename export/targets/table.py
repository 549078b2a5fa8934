"""The table of targets: a place where models run is a row here and a module of this package."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from export.formats.artifacts import LABELS, Artifact, artifact
from export.formats.table import FORMATS
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.signals.fits import FITS
from keras_resnet.tasks.table import DEFAULT

_FLOAT = ("float32",)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A contract, and who checks it.

    Attributes:
        name: value of `--place`.
        summary: what the place is, for people.
        format: row of `FORMATS`.
        io: dtypes of input and output by precision, the default ones first.
        inputs: conventions that the place can follow, the default first.
        module: name of a module of this package.
        tasks: rows of `tasks.TASKS` that the place's API has.
        forms: form of the file by task, where that is not the model's own outputs.
        size: height and width that the place hands over, None for the net's own.
        labels_file: name of the labels in the file's TFLite metadata.
        plan_arena: whether the file tells TFLite Micro where to put its tensors.
        checked_by: what runs the file, in words.
        fits: how the place's program fills the input with a picture, some of `signals.fits.FITS`.
        options: options of the command that only this target understands.
        place: folder in the bundle for the file and its description.
    """

    name: str
    summary: str
    format: str
    io: Mapping[str, Sequence[str]]
    checked_by: str
    module: str
    tasks: Sequence[str] = (DEFAULT,)
    forms: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[str] = ("raw",)
    size: int | None = None
    labels_file: str = ""
    plan_arena: bool = False
    fits: Sequence[str] = ("crop",)
    options: Sequence[str] = ()
    place: str = ""

    @property
    def code(self) -> ModuleType:
        """The module."""
        return importlib.import_module(f"export.targets.{self.module}")

    def artifact(
        self,
        precision: str | None = None,
        *,
        io: str | None = None,
        input: str | None = None,
        quantizer: str | None = None,
    ) -> Artifact:
        """The file that goes there.

        Args:
            precision: row of `PRECISIONS`; by default the target's first.
            io: dtype of input and output; by default the precision's first here.
            input: one of `INPUTS`; by default the target's first.
            quantizer: program that quantizes; by default the precision's first.

        Raises:
            InputError: the contract does not have it; the message names what would do.
        """
        precision = precision or next(iter(self.io))
        if precision not in FORMATS[self.format].offers:
            raise unknown_name(f"precision of {self.format}", precision, self.io)
        if precision not in self.io:
            raise InputError(f"{self.name} does not run {precision}: use --precision {' or '.join(self.io)}")
        for what, choice, known in (("io", io, self.io[precision]), ("input", input, self.inputs)):
            if choice is not None and choice not in known:
                raise InputError(
                    f"{self.name} does not take --{what} {choice} at {precision}: use --{what} {' or '.join(known)}"
                )
        return artifact(
            f"{self.format}:{precision}",
            io=io or self.io[precision][0],
            input=input or self.inputs[0],
            quantizer=quantizer,
            size=self.size,
            labels_file=self.labels_file,
            plan_arena=self.plan_arena,
        )


TARGETS: dict[str, Target] = {
    row.name: row
    for row in (
        Target(
            name="mediapipe",
            fits=FITS,
            summary="MediaPipe Tasks' ImageClassifier, ImageSegmenter or ObjectDetector (Android, iOS, web, Python)",
            format="tflite",
            io={"int8": ("uint8", "float32"), "float32": _FLOAT, "float16": _FLOAT, "dynamic_int8": _FLOAT},
            labels_file=LABELS,
            checked_by="MediaPipe's task itself",
            module="mediapipe",
            tasks=(DEFAULT, "multilabel", "segmentation", "detection"),
            forms={"segmentation": "probabilities", "detection": "nms"},
        ),
        Target(
            name="litert-sample",
            summary="Google's LiteRT image classification sample for Android, unchanged",
            format="tflite",
            io={"float32": _FLOAT, "float16": _FLOAT, "dynamic_int8": _FLOAT, "int8": _FLOAT},
            inputs=("tf",),
            size=224,  # hard-coded there
            labels_file="labels_without_background.txt",
            checked_by="the sample's steps, replayed",
            module="litert_sample",
        ),
        Target(
            name="tflm",
            fits=FITS,
            summary="TensorFlow Lite for Microcontrollers",
            format="tflite",
            io={"int8": ("int8",), "int8x4": ("int8",)},
            inputs=("raw", "normalized"),
            checked_by="TFLite Micro itself; the C++ compiler",
            module="tflm",
            tasks=(DEFAULT, "segmentation", "localization"),
            forms={"segmentation": "logits"},  # a map no larger than the decoder's; model_io.c resizes it
            plan_arena=True,
            options=("flash", "ram", "tflm_tree"),
        ),
        Target(
            name="android",
            summary="an Android app with LiteRT's CompiledModel (GPU, CPU), ready for Android Studio",
            format="tflite",
            io={
                "float32": _FLOAT,
                "float16": _FLOAT,
                "dynamic_int8": _FLOAT,
                "int8": ("int8", "float32"),
            },
            inputs=("raw", "normalized"),
            checked_by="LiteRT on an emulated arm64 processor; the app's own Kotlin on a JVM",
            module="android",
            tasks=(DEFAULT, "segmentation", "detection"),
            # The exporter's own decoder, which is verified, and not another one in Kotlin; the app suppresses.
            forms={"segmentation": "probabilities", "detection": "decoded"},
            fits=FITS,
            place="app/src/main/assets/model",
        ),
        Target(
            name="onnxruntime",
            fits=FITS,
            summary="a server or desktop with ONNX Runtime",
            format="onnx",
            io={precision: _FLOAT for precision in ("float32", "int8", "dynamic_int8", "float16")},
            inputs=("raw", "normalized"),
            checked_by="its own classify.py, segment.py, detect.py or locate.py in a fresh process",
            module="onnxruntime",
            tasks=(DEFAULT, "multilabel", "regression", "segmentation", "detection", "localization"),
            forms={"segmentation": "classes", "detection": "decoded"},
        ),
        Target(
            name="onnxruntime-web",
            summary="a web page with ONNX Runtime Web",
            format="onnx",
            io={precision: _FLOAT for precision in ("float32", "int8", "dynamic_int8", "float16")},
            inputs=("raw", "normalized"),
            checked_by="headless Chromium",
            module="web",
            tasks=(DEFAULT, "segmentation", "detection"),
            forms={"segmentation": "classes", "detection": "decoded"},
            fits=FITS,
        ),
        Target(
            name="litert-web",
            summary="a web page with LiteRT.js",
            format="tflite",
            io={"float32": _FLOAT, "float16": _FLOAT, "dynamic_int8": _FLOAT, "int8": _FLOAT},
            inputs=("raw", "normalized"),
            checked_by="headless Chromium",
            module="web",
            tasks=(DEFAULT, "segmentation", "detection"),
            forms={"segmentation": "probabilities", "detection": "decoded"},  # float32, as the contract wants it
            fits=FITS,
        ),
    )
}


def get_target(name: str) -> Target:
    """A row by its name.

    Raises:
        InputError: there is none; the nearest names are in the message.
    """
    if name not in TARGETS:
        raise unknown_name("target", name, TARGETS)
    return TARGETS[name]
