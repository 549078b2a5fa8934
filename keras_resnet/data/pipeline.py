"""Batches of a split in tf.data: in order for evaluation, shuffled and augmented for training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np

from keras_resnet.data import reading
from keras_resnet.data.augment import NOTHING, Augmentation
from keras_resnet.data.dataset import ArraySplit, EncodedSplit, Split
from keras_resnet.data.epochs import Epochs
from keras_resnet.data.mixing import VALUES, Mix
from keras_resnet.data.truth import VOID, moved
from keras_resnet.extras import is_there
from keras_resnet.lazily import tf
from keras_resnet.signals import geometry
from keras_resnet.signals.crops import Box
from keras_resnet.signals.operations import operations
from keras_resnet.signals.placement import Placement, in_a_row
from keras_resnet.signals.table import get_signal

# Examples, the truth as the split has it, and where the examples' elements come from.
Fetched = tuple[Any, dict[str, Any], Placement | None]


def ahead(dataset: tf.data.Dataset, work: Callable) -> tf.data.Dataset:
    """Does work on every element on all cores, ahead of who asks for them; the order stays.

    tf.data's autotuner is off for the whole pipeline: one in four iterators waits, when it is deleted, for the tuner's
    next round, which is up to a minute away (TensorFlow 2.21 loses a wake-up). That was the end of a training and of
    every validation. How many elements are worked on at a time is then fixed from the start.

    Args:
        dataset: elements that `work` is called with.
        work: function of an element, in a graph.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.map(work, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2).with_options(options)


@singledispatch
def fetched(split: Split, indices: tf.Tensor) -> Fetched:
    """Fetches examples in a graph; a split of another kind than ours by its `fetch`.

    Args:
        split: split to fetch from.
        indices: places of the examples, int64 `(n,)`.
    """
    one = split.fetch(np.zeros(1, np.int64))
    kinds = [tf.as_dtype(values.dtype) for values in one.values()]
    found = tf.numpy_function(lambda places: list(split.fetch(places).values()), [indices], kinds)
    entries = {
        name: tf.ensure_shape(values, (*indices.shape, *one[name].shape[1:]))
        for name, values in zip(one, found, strict=True)
    }
    return entries.pop(split.key), entries, None


@fetched.register(ArraySplit)
def _(split: ArraySplit, indices: tf.Tensor) -> Fetched:
    return _gathered({split.key: split.images}, indices)[split.key], _gathered(split.truth, indices), None


@fetched.register(EncodedSplit)
def _(split: EncodedSplit, indices: tf.Tensor) -> Fetched:
    decode = get_signal(split.signal).code.decoded
    examples, matrices = decode(reading.read(split.contents, indices), split.shape, split.keep, split.upright)
    return examples, _gathered(split.truth, indices), Placement(matrices, split.shape[:-1])


def _parts(split: EncodedSplit, indices: tf.Tensor, draws: tf.Tensor, box: Box) -> Fetched:
    """Fetches random parts of encoded examples in place of the central part."""
    contents = reading.read(split.contents, indices)
    examples, matrices = get_signal(split.signal).code.parts(contents, split.shape, draws, box, split.upright)
    return examples, _gathered(split.truth, indices), Placement(matrices, split.shape[:-1])


def _with_maps(
    split: Split,
    indices: tf.Tensor,
    truth: dict[str, tf.Tensor],
    first: Placement | None,
    step: Placement | None = None,
) -> dict[str, Any]:
    """The truth of moved examples; maps are read now, and moved once from where they lie to where they are needed.

    What was cut out of a file shows nothing beyond itself: where a later `step` took something from there, maps are
    void, though the file goes on; likewise boxes end where the part does that was cut out.
    """
    placement = in_a_row(first, step)
    found = moved(truth, placement)
    if first is not None and step is not None and "boxes" in truth:
        found |= moved(moved({"boxes": truth["boxes"]}, first), step)
    if placement is None or not (isinstance(split, EncodedSplit) and split.maps):
        return found

    def mapped(places: np.ndarray, matrices: np.ndarray, *offsets: np.ndarray) -> list[np.ndarray]:
        return list(split.mapped(places, Placement(matrices, placement.size, *offsets)).values())

    given = [indices, placement.matrix, *([] if placement.offsets is None else [placement.offsets])]
    maps = tf.numpy_function(mapped, given, [tf.uint8] * len(split.maps), stateful=False)
    shape = (*indices.shape, *placement.size)
    if step is not None:
        seen = geometry.within(step, (split.shape[0], split.shape[1]), operations(step.matrix))
        maps = [tf.where(seen, each, tf.cast(VOID, each.dtype)) for each in maps]
    return {**found, **{name: tf.ensure_shape(each, shape) for name, each in zip(split.maps, maps, strict=True)}}


