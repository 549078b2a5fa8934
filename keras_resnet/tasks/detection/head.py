"""The head of a detector, its targets and its loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet.detector import raw_outputs
from keras_resnet.errors import InputError
from keras_resnet.nets.graph import deep_graphs
from keras_resnet.segmenter import options_of
from keras_resnet.tasks.detection.losses import DetectionLoss
from keras_resnet.tasks.detection.settings import DENSE, TRUTH, spec_of
from keras_resnet.tasks.interface import Objectives

if TYPE_CHECKING:
    from keras_resnet.tasks.detection.settings import Facts, Settings

WATCHED = "ap"


def attach(backbone: keras.Model, facts: Facts, settings: Settings, *, training: bool) -> keras.Model:
    """Puts a pyramid and a head behind a backbone.

    Args:
        backbone: model without head, of a fixed input size.
        facts: names of the classes.
        settings: detector.
        training: with all raw outputs as one, `dense`, for the loss; without, the model that is saved.

    Returns:
        A model from the backbone's input to the raw outputs by name, float32.

    Raises:
        InputError: the pyramid's stride does not divide the input.
    """
    spec = dataclasses.replace(spec_of(settings), classes=len(facts.names))
    _check_size(spec.neck.levels[-1], backbone.input_shape[1:-1])
    with deep_graphs():
        found = raw_outputs(backbone, spec, options_of(backbone))
        if training:
            found = {DENSE: joined(found, facts, spec.head.priors)}
        return keras.Model(backbone.input, found, name=backbone.name)


def _check_size(level: int, size: tuple[int | None, ...]) -> None:
    stride = 2**level
    if None in size or any(side % stride for side in size):  # type: ignore[operator]
        near = " x ".join(str(-(-side // stride) * stride) for side in size if side)
        raise InputError(
            f"input of {' x '.join(map(str, size))} pixels: a detector's height and width must be divisible by "
            f"{stride}; the next ones are {near}: set image_size and image_width"
        )


def joined(found: Mapping[str, Any], facts: Facts, priors: int) -> Any:
    """All numbers of a prior box in one row: scores, box, centerness; the finest map first.

    Args:
        found: raw outputs by name.
        facts: strides, and whether there is centerness.
        priors: number of prior boxes of a place.
    """
    rows = []
    for stride in facts.strides:
        kinds = ["scores", "boxes", *(["centerness"] if facts.centerness else [])]
        parts = [found[f"{kind}_{stride}"] for kind in kinds]
        count = parts[0].shape[1] * parts[0].shape[2] * priors
        flat = [
            keras.layers.Reshape((count, part.shape[-1] // priors), dtype="float32", name=f"{kind}_{stride}_rows")(part)
            for kind, part in zip(kinds, parts, strict=True)
        ]
        rows.append(keras.layers.Concatenate(axis=-1, dtype="float32", name=f"{DENSE}_{stride}")(flat))
    if len(rows) == 1:
        return keras.layers.Activation("linear", dtype="float32", name=DENSE)(rows[0])
    return keras.layers.Concatenate(axis=1, dtype="float32", name=DENSE)(rows)


def encode(truth: Mapping[str, Any], facts: Facts, settings: Settings) -> Any:
    """The boxes as they are, float32 `(n, M, 7)`: who learns them depends on what the net answers."""
    del facts, settings
    return truth[TRUTH]


def objectives(facts: Facts, settings: Settings) -> Objectives:
    """The loss; the AP of the validation examples is watched, which the task's scorer finds after every epoch.

    Args:
        facts: classes, prior boxes and the size of training inputs.
        settings: detector.

    Raises:
        InputError: the facts are of a card, which knows no size of inputs.
    """
    if not facts.size:
        raise InputError("facts without size: expected those of a training set (`facts(dataset, settings)`)")
    loss = DetectionLoss(facts, settings, (facts.size[0], facts.size[1]))
    return Objectives(loss=loss, watch=WATCHED, larger_is_better=True, form="{:.2%}", by_scorer=True)
