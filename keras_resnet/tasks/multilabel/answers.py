"""Tags of examples, as values and as pictures; answers of several views or models as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.tasks.classification.ensembles import AVERAGES, check_weights, shares
from keras_resnet.tasks.classification.predictions import label
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.multilabel import thresholds
from keras_resnet.tasks.multilabel.settings import OUTPUT
from keras_resnet.tasks.results import Numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Tags", "check_weights", "decode", "draw", "gives_logits", "merge", "numbers", "probabilities_of"]
TOP = 5  # tags of a table
_TINY = 1e-7


@dataclass(frozen=True)
class Tags:
    """Tags of one example.

    Attributes:
        image: name of the example, its file for instance.
        top: name, probability and threshold of the likeliest tags, best first.
        tags: names of the tags that the example has, of all, best first.
    """

    image: str
    top: tuple[tuple[str, float, float], ...]
    tags: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        top = [{"label": name, "probability": p, "threshold": limit} for name, p, limit in self.top]
        return {"image": self.image, "tags": list(self.tags), "top": top}

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, str, str, str]]]:
        """A table for the terminal: names of its columns, and a row per tag."""
        rows = [(name, "yes" if p >= limit else "no", f"{p:.2%}", f"{limit:.2%}") for name, p, limit in self.top]
        return ("tag", "there", "probability", "threshold"), rows


def decode(
    outputs: Mapping[str, np.ndarray], card: ModelCard, *, limit: int = TOP, names: Sequence[str] | None = None
) -> list[Tags]:
    """The tags of every example.

    Args:
        outputs: `probabilities` `(n, classes)`, or the only output of a foreign file.
        card: card with the names of the tags and their thresholds.
        limit: number of tags in a table, likeliest first; the tags that an example has are never cut.
        names: names of the examples; by default their numbers.
    """
    probabilities = probabilities_of(sole(outputs, OUTPUT))
    limits = thresholds.of(card, probabilities.shape[1])
    names = [str(number) for number in range(len(probabilities))] if names is None else names
    answers = []
    for name, row in zip(names, probabilities, strict=True):
        order = np.argsort(-row, kind="stable")
        top = tuple((label(card.labels, i), float(row[i]), float(limits[i])) for i in order[:limit])
        answers.append(Tags(name, top, tuple(label(card.labels, i) for i in order if row[i] >= limits[i])))
    return answers


def numbers(card: ModelCard, count: int) -> Numbers:
    """What an app must know of the tags: their names, and the probability from which each is there.

    Args:
        card: card of the file.
        count: number of tags.
    """
    names = tuple(card.labels) or tuple(map(str, range(count)))
    return Numbers(OUTPUT, "tags", names, {"thresholds": thresholds.of(card, count).tolist()})


def draw(pixels: np.ndarray, predictions: Sequence[Tags], card: ModelCard) -> Figure:
    """Images with their tags.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`.
        predictions: tags of each image.
        card: card of the model.
    """
    del card
    from keras_resnet.tasks.gallery import gallery

    return gallery(pixels, [_title(each) for each in predictions])


def _title(found: Tags) -> str:
    more = f", +{len(found.tags) - 4}" if len(found.tags) > 4 else ""
    return ", ".join(found.tags[:4]) + more if found.tags else "none"


def probabilities_of(values: np.ndarray) -> np.ndarray:
    """Probabilities, whatever a file ends in: logits go through a sigmoid.

    Args:
        values: outputs of the model `(N, classes)`.
    """
    return values if _is_likely(values) else (1 / (1 + np.exp(-values.astype(np.float64)))).astype(np.float32)


def _is_likely(values: np.ndarray) -> bool:
    return values.size == 0 or bool(values.min() >= 0 and values.max() <= 1.001)


def gives_logits(outputs: Mapping[str, np.ndarray]) -> bool:
    """Whether outputs are no probabilities.

    Args:
        outputs: `probabilities` `(N, classes)`, or the only output of a foreign file.
    """
    return not _is_likely(sole(outputs, OUTPUT))


def merge(
    answers: Sequence[Mapping[str, np.ndarray]],
    weights: Sequence[float] | None = None,
    average: str = "probabilities",
) -> dict[str, np.ndarray]:
    """One answer of several, of views of an image or of several models; logits become probabilities first.

    Args:
        answers: outputs by name, each with `probabilities` `(N, classes)`.
        weights: one weight per answer; by default all alike.
        average: `"probabilities"`, or `"logits"`: sigmoids of the mean logits.

    Raises:
        InputError: numbers of tags that differ, weights that do not fit, an unknown average.
    """
    if average not in AVERAGES:
        raise unknown_name("average", average, AVERAGES)
    found = [probabilities_of(sole(each, OUTPUT)) for each in answers]
    if len({each.shape for each in found}) > 1:
        raise InputError(
            f"the members have {' and '.join(str(each.shape[1]) for each in found)} tags: expected the same"
        )
    portions, stack = shares(len(answers), weights), np.stack(found).astype(np.float64)
    if average == "logits" and len(found) > 1:
        stack = stack.clip(_TINY, 1 - _TINY)
        logits = np.tensordot(portions, np.log(stack / (1 - stack)), 1)
        return {OUTPUT: (1 / (1 + np.exp(-logits))).astype(np.float32)}
    return {OUTPUT: np.tensordot(portions, stack, 1).astype(np.float32)}
