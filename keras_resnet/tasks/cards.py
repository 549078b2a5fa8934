"""Facts on a card: which go there, and what a damaged card may not hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

TRAINING: Mapping[str, bool] = {"training": True}  # metadata of a field of `Facts` that does not go on the card


def card_facts(facts: Any) -> dict[str, Any]:
    """The facts as a card has them: without those that only a training needs.

    Args:
        facts: instance of a task's `Facts`.
    """
    return {each.name: getattr(facts, each.name) for each in fields(facts) if not each.metadata.get("training")}


def check_numbers(
    owner: object, names: Sequence[str], count: int, low: float = -math.inf, high: float = math.inf
) -> None:
    """Refuses lists of facts that are no lists of so many numbers, or of none.

    Args:
        owner: instance of a task's `Facts`.
        names: fields.
        count: number of numbers.
        low: smallest of them.
        high: largest of them.

    Raises:
        ValueError: a field is something else.
    """
    for name in names:
        values = getattr(owner, name)
        right = isinstance(values, list | tuple) and len(values) in (0, count)
        if not right or not all(type(each) in (int, float) and low <= each <= high for each in values):
            raise ValueError(f"{name}={values!r:.80}, expected {count} numbers")
