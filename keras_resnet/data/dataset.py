"""The interface that every data source offers: named splits of images with integer labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from keras_resnet.data.augment import NOTHING, Augmentation
from keras_resnet.data.mixing import Mix
from keras_resnet.signals import image as image_lib
from keras_resnet.signals.crops import Box

_CROP_DRAWS = 5  # random numbers of a random crop


class Split(Protocol):
    """Images with labels, in a fixed order."""

    labels: np.ndarray

    def fetch(self, indices: tf.Tensor) -> tf.Tensor:
        """uint8 images `(n, H, W, C)` at these positions, as a TensorFlow computation."""


@dataclass(frozen=True)
class ArraySplit:
    """Images that fit in memory.

    Attributes:
        images: uint8 `(N, H, W, C)`.
        labels: int64 `(N,)`.
    """

    images: np.ndarray
    labels: np.ndarray

    def fetch(self, indices: tf.Tensor) -> tf.Tensor:
        """Gathers the images."""
        with tf.init_scope():  # captured by the pipeline's graph, not copied into it as a constant
            images = tf.convert_to_tensor(self.images)
        return tf.gather(images, indices)


class Contents(Protocol):
    """Encoded images, PNG or JPEG, wherever they are."""

    def read(self, indices: tf.Tensor) -> tf.Tensor:
        """The bytes at these positions, as a TensorFlow computation: string `(n,)`."""

    def take(self, indices: np.ndarray) -> Contents:
        """Those at these positions."""

    def joined(self, other: Contents) -> Contents:
        """These, then those of another one of the same kind."""


@dataclass(frozen=True)
class Files:
    """Images that are files."""

    paths: tuple[Path, ...]

    def read(self, indices: tf.Tensor) -> tf.Tensor:
        """Reads the files."""
        with tf.init_scope():
            paths = tf.constant([str(path) for path in self.paths])
        return tf.map_fn(tf.io.read_file, tf.gather(paths, indices))

    def take(self, indices: np.ndarray) -> Files:
        """The files at these positions."""
        return Files(tuple(self.paths[i] for i in indices))

    def joined(self, other: Files) -> Files:
        """These files, then the others."""
        return Files(self.paths + other.paths)


@dataclass(frozen=True)
class EncodedSplit:
    """Images that are decoded when they are needed.

    Attributes:
        contents: N encoded images.
        labels: int64 `(N,)`.
        size: `(height, width)` that every image gets: the central part of that aspect, resized.
        channels: 1 or 3.
        keep: share of that part's height and width (`images.resize`).
    """

    contents: Contents
    labels: np.ndarray
    size: tuple[int, int]
    channels: int = 3
    keep: float = 1.0

    def fetch(self, indices: tf.Tensor) -> tf.Tensor:
        """Reads, decodes and resizes the images; the pipeline does several batches at a time."""
        return tf.map_fn(
            lambda encoded: image_lib.central(encoded, self.size, self.channels, self.keep),
            self.contents.read(indices),
            fn_output_signature=tf.uint8,
        )

    def fetch_parts(self, indices: tf.Tensor, draws: tf.Tensor, box: Box) -> tf.Tensor:
        """Random rectangles in place of the central part; `draws` are `(n, 5)`, as in `images.random_part`."""
        return tf.map_fn(
            lambda one: image_lib.random_part(one[0], self.size, self.channels, one[1], box),
            (self.contents.read(indices), draws),
            fn_output_signature=tf.uint8,
        )

    def take(self, indices: np.ndarray) -> EncodedSplit:
        """The images at these positions."""
        return replace(self, contents=self.contents.take(indices), labels=self.labels[indices])


def joined(one: Split, other: Split) -> Split:
    """Both splits as one, of the same kind."""
    labels = np.concatenate([one.labels, other.labels])
    if isinstance(one, ArraySplit):
        return ArraySplit(np.concatenate([one.images, other.images]), labels)
    return replace(one, contents=one.contents.joined(other.contents), labels=labels)


def sampled(split: Split, count: int) -> Split:
    """A seeded sample, the same on every machine, in the split's order.

    Args:
        split: where from.
        count: images; 0, or more than there are, for all.
    """
    if not 0 < count < len(split.labels):
        return split
    places = np.sort(np.random.default_rng(0).permutation(len(split.labels))[:count])
    if isinstance(split, ArraySplit):
        return ArraySplit(split.images[places], split.labels[places])
    return split.take(places)


@dataclass(frozen=True)
class Dataset:
    """A data source.

    Attributes:
        name: as the commands know it.
        classes: label names, in the order of the integers.
        image_shape: `(height, width, channels)` of every image.
        train: for fitting and calibration.
        validation: for choosing epochs and recipes.
        test: for final figures only.
        unreadable: files that were left out because they cannot be decoded.
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train: Split
    validation: Split
    test: Split
    unreadable: tuple[Path, ...] = ()

    def named(self, name: str) -> Dataset:
        """The same under another name."""
        return replace(self, name=name)