def _encoded(split: Split) -> EncodedSplit:
    if not isinstance(split, EncodedSplit):
        raise TypeError(f"random parts are cut out of the examples of an EncodedSplit, received {type(split).__name__}")
    return split


def _gathered(arrays: Mapping[str, np.ndarray], indices: tf.Tensor) -> dict[str, tf.Tensor]:
    with tf.init_scope():  # captured by the pipeline's graph, not copied into it as constants
        kept = {name: tf.convert_to_tensor(values) for name, values in arrays.items()}
    return {name: tf.gather(values, indices) for name, values in kept.items()}


def batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """All examples once, in order, for evaluation.

    Args:
        split: split to read.
        batch_size: examples of a batch; the last one may be smaller.

    Returns:
        Dicts of the examples and of their truth: `{"image": uint8 (n, H, W, C), "label": int64 (n,)}`.
    """

    def entries(indices: tf.Tensor) -> dict[str, tf.Tensor]:
        examples, truth, placement = fetched(split, indices)
        return {split.key: examples, **_with_maps(split, indices, truth, placement)}

    return ahead(tf.data.Dataset.range(len(split)).batch(batch_size), entries)


def arrays_of(split: Split, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """What `batches` gives, as arrays: read ahead by TensorFlow where it is installed.

    Args:
        split: split to read.
        batch_size: examples of a batch; the last one may be smaller.
    """
    if is_there("tensorflow"):
        yield from batches(split, batch_size).as_numpy_iterator()
        return
    for first in range(0, len(split), batch_size):
        yield split.fetch(np.arange(first, min(first + batch_size, len(split))))


def _share(batch_size: int, number: int, count: int) -> np.ndarray:
    """Positions of a worker in a batch: as many from the front as from the back, since `mix` pairs these."""
    positions = np.arange(batch_size)
    half, odd = divmod(batch_size // count, 2)
    front, back = positions[number * half :][:half], positions[::-1][number * half :][:half]
    middle = positions[count * half :][number * odd :][:odd]
    return np.concatenate([front, middle, back[::-1]])


def training_batches(
    split: Split,
    batch_size: int,
    *,
    seed: int,
    augment: Augmentation = NOTHING,
    repeats: int = 1,
    shares: np.ndarray | None = None,
    mix: Mix | None = None,
    encode: Callable[[dict[str, tf.Tensor]], object] | None = None,
    first_epoch: int = 0,
    first_batch: int = 0,
    piece: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Endless shuffled batches; an epoch is a function of `(seed, epoch)`, an example's augmentation of its index too.

    So a run is repeatable, and one that starts at a later epoch sees the examples that the first would have seen.

    Args:
        split: split to read.
        batch_size: examples of a batch; what is left over at the end of an epoch is dropped.
        seed: seed of order and augmentation.
        augment: row of `data.augment.AUGMENTATIONS`; random parts are cut out of the examples of an `EncodedSplit`.
        repeats: copies of an example that follow each other, each augmented in its own way; an epoch has so many times
            fewer examples (Hoffer et al. 2019, arXiv:1901.09335).
        shares: how often each example is drawn, `(N,)`, in proportion; then an epoch draws with replacement. None:
            every example once an epoch.
        mix: mixes a batch's examples and targets, after `augment`; needs `encode`.
        encode: from a batch's truth by kind, moved as its examples were, to targets: a tensor, or a dict of them.
        first_epoch: epoch to start at, from 0.
        first_batch: batch to start at within that epoch, from 0.
        piece: `(number, count)` of a worker: only its share of every batch. Examples that `mix` pairs are in one share,
            so the shares together are the batch that one machine would make.

    Returns:
        With `encode` pairs of examples, `(batch_size, ...)` in the split's dtype (float32 after `mix`), and targets;
        without it dicts of examples and truth, as in `batches`.
    """
    if mix and encode is None:
        raise ValueError("mix mixes targets: pass encode too")
    if not isinstance(mix, Mix | None):
        raise TypeError(f"mix: expected a Mix, as make_mix gives it, received {type(mix).__name__}")

    steps = len(split) // batch_size
    run = plan(split, augment, seed=seed, repeats=repeats, shares=shares)
    count, number_of_draws = len(split), run.own + run.crops

    def planned(epoch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return run.places(int(epoch)), _settled(augment, run.draws(int(epoch)), int(epoch))

    def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        places, draws = tf.numpy_function(planned, [epoch], (tf.int32, tf.float32), stateful=False)
        places = tf.reshape(places[: steps * batch_size], (steps, batch_size))
        draws = tf.ensure_shape(draws, (repeats * count, number_of_draws))
        batched = tf.data.Dataset.from_tensor_slices(places)
        if piece[1] > 1:
            batched = batched.map(lambda places: tf.gather(places, _share(batch_size, *piece)))
        first = tf.where(epoch == first_epoch, tf.constant(first_batch, tf.int64), 0)
        return (
            batched.enumerate()
            .skip(first)
            .map(lambda number, places: (places % count, tf.gather(draws, places), (epoch, number)))
        )

    def mixed(pixels: tf.Tensor, targets: object, mix: Mix, where: tuple[tf.Tensor, tf.Tensor]) -> object:
        def values(epoch: np.ndarray, number: np.ndarray) -> np.ndarray:
            return mix.values(run.batch_seed(int(epoch), int(number)))

        # Without a state, or tf.data would make no two batches at a time: operations are deterministic in a training.
        drawn = tf.numpy_function(values, list(where), tf.float32, stateful=False)
        return mix(pixels, targets, tf.ensure_shape(drawn, (VALUES,)))

    def examples(indices: tf.Tensor, draws: tf.Tensor, where: tuple[tf.Tensor, tf.Tensor]) -> object:
        pixels, truth = _augmented(split, indices, augment, draws)
        if encode is None:
            return {split.key: pixels, **truth}
        targets = encode(truth)
        return mixed(pixels, targets, mix, where) if mix else (pixels, targets)

    return ahead(tf.data.Dataset.counter(first_epoch).flat_map(of_epoch), examples)


def plan(
    split: Split, augment: Augmentation, *, seed: int, repeats: int = 1, shares: np.ndarray | None = None
) -> Epochs:
    """Orders and draws of a training; arguments as in `training_batches`."""
    augment.check((*split.truth, *getattr(split, "maps", ())))
    return Epochs(
        seed=seed,
        count=len(split),
        own=augment.own,
        crops=get_signal(_encoded(split).signal).code.DRAWS if augment.box else 0,
        repeats=repeats,
        ends=None if shares is None else np.cumsum(shares),
    )


def _settled(augment: Augmentation, draws: np.ndarray, epoch: int) -> np.ndarray:
    """The draws of an epoch, in which there may be no mosaics any more."""
    if augment.mosaic is None:
        return draws
    before, own, after = np.split(draws, [augment.draws, augment.own], axis=1)
    return np.concatenate([before, augment.mosaic.drawn(own, epoch), after], axis=1)


def _augmented(
    split: Split, indices: tf.Tensor, augment: Augmentation, draws: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Examples after the augmentation, and their truth, which is moved once, however many moves there were."""
    own, crops = draws[:, : augment.own], draws[:, augment.own :]
    if augment.mosaic:
        others = tf.concat([own[:, : augment.draws], crops], axis=1)
        pixels, truth = _augmented(split, indices, replace(augment, mosaic=None), others)
        return augment.mosaic(pixels, truth, own[:, augment.draws :])
    if augment.box:
        pixels, truth, placement = _parts(_encoded(split), indices, crops, augment.box)
    else:
        pixels, truth, placement = fetched(split, indices)
    if augment.batch:
        pixels, step = augment.batch(pixels, own)
        return pixels, _with_maps(split, indices, truth, placement, step)
    return pixels, _with_maps(split, indices, truth, placement)
