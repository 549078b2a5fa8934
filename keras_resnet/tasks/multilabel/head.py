"""The head of a multi-label classifier, its targets and its losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet.nets.graph import deep_graphs
from keras_resnet.nets.heads import classifier, layer_maker
from keras_resnet.signals.operations import operations
from keras_resnet.tasks.interface import Objectives
from keras_resnet.tasks.multilabel.settings import TRUTH

if TYPE_CHECKING:
    from keras_resnet.tasks.multilabel.settings import Facts, Settings


def attach(backbone: keras.Model, facts: Facts, settings: Settings, *, training: bool) -> keras.Model:
    """Puts global average pooling and a dense layer behind a backbone.

    Args:
        backbone: model that gives one feature map `(n, ..., channels)` of any rank.
        facts: number of tags.
        settings: dropout.
        training: with dropout, and with logits; without, the model that is saved, which ends in sigmoids.

    Returns:
        A model from the backbone's input to `(n, classes)`, float32.
    """
    with deep_graphs():
        answers = classifier(
            layer_maker(len(backbone.output.shape) - 2),
            backbone.output,
            facts.classes,
            activation=None if training else "sigmoid",
            dropout=settings.dropout if training else 0.0,
        )
        return keras.Model(backbone.input, answers, name=backbone.name)


def encode(truth: Mapping[str, Any], facts: Facts, settings: Settings):
    """Float targets, 1 for every tag that an example has: float32 `(n, classes)`.

    Args:
        truth: `tags`, uint8 `(n, classes)`, a tensor of TensorFlow or an array of JAX.
        facts: number of tags.
        settings: head of the recipe.
    """
    del facts, settings
    return operations(truth[TRUTH]).cast(truth[TRUTH], "float32")


def objectives(facts: Facts, settings: Settings) -> Objectives:
    """A binary loss for every tag; the mean area below their precision-recall curves is watched.

    Args:
        facts: number of tags, and their weights.
        settings: name of the loss, label smoothing.
    """

    def loss(targets, logits):
        one_by_one = targets[..., None], logits[..., None]  # Keras' losses average over the last axis
        how: dict[str, Any] = {"from_logits": True, "label_smoothing": settings.label_smoothing}
        if settings.loss == "focal":
            each = keras.losses.binary_focal_crossentropy(*one_by_one, gamma=settings.focal_gamma, **how)
        else:
            each = keras.losses.binary_crossentropy(*one_by_one, **how)
        if facts.weights:
            each *= 1 + keras.ops.cast(targets, each.dtype) * (keras.ops.convert_to_tensor(facts.weights) - 1)
        return keras.ops.mean(each, axis=-1)

    area = keras.metrics.AUC(
        curve="PR", multi_label=True, num_labels=facts.classes, from_logits=True, name="mean_average_precision"
    )
    return Objectives(
        loss=loss, metrics=[area], watch="mean_average_precision", larger_is_better=True, form="{:.2%}", as_error=True
    )
