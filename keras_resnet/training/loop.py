"""`train`: a recipe becomes a run directory. The loop itself is `fit`."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import files, saving
from keras_resnet.builder import build
from keras_resnet.card import ModelCard
from keras_resnet.data import Dataset, Split, batches, joined, load_dataset, training_batches
from keras_resnet.data.augment import Augmentation, get_augmentation
from keras_resnet.data.dataset import EncodedSplit
from keras_resnet.data.folder import check_unreadable
from keras_resnet.data.mixing import make_mix
from keras_resnet.data.timing import Clock
from keras_resnet.errors import GateError, InputError, unknown_name
from keras_resnet.preprocessing import PREPROCESS, Preprocess
from keras_resnet.specs import ResNetSpec, get_spec
from keras_resnet.training import precision, run, summary
from keras_resnet.training.fused import fuse
from keras_resnet.training.optimization import make_optimizer
from keras_resnet.training.progress import Progress
from keras_resnet.training.recipes import Recipe
from keras_resnet.training.remat import rematerialise

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


class _Keep(keras.callbacks.Callback):
    """Saves model.keras whenever validation improves (equal accuracy is decided by the loss), or after every epoch.

    What is saved is `twin`, a float32 model without the training's regularisation, with the weights of that moment.
    """

    def __init__(self, twin: keras.Model, path: Path, card: ModelCard, best: bool):
        super().__init__()
        self.twin, self.path, self.card, self.only_best = twin, path, card, best
        self.best, self.epoch = (-1.0, 0.0), 0

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Compares with the best so far."""
        score = (logs.get("val_accuracy", 0.0), -logs.get("val_loss", 0.0))
        if score > self.best or not self.only_best:
            self.best, self.epoch = score, epoch + 1
            self.save()

    def save(self) -> None:
        """Writes the model as it is now."""
        copy_weights(self.model, self.twin)
        saving.save_model(self.twin, self.path, self.card, overwrite=True)


class _Stopwatch(keras.callbacks.Callback):
    """Seconds and steps of training, without validation and saving; the first step, which compiles, is left out."""

    def __init__(self, clock: Clock):
        super().__init__()
        self.clock, self.steps, self.seconds, self.waiting = clock, 0, 0.0, 0.0
        self._first = True

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts."""
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


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies by layer name: regularising layers change the order of the others."""
    values = {weight.path: weight for weight in source.weights}
    for weight in target.weights:
        weight.assign(values[weight.path])


