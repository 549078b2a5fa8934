"""The task's own score of the validation examples after every epoch, where it is no mean that a metric adds up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import keras
import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data import Dataset
from keras_resnet.data.dataset import EncodedSplit
from keras_resnet.data.pipeline import arrays_of
from keras_resnet.data.splits import at_once
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.tasks import get_task
from keras_resnet.training.nets import Nets

if TYPE_CHECKING:
    from keras_resnet.tasks.results import RedrawnScorer

_BATCH = 64


class Scored(keras.callbacks.Callback):
    """Adds `val_` and the watched name to what validation reports, before anybody looks at it.

    The twin answers with the weights of that moment, at its own size, and gets its weights back: they are those of the
    epoch that is kept.
    """

    def __init__(self, nets: Nets, dataset: Dataset, card: ModelCard, watch: str):
        """Takes what is scored.

        Args:
            nets: nets of the run.
            dataset: data of the run.
            card: card of the model that is saved.
            watch: name of the figure.
        """
        super().__init__()
        self._nets, self._card, self._watch = nets, card, watch
        self._split = dataset.validation
        if isinstance(self._split, EncodedSplit):  # at the size of the net that is saved, where that is another one
            self._split = replace(self._split, shape=dataset.shape, keep=card.keep)
        self._runner = KerasRunner(nets.twin, card)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Answers all validation examples, and scores the answers."""
        twin, scorer = self._nets.twin, get_task(self._card.task).code.scorer(self._card)
        kept = twin.get_weights()
        self._nets.copy(self._nets.model, twin)
        for arrays in arrays_of(self._split, at_once(self._split, _BATCH)):
            outputs = self._runner(self._card.preprocess(arrays.pop(self._split.key)))
            scorer.update(outputs, arrays)
        twin.set_weights(kept)
        if logs is not None:
            found = cast("RedrawnScorer", scorer)
            value = found.drawn(np.arange(found.count))  # without intervals
            logs[f"val_{self._watch}"] = 0.0 if np.isnan(value) else value
