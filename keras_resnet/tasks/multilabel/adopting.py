"""Multi-label classifiers from elsewhere: whatever they end in, they get a probability for each tag."""

from __future__ import annotations

import logging

import keras

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.nets.graph import deep_graphs
from keras_resnet.tasks.classification.adopting import ending
from keras_resnet.tasks.multilabel.settings import OUTPUT

_log = logging.getLogger("keras_resnet")


def adopted(model: keras.Model, card: ModelCard, *, logits: bool = False, origin: object = "the model") -> keras.Model:
    """A model that gives a probability for each tag.

    Args:
        model: functional.
        card: its card.
        logits: whether its outputs are logits although its last layer does not say so.
        origin: file, for messages.

    Returns:
        `model` itself where it ends in sigmoids; logits get them, which is said in a log line.

    Raises:
        InputError: the output is none of a multi-label classifier's.
    """
    outputs = keras.tree.flatten(model.outputs)
    if len(outputs) != 1:
        return model  # refused by whoever looks for the task's outputs
    (tensor,) = outputs
    if len(tensor.shape) != 2:
        raise InputError(f"{origin} gives {tuple(tensor.shape)}: expected (batch, tags) for task {card.task}")
    end = ending(tensor)
    if end == "softmax":
        raise InputError(f"{origin} ends in a softmax, one class of many: expected sigmoids for task {card.task}")
    if not logits and end != "linear":
        return model
    if not logits:
        _log.warning("note: %s ends in logits, as its last layer has no activation: sigmoids follow", origin)
    with deep_graphs():
        return keras.Model(model.input, keras.layers.Activation("sigmoid", name=OUTPUT)(tensor), name=model.name)
