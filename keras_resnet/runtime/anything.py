"""A runner of whatever a notebook has: a model in memory, a run, a file, a name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras

from keras_resnet.card import UNKNOWN, ModelCard
from keras_resnet.errors import InputError
from keras_resnet.runtime import foreign
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.runtime.opening import open_named
from keras_resnet.weights import built

MODELS = (
    "a keras.Model, a run, (model, card), the path of a .keras, .h5, .tflite or .onnx file, or the name of a net with "
    "weights"
)


def runner_of(model: Any, weights: str | None = None, hints: foreign.Hints = foreign.NO_HINTS) -> Runner:
    """Opens a model, whatever it is given as.

    Args:
        model: runner; `keras.Model`; what `train` returned; what `load_model` returned; path of a file or a run
            directory; name of a net.
        weights: for the name of a net: registered name, weight file, or `"none"`.
        hints: what a person says of a model that does not tell itself.

    Raises:
        InputError: none of these, or a model that cannot be used: the message says what is expected.
    """
    if isinstance(model, Runner):
        return model
    if isinstance(model, str | os.PathLike):
        return open_named(model, weights, hints)
    if isinstance(run := getattr(model, "run_dir", None), Path):
        return open_named(run, None, hints)
    return KerasRunner(*model_of(model, hints))


def model_of(model: Any, hints: foreign.Hints = foreign.NO_HINTS) -> tuple[keras.Model, ModelCard]:
    """A model in memory in the form that everything here works with, and its card.

    Args:
        model: `keras.Model`, or what `load_model` returned.
        hints: what a person says of it.

    Raises:
        InputError: neither, or a model without a card that no hint describes and that cannot be a model of its task.
    """
    card: ModelCard | None = None
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[1], ModelCard):
        model, card = model
    if not isinstance(model, keras.Model):
        raise InputError(f"model: expected {MODELS}; received {type(model).__name__}")
    card = card or built.card_of(model) or UNKNOWN
    return foreign.adopted(model, card, hints, f"the model {model.name}")
