"""Rewriting a functional graph: layers are replaced by others, ranges are put where an integer engine has tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_resnet.errors import InputError
from keras_resnet.nets.compressed import COMPRESSED, ChannelwiseNormalization, FakeQuantize
from keras_resnet.nets.fusion import activation_of, consumers, is_relu, nodes, unfolded_norms
from keras_resnet.nets.graph import deep_graphs

_L = keras.layers
_LINEAR: tuple[Any, ...] = tuple(COMPRESSED)
_RELU = ("relu", "relu6")
# Layers whose output has the range of their input: TFLite requires the same scale on both sides.
_SAME_RANGE = (
    _L.MaxPooling1D,
    _L.MaxPooling2D,
    _L.MaxPooling3D,
    _L.AveragePooling1D,
    _L.AveragePooling2D,
    _L.AveragePooling3D,
    _L.GlobalMaxPooling2D,
    _L.ZeroPadding1D,
    _L.ZeroPadding2D,
    _L.ZeroPadding3D,
    _L.Cropping2D,
    _L.Flatten,
    _L.Reshape,
    _L.Resizing,
    _L.Dropout,
)
_MEASURED = (
    _L.Add,
    _L.Multiply,
    _L.Concatenate,
    _L.GlobalAveragePooling1D,
    _L.GlobalAveragePooling2D,
    _L.GlobalAveragePooling3D,
)
_ACTIVATIONS = (*_RELU, "linear", "sigmoid", "softmax", "tanh")
_PAD = "Pad"  # `keras.ops.pad`, which is an operation and no layer


@dataclass(frozen=True)
class _Place:
    """Changes behind a layer.

    Attributes:
        ranged: whether its output is rounded.
        activation: activation that is split off, so that its input is rounded as well; empty for none.
    """

    ranged: bool = False
    activation: str = ""


def compressed(
    model: keras.Model, transforms: Callable[[keras.layers.Layer], Sequence[keras.layers.Layer]], *, bits: int = 0
) -> keras.Model:
    """Clones a net with transformed kernels, and with rounded activations if asked for.

    Args:
        model: functional model, not compressed; it stays as it is.
        transforms: function of a convolution or dense layer; gives the transforms of its kernel, empty for none.
        bits: bits of the activations; 0 leaves them alone.

    Returns:
        A model with the same values in the variables of the same paths. With `bits`, batch normalisations that no
        convolution precedes become `ChannelwiseNormalization`, and an activation inside the last layer becomes a layer
        behind it.

    Raises:
        InputError: a layer cannot be quantized; all of them are named.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.nets.compressed import RoundedKernel
        >>> from keras_resnet.compression.rewriting import compressed
        >>> net = compressed(keras_resnet.build("resnet8"), lambda layer: [RoundedKernel(8)], bits=8)
        >>> [layer.name for layer in net.layers[1:6]]
        ['image_range', 'conv1_conv', 'conv1_bn', 'conv1_relu', 'conv1_relu_range']
    """
    check(model, quantized=bool(bits))
    places = _places(model) if bits else {}
    unfolded = set(unfolded_norms(model, "keras")) if bits else set()

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, _LINEAR):
            if places.get(layer.name, _Place()).activation:
                config["activation"] = "linear"
            if chosen := list(transforms(layer)):
                return COMPRESSED[type(layer)].from_config({**config, "transforms": chosen})
        if layer.name in unfolded:
            return ChannelwiseNormalization.from_config(config)
        return layer.from_config(config)

    def begin(image):
        return FakeQuantize(bits, name="image_range", dtype=_dtype(model))(image) if bits else image

    def call(layer, *args, **kwargs):
        x = layer(*args, **kwargs)
        place = places.get(layer.name, _Place())
        if place.ranged:
            x = FakeQuantize(bits, name=f"{layer.name}_range", dtype=layer.dtype_policy)(x)
        if place.activation:
            x = _L.Activation(place.activation, name=f"{layer.name}_{place.activation}", dtype=layer.dtype_policy)(x)
        return x

    net = cloned(model, clone, call, begin)
    known = {weight.path: weight for weight in model.weights}
    for weight in net.weights:
        if weight.path in known:
            weight.assign(known[weight.path])
    return net


def cloned(
    model: keras.Model, clone: Callable, call: Callable | None = None, begin: Callable | None = None
) -> keras.Model:
    """Keras' `clone_model`, with the name of the input and something behind it.

    Args:
        model: functional model with one input.
        clone: function of a layer; gives the one in its place, without weights.
        call: function that calls a layer; by default `layer(*args, **kwargs)`.
        begin: function of the input; gives what the first layers get.
    """
    (image,) = model.inputs
    name = image._keras_history.operation.name
    start = keras.Input(batch_shape=image.shape, dtype=image.dtype, name=name)
    behind: list[keras.KerasTensor] = []  # made by the first call, as clone_model hands out the input itself

    def call_behind(layer, *args, **kwargs):
        if begin is not None and not behind:
            behind.append(begin(start))
        args = keras.tree.map_structure(lambda x: behind[0] if behind and x is start else x, args)
        return call(layer, *args, **kwargs) if call else layer(*args, **kwargs)

    with deep_graphs():
        return keras.models.clone_model(model, input_tensors=start, clone_function=clone, call_function=call_behind)


def _dtype(model: keras.Model):
    return next((layer.dtype_policy for layer in model.layers if layer.weights), "float32")


def is_quantized(model: keras.Model) -> bool:
    """True for a net that was trained for integers: its ranges are known, no images are needed to find them.

    Args:
        model: Keras model; nested ones are looked into.
    """
    return any(isinstance(layer, FakeQuantize) for layer in model._flatten_layers())


def check(model: keras.Model, *, quantized: bool) -> None:
    """Refuses nets that cannot be rewritten.

    Args:
        model: Keras model.
        quantized: whether every layer needs an integer form.

    Raises:
        InputError: some layers cannot be rewritten, and are named; or the whole is no such model.
    """
    if not hasattr(model, "operations") or len(model.inputs) != 1:
        raise InputError(f"{model.name}: expected a functional model with one input")
    nested = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
    if nested:
        raise InputError(f"models inside the model cannot be rewritten: {', '.join(nested)}; build it flat")
    calls = Counter(node.operation.name for node in nodes(model))
    shared = [name for name, count in calls.items() if count > 1]
    if shared:
        raise InputError(f"layers used more than once cannot be rewritten: {', '.join(shared)}")
    if not any(isinstance(layer, _LINEAR) for layer in model.layers):
        raise InputError(f"{model.name} has no convolution and no dense layer: nothing to compress")
    unknown = [f"{op.name} ({type(op).__name__})" for op in model.operations if not _has_integer_form(op)]
    if quantized and unknown:
        raise InputError(
            f"layers that cannot be quantized: {', '.join(unknown)}; known are convolutions, dense layers, batch "
            f"normalisation, pooling, resizing, padding, Add, Multiply, Concatenate and the activations "
            f"{', '.join(_ACTIVATIONS)}"
        )


def _has_integer_form(op) -> bool:
    if isinstance(op, _L.InputLayer | _L.BatchNormalization | _L.ReLU) or type(op).__name__ == _PAD:
        return not isinstance(op, _L.ReLU) or activation_of(op) in _RELU
    if isinstance(op, _LINEAR + (_L.Activation,)):
        return activation_of(op) in _ACTIVATIONS and (not isinstance(op, _LINEAR) or type(op) in COMPRESSED)
    return isinstance(op, _SAME_RANGE + _MEASURED)


def _places(model: keras.Model) -> dict[str, _Place]:
    """Places where an integer engine has a tensor with its own range: fused parts have one, behind the last."""
    followers_of = consumers(model)
    outputs = {tensor._keras_history.operation.name for tensor in model.outputs}
    places = {}
    for op in model.operations:
        followers = followers_of[op.name]
        alone = len(followers) == 1 and op.name not in outputs
        before_relu = alone and is_relu(followers[0])
        before_norm = alone and isinstance(followers[0], _L.BatchNormalization) and isinstance(op, _LINEAR)
        if isinstance(op, _LINEAR) and activation_of(op) not in (*_RELU, "linear"):
            places[op.name] = _Place(ranged=True, activation=activation_of(op))
        elif isinstance(op, _LINEAR + (_L.BatchNormalization,) + _MEASURED):
            places[op.name] = _Place(ranged=not (before_relu or before_norm))
        elif isinstance(op, _L.Activation | _L.ReLU):  # the others have fixed ranges
            places[op.name] = _Place(ranged=activation_of(op) in _RELU)
    return places
