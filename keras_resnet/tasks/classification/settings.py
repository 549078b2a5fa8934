"""What the head of a classifier is told: by a recipe, and by the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_resnet import ranges
from keras_resnet.tasks.cards import TRAINING
from keras_resnet.tasks.interface import Output

if TYPE_CHECKING:
    from keras_resnet.data.dataset import Dataset

OUTPUT = "probabilities"
LOSSES = ("cross-entropy", "binary", "focal")
MOST_WEIGHT = 20.0  # of an example, however rare its class is


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The section `head` of a classification recipe.

    Attributes:
        loss: `"cross-entropy"`; `"binary"` for every class (with mixing, arXiv:2110.00476); or `"focal"`: cross-entropy
            with less weight on what is easy (arXiv:1708.02002).
        target_threshold: for the binary loss: targets above it become 1 and others 0, so that both classes of a mixed
            image count in full; 0 leaves the targets as they were mixed.
        focal_gamma: exponent of the focal loss's weight; 0 for none.
        label_smoothing: probability moved from the label to all classes.
        class_weights: whether all classes weigh the same in all, however many examples they have; an example up to 20
            times as much as one of the mean.
        dropout: rate before the classifier.
    """

    loss: str = ranges.one_of(LOSSES, "cross-entropy")
    target_threshold: float = ranges.rate(0.0)
    focal_gamma: float = ranges.at_least_0(2.0)
    label_smoothing: float = ranges.rate(0.0)
    class_weights: bool = False
    dropout: float = ranges.rate(0.0)

    def problems(self) -> Iterator[str]:
        """Settings that contradict each other, in words."""
        if self.target_threshold and self.loss != "binary":
            yield f"target_threshold goes with loss=binary, not {self.loss}"
        if self.focal_gamma != 2.0 and self.loss != "focal":
            yield f"focal_gamma goes with loss=focal, not {self.loss}"
        if self.class_weights and self.loss == "binary":
            yield "class_weights goes with loss=cross-entropy or focal: binary asks about every class by itself"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the head must know of the data.

    Attributes:
        classes: number of classes.
        weights: weight of an example of each class, for the loss; empty for none. Not on the card.
    """

    classes: int = 0
    weights: tuple[float, ...] = dataclasses.field(default=(), metadata=TRAINING)


def facts(dataset: Dataset, settings: Settings) -> Facts:
    """The facts of a training set.

    Args:
        dataset: training set with class names.
        settings: head of the recipe.
    """
    classes = len(dataset.classes)
    if not settings.class_weights:
        return Facts(classes=classes)
    import numpy as np

    counts = np.bincount(dataset.train.truth["label"], minlength=classes)
    weights = counts.sum() / (classes * counts.clip(1))
    return Facts(classes=classes, weights=tuple(map(float, weights.clip(max=MOST_WEIGHT))))


def outputs(facts: Facts) -> tuple[Output, ...]:
    """One output: probabilities `(n, classes)`, 0 to 1."""
    del facts
    return (Output(OUTPUT, ("n", "classes"), (0.0, 1.0)),)
