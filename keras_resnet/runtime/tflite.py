"""TFLite files on LiteRT's interpreter."""

from __future__ import annotations

import functools
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import card as card_lib
from keras_resnet import console, machine
from keras_resnet.errors import InputError
from keras_resnet.extras import imported
from keras_resnet.runtime.interface import Runner, Tensor, chunks, ordered, unusable
from keras_resnet.signals.conventions import Preprocess

_UNCHANGING = ("QUANTIZE", "DEQUANTIZE", "RESHAPE")  # operations behind which a sigmoid is still one


class TFLiteRunner(Runner):
    """A TFLite file on LiteRT's interpreter.

    Many examples are shared out to interpreters of one thread each. Several threads in one interpreter wait for each
    other in loops, after every layer: where other work wants the cores too, a net of a millisecond takes a hundred.
    """

    _SHARE = 32  # examples at least, for one more interpreter
    _PIECE = 8  # examples that the next free interpreter takes: none waits long for the last

    def __init__(self, path: Path, threads: int | None = None, engine: str | None = None):
        """Opens a file; raises InputError where the engine refuses it."""
        interpreter = imported("ai_edge_litert.interpreter")
        self.card = card_lib.read(path) or card_lib.UNKNOWN
        resolver = interpreter.OpResolverType.BUILTIN_REF if engine == "reference" else interpreter.OpResolverType.AUTO
        try:
            self._open = functools.partial(
                interpreter.Interpreter,
                model_path=str(path),
                num_threads=threads or 1,
                experimental_op_resolver_type=resolver,
            )
            self._most = 1 if threads else machine.cores()
            self.bulk = self._SHARE * self._most
            self._engines: list[Any] = []
            (first,) = self._enough_engines(1)
            inputs, outputs = first.get_input_details(), first.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise unusable(path, "TFLite", error) from error
        if len(inputs) != 1:
            raise InputError(f"{path} has {len(inputs)} inputs: expected one")
        self._input, self._outputs = inputs[0], {each["name"]: each for each in outputs}
        self.input = _tensor(inputs[0])
        self.outputs = ordered(_tensor(each) for each in outputs)

    def _enough_engines(self, examples: int) -> list:
        """Returns interpreters, as many as there are shares and cores."""
        wanted = max(1, min(self._most, examples // self._SHARE))
        while len(self._engines) < wanted:
            with console.silenced():  # it announces its delegate
                engine = self._open()
                engine.allocate_tensors()
            self._engines.append(engine)
        return self._engines[:wanted]

    @property
    def input_details(self) -> dict:
        """The input as the interpreter describes it."""
        return self._input

    @property
    def ends_in_sigmoid(self) -> bool:
        """See `Runner`."""
        read = getattr(self._engines[0], "_get_ops_details", list)  # the only way to a file's operations
        own = [each for each in read() if each["op_name"] != "DELEGATE"]  # which stands for some of the others
        made = {int(tensor): each for each in own for tensor in each["outputs"]}
        row = made.get(int(self._outputs[self.output.name]["index"]))
        while row is not None and row["op_name"] in _UNCHANGING:
            row = made.get(int(row["inputs"][0]))
        return row is not None and row["op_name"] == "LOGISTIC"

    @property
    def details(self) -> dict[str, dict]:
        """The outputs as the interpreter describes them, by name, in the file's order."""
        return self._outputs

    def run_raw(self, examples: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """What goes in and comes out, in the tensors' own dtypes.

        Args:
            examples: float32 `(N, ..., channels)`, prepared.

        Returns:
            The input tensor's values, and the outputs' by name; image by image.
        """
        values = quantize(examples, self._input)
        return values, self._shared_out(values, lambda part: part)

    def _shared_out(self, examples: np.ndarray, prepared: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
        """The raw outputs by name; `prepared` makes the input tensor's values of a few examples."""
        engines = self._enough_engines(len(examples))
        if len(engines) == 1:  # a thread of its own would cost as much as a small net
            return self._run_on(engines[0], examples, prepared)
        free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for engine in engines:
            free.put(engine)

        def one(part: np.ndarray) -> dict[str, np.ndarray]:
            engine = free.get()
            try:
                return self._run_on(engine, part, prepared)
            finally:
                free.put(engine)

        batch = self.input.shape[0] or 1
        with ThreadPoolExecutor(len(engines)) as pool:
            results = list(pool.map(one, chunks(examples, -(-self._PIECE // batch) * batch)))
        return {name: np.concatenate([each[name] for each in results]) for name in self._outputs}

    def _run_on(
        self, engine, examples: np.ndarray, prepared: Callable[[np.ndarray], np.ndarray]
    ) -> dict[str, np.ndarray]:
        batch = self.input.shape[0] or 1  # an open one is allocated as 1
        results: dict[str, list[np.ndarray]] = {name: [] for name in self._outputs}
        for part in chunks(examples, batch):
            values = prepared(part)
            padded = np.resize(values, (batch, *values.shape[1:])) if len(values) < batch else values
            engine.set_tensor(self._input["index"], padded)
            engine.invoke()
            for name, details in self._outputs.items():
                results[name].append(engine.get_tensor(details["index"])[: len(part)])
        return {name: np.concatenate(parts) for name, parts in results.items()}

    def run(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network image by image; see `Runner`."""
        return self.floats(self._shared_out(examples, lambda part: quantize(part, self._input)))

    def run_unprepared(self, examples: np.ndarray, convention: Preprocess) -> dict[str, np.ndarray]:
        """Runs the network; see `Runner`. A quantized input's values are looked up by pixel."""
        if examples.dtype != np.uint8 or not self._input["quantization"][0]:
            return super().run_unprepared(examples, convention)
        every = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], examples.shape[-1], axis=-1)
        tables = quantize(convention(every), self._input)[0]  # (256, channels)
        order = convention.order(examples.shape[-1])
        return self.floats(self._shared_out(examples, lambda part: looked_up(part, tables, order)))

    def floats(self, raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs in float32.

        Args:
            raw: outputs of `run_raw`.
        """
        return {name: dequantize(values, self._outputs[name]) for name, values in raw.items()}


def looked_up(examples: np.ndarray, tables: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """What a channel's table has for each pixel.

    Args:
        examples: uint8 `(..., channels)`.
        tables: int8 or uint8 `(256, channels)`.
        order: the channel of the examples that each channel of the result is made of.

    Returns:
        Of the tables' dtype, in the shape of the examples.
    """
    if (tables == tables[:, :1]).all() and list(order) == sorted(order):
        found = examples.tobytes().translate(tables[:, 0].tobytes())  # ten times as fast as an array's index
        return np.frombuffer(found, tables.dtype).reshape(examples.shape)
    values = np.empty(examples.shape, tables.dtype)
    for channel, source in enumerate(order):
        values[..., channel] = looked_up(examples[..., source, None], tables[:, channel, None], (0,))[..., 0]
    return values


def quantize(values: np.ndarray, details: dict) -> np.ndarray:
    """Float values as an engine's tensor takes them: `round(x / scale) + zero_point`, clipped to the dtype.

    Args:
        values: float32.
        details: description of the tensor by the interpreter.

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


def _tensor(details: dict) -> Tensor:
    shape = tuple(None if size == -1 else int(size) for size in details["shape_signature"])
    return Tensor(details["name"], shape or tuple(map(int, details["shape"])), np.dtype(details["dtype"]).name)
