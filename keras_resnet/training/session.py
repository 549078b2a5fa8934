"""One run, from the compiled model to its result: pipelines, callbacks, `fit`, and what is left behind."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import tensorflow as tf

from keras_resnet import files, saving
from keras_resnet.card import ModelCard
from keras_resnet.data import Dataset, Split, batches, joined, training_batches
from keras_resnet.data.augment import Augmentation, get_augmentation
from keras_resnet.data.mixing import make_mix
from keras_resnet.data.timing import Clock
from keras_resnet.signals.conventions import Preprocess
from keras_resnet.training import checkpoints, run
from keras_resnet.training import strategy as strategies
from keras_resnet.training.callbacks import Keep, Log, Stopwatch
from keras_resnet.training.nets import Nets
from keras_resnet.training.progress import Progress
from keras_resnet.training.recipes import Recipe
from keras_resnet.training.teaching import taught

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Result:
    """What a training left behind.

    Attributes:
        run_dir: with model.keras, recipe.json, metrics.csv, curves.png, environment.json, result.json and the logs of
            TensorBoard (where it is installed).
        best_epoch: whose weights model.keras holds, counted from 1; 0 if no epoch was finished.
        validation_accuracy: of that epoch; None where nothing was held out.
        seconds: wall time of `fit`.
        images_per_second: of the training steps alone, without the validation.
        waiting_share: of the training steps' time in which the next batch was not ready.
        precision: dtype policy of the training.
        interrupted: Ctrl-C ended it early.
    """

    run_dir: Path
    best_epoch: int
    validation_accuracy: float | None
    seconds: float
    images_per_second: float
    waiting_share: float
    precision: str
    interrupted: bool

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return {**asdict(self), "run_dir": str(self.run_dir)}


def estimate_statistics(model: keras.Model, dataset: Dataset, recipe: Recipe, preprocess: Preprocess) -> None:
    """Replaces the moving statistics by means over `precise_bn` training images ("precise batch normalisation").

    Args:
        model: changed in place.
        dataset: whose training images are seen, with the recipe's augmentation.
        recipe: of the training.
        preprocess: of the model's input.
    """
    split, augment = _training_split(recipe, dataset), get_augmentation(recipe.augmentation)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in norms]
    pipeline = training_batches(split, recipe.batch_size, seed=recipe.seed, augment=augment)
    for number, batch in enumerate(pipeline.take(max(1, recipe.precise_bn // recipe.batch_size))):
        for layer in norms:
            layer.momentum = number / (number + 1)  # so that the moving average is the mean so far
        model(keras.ops.convert_to_tensor(preprocess(batch[split.key]).numpy()), training=True)
    for layer, momentum in zip(norms, before, strict=True):
        layer.momentum = momentum


def _pipelines(
    recipe: Recipe,
    dataset: Dataset,
    augment: Augmentation,
    preprocess: Preprocess,
    clock: Clock,
    start,
    steps: int,
    devices,
    nets: Nets,
):
    """Batches to train on, endless and timed by the clock, and to validate on (None where nothing is held out)."""
    classes = len(dataset.classes)

    def encode(truth):
        return tf.one_hot(truth["label"], classes)

    def normalized(pixels, targets):
        return preprocess(pixels), targets

    def training(piece: tuple[int, int]) -> tf.data.Dataset:
        def batches_from(epoch: int, batch: int) -> tf.data.Dataset:
            pipeline = training_batches(
                _training_split(recipe, dataset),
                recipe.batch_size,
                seed=recipe.seed,
                augment=augment,
                repeats=recipe.repeats,
                mix=make_mix(recipe.mixup, recipe.cutmix),
                encode=encode,
                first_epoch=epoch,
                first_batch=batch,
                piece=piece,
            )
            return pipeline.map(normalized, num_parallel_calls=tf.data.AUTOTUNE)

        first = (start.epoch, start.step) if start else (0, 0)
        if recipe.distillation:
            pipeline = taught(batches_from, nets.teacher, recipe, steps=steps, start=first, kept=nets.answers)
        else:
            pipeline = batches_from(*first)
        return clock.timed(pipeline.prefetch(tf.data.AUTOTUNE))

    validation = None
    if recipe.hold_out:
        size = -(-_EVALUATION_BATCH // devices.replicas) * devices.replicas
        key = dataset.validation.key
        one_hot = batches(dataset.validation, size).map(lambda batch: (batch[key], encode(batch)))
        validation = devices.padded(one_hot.map(normalized), size, len(dataset.validation)).cache()
    return devices.distribute(training), validation


def _training_split(recipe: Recipe, dataset: Dataset) -> Split:
    return dataset.train if recipe.hold_out else joined(dataset.train, dataset.validation)


@dataclass
class Session:
    """The parts of a run, from the compiled model to its result."""

    nets: Nets
    recipe: Recipe
    dataset: Dataset
    steps: int
    path: Path
    card: ModelCard
    augment: Augmentation
    start: checkpoints.Checkpoint | None
    checkpoint_minutes: float
    devices: strategies.Devices
    policy: str
    also: tuple[keras.callbacks.Callback, ...] = ()

    def __post_init__(self) -> None:
        """Makes the callbacks that know how the run goes."""
        recipe = self.recipe
        self.model, self.twin = self.nets.model, self.nets.twin
        self.clock, self.signals = Clock(), checkpoints.Signals()
        self.stopwatch = Stopwatch(self.clock)
        only_best = recipe.keep == "best" and recipe.hold_out
        target = self.path / run.MODEL if self.devices.is_chief else None
        self.keep = Keep(self.nets, target, self.card, only_best)
        watched = {"keep": (self.keep, ("best", "epoch"))}
        watched["stopwatch"] = (self.stopwatch, ("steps", "seconds", "waiting", "total"))
        self.plateau = None
        if recipe.schedule == "plateau":
            self.plateau = keras.callbacks.ReduceLROnPlateau(factor=0.1, patience=recipe.patience)
            watched["plateau"] = (self.plateau, ("best", "wait", "cooldown_counter"))
        folder = self.path / checkpoints.FOLDER
        self.checkpoints = checkpoints.Checkpoints(
            folder,
            watched,
            self.signals,
            start=self.start,
            minutes=self.checkpoint_minutes,
            workers=max(1, len(self.devices.workers)),
            writes=self.devices.is_chief,
        )

    def _callbacks(self, verbose: bool) -> list[keras.callbacks.Callback]:
        """In the order in which they act: prune, average, log, keep, show, and the checkpoint of what they left."""
        callbacks = [*self.also]
        callbacks += [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if self.recipe.ema else []
        callbacks += [self.plateau] if self.plateau else []
        callbacks += [self.stopwatch, self.keep]
        if self.devices.is_chief:
            callbacks.append(Log(str(self.path / run.METRICS), append=True))
        if self.devices.is_chief and importlib.util.find_spec("tensorboard"):
            callbacks.append(keras.callbacks.TensorBoard(str(self.path / run.TENSORBOARD), write_graph=False))
        if verbose:
            first = (self.start.epoch, self.start.step) if self.start else (0, 0)
            callbacks.append(Progress(self.recipe.epochs, self.steps, self.recipe.batch_size, first))
        return [*callbacks, checkpoints.Finite(self.checkpoints), self.checkpoints]

    def fit(self, verbose: bool) -> Result:
        """Trains, and writes result.json and curves.png."""
        recipe, path = self.recipe, self.path
        training, validation = _pipelines(
            recipe,
            self.dataset,
            self.augment,
            self.card.preprocess,
            self.clock,
            self.start,
            self.steps,
            self.devices,
            self.nets,
        )
        callbacks, stopped = self._callbacks(verbose), None
        try:
            with self.signals.watched(), self.devices.fitting(self.model, self._batch()):
                self._go_on()
                self.model.fit(
                    training,
                    initial_epoch=self.start.epoch if self.start else 0,
                    epochs=recipe.epochs,
                    steps_per_epoch=self.steps,
                    validation_data=validation,
                    callbacks=callbacks,
                    shuffle=False,  # the pipeline does
                    verbose=0,
                )
            if recipe.precise_bn and self.devices.is_chief:
                # Of the weights that are kept, which need not be the last ones.
                estimate_statistics(self.twin, self.dataset, recipe, self.card.preprocess)
                self.keep.write()
        except KeyboardInterrupt as error:
            stopped = error
            if not self.keep.epoch:  # better the weights of a moment than a directory without a model
                self.keep.save()
        finally:
            for callback in callbacks:
                if isinstance(callback, Log | Progress):
                    callback.close()
            if self.devices.is_chief and (path / run.METRICS).exists():
                run.draw_curves(path)
        self.stopwatch.tick()
        result = self._result(interrupted=stopped is not None)
        if stopped is None and self.devices.is_chief:
            with files.writing(path / run.RESULT, overwrite=True) as temporary:
                temporary.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
            shutil.rmtree(path / checkpoints.FOLDER, ignore_errors=True)  # model.keras is what the run was for
        if isinstance(stopped, checkpoints.Stopped) and stopped.signal == signal.SIGTERM:
            raise stopped
        if stopped is None and self.signals.received is not None:  # in the last step, too late for this run
            raise checkpoints.Stopped(self.signals.received)  # but not for what the caller has in mind after it
        return result

    def _result(self, interrupted: bool) -> Result:
        stopwatch, recipe = self.stopwatch, self.recipe
        return Result(
            run_dir=self.path,
            best_epoch=self.keep.epoch,
            validation_accuracy=max(self.keep.best[0], 0.0) if recipe.hold_out else None,
            seconds=stopwatch.total,
            images_per_second=recipe.batch_size * stopwatch.steps / max(stopwatch.seconds, 1e-9),
            waiting_share=stopwatch.waiting / max(stopwatch.seconds, 1e-9),
            precision=self.policy,
            interrupted=interrupted,
        )

    def _batch(self) -> tuple[tf.TensorSpec, tf.TensorSpec]:
        """The shapes of a replica's batch."""
        own = self.recipe.batch_size // self.devices.replicas
        size = self.dataset.train.fetch([0])[self.dataset.train.key].shape[1:]
        return tf.TensorSpec((own, *size)), tf.TensorSpec((own, len(self.dataset.classes)))

    def _go_on(self) -> None:
        """Brings the model to the checkpoint, and lets `fit` pass over the steps of the epoch that were done."""
        if self.devices.is_chief:
            run.cut_metrics(self.path / run.METRICS, self.start.epoch if self.start else 0)
        if not self.start:
            return
        model = self.model
        if self.recipe.precise_bn and (self.path / run.MODEL).exists():  # it works on the weights that are kept
            self.twin.set_weights(saving.load_model(self.path / run.MODEL)[0].get_weights())
        if self.start.step:
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


def read_result(path: Path) -> Result | None:
    """The result of a finished run, None where there is none.

    Args:
        path: the run directory.
    """
    if not (path / run.RESULT).is_file():
        return None
    values = json.loads((path / run.RESULT).read_text(encoding="utf-8"))
    return None if values["interrupted"] else Result(**{**values, "run_dir": path})
