"""Accuracy of anything that runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from keras_resnet import console
from keras_resnet.data import Split
from keras_resnet.errors import InputError
from keras_resnet.evaluation.ensembles import as_probabilities, combine
from keras_resnet.evaluation.views import ONE, Views, batches_of_views, of_any_size
from keras_resnet.runtime.interface import Runner
from keras_resnet.tasks import sole

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


def evaluate(runner: Runner, split: Split, *, views: Views = ONE, progress: bool = False) -> Scores:
    """Runs every image of a split.

    Args:
        runner: gives probabilities `(N, classes)`.
        split: images and labels.
        views: crops, scales and mirror images whose answers are averaged; by default the image itself.
        progress: show a bar on stderr.

    Returns:
        The figures over all images; top5 is over as many classes as there are, if fewer.

    Raises:
        InputError: images or classes do not fit the model, or the model takes no such views.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.evaluation import Views
        >>> runner = keras_resnet.open_runner("runs/mine/model.keras")  # doctest: +SKIP
        >>> test = keras_resnet.load_dataset("digits").test
        >>> keras_resnet.evaluate(runner, test)  # doctest: +SKIP
        Scores(top1=0.9889, top5=1.0, count=360, loss=0.04)
        >>> keras_resnet.evaluate(runner, test, views=Views(crops=10))  # doctest: +SKIP
        Scores(top1=0.9917, top5=1.0, count=360, loss=0.03)
    """
    return score(outputs(runner, split, views=views, progress=progress), split.labels)


def outputs(runner: Runner, split: Split, *, views: Views = ONE, progress: bool = False) -> np.ndarray:
    """A model's answers to every image of a split.

    Args:
        runner: gives probabilities.
        split: images and labels.
        views: of each image.
        progress: show a bar on stderr.

    Returns:
        float32 `(N, classes)`, the mean over the views.

    Raises:
        InputError: images do not fit the model, or the model takes no such views.
    """
    runner = of_any_size(runner) if views.scales else runner
    size = None if views.scales else image_shape(runner)[:2]
    steps, count = batches_of_views(split, views, size)
    if progress:
        steps = console.progress(steps, "evaluating", count)
    parts = []
    for pixels in steps:
        check_fit(runner, pixels[0].shape[1:])
        answers = [sole(runner(runner.card.preprocess(each)), "probabilities") for each in pixels]
        if len(answers) > 1:  # of logits there would be no mean probability, and no logarithm
            answers = [as_probabilities(each)[0] for each in answers]
        parts.append(combine(answers, average=views.average))
    return np.concatenate(parts)


def image_shape(runner: Runner) -> tuple[int, int, int]:
    """Height, width and channels of the images that a runner takes.

    Raises:
        InputError: it takes no images, or images of any size.
    """
    shape = runner.image_shape
    if len(shape) != 3 or None in shape:
        raise InputError(f"the model takes {runner.input.shape}: expected (batch, height, width, channels), fixed")
    return shape


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
