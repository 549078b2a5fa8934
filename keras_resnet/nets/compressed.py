"""Layers that compute with compressed kernels and rounded activations while they learn.

They are Keras layers with the variables of those they stand for, under the same names, and a few that do not learn:
ranges, masks, centroids. So weights move between a net and its compressed form by their paths, checkpoints hold all of
it, and every strategy and optimizer works as with any other net.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_resnet.errors import InputError
from keras_resnet.nets import fused

if TYPE_CHECKING:  # what a layer with a kernel has; at run time the class that it is mixed into
    _Layer: Any = object
else:
    _Layer = object
_PACKAGE = "keras_resnet"
_LEAST = 1e-8  # half of a range: an empty channel has one too


def _register(cls):
    return keras.saving.register_keras_serializable(_PACKAGE)(cls)


def _fake_quantization():
    """TensorFlow's operations, which its converter to TFLite turns into scales.

    Raises:
        InputError: Keras runs on another backend.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"quantization-aware training needs Keras' TensorFlow backend, this is {keras.backend.backend()}: unset "
            "KERAS_BACKEND"
        )
    import tensorflow as tf

    return tf.quantization


@_register
class FakeQuantize(keras.layers.Layer):
    """Rounds activations to the steps that an integer engine has, and learns their range from what it sees.

    The range is that of the training batches: their mean for the first ones, an exponential average later. It always
    contains 0, which padding needs exactly. Gradients pass where values are inside the range (arXiv:1712.05877).

    Args:
        bits: number of bits of an integer, 2 to 8.
        momentum: share of the old value in the moving average.
        **kwargs: Keras'.

    Input shape:
        Any.

    Output shape:
        The input's, float.
    """

    def __init__(self, bits: int = 8, momentum: float = 0.99, **kwargs):
        """Takes the settings."""
        super().__init__(**kwargs)
        _fake_quantization()
        self.bits, self.momentum = bits, momentum

    def build(self, input_shape) -> None:
        """Makes the range, and a count of the batches that it was learnt from."""
        kind = {"shape": (), "trainable": False, "dtype": "float32", "autocast": False, "aggregation": "mean"}
        self.low = self.add_weight(name="low", initializer="zeros", **kind)
        self.high = self.add_weight(name="high", initializer="zeros", **kind)
        self.seen = self.add_weight(name="seen", initializer="zeros", **kind)

    def call(self, inputs, training=None):
        """Rounds; while training the range moves first."""
        x = ops.cast(inputs, "float32")
        if training and self.trainable and not fused.statistics_are_held():
            rate = ops.maximum(1.0 - self.momentum, 1.0 / (self.seen + 1.0))
            self.low.assign(self.low + rate * (ops.minimum(ops.stop_gradient(ops.min(x)), 0.0) - self.low))
            self.high.assign(self.high + rate * (ops.maximum(ops.stop_gradient(ops.max(x)), 0.0) - self.high))
            self.seen.assign(self.seen + 1.0)
        high = ops.maximum(self.high, self.low + _LEAST)
        x = _fake_quantization().fake_quant_with_min_max_vars(x, self.low, high, num_bits=self.bits)
        return ops.cast(x, inputs.dtype)

    def compute_output_shape(self, input_shape):
        """The input's."""
        return input_shape

    def get_config(self) -> dict[str, object]:
        """The arguments."""
        return {**super().get_config(), "bits": self.bits, "momentum": self.momentum}


