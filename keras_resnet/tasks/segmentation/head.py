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
from keras_resnet.tasks.segmentation.settings import AUXILIARY, CLASSES, LOGITS, OUTPUT, TRUTH, output_of

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
    axes = 3 if card.facts.get("form") == CLASSES else 4
    if len(outputs) == 1 and len(outputs[0].shape) != axes:
        raise InputError(
            f"{origin} gives {tuple(outputs[0].shape)}: expected (batch, height, width, classes) for task {card.task}"
        )
    return model


def formed(model: keras.Model, card: ModelCard, form: str) -> tuple[keras.Model, ModelCard]:
    """What a file of a form computes, and its card.

    Args:
        model: from images to scores at their size.
        card: its card.
        form: `"logits"`: scores at the size of the decoder's map; `"probabilities"`; or `"classes"`, uint8.

    Raises:
        InputError: the model has a form already, or ends in a softmax.
    """
    if card.facts.get("form"):
        raise InputError(f"the model gives {card.facts['form']} already: --form is for one that gives logits")
    (scores,) = keras.tree.flatten(model.outputs)
    facts = {**card.facts, "form": form}
    if form == LOGITS:
        facts["size"] = list(scores.shape[1:3])
        scores = _before_resizing(scores)
    elif _is_softmax(scores):
        raise InputError(f"--form {form}: the model ends in a softmax; without --form its file gives probabilities")
    elif scores.shape[-1] == 1:  # a probability as it is
        scores = scores if form != CLASSES else keras.ops.cast(scores[..., 0] > 0.5, "uint8")
    elif form == CLASSES:
        scores = keras.ops.cast(keras.ops.argmax(scores, axis=-1), "uint8")
    else:
        scores = keras.layers.Softmax(name=form, dtype="float32")(scores)
    made = keras.Model(model.input, {output_of(form): scores}, name=model.name)
    return made, dataclasses.replace(card, facts=facts)


def _before_resizing(scores: keras.KerasTensor) -> keras.KerasTensor:
    """The map that a net resizes last, bilinearly; the scores themselves where it does not."""
    layer = scores._keras_history.operation
    while isinstance(layer, keras.layers.Activation | keras.layers.Resizing):
        resizes = isinstance(layer, keras.layers.Resizing)
        plain = layer.activation is keras.activations.linear if not resizes else _is_plain(layer)
        if not plain:
            break
        scores = layer.input
        if resizes:
            break
        layer = scores._keras_history.operation
    return scores


def _is_plain(layer: keras.layers.Resizing) -> bool:
    """Whether a layer does what `forms.resized` does."""
    config = layer.get_config()
    others = ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
    return config["interpolation"] == "bilinear" and not any(config.get(name) for name in others)


def _is_softmax(scores: keras.KerasTensor) -> bool:
    layer = scores._keras_history.operation
    return isinstance(layer, keras.layers.Softmax) or getattr(layer, "activation", None) is keras.activations.softmax
