"""What a classifier's outputs are compared with while it learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet.signals.operations import operations
from keras_resnet.tasks.interface import Objectives

if TYPE_CHECKING:
    from keras_resnet.tasks.classification.settings import Facts, Settings


def encode(truth: Mapping[str, Any], facts: Facts, settings: Settings):
    """Float targets with one 1 each, as mixing and distillation need them: float32 `(n, classes)`.

    Args:
        truth: `label`, int64 `(n,)`, a tensor of TensorFlow or an array of JAX.
        facts: number of classes.
        settings: head of the recipe.
    """
    del settings
    return operations(truth["label"]).one_hot(truth["label"], facts.classes)


def objectives(facts: Facts, settings: Settings) -> Objectives:
    """Cross-entropy, a focal loss or a binary loss for every class; the accuracy is watched.

    Args:
        facts: number of classes, and their weights.
        settings: name of the loss, its threshold, label smoothing.
    """
    loss = _LOSSES[settings.loss](settings)
    return Objectives(
        loss=_weighted(loss, facts.weights) if facts.weights else loss,
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        watch="accuracy",
        larger_is_better=True,
        form="{:.2%}",
        as_error=True,
    )


def _crossentropy(settings: Settings):
    return keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)


def _focal(settings: Settings):
    return keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=settings.focal_gamma, label_smoothing=settings.label_smoothing
    )


def _weighted(loss, weights: tuple[float, ...]):
    """The loss of every example, times the weight of its class, or of the classes that it is mixed of."""

    def weighted(targets, probabilities):
        each = loss.call(targets, probabilities)  # (n,)
        return each * keras.ops.sum(targets * keras.ops.convert_to_tensor(weights, targets.dtype), axis=-1)

    return weighted


def _binary(settings: Settings):
    """Every class is a question of its own; on logits, since the sum of probabilities is free."""
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    if not settings.target_threshold:
        return loss
    return lambda targets, logits: loss(keras.ops.cast(targets > settings.target_threshold, "float32"), logits)


_LOSSES = {"cross-entropy": _crossentropy, "binary": _binary, "focal": _focal}
