"""The likeliest classes of examples, as values and as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.tasks.classification.ensembles import as_probabilities
from keras_resnet.tasks.classification.settings import OUTPUT
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.results import Numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOP = 5  # classes of an answer


@dataclass(frozen=True)
class Answer:
    """The likeliest classes of one example.

    Attributes:
        image: name of the example, its file for instance.
        top: pairs of class name and probability, best first.
    """

    image: str
    top: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return {"image": self.image, "top": [{"label": name, "probability": p} for name, p in self.top]}

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
        """A table for the terminal: names of its columns, and a row per class."""
        return ("class", "probability"), [(name, f"{probability:.2%}") for name, probability in self.top]


def decode(
    outputs: Mapping[str, np.ndarray], card: ModelCard, *, limit: int = TOP, names: Sequence[str] | None = None
) -> list[Answer]:
    """The likeliest classes of every example.

    Args:
        outputs: `probabilities` `(n, classes)`, or the only output of a foreign file.
        card: card with the class names; classes without a name are called `class_N`.
        limit: number of classes per example.
        names: names of the examples; by default their numbers.

    Returns:
        One answer per example.
    """
    probabilities = likely(sole(outputs, OUTPUT))
    names = [str(number) for number in range(len(probabilities))] if names is None else names
    answers = []
    for name, row in zip(names, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[:limit]
        answers.append(Answer(name, tuple((label(card.labels, i), float(row[i])) for i in best)))
    return answers


def numbers(card: ModelCard, count: int) -> Numbers:
    """What an app must know of the classes.

    Args:
        card: card of the file.
        count: number of classes.
    """
    return Numbers(OUTPUT, "classes", tuple(card.labels) or tuple(map(str, range(count))))


def likely(values: np.ndarray) -> np.ndarray:
    """Probabilities of a few examples, whatever a file ends in.

    Args:
        values: outputs `(n, classes)`: probabilities, of which many classes in eight bits may be all 0, or logits.
    """
    within = values.size > 0 and values.min() >= 0 and values.max() <= 1.001
    return values if within and values.shape[1] > 1 else as_probabilities(values)[0]


def label(labels: Sequence[str], index: int) -> str:
    """A class's name, or `class_N` for one without.

    Args:
        labels: class names of the card; may be empty.
        index: label of the class.
    """
    return labels[index] if index < len(labels) else f"class_{index}"


def draw(pixels: np.ndarray, predictions: Sequence[Answer], card: ModelCard) -> Figure:
    """Images with their likeliest classes.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`.
        predictions: one answer per image.
        card: card of the model.
    """
    del card
    from keras_resnet.tasks.gallery import gallery

    return gallery(pixels, ["\n".join(f"{name} {share:.1%}" for name, share in each.top[:2]) for each in predictions])
