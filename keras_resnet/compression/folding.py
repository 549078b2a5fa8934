"""Batch normalisation folded into the convolutions before it."""

from __future__ import annotations

import keras
import numpy as np

from keras_resnet.compression import rewriting
from keras_resnet.errors import InputError
from keras_resnet.nets.fusion import Fusion, producer


def folded(model: keras.Model) -> keras.Model:
    """Folds the batch normalisations that follow a convolution or dense layer into it.

    It has fewer operations, as in the file that a converter makes.

    Args:
        model: functional, plain; untouched.

    Returns:
        A model whose convolutions have biases; norms that follow no convolution stay.

    Raises:
        InputError: the model cannot be rewritten.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.compression.folding import folded
        >>> folded(keras_resnet.build("resnet8")).count_params()
        77706
    """
    rewriting.check(model, quantized=False)
    norms = Fusion(model, "keras").norms(folded=True)
    before = {producer(norm).name: norm for norm in norms}
    gone = {norm.name for norm in norms}

    def clone(layer):
        config = layer.get_config()
        return type(layer).from_config({**config, "use_bias": True} if layer.name in before else config)

    def call(layer, *args, **kwargs):
        return args[0] if layer.name in gone else layer(*args, **kwargs)

    net = rewriting.cloned(model, clone, call)
    for layer in net.layers:
        old = model.get_layer(layer.name)
        layer.set_weights(_values(old, before[layer.name]) if layer.name in before else old.get_weights())
    return net


def folded_if_possible(model: keras.Model) -> keras.Model:
    """`folded`, or the model itself where it cannot be rewritten, like an ensemble or one with layers of its own.

    Args:
        model: any Keras model; untouched.
    """
    try:
        return folded(model)
    except InputError:
        return model


def _factor(norm: keras.layers.BatchNormalization) -> np.ndarray:
    gamma = keras.ops.convert_to_numpy(norm.gamma) if norm.scale else 1.0
    return gamma / np.sqrt(keras.ops.convert_to_numpy(norm.moving_variance) + norm.epsilon)


def _values(layer: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias with a norm folded in."""
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    bias = [keras.ops.convert_to_numpy(layer.bias)] if layer.use_bias else []
    factor, mean = _factor(norm), keras.ops.convert_to_numpy(norm.moving_mean)
    beta = keras.ops.convert_to_numpy(norm.beta) if norm.center else 0.0
    return [kernel * factor, (bias[0] if bias else 0.0) * factor + beta - mean * factor]
