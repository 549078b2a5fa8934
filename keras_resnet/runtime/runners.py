"""Model files on their engines: names, dtypes, layouts and quantization are handled behind one interface, once."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet import card as card_lib
from keras_resnet import console
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError


@dataclass(frozen=True)
class Tensor:
    """Name, shape (None where any size goes) and dtype of an input or output as the file declares it."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Runner:
    """A model that can be run, whatever file it came from.

    Attributes:
        card: labels and input convention; an empty card for a file from elsewhere.
        input: `(batch, height, width, channels)`, or `(batch, channels, height, width)`.
        outputs: `probabilities` first, where there is one of that name; a file's only output has any name.
    """

    card: ModelCard
    input: Tensor
    outputs: tuple[Tensor, ...]
    chunk = 256  # images that callers with many hand over at once

    @property
    def output(self) -> Tensor:
        """The first output: `(batch, classes)`."""
        return self.outputs[0]

    @property
    def layout(self) -> str:
        """Of the input: `"nhwc"`, or `"nchw"` where channels can only be second."""
        shape, counts = self.input.shape, (1, 2, 3, 4)
        return "nchw" if len(shape) == 4 and shape[1] in counts and shape[3] not in counts else "nhwc"

    @property
    def image_shape(self) -> tuple[int | None, ...]:
        """Of one image, as callers pass it: `(height, width, channels)`."""
        shape = self.input.shape[1:]
        return (*shape[1:], shape[0]) if self.layout == "nchw" else shape

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network.

        Args:
            images: float32 `(N, height, width, channels)`, preprocessed. Any N; a quantized input is quantized here, an
                NCHW one transposed.

        Returns:
            float32 by the outputs' names; quantized ones are dequantized.
        """
        raise NotImplementedError

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The first output of `run`: float32 `(N, classes)`."""
        return self.run(images)[self.output.name]


