"""Inputs of a run: its data set, the batches to learn from, and those to validate on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_resnet.data import Dataset, Split, batches, joined, load_dataset, sampled, training_batches
from keras_resnet.data.augment import Augmentation, get_augmentation
from keras_resnet.data.dataset import ArraySplit, EncodedSplit
from keras_resnet.data.folder import check_unreadable
from keras_resnet.data.legends import parse_void
from keras_resnet.data.loading import loaded
from keras_resnet.data.mixing import make_mix
from keras_resnet.data.pipeline import arrays_of, plan
from keras_resnet.data.sources import find_source
from keras_resnet.data.splits import at_once
from keras_resnet.data.tables import parse_columns
from keras_resnet.data.timing import Clock
from keras_resnet.errors import InputError
from keras_resnet.extras import is_there
from keras_resnet.lazily import tf
from keras_resnet.signals.conventions import Preprocess
from keras_resnet.signals.table import Signal, get_signal
from keras_resnet.tasks import get_task
from keras_resnet.tasks.table import task_of
from keras_resnet.training.distillation import distilled
from keras_resnet.training.nets import FromRecipe, Nets
from keras_resnet.training.recipes import Recipe

if TYPE_CHECKING:
    from keras_resnet.training.checkpoints import Checkpoint
    from keras_resnet.training.strategy import Devices

_EVALUATION_BATCH = 256
_DECODED_AT_ONCE = 256  # examples


@dataclass(frozen=True)
class Inputs:
    """The data of a run.

    Attributes:
        dataset: splits that are used, with training images at the training's size.
        augment: change of the training images.
        steps: number of batches in an epoch.
    """

    dataset: Dataset
    augment: Augmentation
    steps: int


def load(recipe: Recipe, nets: FromRecipe, data_dir: str | os.PathLike | None) -> Inputs:
    """Opens a recipe's data set.

    Args:
        recipe: recipe of the run.
        nets: maker of the nets, which knows their input size.
        data_dir: folder with the files of a named source.

    Raises:
        InputError: no such data, too much of it unreadable, or settings that it cannot honour.
    """
    signal = get_signal(find_source(recipe.dataset).signal)
    augment = get_augmentation(recipe.augmentation, signal.name).over(recipe.epochs)
    task, (small, shape) = get_task(recipe.task), _shapes(recipe, signal, recipe.image_size or nets.image_size(recipe))
    how: dict[str, Any] = {"columns": parse_columns(recipe.columns), "truth": task.truth, "fold": recipe.fold or None}
    how |= {"void": parse_void(recipe.void), "reduce_zero_label": recipe.reduce_zero_label}
    dataset = load_dataset(recipe.dataset, data_dir, shape, recipe.data.keep, **how)
    if dataset.truth != task.truth:
        raise InputError(
            f"task {task.name} learns from {task.truth}; {recipe.dataset} has {dataset.truth}, of task "
            f"{task_of(dataset.truth).name}"
        )
    check_unreadable(dataset, recipe.max_unreadable)
    if recipe.image_size and not isinstance(dataset.train, EncodedSplit) and recipe.image_size != dataset.shape[0]:
        raise InputError(
            f"image_size={recipe.image_size}: the {signal.plural} of {recipe.dataset} have one size, "
            f"{' x '.join(map(str, dataset.shape[:-1]))}; set image_size=0, or take a folder of images"
        )
    if augment.box and not isinstance(dataset.train, EncodedSplit):
        raise InputError(
            f"augmentation={recipe.augmentation} cuts out of encoded images; {recipe.dataset} is in memory at its own "
            "size: use crop-flip"
        )
    if recipe.subset:
        fewer = sampled(dataset.validation, -(-recipe.subset // 4))  # or short epochs would mostly be validation
        dataset = replace(dataset, train=sampled(dataset.train, recipe.subset), validation=fewer)
    if small != shape:
        if not isinstance(dataset.train, EncodedSplit):
            raise InputError(
                f"test_size={recipe.test_size}: the {signal.plural} of {recipe.dataset} have one size; set test_size=0"
            )
        dataset = replace(dataset, train=replace(dataset.train, shape=small))
        if getattr(task.code, "ONE_SIZE", False) and isinstance(dataset.validation, EncodedSplit):
            dataset = replace(dataset, validation=replace(dataset.validation, shape=small, keep="own"))
    if recipe.decode_once:
        dataset = _decoded(dataset, recipe, augment)
    return Inputs(dataset, augment, _steps(recipe, dataset))


def _decoded(dataset: Dataset, recipe: Recipe, augment: Augmentation) -> Dataset:
    """The same with training and validation images in memory."""
    if augment.box:
        raise InputError(
            f"decode_once with augmentation={recipe.augmentation}, which cuts out of encoded images: use zoom-flip or "
            "zoom-turn"
        )
    if recipe.test_size:
        raise InputError(f"decode_once with test_size={recipe.test_size}: images are kept in one size; set test_size=0")
    return replace(dataset, train=in_memory(dataset.train), validation=in_memory(dataset.validation))


def in_memory(split: Split) -> Split:
    """The same examples as arrays, at the size that the split has.

    Args:
        split: split of any kind.
    """
    if isinstance(split, ArraySplit) or not len(split):
        return split
    kept: dict[str, np.ndarray] = {}
    first = 0
    for some in arrays_of(split, _DECODED_AT_ONCE):
        for name, values in some.items():
            if name not in kept:
                kept[name] = np.empty((len(split), *values.shape[1:]), values.dtype)
            kept[name][first : first + len(values)] = values
        first += len(values)
    ordered = [split.key, *(name for name in kept if name != split.key)]
    return ArraySplit({name: kept[name] for name in ordered})


def _shapes(recipe: Recipe, signal: Signal, size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of training examples, and of those for validation and for the net that is saved."""
    if (recipe.image_width and not recipe.image_size) or bool(recipe.test_width) != bool(
        recipe.image_width and recipe.test_size
    ):
        raise InputError(
            f"image_size={recipe.image_size}, image_width={recipe.image_width}, test_size={recipe.test_size}, "
            f"test_width={recipe.test_width}: a width goes with a height; expected both widths where both heights are "
            "set, or none"
        )
    if recipe.image_width and signal.rank != 2:
        raise InputError(f"image_width={recipe.image_width}: a {signal.name} has no width; set image_width=0")
    small: tuple[int, ...] = (size, recipe.image_width) if recipe.image_width else (size,) * signal.rank
    large: tuple[int, ...] = small
    if recipe.test_size:
        large = (recipe.test_size, recipe.test_width) if recipe.test_width else (recipe.test_size,) * signal.rank
    return (*small, signal.channels), (*large, signal.channels)


