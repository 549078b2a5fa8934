"""The likeliest classes of image files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.evaluation.scores import image_shape
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals import image as images
from keras_resnet.tasks import sole


@dataclass(frozen=True)
class Answer:
    """The likeliest classes of one image: pairs of label and probability, best first."""

    image: str
    top: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return {"image": self.image, "top": [{"label": name, "probability": p} for name, p in self.top]}


def predict(
    runner: Runner, paths: Sequence[str | os.PathLike], top: int = 5, labels: Sequence[str] | None = None
) -> list[Answer]:
    """Classifies image files.

    Args:
        runner: gives probabilities `(N, classes)`.
        paths: PNG or JPEG files; each is cut to the model's aspect (and to the card's `crop`) and resized.
        top: how many classes.
        labels: names of the classes; by default those of the card.

    Returns:
        One answer per image; classes without a label are called `class_N`.

    Raises:
        InputError: a file that is no image.
    """
    height, width, channels = image_shape(runner)
    pixels = np.stack([images.load(path, (height, width), channels, runner.card.crop) for path in paths])
    answers, names = [], runner.card.labels if labels is None else labels
    likely = sole(runner(runner.card.preprocess(pixels)), "probabilities")
    for path, probabilities in zip(paths, likely, strict=True):
        best = np.argsort(-probabilities, kind="stable")[:top]
        answers.append(Answer(str(path), tuple((label(names, i), float(probabilities[i])) for i in best)))
    return answers


def label(labels: Sequence[str], index: int) -> str:
    """A class's name: that of the card, or `class_N`.

    Args:
        labels: of the card; may be empty.
        index: of the class.
    """
    return labels[index] if index < len(labels) else f"class_{index}"