def ahead(dataset: tf.data.Dataset, work: Callable) -> tf.data.Dataset:
    """Does work on every element on all cores, ahead of who asks for them; the order stays.

    tf.data's autotuner is off for the whole pipeline: one in four iterators waits, when it is deleted, for the tuner's
    next round, which is up to a minute away (TensorFlow 2.21 loses a wake-up). That was the end of a training and of
    every validation. How many elements are worked on at a time is then fixed from the start.

    Args:
        dataset: of what `work` is called with.
        work: in a graph.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.map(work, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2).with_options(options)


def batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """All images once, in order, for evaluation.

    Args:
        split: where from.
        batch_size: the last batch may be smaller.

    Returns:
        Pairs of uint8 `(n, H, W, C)` and int64 `(n,)`.
    """
    labels = tf.constant(split.labels)
    return ahead(
        tf.data.Dataset.range(len(split.labels)).batch(batch_size),
        lambda indices: (split.fetch(indices), tf.gather(labels, indices)),
    )


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
    mix: Mix | None = None,
    classes: int | None = None,
    first_epoch: int = 0,
    first_batch: int = 0,
    piece: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Endless shuffled batches; every epoch is a function of `(seed, epoch)`, every image's augmentation of its index.

    So a run is repeatable, and a run that starts at a later epoch sees the pixels that the first would have seen.

    Args:
        split: where from.
        batch_size: images left over at the end of an epoch are dropped; the next epoch's order is another.
        seed: of order and augmentation.
        augment: row of `data.augment.AUGMENTATIONS`; random rectangles are cut out of the images of an
            `EncodedSplit`.
        repeats: so many copies of an image follow each other, each augmented in its own way, and an epoch has so many
            times fewer images (Hoffer et al. 2019, arXiv:1901.09335).
        mix: called with a batch's images, its targets and a seed `(2,)` of its own, after `augment`.
        classes: makes targets of the labels: float32 `(n, classes)` with one 1 each; `mix` needs them.
        first_epoch: where to start.
        first_batch: where to start within that epoch.
        piece: `(number, count)` of a worker: only its share of every batch. Images that `mix` pairs are in one share,
            so the shares together are the batch that one machine would make.

    Returns:
        Pairs of uint8 (float32 after `mix`) `(batch_size, H, W, C)` and int64 `(batch_size,)` or float32 targets.
    """
    labels = tf.constant(split.labels)
    count = len(split.labels)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        seeds = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seeds)
        draws = tf.random.stateless_uniform((repeats * count, augment.draws), seeds)
        if augment.box:
            crops = tf.random.stateless_uniform((repeats * count, _CROP_DRAWS), seeds + 1_000_003)
            draws = tf.concat([draws, crops], axis=1)
        # A place is an image and which of its copies.
        places = tf.reshape(order[:, None] + count * tf.range(repeats)[None], [-1])[:count]
        batched = tf.data.Dataset.from_tensor_slices(places).batch(batch_size, drop_remainder=True)
        done = tf.where(epoch == first_epoch, tf.constant(first_batch, tf.int64), 0)
        if piece[1] > 1:
            batched = batched.map(lambda places: tf.gather(places, _share(batch_size, *piece)))
        return (
            batched.enumerate()
            .skip(done)
            .map(lambda number, places: (places % count, tf.gather(draws, places), seeds * 1_000_003 + number))
        )

    def examples(indices: tf.Tensor, draws: tf.Tensor, batch_seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        own, crops = draws[:, : augment.draws], draws[:, augment.draws :]
        pixels = split.fetch_parts(indices, crops, augment.box) if augment.box else split.fetch(indices)
        answers = tf.gather(labels, indices)
        if augment.batch:
            pixels = augment.batch(pixels, own)
        if classes:
            answers = tf.one_hot(answers, classes)
        return mix(pixels, answers, batch_seed) if mix else (pixels, answers)

    return ahead(tf.data.Dataset.counter(first_epoch).flat_map(epoch_batches), examples)
