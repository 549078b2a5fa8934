"""Activations as TFLite needs them: written in operators that it has, and that are right in eight bits."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import keras
from keras import ops

from export.formats.artifacts import Artifact
from keras_resnet.errors import InputError

# Constants of arXiv:1706.02515, as Keras has them.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _below_zero(x):
    """min(x, 0): in eight bits MINIMUM with a constant is wrong, and NEG stays in float."""
    return x - ops.relu(x)


def elu(x, alpha: float = 1.0):
    """ELU: LiteRT 2.3 has no ELU operator, although the converter writes one."""
    return ops.relu(x) + alpha * (ops.exp(_below_zero(x)) - 1.0)


def celu(x, alpha: float = 1.0):
    """CELU."""
    return ops.relu(x) + alpha * (ops.exp(_below_zero(x) / alpha) - 1.0)


def selu(x):
    """SELU: the converter's own form computes exp(x) of large x."""
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


def softplus(x):
    """Softplus, log(1 + exp(x)), which the converter computes by these words: NaN for x above 88."""
    return ops.relu(x) - ops.log(ops.sigmoid(ops.abs(x)))


def log_sigmoid(x):
    """Logarithm of the sigmoid."""
    return _below_zero(x) + ops.log(ops.sigmoid(ops.abs(x)))


def mish(x):
    """Mish: x tanh(softplus(x))."""
    return x * ops.tanh(softplus(x))


# By the names of Keras' functions, and so of its layers and operations in other letters.
WRITTEN: dict[str, Callable] = {each.__name__: each for each in (elu, celu, selu, softplus, log_sigmoid, mish)}
# Right in float; of integers TFLite has a wrong SELECT for them, a DIV by values that become 0, or no operator.
NOT_IN_INT8 = ("softsign", "hard_shrink", "soft_shrink", "threshold", "sparse_plus", "sparsemax")


def operations(model: keras.Model) -> Iterator[keras.Operation]:
    """Every layer and operation of a model, those of nested models too.

    Args:
        model: functional.
    """
    for operation in model.operations if hasattr(model, "operations") else model.layers:
        yield operation
        if isinstance(operation, keras.Model):
            yield from operations(operation)


def name_of(operation: keras.Operation) -> str:
    """The activation that a layer applies, by the name of Keras' function; empty for none.

    Args:
        operation: layer or operation of a model.
    """
    own = getattr(operation, "activation", None)
    called = getattr(own, "__name__", "")
    if called and own is getattr(keras.activations, called, None):
        return called
    kind = type(operation)
    known = {name.replace("_", ""): name for name in (*WRITTEN, *NOT_IN_INT8)}
    return known.get(kind.__name__.lower(), "") if kind.__module__.startswith("keras.") else ""


def rewrite(model: keras.Model) -> None:
    """Has the activations of `WRITTEN` computed as written here; the model is changed, and no file of it.

    Args:
        model: functional; for a process of its own.
    """
    for operation in operations(model):
        function = WRITTEN.get(name_of(operation))
        if function is None:
            continue
        if getattr(operation, "activation", None) is not None:
            operation.activation = function
        else:  # a layer or operation that is the activation
            alpha = {"alpha": operation.alpha} if hasattr(operation, "alpha") else {}
            operation.call = functools.partial(function, **alpha)


def simplify(model: keras.Model) -> None:
    """Has the place of the largest value found by one operator: Keras tells -0 from 0 by bits, which TFLite cannot.

    Args:
        model: functional; for a process of its own.
    """
    for operation in operations(model):
        kind = type(operation)
        if kind.__name__ == "Argmax" and kind.__module__.startswith("keras.") and not operation.keepdims:
            operation.call = functools.partial(_argmax, axis=operation.axis)


def _argmax(x, axis: int | None):
    import tensorflow as tf

    return tf.argmax(x if axis is not None else tf.reshape(x, [-1]), axis or 0, output_type=tf.int32)


def refuse(model: keras.Model, artifact: Artifact) -> None:
    """Refuses, before the conversion, what TFLite would compute wrongly.

    Args:
        model: functional.
        artifact: what to make of it.

    Raises:
        InputError: the artifact's activations are integers, and one of the model is in `NOT_IN_INT8`.
    """
    if artifact.format.name != "tflite" or not artifact.calibrated:
        return
    found = {name: each.name for each in operations(model) if (name := name_of(each)) in NOT_IN_INT8}
    if found:
        names = ", ".join(f"{name} (layer {layer})" for name, layer in found.items())
        raise InputError(
            f"{artifact.name}: TFLite cannot compute {names} with integers; export a precision whose activations are "
            "float (dynamic_int8, float16) or ONNX, or train with another activation"
        )
