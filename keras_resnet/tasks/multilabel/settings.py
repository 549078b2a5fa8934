"""What the head of a multi-label classifier is told: by a recipe, and by the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_resnet import ranges
from keras_resnet.tasks.cards import TRAINING, check_numbers
from keras_resnet.tasks.interface import Output

if TYPE_CHECKING:
    from keras_resnet.data.dataset import Dataset

OUTPUT, TRUTH = "probabilities", "tags"
LOSSES = ("binary", "focal")
MOST_WEIGHT = 20.0  # of a positive, however rare its tag is


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The section `head` of a multi-label recipe.

    Attributes:
        loss: `"binary"`: cross-entropy of every tag; `"focal"`: the same with less weight on what is easy
            (arXiv:1708.02002).
        focal_gamma: exponent of that weight; 0 for none.
        label_smoothing: share by which targets of 0 and 1 move towards one half.
        class_weights: whether the examples that have a tag weigh as much in all as those without it, up to 20 times
            each.
        dropout: rate before the last layer.
    """

    loss: str = ranges.one_of(LOSSES, "binary")
    focal_gamma: float = ranges.at_least_0(2.0)
    label_smoothing: float = ranges.rate(0.0)
    class_weights: bool = False
    dropout: float = ranges.rate(0.0)

    def problems(self) -> Iterator[str]:
        """Settings that contradict each other, in words."""
        if self.loss != "focal" and self.focal_gamma != 2.0:
            yield f"focal_gamma goes with loss=focal, not {self.loss}"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the head must know of the data.

    Attributes:
        classes: number of tags.
        thresholds: probability of each tag from which on an example has it, chosen on validation examples that stayed
            out of the training; empty for one half.
        weights: weight of the examples that have each tag, for the loss; empty for none. Not on the card.
    """

    classes: int = 0
    thresholds: tuple[float, ...] = ()
    weights: tuple[float, ...] = dataclasses.field(default=(), metadata=TRAINING)

    def __post_init__(self) -> None:
        """Refuses what a damaged card may hold."""
        if type(self.classes) is not int or self.classes < 0:
            raise ValueError(f"classes={self.classes!r:.80}, expected a number of tags")
        check_numbers(self, ("thresholds", "weights"), self.classes, 0.0, max(1.0, MOST_WEIGHT))


def facts(dataset: Dataset, settings: Settings) -> Facts:
    """The facts of a training set.

    Args:
        dataset: training set with the names of the tags.
        settings: head of the recipe.
    """
    if not settings.class_weights:
        return Facts(classes=len(dataset.classes))
    tags = dataset.train.truth[TRUTH]
    having = tags.sum(axis=0, dtype=float)
    weights = ((len(tags) - having) / having.clip(1)).clip(1 / MOST_WEIGHT, MOST_WEIGHT)
    return Facts(classes=len(dataset.classes), weights=tuple(map(float, weights)))


def outputs(facts: Facts) -> tuple[Output, ...]:
    """One output: a probability for each tag `(n, classes)`, 0 to 1."""
    del facts
    return (Output(OUTPUT, ("n", "classes"), (0.0, 1.0)),)
