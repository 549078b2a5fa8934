"""JAX's array functions under the names of `signals.operations`."""

from __future__ import annotations

import jax
import jax.numpy as jnp

abs = jnp.abs  # noqa: A001
cos, exp, floor, maximum, minimum = jnp.cos, jnp.exp, jnp.floor, jnp.maximum, jnp.minimum
ones_like, pad, reshape, round, sin, sqrt = (  # noqa: A001
    jnp.ones_like, jnp.pad, jnp.reshape, jnp.round, jnp.sin, jnp.sqrt
)  # fmt: skip
stack, transpose, where, zeros_like = jnp.stack, jnp.transpose, jnp.where, jnp.zeros_like
clip, concat, inverse, matmul = jnp.clip, jnp.concatenate, jnp.linalg.inv, jnp.matmul
mean, one_hot = jnp.mean, jax.nn.one_hot

_LUMINANCE = (0.2989, 0.5870, 0.1140)  # of RGB, TensorFlow's


def arange(count: int, dtype: str = "int32") -> jax.Array:
    """The numbers below `count`."""
    return jnp.arange(count, dtype=dtype)


def cast(values: jax.Array, dtype: str) -> jax.Array:
    """The values in another number type."""
    return jnp.asarray(values).astype(dtype)


def gathered(values: jax.Array, indices: jax.Array, axis: int) -> jax.Array:
    """Takes other elements along an axis in every example.

    Args:
        values: `(n, ...)`.
        indices: int32 `(n, m)`.
        axis: axis of `values` that becomes `m` long.
    """
    return jax.vmap(lambda one, places: jnp.take(one, places, axis=axis - 1))(values, indices)


def grey(images: jax.Array) -> jax.Array:
    """Luminance of RGB images, float32 `(n, H, W, 1)`."""
    return (images * jnp.array(_LUMINANCE, images.dtype)).sum(-1, keepdims=True)


def matrices(values: jax.Array) -> jax.Array:
    """Nine numbers as a matrix: `(..., 9)` to `(..., 3, 3)`."""
    return values.reshape(*values.shape[:-1], 3, 3)


def projected(images: jax.Array, transforms: jax.Array, outside: int = 0) -> jax.Array:
    """Images moved by projective maps from output to input, bilinear.

    Args:
        images: uint8 `(n, H, W, C)`.
        transforms: float32 `(n, 8)`, as TensorFlow's `ImageProjectiveTransformV3` takes them.
        outside: value of what comes from outside.
    """
    return jax.vmap(lambda image, t: _one_projected(image, t, outside))(images, transforms)


def _one_projected(image: jax.Array, t: jax.Array, outside: int) -> jax.Array:
    height, width = image.shape[:2]
    y, x = jnp.mgrid[:height, :width].astype("float32")
    scale = t[6] * x + t[7] * y + 1
    column, row = (t[0] * x + t[1] * y + t[2]) / scale, (t[3] * x + t[4] * y + t[5]) / scale
    left, top = jnp.floor(column), jnp.floor(row)
    right, down = (column - left)[..., None], (row - top)[..., None]

    def at(rows, columns):
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        places = jnp.clip(rows, 0, height - 1).astype("int32"), jnp.clip(columns, 0, width - 1).astype("int32")
        return jnp.where(inside[..., None], image[places].astype("float32"), float(outside))

    upper = (1 - right) * at(top, left) + right * at(top, left + 1)
    lower = (1 - right) * at(top + 1, left) + right * at(top + 1, left + 1)
    return ((1 - down) * upper + down * lower).astype(image.dtype)  # cut off, as TensorFlow's kernel does
