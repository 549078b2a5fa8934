"""Refusals of what cannot be explained: tasks and signals that do not support it."""

from __future__ import annotations

from keras_resnet.card import ModelCard
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import get_task


def check_support(card: ModelCard) -> None:
    """Refuses models whose answers cannot be explained.

    Args:
        card: card of the model.

    Raises:
        InputError: the task or the signal does not support it.
    """
    get_task(card.task).require("explain")
    get_signal(card.signal).require("explain")
