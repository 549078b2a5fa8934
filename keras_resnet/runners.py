"""One interface over .keras, .tflite and .onnx files: names, dtypes and quantization are handled here, once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_resnet import card as card_lib
from keras_resnet import console
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.files import existing_file


@dataclass(frozen=True)
class Tensor:
    """Name, shape (None where any size goes) and dtype of an input or output as the file declares it."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Runner(Protocol):
    """A model that can be run, whatever file it came from.

    Attributes:
        card: labels and input convention; an empty card for a file from elsewhere.
        input: `(batch, height, width, channels)`.
        output: `(batch, classes)`.
    """

    card: ModelCard
    input: Tensor
    output: Tensor

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Runs the network.

        Args:
            images: float32 `(N, height, width, channels)`, preprocessed. Any N; a quantized input is quantized here.

        Returns:
            float32 `(N, classes)`; a quantized output is dequantized.
        """


class KerasRunner:
    """A Keras model in memory or in a `.keras` file."""

    _BATCH = 64

    def __init__(self, model, card: ModelCard | None = None):
        """Wraps a model with one input and one output; raises InputError for any other."""
        import keras

        self.model, self.card = model, card or ModelCard()
        self.input = Tensor(*_first_keras(model.inputs, "input"))
        self.output = Tensor(*_first_keras(model.outputs, "output"))
        self._function = model.predict_on_batch
        if keras.backend.backend() == "tensorflow":  # one trace for all batch sizes
            import tensorflow as tf

            traced = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
            self._function = lambda x: traced(x).numpy()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Runs the network; see `Runner`."""
        parts = [self._function(part) for part in _chunks(images, self._BATCH)]
        return np.concatenate(parts).astype(np.float32)


class TFLiteRunner:
    """A TFLite file on LiteRT's interpreter (XNNPACK where it applies)."""

    def __init__(self, path: Path, threads: int | None = None):
        """Opens a file; raises InputError where the engine refuses it."""
        interpreter = _extra("ai_edge_litert.interpreter")
        self.card = card_lib.read(path) or ModelCard()
        try:
            with console.silenced():  # it announces its delegate
                self._engine = interpreter.Interpreter(model_path=str(path), num_threads=threads or os.cpu_count())
                self._engine.allocate_tensors()
            inputs, outputs = self._engine.get_input_details(), self._engine.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise _unusable(path, "TFLite", error) from error
        if len(inputs) != 1 or len(outputs) != 1:
            raise InputError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: expected one of each")
        self._input, self._output = inputs[0], outputs[0]
        self.input, self.output = _tflite_tensor(inputs[0]), _tflite_tensor(outputs[0])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Runs the network image by image; see `Runner`."""
        batch = self.input.shape[0]
        results = []
        for part in _chunks(quantize(images, self._input), batch):
            padded = np.resize(part, (batch, *part.shape[1:])) if len(part) < batch else part
            self._engine.set_tensor(self._input["index"], padded)
            self._engine.invoke()
            results.append(self._engine.get_tensor(self._output["index"])[: len(part)])
        return dequantize(np.concatenate(results), self._output)


class OnnxRunner:
    """An ONNX file on ONNX Runtime's CPU kernels."""

    _BATCH = 64

    def __init__(self, path: Path, threads: int | None = None):
        """Opens a file; raises InputError where the engine refuses it."""
        ort = _extra("onnxruntime")
        options = ort.SessionOptions()
        options.log_severity_level = 4  # errors come as exceptions anyway
        options.intra_op_num_threads = threads or 0
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class but this
            raise _unusable(path, "ONNX", error) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise InputError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: expected one of each")
        text = self._session.get_modelmeta().custom_metadata_map.get(card_lib.KEY)
        self.card = ModelCard.loads(text, path) if text else ModelCard()
        self.input, self.output = _onnx_tensor(inputs[0]), _onnx_tensor(outputs[0])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Runs the network; see `Runner`."""
        parts = _chunks(images.astype(np.float32), self.input.shape[0] or self._BATCH)
        return np.concatenate([self._session.run(None, {self.input.name: part})[0] for part in parts])


def quantize(values: np.ndarray, details: dict) -> np.ndarray:
    """Float values as an engine's tensor takes them: `round(x / scale) + zero_point`, clipped to the dtype.

    Args:
        values: float32.
        details: of the tensor, as the interpreter gives them.

    Returns:
        Of the tensor's dtype; float32 tensors take the values as they are.
    """
    scale, zero_point = details["quantization"]
    if not scale:
        return values.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(details["dtype"])


def dequantize(values: np.ndarray, details: dict) -> np.ndarray:
    """An engine's tensor as float32: `(q - zero_point) * scale`."""
    scale, zero_point = details["quantization"]
    if not scale:
        return values.astype(np.float32)
    return (values.astype(np.float32) - zero_point) * np.float32(scale)


