"""Memory of an int8 file, foretold from its Keras model before anything is converted."""

from __future__ import annotations

import math

import keras

from export.memory.plan import Buffer, own_plan, plan
from export.memory.size import Fit, structures
from keras_resnet.errors import InputError
from keras_resnet.nets.fusion import Fusion

# Of a file beside its weights: name, shape and place of a tensor, an operator, scale, zero point and bias of a channel.
_TENSOR, _NODE, _CHANNEL, _FIXED = 118, 40, 28, 1400


def of_model(model: keras.Model, raw: bool = True, planned: bool = True, bits: int = 8) -> Fit:
    """Foretells the int8 file of a Keras model.

    Args:
        model: functional, without models inside, of a fixed input size.
        raw: whether the weights' preprocessing becomes a convolution of its own in front.
        planned: whether the file will have the plan of `write_plan`, as the target `tflm` writes it.
        bits: bits of the convolutions' weights, 8 or (`int8x4`) 4, which are unpacked in the arena.

    Returns:
        Flash within a few percent, activations as the file will have them.

    Raises:
        InputError: a model inside the model, or an open size.
    """
    file, fusion = _File(bits), Fusion(model, "tflite")
    for layer in _in_order(model):
        if isinstance(layer, keras.Model):
            raise InputError("memory cannot be foretold for a model inside a model: export it, and read the file")
        if isinstance(layer, keras.layers.InputLayer):
            file.begin(layer.output, raw)
        elif fusion.joins(layer):
            file.alias(layer.output, _inputs(layer)[0])
        else:
            file.add(layer)
    return file.end(model.outputs, planned)


class _File:
    """Operators, tensors and weights of a file, as layers are added in their order."""

    def __init__(self, bits: int):
        self._bits = bits
        self._alias: dict[int, int] = {}  # from a tensor that no operator makes to the one that it is
        self._lives: dict[int, list[int]] = {}
        self._sizes: dict[int, int] = {}
        self._scratch: list[Buffer] = []
        self._nodes = self._tensors = self._channels = self._weights = 0

    def begin(self, tensor, raw: bool) -> None:
        self._made(tensor, 0)
        if raw:  # pixels, and the same image in the weights' convention
            self._nodes, self._tensors, self._channels, self._weights = 1, 3, 3, 9

    def alias(self, tensor, same) -> None:
        self._alias[id(tensor)] = id(same)

    def add(self, layer) -> None:
        operators = 2 if isinstance(layer, keras.layers.BatchNormalization) else 1  # unfolded: MUL and ADD
        softmax = getattr(layer, "activation", None) is keras.activations.softmax
        self._nodes += operators + softmax
        for tensor in _inputs(layer):
            self._lives[self._root(tensor)][1] = self._nodes
        self._made(layer.output, self._nodes)
        kernel = max((math.prod(weight.shape) for weight in getattr(layer, "weights", ())), default=0)
        if self._bits == 4 and isinstance(layer, keras.layers.Conv2D):
            self._weights += -(-kernel // 2)
            self._scratch.append(Buffer(kernel, self._nodes - softmax, self._nodes - softmax))
        else:
            self._weights += kernel
        self._tensors += operators + softmax + (2 if kernel else 0)
        self._channels += layer.output.shape[-1] if kernel and operators == 1 else 0

    def end(self, outputs, planned: bool) -> Fit:
        for tensor in outputs:
            self._lives[self._root(tensor)][1] = self._nodes + 1
        buffers = [Buffer(self._sizes[key], *self._lives[key]) for key in reversed(self._lives)]
        tensors = self._tensors + 2  # the image, and the axes of the mean
        flash = self._weights + _TENSOR * tensors + _NODE * self._nodes + _CHANNEL * self._channels + _FIXED
        activations = (own_plan(buffers, self._scratch) if planned else plan([*buffers, *self._scratch]))[0]
        return Fit(flash, activations, structures(tensors, self._nodes, self._channels), exact=False)

    def _root(self, tensor) -> int:
        key = id(tensor)
        while key in self._alias:
            key = self._alias[key]
        return key

    def _made(self, tensor, number: int) -> None:
        if None in tensor.shape[1:]:
            raise InputError("memory can be foretold for a fixed input size only: give input_shape=(height, width, 3)")
        self._lives[id(tensor)], self._sizes[id(tensor)] = [number, number], math.prod(tensor.shape[1:])


def _inputs(layer) -> list:
    return list(layer.input) if isinstance(layer.input, list | tuple) else [layer.input]


def _in_order(model) -> list:
    """Layers as the converter orders them: what an addition takes first is computed first."""
    found: dict[object, None] = {}
    waiting = [(tensor._keras_history.operation, False) for tensor in reversed(model.outputs)]
    while waiting:
        layer, inputs_are_there = waiting.pop()
        if layer in found:
            continue
        if inputs_are_there or isinstance(layer, keras.layers.InputLayer):
            found[layer] = None
            continue
        waiting.append((layer, True))
        if not isinstance(layer, keras.Model):
            waiting += [(tensor._keras_history.operation, False) for tensor in reversed(_inputs(layer))]
    return list(found)
