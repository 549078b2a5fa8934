"""Decisions of the recipe `photos`, each with its reason and the option that changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
