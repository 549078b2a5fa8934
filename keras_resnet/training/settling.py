"""Facts of a card that are chosen when the training is over, on validation examples: thresholds, for instance."""

from __future__ import annotations

import dataclasses
import json

import keras

from keras_resnet.card import ModelCard
from keras_resnet.data import Dataset
from keras_resnet.data.dataset import end_to_end
from keras_resnet.data.pipeline import arrays_of
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.tasks import get_task
from keras_resnet.tasks.cards import card_facts
from keras_resnet.tasks.facts import facts_of

_BATCH = 256


def settled(model: keras.Model, card: ModelCard, dataset: Dataset) -> ModelCard | None:
    """The card with what the task chooses on validation examples; None for a task that chooses nothing.

    Args:
        model: model that is saved.
        card: card of the model.
        dataset: data of the run, whose validation examples stayed out of the training.
    """
    task = get_task(card.task)
    if not hasattr(task.code, "settled") or not len(dataset.validation):
        return None
    runner, key = KerasRunner(model, card), dataset.validation.key
    outputs, truth = [], []
    for arrays in arrays_of(dataset.validation, _BATCH):
        outputs.append(runner(card.preprocess(arrays.pop(key))))
        truth.append(arrays)
    found = task.capable.settled(end_to_end(outputs), end_to_end(truth), facts_of(card))
    return dataclasses.replace(card, facts=json.loads(json.dumps(card_facts(found))))
