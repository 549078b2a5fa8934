"""Facts of a card as its task understands them: what prediction, evaluation and the export ask."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from keras_resnet.card import VERSION, ModelCard
from keras_resnet.errors import InputError
from keras_resnet.tasks.table import TASKS, get_task


def understood(card: ModelCard, origin: object) -> ModelCard:
    """A card without the facts that only a newer package understands; says on stderr which those are.

    Args:
        card: card as it was read. That of a task that does not exist comes back as it is.
        origin: model that the card came from, for messages.

    Returns:
        A card of this version.

    Raises:
        InputError: facts that the task does not have, on a card that is not newer.
    """
    if card.task not in TASKS:
        return card
    known = {field.name for field in dataclasses.fields(TASKS[card.task].code.Facts)}
    unknown = sorted(set(card.facts) - known)
    if unknown and card.version <= VERSION:
        raise _foreign(card, f"unknown: {', '.join(map(ascii, unknown))}")
    if unknown:
        print(
            f"note: {origin} has a card of version {card.version}, newer than this package's {VERSION}; "
            f"ignored facts of task {card.task}: {', '.join(map(ascii, unknown))}",
            file=sys.stderr,
        )
    facts = {name: value for name, value in card.facts.items() if name in known}
    found = dataclasses.replace(card, facts=facts, version=min(card.version, VERSION))
    facts_of(found)  # a card may be a stranger's: wrong types are refused here, not where they are used
    return found


def facts_of(card: ModelCard) -> Any:
    """What the functions of a task take as `facts`.

    Args:
        card: result of `understood`.

    Raises:
        InputError: no such task, or the facts are not the task's.
    """
    try:
        return get_task(card.task).code.Facts(**card.facts)
    except (TypeError, ValueError) as error:
        raise _foreign(card, error) from None


def _foreign(card: ModelCard, reason: object) -> InputError:
    return InputError(f"the card's facts are not those of task {card.task} ({reason}): save the model again")
