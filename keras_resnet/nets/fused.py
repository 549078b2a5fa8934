"""Batch normalisation by TensorFlow's fused kernel, for training speed; what is saved stays a plain layer.

Keras 3 computes batch normalisation from single operations, in float32 whatever the policy. The fused kernel is one
pass forward and one backward, and takes bfloat16 as it is: with it ResNet-20 trains 1.9 times as fast in bfloat16 on a
processor that has it, and 1.25 times in float32 (benchmarks/training.py).

The kernel is put behind `call` of single layer objects. Their class and configuration stay Keras' own, so a model is
saved, cloned and exported as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator

import keras

_held = threading.local()


@contextlib.contextmanager
def statistics_held() -> Iterator[None]:
    """Training-mode calls inside leave the moving statistics alone: they repeat calls that have updated them."""
    before, _held.now = getattr(_held, "now", False), True
    try:
        yield
    finally:
        _held.now = before


def statistics_are_held() -> bool:
    """Whether a layer shall leave its moving statistics alone now."""
    return getattr(_held, "now", False)


def fuse(model: keras.Model) -> int:
    """Makes a model's batch normalisations compute with the fused kernel, for as long as the object lives.

    Layers stay as they are where the kernel does not fit: on other backends than TensorFlow, synchronized over
    replicas, with renorm, without scale or offset, on other inputs than 4-D channels-last ones.

    Args:
        model: any Keras model; changed in place. Its variables, their names and its saved files do not change.

    Returns:
        How many layers use the kernel now.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.nets.fused import fuse
        >>> fuse(keras_resnet.build("resnet8"))
        7
    """
    if keras.backend.backend() != "tensorflow":
        return 0
    layers = [layer for layer in model.layers if type(layer) is keras.layers.BatchNormalization and _fits(layer)]
    for layer in layers:
        layer.call = functools.partial(call, layer)
    return len(layers)


def _fits(layer: keras.layers.BatchNormalization) -> bool:
    rank = len(layer.input.shape)
    return (
        rank == 4
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not layer.synchronized
        and not layer.renorm
    )


def call(layer: keras.layers.BatchNormalization, inputs, training=None, mask=None):
    """As `BatchNormalization.call`; the moving variance gets the batch's biased variance, as there.

    Args:
        layer: four-dimensional inputs, channels last, with scale and offset, not synchronized.
        inputs: `(N, H, W, C)`.
        training: whether statistics of the batch are used; None for what Keras decides.
        mask: with one, Keras' own operations are used.
    """
    import tensorflow as tf

    if mask is not None or inputs.dtype == tf.float64:
        return keras.layers.BatchNormalization.call(layer, inputs, training=training, mask=mask)
    learning = bool(training and layer.trainable)
    # TensorFlow's own variables and few operations: with hundreds of norms, tracing them is what a first step costs.
    moving_mean, moving_variance = layer.moving_mean.value, layer.moving_variance.value
    nothing = tf.constant([], tf.float32)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=layer.gamma.value,
        offset=layer.beta.value,
        mean=nothing if learning else moving_mean,
        variance=nothing if learning else moving_variance,
        epsilon=layer.epsilon,
        is_training=learning,
    )
    if learning and not statistics_are_held():
        rate = 1 - layer.momentum
        # The kernel returns the unbiased variance, n / (n - 1) of the one that Keras keeps.
        biased = variance * (1 - inputs.shape[-1] / tf.cast(tf.size(inputs), tf.float32))
        moving_mean.assign_sub((moving_mean - mean) * rate)
        moving_variance.assign_sub((moving_variance - biased) * rate)
    return outputs
