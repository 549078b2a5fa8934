"""A Keras image model whose layers can be listened to, however it was put together.

Layers are found while an image runs through the model, so models inside models, preprocessing layers and subclassed
models need no graph: what a layer gives is caught where its `call` returns, and gradients are taken there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.lazily import tf
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.tasks.table import DEFAULT, get_task

_ENDS = ("softmax", "sigmoid")  # activations behind the scores
_BLOCK = re.compile(r"conv\d+_block\d+_out")  # the end of a block, by keras.applications' names


@dataclass(frozen=True)
class Step:
    """A layer's call while an image ran through.

    Attributes:
        name: name of the layer; `outer/inner` inside another model.
        layer: the layer.
        shape: shape of its output, without the batch.
    """

    name: str
    layer: keras.layers.Layer
    shape: tuple[int, ...]


class Net:
    """A model with its layers in the order in which an image passes them.

    Args:
        model: a Keras model with one image input, or a runner of one.
        size: `(height, width)` to try it with, where its input is open.

    Attributes:
        model: the Keras model.
        task: task of the runner's card; classification for a bare model.
        scalar: the value whose slopes are taken, of scores and questions; the task's.
        steps: calls of layers, in their order.
        scores: name of the activation behind its scores: `"softmax"`, `"sigmoid"`, or None where the outputs are the
            scores already.

    Raises:
        InputError: the model is no image model, is in another kind of file, or holds no convolution.
    """

    def __init__(self, model: keras.Model | Runner, size: tuple[int, int] | None = None):
        """Runs a grey image through."""
        self.task = get_task(model.card.task if isinstance(model, Runner) else DEFAULT)
        if isinstance(model, Runner):
            if not isinstance(model, KerasRunner):
                raise InputError("this needs gradients or layers, which a file for phones does not have: use occlusion")
            model = model.model
        if keras.backend.backend() not in ("tensorflow", "jax"):
            raise InputError("looking into a net needs Keras' TensorFlow or JAX back end: unset KERAS_BACKEND")
        self.scalar: Callable[[Any, Any], Any] = self.task.capable.scalar
        self._first: Callable[[Any], Any] = getattr(self.task.code, "in_one", _first)
        self.model, self.scores, self._end = model, None, None
        self._names = dict(_leaves(model))
        if not any("Conv" in type(layer).__name__ for layer in self._names):
            raise InputError(f"model '{model.name}' has no convolution: expected an image model")
        self.steps: list[Step] = []
        last: list[object] = []

        def note(layer: keras.layers.Layer, output):
            if keras.ops.is_tensor(output):
                self.steps.append(Step(self._names[layer], layer, tuple(output.shape[1:])))
                last[:] = [output]
            return output

        with self._heard(note):
            outputs = model(self._grey(size), training=False)
        output, finest = self._first(outputs), getattr(self.task.code, "finest", None)
        self._size: tuple[int, int] | None = finest(outputs) if finest else None
        if last and output is last[0]:
            self.scores = _activation(self.steps[-1].layer)
            self._end = self.steps[-1].layer if self.scores else None

    def _grey(self, size: tuple[int, int] | None) -> np.ndarray:
        shape = self.model.inputs[0].shape[1:] if getattr(self.model, "inputs", None) else None
        if shape is None or len(shape) != 3:
            raise InputError(f"model '{self.model.name}' takes {shape}: expected one input (height, width, channels)")
        height, width = (given or wanted for given, wanted in zip(shape[:2], size or (224, 224), strict=True))
        return np.full((1, height, width, shape[2] or 3), 0.5, np.float32)

    @contextlib.contextmanager
    def _heard(self, listen: Callable) -> Iterator[None]:
        """Passes what every layer returns through `listen(layer, output)`."""
        for layer in self._names:
            call = layer.call

            def heard(*arguments, _layer=layer, _call=call, **keywords):
                return listen(_layer, _call(*arguments, **keywords))

            object.__setattr__(layer, "call", heard)  # past Keras' tracking of attributes
        try:
            yield
        finally:
            for layer in self._names:
                object.__delattr__(layer, "call")

    @contextlib.contextmanager
    def _without_end(self) -> Iterator[None]:
        """Takes the activation behind the scores away."""
        if self._end is None:  # the scores are the output
            yield
            return
        if isinstance(self._end, keras.layers.Softmax):
            object.__setattr__(self._end, "call", lambda scores, mask=None: scores)  # past Keras' tracking
            try:
                yield
            finally:
                vars(self._end).pop("call", None)
            return
        kept, self._end.activation = self._end.activation, keras.activations.linear
        try:
            yield
        finally:
            self._end.activation = kept

    def logits(self, images, *, layer: str | None = None, change: Callable = lambda output: output):
        """Computes the scores before the last activation.

        Args:
            images: preprocessed images, float32 `(N, height, width, channels)`.
            layer: name of a layer whose output is returned too.
            change: called with that output; what it gives takes its place.

        Returns:
            `(N, classes)`; with `layer` a pair of these and the layer's output.
        """
        caught: list[Any] = []
        wanted = None if layer is None else self.step(layer).layer

        def catch(each: keras.layers.Layer, output):
            if each is wanted:
                output = change(output)
                caught[:] = [output]
            return output

        with self._without_end(), self._heard(catch) if layer else contextlib.nullcontext():
            scores = self._first(self.model(images, training=False))
        scores = keras.ops.cast(scores, "float32")
        return (scores, caught[0]) if layer else scores

    def slopes(self, images: np.ndarray, classes: np.ndarray, layer: str | None = None) -> tuple[np.ndarray, Any]:
        """Gradients of the classes' scores.

        Args:
            images: preprocessed images, float32 `(N, height, width, channels)`.
            classes: class of each image, int `(N,)`.
            layer: name of a layer; None for the images themselves.

        Returns:
            What the gradients are with respect to, the layer's output or the images, and the gradients, both float32
            of one shape; None in place of these where TensorFlow finds no way from it to the scores (JAX: zeros).
        """
        by = _by_tape if keras.backend.backend() == "tensorflow" else _by_jax
        place, found = by(self, keras.ops.convert_to_tensor(images, "float32"), classes, layer)
        return np.asarray(place, np.float32), None if found is None else np.asarray(found, np.float32)

    def probabilities(self, images) -> np.ndarray:
        """Computes the model's first output: float32 `(N, classes)`."""
        return np.asarray(self._first(self.model(images, training=False)), np.float32)

    def step(self, name: str) -> Step:
        """Returns the layer of that name.

        Raises:
            InputError: no layer has that name (the nearest names are in the message).
        """
        found = [step for step in self.steps if name in (step.name, step.name.rpartition("/")[2])]
        if not found:
            raise unknown_name("layer", name, {step.name for step in self.steps})
        return found[-1]

    def map_step(self, name: str | None = None) -> Step:
        """Returns a layer that gives a feature map.

        Args:
            name: name of the layer; by default the last one that still has several positions; of a net that ends in a
                map its backbone's last one, as those behind it are the answer already; of a detector the last one of
                its backbone that is as fine as the finest map of answers.

        Raises:
            InputError: no such layer, or its output is no feature map.
        """
        if name is not None:
            step = self.step(name)
            if len(step.shape) != 3:
                raise InputError(f"layer {name} gives {step.shape}: expected a feature map (height, width, channels)")
            return step
        maps = [step for step in self.steps if len(step.shape) == 3]
        if not maps:
            raise InputError(f"model '{self.model.name}' has no feature maps (height, width, channels)")
        if len(self.steps[-1].shape) == 3 or hasattr(self.task.code, "in_one"):
            maps = _of_backbone(maps)
        maps = [step for step in maps if step.shape[:2] == self._size] or maps
        return next((step for step in reversed(maps) if step.shape[0] * step.shape[1] > 1), maps[-1])


