"""ONNX: `convert`, `describe`, and `keras-resnet export onnx`."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.formats import activations
from export.formats.artifacts import Artifact
from export.formats.table import Contents
from keras_resnet import extras
from keras_resnet.card import KEY, ModelCard
from keras_resnet.nets.graph import FLOAT

OPSET = 18  # the newest that tf2onnx 1.17 writes
_WEIGHTS = "weights"  # file of kernels


def convert(model, artifact: Artifact, samples: np.ndarray | None, path: Path) -> None:
    """Writes an ONNX file with an open batch.

    Args:
        model: result of `graph.prepare`.
        artifact: precision and layout of the input. `float16`: weights and arithmetic, input and output stay float32.
            `dynamic_int8`: weights, and activations with a range of their own for every batch. `int8`: QuantizeLinear /
            DequantizeLinear pairs, 8-bit weights per channel and unsigned 8-bit activations, which ONNX Runtime fuses
            on x86 (signed ones leave convolutions in float); input and output stay float32.
        samples: float32 `(n, ..., channels)` as the network takes them, for `int8`.
        path: file to write.
    """
    if samples is not None and artifact.layout == "nchw":
        samples = np.moveaxis(samples, -1, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        proto = _traced(model, artifact.layout, folder / _WEIGHTS)
        for value in (*proto.graph.input, *proto.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
        proto = _folded(proto, folder)
        _put_in_order(proto)  # the quantizers name what they add by it
        _WRITERS[artifact.precision](proto, samples, path, folder)


def _traced(model, layout: str, weights: Path):
    """What tf2onnx makes of a model whose kernels it never sees: it would keep a dozen copies of them.

    Args:
        model: result of `graph.prepare`.
        layout: layout of the input.
        weights: file to write, with the values of all kernels.

    Returns:
        `ModelProto` that refers to the file.
    """
    import keras
    import tensorflow as tf

    extras.silence()
    import tf2onnx

    activations.simplify(model)

    kernels = [variable for variable in model.weights if len(variable.shape) > 1]

    def network(x, *values):
        with keras.StatelessScope(state_mapping=list(zip(kernels, values, strict=True))):
            return dict(model(x, training=False))

    name = model.inputs[0].name
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=name)]
    signature += [tf.TensorSpec(each.shape, each.dtype, f"kernel_{i}") for i, each in enumerate(kernels)]
    first = {"inputs_as_nchw": [name]} if layout == "nchw" else {}
    # Keras has grouped convolutions in functions that XLA compiles, which are not inlined (tf2onnx#2099). Run eagerly
    # while the model is traced, they leave their operations in its graph.
    tf.config.run_functions_eagerly(True)
    try:
        function = tf.function(network, input_signature=signature)
        traced = function.get_concrete_function()
        proto, _ = tf2onnx.convert.from_function(
            function, input_signature=signature, opset=OPSET, custom_op_handlers=_HANDLERS, **first
        )
    finally:
        tf.config.run_functions_eagerly(False)
    # tf2onnx takes tensors from outside of the traced function for inputs as well; the other captures are variables.
    outside = [value for value in traced.captured_inputs if value.dtype != tf.resource]
    _keep_constants(proto.graph, [*(kernel.value for kernel in kernels), *outside], weights)
    _keep_to_opset(proto.graph)
    return proto


def _keep_constants(graph, values: Sequence, weights: Path) -> None:
    """Turns the inputs behind the first one into constants, whose values are in a file.

    Args:
        graph: graph of the model.
        values: tensor of each of these inputs.
        weights: file to write, in the folder where the model will be.
    """
    import onnx

    with weights.open("wb") as file:
        for entry, value in zip(list(graph.input)[1:], values, strict=True):
            array = value.numpy()
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            constant = onnx.TensorProto(name=entry.name, data_type=kind, dims=array.shape)
            constant.data_location = onnx.TensorProto.EXTERNAL
            for key, said in (("location", weights.name), ("offset", file.tell()), ("length", array.nbytes)):
                constant.external_data.add(key=key, value=str(said))
            array.tofile(file)
            graph.initializer.append(constant)
            graph.input.remove(entry)


def _keep_to_opset(graph) -> None:
    """Writes the nearest pixel as operators of today have it: tf2onnx takes a mode that is gone since opset 13."""
    for node in graph.node:
        modes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type == "Resize" and modes["coordinate_transformation_mode"].s == b"tf_half_pixel_for_nn":
            modes["coordinate_transformation_mode"].s = b"half_pixel"  # half a pixel less,
            modes["nearest_mode"].s = b"round_prefer_ceil"  # and the next whole number of that: the same pixel


def _folded(proto, folder: Path):
    """Computes what depends on constants alone, and folds batch normalisation into the kernels.

    Args:
        proto: `ModelProto` with constants in a file of the folder.
        folder: folder for more of them.

    Returns:
        `ModelProto` with its shapes, and with its constants in a file of the folder.
    """
    import onnx

    # `_traced` has silenced it (ORT_DISABLE_TELEMETRY, by `extras.silence`).
    import onnxruntime
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    raw, folded = folder / "raw.onnx", folder / "folded.onnx"
    raw.write_bytes(proto.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "folded.weights")
    options.log_severity_level = 3  # a file with optimizations for one processor is no news: these are for any
    onnxruntime.InferenceSession(str(raw), options, providers=["CPUExecutionProvider"])
    proto = onnx.shape_inference.infer_shapes(onnx.load(str(folded), load_external_data=False))
    add_pre_process_metadata(proto)  # quantizers ask for it
    return proto


def _less_one(kind: str, one_first: bool):
    """Handler that writes `1 - kind(x)`, or `kind(x) - 1`, for an operation that tf2onnx does not have."""

    def handler(ctx, node, name: str, args) -> None:
        (x,), dtype, shape = node.input, ctx.get_dtype(node.input[0]), ctx.get_shape(node.input[0])
        made = ctx.make_node(kind, [x], dtypes=[dtype], shapes=[shape]).output[0]
        one = ctx.make_const(f"{name}/one", np.ones((), np.float32)).output[0]
        (output,) = node.output
        ctx.remove_node(name)
        both = [one, made] if one_first else [made, one]
        ctx.make_node("Sub", both, outputs=[output], name=name, dtypes=[dtype], shapes=[shape])

    return handler, []


_HANDLERS = {"Erfc": _less_one("Erf", one_first=True), "Expm1": _less_one("Exp", one_first=False)}


def _as_it_is(proto, samples: np.ndarray | None, path: Path, folder: Path) -> None:
    import onnx

    onnx.load_external_data_for_model(proto, str(folder))
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _in_half(proto, samples: np.ndarray | None, path: Path, folder: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    onnx.load_external_data_for_model(proto, str(folder))
    half = OnnxModel(convert_float_to_float16(proto, keep_io_types=True, node_block_list=_in_floats(proto.graph)))
    half.topological_sort()  # the casts of input and output were put at the end
    _put_in_order(half.model)
    path.write_bytes(half.model.SerializeToString(deterministic=True))


def _with_dynamic_ranges(proto, samples: np.ndarray | None, path: Path, folder: Path) -> None:
    from onnxruntime import quantization

    _as_it_is(proto, None, folded := folder / "whole.onnx", folder)
    # ONNX Runtime's ConvInteger takes unsigned weights only.
    quantization.quantize_dynamic(
        str(folded),
        str(path),
        weight_type=quantization.QuantType.QUInt8,
        reduce_range=True,
        nodes_to_exclude=_in_floats(proto.graph),
    )
    _put_file_in_order(path)


def _quantize(proto, samples: np.ndarray, path: Path, folder: Path) -> None:
    from onnxruntime import quantization

    (entry,) = proto.graph.input
    _as_it_is(proto, None, folded := folder / "whole.onnx", folder)

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self._examples = iter(samples)

        def get_next(self):
            example = next(self._examples, None)
            return None if example is None else {entry.name: example[None]}

    quantization.quantize_static(
        str(folded),
        str(path),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        # x86 without VNNI adds pairs of u8 x s8 products in 16 bits, which saturates with 8-bit weights: the same
        # file would be right on one server and wrong on the next. Seven bits are right everywhere.
        reduce_range=True,
        nodes_to_exclude=_in_floats(proto.graph),
    )
    _put_file_in_order(path)


_WRITERS = {"float32": _as_it_is, "float16": _in_half, "dynamic_int8": _with_dynamic_ranges, "int8": _quantize}


def _in_floats(graph) -> list[str]:
    """Names of the nodes that stay in float32: those of the net `FLOAT`, and all that comes behind."""
    own = re.compile(rf"/{FLOAT}(_\d+)?/")
    names: list[str] = []
    known: set[str] = set()
    for node in graph.node:  # makers come before users
        if own.search(node.name) or known.intersection(node.input):
            names.append(node.name)
            known.update(node.output)
    return names


def _put_file_in_order(path: Path) -> None:
    import onnx

    proto = onnx.load(str(path))
    _put_in_order(proto)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _put_in_order(proto) -> None:
    """Puts nodes, constants and shapes in the graph's order: tf2onnx and ONNX Runtime go through sets, in any order."""
    graph = proto.graph
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return  # graphs within nodes use tensors that no input names
    maker = {name: place for place, node in enumerate(graph.node) for name in node.output}
    order: dict[int, None] = {}
    waiting = [(maker[output.name], False) for output in reversed(graph.output) if output.name in maker]
    while waiting:
        place, ready = waiting.pop()
        if ready:
            order[place] = None
        elif place not in order:
            waiting.append((place, True))
            waiting += [(maker[name], False) for name in reversed(graph.node[place].input) if name in maker]
    nodes = [graph.node[place] for place in order]
    used = {name: rank for rank, name in enumerate(dict.fromkeys(name for node in nodes for name in node.input))}
    constants = sorted(graph.initializer, key=lambda tensor: (used.get(tensor.name, len(used)), tensor.name))
    shapes = sorted(graph.value_info, key=lambda value: value.name)
    for field, ordered in (("node", nodes), ("initializer", constants), ("value_info", shapes)):
        kept = [type(each).FromString(each.SerializeToString()) for each in ordered]
        graph.ClearField(field)
        getattr(graph, field).extend(kept)


