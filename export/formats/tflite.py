"""TFLite (LiteRT): `convert`, `describe`, and `keras-resnet export tflite`."""

from __future__ import annotations

import hashlib
import re
import types
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from export.formats import activations, floats, litert
from export.formats.artifacts import Artifact
from export.formats.precisions import PRECISIONS
from export.formats.table import Contents
from keras_resnet.card import ModelCard, append

# Operators that compute shapes at run time: the file would need a resizing runtime.
_DYNAMIC = {"SHAPE", "PACK", "STRIDED_SLICE", "FILL", "BROADCAST_TO", "BROADCAST_ARGS", "WHERE", "WHILE", "IF"}
_CONCRETE_FUNCTION = 3  # in the metadata: what a file was made from


def convert(model, artifact: Artifact, samples: np.ndarray | None, path: Path) -> None:
    """Writes a TFLite file with a static batch of one.

    Runs in a process of its own (`worker.py`): the converter leaks memory and floods stdout.

    Args:
        model: result of `graph.prepare`; some activations are replaced in it.
        artifact: precision, quantizer, dtype of input and output.
        samples: float32 `(n, ..., channels)` as the network takes them, for precisions that are calibrated; None also
            for a network with ranges of its own.
        path: file to write.

    Raises:
        ValueError: a network with ranges leaves something in float.
    """
    import tensorflow as tf

    activations.rewrite(model)
    activations.simplify(model)
    model, tail = floats.parted(model) if artifact.quantizer else (model, None)
    serve, example, names = _served(model, artifact)
    # Not by way of a SavedModel, which takes as long as the conversion; and without `model` as second argument, which
    # would leave the weights out of the file.
    converter = _of_constants(serve, example)
    if converter is None:  # a layer keeps weights where Keras does not know them: TensorFlow freezes them
        function = tf.function(serve).get_concrete_function(example)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if artifact.quantizer == "tensorflow":
        _set_precision(converter, artifact, samples, in_floats=tail is not None)
    content = _with_plain_names(converter.convert(), model, names)
    if artifact.quantizer == "litert":
        content = litert.quantized(content, artifact, samples, in_floats=tail is not None)
    if artifact.precision == "int8" and samples is None:
        _refuse_floats(content)
    if tail is not None:
        content = floats.joined(content, _in_floats(tail), sorted(tail.input), sorted(tail.output))
    path.write_bytes(content)


def _in_floats(tail) -> bytes:
    """The part of a net that stays in float32, as a file."""
    import tensorflow as tf

    names = sorted(tail.input)
    examples = [tf.TensorSpec((1, *tail.input[name].shape[1:]), tf.float32, name=name) for name in names]
    converter = _of_constants(lambda *values: tail(dict(zip(names, values, strict=True)), training=False), *examples)
    return converter.convert()


def _served(model, artifact: Artifact):
    """The network as a function of TensorFlow, its weights as constants; what it takes; the names of what it gives."""
    import keras
    import tensorflow as tf

    in_integers = artifact.quantizer == "tensorflow" and artifact.precision == "int8"
    limits = artifact.known_range if in_integers else None

    def constant(weight):
        with tf.init_scope():
            value = weight.value.numpy()
        return tf.constant(value)

    def serve(x):
        if limits:  # pixels are 0..255 whatever the samples hold: a scale of 1
            x = tf.quantization.fake_quant_with_min_max_args(x, *limits)
        with keras.StatelessScope(state_mapping=[(weight, constant(weight)) for weight in model.weights]):
            return dict(model(x, training=False))

    # A static batch: from_keras_model leaves it open, and Flatten or Reshape become run-time shape arithmetic.
    example = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name=model.inputs[0].name)
    return serve, example, sorted(model.output)


