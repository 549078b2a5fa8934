"""Keras models in memory and in `.keras` files."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.runtime.interface import Runner, Tensor, at_once, chunks, ordered


class KerasRunner(Runner):
    """A Keras model in memory or in a `.keras` file."""

    _BATCH = 64
    bulk = 8  # on processors as fast as 64, with a sixth of the memory

    def __init__(self, model, card: ModelCard | None = None):
        """Wraps a model with one input; raises InputError for any other."""
        import keras

        self.model, self.card = model, card or ModelCard()
        if len(model.inputs) != 1:
            raise InputError(f"the model has {len(model.inputs)} inputs: expected one")
        self.input = _tensor(model.inputs[0].name, model.inputs[0])
        self._names = output_names(model)
        named = zip(self._names, keras.tree.flatten(model.outputs), strict=True)
        self.outputs = ordered(_tensor(name, tensor) for name, tensor in named)
        self._function = model.predict_on_batch
        if keras.backend.backend() == "tensorflow":  # one trace for all batch sizes
            import tensorflow as tf

            if tf.config.list_physical_devices("GPU"):
                self.bulk = self._BATCH
            function: Any = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
            function._omit_frequent_tracing_warning = True  # of a line that many models pass, each traced once or twice
            self._function = function

    def run(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network; see `Runner`. Raises InputError where one of its layers cannot be run."""
        import keras

        size = self._BATCH if self.bulk == self._BATCH else at_once(examples, self._BATCH)
        try:
            parts = [keras.tree.flatten(self._function(part)) for part in chunks(examples, size)]
        except Exception as error:  # the layers of a foreign file, and their settings, are anybody's
            raise InputError(f"the model cannot be run (damaged, or a layer of it fails): {_said(error)}") from error
        joined = (np.concatenate([np.asarray(part[i]) for part in parts]) for i in range(len(self._names)))
        arrays = dict(zip(self._names, joined, strict=True))
        return {tensor.name: arrays[tensor.name].astype(np.float32, copy=False) for tensor in self.outputs}


def _said(error: Exception) -> str:
    """What a layer said: the line before Keras' list of its arguments, else the last line."""
    text = str(error).replace("\x1b[1m", "").replace("\x1b[0m", "").partition("Arguments received by")[0].strip()
    return (text.splitlines() or [type(error).__name__])[-1].strip()[:200]


def output_names(model) -> list[str]:
    """Names of a model's outputs in the order of `keras.tree.flatten`: keys of a dict, else the names of Keras.

    Args:
        model: Keras model.
    """
    import keras

    if isinstance(model, keras.Sequential):  # has no `output` and no `output_names`
        return [model.layers[-1].name]
    if isinstance(model.output, dict) and len(model.output) == len(model.outputs):
        return [str(path[-1]) for path, _ in keras.tree.flatten_with_path(model.output)]
    names: list[str] = []
    for name in model.output_names:
        same = sum(known == name or known.startswith(f"{name}:") for known in names)
        names.append(f"{name}:{same}" if same else name)  # a layer with several outputs
    return names


def _tensor(name: object, tensor) -> Tensor:
    return Tensor(str(name), tuple(tensor.shape), str(tensor.dtype))
