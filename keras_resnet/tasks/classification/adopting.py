"""Classifiers from elsewhere: whatever they end in, they get probabilities of two classes or more."""

from __future__ import annotations

import logging

import keras

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.nets.graph import deep_graphs
from keras_resnet.tasks.classification.settings import OUTPUT

_log = logging.getLogger("keras_resnet")


def adopted(model: keras.Model, card: ModelCard, *, logits: bool = False, origin: object = "the model") -> keras.Model:
    """A model that gives probabilities.

    Args:
        model: functional.
        card: its card.
        logits: whether its outputs are logits although its last layer does not say so.
        origin: file, for messages.

    Returns:
        `model` itself where its outputs are probabilities. Logits get a softmax, one sigmoid output becomes two
        classes, 1 - p and p; both are said in a log line.

    Raises:
        InputError: the output is none of a classifier's.
    """
    outputs = keras.tree.flatten(model.outputs)
    names = list(model.output) if isinstance(model.output, dict) else []
    if len(outputs) != 1 and OUTPUT not in names:
        return model  # refused by whoever looks for the task's outputs
    (tensor,) = outputs if len(outputs) == 1 else (model.output[OUTPUT],)
    if len(tensor.shape) != 2:
        raise InputError(
            f"{origin} gives {tuple(tensor.shape)}: expected (batch, classes), a classifier; models for segmentation, "
            "detection and features are not supported"
        )
    if len(outputs) > 1:
        return model
    end = ending(tensor)
    with deep_graphs():
        if tensor.shape[-1] == 1:
            return _of_two(model, tensor, end, logits, origin)
        if logits or end == "linear":
            if not logits:
                _log.warning("note: %s ends in logits, as its last layer has no activation: a softmax follows", origin)
            return keras.Model(model.input, keras.layers.Softmax(name=OUTPUT)(tensor), name=model.name)
    return model


def _of_two(model: keras.Model, tensor, end: str, logits: bool, origin: object) -> keras.Model:
    if end != "sigmoid" and not logits:
        raise InputError(
            f"{origin} has one output without a sigmoid: expected two classes or more, one probability, or with "
            "--logits the logit of the second of two classes"
        )
    second = keras.layers.Activation("sigmoid", name="second")(tensor) if logits else tensor
    _log.warning("note: %s has one output: two classes, with the probabilities 1 - p and p", origin)
    first = keras.layers.Rescaling(-1.0, 1.0, name="first")(second)
    return keras.Model(model.input, keras.layers.Concatenate(name=OUTPUT)([first, second]), name=model.name)


def ending(tensor) -> str:
    """Name of the activation that a tensor comes from; empty where it is not known.

    Args:
        tensor: symbolic output of a functional model.
    """
    operation = tensor._keras_history.operation
    while isinstance(operation, keras.Model):  # a model within the model
        inner = keras.tree.flatten(getattr(operation, "outputs", []))  # a subclassed one has none
        if len(inner) != 1:
            return ""
        operation = inner[0]._keras_history.operation
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    own = getattr(operation, "activation", None)
    called = getattr(own, "__name__", "")
    if called == "linear" and not isinstance(operation, keras.layers.Dense):
        before = operation.input  # Activation("linear"), of mixed precision
        return ending(before) if isinstance(before, keras.KerasTensor) else ""
    return called or {"Softmax": "softmax", "Sigmoid": "sigmoid"}.get(type(operation).__name__, "")
