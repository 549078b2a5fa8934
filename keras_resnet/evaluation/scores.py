"""The score of anything that runs."""

from __future__ import annotations

from keras_resnet.data import Split
from keras_resnet.evaluation.running import check_fit, chunks, image_shape, outputs
from keras_resnet.evaluation.views import ONE, Views
from keras_resnet.runtime.interface import Runner
from keras_resnet.tasks import get_task
from keras_resnet.tasks.classification.ensembles import combine
from keras_resnet.tasks.classification.scores import Scores, score
from keras_resnet.tasks.results import Scores as AnyScores

__all__ = ["Scores", "combine", "check_fit", "evaluate", "image_shape", "outputs", "score"]


def evaluate(runner: Runner, split: Split, *, views: Views = ONE, progress: bool = False) -> AnyScores:
    """Runs every example of a split, and scores the answers.

    Args:
        runner: model; its card says which task it has.
        split: examples with their truth.
        views: crops, scales and mirror images whose answers are averaged; by default the image itself.
        progress: whether a bar is shown on stderr.

    Returns:
        The task's figures over all examples; for a classifier `Scores`.

    Raises:
        InputError: examples or classes do not fit the model, or the model takes no such views.

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
    scorer = get_task(runner.card.task).code.scorer(runner.card)
    for found, truth in chunks(runner, split, views=views, progress=progress):
        scorer.update(found, truth)
    return scorer.result()
