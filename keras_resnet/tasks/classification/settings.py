"""What the head of a classifier is told: by a recipe, and by the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_resnet import ranges
from keras_resnet.tasks.interface import Output

if TYPE_CHECKING:
    from keras_resnet.data.dataset import Dataset

OUTPUT = "probabilities"
LOSSES = ("cross-entropy", "binary")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The section `head` of a classification recipe.

    Attributes:
        loss: `"cross-entropy"`, or `"binary"` for every class (with mixing, arXiv:2110.00476).
        target_threshold: for the binary loss: targets above it become 1 and others 0, so that both classes of a mixed
            image count in full; 0 leaves the targets as they were mixed.
        label_smoothing: probability moved from the label to all classes.
        dropout: rate before the classifier.
    """

    loss: str = ranges.one_of(LOSSES, "cross-entropy")
    target_threshold: float = ranges.rate(0.0)
    label_smoothing: float = ranges.rate(0.0)
    dropout: float = ranges.rate(0.0)

    def problems(self) -> Iterator[str]:
        """Settings that contradict each other, in words."""
        if self.target_threshold and self.loss != "binary":
            yield f"target_threshold goes with loss=binary, not {self.loss}"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the head must know of the data.

    Attributes:
        classes: number of classes.
    """

    classes: int = 0


def facts(dataset: Dataset, settings: Settings) -> Facts:
    """The facts of a training set.

    Args:
        dataset: training set with class names.
        settings: head of the recipe.
    """
    del settings
    return Facts(classes=len(dataset.classes))


def outputs(facts: Facts) -> tuple[Output, ...]:
    """One output: probabilities `(n, classes)`, 0 to 1."""
    del facts
    return (Output(OUTPUT, ("n", "classes"), (0.0, 1.0)),)
