"""`train`: a recipe becomes a run directory. The loop itself is `fit`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import saving
from keras_resnet.builder import build
from keras_resnet.card import ModelCard
from keras_resnet.data import Dataset, batches, load_dataset, training_batches
from keras_resnet.data.augment import get_augmentation
from keras_resnet.data.folder import check_unreadable
from keras_resnet.errors import GateError, InputError, unknown_name
from keras_resnet.preprocessing import PREPROCESS
from keras_resnet.specs import get_spec
from keras_resnet.training import run
from keras_resnet.training.optimization import make_optimizer
from keras_resnet.training.recipes import Recipe

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Result:
    """What a training left behind.

    Attributes:
        run_dir: with model.keras, recipe.json, metrics.csv, curves.png and environment.json.
        best_epoch: counted from 1; 0 if no epoch was finished.
        validation_accuracy: of the best epoch, whose weights model.keras holds.
        seconds: wall time of `fit`.
        interrupted: Ctrl-C ended it early.
    """

    run_dir: Path
    best_epoch: int
    validation_accuracy: float
    seconds: float
    interrupted: bool


class _KeepBest(keras.callbacks.Callback):
    """Saves model.keras whenever validation improves; equal accuracy is decided by the loss."""

    def __init__(self, path: Path, card: ModelCard):
        super().__init__()
        self.path, self.card = path, card
        self.best, self.epoch = (-1.0, 0.0), 0

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Compares with the best so far."""
        score = (logs["val_accuracy"], -logs["val_loss"])
        if score > self.best:
            self.best, self.epoch = score, epoch + 1
            self.save()

    def save(self) -> None:
        """Writes the model as it is now."""
        saving.save_model(self.model, self.path, self.card, overwrite=True)


def train(
    recipe: Recipe,
    *,
    data_dir: str | os.PathLike | None = None,
    run_dir: str | os.PathLike | None = None,
    verbose: int | str = "auto",
) -> Result:
    """Trains a recipe's model and keeps the weights of the best validation epoch.

    The same recipe gives the same weights, bit for bit, on the same machine. Ctrl-C ends the training early; the run
    directory stays usable.

    Args:
        recipe: a row of `RECIPES`, possibly changed by `dataclasses.replace`.
        data_dir: where cifar10's files are.
        run_dir: a new or empty directory; `runs/RECIPE-DATE-TIME` by default.
        verbose: as in `keras.Model.fit`.

    Returns:
        Where the run is, and how well it did.

    Raises:
        InputError: unknown names in the recipe, unusable data, a run directory in use.
        GateError: the loss became NaN or infinite.

    Example:
        >>> import dataclasses, tempfile, keras_resnet
        >>> short = dataclasses.replace(keras_resnet.RECIPES["digits-resnet8"], epochs=2)
        >>> result = keras_resnet.train(short, run_dir=tempfile.mkdtemp(), verbose=0)
        >>> (result.run_dir / "model.keras").exists()
        True
    """
    spec = get_spec(recipe.model)
    if recipe.preprocess not in PREPROCESS:
        raise unknown_name("input convention", recipe.preprocess, PREPROCESS)
    augment = get_augmentation(recipe.augmentation)
    size = recipe.image_size or spec.default_size
    dataset = load_dataset(recipe.dataset, data_dir, (size, size, 3))
    check_unreadable(dataset, recipe.max_unreadable)
    steps = len(dataset.train.labels) // recipe.batch_size
    if steps == 0:
        raise InputError(
            f"batch_size={recipe.batch_size}: {recipe.dataset} has only {len(dataset.train.labels)} training images; "
            f"pass --set batch_size={max(1, len(dataset.train.labels) // 4)}"
        )
    path = run.create(recipe, run_dir)
    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    model = build(spec, input_shape=dataset.image_shape, classes=len(dataset.classes))
    model.compile(
        optimizer=make_optimizer(recipe, steps),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    card = ModelCard(
        labels=dataset.classes,
        preprocess=PREPROCESS[recipe.preprocess],
        spec=spec.name,
        dataset=dataset.name,
        recipe=recipe.name,
    )
    return _fit(model, recipe, dataset, steps, path, card, augment, verbose)


def _fit(model, recipe: Recipe, dataset: Dataset, steps, path: Path, card: ModelCard, augment, verbose) -> Result:
    classes = len(dataset.classes)

    def prepared(pixels, labels):
        return card.preprocess(pixels), tf.one_hot(labels, classes)

    training = training_batches(dataset.train, recipe.batch_size, seed=recipe.seed, augment=augment).map(prepared)
    validation = batches(dataset.validation, _EVALUATION_BATCH).map(prepared).cache()
    keep_best = _KeepBest(path / run.MODEL, card)
    start, interrupted = time.monotonic(), False
    losses: list[float] = []
    try:
        history = model.fit(
            training,
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=[keras.callbacks.CSVLogger(str(path / run.METRICS)), keep_best, keras.callbacks.TerminateOnNaN()],
            shuffle=False,  # the pipeline does
            verbose=verbose,
        )
        losses = history.history["loss"]
    except KeyboardInterrupt:
        interrupted = True
        if not keep_best.epoch:  # better the weights of a moment than a directory without a model
            keep_best.save()
    if (path / run.METRICS).exists():
        run.draw_curves(path)
    if not np.isfinite(losses).all():
        raise GateError(
            f"the loss was not finite in epoch {len(losses)}: lower learning_rate={recipe.learning_rate} or raise "
            f"warmup_epochs={recipe.warmup_epochs}; {path} has the metrics"
        )
    accuracy = max(keep_best.best[0], 0.0)
    return Result(path, keep_best.epoch, accuracy, time.monotonic() - start, interrupted)
