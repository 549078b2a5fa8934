"""Learning from a teacher: a share of every target is its answer to the augmented image.

The images of a run are a function of its recipe, so a teacher's answers to them can be kept in a folder: whoever
compares compressions with one recipe and one teacher, which costs more than a small student, asks it once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from keras_resnet import console, files
from keras_resnet.lazily import tf
from keras_resnet.saving import weights_sha256
from keras_resnet.training.recipe import Recipe

FACTS = "facts.json"
# Settings that the images depend on.
_IMAGES = (*("seed", "batch_size", "augmentation", "repeats", "mixup", "cutmix"), *("preprocess", "crop", "fit"))


def distilled(
    batches: Callable[[int, int], tf.data.Dataset],
    teacher: keras.Model,
    recipe: Recipe,
    *,
    steps: int,
    start: tuple[int, int] = (0, 0),
    kept: Path | None = None,
) -> tf.data.Dataset:
    """Training batches whose targets have the recipe's share (`distillation`) of a teacher's answers.

    Args:
        batches: function of an epoch and a batch in it; gives endless pairs of preprocessed images and float32 targets
            `(batch, classes)`.
        teacher: model that gives probabilities; it is not trained.
        recipe: recipe of the run.
        steps: number of batches in an epoch.
        start: epoch and batch that the run begins with.
        kept: folder of answers, this teacher's and others'; those that it lacks are asked for first, with a bar, and
            stay there: 4 bytes for every class of every image of every epoch. None keeps nothing and asks on the way.

    Returns:
        Endless pairs of images and mixed targets.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """

    def asked(images):
        return tf.cast(teacher(images, training=False), tf.float32)

    def mixed(images, targets, answers):
        return images, (1 - recipe.distillation) * targets + recipe.distillation * answers

    pipeline = batches(*start)
    if kept is None:
        return pipeline.map(lambda images, targets: mixed(images, targets, asked(images)), tf.data.AUTOTUNE)
    folder = _folder(kept, teacher, recipe, batches)
    epochs = [*range(min(start[0], recipe.epochs - 1), recipe.epochs)]  # a run may go on behind its last one
    shape = (steps, *pipeline.element_spec[1].shape)
    missing = [epoch for epoch in epochs if _read(folder, epoch, shape) is None]
    if missing:
        print(f"asking the teacher about the images of {len(missing)} epochs; its answers stay in {folder}", flush=True)
    ask = tf.function(asked)
    for epoch in console.progress(missing, "epochs that the teacher has seen", len(missing)):
        answers = np.stack([ask(images) for images, _ in batches(epoch, 0).take(steps)])
        with files.writing(_file(folder, epoch), overwrite=True) as temporary:
            np.save(temporary, answers)

    def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        answers = tf.numpy_function(lambda number: _read(folder, number, shape), [epoch], tf.float32)
        answers = tf.ensure_shape(answers, shape)
        return tf.data.Dataset.from_tensor_slices(answers).skip(start[1] * tf.cast(epoch == start[0], tf.int64))

    # An epoch more, of anything: the pipelines fetch ahead of a run's end.
    answers = tf.data.Dataset.from_tensor_slices([*epochs, epochs[-1]]).flat_map(of_epoch)
    pairs = tf.data.Dataset.zip(pipeline, answers)
    return pairs.map(lambda pair, answer: mixed(pair[0], pair[1], answer), tf.data.AUTOTUNE)


def _folder(kept: Path, teacher: keras.Model, recipe: Recipe, batches) -> Path:
    """Makes the folder of this teacher and these images: the first batch stands for the data."""
    images, targets = next(iter(batches(0, 0)))
    facts = {name: getattr(recipe, name) for name in _IMAGES}
    facts |= {"teacher": weights_sha256(teacher), "precision": _precision(teacher)}
    facts["first_batch"] = hashlib.sha256(images.numpy().tobytes() + targets.numpy().tobytes()).hexdigest()
    words = json.dumps(facts, indent=2, sort_keys=True)
    folder = Path(kept, hashlib.sha256(words.encode()).hexdigest()[:16])
    with files.writing(folder / FACTS, overwrite=True) as temporary:
        temporary.write_text(words + "\n", encoding="utf-8")
    return folder


def _precision(teacher: keras.Model) -> str:
    return next((layer.compute_dtype for layer in teacher.layers if layer.weights), teacher.compute_dtype)


def _file(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch + 1}.npy"


def _read(folder: Path, epoch: int, shape: tuple[int, ...]) -> np.ndarray | None:
    """Answers of an epoch; None where there are none, or a damaged file."""
    try:
        answers = np.load(_file(folder, epoch), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return answers if (answers.dtype, answers.shape) == (np.float32, shape) else None
