"""Array functions for what a tensor is of: TensorFlow's in its pipelines, JAX's on the device of a training.

`xp = operations(images)`, and an augmentation is written once. Both modules have the same names, and give the same
pixels where these are whole numbers. NumPy has the few that are needed where there is no TensorFlow.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import numpy as np

from keras_resnet.extras import is_there


def is_jax(values: Any) -> bool:
    """Whether it is an array of JAX, or stands for one while a function is traced."""
    return type(values).__module__.partition(".")[0] in ("jax", "jaxlib")


@functools.cache  # asked for several times a picture; and what is cached, TensorFlow does not try to trace
def has_tensorflow() -> bool:
    """Whether TensorFlow is installed."""
    return is_there("tensorflow")


def operations(values: Any) -> ModuleType:
    """The functions for an array of its kind.

    Args:
        values: JAX array or TensorFlow tensor; NumPy's arrays become TensorFlow's where it is installed.

    Returns:
        `signals.on_jax`, `signals.on_tensorflow` or `signals.on_numpy`, as `xp`.
    """
    if is_jax(values):
        from keras_resnet.signals import on_jax

        return on_jax
    if isinstance(values, np.ndarray | np.generic) and not has_tensorflow():
        from keras_resnet.signals import on_numpy

        return on_numpy
    from keras_resnet.signals import on_tensorflow

    return on_tensorflow
