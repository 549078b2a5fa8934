"""`train`: a recipe becomes a run directory. The loop itself is `fit`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf

from keras_resnet.card import ModelCard
from keras_resnet.data import load_dataset, sampled
from keras_resnet.data.augment import get_augmentation
from keras_resnet.data.dataset import EncodedSplit
from keras_resnet.data.folder import check_unreadable
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.training import checkpoints, precision, run, summary, transfer
from keras_resnet.training import strategy as strategies
from keras_resnet.training.nets import FromRecipe
from keras_resnet.training.optimization import make_optimizer
from keras_resnet.training.recipes import Recipe
from keras_resnet.training.session import Result, Session, read_result


def train(
    recipe: Recipe,
    *,
    nets: FromRecipe | None = None,
    data_dir: str | os.PathLike | None = None,
    run_dir: str | os.PathLike | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 10.0,
    strategy: str | strategies.Devices = "none",
    workers: Sequence[str] = (),
    worker_index: int | None = None,
    verbose: bool = True,
) -> Result:
    """Trains a recipe's model and keeps the weights of the best validation epoch, or the last ones (`keep`).

    The same recipe gives the same weights, bit for bit, on the same machine, however often the run was killed and
    resumed. Ctrl-C and SIGTERM end it after the current step; the run directory stays usable.

    Args:
        recipe: a row of `RECIPES`, possibly changed by `dataclasses.replace`.
        nets: makes what is trained; by default the recipe's variant.
        data_dir: where CIFAR's official binary files are; by default Keras' cache.
        run_dir: a new or empty directory; `runs/RECIPE-DATE-TIME` by default.
        resume: go on from the last checkpoint in `run_dir`, if it holds a run of this recipe; begin if it is empty.
        checkpoint_minutes: between checkpoints within an epoch; there is one after every epoch in any case.
        strategy: of `strategy.STRATEGIES`: `"mirrored"` for all devices of this machine, `"multiworker"` for several
            machines, which all call this with the same arguments and see `run_dir` on a common disk. The batch size is
            the global one in any case. A program that computes before it calls this makes the devices first
            (`strategy.make`) and passes them: TensorFlow forms a cluster at its beginning only.
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
    devices = strategy if isinstance(strategy, strategies.Devices) else strategies.make(strategy, workers, worker_index)
    devices.check_batch(recipe.batch_size)
    nets = nets or FromRecipe()
    spec = nets.spec(recipe)
    if recipe.preprocess not in PREPROCESS:
        raise unknown_name("input convention", recipe.preprocess, PREPROCESS)
    augment = get_augmentation(recipe.augmentation)
    size = recipe.image_size or nets.image_size(recipe)
    test_size = recipe.test_size or size
    dataset = load_dataset(recipe.dataset, data_dir, (test_size, test_size, 3), recipe.crop)
    check_unreadable(dataset, recipe.max_unreadable)
    if augment.box and not isinstance(dataset.train, EncodedSplit):
        raise InputError(
            f"augmentation={recipe.augmentation} cuts out of encoded images; {recipe.dataset} is in memory at its own "
            "size: use crop-flip"
        )
    if recipe.subset:
        fewer = sampled(dataset.validation, -(-recipe.subset // 4))  # or short epochs would mostly be validation
        dataset = replace(dataset, train=sampled(dataset.train, recipe.subset), validation=fewer)
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
    path = _open(recipe, nets, run_dir, resume, devices)
    if resume and (finished := read_result(path)) is not None:
        return finished
    start = checkpoints.newest(path / checkpoints.FOLDER)
    devices.agree({"epoch": start.epoch if start else 0, "step": start.step if start else 0})
    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    policy = precision.resolve(recipe.precision)
    made = nets.make(recipe, dataset, policy, devices)
    model = made.model
    if recipe.distillation and made.teacher is None:
        raise InputError(
            f"recipe {recipe.name}: distillation={recipe.distillation} needs a teacher, which a compression has "
            "(python -m export.compress); set distillation=0"
        )
    with devices.scope():
        model.compile(
            optimizer=make_optimizer(recipe, steps, transfer.factors(model, recipe)),
            loss=_LOSSES[recipe.loss](recipe),
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            steps_per_execution=recipe.steps_per_execution,
            jit_compile="auto" if keras.backend.backend() == "jax" else recipe.jit_compile,  # JAX is slow without
        )
    if verbose and devices.is_chief:
        print(summary.describe(model, made.twin, recipe, steps, policy, devices.replicas))
    card = ModelCard(
        labels=dataset.classes,
        preprocess=PREPROCESS[recipe.preprocess],
        spec=spec.name if spec else None,
        dataset=dataset.name,
        recipe=nets.origin(recipe),
        crop=recipe.crop,
    )
    also = tuple(nets.callbacks(made, recipe, steps, start.epoch * steps + start.step if start else 0))
    session = Session(
        made, recipe, dataset, steps, path, card, augment, start, checkpoint_minutes, devices, policy, also
    )
    return session.fit(verbose and devices.is_chief)


def _open(recipe: Recipe, nets: FromRecipe, run_dir, resume: bool, devices: strategies.Devices) -> Path:
    """The run directory, made or checked by the chief once all workers agree on the run."""
    if run_dir is None and (resume or devices.workers):
        raise InputError("expected a run_dir: the directory of the run to resume, or the one that all workers share")
    devices.agree({**recipe.to_json(), **nets.facts(), **run.versions()})
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
