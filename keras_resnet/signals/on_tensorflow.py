"""TensorFlow's array functions under the names of `signals.operations`."""

from __future__ import annotations

import tensorflow as tf

abs = tf.abs  # noqa: A001
cast, concat, cos, exp, floor, maximum, minimum = tf.cast, tf.concat, tf.cos, tf.exp, tf.floor, tf.maximum, tf.minimum
one_hot, ones_like, pad, reshape, round, sin, sqrt = (  # noqa: A001
    tf.one_hot, tf.ones_like, tf.pad, tf.reshape, tf.round, tf.sin, tf.sqrt
)  # fmt: skip
stack, transpose, where, zeros_like = tf.stack, tf.transpose, tf.where, tf.zeros_like
clip, inverse, mean, matmul = tf.clip_by_value, tf.linalg.inv, tf.reduce_mean, tf.linalg.matmul


def arange(count: int, dtype: str = "int32") -> tf.Tensor:
    """The numbers below `count`."""
    return tf.range(count, dtype=dtype)


def gathered(values: tf.Tensor, indices: tf.Tensor, axis: int) -> tf.Tensor:
    """Takes other elements along an axis in every example.

    Args:
        values: `(n, ...)`.
        indices: int32 `(n, m)`.
        axis: axis of `values` that becomes `m` long.
    """
    return tf.gather(values, indices, axis=axis, batch_dims=1)


def grey(images: tf.Tensor) -> tf.Tensor:
    """Luminance of RGB images, float32 `(n, H, W, 1)`."""
    return tf.image.rgb_to_grayscale(images)


def matrices(values: tf.Tensor) -> tf.Tensor:
    """Nine numbers as a matrix: `(..., 9)` to `(..., 3, 3)`."""
    return tf.reshape(values, tf.concat([tf.shape(values)[:-1], [3, 3]], 0))


def projected(images: tf.Tensor, transforms: tf.Tensor, outside: int = 0) -> tf.Tensor:
    """Images moved by projective maps from output to input, bilinear.

    Args:
        images: uint8 `(n, H, W, C)`.
        transforms: float32 `(n, 8)`, as `ImageProjectiveTransformV3` takes them.
        outside: value of what comes from outside.
    """
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=images.shape[1:3],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=float(outside),
    )
