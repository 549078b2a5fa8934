"""Running models over splits, chunk by chunk, whatever their task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np

from keras_resnet import console
from keras_resnet.card import ModelCard
from keras_resnet.data import Split
from keras_resnet.data.dataset import end_to_end
from keras_resnet.errors import GateError, InputError
from keras_resnet.evaluation import tiles
from keras_resnet.evaluation.views import ONE, Views, batches_of_views, check, merged, of_any_size
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import get_task
from keras_resnet.tasks.results import Prediction

_Step = TypeVar("_Step")


def chunks(
    runner: Runner, split: Split, *, views: Views = ONE, progress: bool = False
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """A model's outputs on every example of a split, in its order, with the truth.

    Args:
        runner: model.
        split: examples.
        views: crops, scales and mirror images whose answers are merged by the task; or tiles.
        progress: whether a bar is shown on stderr.

    Yields:
        Float32 arrays by output name, and the truth by kind, one row per example.

    Raises:
        InputError: examples do not fit the model, or the model takes no such views.
        GateError: the model answers NaN or infinity.
    """
    check(runner.card, views)
    if views.tiles:
        whole = tiles.chunks(runner, split, views)
        for found, truth in console.progress(whole, "evaluating", len(split)) if progress else whole:
            check_finite(found, "an example")
            yield found, truth
        return
    dense = hasattr(get_task(runner.card.task).code, "mirrored")
    scales = views.scales if dense else ()
    if scales:
        tiles.check_scales(runner, scales)
    whole_images = bool(views.scales) and not dense
    runner = of_any_size(runner) if whole_images else runner
    size = None if whole_images else image_shape(runner)[:-1]
    steps, count = batches_of_views(split, replace(views, scales=()) if dense else views, size)
    if progress:
        steps = console.progress(steps, "evaluating", count)

    def answered_to(seen: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        check_fit(runner, seen[0].shape[1:])
        if scales:
            answers = [tiles.of_scale(runner, each, scale) for each in seen for scale in scales]
        else:
            answers = [runner(runner.card.preprocess(each)) for each in seen]
        for each in answers:
            check_finite(each, "an example")
        return answers[0] if len(answers) == 1 else merged(runner.card, answers, views)

    yield from one_ahead((answered_to(seen), truth) for seen, truth in steps)


def one_ahead(steps: Iterator[_Step]) -> Iterator[_Step]:
    """The same steps, of which the next one is made, by a thread, while the caller works on the last.

    Args:
        steps: steps, each made when it is asked for.
    """
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(next, steps, None)
        while (step := made.result()) is not None:
            made = pool.submit(next, steps, None)
            yield step


def outputs(runner: Runner, split: Split, *, views: Views = ONE, progress: bool = False) -> dict[str, np.ndarray]:
    """A model's outputs on every example of a split, all in memory.

    Args:
        runner: model.
        split: examples.
        views: crops, scales and mirror images of each example.
        progress: whether a bar is shown on stderr.

    Returns:
        Float32 arrays by output name, one row per example.

    Raises:
        InputError: see `chunks`.
    """
    return collected(runner, split, views=views, progress=progress)[0]


def collected(
    runner: Runner, split: Split, *, views: Views = ONE, progress: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A model's outputs on every example of a split, and the truth, all in memory.

    Args:
        runner: model.
        split: examples.
        views: crops, scales and mirror images of each example.
        progress: whether a bar is shown on stderr.

    Returns:
        Float32 arrays by output name, and the truth by kind, one row per example.

    Raises:
        InputError: see `chunks`.
    """
    found, truth = zip(*chunks(runner, split, views=views, progress=progress), strict=True)
    return end_to_end(found), end_to_end(truth)


def check_finite(outputs: Mapping[str, np.ndarray], example: str) -> None:
    """Refuses answers that are no numbers.

    Args:
        outputs: arrays by output name.
        example: what the model was asked about, for the message.

    Raises:
        GateError: a value is NaN or infinite.
    """
    wrong = [name for name, values in outputs.items() if not np.isfinite(values).all()]
    if wrong:
        raise GateError(
            f"the model answers NaN or infinity for {example} (output {', '.join(wrong)}): its weights or its input "
            "convention are damaged; save or export it again"
        )


def answered(
    runner: Runner, pixels: np.ndarray, names: Sequence[str], card: ModelCard, top: int
) -> Sequence[Prediction]:
    """The predictions of a batch.

    Args:
        runner: model.
        pixels: examples, `(n, ...)`.
        names: their names.
        card: card with the names of the classes.
        top: number of answers per example at most.

    Raises:
        GateError: the model answers NaN or infinity.
    """
    outputs = runner.run_unprepared(pixels, card.preprocess)
    for number, name in enumerate(names):
        check_finite({key: values[number] for key, values in outputs.items()}, name)
    return get_task(card.task).code.decode(outputs, card, limit=top, names=list(names))


def image_shape(runner: Runner) -> tuple[int, ...]:
    """Shape of one example that a runner takes, channels last.

    Args:
        runner: model.

    Raises:
        InputError: the runner takes no examples of its card's signal, or examples of any size.
    """
    return get_signal(runner.card.signal).fixed_shape(runner.example_shape, runner.input.shape)


def check_fit(runner: Runner, image_shape: tuple[int, ...]) -> None:
    """Refuses examples that the model cannot take.

    Args:
        runner: model.
        image_shape: shape of one example.

    Raises:
        InputError: the shapes differ.
    """
    expected = runner.example_shape
    same = len(expected) == len(image_shape)
    if not same or any(e not in (None, s) for e, s in zip(expected, image_shape, strict=True)):
        raise InputError(f"the model takes {runner.card.signal}s of {expected}, the dataset has {tuple(image_shape)}")
