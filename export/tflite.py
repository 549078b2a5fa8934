"""TFLite (LiteRT): `convert`, `describe`, and `python -m export.tflite`."""

from __future__ import annotations

import hashlib
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from export.formats import INPUT, OUTPUT, Contents
from keras_resnet.card import ModelCard, append

# Operators that compute shapes at run time: the file would need a resizing runtime.
_DYNAMIC = {"SHAPE", "PACK", "STRIDED_SLICE", "FILL", "BROADCAST_TO", "BROADCAST_ARGS", "WHERE", "WHILE", "IF"}


def convert(model, precision: str, samples: np.ndarray | None, path: Path) -> None:
    """Writes a TFLite file with a static batch of one, `image` in and `probabilities` out.

    Runs in a process of its own (`worker.py`): the converter leaks memory and floods stdout.

    Args:
        model: a float32 Keras model with one input of known size.
        precision: `float32`; `float16` and `dynamic_int8` (weights only); `int8` (weights, activations, input and
            output); `int16x8` (int16 activations, input and output; int8 weights; for accelerators).
        samples: float32 `(n, H, W, C)`, preprocessed, for `int8` and `int16x8`.
        path: of the file.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as saved_model:
        _write_saved_model(model, saved_model)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
        _set_precision(converter, precision, samples)
        content = converter.convert()
    path.write_bytes(_with_plain_names(content))


def _write_saved_model(model, folder: str) -> None:
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)
    # A static batch: from_keras_model leaves it open, and Flatten or Reshape become run-time shape arithmetic.
    signature = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name=INPUT)
    archive.add_endpoint("serving_default", lambda image: {OUTPUT: model(image, training=False)}, [signature])
    archive.write_out(folder, verbose=False)


def _set_precision(converter, precision: str, samples: np.ndarray | None) -> None:
    import tensorflow as tf

    if precision == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision in ("int8", "int16x8"):
        converter.representative_dataset = lambda: ([image[None]] for image in samples)
        operators = {
            "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            "int16x8": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        }
        converter.target_spec.supported_ops = [operators[precision]]
        io = {"int8": tf.int8, "int16x8": tf.int16}[precision]
        converter.inference_input_type = converter.inference_output_type = io


def _with_plain_names(content: bytes) -> bytes:
    """Names the tensors themselves like the signature: `image`, not `serving_default_image:0`."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].name = INPUT.encode()
    graph.tensors[graph.outputs[0]].name = OUTPUT.encode()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def add_card(path: Path, card: ModelCard) -> None:
    """Appends the card; must come last, because tools that rewrite a TFLite file drop it."""
    append(path, card)


def fingerprint(path: Path) -> str:
    """SHA-256 of the network: the file without what is appended to it."""
    content = path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            content = content[: min((member.header_offset for member in archive.infolist()), default=len(content))]
    return hashlib.sha256(content).hexdigest()


def describe(path: Path) -> Contents:
    """Counts the operators of a file that an engine has accepted, and recognises its precision.

    Args:
        path: of a TFLite file.

    Returns:
        Its contents; operators outside TFLite's own (Flex, custom), and run-time shapes, are `forbidden`.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(path.read_bytes()))
    graph = model.subgraphs[0]
    operators = Counter(_name(model.operatorCodes[op.opcodeIndex], schema) for op in graph.operators)
    dtypes = {graph.tensors[i].type for i in (*graph.inputs, *graph.outputs)}
    kinds = schema.TensorType
    stored = {t.type for t in graph.tensors if model.buffers[t.buffer].data is not None and t.shape is not None}
    if kinds.INT16 in dtypes:
        precision = "int16x8"
    elif dtypes & {kinds.INT8, kinds.UINT8}:
        precision = "int8"
    elif kinds.FLOAT16 in stored:
        precision = "float16"
    else:
        precision = "dynamic_int8" if kinds.INT8 in stored else "float32"
    forbidden = [name for name in operators if name in _DYNAMIC or name.startswith(("Flex", "CUSTOM"))]
    open_shapes = any(
        -1 in (tensor.shapeSignature if tensor.shapeSignature is not None else ()) for tensor in graph.tensors
    )
    return Contents(operators, precision, tuple(forbidden + ["open shape"] * open_shapes))


def _name(code, schema) -> str:
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if code.customCode is not None:
        custom = code.customCode.decode()
        return custom if custom.startswith("Flex") else f"CUSTOM {custom}"
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    return names[builtin]


if __name__ == "__main__":
    from export.cli import main_of_format

    sys.exit(main_of_format("tflite"))