@_register
class RoundedKernel(keras.layers.Layer):
    """A kernel in integers with a scale for every output channel or one for all, symmetric about 0.

    As batch normalisation multiplies whole output channels, the kernel with a norm folded into it is rounded alike.

    Args:
        bits: 2 to 8; the most negative integer is not used.
        per_channel: a scale for every output channel. TFLite's converter takes dense layers with one for all only.
        **kwargs: Keras'.
    """

    def __init__(self, bits: int = 8, per_channel: bool = True, **kwargs):
        """Takes the settings."""
        super().__init__(**{"dtype": "float32", **kwargs})
        _fake_quantization()
        self.bits, self.per_channel = bits, per_channel

    def call(self, kernel):
        """Rounds."""
        flat = ops.reshape(kernel, (-1, kernel.shape[-1]))
        sizes = ops.abs(ops.stop_gradient(flat))
        if not self.per_channel:
            limit = ops.maximum(ops.max(sizes), _LEAST)
            how = {"num_bits": self.bits, "narrow_range": True}
            return _fake_quantization().fake_quant_with_min_max_vars(kernel, -limit, limit, **how)
        limit = ops.maximum(ops.max(sizes, axis=0), _LEAST)
        rounded = _fake_quantization().fake_quant_with_min_max_vars_per_channel(
            kernel if len(kernel.shape) == 4 else flat, -limit, limit, num_bits=self.bits, narrow_range=True
        )
        return ops.reshape(rounded, kernel.shape)

    def get_config(self) -> dict[str, object]:
        """The arguments."""
        return {**super().get_config(), "bits": self.bits, "per_channel": self.per_channel}


@_register
class Mask(keras.layers.Layer):
    """A kernel some of whose weights are 0: `pruning.Schedule` says which."""

    def __init__(self, **kwargs):
        """Takes Keras' arguments."""
        super().__init__(**{"dtype": "float32", **kwargs})

    def build(self, kernel_shape) -> None:
        """Makes the mask, of ones."""
        self.mask = self.add_weight(name="mask", shape=kernel_shape, initializer="ones", trainable=False)

    def call(self, kernel):
        """Applies the mask; what it hides gets no gradient.

        Not by a product: that has negative zeros, whose signs cost a bit each in a packed file.
        """
        return ops.where(self.mask > 0, kernel, ops.zeros_like(kernel))


@_register
class Clusters(keras.layers.Layer):
    """A kernel of few different values: every weight is replaced by the nearest centroid.

    A centroid is the mean of the weights that are nearest to it: every training step is a step of Lloyd's algorithm on
    the weights that the optimizer keeps, which get the gradients of what stands for them.

    Args:
        clusters: number of values that a kernel keeps, from 2.
        **kwargs: Keras'.
    """

    def __init__(self, clusters: int, **kwargs):
        """Takes the settings."""
        super().__init__(**{"dtype": "float32", **kwargs})
        self.clusters = clusters

    def build(self, kernel_shape) -> None:
        """Makes the centroids; `clustering.begin` gives them their first values."""
        self.centroids = self.add_weight(
            name="centroids", shape=(self.clusters,), initializer="zeros", trainable=False, aggregation="mean"
        )

    def call(self, kernel, training=None):
        """Replaces the weights."""
        flat = ops.stop_gradient(ops.reshape(kernel, (-1,)))
        nearest = self._nearest(flat)
        if training:
            counts = ops.segment_sum(ops.ones_like(flat), nearest, self.clusters)
            sums = ops.segment_sum(flat, nearest, self.clusters)
            self.centroids.assign(ops.where(counts > 0, sums / ops.maximum(counts, 1.0), self.centroids))
        chosen = ops.reshape(ops.take(self.centroids, nearest), kernel.shape)
        return kernel + ops.stop_gradient(chosen - kernel)

    def exactly(self, kernel):
        """The centroids themselves, without the rounding of the sum that lets gradients pass."""
        nearest = self._nearest(ops.reshape(ops.convert_to_tensor(kernel), (-1,)))
        return ops.reshape(ops.take(self.centroids, nearest), kernel.shape)

    def _nearest(self, flat):
        centroids = ops.convert_to_tensor(self.centroids)  # ascending, as means of neighbouring intervals are
        return ops.searchsorted((centroids[1:] + centroids[:-1]) / 2, flat)

    def get_config(self) -> dict[str, object]:
        """The arguments."""
        return {**super().get_config(), "clusters": self.clusters}


