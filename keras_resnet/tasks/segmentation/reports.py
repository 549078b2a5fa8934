"""What a page shows of masks beyond their scores: confusion of classes, outlines, the worst examples.

Answers are seen once, chunk by chunk, and forgotten, but for small copies of the worst ones.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data.truth import VOID
from keras_resnet.tasks.results import Table
from keras_resnet.tasks.segmentation import forms
from keras_resnet.tasks.segmentation.answers import colours, palette
from keras_resnet.tasks.segmentation.boundaries import boundary_f, over_images
from keras_resnet.tasks.segmentation.scores import Scores, class_names, classes_of, mean_iou, names_of
from keras_resnet.tasks.segmentation.settings import TRUTH

_SHOWN = 8
_SIDE = 320  # pixels of a copy's longest side, at most


@dataclass(frozen=True)
class Detailed:
    """Scores with what only a report shows; see `tasks.results.Summary`.

    Attributes:
        scores: figures of all examples.
        confusion: pixels by true class (row) and answer (column), without void.
        boundary_f: F of the outlines by class name, the mean over the examples that have it; None where none has.
        boundary: mean of these; None for none.
    """

    scores: Scores
    confusion: tuple[tuple[int, ...], ...]
    boundary_f: dict[str, float | None]
    boundary: float | None

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        own = {"confusion": [list(row) for row in self.confusion], "boundary_f": self.boundary_f}
        return {**self.scores.to_json(), "mean_boundary_f": self.boundary, **own}

    def figures(self) -> dict[str, str]:
        """The figures of the scores, and the boundary F."""
        return self.scores.figures() | ({} if self.boundary is None else {"boundary F": f"{self.boundary:.2%}"})

    def tables(self) -> Iterator[Table]:
        """Those of the scores."""
        yield from self.scores.tables()

    def notes(self) -> Iterator[str]:
        """No notes."""
        yield from ()

    def warnings(self) -> Iterator[str]:
        """No warnings."""
        yield from ()


@dataclass(frozen=True, eq=False)
class _Kept:
    """A small copy of an example."""

    value: float
    index: int
    words: str
    truth: np.ndarray
    answer: np.ndarray

    def __lt__(self, other: _Kept) -> bool:
        """The better one goes first; of equal ones the later."""
        return (-self.value, -self.index) < (-other.value, -other.index)


class Reporter:
    """Sees answers chunk by chunk; see `tasks.results.Reporter`."""

    def __init__(self, card: ModelCard) -> None:
        """Starts without examples."""
        self._card = card
        self._names = names_of(card)
        self._confusion = np.zeros((0, 0), np.int64)
        self._outlines: list[np.ndarray] = []
        self._worst: list[_Kept] = []
        self._seen = 0

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk of examples, which a scorer has taken.

        Args:
            outputs: `logits` or other scores `(n, ..., classes)`, or classes.
            truth: `mask`, uint8 `(n, ...)`; 255 is void.
        """
        scores, masks = forms.answer(outputs, self._card), np.asarray(truth[TRUTH])
        found = classes_of(scores)
        known = max(2, scores.shape[-1]) if scores.ndim > masks.ndim else len(self._names)
        classes = max(known, len(self._confusion), int(found.max(initial=0)) + 1)
        self._grow(classes)
        for answer, mask in zip(found, masks, strict=True):
            valid = mask != VOID
            pairs = np.bincount(mask[valid].astype(np.int64) * classes + answer[valid], minlength=classes**2)
            pairs = pairs.reshape(classes, classes)
            self._confusion += pairs
            self._outlines.append(boundary_f(answer, mask, classes))
            if pairs.any():
                self._keep(answer, mask, pairs)
            self._seen += 1

    def _grow(self, classes: int) -> None:
        more = classes - len(self._confusion)
        if more:  # a file that gives classes may show the largest one late
            self._confusion = np.pad(self._confusion, (0, more))
            self._outlines = [np.pad(each, (0, more), constant_values=np.nan) for each in self._outlines]

    def _keep(self, answer: np.ndarray, mask: np.ndarray, pairs: np.ndarray) -> None:
        value = mean_iou(np.stack([np.diag(pairs), pairs.sum(axis=0), pairs.sum(axis=1)]))
        if len(self._worst) == _SHOWN and value >= self._worst[0].value:
            return
        step = -(-max(mask.shape) // _SIDE)
        part = (slice(step // 2, None, step),) * mask.ndim
        words = f"mean IoU {value:.1%}{self._said(pairs)}"
        kept = _Kept(value, self._seen, words, mask[part].copy(), answer[part].astype(np.uint8))
        (heapq.heappushpop if len(self._worst) == _SHOWN else heapq.heappush)(self._worst, kept)

    def _said(self, pairs: np.ndarray) -> str:
        """The most frequent confusion in words."""
        wrong = pairs * (1 - np.eye(len(pairs), dtype=np.int64))
        if not wrong.any():
            return ""
        true, called = divmod(int(wrong.argmax()), len(pairs))
        share = wrong[true, called] / pairs.sum()
        names = class_names(self._names, len(pairs))
        return f"; {names[true]} called {names[called]}: {share:.1%} of the pixels"

    def summary(self, scores: Scores) -> Detailed:
        """The scores with what was seen beside them.

        Args:
            scores: figures of the same examples.
        """
        by_class, mean = over_images(np.array(self._outlines))
        names = class_names(self._names, len(by_class))
        named = {name: None if np.isnan(each) else float(each) for name, each in zip(names, by_class, strict=True)}
        return Detailed(scores, tuple(tuple(map(int, row)) for row in self._confusion), named, mean)

    def remarkable(self) -> dict[str, list[tuple[int, str]]]:
        """The examples with the smallest mean IoU: positions with a few words, the worst first."""
        return {"The worst images": [(each.index, each.words) for each in sorted(self._worst, reverse=True)]}

    def beside(self, index: int) -> dict[str, np.ndarray]:
        """Truth and answer of an example that is remarkable, as small pictures, uint8 `(h, w, 3)`; void is black.

        Args:
            index: position of the example.
        """
        (kept,) = (each for each in self._worst if each.index == index)
        return {"truth": self._painted(kept.truth), "answer": self._painted(kept.answer)}

    def _painted(self, mask: np.ndarray) -> np.ndarray:
        return palette(self._card, min(len(self._confusion), VOID))[mask]

    def legend(self) -> list[tuple[str, tuple[int, ...]]]:
        """Names and colours, of 0 to 255, of what `beside` may show."""
        shown = sorted({int(n) for each in self._worst for mask in (each.truth, each.answer) for n in np.unique(mask)})
        names, painted = class_names(self._names, len(self._confusion)), colours(self._card, len(self._confusion))
        named = [(names[n], tuple(map(int, painted[n]))) for n in shown if n < len(names)]
        return [*named, *([("void", (0, 0, 0))] if VOID in shown else [])]


def reporter(card: ModelCard) -> Reporter:
    """A new reporter.

    Args:
        card: card with names and colours of the classes.
    """
    return Reporter(card)
