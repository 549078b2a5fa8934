"""One run, from the compiled model to its result: callbacks, `fit`, and what is left behind."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_resnet import extras, files, saving
from keras_resnet.arrays import in_32_bits
from keras_resnet.card import ModelCard
from keras_resnet.data.timing import Clock
from keras_resnet.errors import Stopped
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import Objectives
from keras_resnet.training import checkpoints, feeding, pictured, run
from keras_resnet.training.callbacks import Keep, Log, Stop, Stopwatch
from keras_resnet.training.inputs import (
    Inputs,
    encoder,
    estimate_statistics,
    training_pipeline,
    validation_pipeline,
)
from keras_resnet.training.nets import Nets
from keras_resnet.training.progress import Progress
from keras_resnet.training.recipes import Recipe
from keras_resnet.training.result import Result, read_result
from keras_resnet.training.scored import Scored
from keras_resnet.training.settling import settled
from keras_resnet.training.strategy import Devices

__all__ = ["Result", "Session", "estimate_statistics", "read_result"]


@dataclass
class Session:
    """The parts of a run, from the compiled model to its result.

    Attributes:
        nets: nets of the run, the trained one compiled.
        recipe: recipe of the run.
        inputs: data of the run.
        objectives: losses, metrics and the watched metric of the task.
        path: run directory.
        card: card of the model that is saved.
        start: checkpoint that the run goes on from; None at the beginning.
        checkpoint_minutes: minutes between checkpoints within an epoch.
        devices: devices of the run.
        policy: dtype policy of the training.
        also: callbacks that act before the model is saved.
        callers: callbacks of who called the training.
    """

    nets: Nets
    recipe: Recipe
    inputs: Inputs
    objectives: Objectives
    path: Path
    card: ModelCard
    start: checkpoints.Checkpoint | None
    checkpoint_minutes: float
    devices: Devices
    policy: str
    also: tuple[keras.callbacks.Callback, ...] = ()
    callers: tuple[keras.callbacks.Callback, ...] = ()

    def __post_init__(self) -> None:
        """Makes the callbacks that know how the run goes."""
        recipe = self.recipe
        self.model, self.twin = self.nets.model, self.nets.twin
        self.clock, self.signals = Clock(), checkpoints.Signals()
        self.stopwatch = Stopwatch(self.clock)
        only_best = recipe.keep == "best" and recipe.hold_out
        target = self.path / run.MODEL if self.devices.is_chief else None
        self.keep = Keep(self.nets, target, self.card, self.objectives, only_best)
        watched: dict[str, tuple[object, tuple[str, ...]]] = {"keep": (self.keep, ("best", "epoch"))}
        watched["stopwatch"] = (self.stopwatch, ("steps", "seconds", "waiting", "total"))
        self.plateau = None
        if recipe.schedule == "plateau":
            self.plateau = keras.callbacks.ReduceLROnPlateau(factor=0.1, patience=recipe.patience)
            watched["plateau"] = (self.plateau, ("best", "wait", "cooldown_counter"))
        self.checkpoints = checkpoints.Checkpoints(
            self.path / checkpoints.FOLDER,
            watched,
            self.signals,
            start=self.start,
            minutes=self.checkpoint_minutes,
            workers=max(1, len(self.devices.workers)),
            writes=self.devices.is_chief,
        )

    def _callbacks(self, verbose: bool) -> list[keras.callbacks.Callback]:
        """Callbacks in the order in which they act: prune, average, score, log, keep, show, write a checkpoint."""
        callbacks = [*self.also]
        callbacks += [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if self.recipe.ema else []
        if self.objectives.by_scorer and self.recipe.hold_out:
            callbacks.append(Scored(self.nets, self.inputs.dataset, self.card, self.objectives.watch))
        callbacks += [self.plateau] if self.plateau else []
        callbacks += [self.stopwatch, self.keep]
        callbacks += [Stop(self.keep, self.recipe.stop_patience)] if self.recipe.stop_patience else []
        if self.devices.is_chief:
            callbacks.append(Log(str(self.path / run.METRICS), append=True))
        if self.devices.is_chief and not (extras.is_there("tensorboard") and extras.is_there("tensorflow")):
            print(f"note: no logs for TensorBoard; with them: {extras.line('tensorboard')}", file=sys.stderr)
        elif self.devices.is_chief:
            folder = self.path / run.TENSORBOARD
            callbacks.append(keras.callbacks.TensorBoard(str(folder), write_graph=False))
            if self.recipe.hold_out:
                callbacks += pictured.callbacks(self.nets, self.inputs.dataset, self.card, folder)
        if verbose:
            first = (self.start.epoch, self.start.step) if self.start else (0, 0)
            size = (self.recipe.epochs, self.inputs.steps, self.recipe.batch_size)
            plural = get_signal(self.inputs.dataset.signal).plural
            callbacks.append(Progress(*size, first, metric=self.objectives.watch, plural=plural))
        return [*callbacks, *self.callers, checkpoints.Finite(self.checkpoints), self.checkpoints]

    def fit(self, verbose: bool) -> Result:
        """Trains, and writes result.json and curves.png.

        Args:
            verbose: whether the progress is shown.

        Raises:
            Stopped: SIGTERM or SIGHUP, or a signal in the last step.
        """
        with files.told_if_full(self.path):  # Keras and TensorFlow write metrics.csv and tensorboard/
            stopped = self._stopped(self._callbacks(verbose))
        self.stopwatch.tick()
        result = self._result(interrupted=stopped is not None)
        if stopped is None and self.devices.is_chief:
            with files.writing(self.path / run.RESULT, overwrite=True) as temporary:
                temporary.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
            shutil.rmtree(self.path / checkpoints.FOLDER, ignore_errors=True)  # model.keras is what the run was for
        if isinstance(stopped, Stopped) and stopped.signal != signal.SIGINT:
            raise stopped
        if stopped is None and self.signals.received is not None:  # in the last step, too late for this run
            raise Stopped(self.signals.received)  # but not for what the caller has in mind after it
        return result

    def _stopped(self, callbacks: list[keras.callbacks.Callback]) -> KeyboardInterrupt | None:
        """Trains to the end, or to what stopped it, which leaves a directory with a model and curves too."""
        stopped = None
        try:
            self._learn(callbacks)
        except KeyboardInterrupt as error:
            stopped = error
            resumed = self.start is not None and (self.path / run.MODEL).exists()  # it may not be restored yet
            if not self.keep.epoch and not resumed:  # better the weights of a moment than a directory without a model
                try:
                    self.keep.save()
                except RuntimeError:  # JAX has taken the values for a step that a second signal ended
                    print("note: no model was kept, as the step was cut off", file=sys.stderr)
        except BaseException:
            with contextlib.suppress(Exception):  # which is the one to hear of
                self._close(callbacks)
            raise
        self._close(callbacks)
        return stopped

    def _close(self, callbacks: list[keras.callbacks.Callback]) -> None:
        for callback in callbacks:
            if isinstance(callback, Log | Progress):
                callback.close()
        if self.devices.is_chief and (self.path / run.METRICS).exists():
            run.draw_curves(self.path)

    def _learn(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Calls `fit`, and estimates statistics of the weights that are kept, which need not be the last ones."""
        recipe, dataset, preprocess = self.recipe, self.inputs.dataset, self.card.preprocess

        def training(piece: tuple[int, int]) -> object:
            where = self.start, self.clock, piece
            return training_pipeline(recipe, self.inputs, preprocess, self.nets, *where)

        own = feeding.own(recipe, self.inputs, preprocess, self.devices)
        if own:
            first = (self.start.epoch, self.start.step) if self.start else (0, 0)
            batches, validation = own.calls(*first), own.evaluation_calls()
        else:
            batches = self.devices.distribute(training)
            validation = validation_pipeline(recipe, dataset, preprocess, self.devices)
        with self.signals.watched(), self.devices.fitting(self.model, self._batch()):
            self._go_on(counts=not own)
            with own.attached(self.model, self.clock) if own else contextlib.nullcontext():
                self.model.fit(
                    batches,
                    initial_epoch=self.start.epoch if self.start else 0,
                    epochs=recipe.epochs,
                    steps_per_epoch=self.inputs.steps,
                    validation_data=validation,
                    callbacks=callbacks,
                    shuffle=False,  # the pipeline does
                    verbose=0,
                )
        if recipe.precise_bn and self.devices.is_chief:
            estimate_statistics(self.twin, dataset, recipe, preprocess)
            self.keep.write()
        if recipe.hold_out and self.devices.is_chief and (self.path / run.MODEL).exists():
            self._settle()

    def _settle(self) -> None:
        """Writes the model that is kept again, with facts that the task chooses on the validation examples."""
        if self.start:  # a run that went on may not have saved anything since
            self.twin.set_weights(saving.load_model(self.path / run.MODEL)[0].get_weights())
        found = settled(self.twin, self.card, self.inputs.dataset)
        if found is not None:
            self.keep.card = found
            self.keep.write()

    def _result(self, interrupted: bool) -> Result:
        stopwatch, recipe = self.stopwatch, self.recipe
        return Result(
            run_dir=self.path,
            best_epoch=self.keep.epoch,
            metric=self.keep.metric,
            validation=self.keep.value if recipe.hold_out else None,
            seconds=stopwatch.total,
            images_per_second=recipe.batch_size * stopwatch.steps / max(stopwatch.seconds, 1e-9),
            waiting_share=stopwatch.waiting / max(stopwatch.seconds, 1e-9),
            precision=self.policy,
            interrupted=interrupted,
        )

    def _batch(self) -> tuple[object, object]:
        """The shapes of a replica's batch: inputs and targets."""
        own = self.recipe.batch_size // self.devices.replicas
        split = self.inputs.dataset.train
        examples, key = split.fetch([0]), split.key
        truth = {
            name: keras.ops.convert_to_tensor(in_32_bits(values)) for name, values in examples.items() if name != key
        }

        def like(each: Any) -> keras.KerasTensor:
            return keras.KerasTensor((own, *each.shape[1:]), keras.backend.standardize_dtype(each.dtype))

        targets = encoder(self.recipe, self.inputs.dataset)(truth)
        return keras.KerasTensor((own, *examples[key].shape[1:])), keras.tree.map_structure(like, targets)

    def _go_on(self, counts: bool) -> None:
        """Brings the model to the checkpoint; where `fit` counts the steps, it passes over those that were done."""
        if self.devices.is_chief:
            run.cut_metrics(self.path / run.METRICS, self.start.epoch if self.start else 0)
        if not self.start:
            return
        model = self.model
        if self.recipe.precise_bn and (self.path / run.MODEL).exists():  # it works on the weights that are kept
            self.twin.set_weights(saving.load_model(self.path / run.MODEL)[0].get_weights())
        if self.start.step and counts:
            model.make_train_function()
            calls = self.start.step // self.recipe.steps_per_execution
            model.train_function = _passing_over(model, calls)
        with self.devices.scope():
            model.optimizer.build(model.trainable_variables)
        checkpoints.restore(model, self.start, ("model", "optimizer"))


def _passing_over(model: keras.Model, calls: int):
    """A train function that does nothing so many times: `fit` counts the steps, the pipeline starts behind them."""
    function, remaining, logs = model.train_function, calls, model.get_metrics_result()

    def train_function(*arguments):
        nonlocal remaining
        if remaining == 0:
            return function(*arguments)
        remaining -= 1
        *state, _ = arguments  # JAX's functions take and return the variables' values
        return (logs, *state) if state else logs

    return train_function