class WithKernel(_Layer):
    """What a layer with a kernel gets: transforms that its kernel passes before it is used.

    Args:
        transforms: layers that take a kernel and return one of that shape, in this order.
    """

    def __init__(self, *args, transforms=(), **kwargs):
        """Takes the layer's arguments and the transforms."""
        super().__init__(*args, **kwargs)
        self.transforms = [keras.saving.deserialize_keras_object(t) if isinstance(t, dict) else t for t in transforms]

    def build(self, input_shape) -> None:
        """Makes the variables of all."""
        super().build(input_shape)
        for transform in self.transforms:
            if not transform.built:  # those of a file are
                transform.build(tuple(self.kernel.shape))

    def transformed(self, kernel):
        """The kernel that is used.

        Args:
            kernel: kernel of the layer.
        """
        dtype = kernel.dtype
        for transform in self.transforms:
            kernel = transform(kernel)
        return ops.cast(kernel, dtype)

    def exact_kernel(self):
        """The kernel that is used outside of training, float32, for a plain layer."""
        kernel = ops.convert_to_tensor(self.kernel)
        for transform in self.transforms:
            kernel = transform.exactly(kernel) if isinstance(transform, Clusters) else transform(kernel)
        return kernel

    def get_config(self) -> dict[str, object]:
        """The arguments."""
        transforms = [keras.saving.serialize_keras_object(transform) for transform in self.transforms]
        return {**super().get_config(), "transforms": transforms}


def kernels(model: keras.Model) -> dict[str, np.ndarray]:
    """What the convolutions and dense layers of a model compute with, by the layer's name.

    Args:
        model: plain or compressed.
    """
    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    return {
        layer.name: ops.convert_to_numpy(layer.exact_kernel() if isinstance(layer, WithKernel) else layer.kernel)
        for layer in layers
    }


def parameters(model: keras.Model) -> int:
    """Number of parameters of the net that a model computes: no masks, centroids or ranges of activations.

    Args:
        model: plain or compressed.
    """
    own = [layer for layer in model.layers if not isinstance(layer, FakeQuantize)]
    beside = [each for layer in own if isinstance(layer, WithKernel) for each in layer.transforms]
    return sum(layer.count_params() for layer in own) - sum(each.count_params() for each in beside)


class _Convolution(WithKernel):
    def convolution_op(self, inputs, kernel):
        """Convolves with the transformed kernel."""
        return super().convolution_op(inputs, self.transformed(kernel))


@_register
class CompressedConv1D(_Convolution, keras.layers.Conv1D):
    """`Conv1D` with a transformed kernel."""


@_register
class CompressedConv2D(_Convolution, keras.layers.Conv2D):
    """`Conv2D` with a transformed kernel."""


@_register
class CompressedConv3D(_Convolution, keras.layers.Conv3D):
    """`Conv3D` with a transformed kernel."""


@_register
class CompressedDense(WithKernel, keras.layers.Dense):
    """`Dense` with a transformed kernel."""

    def call(self, inputs, training=None):
        """As `Dense`."""
        x = ops.matmul(inputs, self.transformed(self.kernel))
        x = x if self.bias is None else ops.add(x, self.bias)
        return x if self.activation is None else self.activation(x)


# What stands for which of Keras' layers.
COMPRESSED: dict[type, Any] = {
    keras.layers.Conv1D: CompressedConv1D,
    keras.layers.Conv2D: CompressedConv2D,
    keras.layers.Conv3D: CompressedConv3D,
    keras.layers.Dense: CompressedDense,
}


@_register
class ChannelwiseNormalization(keras.layers.BatchNormalization):
    """Batch normalisation that follows no convolution, as in pre-activation nets.

    Converters make a multiplication and an addition of it, each rounded with one scale for all channels. Outside of
    training this layer is a depthwise 1x1 convolution, whose weights have a scale per channel and whose sum is rounded
    once, together with the ReLU behind it.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalises by the batch while training, else by one convolution."""
        if training and self.trainable:
            normalize = super().call if self.synchronized else functools.partial(fused.call, self)
            return normalize(inputs, training=training, mask=mask)
        factor = self.gamma * ops.rsqrt(self.moving_variance + self.epsilon)
        offset = self.beta - self.moving_mean * factor
        kernel = ops.cast(ops.reshape(factor, (1, 1, -1, 1)), inputs.dtype)
        return ops.depthwise_conv(inputs, kernel, padding="valid") + ops.cast(offset, inputs.dtype)