def train(
    recipe: Recipe,
    *,
    data_dir: str | os.PathLike | None = None,
    run_dir: str | os.PathLike | None = None,
    verbose: bool = True,
) -> Result:
    """Trains a recipe's model and keeps the weights of the best validation epoch, or the last ones (`keep`).

    The same recipe gives the same weights, bit for bit, on the same machine. Ctrl-C ends the training early; the run
    directory stays usable.

    Args:
        recipe: a row of `RECIPES`, possibly changed by `dataclasses.replace`.
        data_dir: where CIFAR's official binary files are; by default Keras' cache.
        run_dir: a new or empty directory; `runs/RECIPE-DATE-TIME` by default.
        verbose: show the progress: a bar on a terminal, else a line after every epoch.

    Returns:
        Where the run is, and how well it did.

    Raises:
        InputError: unknown names in the recipe, unusable data, a run directory in use.
        GateError: the loss became NaN or infinite.

    Example:
        >>> import dataclasses, tempfile, keras_resnet
        >>> short = dataclasses.replace(keras_resnet.RECIPES["digits-resnet8"], epochs=2)
        >>> result = keras_resnet.train(short, run_dir=tempfile.mkdtemp(), verbose=False)
        >>> (result.run_dir / "model.keras").exists()
        True
    """
    spec = get_spec(recipe.model)
    if recipe.preprocess not in PREPROCESS:
        raise unknown_name("input convention", recipe.preprocess, PREPROCESS)
    augment = get_augmentation(recipe.augmentation)
    size = recipe.image_size or spec.default_size
    test_size = recipe.test_size or size
    dataset = load_dataset(recipe.dataset, data_dir, (test_size, test_size, 3), recipe.crop)
    check_unreadable(dataset, recipe.max_unreadable)
    if augment.box and not isinstance(dataset.train, EncodedSplit):
        raise InputError(
            f"augmentation={recipe.augmentation} cuts out of encoded images; {recipe.dataset} is in memory at its own "
            "size: use crop-flip"
        )
    if size != test_size:
        if not isinstance(dataset.train, EncodedSplit):
            raise InputError(f"test_size={test_size}: the images of {recipe.dataset} have one size; set test_size=0")
        dataset = replace(dataset, train=replace(dataset.train, size=(size, size)))
    count = len(dataset.train.labels) + (0 if recipe.hold_out else len(dataset.validation.labels))
    steps = count // recipe.batch_size
    if steps == 0:
        raise InputError(
            f"batch_size={recipe.batch_size}: {recipe.dataset} has only {len(dataset.train.labels)} training images; "
            f"pass --set batch_size={max(1, len(dataset.train.labels) // 4)}"
        )
    path = run.create(recipe, run_dir)
    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    policy = precision.resolve(recipe.precision)
    model, twin = _models(recipe, spec, dataset, policy)
    model.compile(
        optimizer=make_optimizer(recipe, steps),
        loss=_LOSSES[recipe.loss](recipe),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        steps_per_execution=recipe.steps_per_execution,
        jit_compile=recipe.jit_compile,
    )
    if verbose:
        print(summary.describe(model, twin, recipe, steps, policy))
    card = ModelCard(
        labels=dataset.classes,
        preprocess=PREPROCESS[recipe.preprocess],
        spec=spec.name,
        dataset=dataset.name,
        recipe=recipe.name,
        crop=recipe.crop,
    )
    return _fit(model, twin, recipe, dataset, steps, path, card, augment, verbose)


def _crossentropy(recipe: Recipe):
    return keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)


def _binary(recipe: Recipe):
    """Every class is a question of its own; on logits, since the sum of probabilities is free."""
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    if not recipe.target_threshold:
        return loss
    return lambda targets, logits: loss(keras.ops.cast(targets > recipe.target_threshold, "float32"), logits)


_LOSSES = {"cross-entropy": _crossentropy, "binary": _binary}


def _models(recipe: Recipe, spec: ResNetSpec, dataset: Dataset, policy: str) -> tuple[keras.Model, keras.Model]:
    """The net that is trained, and its plain float32 twin that is saved."""
    common = {"classes": len(dataset.classes)}
    height, width, channels = dataset.image_shape
    if recipe.test_size:  # training and validation images of two sizes pass through a net of no fixed one
        height = width = None
    with precision.policy(policy):
        model = build(
            spec,
            **common,
            input_tensor=keras.Input((height, width, channels)),
            classifier_activation=None if recipe.loss == "binary" else "softmax",
            dropout=recipe.dropout,
            stochastic_depth=recipe.stochastic_depth,
            zero_init_residual=recipe.zero_init_residual,
        )
    with precision.policy("float32"):
        twin = build(spec, **common, input_shape=dataset.image_shape)
    fuse(model)
    if recipe.remat:
        with precision.policy(policy):
            rematerialise(model)
    return model, twin


