"""Accuracy of anything that runs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from keras_resnet import console
from keras_resnet.data import Split, batches, images
from keras_resnet.engines import Runner
from keras_resnet.errors import InputError

_BATCH = 256
_TINY = 1e-7  # a quantized softmax gives exact zeros, whose logarithm is minus infinity


@dataclass(frozen=True)
class Scores:
    """Figures over a split, as fractions; `loss` is the mean cross-entropy in nats."""

    top1: float
    top5: float
    count: int
    loss: float

    def to_json(self) -> dict[str, float | int]:
        """The fields as JSON types."""
        return asdict(self)


def evaluate(runner: Runner, split: Split, *, progress: bool = False) -> Scores:
    """Runs every image of a split once.

    Args:
        runner: gives probabilities `(N, classes)`.
        split: images and labels.
        progress: show a bar on stderr.

    Returns:
        The figures over all images; top5 is over as many classes as there are, if fewer.

    Raises:
        InputError: images or classes do not fit the model.

    Example:
        >>> import keras_resnet
        >>> runner = keras_resnet.open_runner("runs/mine/model.keras")  # doctest: +SKIP
        >>> keras_resnet.evaluate(runner, keras_resnet.load_dataset("digits").test)  # doctest: +SKIP
        Scores(top1=0.9889, top5=1.0, count=360, loss=0.04)
    """
    steps = batches(split, _BATCH)
    if progress:
        steps = console.progress(steps, "evaluating", math.ceil(len(split.labels) / _BATCH))
    parts = []
    for pixels, _ in steps:
        check_fit(runner, tuple(pixels.shape[1:]))
        parts.append(runner(runner.card.preprocess(pixels.numpy())))
    return score(np.concatenate(parts), split.labels)


def image_shape(runner: Runner) -> tuple[int, int, int]:
    """Height, width and channels of the images that a runner takes.

    Raises:
        InputError: it takes no images, or images of any size.
    """
    shape = runner.image_shape
    if len(shape) != 3 or None in shape:
        raise InputError(f"the model takes {runner.input.shape}: expected (batch, height, width, channels), fixed")
    return shape


@dataclass(frozen=True)
class Answer:
    """The likeliest classes of one image: pairs of label and probability, best first."""

    image: str
    top: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return {"image": self.image, "top": [{"label": name, "probability": p} for name, p in self.top]}


def predict(runner: Runner, paths: Sequence[str | os.PathLike], top: int = 5) -> list[Answer]:
    """Classifies image files.

    Args:
        runner: gives probabilities `(N, classes)`.
        paths: PNG or JPEG files; each is cut to the model's aspect (and to the card's `crop`) and resized.
        top: how many classes.

    Returns:
        One answer per image; classes without a label are called `class_N`.

    Raises:
        InputError: a file that is no image.
    """
    height, width, channels = image_shape(runner)
    pixels = np.stack([images.load(path, (height, width), channels, runner.card.crop) for path in paths])
    answers = []
    for path, probabilities in zip(paths, runner(runner.card.preprocess(pixels)), strict=True):
        best = np.argsort(-probabilities, kind="stable")[:top]
        answers.append(Answer(str(path), tuple((_label(runner, i), float(probabilities[i])) for i in best)))
    return answers


def _label(runner: Runner, index: int) -> str:
    labels = runner.card.labels
    return labels[index] if index < len(labels) else f"class_{index}"


def check_fit(runner: Runner, image_shape: tuple[int, ...]) -> None:
    """Refuses images that the model cannot take.

    Raises:
        InputError: the shapes differ.
    """
    expected = runner.image_shape
    if len(expected) != 3 or any(e not in (None, s) for e, s in zip(expected, image_shape, strict=True)):
        raise InputError(f"the model takes images of {expected}, the dataset has {tuple(image_shape)}")


def score(probabilities: np.ndarray, labels: np.ndarray) -> Scores:
    """Figures from outputs.

    Args:
        probabilities: float `(N, classes)`.
        labels: int `(N,)`.

    Raises:
        InputError: a label outside the model's classes.
    """
    if labels.max() >= probabilities.shape[1]:
        raise InputError(
            f"the dataset has {labels.max() + 1} classes, the model {probabilities.shape[1]}: "
            "they do not belong together"
        )
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    right = probabilities[np.arange(len(labels)), labels]
    return Scores(
        top1=float((order[:, 0] == labels).mean()),
        top5=float((order == labels[:, None]).any(axis=1).mean()),
        count=len(labels),
        loss=float(-np.log(np.clip(right, _TINY, 1.0)).mean()),
    )
