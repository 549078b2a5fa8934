"""The head of a classifier, and the scalar whose evidence an explanation shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from keras_resnet.nets.graph import deep_graphs
from keras_resnet.nets.heads import classifier, layer_maker

if TYPE_CHECKING:
    from keras_resnet.tasks.classification.settings import Facts, Settings


def attach(backbone: keras.Model, facts: Facts, settings: Settings, *, training: bool) -> keras.Model:
    """Puts global average pooling and a dense layer behind a backbone.

    Args:
        backbone: model that gives one feature map `(n, ..., channels)` of any rank.
        facts: number of classes.
        settings: loss and dropout.
        training: with dropout, and with logits where the loss wants them; without, the model that is saved.

    Returns:
        A model from the backbone's input to probabilities `(n, classes)`, float32.
    """
    with deep_graphs():
        rank = len(backbone.output.shape) - 2
        answers = classifier(
            layer_maker(rank),
            backbone.output,
            facts.classes,
            activation=None if training and settings.loss == "binary" else "softmax",
            dropout=settings.dropout if training else 0.0,
        )
        return keras.Model(backbone.input, answers, name=backbone.name)


def scalar(outputs, classes):
    """Scores of one class for each example, differentiable: `(n,)`.

    Args:
        outputs: logits `(n, classes)`, a tensor.
        classes: int `(n,)`, the class of each example.
    """
    return keras.ops.take_along_axis(outputs, classes[:, None], axis=1)[:, 0]
