"""`train`: a recipe becomes a run directory. The loop itself is `fit`."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_resnet import extras, files
from keras_resnet.card import ModelCard
from keras_resnet.data import Dataset
from keras_resnet.data.legends import Reading, parse_void
from keras_resnet.data.tables import parse_columns
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.lazily import tf
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks import Objectives, get_task
from keras_resnet.tasks.cards import card_facts
from keras_resnet.training import checkpoints, feeding, precision, run, summary, transfer
from keras_resnet.training import inputs as inputs_lib
from keras_resnet.training import loggers as logging
from keras_resnet.training import strategy as strategies
from keras_resnet.training.inputs import Inputs
from keras_resnet.training.nets import FromRecipe, Nets
from keras_resnet.training.optimization import make_optimizer
from keras_resnet.training.recipes import Recipe
from keras_resnet.training.result import Result, read_result
from keras_resnet.training.session import Session


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
    callbacks: Sequence[keras.callbacks.Callback] = (),
    loggers: Sequence[str] = (),
    verbose: bool = True,
) -> Result:
    """Trains a recipe's model and keeps the weights of the best validation epoch, or the last ones (`keep`).

    The same recipe gives the same weights, bit for bit, on the same machine, however often the run was killed and
    resumed. Ctrl-C, SIGTERM and SIGHUP end it after the current step; the run directory stays usable. A run directory
    is one process's at a time.

    Args:
        recipe: row of `RECIPES`, possibly changed by `dataclasses.replace`.
        nets: maker of what is trained; by default of the recipe's variant.
        data_dir: folder with CIFAR's official binary files; by default Keras' cache.
        run_dir: a new or empty directory; `runs/RECIPE-DATE-TIME` by default.
        resume: whether to go on from the last checkpoint in `run_dir`, if it holds a run of this recipe; an empty one
            begins.
        checkpoint_minutes: minutes between checkpoints within an epoch; there is one after every epoch in any case.
        strategy: row of `strategy.STRATEGIES`: `"mirrored"` for all devices of this machine, `"multiworker"` for
            several machines, which all call this with the same arguments and see `run_dir` on a common disk. The batch
            size is the global one in any case. A program that computes before it calls this makes the devices first
            (`strategy.make`) and passes them: TensorFlow forms a cluster at its beginning only.
        workers: `host:port` of each worker, for `"multiworker"`; by default TF_CONFIG's or SLURM's.
        worker_index: number of this process among the workers, from 0.
        callbacks: Keras callbacks of the caller, called before a checkpoint is written.
        loggers: rows of `loggers.LOGGERS`, besides TensorBoard's files.
        verbose: whether progress is shown: a bar on a terminal, else a line after every epoch.

    Returns:
        Where the run is, and how well it did.

    Raises:
        InputError: unknown names in the recipe, packages of an extra that are missing, unusable data, a run directory
            in use or of another recipe, damaged checkpoints, a full disk (`DiskFullError`), workers that differ or
            cannot be reached.
        GateError: the loss became NaN or infinite, or another worker is gone.

    Example:
        >>> import dataclasses, tempfile, keras_resnet
        >>> short = dataclasses.replace(keras_resnet.RECIPES["digits-resnet8"], epochs=2)
        >>> from keras_resnet.training.loop import train
        >>> result = train(short, run_dir=tempfile.mkdtemp(), verbose=False)
        >>> (result.run_dir / "model.keras").exists()
        True
    """
    devices = strategy if isinstance(strategy, strategies.Devices) else strategies.make(strategy, workers, worker_index)
    devices.check_batch(recipe.batch_size)
    nets = nets or FromRecipe()
    if not recipe.dataset:
        raise InputError(f"recipe {recipe.name} is for your own data: pass --data DATA")
    _check(recipe)
    if not 0 <= checkpoint_minutes < math.inf:
        raise InputError(f"checkpoint_minutes={checkpoint_minutes}: expected minutes from 0 (0: after every step)")
    extras.require_for(recipe.dataset, recipe.weights)
    logging.require(loggers)
    inputs = inputs_lib.load(recipe, nets, data_dir)
    feeding.feeder(recipe, inputs)  # or says why this cannot be trained, before there is a directory
    path = _place(recipe, nets, run_dir, resume, devices)
    with files.held(path, "a training") if devices.is_chief else contextlib.nullcontext():
        _open(recipe, path, resume, devices)
        if resume and (finished := read_result(path)) is not None:
            return finished
        session = _session(recipe, nets, inputs, path, devices, checkpoint_minutes, verbose)
        session.callers = (*callbacks, *(logging.made(loggers, recipe, path) if devices.is_chief else ()))
        return session.fit(verbose and devices.is_chief)


def _session(
    recipe: Recipe,
    nets: FromRecipe,
    inputs: Inputs,
    path: Path,
    devices: strategies.Devices,
    checkpoint_minutes: float,
    verbose: bool,
) -> Session:
    """Makes the parts of a run, from its last checkpoint on; arguments as in `train`."""
    start = checkpoints.newest(path / checkpoints.FOLDER)
    devices.agree({"epoch": start.epoch if start else 0, "step": start.step if start else 0})
    keras.utils.set_random_seed(recipe.seed)
    if keras.backend.backend() == "tensorflow":
        tf.config.experimental.enable_op_determinism()
    policy = precision.resolve(recipe.precision)
    made = nets.make(recipe, inputs.dataset, policy, devices)
    objectives = compiled(made, recipe, inputs, devices)
    if devices.is_chief:
        run.note_watched(path, objectives)
    if verbose and devices.is_chief:
        print(summary.describe(made.model, made.twin, recipe, inputs.steps, policy, devices.replicas))
        print(f"run directory: {path}{summary.going_on(start, inputs.steps)}", flush=True)
    done = start.epoch * inputs.steps + start.step if start else 0
    return Session(
        nets=made,
        recipe=recipe,
        inputs=inputs,
        objectives=objectives,
        path=path,
        card=_card(recipe, nets, inputs.dataset),
        start=start,
        checkpoint_minutes=checkpoint_minutes,
        devices=devices,
        policy=policy,
        also=tuple(nets.callbacks(made, recipe, inputs.steps, done)),
    )


def _check(recipe: Recipe) -> None:
    """Refuses names that are in no table, and what the task does not support."""
    if recipe.preprocess not in PREPROCESS:
        raise unknown_name("input convention", recipe.preprocess, PREPROCESS)
    task = get_task(recipe.task)
    if recipe.mixup or recipe.cutmix:
        task.require("mixing")
    if recipe.distillation:
        task.require("distillation")


def compiled(made: Nets, recipe: Recipe, inputs: Inputs, devices: strategies.Devices) -> Objectives:
    """Gives the model its optimizer, and the task's losses and metrics.

    Args:
        made: nets of the run.
        recipe: recipe of the run.
        inputs: data of the run.
        devices: devices of the run.

    Raises:
        InputError: a share of the targets is a teacher's, and there is none.
    """
    if recipe.distillation and made.teacher is None:
        raise InputError(
            f"recipe {recipe.name}: distillation={recipe.distillation} needs a teacher, which a compression has "
            "(keras-resnet compress); set distillation=0"
        )
    code = get_task(recipe.task).code
    with devices.scope():
        objectives = code.objectives(code.facts(inputs.dataset, recipe.head), recipe.head)
        made.model.compile(
            optimizer=make_optimizer(recipe, inputs.steps, transfer.factors(made.model, recipe)),
            loss=objectives.loss,
            loss_weights=objectives.loss_weights,
            weighted_metrics=objectives.metrics,
            steps_per_execution=recipe.steps_per_execution,
            jit_compile="auto" if keras.backend.backend() == "jax" else recipe.jit_compile,  # JAX is slow without
        )
    return objectives


def _card(recipe: Recipe, nets: FromRecipe, dataset: Dataset) -> ModelCard:
    """Card of the model file."""
    spec = nets.spec(recipe)
    facts = card_facts(get_task(recipe.task).code.facts(dataset, recipe.head))
    start = nets.start(recipe)
    return ModelCard(
        task=recipe.task,
        signal=dataset.signal,
        facts=json.loads(json.dumps(facts)),  # lists for tuples, as they come back from a file
        labels=dataset.classes,
        preprocess=PREPROCESS[recipe.preprocess],
        spec=spec.name if spec else None,
        dataset=dataset.name,
        columns=parse_columns(recipe.columns),
        reading=Reading(parse_void(recipe.void), recipe.reduce_zero_label).to_json(),
        recipe=nets.origin(recipe),
        crop=recipe.crop,
        fit=recipe.fit,
        held_out=start.held_out_after(dataset.name, recipe.hold_out) if start else recipe.hold_out,
    )


def _place(recipe: Recipe, nets: FromRecipe, run_dir, resume: bool, devices: strategies.Devices) -> Path:
    """The run directory, once all workers agree on the run."""
    if run_dir is None and (resume or devices.workers):
        raise InputError("expected a run_dir: the directory of the run to resume, or the one that all workers share")
    devices.agree({**recipe.to_json(), **nets.facts(), **run.versions()})
    return Path(run_dir) if run_dir else run.default(recipe)


def _open(recipe: Recipe, path: Path, resume: bool, devices: strategies.Devices) -> None:
    """Has the chief, which holds the run directory, make or check it."""
    if resume and run.is_one(path):
        if devices.is_chief:
            run.reopen(recipe, path)
    elif devices.is_chief:
        run.create(recipe, path)
    devices.agree({})  # the others wait until it is there
