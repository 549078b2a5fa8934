"""Decisions of the recipe `photos`, each with its reason and the option that changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_resnet.training.scenes import OWN


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision.

    Attributes:
        what: subject, like `"image size"`.
        value: outcome, for people.
        reason: why.
        option: what changes it, like `"--image-size N"`.
        settings: settings of the recipe that hold it, by name.
    """

    what: str
    value: str
    reason: str
    option: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.what}: {self.value} ({self.reason}); change: {self.option}"


_OF_MASKS = ("optimizer", "learning_rate", "weight_decay", "schedule", "coupled_decay", "nesterov")


def of_masks() -> Decision:
    """Optimizer and schedule of masks, which sgd at a classifier's rate learns worse."""
    return Decision(
        what="optimizer",
        value=f"{OWN.optimizer} at {OWN.learning_rate:g}, {OWN.schedule}",
        reason="the recipes camvid, pets and nuclei learn masks with it",
        option="--set optimizer=NAME",
        settings={name: getattr(OWN, name) for name in _OF_MASKS},
    )


def implied(given: Mapping[str, str]) -> dict[str, Any]:
    """Settings in place of those of the usual recipe that do not go with what is given.

    Args:
        given: settings that a person gave.
    """
    found: dict[str, Any] = {}
    if given.get("optimizer", "sgd") != "sgd":
        found |= {"coupled_decay": False, "nesterov": False}
    if given.get("keep") == "last":
        found["stop_patience"] = 0
    return found