def add_card(path: Path, card: ModelCard) -> None:
    """Puts the card into the file's metadata."""
    import onnx

    proto = onnx.load(str(path))
    onnx.helper.set_model_props(proto, {KEY: card.dumps()})
    path.write_bytes(proto.SerializeToString())


def fingerprint(path: Path) -> str:
    """SHA-256 of the network: the graph without the metadata."""
    import onnx

    return hashlib.sha256(onnx.load(str(path)).graph.SerializeToString(deterministic=True)).hexdigest()


def describe(path: Path) -> Contents:
    """Counts the operators of a file that an engine has accepted, and recognises its precision.

    Args:
        path: ONNX file.

    Returns:
        Its contents; operators outside ONNX's own domain are `forbidden`.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    operators = Counter(node.op_type for node in graph.node)
    foreign = sorted({node.op_type for node in graph.node if node.domain not in ("", "ai.onnx")})
    # What scales by a constant of one dimension per channel; the pairs around quantized tensors are others.
    constants = {tensor.name for tensor in graph.initializer if 1 < np.prod(tensor.dims) == max(tensor.dims)}
    scaled = [n for n in graph.node if n.op_type == "Mul" and constants.intersection(n.input)]
    return Contents(
        operators,
        _precision(graph, operators),
        tuple(foreign),
        unfolded=operators["BatchNormalization"] + len(scaled),
    )


def _precision(graph, operators: Counter[str]) -> str:
    import onnx

    if {"DynamicQuantizeLinear", "ConvInteger"} & operators.keys():
        return "dynamic_int8"
    if {"QuantizeLinear", "QLinearConv"} & operators.keys():
        return "int8"
    half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in graph.initializer)
    return "float16" if half else "float32"
