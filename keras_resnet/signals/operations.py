"""Array functions for what a tensor is of: TensorFlow's in its pipelines, JAX's on the device of a training.

`xp = operations(images)`, and an augmentation is written once. Both modules have the same names, and give the same
pixels where these are whole numbers.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any


def is_jax(values: Any) -> bool:
    """Whether it is an array of JAX, or stands for one while a function is traced."""
    return type(values).__module__.partition(".")[0] in ("jax", "jaxlib")


def operations(values: Any) -> ModuleType:
    """The functions for an array of its kind.

    Args:
        values: JAX array or TensorFlow tensor; NumPy's arrays become TensorFlow's.

    Returns:
        `signals.on_jax` or `signals.on_tensorflow`, as `xp`.
    """
    if is_jax(values):
        from keras_resnet.signals import on_jax

        return on_jax
    from keras_resnet.signals import on_tensorflow

    return on_tensorflow
