"""What becomes one operator: batch normalisation inside kernels, activations inside the operator before them.

Converters differ in this; `FUSING` has a row for each, and one for the folding of `compression.folding`, that
tests/export/test_fusion.py compares with the operators of files.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras

from keras_resnet.nets.compressed import ChannelwiseNormalization, FakeQuantize
from keras_resnet.nets.functional import is_functional

_L = keras.layers
_RELUS = ("relu", "relu6")


@dataclass(frozen=True, kw_only=True)
class Fusing:
    """What a converter makes one operator of.

    Attributes:
        norms: kinds of layers whose kernel takes up the batch normalisation behind it.
        relus: kinds of layers whose operator takes up a ReLU or ReLU6 behind it.
        gone: kinds of layers that compute nothing once a net is trained, so that nothing is left of them.
    """

    norms: tuple[type, ...]
    relus: tuple[type, ...] = ()
    gone: tuple[type, ...] = ()


_PLANES = (_L.Conv2D, _L.DepthwiseConv2D, _L.SeparableConv2D)
_TFLITE = (
    *_PLANES,
    *(_L.Conv1D, _L.DepthwiseConv1D, _L.SeparableConv1D, _L.Conv1DTranspose, _L.Conv2DTranspose),
    *(_L.Dense, _L.EinsumDense),
)
FUSING: dict[str, Fusing] = {
    "tflite": Fusing(
        norms=_TFLITE,
        relus=(
            *_TFLITE,
            *(_L.Conv3D, _L.Conv3DTranspose, _L.BatchNormalization),  # end in an addition
            *(_L.Add, _L.Subtract, _L.Multiply, _L.MaxPooling2D, _L.AveragePooling2D),
        ),
        gone=(_L.Dropout,),
    ),
    "onnx": Fusing(norms=(*_PLANES, _L.Conv3D), gone=(_L.Dropout,)),
    # Kernels whose last axis are the output channels (`compression.folding`).
    "keras": Fusing(norms=(_L.Conv1D, _L.Conv2D, _L.Conv3D, _L.Dense)),
}


def nodes(model: keras.Model) -> list:
    """Calls that a model's graph is made of; a layer may have others, in other models.

    Args:
        model: functional.
    """
    return [node for several in model._nodes_by_depth.values() for node in several]


def consumers(model: keras.Model) -> dict[str, list]:
    """Operations that take an operation's output, by the operation's name.

    Args:
        model: functional.
    """
    found: dict[str, list] = {op.name: [] for op in model.operations}
    for node in nodes(model):
        for tensor in node.input_tensors:
            found[tensor._keras_history.operation.name].append(node.operation)
    return found


def producer(op):
    """The operation whose output an operation of one input takes.

    Args:
        op: operation of one input.
    """
    return op.input._keras_history.operation


def activation_of(op) -> str:
    """Name of an operation's activation, `"linear"` for none.

    Args:
        op: an activation, or a layer with the argument `activation`.
    """
    if isinstance(op, _L.ReLU):
        plain = op.negative_slope == 0 and op.threshold == 0 and op.max_value in (None, 6)
        return ("relu6" if op.max_value else "relu") if plain else "relu with a slope, a threshold or a limit"
    activation = getattr(op, "activation", None) or keras.activations.linear
    return getattr(activation, "__name__", type(activation).__name__)


def is_relu(op) -> bool:
    """Whether an operation is a layer of its own that computes ReLU or ReLU6.

    Args:
        op: any operation.
    """
    return isinstance(op, _L.Activation | _L.ReLU) and activation_of(op) in _RELUS


class Fusion:
    """What a converter makes of a net."""

    def __init__(self, model: keras.Model, converter: str):
        """Reads the graph.

        Args:
            model: functional; nothing inside nested models is looked at.
            converter: row of `FUSING`.
        """
        self.model, self._row = model, FUSING[converter]
        self._consumers = consumers(model)
        for tensor in model.outputs:
            self._consumers[tensor._keras_history.operation.name].append(None)  # it is needed as it is

    def _source(self, op):
        """The last operation before this one that computes something; None where others take its output too."""
        while not isinstance(op.input, list | tuple | dict):
            source = producer(op)
            if len(self._consumers.get(source.name, ())) != 1:
                return None
            if not self._is_gone(source):
                return source
            op = source
        return None

    def _is_gone(self, op) -> bool:
        silent = isinstance(op, _L.Activation) and activation_of(op) == "linear"
        return bool(self._row.gone) and (isinstance(op, self._row.gone) or silent)

    def folds(self, norm: keras.layers.BatchNormalization) -> bool:
        """Whether a batch normalisation goes into the kernel before it.

        Args:
            norm: a layer of the model.
        """
        source = self._source(norm)
        if isinstance(norm, ChannelwiseNormalization) or source is None:
            return False
        if isinstance(source, _L.BatchNormalization) and self._row.gone:
            return self.folds(source)
        return isinstance(source, self._row.norms) and activation_of(source) == "linear"

    def joins(self, op) -> bool:
        """Whether an operation is no operator of its own in the file.

        Args:
            op: an operation of the model.
        """
        if isinstance(op, _L.BatchNormalization):
            return self.folds(op)
        if self._is_gone(op):
            return True
        source = self._source(op) if is_relu(op) else None
        return source is not None and isinstance(source, self._row.relus) and activation_of(source) == "linear"

    def norms(self, folded: bool) -> list[keras.layers.BatchNormalization]:
        """Batch normalisations in the order of computation.

        Args:
            folded: whether the norms that go into a kernel are wanted, or the others.
        """
        every = [op for op in self.model.operations if isinstance(op, _L.BatchNormalization)]
        return [norm for norm in every if self.folds(norm) == folded]


def unfolded_norms(model: keras.Model, converter: str) -> list[str]:
    """Names of the batch normalisations that are operators of their own in a file.

    In pre-activation nets these follow an addition or a pooling.

    Args:
        model: functional; nested models are looked into.
        converter: row of `FUSING`.
    """
    own = Fusion(model, converter).norms(folded=False)
    found = [norm.name for norm in own if not isinstance(norm, ChannelwiseNormalization)]
    for layer in model.layers:
        if is_functional(layer):
            found += unfolded_norms(layer, converter)
    return found


def scales_otherwise(model: keras.Model) -> bool:
    """Whether other layers than batch normalisation multiply by constants per channel, as group normalisation does.

    Then the multiplications in a file do not count unfolded norms.

    Args:
        model: functional; nested models are looked into.
    """
    known = (_L.BatchNormalization, FakeQuantize, *FUSING["tflite"].norms, _L.Conv3D, _L.Conv3DTranspose)

    def scales(layer: keras.layers.Layer) -> bool:
        if is_functional(layer):
            return scales_otherwise(layer)
        if isinstance(layer, _L.Rescaling):  # by a number for each of several channels, like units of values
            return isinstance(layer.scale, list | tuple)
        return isinstance(layer, _L.Normalization) or bool(layer.weights and not isinstance(layer, known))

    return any(map(scales, model.layers))
