"""A summary for tasks that have none of their own: the figures of the scorer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keras_resnet.tasks.interface import Score
from keras_resnet.tasks.results import Scores, Table


@dataclass(frozen=True)
class PlainSummary:
    """Scores alone; see `tasks.interface.Summary`.

    Attributes:
        scores: figures of all examples.
        score: headline figure of the task.
    """

    scores: Scores
    score: Score

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return self.scores.to_json()

    def figures(self) -> dict[str, str]:
        """The headline figure first, then all other numbers."""
        others = {key: value for key, value in self.to_json().items() if key not in (self.score.key, "count")}
        numbers = {key: f"{value:.4g}" for key, value in others.items() if isinstance(value, int | float)}
        return {self.score.name: str(self.score.text(self.scores.value)), **numbers}

    def tables(self) -> Iterator[Table]:
        """No tables."""
        yield from ()

    def notes(self) -> Iterator[str]:
        """No notes."""
        yield from ()

    def warnings(self) -> Iterator[str]:
        """No warnings."""
        yield from ()