def _steps(recipe: Recipe, dataset: Dataset) -> int:
    count = len(dataset.train) + (0 if recipe.hold_out else len(dataset.validation))
    steps = count // recipe.batch_size
    if steps == 0:
        plural = get_signal(dataset.signal).plural
        raise InputError(
            f"batch_size={recipe.batch_size}: {recipe.dataset} has only {len(dataset.train)} training {plural}; "
            f"pass --set batch_size={max(1, len(dataset.train) // 4)}"
        )
    return steps


def training_split(recipe: Recipe, dataset: Dataset) -> Split:
    """The examples that a run learns from: with the validation split where nothing is held out."""
    return dataset.train if recipe.hold_out else joined(dataset.train, dataset.validation)


def balanced(split: Split, recipe: Recipe) -> np.ndarray | None:
    """How often each example is drawn, float64 `(N,)`, so that classes are even; None where all come once an epoch.

    Args:
        split: examples that are learned.
        recipe: recipe with `balance`.

    Raises:
        InputError: the examples have no classes.
    """
    if recipe.balance == "none":
        return None
    if "label" not in split.truth:
        known = ", ".join([*split.truth, *getattr(split, "maps", ())])
        raise InputError(f"balance={recipe.balance} evens classes out, and the data have {known}")
    labels = split.truth["label"]
    return 1.0 / np.bincount(labels)[labels]


def encoder(recipe: Recipe, dataset: Dataset):
    """The task's way from truth to targets, for `training_batches`.

    Args:
        recipe: recipe of the run.
        dataset: training set.

    Returns:
        A function of a batch's truth by kind.
    """
    code = get_task(recipe.task).code
    facts, encode = code.facts(dataset, recipe.head), code.encode  # imported here, not while a graph is traced
    return lambda truth: encode(truth, facts, recipe.head)