def _of_constants(serve, *examples):
    """A converter that takes a function as it is; None for one that has variables.

    TensorFlow's own way makes a function of the graph and looks for variables to freeze all the same: half of the time
    of a conversion, and seven copies of the weights. (Should a release not ask the method that is replaced here, it
    fails at the first test.)

    Args:
        serve: function of tensors, which gives a dict of tensors.
        *examples: what it takes.
    """
    import tensorflow as tf

    graph = tf.__internal__.FuncGraph("serve")
    with graph.as_default():
        starts = [tf.compat.v1.placeholder(each.dtype, each.shape, each.name) for each in examples]
        convert = tf.__internal__.autograph  # layers of a person's own may have an `if` of a tensor
        outputs = convert.tf_convert(serve, convert.control_status_ctx(), user_requested=True)(*starts)
        ends = [tf.identity(outputs[name]) for name in sorted(outputs)]
    if graph.captures:
        return None
    traced = types.SimpleNamespace(graph=graph)
    converter = tf.lite.TFLiteConverter([traced])
    converter._metadata.environment.modelType = _CONCRETE_FUNCTION
    converter._freeze_concrete_function = lambda: (graph.as_graph_def(), starts, ends, traced)
    return converter


def _set_precision(converter, artifact: Artifact, samples: np.ndarray | None, in_floats: bool) -> None:
    """TensorFlow's quantizer; `in_floats`: outputs are float32 although the input is not."""
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if artifact.precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    operators = PRECISIONS[artifact.precision].operators
    if not operators:
        return
    if samples is not None or artifact.precision != "int8":  # without samples TensorFlow refuses to promise int8
        measured = () if samples is None else samples
        converter.representative_dataset = lambda: ([example[None]] for example in measured)
        converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, operators)]
    converter.inference_input_type = tf.dtypes.as_dtype(artifact.io)
    converter.inference_output_type = tf.float32 if in_floats else converter.inference_input_type


