"""Refusals of what cannot be explained: tasks that do not support it, and all but images."""

from __future__ import annotations

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import get_task


def check_support(card: ModelCard) -> None:
    """Refuses models whose answers cannot be explained.

    Args:
        card: card of the model.

    Raises:
        InputError: the task does not support it, or the signal has no pixels to colour.
    """
    get_task(card.task).require("explain")
    if get_signal(card.signal).rank != 2:
        raise InputError(f"explain colours images, and the model looks at another signal: {card.signal}")