def _first(output: Any) -> Any:
    """The probabilities of a model with several outputs."""
    if isinstance(output, dict):
        return output.get("probabilities", next(iter(output.values())))
    return output[0] if isinstance(output, list | tuple) else output


def _of_backbone(maps: list[Step]) -> list[Step]:
    """The maps up to the end of the backbone of a net that ends in a map."""
    blocks = [place for place, step in enumerate(maps) if _BLOCK.fullmatch(step.name.rpartition("/")[2])]
    if blocks:
        return maps[: blocks[-1] + 1]
    answers = maps[-1].shape[-1]  # another's net: the last of the smallest maps that are no scores
    inner = [step for step in maps if step.shape[-1] != answers and step.shape[0] * step.shape[1] > 1] or maps
    least = min(step.shape[0] * step.shape[1] for step in inner)
    return [step for step in inner if step.shape[0] * step.shape[1] == least]


def _by_tape(net: Net, images, classes: np.ndarray, layer: str | None):
    """`Net.slopes` on TensorFlow."""
    with tf.GradientTape() as tape:

        def watched(output):
            tape.watch(output)
            return output

        place = watched(images)
        scores = net.logits(images, layer=layer, change=watched) if layer else net.logits(images)
        scores, place = scores if layer else (scores, place)
        chosen = keras.ops.sum(net.scalar(scores, classes))
    return place, tape.gradient(chosen, place)


def _by_jax(net: Net, images, classes: np.ndarray, layer: str | None):
    """`Net.slopes` on JAX: of a layer with respect to zeros that are added to its output."""
    import jax

    def score(added):
        if layer is None:
            return keras.ops.sum(net.scalar(net.logits(images + added), classes))
        scores, _ = net.logits(images, layer=layer, change=lambda output: output + added)
        return keras.ops.sum(net.scalar(scores, classes))

    place = images if layer is None else net.logits(images, layer=layer)[1]
    return place, jax.grad(score)(keras.ops.zeros_like(place))


def _leaves(model, path: str = "") -> Iterator[tuple[keras.layers.Layer, str]]:
    """Layers that hold no others, once each, with their names."""
    for layer in model.layers:
        if getattr(layer, "layers", None):
            yield from _leaves(layer, f"{path}{layer.name}/")
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer, path + layer.name


def _activation(layer: keras.layers.Layer) -> str | None:
    """Name of the activation that a last layer ends in, if its scores lie before it."""
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    name = getattr(getattr(layer, "activation", None), "__name__", None)
    return name if name in _ENDS else None
