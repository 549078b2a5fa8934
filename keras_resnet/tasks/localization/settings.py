"""What the head of a localization is told: by a recipe, and by the data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_resnet import ranges
from keras_resnet.errors import InputError
from keras_resnet.tasks.cards import TRAINING, check_numbers
from keras_resnet.tasks.interface import Output

if TYPE_CHECKING:
    from keras_resnet.data.dataset import Dataset

LOGITS, BOX, TRUTH = "logits", "box", "boxes"
ONE_SIZE = True  # the head knows the places of its map
IN_PLACES = True  # an answer is a place in a picture, whatever part of it the net saw
MOST_SIDE, MOST_NAMES = 1 << 15, 10_000
PLACES = ("attended", "pooled")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The section `head` of a localization recipe.

    Attributes:
        place: `"attended"`: the centre is the mean place of a map of weights (a soft argmax, arXiv:1801.07372),
            the size is read off the features there; `"pooled"`: all four numbers are of the mean over the map, as in
            the ResNet paper.
        box_weight: weight of the box's loss beside that of the class.
        dropout: rate before the class.
        label_smoothing: share of the target that goes to all classes alike.
    """

    place: str = ranges.one_of(PLACES, "attended")
    box_weight: float = ranges.at_least_0(2.0)
    dropout: float = ranges.rate(0.0)
    label_smoothing: float = ranges.rate(0.0)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What makes a class and a box of the net's numbers.

    Attributes:
        names: names of the classes.
        ids: the data set's own numbers of the classes; empty where it has none.
        size: height and width of the net's input in pixels.
        median: centre x and y, width and height of the training objects' median box, in 0..1 of the input: what a net
            must beat. Not on the card.
    """

    names: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    size: tuple[int, ...] = ()
    median: tuple[float, ...] = dataclasses.field(default=(), metadata=TRAINING)

    def __post_init__(self) -> None:
        """Refuses what a damaged card may hold."""
        for name, kind in (("names", str), ("ids", int), ("size", int)):
            values = getattr(self, name)
            right = isinstance(values, list | tuple) and len(values) <= MOST_NAMES
            if not right or not all(type(each) is kind for each in values):
                raise ValueError(f"{name}={values!r:.80}, expected a list of {'names' if kind is str else 'numbers'}")
        if len(self.ids) not in (0, len(self.names)):
            raise ValueError(f"ids={self.ids!r:.80}, expected one for every class, or none")
        if len(self.size) not in (0, 2) or not all(0 < each <= MOST_SIDE for each in self.size):
            raise ValueError(f"size={self.size!r:.80}, expected height and width in pixels")
        check_numbers(self, ("median",), 4, 0.0, 1.0)


def facts(dataset: Dataset, settings: Settings) -> Facts:
    """The facts of a training set.

    Args:
        dataset: training set with boxes and the names of their classes.
        settings: head of the recipe.

    Raises:
        InputError: the data have no names of classes.
    """
    del settings
    if not dataset.classes:
        raise InputError(f"{dataset.name} has no names of classes: expected those of its boxes")
    size = tuple(dataset.shape[:-1])
    return Facts(names=tuple(dataset.classes), ids=tuple(dataset.ids), size=size, median=_median(dataset, size))


def _median(dataset: Dataset, size: tuple[int, ...]) -> tuple[float, ...]:
    """The median of the largest boxes, in shares of the whole picture: where nothing is cut off, of the input."""
    import numpy as np

    truth = dataset.train.truth
    boxes = truth[TRUTH].astype(np.float64)
    frames = (
        truth["frame"].astype(np.float64) if "frame" in truth else np.tile(np.array(size, np.float64), (len(boxes), 1))
    )
    area = np.where(boxes[..., 2] > boxes[..., 0], (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]), 0)
    largest = boxes[np.arange(len(boxes)), area.argmax(axis=1)]
    there = area.max(axis=1, initial=0.0) > 0
    if not there.any():
        raise InputError(f"{dataset.name}: no training picture has a box: expected one object in every picture")
    x1, y1, x2, y2 = (largest[there, n] / frames[there, 1 - n % 2] for n in range(4))
    found = np.median([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], axis=1)
    return tuple(map(float, found.clip(0, 1)))


def outputs(facts: Facts) -> tuple[Output, ...]:
    """Logits of the classes `(n, classes)`, and the box `(n, 4)`: centre x, y, width, height, 0..1 of the input."""
    del facts
    return (Output(LOGITS, ("n", "classes")), Output(BOX, ("n", "4"), (0.0, 1.0)))
