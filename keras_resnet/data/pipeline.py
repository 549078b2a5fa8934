"""Batches of a split in tf.data: in order for evaluation, shuffled and augmented for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch

import numpy as np
import tensorflow as tf

from keras_resnet.data import reading
from keras_resnet.data.augment import NOTHING, Augmentation
from keras_resnet.data.dataset import ArraySplit, EncodedSplit, Split
from keras_resnet.data.mixing import Mix
from keras_resnet.data.truth import moved
from keras_resnet.signals.crops import Box
from keras_resnet.signals.placement import Placement, in_a_row
from keras_resnet.signals.table import get_signal

# Examples, the truth as the split has it, and where the examples' elements come from.
Fetched = tuple[tf.Tensor, dict[str, tf.Tensor], Placement | None]


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


@fetched.register
def _(split: ArraySplit, indices: tf.Tensor) -> Fetched:
    return _gathered({split.key: split.images}, indices)[split.key], _gathered(split.truth, indices), None


@fetched.register
def _(split: EncodedSplit, indices: tf.Tensor) -> Fetched:
    decode = get_signal(split.signal).code.decoded
    examples, matrices = decode(reading.read(split.contents, indices), split.shape, split.keep, split.upright)
    return examples, _gathered(split.truth, indices), Placement(matrices, split.shape[:-1])


def _parts(split: EncodedSplit, indices: tf.Tensor, draws: tf.Tensor, box: Box) -> Fetched:
    """Fetches random parts of encoded examples in place of the central part."""
    contents = reading.read(split.contents, indices)
    examples, matrices = get_signal(split.signal).code.parts(contents, split.shape, draws, box, split.upright)
    return examples, _gathered(split.truth, indices), Placement(matrices, split.shape[:-1])


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
        return {split.key: examples, **moved(truth, placement)}

    return ahead(tf.data.Dataset.range(len(split)).batch(batch_size), entries)


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
        mix: called with a batch's examples, its targets and a seed `(2,)` of its own, after `augment`; needs `encode`.
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

    def examples(indices: tf.Tensor, draws: tf.Tensor, batch_seed: tf.Tensor) -> object:
        pixels, truth = _augmented(split, indices, augment, draws)
        if encode is None:
            return {split.key: pixels, **truth}
        targets = encode(truth)
        return mix(pixels, targets, batch_seed) if mix else (pixels, targets)

    def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        first = tf.where(epoch == first_epoch, tf.constant(first_batch, tf.int64), 0)
        seeds = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = _order(len(split), seeds, None if shares is None else np.cumsum(shares))
        return _epoch(split, batch_size, seeds, order, augment, repeats, first, piece)

    return ahead(tf.data.Dataset.counter(first_epoch).flat_map(of_epoch), examples)


def _augmented(
    split: Split, indices: tf.Tensor, augment: Augmentation, draws: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Examples after the augmentation, and their truth, which is moved once, however many moves there were."""
    own, crops = draws[:, : augment.draws], draws[:, augment.draws :]
    if augment.box:
        pixels, truth, placement = _parts(_encoded(split), indices, crops, augment.box)
    else:
        pixels, truth, placement = fetched(split, indices)
    if augment.batch:
        pixels, step = augment.batch(pixels, own)
        placement = in_a_row(placement, step)
    return pixels, moved(truth, placement)


def _order(count: int, seeds: tf.Tensor, ends: np.ndarray | None) -> tf.Tensor:
    """Places of an epoch's examples: all in another order, or drawn by their shares, whose sums are `ends`."""
    if ends is None:
        return tf.random.experimental.stateless_shuffle(tf.range(count), seeds)
    draws = tf.random.stateless_uniform((count,), seeds + 2_000_003, dtype=tf.float64) * ends[-1]
    return tf.minimum(tf.searchsorted(tf.constant(ends, tf.float64), draws, side="right"), count - 1)


def _epoch(
    split: Split,
    batch_size: int,
    seeds: tf.Tensor,
    order: tf.Tensor,
    augment: Augmentation,
    repeats: int,
    first: tf.Tensor,
    piece: tuple[int, int],
) -> tf.data.Dataset:
    """The batches of an epoch from number `first` on: places of the examples, their random numbers, a batch's seed."""
    count = len(split)
    draws = tf.random.stateless_uniform((repeats * count, augment.draws), seeds)
    if augment.box:
        own = get_signal(_encoded(split).signal).code.DRAWS
        crops = tf.random.stateless_uniform((repeats * count, own), seeds + 1_000_003)
        draws = tf.concat([draws, crops], axis=1)
    # A place is an example and which of its copies.
    places = tf.reshape(order[:, None] + count * tf.range(repeats)[None], [-1])[:count]
    batched = tf.data.Dataset.from_tensor_slices(places).batch(batch_size, drop_remainder=True)
    if piece[1] > 1:
        batched = batched.map(lambda places: tf.gather(places, _share(batch_size, *piece)))
    return (
        batched.enumerate()
        .skip(first)
        .map(lambda number, places: (places % count, tf.gather(draws, places), seeds * 1_000_003 + number))
    )
