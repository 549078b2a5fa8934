"""C sources for TensorFlow Lite Micro: the file as an array, its operators, how pixels go in and answers come out."""

from __future__ import annotations

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
from keras_resnet import untrusted
from keras_resnet.tasks.segmentation import answers
from keras_resnet.tasks.table import DEFAULT

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
    image, output = bundle.model["input"], bundle.model["output"]
    labels = description.numbers(bundle.runner.card, output["shape"][-1]).names
    count = 4 if image["height"] <= 64 else 1
    raw, known = arrays[f"{output['name']}_raw"][:count], _answers(bundle, arrays[output["name"]][:count])
    words = {
        "file": bundle.file.name,
        "size": str(bundle.file.stat().st_size),
        "bytes": rows(np.frombuffer(bundle.file.read_bytes(), np.uint8)),
        "height": str(image["height"]),
        "width": str(image["width"]),
        "classes": str(len(labels)),
        "outputs": str(raw[0].size),
        "answers": str(known[0].size),
        "map_height": str(raw.shape[1]),
        "map_width": str(raw.shape[-2]),
        "input_scale": _real(image["scale"]),
        "input_zero": str(image["zero_point"]),
        "output_scale": _real(output["scale"]),
        "output_zero": str(output["zero_point"]),
        "mean": ", ".join(_real(value) for value in image["mean"]),
        "std": ", ".join(_real(value) for value in image["std"]),
        "order": "2, 1, 0" if image["channels"] == "bgr" else "0, 1, 2",
        "labels": ",\n".join(f"    {untrusted.c_literal(label)}" for label in labels),
        "operators": "\n".join(
            f"  if (resolver.Add{OPERATORS[name]}() != kTfLiteOk) return kTfLiteError;" for name in sorted(operators)
        ),
        "operator_count": str(len(list(operators))),
        "arena": f"{found.arena + _MARGIN}",
        "planned": f"{found.activations:,} bytes of activations, {found.structures:,} of structures",
        "count": str(count),
        "pixels": rows(arrays["pixels"][:count].ravel()),
        "inputs": rows(arrays["input"][:count].ravel()),
        "results": rows(raw.ravel()),
        "known": rows(known.ravel()),
        "tolerance": str(max(1, round(golden.tolerance(about, output["name"]) / output["scale"]))),
        "engine": str(about["engine"]),
    }
    for suffix in ("h", "c"):  # what the output means is the task's
        part = (_HERE / f"answer_{bundle.task}.{suffix}.part").read_text(encoding="utf-8")
        words[f"answer_{suffix}"] = Template(part).substitute(words).strip()
    for template in sorted(_HERE.iterdir()):
        if template.suffix == ".in":
            bundle.add(template.stem, Template(template.read_text(encoding="utf-8")).substitute(words))
        elif template.suffix != ".part":
            shutil.copyfile(template, bundle.folder / template.name)


def _answers(bundle: Bundle, outputs: np.ndarray) -> np.ndarray:
    """What the outputs say, `(n, answers)`: the class of an image, or of each of its pixels."""
    if bundle.task == DEFAULT:
        return outputs.argmax(axis=-1)[:, None]
    found = answers.decode({bundle.runner.output.name: outputs}, bundle.runner.card)
    return np.stack([each.classes.ravel() for each in found])


def rows(values: np.ndarray) -> str:
    """Numbers for a C array, 24 to a line.

    Args:
        values: integers `(n,)`.
    """
    text = [str(int(value)) for value in values]
    return ",\n".join("    " + ", ".join(text[i : i + 24]) for i in range(0, len(text), 24))


def _real(value: float) -> str:
    return f"{np.float32(value)!r}".removeprefix("np.float32(").removesuffix(")") + "f"
