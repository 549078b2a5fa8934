"""The score of anything that runs."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from keras_resnet.errors import unknown_name
from keras_resnet.evaluation.examples import split_of
from keras_resnet.evaluation.running import check_fit, chunks, image_shape, outputs
from keras_resnet.evaluation.views import ONE, Views
from keras_resnet.runtime import foreign
from keras_resnet.runtime.anything import runner_of
from keras_resnet.signals.fits import FITS
from keras_resnet.tasks import get_task
from keras_resnet.tasks.classification.ensembles import combine
from keras_resnet.tasks.classification.scores import Scores, score
from keras_resnet.tasks.results import Scores as AnyScores

__all__ = ["Scores", "combine", "check_fit", "evaluate", "image_shape", "outputs", "score"]


def evaluate(
    model: Any,
    data: Any,
    *,
    part: str = "test",
    weights: str | None = None,
    hints: foreign.Hints = foreign.NO_HINTS,
    views: Views = ONE,
    fit: str | None = None,
    progress: bool = False,
) -> AnyScores:
    """Runs every example of a split, and scores the answers.

    Args:
        model: `keras.Model`, a run, a file of any format, the name of a net with `weights`, or a runner; its card says
            which task it has.
        data: a split; a `Dataset` or the path or name of one, of which `part` is taken; a folder called `test` or `val`
            with class folders; `(x, y)` arrays; a `DataFrame`; a `tf.data.Dataset` of pairs.
        part: `"test"`, `"validation"` or `"train"`.
        weights: for the name of a net: registered name, weight file, or `"none"`.
        hints: what a person says of a model that does not tell itself.
        views: crops, scales and mirror images whose answers are averaged; by default the image itself.
        fit: how files of pictures are brought to the input's size, `"crop"`, `"stretch"` or `"pad"`; by default as the
            model was trained.
        progress: whether a bar is shown on stderr.

    Returns:
        The task's figures over all examples; for a classifier `Scores`.

    Raises:
        InputError: no model or no data, examples or classes that do not fit, no such `fit`, or views that the model
            does not take.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.evaluation import Views
        >>> round(keras_resnet.evaluate("resnet8", "digits", weights="digits").value, 2)
        0.99
        >>> keras_resnet.evaluate("runs/mine", "photos", views=Views(crops=10))  # doctest: +SKIP
        Scores(top1=0.9917, top5=1.0, count=360, loss=0.03)
    """
    runner = runner_of(model, weights, hints)
    if fit is not None:
        if fit not in FITS:
            raise unknown_name("fit", str(fit), FITS)
        runner = copy.copy(runner)  # it may be the caller's
        runner.card = dataclasses.replace(runner.card, fit=fit)
    split = split_of(data, runner, part)
    scorer = get_task(runner.card.task).code.scorer(runner.card)
    for found, truth in chunks(runner, split, views=views, progress=progress):
        scorer.update(found, truth)
    return scorer.result()
