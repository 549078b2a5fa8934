"""A summary for tasks that have none of their own: the figures of the scorer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keras_resnet.tasks.results import Scores, Table


@dataclass(frozen=True)
class PlainSummary:
    """Scores alone; see `tasks.interface.Summary`.

    Attributes:
        scores: figures of all examples.
    """

    scores: Scores

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return self.scores.to_json()

    def figures(self) -> dict[str, str]:
        """The figures of the scorer."""
        return self.scores.figures()

    def tables(self) -> Iterator[Table]:
        """Those of the scores, where they have some."""
        yield from getattr(self.scores, "tables", tuple)()

    def notes(self) -> Iterator[str]:
        """No notes."""
        yield from ()

    def warnings(self) -> Iterator[str]:
        """No warnings."""
        yield from ()
