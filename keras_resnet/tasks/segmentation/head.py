"""The head of a segmentation, its targets and its losses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.nets.segmentation import SegmenterSpec, get_segmenter
from keras_resnet.segmenter import decoded
from keras_resnet.tasks.interface import Objectives
from keras_resnet.tasks.segmentation.losses import MeanIoU, PixelLoss
from keras_resnet.tasks.segmentation.settings import AUXILIARY, OUTPUT, TRUTH

if TYPE_CHECKING:
    from keras_resnet.tasks.segmentation.settings import Facts, Settings


def spec_of(settings: Settings) -> SegmenterSpec:
    """The row of the decoder with the changes of a recipe.

    Args:
        settings: head of the recipe.
    """
    row = get_segmenter(settings.decoder)
    widths = row.widths
    if settings.width:
        widths = tuple(max(4, settings.width >> step) for step in range(len(row.widths)))
    return dataclasses.replace(row, width=settings.width or row.width, widths=widths, dropout=settings.dropout)


def attach(backbone: keras.Model, facts: Facts, settings: Settings, *, training: bool) -> keras.Model:
    """Puts a decoder behind a backbone.

    Args:
        backbone: model without head, of a fixed input size.
        facts: names of the classes.
        settings: decoder.
        training: with the auxiliary head where the settings weigh it; without, the model that is saved.

    Returns:
        A model from the backbone's input to `logits`, `(n, height, width, classes)`, float32.
    """
    return decoded(
        backbone,
        spec_of(settings),
        len(facts.names),
        aux=training and settings.aux > 0,
        stages=settings.stages or None,
    )


def encode(truth: Mapping[str, Any], facts: Facts, settings: Settings) -> Any:
    """The mask, uint8 `(n, height, width)`, once for every output."""
    del facts
    mask = truth[TRUTH]
    return {OUTPUT: mask, AUXILIARY: mask} if settings.aux else mask


def objectives(facts: Facts, settings: Settings) -> Objectives:
    """The losses of both heads; the mean IoU of the main one is watched.

    Args:
        facts: classes and their weights.
        settings: loss, and the weight of the auxiliary head's.
    """

    def loss() -> PixelLoss:
        gamma = settings.focal_gamma if settings.loss == "focal" else 0.0
        alpha, beta = settings.tversky_alpha, settings.tversky_beta
        return PixelLoss(gamma, facts.weights, settings.dice, settings.tversky, alpha, beta)

    metric = MeanIoU(len(facts.names))
    if not settings.aux:
        return Objectives(loss=loss(), metrics=[metric], watch=metric.name, larger_is_better=True, form="{:.2%}")
    return Objectives(
        loss={OUTPUT: loss(), AUXILIARY: loss()},
        loss_weights={OUTPUT: 1.0, AUXILIARY: settings.aux},
        metrics={OUTPUT: [metric]},
        watch=f"{OUTPUT}_{metric.name}",
        larger_is_better=True,
        form="{:.2%}",
    )


def adopted(model: keras.Model, card: ModelCard, *, logits: bool = False, origin: object = "the model") -> keras.Model:
    """A model that gives a map of scores; the largest one is the answer, logits or not.

    Args:
        model: functional.
        card: its card.
        logits: any.
        origin: file, for messages.

    Raises:
        InputError: the output is no map of classes.
    """
    del logits
    outputs = keras.tree.flatten(model.outputs)
    if len(outputs) == 1 and len(outputs[0].shape) != 4:
        raise InputError(
            f"{origin} gives {tuple(outputs[0].shape)}: expected (batch, height, width, classes) for task {card.task}"
        )
    return model