def _refuse_floats(content: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    lite = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = lite.subgraphs[0]
    edges = {*graph.inputs, *graph.outputs}  # these may be float32 by choice
    floats = [
        tensor.name.decode()
        for index, tensor in enumerate(graph.tensors)
        if tensor.type == schema.TensorType.FLOAT32 and index not in edges
    ]
    if floats:
        raise ValueError(f"the ranges of the network do not cover {', '.join(floats[:3])}: these stayed in float32")


def _with_plain_names(content: bytes, model, outputs: Sequence[str]) -> bytes:
    """Adds the signature, and names every result like the Keras layer that makes it.

    The converter's own names list all that was fused, 150 characters each: 5 kB in the smallest nets, and nothing that
    an error report could use.

    Args:
        content: content of a TFLite file.
        model: Keras model that it was made from.
        outputs: names, in the file's order.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    lite = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = lite.subgraphs[0]
    own = {graph.inputs[0]: model.inputs[0].name, **dict(zip(graph.outputs, outputs, strict=True))}
    lite.signatureDefs = [_signature(graph, own)]
    layers = {name: number for number, name in enumerate(_layer_names(model))}
    taken: Counter[str] = Counter()
    found = {i: _layers_in(graph.tensors[i].name.decode(), layers) for op in graph.operators for i in op.outputs}
    last = {layer: index for index, several in found.items() for layer in several}  # a norm may be MUL and then ADD
    for operator in graph.operators:
        for index in operator.outputs:
            complete = [layer for layer in found[index] if last[layer] == index]
            part = f"{min(found[index], default='t')}/part"
            name = max(complete, key=lambda layer: layers[layer]) if complete else part
            taken[name] += 1
            graph.tensors[index].name = (name if taken[name] == 1 else f"{name}_{taken[name]}").encode()
        result = graph.tensors[operator.outputs[0]].name.decode()
        for position, index in enumerate(operator.inputs):
            if index >= 0 and lite.buffers[graph.tensors[index].buffer].data is not None and index not in own:
                graph.tensors[index].name = f"{result}/{position}".encode()
    for index, name in own.items():
        graph.tensors[index].name = name.encode()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(lite))


def _signature(graph, names: Mapping[int, str]):
    from ai_edge_litert import schema_py_generated as schema

    def entries(indices):
        found = []
        for index in indices:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = names[index].encode(), int(index)
            found.append(entry)
        return found

    signature = schema.SignatureDefT()
    signature.inputs, signature.outputs = entries(graph.inputs), entries(graph.outputs)
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    return signature


def _layer_names(model) -> list[str]:
    """In the order of computation, those of nested models in their place."""
    names: list[str] = []
    for layer in model.layers:
        names += _layer_names(layer) if hasattr(layer, "layers") else [layer.name]
    return names


def _layers_in(name: str, layers) -> set[str]:
    """Keras' layers in a tensor's name: TensorFlow makes `a/conv1_relu_1/Relu;a/conv1_bn_1/...` of `conv1_relu`."""
    parts = {part for one in name.split(";") for part in one.split("/")}
    return {found for part in parts for found in (part, re.sub(r"_\d+$", "", part)) if found in layers}


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
        path: TFLite file.

    Returns:
        Its contents; operators outside TFLite's own (Flex, custom), and run-time shapes, are `forbidden`.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    lite = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    graph = lite.subgraphs[0]
    names = [_name(lite.operatorCodes[op.opcodeIndex], schema) for op in graph.operators]
    operators = Counter(names)

    def is_factor(index: int) -> bool:
        """A constant per channel, and of nothing else."""
        tensor = graph.tensors[index]
        several = tensor.shape is not None and 1 < np.prod(tensor.shape) == max(tensor.shape)
        return several and lite.buffers[tensor.buffer].data is not None

    forbidden = [name for name in operators if name in _DYNAMIC or name.startswith(("Flex", "CUSTOM"))]
    open_shapes = any(
        -1 in (tensor.shapeSignature if tensor.shapeSignature is not None else ()) for tensor in graph.tensors
    )
    scaled = [
        op for name, op in zip(names, graph.operators, strict=True) if name == "MUL" and any(map(is_factor, op.inputs))
    ]
    return Contents(
        operators,
        _precision(graph, names, lite.buffers, schema.TensorType),
        tuple(forbidden + ["open shape"] * open_shapes),
        unfolded=len(scaled),
        scales=dict(filter(None, (_scale(graph.tensors[i]) for i in (*graph.inputs, *graph.outputs)))),
    )


def _precision(graph, names: Sequence[str], buffers, kinds) -> str:
    """By the dtypes of what is computed and of what is stored; numbers of classes, cast to uint8, are neither."""

    def stored(index: int):
        """A constant's dtype, if it has two dimensions or more: biases have others."""
        tensor = graph.tensors[index]
        shape = () if tensor.shape is None else tensor.shape
        return tensor.type if buffers[tensor.buffer].data is not None and len(shape) > 1 else None

    constants = {stored(index) for index in range(len(graph.tensors))}
    computing = [op for name, op in zip(names, graph.operators, strict=True) if name != "CAST"]
    computed = {graph.tensors[i].type for op in computing for i in op.outputs}
    if kinds.INT16 in computed:
        return "int16x8"
    if computed & {kinds.INT8, kinds.UINT8}:
        return "int8x4" if kinds.INT4 in constants else "int8"
    if kinds.FLOAT16 in constants:
        return "float16"
    if kinds.INT4 in constants:
        return "weight_only_int4"
    if kinds.INT8 not in constants:
        return "float32"
    unpacked = any(len(op.inputs) == 1 and stored(op.inputs[0]) == kinds.INT8 for op in graph.operators)  # DEQUANTIZE
    return "weight_only_int8" if unpacked else "dynamic_int8"


def _scale(tensor) -> tuple[str, list[float]] | None:
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return None
    return tensor.name.decode(), [float(quantization.scale[0]), int(quantization.zeroPoint[0])]


def _name(code, schema) -> str:
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if code.customCode is not None:
        custom = code.customCode.decode()
        return custom if custom.startswith("Flex") else f"CUSTOM {custom}"
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    return names[builtin]