class KerasRunner(Runner):
    """A Keras model in memory or in a `.keras` file."""

    _BATCH = 64

    def __init__(self, model, card: ModelCard | None = None):
        """Wraps a model with one input; raises InputError for any other."""
        import keras

        self.model, self.card = model, card or ModelCard()
        if len(model.inputs) != 1:
            raise InputError(f"the model has {len(model.inputs)} inputs: expected one")
        self.input = _keras_tensor(model.inputs[0].name, model.inputs[0])
        chain = isinstance(model, keras.Sequential)  # has no `output` and no `output_names`
        several = not chain and isinstance(model.output, dict)
        name = model.layers[-1].name if chain else model.output_names[0]
        named = model.output if several else {name: model.outputs[0]}
        self.outputs = _first_probabilities("the model", [_keras_tensor(*each) for each in named.items()])
        if not several and len(model.outputs) > 1:
            raise InputError(f"the model has {len(model.outputs)} outputs without names: expected one")
        self._function = model.predict_on_batch
        if keras.backend.backend() == "tensorflow":  # one trace for all batch sizes
            import tensorflow as tf

            self._function = tf.function(lambda x: model(x, training=False), reduce_retracing=True)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network; see `Runner`."""
        parts = []
        for part in _chunks(images, self._BATCH):
            results = self._function(part)
            parts.append(results if isinstance(results, dict) else {self.output.name: results})
        return {
            tensor.name: np.concatenate([np.asarray(part[tensor.name]) for part in parts]).astype(np.float32)
            for tensor in self.outputs
        }


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class TFLiteRunner(Runner):
    """A TFLite file on LiteRT's interpreter.

    Many images are shared out to interpreters of one thread each. Several threads in one interpreter wait for each
    other in loops, after every layer: where other work wants the cores too, a net of a millisecond takes a hundred.
    """

    _SHARE = 32  # images at least, for one more interpreter

    def __init__(self, path: Path, threads: int | None = None, engine: str | None = None):
        """Opens a file; raises InputError where the engine refuses it."""
        interpreter = _extra("ai_edge_litert.interpreter")
        self.card = card_lib.read(path) or ModelCard()
        resolver = interpreter.OpResolverType.BUILTIN_REF if engine == "reference" else interpreter.OpResolverType.AUTO
        try:
            self._open = functools.partial(
                interpreter.Interpreter,
                model_path=str(path),
                num_threads=threads or 1,
                experimental_op_resolver_type=resolver,
            )
            self._most = 1 if threads else _cores()
            self._engines = []
            (engine,) = self._enough_engines(1)
            inputs, outputs = engine.get_input_details(), engine.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise unusable(path, "TFLite", error) from error
        if len(inputs) != 1:
            raise InputError(f"{path} has {len(inputs)} inputs: expected one")
        self._input, self._outputs = inputs[0], {each["name"]: each for each in outputs}
        self.input = _tflite_tensor(inputs[0])
        self.outputs = _first_probabilities(path, [_tflite_tensor(each) for each in outputs])

    def _enough_engines(self, images: int) -> list:
        """As many as there are shares and cores."""
        wanted = max(1, min(self._most, images // self._SHARE))
        while len(self._engines) < wanted:
            with console.silenced():  # it announces its delegate
                engine = self._open()
                engine.allocate_tensors()
            self._engines.append(engine)
        return self._engines[:wanted]

    @property
    def input_details(self) -> dict:
        """Of the input, as the interpreter gives them."""
        return self._input

    @property
    def details(self) -> dict[str, dict]:
        """Of the outputs by name, in the file's order."""
        return self._outputs

    def run_raw(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """What goes in and comes out, in the tensors' own dtypes.

        Args:
            images: as for `run`.

        Returns:
            The input tensor's values, and the outputs' by name; image by image.
        """
        values = quantize(images, self._input)
        engines = self._enough_engines(len(values))
        if len(engines) == 1:  # a thread of its own would cost as much as a small net
            return values, self._run_on(*engines, values)
        shares = np.array_split(values, len(engines))
        with ThreadPoolExecutor(len(engines)) as pool:
            results = list(pool.map(self._run_on, engines, shares))
        return values, {name: np.concatenate([each[name] for each in results]) for name in self._outputs}

    def _run_on(self, engine, values: np.ndarray) -> dict[str, np.ndarray]:
        """The raw outputs by name."""
        batch = self.input.shape[0] or 1  # an open one is allocated as 1
        results = {name: [] for name in self._outputs}
        for part in _chunks(values, batch):
            padded = np.resize(part, (batch, *part.shape[1:])) if len(part) < batch else part
            engine.set_tensor(self._input["index"], padded)
            engine.invoke()
            for name, details in self._outputs.items():
                results[name].append(engine.get_tensor(details["index"])[: len(part)])
        return {name: np.concatenate(parts) for name, parts in results.items()}

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network image by image; see `Runner`."""
        return {name: dequantize(raw, self._outputs[name]) for name, raw in self.run_raw(images)[1].items()}


class OnnxRunner(Runner):
    """An ONNX file on ONNX Runtime's CPU kernels."""

    _BATCH = 64

    def __init__(self, path: Path, threads: int | None = None, engine: str | None = None):
        """Opens a file; raises InputError where the engine refuses it."""
        del engine  # there is one
        ort = _extra("onnxruntime")
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
        text = self._session.get_modelmeta().custom_metadata_map.get(card_lib.KEY)
        self.card = ModelCard.loads(text, path) if text else ModelCard()
        self.input = _onnx_tensor(inputs[0])
        self.outputs = _first_probabilities(path, [_onnx_tensor(each) for each in outputs])

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network; see `Runner`."""
        images = images.astype(np.float32)
        if self.layout == "nchw":
            images = images.transpose(0, 3, 1, 2)
        names = [tensor.name for tensor in self.outputs]
        chunks = _chunks(images, self.input.shape[0] or self._BATCH)
        parts = [self._session.run(names, {self.input.name: np.ascontiguousarray(part)}) for part in chunks]
        return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}


CARD_FOLDER = "assets.extra"  # of a SavedModel: TensorFlow leaves it alone


class SavedModelRunner(Runner):
    """A SavedModel folder with a signature `serving_default`."""

    _BATCH = 64

    def __init__(self, path: Path, threads: int | None = None, engine: str | None = None):
        """Opens a folder; raises InputError where TensorFlow refuses it."""
        del threads, engine  # TensorFlow's threads are a setting of the process
        import tensorflow as tf

        text = path / CARD_FOLDER / card_lib.MEMBER
        self.card = ModelCard.loads(text.read_text(encoding="utf-8"), path) if text.exists() else ModelCard()
        try:
            self._model = tf.saved_model.load(str(path))
            self._function = self._model.signatures["serving_default"]
            (tensor,) = self._function.structured_input_signature[1].values()
        except Exception as error:  # a foreign folder fails in any way at all inside TensorFlow
            raise unusable(path, "SavedModel", error) from error
        self.input = Tensor(tensor.name, tuple(tensor.shape), tensor.dtype.name)
        outputs = self._function.structured_outputs.items()
        self.outputs = _first_probabilities(path, [Tensor(name, tuple(t.shape), t.dtype.name) for name, t in outputs])

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network; see `Runner`."""
        import tensorflow as tf

        parts = [self._function(**{self.input.name: tf.constant(part)}) for part in _chunks(images, self._BATCH)]
        return {t.name: np.concatenate([part[t.name].numpy() for part in parts]) for t in self.outputs}


def _first_probabilities(origin: object, outputs: list[Tensor]) -> tuple[Tensor, ...]:
    """The outputs in the order of `Runner.outputs`."""
    if len(outputs) == 1:
        return tuple(outputs)
    first = [tensor for tensor in outputs if tensor.name == "probabilities"]
    if not first:
        names = ", ".join(tensor.name for tensor in outputs)
        raise InputError(f"{origin} has the outputs {names}: expected one, or one that is called probabilities")
    return (*first, *(tensor for tensor in outputs if tensor not in first))


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


def _keras_tensor(name: object, tensor) -> Tensor:
    return Tensor(str(name), tuple(tensor.shape), str(tensor.dtype))


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


def unusable(path: Path, kind: str, error: Exception) -> InputError:
    """What is said of a file that its engine refuses.

    Args:
        path: of the file.
        kind: of engine.
        error: the engine's.
    """
    reason = str(error).strip().splitlines()
    said = reason[0][:200] if reason else repr(error)
    return InputError(f"{path} cannot be run as {kind} (truncated, damaged or of another kind): {said}")
