"""C sources for TensorFlow Lite Micro: the file as an array, its operators, how pixels go in and answers come out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from export import memory
from export.proof import golden
from export.targets import description
from export.targets.bundle import Bundle
from export.targets.tflm_tasks import ANSWERS
from keras_resnet import untrusted
from keras_resnet.runtime.tflite import TFLiteRunner

# Kernels of the tflite-micro wheel (2026-10) that a net could need, and the resolver's methods for them.
OPERATORS = {
    "ABS": "Abs",
    "ADD": "Add",
    "ADD_N": "AddN",
    "ARG_MAX": "ArgMax",
    "AVERAGE_POOL_2D": "AveragePool2D",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNd",
    "BROADCAST_TO": "BroadcastTo",
    "CAST": "Cast",
    "CONCATENATION": "Concatenation",
    "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "DEPTH_TO_SPACE": "DepthToSpace",
    "DEQUANTIZE": "Dequantize",
    "DIV": "Div",
    "ELU": "Elu",
    "EXP": "Exp",
    "EXPAND_DIMS": "ExpandDims",
    "FULLY_CONNECTED": "FullyConnected",
    "GATHER": "Gather",
    "HARD_SWISH": "HardSwish",
    "L2_NORMALIZATION": "L2Normalization",
    "LEAKY_RELU": "LeakyRelu",
    "LOGISTIC": "Logistic",
    "LOG_SOFTMAX": "LogSoftmax",
    "MAXIMUM": "Maximum",
    "MAX_POOL_2D": "MaxPool2D",
    "MEAN": "Mean",
    "MINIMUM": "Minimum",
    "MIRROR_PAD": "MirrorPad",
    "MUL": "Mul",
    "NEG": "Neg",
    "PACK": "Pack",
    "PAD": "Pad",
    "PADV2": "PadV2",
    "PRELU": "Prelu",
    "QUANTIZE": "Quantize",
    "REDUCE_MAX": "ReduceMax",
    "RELU": "Relu",
    "RELU6": "Relu6",
    "RESHAPE": "Reshape",
    "RESIZE_BILINEAR": "ResizeBilinear",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighbor",
    "RSQRT": "Rsqrt",
    "SHAPE": "Shape",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SPACE_TO_BATCH_ND": "SpaceToBatchNd",
    "SPACE_TO_DEPTH": "SpaceToDepth",
    "SPLIT": "Split",
    "SPLIT_V": "SplitV",
    "SQRT": "Sqrt",
    "SQUARE": "Square",
    "SQUARED_DIFFERENCE": "SquaredDifference",
    "SQUEEZE": "Squeeze",
    "STRIDED_SLICE": "StridedSlice",
    "SUB": "Sub",
    "SUM": "Sum",
    "TANH": "Tanh",
    "TRANSPOSE": "Transpose",
    "TRANSPOSE_CONV": "TransposeConv",
}
_HERE = Path(__file__).with_name("tflm_files")
_MARGIN = 1024  # added to the arena that the example reserves


def write(
    bundle: Bundle,
    operators: Iterable[str],
    found: memory.Fit,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
) -> None:
    """Writes the sources.

    Args:
        bundle: folder to complete.
        operators: operators of the file, keys of `OPERATORS`.
        found: flash and arena of the file.
        arrays: golden vectors.
        about: what they say of themselves.
    """
    words = {
        "file": bundle.file.name,
        "size": str(bundle.file.stat().st_size),
        "bytes": rows(np.frombuffer(bundle.file.read_bytes(), np.uint8)),
        **_of_input(bundle.model["input"]),
        **_of_outputs(bundle, arrays, about),
        "operators": "\n".join(
            f"  if (resolver.Add{OPERATORS[name]}() != kTfLiteOk) return kTfLiteError;" for name in sorted(operators)
        ),
        "operator_count": str(len(list(operators))),
        "arena": f"{found.arena + _MARGIN}",
        "planned": f"{found.activations:,} bytes of activations, {found.structures:,} of structures",
        "engine": str(about["engine"]),
    }
    task = bundle.task  # what outputs mean is the task's
    parts = {"answer_h": f"answer_{task}.h", "answer_c": f"answer_{task}.c", "show": f"show_{ANSWERS[task].show}"}
    for part, name in parts.items():
        text = (_HERE / f"{name}.part").read_text(encoding="utf-8")
        words[part] = Template(text).substitute(words).strip()
    for template in sorted(_HERE.iterdir()):
        if template.suffix == ".in":
            bundle.add(template.stem, Template(template.read_text(encoding="utf-8")).substitute(words))
        elif template.suffix != ".part":
            shutil.copyfile(template, bundle.folder / template.name)


def _of_input(image: Mapping[str, Any]) -> dict[str, str]:
    """Words of the templates about the input tensor."""
    return {
        "height": str(image["height"]),
        "width": str(image["width"]),
        "input_scale": _real(image["scale"]),
        "input_zero": str(image["zero_point"]),
        "mean": ", ".join(_real(value) for value in image["mean"]),
        "std": ", ".join(_real(value) for value in image["std"]),
        "order": "2, 1, 0" if image["channels"] == "bgr" else "0, 1, 2",
    }


def _of_outputs(bundle: Bundle, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> dict[str, str]:
    """Words of the templates about the output tensors, what they answer, and the golden vectors."""
    row, outputs = ANSWERS[bundle.task], tensors(bundle)
    names = list(outputs)
    labels = description.numbers(bundle.runner.card, outputs[row.classes or names[0]]["shape"][-1]).names
    count = 4 if bundle.model["input"]["height"] <= 64 else 1
    raw = [arrays[f"{name}_raw"][:count] for name in names]
    numbers = np.concatenate([values.reshape(len(values), -1) for values in raw], axis=1)
    known = row.known(bundle, {name: arrays[name][:count] for name in names})
    steps = [golden.tolerance(about, name) / outputs[name]["scale"] for name in names]
    return {
        "classes": str(len(labels)),
        "labels": ",\n".join(f"    {untrusted.c_literal(label)}" for label in labels),
        "tensors": str(len(names)),
        "places": ", ".join(f"MODEL_TENSOR_{_word(name).upper()} = {place}" for place, name in enumerate(names)),
        "sizes": ", ".join(str(values[0].size) for values in raw),
        "outputs": str(numbers.shape[1]),
        **_scales(outputs),
        "map_height": str(raw[0].shape[1]),
        "map_width": str(raw[0].shape[-2]),
        "answers": str(known.shape[1]),
        "answered": row.words,
        "number": row.number,
        "apart": _real(row.tolerance),
        "count": str(count),
        "pixels": rows(arrays["pixels"][:count].ravel()),
        "inputs": rows(arrays["input"][:count].ravel()),
        "results": rows(numbers.ravel()),
        "known": rows(known.ravel(), whole=row.number != "float"),
        "tolerances": ", ".join(str(max(1, round(each))) for each in steps),
    }


def tensors(bundle: Bundle) -> dict[str, Mapping[str, Any]]:
    """What is known of the output tensors, by name, in the order that the file has them and TFLite Micro numbers them.

    Args:
        bundle: folder with a TFLite file.
    """
    known, only = bundle.model.get("outputs", {}), bundle.model["output"]
    order = bundle.runner.details if isinstance(bundle.runner, TFLiteRunner) else [only["name"]]
    return {name: known.get(name, only) for name in order}


def _word(name: str) -> str:
    """A name as a part of names in C."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def _scales(outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Scale and zero point of every output tensor; `output_scale` where there is one alone."""
    named = {_word(name): each for name, each in outputs.items()}
    if len(outputs) == 1:
        named["output"] = next(iter(outputs.values()))
    scales = {f"{name}_scale": _real(each["scale"]) for name, each in named.items()}
    return scales | {f"{name}_zero": str(each["zero_point"]) for name, each in named.items()}


def rows(values: np.ndarray, whole: bool = True) -> str:
    """Numbers for a C array, 24 to a line.

    Args:
        values: numbers `(n,)`.
        whole: whether they are integers.
    """
    text = [str(int(value)) if whole else _real(value) for value in values]
    return ",\n".join("    " + ", ".join(text[i : i + 24]) for i in range(0, len(text), 24))


def _real(value: float) -> str:
    return f"{np.float32(value)!r}".removeprefix("np.float32(").removesuffix(")") + "f"
