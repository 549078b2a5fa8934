"""Input conventions of models that do not tell theirs: refused, with what labelled images say of each."""

from __future__ import annotations

import dataclasses

import keras

from keras_resnet.card import ModelCard
from keras_resnet.data import Dataset, sampled
from keras_resnet.errors import InputError
from keras_resnet.evaluation.running import chunks
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks import get_task

_EXAMPLES = 500


def require(network: keras.Model, card: ModelCard, dataset: Dataset | None, origin: object) -> None:
    """Refuses a model of which nobody knows what its input looks like.

    Args:
        network: functional model of the task's outputs.
        card: its card.
        dataset: labelled data, None where there are none.
        origin: model, for the message.

    Raises:
        InputError: no card, no layer that scales, and no hint.
    """
    if card.known:
        return
    said = ""
    if dataset is not None and get_task(card.task).truth in _labelled(dataset).truth:  # not in unlabelled samples
        found = scores(network, card, dataset)
        count = min(_EXAMPLES, len(_labelled(dataset)))
        said = f"; on {count} labelled images of {dataset.name}: " + ", ".join(f"{k} {v}" for k, v in found.items())
    raise InputError(
        f"{origin} does not say what its input looks like, and a wrong guess would make a file that is wrong: give "
        f"--preprocess {'|'.join(PREPROCESS)} or MEAN/STD{said}"
    )


def scores(network: keras.Model, card: ModelCard, dataset: Dataset) -> dict[str, str]:
    """The headline score under each input convention, for a person who must choose one.

    Args:
        network: functional model of the task's outputs.
        card: card without a convention.
        dataset: labelled data; its test images are left alone.

    Returns:
        Scores in words by row of `PREPROCESS`, best first.
    """
    task, found = get_task(card.task), {}
    for name, row in PREPROCESS.items():
        scorer = task.code.scorer(card)
        own = dataclasses.replace(card, preprocess=row.for_channels(network.input_shape[-1]))
        for outputs, truth in chunks(KerasRunner(network, own), sampled(_labelled(dataset), _EXAMPLES)):
            scorer.update(outputs, truth)
        found[name] = scorer.result().value
    return {name: str(task.score.text(found[name])) for name in sorted(found, key=lambda each: -found[each])}


def _labelled(dataset: Dataset):
    return dataset.validation if len(dataset.validation) else dataset.train
