"""The head of a localization, its targets and its losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet.localizer import located
from keras_resnet.tasks.interface import Objectives
from keras_resnet.tasks.localization.losses import BoxLoss, ClassLoss
from keras_resnet.tasks.localization.settings import BOX, LOGITS, TRUTH

if TYPE_CHECKING:
    from keras_resnet.tasks.localization.settings import Facts, Settings


def attach(backbone: keras.Model, facts: Facts, settings: Settings, *, training: bool) -> keras.Model:
    """Puts a class and a box behind a backbone.

    Args:
        backbone: model that gives one feature map, of a fixed input size.
        facts: names of the classes.
        settings: where the box is read off, dropout.
        training: with dropout.

    Returns:
        A model from the backbone's input to `logits` `(n, classes)` and `box` `(n, 4)`, float32.
    """
    dropout = settings.dropout if training else 0.0
    return located(backbone, len(facts.names), place=settings.place, dropout=dropout)


def encode(truth: Mapping[str, Any], facts: Facts, settings: Settings) -> dict[str, Any]:
    """The boxes as they are, float32 `(n, M, 7)`, for both losses, which take the largest one of each."""
    del facts, settings
    return {LOGITS: truth[TRUTH], BOX: truth[TRUTH]}


def objectives(facts: Facts, settings: Settings) -> Objectives:
    """The losses; the share of the validation examples that are found is watched.

    Args:
        facts: classes, and the size of the input.
        settings: weights.
    """
    size = (facts.size[0], facts.size[1])
    return Objectives(
        loss={LOGITS: ClassLoss(len(facts.names), settings.label_smoothing), BOX: BoxLoss(size)},
        loss_weights={LOGITS: 1.0, BOX: settings.box_weight},
        watch="localized",
        larger_is_better=True,
        form="{:.2%}",
        by_scorer=True,
    )
