"""What a task gives back: predictions, figures and tables, in words that terminal, JSON and pages share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np


_AT_ONCE = 1 << 22  # places of samples in memory
_DRAWS = 1000  # of a bootstrap


@dataclass(frozen=True)
class Numbers:
    """What an app must know of a file's output, beside its tensor.

    Attributes:
        output: the task's name of the output.
        noun: what the numbers are of, plural, like `"classes"`.
        names: name of each number.
        facts: what else makes answers of them, JSON types by name.
    """

    output: str
    noun: str
    names: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table for the terminal and for pages.

    Attributes:
        title: words above it.
        columns: names of the columns; the first one names the rows.
        rows: cells; None is shown as a dash.
        detail: whether only people who ask for detail see it in a terminal.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    detail: bool = False


def redrawn(
    statistic: Callable[[np.ndarray], Any] | None,
    count: int,
    draws: int = _DRAWS,
    often: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """A figure, or figures, over samples of the examples, the same every time: float64 `(draws, ...)`.

    Args:
        statistic: from places of examples, drawn with replacement, to one figure or to an array of figures; not called
            where there is `often`.
        count: number of examples.
        draws: number of samples.
        often: from places of several samples, `(draws, count)`, to the figures of all, where that is faster.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    samples = (rng.integers(0, count, count) for _ in range(draws))
    if often is not None:
        size = max(1, _AT_ONCE // max(1, count))  # 100,000 examples a thousand times would take a gigabyte
        parts = iter(lambda: list(itertools.islice(samples, size)), [])
        return np.concatenate([often(np.array(part)) for part in parts])
    assert statistic is not None
    return np.array([statistic(each) for each in samples])


def bootstrapped(
    statistic: Callable[[np.ndarray], Any] | None,
    count: int,
    often: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Any:
    """95 % intervals of figures that are no means, over 1,000 samples of the examples, the same every time.

    Args:
        statistic: as in `redrawn`.
        count: number of examples.
        often: as in `redrawn`.

    Returns:
        The interval as a pair, or one for each of the `m` figures.
    """
    import warnings

    import numpy as np

    found = redrawn(statistic, count, often=often)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a figure that no sample has stays nan
        low, high = np.nanpercentile(found, [2.5, 97.5], axis=0)
    if found.ndim == 1:
        return float(low), float(high)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


class Scores(Protocol):
    """Figures over a split."""

    @property
    def count(self) -> int:
        """Number of examples."""

    @property
    def value(self) -> float:
        """The headline figure, as a fraction."""

    def figures(self) -> dict[str, str]:
        """The figures by name, for one row of a table."""

    def to_json(self) -> dict[str, Any]:
        """All figures as JSON types; the headline one under the key of the task's `Score`."""


class Scorer(Protocol):
    """Adds up figures chunk by chunk."""

    @property
    def examples(self) -> np.ndarray:
        """Headline value of every example so far, float64 `(n,)`; empty where the score is no mean."""

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk of examples.

        Args:
            outputs: float32 arrays by output name, one row per example.
            truth: arrays by truth kind, one row per example.
        """

    def result(self) -> Scores:
        """The figures of all examples so far."""


@runtime_checkable
class RedrawnScorer(Scorer, Protocol):
    """Scorer of a figure that is no mean of values per example; it gives an interval where it has these two as well.

    One that is faster for many samples at once has `drawn_often` too, from places `(draws, count)` to `(draws,)`.
    """

    @property
    def count(self) -> int:
        """Number of examples so far."""

    def drawn(self, indices: np.ndarray) -> float:
        """The headline figure over a sample of the examples.

        Args:
            indices: int64 `(count,)`: positions of the sampled examples, drawn with replacement.
        """


class Reporter(Protocol):
    """Sees the answers that a scorer has taken, and keeps what only a page shows."""

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk of examples.

        Args:
            outputs: float32 arrays by output name, one row per example.
            truth: arrays by truth kind, one row per example.
        """

    def summary(self, scores: Any) -> Summary:
        """The scores with what was seen beside them.

        Args:
            scores: figures of the same examples, by the task's scorer.
        """

    def remarkable(self) -> dict[str, list[tuple[int, str]]]:
        """Positions of examples to look at, each with a few words, by what is remarkable about them."""

    def beside(self, index: int) -> dict[str, np.ndarray]:
        """Pictures that belong beside a remarkable example, by their names, uint8 `(h, w, 3)`.

        Args:
            index: position of the example.
        """

    # A reporter that draws has `over(index, pixels)` too: such pictures over what the net saw, in place of `beside`.

    def legend(self) -> list[tuple[str, tuple[int, ...]]]:
        """Names and colours, of 0 to 255, of what these pictures show."""


class Prediction(Protocol):
    """What a model says about one example."""

    @property
    def image(self) -> str:
        """Name of the example, its file for instance."""

    def to_json(self) -> dict[str, Any]:
        """The prediction as JSON types."""

    def rows(self) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        """A table for the terminal: names of its columns, and its rows."""


class Summary(Protocol):
    """What a test split says about a model, beyond its scores."""

    @property
    def scores(self) -> Scores:
        """Figures of all examples."""

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types; those of `scores` at the top."""

    def figures(self) -> dict[str, str]:
        """The main figures by name, for one row of a table."""

    def tables(self) -> Iterator[Table]:
        """Tables beside the main figures."""

    def notes(self) -> Iterator[str]:
        """Sentences below the tables."""

    def warnings(self) -> Iterator[str]:
        """Sentences at the very end."""
