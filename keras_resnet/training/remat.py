"""Rematerialisation: the backward pass computes a block's outputs again, and memory holds one tensor per block.

For nets so deep that their activations do not fit (ResNet-1202: 195 MB an image). A step takes about a third longer, as
the forward pass runs twice. `keras.remat` alone would update the moving statistics of batch normalisation twice a step.
"""

from __future__ import annotations

import contextlib
import functools

import keras

from keras_resnet.errors import InputError
from keras_resnet.nets.fused import statistics_held
from keras_resnet.nets.graph import BLOCK_OUT, deep_graphs


def rematerialise(model: keras.Model) -> int:
    """Makes a model keep only its blocks' outputs while training, for as long as the object lives.

    Args:
        model: net of this package with fused normalisation (`fuse`), on TensorFlow; changed in place. Its variables,
            their names, its outputs and its saved files do not change.

    Returns:
        Number of parts that are computed twice.

    Raises:
        InputError: the model holds a layer whose second call would change its state or its output.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.nets.fused import fuse
        >>> from keras_resnet.training.remat import rematerialise
        >>> model = keras_resnet.build("resnet20_cifar")
        >>> fuse(model), rematerialise(model)
        (19, 9)
    """
    ends = [layer.output for layer in model.layers if BLOCK_OUT.search(layer.name)]
    for layer in model.layers:
        is_stock = isinstance(layer, keras.layers.BatchNormalization) and "call" not in vars(layer)
        draws_again = isinstance(layer, keras.layers.Dropout) and layer.name.endswith("_drop")
        if is_stock or draws_again:
            raise InputError(
                f"remat: {layer.name} would act twice in a step; expected fused batch normalisation and no stochastic "
                "depth"
            )
    cuts = [model.input, *ends, model.output]
    with deep_graphs():
        parts = [keras.Model(start, end) for start, end in zip(cuts, cuts[1:], strict=False)]
    plain = model.call
    model.call = functools.partial(_call, plain, parts)
    return len(parts) - 1


def _call(plain, parts: list[keras.Model], inputs, training=None, mask=None):
    if not training:
        return plain(inputs, training=training, mask=mask)
    x = inputs
    for part in parts[:-1]:
        x = _recomputed(part, x)
    return parts[-1](x, training=True)


def _recomputed(part: keras.Model, x):
    import tensorflow as tf

    called = False

    def run(x):
        """The first call is the forward pass, every later one belongs to the backward pass."""
        nonlocal called
        again, called = called, True
        with statistics_held() if again else contextlib.nullcontext():
            return part(x, training=True)

    return tf.recompute_grad(run)(x)
