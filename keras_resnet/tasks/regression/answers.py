"""Values of examples, as numbers and as pictures; answers of several views or models as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.tasks.classification.ensembles import check_weights, shares
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.regression.settings import OUTPUT, name_of
from keras_resnet.tasks.results import Numbers

__all__ = ["Values", "check_weights", "decode", "draw", "merge", "numbers"]

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Values:
    """Values of one example.

    Attributes:
        image: name of the example, its file for instance.
        values: value by name, in its unit.
    """

    image: str
    values: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return {"image": self.image, "values": dict(self.values)}

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
        """A table for the terminal: names of its columns, and a row per value."""
        return ("value", "prediction"), [(name, f"{value:.6g}") for name, value in self.values.items()]


def decode(
    outputs: Mapping[str, np.ndarray], card: ModelCard, *, limit: int = 5, names: Sequence[str] | None = None
) -> list[Values]:
    """The values of every example.

    Args:
        outputs: `values` `(n, k)`, or the only output of a foreign file.
        card: card with the names of the values.
        limit: not used: every value is an answer.
        names: names of the examples; by default their numbers.
    """
    del limit
    found = sole(outputs, OUTPUT)
    known = [name_of(card.facts, number) for number in range(found.shape[1])]
    names = [str(number) for number in range(len(found))] if names is None else names
    return [
        Values(name, dict(zip(known, map(float, row), strict=True))) for name, row in zip(names, found, strict=True)
    ]


def numbers(card: ModelCard, count: int) -> Numbers:
    """What an app must know of the values: their names.

    Args:
        card: card of the file.
        count: number of values.
    """
    return Numbers(OUTPUT, "values", tuple(name_of(card.facts, number) for number in range(count)))


def draw(pixels: np.ndarray, predictions: Sequence[Values], card: ModelCard) -> Figure:
    """Images with their values.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`.
        predictions: values of each image.
        card: card of the model.
    """
    del card
    from keras_resnet.tasks.gallery import gallery

    titles = ["\n".join(f"{name} {value:.4g}" for name, value in list(each.values.items())[:3]) for each in predictions]
    return gallery(pixels, titles)


def merge(
    answers: Sequence[Mapping[str, np.ndarray]],
    weights: Sequence[float] | None = None,
    average: str = "probabilities",
) -> dict[str, np.ndarray]:
    """The mean of several answers, of views of an image or of several models.

    Args:
        answers: outputs by name, each with `values` `(n, k)`.
        weights: one weight per answer; by default all alike.
        average: must be `"probabilities"`, the default: values have no logits.

    Raises:
        InputError: numbers of values that differ, weights that do not fit, another average.
    """
    if average != "probabilities":
        raise InputError(f"average={average}: values have no logits; leave the option out")
    found = [sole(each, OUTPUT) for each in answers]
    if len({each.shape for each in found}) > 1:
        raise InputError(
            f"the members have {' and '.join(str(each.shape[1]) for each in found)} values: expected the same"
        )
    return {OUTPUT: np.tensordot(shares(len(found), weights), np.stack(found).astype(np.float64), 1).astype(np.float32)}
