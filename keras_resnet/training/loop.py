"""`train`: a recipe becomes a run directory. The loop itself is `fit`."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
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
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.preprocessing import PREPROCESS, Preprocess
from keras_resnet.specs import ResNetSpec, get_spec
from keras_resnet.training import checkpoints, precision, run, summary, transfer
from keras_resnet.training import strategy as strategies
from keras_resnet.training.callbacks import Keep, Log, Stopwatch
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


def train(
    recipe: Recipe,
    *,
    data_dir: str | os.PathLike | None = None,
    run_dir: str | os.PathLike | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 10.0,
    strategy: str = "none",
    workers: Sequence[str] = (),
    worker_index: int | None = None,
    verbose: bool = True,
) -> Result:
    """Trains a recipe's model and keeps the weights of the best validation epoch, or the last ones (`keep`).

    The same recipe gives the same weights, bit for bit, on the same machine, however often the run was killed and
    resumed. Ctrl-C and SIGTERM end it after the current step; the run directory stays usable.

    Args:
        recipe: a row of `RECIPES`, possibly changed by `dataclasses.replace`.
        data_dir: where CIFAR's official binary files are; by default Keras' cache.
        run_dir: a new or empty directory; `runs/RECIPE-DATE-TIME` by default.
        resume: go on from the last checkpoint in `run_dir`, if it holds a run of this recipe; begin if it is empty.
        checkpoint_minutes: between checkpoints within an epoch; there is one after every epoch in any case.
        strategy: of `strategy.STRATEGIES`: `"mirrored"` for all devices of this machine, `"multiworker"` for several
            machines, which all call this with the same arguments and see `run_dir` on a common disk. The batch size is
            the global one in any case.
        workers: for `"multiworker"`: `host:port` of each; else TF_CONFIG's or SLURM's.
        worker_index: of this process among them.
        verbose: show the progress: a bar on a terminal, else a line after every epoch.

    Returns:
        Where the run is, and how well it did.

    Raises:
        InputError: unknown names in the recipe, unusable data, a run directory in use or of another recipe, damaged
            checkpoints, a full disk, workers that differ or cannot be reached.
        GateError: the loss became NaN or infinite, or another worker is gone.

    Example:
        >>> import dataclasses, tempfile, keras_resnet
        >>> short = dataclasses.replace(keras_resnet.RECIPES["digits-resnet8"], epochs=2)
        >>> result = keras_resnet.train(short, run_dir=tempfile.mkdtemp(), verbose=False)
        >>> (result.run_dir / "model.keras").exists()
        True
    """
    devices = strategies.make(strategy, workers, worker_index)
    devices.check_batch(recipe.batch_size)
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
    path = _open(recipe, run_dir, resume, devices)
    if resume and (finished := read_result(path)) is not None:
        return finished
    start = checkpoints.newest(path / checkpoints.FOLDER)
    devices.agree({"epoch": start.epoch if start else 0, "step": start.step if start else 0})
    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    policy = precision.resolve(recipe.precision)
    model, twin = _models(recipe, spec, dataset, policy, devices)
    if recipe.weights or recipe.freeze != "none":
        transfer.begin(model, recipe, spec, dataset.classes)
    with devices.strategy.scope():
        model.compile(
            optimizer=make_optimizer(recipe, steps, transfer.factors(model, recipe)),
            loss=_LOSSES[recipe.loss](recipe),
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            steps_per_execution=recipe.steps_per_execution,
            jit_compile=recipe.jit_compile,
        )
    if verbose and devices.is_chief:
        print(summary.describe(model, twin, recipe, steps, policy, devices.replicas))
    card = ModelCard(
        labels=dataset.classes,
        preprocess=PREPROCESS[recipe.preprocess],
        spec=spec.name,
        dataset=dataset.name,
        recipe=recipe.name,
        crop=recipe.crop,
    )
    run_ = _Run(model, twin, recipe, dataset, steps, path, card, augment, start, checkpoint_minutes, devices)
    return run_.fit(verbose and devices.is_chief)


def _open(recipe: Recipe, run_dir, resume: bool, devices: strategies.Devices) -> Path:
    """The run directory, made or checked by the chief once all workers agree on the run."""
    if run_dir is None and (resume or devices.workers):
        raise InputError("expected a run_dir: the directory of the run to resume, or the one that all workers share")
    devices.agree({**asdict(recipe), **run.versions()})
    path = Path(run_dir) if run_dir else None
    if resume and run.is_one(path):
        if devices.is_chief:
            run.reopen(recipe, path)
    elif devices.is_chief:
        path = run.create(recipe, run_dir)
    devices.agree({})  # the others wait until it is there
    return path


def _crossentropy(recipe: Recipe):
    return keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)


def _binary(recipe: Recipe):
    """Every class is a question of its own; on logits, since the sum of probabilities is free."""
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    if not recipe.target_threshold:
        return loss
    return lambda targets, logits: loss(keras.ops.cast(targets > recipe.target_threshold, "float32"), logits)


_LOSSES = {"cross-entropy": _crossentropy, "binary": _binary}


def _models(
    recipe: Recipe, spec: ResNetSpec, dataset: Dataset, policy: str, devices
) -> tuple[keras.Model, keras.Model]:
    """The net that is trained, and its plain float32 twin that is saved."""
    common = {"classes": len(dataset.classes)}
    height, width, channels = dataset.image_shape
    if recipe.test_size:  # training and validation images of two sizes pass through a net of no fixed one
        height = width = None
    several = devices.replicas > 1
    with precision.policy(policy), devices.strategy.scope():
        model = build(
            spec,
            **common,
            input_tensor=keras.Input((height, width, channels)),
            classifier_activation=None if recipe.loss == "binary" else "softmax",
            dropout=recipe.dropout,
            stochastic_depth=recipe.stochastic_depth,
            zero_init_residual=recipe.zero_init_residual,
            norm="sync_batch" if several and recipe.sync_bn else "batch",
            freeze_bn=recipe.freeze_bn,
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


def _pipelines(
    recipe: Recipe, dataset: Dataset, augment: Augmentation, preprocess: Preprocess, clock: Clock, start, devices
):
    """Batches to train on, endless and timed by the clock, and to validate on (None where nothing is held out)."""
    classes = len(dataset.classes)

    def normalized(pixels, targets):
        return preprocess(pixels), targets

    def training(piece: tuple[int, int]) -> tf.data.Dataset:
        pipeline = training_batches(
            _training_split(recipe, dataset),
            recipe.batch_size,
            seed=recipe.seed,
            augment=augment,
            repeats=recipe.repeats,
            mix=make_mix(recipe.mixup, recipe.cutmix),
            classes=classes,
            first_epoch=start.epoch if start else 0,
            first_batch=start.step if start else 0,
            piece=piece,
        )
        pipeline = pipeline.map(normalized, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
        return clock.timed(pipeline)

    validation = None
    if recipe.hold_out:
        size = -(-_EVALUATION_BATCH // devices.replicas) * devices.replicas
        one_hot = batches(dataset.validation, size).map(lambda x, y: (x, tf.one_hot(y, classes)))
        validation = devices.padded(one_hot.map(normalized), size, len(dataset.validation.labels)).cache()
    return devices.distribute(training), validation


def _training_split(recipe: Recipe, dataset: Dataset) -> Split:
    return dataset.train if recipe.hold_out else joined(dataset.train, dataset.validation)


@dataclass
class _Run:
    """The parts of a run, from the compiled model to its result."""

    model: keras.Model
    twin: keras.Model
    recipe: Recipe
    dataset: Dataset
    steps: int
    path: Path
    card: ModelCard
    augment: Augmentation
    start: checkpoints.Checkpoint | None
    checkpoint_minutes: float
    devices: strategies.Devices

    def __post_init__(self) -> None:
        """Makes the callbacks that know how the run goes."""
        recipe = self.recipe
        self.clock, self.signals = Clock(), checkpoints.Signals()
        self.stopwatch = Stopwatch(self.clock)
        only_best = recipe.keep == "best" and recipe.hold_out
        target = self.path / run.MODEL if self.devices.is_chief else None
        self.keep = Keep(self.twin, target, self.card, only_best)
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
        """In the order in which they act: average, log, keep, show, and the checkpoint of what they left."""
        callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if self.recipe.ema else []
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
            recipe, self.dataset, self.augment, self.card.preprocess, self.clock, self.start, self.devices
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
                split = _training_split(
                    recipe, self.dataset
                )  # of the weights that are kept, which need not be the last
                _estimate_statistics(self.twin, split, recipe, self.augment, self.card.preprocess)
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
            precision=self.model.dtype_policy.name,
            interrupted=interrupted,
        )

    def _batch(self) -> tuple[tf.TensorSpec, tf.TensorSpec]:
        """The shapes of a replica's batch."""
        own = self.recipe.batch_size // self.devices.replicas
        size = self.dataset.train.fetch(tf.constant([0], tf.int64)).shape[1:]
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
        with self.devices.strategy.scope():
            model.optimizer.build(model.trainable_variables)
        checkpoints.restore(model, self.start, ("model", "optimizer"))


def _passing_over(model: keras.Model, calls: int):
    """A train function that does nothing so many times: `fit` counts the steps, the pipeline starts behind them."""
    function, remaining = model.train_function, calls

    def train_function(iterator):
        nonlocal remaining
        if remaining:
            remaining -= 1
            return model.get_metrics_result()
        return function(iterator)

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
