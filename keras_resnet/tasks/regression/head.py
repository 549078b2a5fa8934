"""The head of a regression, its targets and its losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.nets.graph import deep_graphs
from keras_resnet.nets.heads import classifier, layer_maker
from keras_resnet.tasks.interface import Objectives
from keras_resnet.tasks.regression.settings import OUTPUT, TRUTH

if TYPE_CHECKING:
    from keras_resnet.tasks.regression.settings import Facts, Settings


def attach(backbone: keras.Model, facts: Facts, settings: Settings, *, training: bool) -> keras.Model:
    """Puts global average pooling and a dense layer behind a backbone, and for the saved model the units.

    Args:
        backbone: model that gives one feature map `(n, ..., channels)` of any rank.
        facts: means and standard deviations of the training values.
        settings: dropout.
        training: with dropout, and values in standard deviations from the mean; without, the model that is saved, whose
            last layer multiplies and adds, so that every file gives real units.

    Returns:
        A model from the backbone's input to `(n, k)`, float32.
    """
    with deep_graphs():
        answers = classifier(
            layer_maker(len(backbone.output.shape) - 2),
            backbone.output,
            len(facts.mean),
            activation=None,
            dropout=settings.dropout if training else 0.0,
        )
        if not training:
            scale, mean = (each[0] if len(each) == 1 else list(each) for each in (facts.scale, facts.mean))
            answers = keras.layers.Rescaling(scale, mean, dtype="float32", name=OUTPUT)(answers)
        return keras.Model(backbone.input, answers, name=backbone.name)


def encode(truth: Mapping[str, Any], facts: Facts, settings: Settings):
    """Values in standard deviations from the mean: float32 `(n, k)`.

    Args:
        truth: `values`, float32 `(n, k)`, a tensor of TensorFlow or an array of JAX.
        facts: means and standard deviations.
        settings: head of the recipe.
    """
    del settings
    return (truth[TRUTH] - np.array(facts.mean, np.float32)) / np.array(facts.scale, np.float32)


def objectives(facts: Facts, settings: Settings) -> Objectives:
    """The loss; the mean absolute error in standard deviations is watched.

    Args:
        facts: means and standard deviations.
        settings: name of the loss.
    """
    del facts
    losses = {
        "huber": lambda: keras.losses.Huber(delta=settings.huber_delta),
        "squared": keras.losses.MeanSquaredError,
        "absolute": keras.losses.MeanAbsoluteError,
    }
    return Objectives(
        loss=losses[settings.loss](),
        metrics=[keras.metrics.MeanAbsoluteError(name="mean_absolute_error")],
        watch="mean_absolute_error",
    )


def adopted(model: keras.Model, card: ModelCard, *, logits: bool = False, origin: object = "the model") -> keras.Model:
    """A model that gives values; one from elsewhere gives them in units that it has learnt.

    Args:
        model: functional.
        card: its card.
        logits: must be false.
        origin: file, for messages.

    Raises:
        InputError: the output is none of a regression's.
    """
    if logits:
        raise InputError(f"--logits goes with classes: task {card.task} gives values")
    outputs = keras.tree.flatten(model.outputs)
    if len(outputs) == 1 and len(outputs[0].shape) != 2:
        raise InputError(f"{origin} gives {tuple(outputs[0].shape)}: expected (batch, values) for task {card.task}")
    return model
