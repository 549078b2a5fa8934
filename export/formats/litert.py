"""LiteRT Quantizer: a float TFLite file becomes a quantized one."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from export.formats.artifacts import Artifact
from export.formats.precisions import PRECISIONS


def quantized(
    content: bytes,
    artifact: Artifact,
    samples: np.ndarray | None,
    known: dict | None = None,
    *,
    in_floats: bool = False,
) -> bytes:
    """Quantizes a float file.

    Args:
        content: content of a float32 TFLite file with plain names.
        artifact: precision, input, dtype of input and output, layers that stay in float.
        samples: float32 `(n, ..., channels)` as the network takes them; None for precisions without calibration.
        known: result of `ranges` for these samples, where they were taken already.
        in_floats: whether outputs are float32 although the input is not.

    Returns:
        A TFLite file's content.
    """
    from litert_quantizer import qtyping, quantizer, recipe
    from litert_quantizer.algorithm_manager import AlgorithmName

    every = qtyping.TFLOperationName
    maker = quantizer.Quantizer(bytearray(content))
    if artifact.precision == "float16":
        half = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        weights_only = qtyping.OpQuantizationConfig(
            weight_tensor_config=half,
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        for operation in (every.CONV_2D, every.FULLY_CONNECTED, every.DEPTHWISE_CONV_2D):
            maker.update_quantization_recipe(".*", operation, weights_only, AlgorithmName.FLOAT_CASTING)
    else:
        maker.load_quantization_recipe(getattr(recipe, PRECISIONS[artifact.precision].recipe)())
    if artifact.precision == "int8x4":
        _weights_of_four_bits(maker)
    ends = (every.INPUT, every.OUTPUT) if artifact.io == "float32" else (every.OUTPUT,) if in_floats else ()
    for end in ends:
        maker.update_quantization_recipe(".*", end, algorithm_key=AlgorithmName.NO_QUANTIZE)
    for layer in artifact.keep_float:
        maker.update_quantization_recipe(
            f"^{re.escape(layer)};?$", every.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    found = None
    if maker.need_calibration:
        found = dict(known or ranges(content, () if samples is None else samples))
        if artifact.known_range:  # pixels are 0..255 whatever the samples hold: a scale of 1
            name, rank = _input(content)
            limits = zip(("min", "max"), artifact.known_range, strict=True)
            found[name] = {end: np.full((1,) * rank, value, np.float32) for end, value in limits}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of its interpreter, which keeps all tensors
        return _named_by_signature(bytes(maker.quantize(found).quantized_model))


def _input(content: bytes) -> tuple[str, int]:
    """Name and rank of a file's input."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(content).Subgraphs(0)
    tensor = graph.Tensors(graph.Inputs(0))
    return tensor.Name().decode(), tensor.ShapeLength()


def _weights_of_four_bits(maker) -> None:
    """Asks for 4 bits in convolutions; the preprocessing has one weight a channel, which its scale holds exactly.

    Dense layers keep 8: TFLite Micro refuses them in 4 bits with a scale per channel.
    """
    from litert_quantizer import qtyping

    static = qtyping.OpQuantizationConfig(
        activation_tensor_config=qtyping.TensorQuantizationConfig(num_bits=8, symmetric=False),
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=4, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
        ),
        compute_precision=qtyping.ComputePrecision.INTEGER,
    )
    maker.update_quantization_recipe(".*", qtyping.TFLOperationName.CONV_2D, static)


def _named_by_signature(content: bytes) -> bytes:
    """Gives inputs and outputs their names back: LiteRT Quantizer puts `NAME_dequant` behind a `NAME` in int8."""
    from ai_edge_litert.tools import flatbuffer_utils

    lite = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    (signature,) = lite.signatureDefs
    tensors = lite.subgraphs[0].tensors
    for entry in (*signature.inputs, *signature.outputs):
        if tensors[entry.tensorIndex].name != entry.name:
            for other in tensors:
                if other.name == entry.name:
                    other.name += b"/quantized"
            tensors[entry.tensorIndex].name = entry.name
    return bytes(flatbuffer_utils.convert_object_to_bytearray(lite))


def results(path: Path) -> list[str]:
    """Names of what the operators of a file compute, in their order."""
    from ai_edge_litert.tools import flatbuffer_utils

    graph = flatbuffer_utils.read_model(str(path)).subgraphs[0]
    return [graph.tensors[index].name.decode() for operator in graph.operators for index in operator.outputs]


def ranges(content: bytes, samples: Iterable[np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Smallest and largest value of every result over all samples, as LiteRT Quantizer takes them.

    Its own calibrator averages the samples' extremes, which cuts off the tails: 0.8 points on ResNet-8 / CIFAR-10.

    Args:
        content: content of a float32 TFLite file.
        samples: float32 `(n, ..., channels)` as the network takes them.

    Returns:
        `{name: {"min": array, "max": array}}`.
    """
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # keeping all tensors takes memory: it is what we are here for
        engine = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    engine.allocate_tensors()
    (entry,) = engine.get_input_details()
    wanted = {index for op in engine._get_ops_details() for index in op["outputs"]} | {entry["index"]}
    details = [each for each in engine.get_tensor_details() if each["index"] in wanted]
    found: dict[str, list[float]] = {}
    for example in samples:
        engine.set_tensor(entry["index"], example[None])
        engine.invoke()
        for each in details:
            if each["dtype"] != np.float32:
                continue
            values = engine.get_tensor(each["index"])
            low, high = found.get(each["name"], (np.inf, -np.inf))
            found[each["name"]] = [min(low, float(values.min())), max(high, float(values.max()))]
    ranks = {each["name"]: len(each["shape"]) for each in details}
    return {
        name: {
            end: np.full((1,) * ranks[name], value, np.float32) for end, value in zip(("min", "max"), ends, strict=True)
        }
        for name, ends in found.items()
    }