def _chunks(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (images[start : start + size] for start in range(0, len(images), size))


def _first_keras(tensors, role: str) -> tuple[str, tuple, str]:
    if len(tensors) != 1:
        raise InputError(f"the model has {len(tensors)} {role}s: expected one")
    return tensors[0].name, tuple(tensors[0].shape), str(tensors[0].dtype)


def _tflite_tensor(details: dict) -> Tensor:
    shape = tuple(None if size == -1 else int(size) for size in details["shape_signature"])
    return Tensor(details["name"], shape or tuple(map(int, details["shape"])), np.dtype(details["dtype"]).name)


def _onnx_tensor(info) -> Tensor:
    shape = tuple(size if isinstance(size, int) else None for size in info.shape)
    dtype = info.type.removeprefix("tensor(").removesuffix(")")
    return Tensor(info.name, shape, "float32" if dtype == "float" else dtype)


def _extra(module: str):
    """Imports an engine, or says which extra brings it."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module.partition('.')[0]} is not installed: pip install 'keras-resnet-toolkit[export]'"
        ) from error


def _unusable(path: Path, kind: str, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()
    said = reason[0][:200] if reason else repr(error)
    return InputError(f"{path} cannot be run as {kind} (truncated, damaged or of another kind): {said}")


def _keras_file(path: Path, threads: int | None = None) -> KerasRunner:
    del threads  # TensorFlow's threads are a setting of the process
    from keras_resnet.saving import load_model

    return KerasRunner(*load_model(path))


_OPENERS: dict[str, Callable[..., Runner]] = {".keras": _keras_file, ".tflite": TFLiteRunner, ".onnx": OnnxRunner}
_FOREIGN = (".tflite", ".onnx")  # engines in C++ may crash on a damaged file and take the process along


def open_runner(path: str | os.PathLike, *, threads: int | None = None, trusted: bool = False) -> Runner:
    """Opens a model file, whatever its format.

    Args:
        path: `.keras`, `.tflite` or `.onnx`.
        threads: for the engine; all cores by default. (TensorFlow decides for itself.)
        trusted: the file was written by this process. Any other file is first run once in a child process, so that
            a damaged one cannot crash the caller.

    Returns:
        A runner.

    Raises:
        InputError: missing, empty, truncated, foreign, or with more than one input or output.

    Example:
        >>> import keras_resnet
        >>> runner = keras_resnet.open_runner("model.tflite")  # doctest: +SKIP
        >>> probabilities = runner(runner.card.preprocess(pixels))  # doctest: +SKIP
    """
    path = existing_file(path)
    if path.suffix not in _OPENERS:
        raise InputError(f"{path}: expected a .keras, .tflite or .onnx file, received '{path.suffix}'")
    if path.suffix in _FOREIGN and not trusted:
        _try_in_child(path)
    return _OPENERS[path.suffix](path, threads=threads)


def open_named(model: str | os.PathLike, weights: str | None = None) -> Runner:
    """Opens what a command's `--model` and `--weights` name: a model file, or a row of the table with weights.

    Raises:
        InputError: see `open_runner` and `saving.load_named`.
    """
    if Path(model).suffix in _FOREIGN and weights is None:
        return open_runner(model)
    from keras_resnet.saving import load_named

    return KerasRunner(*load_named(model, weights))


_CHILD_SECONDS = 300


def _try_in_child(path: Path) -> None:
    """Opens the file and runs one image in a process of its own."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "keras_resnet.runners", str(path)],
            capture_output=True,
            text=True,
            timeout=_CHILD_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path} did not answer within {_CHILD_SECONDS} s; it is damaged") from error
    if child.returncode == 0:
        return
    if child.returncode < 0:
        raise InputError(f"{path} crashes its engine (signal {-child.returncode}); it is damaged: export it again")
    lines = child.stderr.strip().splitlines() or [f"exit status {child.returncode}"]
    raise InputError(lines[-1].removeprefix("error: "))


def _main(path: Path) -> int:
    """Runs one grey image through a file: the child's part of `open_runner`."""
    try:
        runner = _OPENERS[path.suffix](path, threads=1)
        runner(np.zeros([size or 1 for size in runner.input.shape], np.float32))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # whatever the engine raises while running is the file's fault
        print(f"error: {_unusable(path, path.suffix[1:], error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
