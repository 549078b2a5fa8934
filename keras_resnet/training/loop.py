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
from keras_resnet.data import Dataset, Split, batches, joined, load_dataset, training_batches
from keras_resnet.data.augment import get_augmentation
from keras_resnet.data.folder import check_unreadable
from keras_resnet.data.mixing import make_mix
from keras_resnet.errors import GateError, InputError, unknown_name
from keras_resnet.preprocessing import PREPROCESS
from keras_resnet.specs import ResNetSpec, get_spec
from keras_resnet.training import precision, run, summary
from keras_resnet.training.fused import fuse
from keras_resnet.training.optimization import make_optimizer
from keras_resnet.training.recipes import Recipe

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Result:
    """What a training left behind.

    Attributes:
        run_dir: with model.keras, recipe.json, metrics.csv, curves.png and environment.json.
        best_epoch: counted from 1; 0 if no epoch was finished.
        validation_accuracy: of the best epoch, whose weights model.keras holds; None where nothing was held out.
        seconds: wall time of `fit`.
        interrupted: Ctrl-C ended it early.
    """

    run_dir: Path
    best_epoch: int
    validation_accuracy: float | None
    seconds: float
    interrupted: bool


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
        loss=_LOSSES[recipe.loss](label_smoothing=recipe.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        steps_per_execution=recipe.steps_per_execution,
        jit_compile=recipe.jit_compile,
    )
    if verbose:
        print(summary.describe(model, recipe, steps, policy))
    card = ModelCard(
        labels=dataset.classes,
        preprocess=PREPROCESS[recipe.preprocess],
        spec=spec.name,
        dataset=dataset.name,
        recipe=recipe.name,
    )
    return _fit(model, twin, recipe, dataset, steps, path, card, augment, verbose)


def _crossentropy(label_smoothing: float):
    return keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)


def _binary(label_smoothing: float):
    """Every class is a question of its own; on logits, since the sum of probabilities is free."""
    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)


_LOSSES = {"cross-entropy": _crossentropy, "binary": _binary}


def _models(recipe: Recipe, spec: ResNetSpec, dataset: Dataset, policy: str) -> tuple[keras.Model, keras.Model]:
    """The net that is trained, and its plain float32 twin that is saved."""
    common = {"input_shape": dataset.image_shape, "classes": len(dataset.classes)}
    with precision.policy(policy):
        model = build(
            spec,
            **common,
            classifier_activation=None if recipe.loss == "binary" else "softmax",
            dropout=recipe.dropout,
            stochastic_depth=recipe.stochastic_depth,
            zero_init_residual=recipe.zero_init_residual,
        )
    with precision.policy("float32"):
        twin = build(spec, **common)
    fuse(model)
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


def _fit(model, twin, recipe: Recipe, dataset: Dataset, steps, path: Path, card: ModelCard, augment, verbose) -> Result:
    classes = len(dataset.classes)

    def normalized(pixels, targets):
        return card.preprocess(pixels), targets

    source = dataset.train if recipe.hold_out else joined(dataset.train, dataset.validation)
    mix = make_mix(recipe.mixup, recipe.cutmix)
    training = training_batches(
        source, recipe.batch_size, seed=recipe.seed, augment=augment, mix=mix, classes=classes
    ).map(normalized, num_parallel_calls=tf.data.AUTOTUNE)
    validation = None
    if recipe.hold_out:
        one_hot = batches(dataset.validation, _EVALUATION_BATCH).map(lambda x, y: (x, tf.one_hot(y, classes)))
        validation = one_hot.map(normalized).cache()
    keep_best = _Keep(twin, path / run.MODEL, card, best=recipe.hold_out)
    callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if recipe.ema else []
    if recipe.schedule == "plateau":
        callbacks.append(keras.callbacks.ReduceLROnPlateau(factor=0.1, patience=recipe.patience))
    csv_logger = keras.callbacks.CSVLogger(str(path / run.METRICS))
    callbacks += [csv_logger, keep_best, keras.callbacks.TerminateOnNaN()]
    start, interrupted = time.monotonic(), False
    losses: list[float] = []
    try:
        history = model.fit(
            training,
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=callbacks,
            shuffle=False,  # the pipeline does
            verbose=verbose,
        )
        losses = history.history["loss"]
        if recipe.precise_bn and np.isfinite(losses).all():
            _estimate_statistics(model, source, recipe, augment, card.preprocess)
            keep_best.save()
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
    accuracy = max(keep_best.best[0], 0.0) if recipe.hold_out else None
    return Result(path, keep_best.epoch, accuracy, time.monotonic() - start, interrupted)
