"""ONNX: `convert`, `describe`, and `python -m export.onnx`."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from export.formats import INPUT, OUTPUT, Contents
from keras_resnet.card import KEY, ModelCard

OPSET = 18  # the newest that tf2onnx 1.17 writes


def convert(model, precision: str, samples: np.ndarray | None, path: Path) -> None:
    """Writes an ONNX file with an open batch, `image` (NHWC) in and `probabilities` out.

    Args:
        model: a float32 Keras model with one input of known size.
        precision: `float32`, or `int8`: QuantizeLinear / DequantizeLinear pairs, 8-bit weights per channel and
            unsigned 8-bit activations, which ONNX Runtime fuses on x86 (signed ones leave convolutions in float);
            input and output stay float32.
        samples: float32 `(n, H, W, C)`, preprocessed, for `int8`.
        path: of the file.
    """
    import tensorflow as tf
    import tf2onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)
    function = tf.function(lambda image: {OUTPUT: model(image, training=False)})
    proto, _ = tf2onnx.convert.from_function(function, input_signature=[signature], opset=OPSET)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    with tempfile.TemporaryDirectory() as folder:
        raw, folded = Path(folder, "raw.onnx"), Path(folder, "folded.onnx")
        raw.write_bytes(proto.SerializeToString())
        # Folds batch normalisation into the kernels, which tf2onnx does for convolutions without bias only.
        quant_pre_process(str(raw), str(folded), skip_symbolic_shape=True)  # symbolic shapes would need sympy
        if precision == "int8":
            _quantize(folded, samples, path)
        else:
            path.write_bytes(folded.read_bytes())


def _quantize(folded: Path, samples: np.ndarray, path: Path) -> None:
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self._images = iter(samples)

        def get_next(self):
            image = next(self._images, None)
            return None if image is None else {INPUT: image[None]}

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
    )


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
        path: of an ONNX file.

    Returns:
        Its contents; operators outside ONNX's own domain are `forbidden`.
    """
    import onnx

    nodes = onnx.load(str(path)).graph.node
    operators = Counter(node.op_type for node in nodes)
    foreign = sorted({node.op_type for node in nodes if node.domain not in ("", "ai.onnx")})
    quantized = {"QuantizeLinear", "QLinearConv", "ConvInteger"} & operators.keys()
    return Contents(operators, "int8" if quantized else "float32", tuple(foreign))


if __name__ == "__main__":
    from export.cli import main_of_format

    sys.exit(main_of_format("onnx"))
