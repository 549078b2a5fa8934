"""Predictions for files that a person named."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from keras_resnet.evaluation.running import check_finite, image_shape
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import get_task
from keras_resnet.tasks.classification.predictions import Answer
from keras_resnet.tasks.results import Prediction

__all__ = ["Answer", "predict"]


def predict(
    runner: Runner, paths: Sequence[str | os.PathLike], top: int = 5, labels: Sequence[str] | None = None
) -> Sequence[Prediction]:
    """Says what a model sees in files.

    Args:
        runner: model of any file; its card says which task it has.
        paths: files of the model's signal, PNG or JPEG for images; each is cut to the model's aspect (and to the card's
            `crop`) and resized.
        top: number of answers per file at most: of classes, for a classifier.
        labels: class names in place of those of the card.

    Returns:
        One prediction per file; for a classifier an `Answer`, whose classes without a name are called `class_N`.

    Raises:
        InputError: a file that cannot be read.
        GateError: the model answers NaN or infinity.
    """
    shape, code = image_shape(runner), get_signal(runner.card.signal).code
    examples = np.stack([code.load(path, shape, runner.card.crop) for path in paths])
    card = runner.card if labels is None else dataclasses.replace(runner.card, labels=tuple(labels))
    found = runner(card.preprocess(examples))
    for number, path in enumerate(paths):
        check_finite({name: values[number] for name, values in found.items()}, str(path))
    return get_task(card.task).code.decode(found, card, limit=top, names=[str(path) for path in paths])