def training_pipeline(
    recipe: Recipe,
    inputs: Inputs,
    preprocess: Preprocess,
    nets: Nets,
    start: Checkpoint | None,
    clock: Clock,
    piece: tuple[int, int],
) -> tf.data.Dataset:
    """Endless batches to train on, timed by a clock.

    Args:
        recipe: recipe of the run.
        inputs: data of the run.
        preprocess: input convention of the net.
        nets: teacher of the run, where there is one.
        start: checkpoint that the run goes on from; None at the beginning.
        clock: clock that runs while a batch is waited for.
        piece: `(number, count)` of a worker: its share of every batch.
    """

    def batches_from(epoch: int, batch: int) -> tf.data.Dataset:
        pipeline = training_batches(
            training_split(recipe, inputs.dataset),
            recipe.batch_size,
            seed=recipe.seed,
            augment=inputs.augment,
            repeats=recipe.repeats,
            shares=balanced(training_split(recipe, inputs.dataset), recipe),
            mix=make_mix(recipe.mixup, recipe.cutmix),
            encode=encoder(recipe, inputs.dataset),
            first_epoch=epoch,
            first_batch=batch,
            piece=piece,
        )
        return pipeline.map(
            tf.autograph.experimental.do_not_convert(lambda x, y: (preprocess(x), y)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    first = (start.epoch, start.step) if start else (0, 0)
    if recipe.distillation:
        pipeline = distilled(batches_from, nets.teacher, recipe, steps=inputs.steps, start=first, kept=nets.answers)
    else:
        pipeline = batches_from(*first)
    return clock.timed(pipeline.prefetch(tf.data.AUTOTUNE))


def validation_pipeline(
    recipe: Recipe, dataset: Dataset, preprocess: Preprocess, devices: Devices
) -> tf.data.Dataset | None:
    """Batches to validate on, kept in memory; None where nothing is held out.

    Args:
        recipe: recipe of the run.
        dataset: data of the run.
        preprocess: input convention of the net.
        devices: devices that share every batch.
    """
    if not recipe.hold_out:
        return None
    most = at_once(dataset.validation, min(_EVALUATION_BATCH, max(1, len(dataset.validation))))
    size = -(-most // devices.replicas) * devices.replicas
    encode, key = encoder(recipe, dataset), dataset.validation.key

    @tf.autograph.experimental.do_not_convert  # no branches, and calls of what is imported late
    def prepared(examples):
        truth = {name: values for name, values in examples.items() if name != key}
        return preprocess(examples[key]), encode(truth)

    pipeline = batches(dataset.validation, size).map(prepared)
    return devices.padded(pipeline, size, len(dataset.validation)).cache()


def _first_batches(split: Split, recipe: Recipe, augment: Augmentation, count: int) -> Iterator[Any]:
    """Pixels that a run begins with, augmented; on JAX by JAX where tf.data is not needed, or not there."""
    in_memory = isinstance(split, ArraySplit)
    if keras.backend.backend() != "jax" or not augment.anywhere or (is_there("tensorflow") and not in_memory):
        pipeline = training_batches(split, recipe.batch_size, seed=recipe.seed, augment=augment)
        yield from (examples[split.key] for examples in pipeline.take(count))
        return
    run, steps = plan(split, augment, seed=recipe.seed), len(split) // recipe.batch_size
    read = None if in_memory else loaded(split, run, recipe.batch_size, box=augment.box)
    for epoch in range(-(-count // steps)):
        places, draws = run.places(epoch), run.draws(epoch)
        for step in range(min(steps, count - epoch * steps)):
            own = places[step * recipe.batch_size :][: recipe.batch_size]
            found = next(read)[split.key] if read else split.fetch(own)[split.key]
            pixels = keras.ops.convert_to_tensor(found)
            yield augment.batch(pixels, keras.ops.convert_to_tensor(draws[own]))[0] if augment.batch else pixels


def estimate_statistics(model: keras.Model, dataset: Dataset, recipe: Recipe, preprocess: Preprocess) -> None:
    """Replaces the moving statistics by means over `precise_bn` training images ("precise batch normalisation").

    Args:
        model: net whose statistics are replaced, in place.
        dataset: data set whose training images are seen, with the recipe's augmentation.
        recipe: recipe of the training.
        preprocess: input convention of the model.
    """
    split, augment = training_split(recipe, dataset), get_augmentation(recipe.augmentation, dataset.signal).over(0)
    if isinstance(split, EncodedSplit) and None not in model.input_shape[1:]:
        split = replace(split, shape=model.input_shape[1:])  # what the saved net takes, where that is another size
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in norms]
    count = max(1, recipe.precise_bn // recipe.batch_size)
    for number, pixels in enumerate(_first_batches(split, recipe, augment, count)):
        for layer in norms:
            layer.momentum = number / (number + 1)  # so that the moving average is the mean so far
        model(keras.ops.convert_to_tensor(np.asarray(preprocess(pixels))), training=True)
    for layer, momentum in zip(norms, before, strict=True):
        layer.momentum = momentum