def _estimate_statistics(model: keras.Model, split: Split, recipe: Recipe, augment, preprocess) -> None:
    """Replaces the moving statistics by means over that many training images ("precise batch normalisation")."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in norms]
    pipeline = training_batches(split, recipe.batch_size, seed=recipe.seed, augment=augment)
    for number, (pixels, _) in enumerate(pipeline.take(max(1, recipe.precise_bn // recipe.batch_size))):
        for layer in norms:
            layer.momentum = number / (number + 1)  # so that the moving average is the mean so far
        model(preprocess(pixels), training=True)
    for layer, momentum in zip(norms, before, strict=True):
        layer.momentum = momentum


def _pipelines(recipe: Recipe, dataset: Dataset, augment: Augmentation, preprocess: Preprocess, clock: Clock):
    """Batches to train on, endless and timed by the clock, and to validate on (None where nothing is held out)."""
    classes = len(dataset.classes)

    def normalized(pixels, targets):
        return preprocess(pixels), targets

    training = training_batches(
        _training_split(recipe, dataset),
        recipe.batch_size,
        seed=recipe.seed,
        augment=augment,
        repeats=recipe.repeats,
        mix=make_mix(recipe.mixup, recipe.cutmix),
        classes=classes,
    )
    training = training.map(normalized, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    validation = None
    if recipe.hold_out:
        one_hot = batches(dataset.validation, _EVALUATION_BATCH).map(lambda x, y: (x, tf.one_hot(y, classes)))
        validation = one_hot.map(normalized).cache()
    return clock.timed(training), validation


def _training_split(recipe: Recipe, dataset: Dataset) -> Split:
    return dataset.train if recipe.hold_out else joined(dataset.train, dataset.validation)


def _callbacks(recipe: Recipe, path: Path, keep: _Keep, stopwatch: _Stopwatch) -> list[keras.callbacks.Callback]:
    """In the order in which they act at the end of an epoch: average, log, keep."""
    callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if recipe.ema else []
    if recipe.schedule == "plateau":
        callbacks.append(keras.callbacks.ReduceLROnPlateau(factor=0.1, patience=recipe.patience))
    callbacks += [stopwatch, keras.callbacks.CSVLogger(str(path / run.METRICS)), keep]
    if importlib.util.find_spec("tensorboard"):
        callbacks.append(keras.callbacks.TensorBoard(str(path / run.TENSORBOARD), write_graph=False))
    return [*callbacks, keras.callbacks.TerminateOnNaN()]


def _fit(model, twin, recipe: Recipe, dataset: Dataset, steps, path: Path, card: ModelCard, augment, verbose) -> Result:
    clock = Clock()
    stopwatch = _Stopwatch(clock)
    training, validation = _pipelines(recipe, dataset, augment, card.preprocess, clock)
    keep = _Keep(twin, path / run.MODEL, card, best=recipe.keep == "best" and recipe.hold_out)
    shown = [Progress(recipe.epochs, steps, recipe.batch_size)] if verbose else []
    start, interrupted = time.monotonic(), False
    losses: list[float] = []
    try:
        history = model.fit(
            training,
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=[*_callbacks(recipe, path, keep, stopwatch), *shown],
            shuffle=False,  # the pipeline does
            verbose=0,
        )
        losses = history.history["loss"]
        if recipe.precise_bn and np.isfinite(losses).all():
            copy_weights(twin, model)  # those that are kept, which need not be the last ones
            _estimate_statistics(model, _training_split(recipe, dataset), recipe, augment, card.preprocess)
            keep.save()
    except KeyboardInterrupt:
        interrupted = True
        if not keep.epoch:  # better the weights of a moment than a directory without a model
            keep.save()
    finally:
        for progress in shown:
            progress.close()
    if (path / run.METRICS).exists():
        run.draw_curves(path)
    if not np.isfinite(losses).all():
        raise GateError(
            f"the loss was not finite in epoch {len(losses)}: lower learning_rate={recipe.learning_rate} or raise "
            f"warmup_epochs={recipe.warmup_epochs}; {path} has the metrics"
        )
    result = Result(
        run_dir=path,
        best_epoch=keep.epoch,
        validation_accuracy=max(keep.best[0], 0.0) if recipe.hold_out else None,
        seconds=time.monotonic() - start,
        images_per_second=recipe.batch_size * stopwatch.steps / max(stopwatch.seconds, 1e-9),
        waiting_share=stopwatch.waiting / max(stopwatch.seconds, 1e-9),
        precision=model.dtype_policy.name,
        interrupted=interrupted,
    )
    with files.writing(path / run.RESULT) as temporary:
        temporary.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
    return result
