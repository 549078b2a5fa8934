"""ONNX files on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_resnet import card as card_lib
from keras_resnet import extras
from keras_resnet.card import UNKNOWN, ModelCard
from keras_resnet.errors import InputError
from keras_resnet.extras import imported
from keras_resnet.runtime.interface import Runner, Tensor, at_once, chunks, ordered, unusable

_UNCHANGING = ("QuantizeLinear", "DequantizeLinear", "Reshape", "Cast", "Identity")


class OnnxRunner(Runner):
    """An ONNX file on ONNX Runtime's CPU kernels."""

    _BATCH = 64

    def __init__(self, path: Path, threads: int | None = None, engine: str | None = None):
        """Opens a file; raises InputError where the engine refuses it."""
        del engine  # there is one
        ort = imported("onnxruntime")
        options = ort.SessionOptions()
        options.log_severity_level = 4  # errors come as exceptions anyway
        options.intra_op_num_threads = threads or 0
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class but this
            raise unusable(path, "ONNX", error) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1:
            raise InputError(f"{path} has {len(inputs)} inputs: expected one")
        self._path = path
        text = self._session.get_modelmeta().custom_metadata_map.get(card_lib.KEY)
        self.card = ModelCard.loads(text, path) if text else UNKNOWN
        self.input = _tensor(inputs[0])
        self.outputs = ordered(_tensor(each) for each in outputs)

    @property
    def ends_in_sigmoid(self) -> bool:
        """See `Runner`; without the package onnx the file does not tell."""
        if not extras.is_there("onnx"):
            return False
        import onnx

        nodes = {
            each: node for node in onnx.load(self._path, load_external_data=False).graph.node for each in node.output
        }
        node = nodes.get(self.output.name)
        while node is not None and node.op_type in _UNCHANGING:
            node = nodes.get(node.input[0])
        return node is not None and node.op_type == "Sigmoid"

    def run(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network; see `Runner`."""
        examples = examples.astype(np.float32)
        if self.layout == "nchw":
            examples = np.moveaxis(examples, -1, 1)
        names = [tensor.name for tensor in self.outputs]
        batches = chunks(examples, self.input.shape[0] or at_once(examples, self._BATCH))
        parts = [self._session.run(names, {self.input.name: np.ascontiguousarray(part)}) for part in batches]
        joined = (np.concatenate([part[i] for part in parts]) for i in range(len(names)))
        return {name: values.astype(np.float32, copy=False) for name, values in zip(names, joined, strict=True)}


def _tensor(info) -> Tensor:
    shape = tuple(size if isinstance(size, int) else None for size in info.shape)
    dtype = info.type.removeprefix("tensor(").removesuffix(")")
    return Tensor(info.name, shape, "float32" if dtype == "float" else dtype)
