"""Callbacks beside the steps of a run: the model is kept, the time is taken."""

from __future__ import annotations

import math
import time
from pathlib import Path

import keras

from keras_resnet import saving
from keras_resnet.card import ModelCard
from keras_resnet.data.timing import Clock
from keras_resnet.errors import InputError
from keras_resnet.tasks import Objectives
from keras_resnet.training.nets import Nets


class Keep(keras.callbacks.Callback):
    """Saves model.keras whenever validation improves (equal values are decided by the loss), or after every epoch.

    What is saved is the twin, a float32 model without the training's regularisation, with the weights of that moment.
    """

    def __init__(self, nets: Nets, path: Path | None, card: ModelCard, objectives: Objectives, best: bool):
        """Takes what is saved, and when.

        Args:
            nets: nets of the run; the twin is saved.
            path: file to write; None: nowhere.
            card: card that goes into the file.
            objectives: metric that is watched, and its direction.
            best: save improvements only.
        """
        super().__init__()
        self.nets, self.path, self.card, self.only_best = nets, path, card, best
        self.metric, self.sign = objectives.watch, 1 if objectives.larger_is_better else -1
        self.best, self.epoch = (-math.inf, 0.0), 0

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Compares with the best so far.

        Raises:
            InputError: there was a validation, and it does not report the watched metric.
        """
        logs = logs or {}
        found = [name.removeprefix("val_") for name in logs if name.startswith("val_")]
        if found and self.metric not in found:
            raise InputError(
                f"the task {self.card.task} watches {self.metric}, which is no name that validation reports: "
                f"{', '.join(sorted(found))}"
            )
        score = (self.sign * logs.get(f"val_{self.metric}", 0.0), -logs.get("val_loss", 0.0))
        if score > self.best or not self.only_best:
            self.best, self.epoch = score, epoch + 1
            self.save()

    @property
    def value(self) -> float:
        """The watched metric of the best epoch; 0 where no epoch was finished."""
        return self.sign * self.best[0] if self.epoch else 0.0

    def save(self) -> None:
        """Writes the model as it is now."""
        self.nets.copy(self.nets.model, self.nets.twin)
        self.write()

    def write(self) -> None:
        """Writes the twin as it is now; does nothing without a path."""
        if self.path:
            saving.save_model(self.nets.twin, self.path, self.card, overwrite=True)


class Stop(keras.callbacks.Callback):
    """Ends a training that has not improved for some epochs: what `Keep` holds is the best, also after a resumption."""

    def __init__(self, keep: Keep, patience: int):
        """Takes who knows the best epoch, and how many without a better one may follow it."""
        super().__init__()
        self.keep, self.patience = keep, patience

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Asks `fit` to end after this epoch."""
        if epoch + 1 - self.keep.epoch >= self.patience:
            self.model.stop_training = True


class Log(keras.callbacks.CSVLogger):
    """Keras' log of the epochs, which can be closed when a run ends early."""

    def close(self) -> None:
        """Closes the file."""
        if self.csv_file is not None:
            self.csv_file.close()


class Stopwatch(keras.callbacks.Callback):
    """Seconds and steps of training, without validation and saving; the first step, which compiles, is left out."""

    def __init__(self, clock: Clock):
        """Takes the clock that runs while the training waits for data."""
        super().__init__()
        self.clock, self.steps, self.seconds, self.waiting = clock, 0, 0.0, 0.0
        self.total = 0.0  # wall time of the run, with that of its interrupted parts
        self._first = True
        self._tick = time.monotonic()  # a signal may come before the training begins

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock of the wall."""
        self._tick = time.monotonic()

    def tick(self) -> None:
        """Brings `total` up to now."""
        now = time.monotonic()
        self.total, self._tick = self.total + now - self._tick, now

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts."""
        self.tick()
        self._mark = (0, time.monotonic(), self.clock.seconds)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Counts; `batch` is the last of those that one call executed."""
        if self._first:
            self._first = False
            self._mark = (batch + 1, time.monotonic(), self.clock.seconds)
        self._now = (batch + 1, time.monotonic())

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds up: the clock stopped with the last batch."""
        self.steps += self._now[0] - self._mark[0]
        self.seconds += self._now[1] - self._mark[1]
        self.waiting += self.clock.seconds - self._mark[2]
