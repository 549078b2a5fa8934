"""The model and the card that the options of `predict` name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from keras_resnet.evaluation.command import note_missing_card
from keras_resnet.labels import class_names
from keras_resnet.runtime import foreign

if TYPE_CHECKING:
    from keras_resnet.card import ModelCard
    from keras_resnet.runtime.interface import Runner


def opened(args: argparse.Namespace) -> tuple[Runner, ModelCard]:
    """Opens the model; TensorFlow or JAX must be imported.

    Args:
        args: options of `predict`.

    Returns:
        The model, and its card with the names of the classes and the threshold that were asked for.

    Raises:
        InputError: no such model, or options that it cannot have.
    """
    from keras_resnet.evaluation.prediction import at_threshold, class_count, renamed
    from keras_resnet.runtime.opening import open_named

    runner = open_named(args.model, args.weights, foreign.hints_of(args))
    note_missing_card(args.model, runner)
    card = runner.card
    if args.classes:
        card = renamed(card, class_names(args.classes, class_count(runner)))
    return runner, card if args.threshold is None else at_threshold(card, args.threshold)
