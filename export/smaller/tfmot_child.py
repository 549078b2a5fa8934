"""The child of the engine tfmot: importing tensorflow-model-optimization switches `tf.keras` to the legacy Keras.

`python -m export.smaller.tfmot_child FOLDER` reads job and weights there, and leaves trained weights and ranges.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.clustering.keras.cluster_config import GradientAggregation

from export.smaller.tfmot import JOB, TEACHER, TRAINED, WEIGHTS
from keras_resnet import console
from keras_resnet.builder import assemble
from keras_resnet.compression.methods import PRUNING
from keras_resnet.compression.pruning import interval, masks
from keras_resnet.compression.settings import Settings, Sparsity, parse_sparsity
from keras_resnet.data import joined, load_dataset, training_batches
from keras_resnet.data.augment import get_augmentation
from keras_resnet.data.mixing import make_mix
from keras_resnet.errors import GateError, InputError
from keras_resnet.nets.specs import get_spec
from keras_resnet.saving import load_model
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.training.checkpoints import diverged
from keras_resnet.training.distillation import distilled
from keras_resnet.training.optimization import UNDECAYED, make_schedule
from keras_resnet.training.recipe import Recipe, loads


def build_twin(job: dict) -> tf_keras.Model:
    """The variant out of tf_keras' layers.

    Args:
        job: names the variant and its sizes.
    """
    operations = SimpleNamespace(pad=lambda x, widths, mode: tf.pad(x, widths, mode=mode))
    namespace = SimpleNamespace(layers=tf_keras.layers, initializers=tf_keras.initializers, ops=operations)
    image = tf_keras.Input(tuple(job["image_shape"]))
    return tf_keras.Model(image, assemble(get_spec(job["spec"]), namespace, image, classes=job["classes"]))


def path_of(variable) -> str:
    """A variable's name as Keras 3 has it."""
    return variable.name.partition(":")[0]


def move(values: dict[str, np.ndarray], twin: tf_keras.Model) -> None:
    """Gives the twin its weights, each by its name.

    Args:
        values: arrays by path of the variable.
        twin: result of `build_twin`.

    Raises:
        InputError: names or shapes differ.
    """
    found = {path_of(variable): variable for variable in twin.weights}
    apart = sorted(
        name for name in found.keys() | values.keys()
        if name not in found or name not in values or tuple(found[name].shape) != values[name].shape
    )  # fmt: skip
    if apart:
        raise InputError(f"the layers of the twin do not match: {', '.join(apart[:3])}")
    for name, variable in found.items():
        variable.assign(values[name])


class _Schedule(tf_keras.optimizers.schedules.LearningRateSchedule):
    """One of Keras 3 as tf_keras takes it."""

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, step):
        return tf.cast(self.schedule(step), tf.float32)

    def get_config(self):
        return {}


class _CoupledSGD(tf_keras.optimizers.SGD):
    """As `training.optimization.CoupledSGD`."""

    def __init__(self, *args, decay: float, undecayed: tuple[str, ...], **kwargs):
        super().__init__(*args, **kwargs)
        self._decay, self._undecayed = decay, undecayed

    def apply_gradients(self, grads_and_vars, *args, **kwargs):
        decayed = []
        for gradient, variable in grads_and_vars:
            name = path_of(variable).rpartition("/")[2]
            own = gradient is not None and name not in self._undecayed and "centroids" not in name
            decayed.append((gradient + self._decay * variable if own else gradient, variable))
        return super().apply_gradients(decayed, *args, **kwargs)


class _Lines(tf_keras.callbacks.Callback):
    """A line after every epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        seconds, epochs = time.monotonic() - self.start, self.params["epochs"]
        left = round(seconds * (epochs - epoch - 1))
        rest = f"  {left // 60}:{left % 60:02} left" if left else ""
        figures = f"accuracy {logs['accuracy']:.4f}  loss {logs['loss']:.4f}"
        print(f"Epoch {epoch + 1}/{epochs}  {seconds:.0f} s  {figures}{rest}", flush=True)


class _Finite(tf_keras.callbacks.Callback):
    """Ends a training that has diverged."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if not np.isfinite(logs["loss"]):
            raise GateError(diverged(self.epoch, batch, float(self.model.optimizer.learning_rate)))


class _Checkpoints(tf_keras.callbacks.Callback):
    """Weights, masks, ranges and the optimizer's state, after every epoch.

    Attributes:
        epoch: first epoch of the training, from 0.
    """

    def __init__(self, folder: Path, model):
        super().__init__()
        model.optimizer.build(model.trainable_variables)
        self._epochs, self._seconds = tf.Variable(0, dtype=tf.int64), tf.Variable(0.0, dtype=tf.float64)
        done = {"epochs": self._epochs, "seconds": self._seconds}
        held = tf.train.Checkpoint(model=model, optimizer=model.optimizer, **done)
        self._manager = tf.train.CheckpointManager(held, str(folder), max_to_keep=2)
        whole = next(filter(_is_whole, reversed(self._manager.checkpoints)), None)
        if whole:
            held.read(whole).assert_existing_objects_matched().expect_partial()  # `save` counts besides
        self.epoch = int(self._epochs)

    @property
    def seconds(self) -> float:
        """Seconds of all epochs so far."""
        return float(self._seconds)

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self._epochs.assign(epoch + 1)
        self._seconds.assign_add(time.monotonic() - self._start)
        self._manager.save()


def _is_whole(path: str) -> bool:
    """Whether all of a checkpoint can be read: it may be damaged, and then the one before it counts."""
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, RuntimeError, ValueError):
        return False
    return True


def _qat(twin, settings: Settings, steps: int):
    scheme = {
        "sparsity": tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme,
        "clusters": lambda: tfmot.experimental.combine.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity=True),
    }.get(settings.preserve)
    if scheme is None:
        return tfmot.quantization.keras.quantize_model(twin), []
    annotated = tfmot.quantization.keras.quantize_annotate_model(twin)
    return tfmot.quantization.keras.quantize_apply(annotated, scheme()), []


def _of_kernels(twin, wrap: Callable) -> tf_keras.Model:
    """The twin with its convolutions and dense layers wrapped.

    Of a whole model tfmot wraps the norms as well, and its wrapper for clusters does not pass `training` on: they would
    normalise by moving statistics that stand still, and ResNet-8 diverges within ten steps.
    """
    return tf_keras.models.clone_model(twin, clone_function=lambda x: wrap(x) if hasattr(x, "kernel") else x)


def _shares(twin, sparsity: Sparsity) -> dict[str, float]:
    """Fraction of pruned weights of every layer, by its name.

    tfmot prunes the same fraction everywhere if not told; small layers have less to spare.
    """
    kernels = {layer.name: layer.kernel.numpy() for layer in twin.layers if hasattr(layer, "kernel")}
    kept = masks(list(kernels.values()), sparsity, sparsity.share)
    return {name: 1 - float(mask.mean()) for name, mask in zip(kernels, kept, strict=True)}


def _prune(twin, settings: Settings, steps: int):
    sparsity, every = settings.sparsity, interval(round(PRUNING * steps))
    end = max(1, round(PRUNING * steps)) // every * every  # it acts at multiples of the interval only
    prune = tfmot.sparsity.keras.prune_low_magnitude
    if sparsity.group:  # zeros of a group, at once: tfmot has no schedule for patterns
        schedule = tfmot.sparsity.keras.ConstantSparsity(sparsity.share, 0, frequency=every)
        pattern = (sparsity.group - sparsity.keep, sparsity.group)
        pruned = _of_kernels(twin, lambda layer: prune(layer, schedule, sparsity_m_by_n=pattern))
    else:
        shares, decay = _shares(twin, sparsity), tfmot.sparsity.keras.PolynomialDecay
        pruned = _of_kernels(twin, lambda x: prune(x, decay(0.0, shares[x.name], 0, end, frequency=every)))
    return pruned, [tfmot.sparsity.keras.UpdatePruningStep()]


def _cluster(twin, settings: Settings, steps: int):
    # k-means++ costs less at the beginning than evenly spread centroids. The default aggregation, the sum over all
    # weights of a cluster, diverges at a rate that moves the weights themselves.
    how = {
        "number_of_clusters": settings.clusters,
        "cluster_centroids_init": tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
        "cluster_gradient_aggregation": GradientAggregation.AVG,
    }
    return _of_kernels(twin, lambda layer: tfmot.clustering.keras.cluster_weights(layer, **how)), []


_METHODS = {"qat": _qat, "prune": _prune, "cluster": _cluster}
_BASES = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")


def _values(model, settings: Settings) -> dict[str, np.ndarray]:
    """Weights and ranges by the names of Keras 3."""
    if settings.method == "prune":
        model = tfmot.sparsity.keras.strip_pruning(model)
    if settings.method == "cluster":
        model = tfmot.clustering.keras.strip_clustering(model)
    if settings.method != "qat":
        # By the layers' names: stripping makes new layers, whose variables have lost theirs.
        pairs = [(layer.name, variable) for layer in model.layers for variable in layer.weights]
        return {f"{name}/{path_of(variable).rpartition('/')[2]}": variable.numpy() for name, variable in pairs}
    if settings.preserve == "clusters":
        model = tfmot.experimental.combine.strip_clustering_cqat(model)
    found = {}
    for layer in model.layers:
        name = getattr(layer, "layer", layer).name
        for variable in layer.weights:
            base = path_of(variable).rpartition("/")[2]
            end = re.fullmatch(r"(?:output|post_activation|pre_activation|quantize_layer)_(min|max)", base)
            if base in _BASES:
                found[f"{name}/{base}"] = variable.numpy()
            elif end:
                own = "image" if base.startswith("quantize_layer") else name
                found[f"{own}/{ {'min': 'low', 'max': 'high'}[end[1]] }"] = variable.numpy()
    if settings.preserve == "sparsity":
        _keep_zeros(model, found)
    return found


def _keep_zeros(model, found: dict[str, np.ndarray]) -> None:
    """Applies the masks of the scheme, which the optimizer's last step may have passed over."""
    for layer in model.layers:
        for variable in layer.weights:
            if "mask" in variable.name and f"{layer.layer.name}/kernel" in found:
                found[f"{layer.layer.name}/kernel"] = found[f"{layer.layer.name}/kernel"] * variable.numpy()


def main(place: Path) -> None:
    """The child's work."""
    job = json.loads((place / JOB).read_text(encoding="utf-8"))
    asked = job["settings"]
    sparsity = parse_sparsity(asked["sparsity"]) if asked["sparsity"] else None
    settings = Settings(**{**asked, "sparsity": sparsity})
    recipe = loads(json.dumps(job["recipe"]), JOB)
    tf_keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    twin = build_twin(job)
    with np.load(place / WEIGHTS, allow_pickle=False) as file:
        move({name: file[name] for name in file.files}, twin)
    batches_from, steps = _batches(recipe, job)
    model, callbacks = _METHODS[settings.method](twin, settings, steps * recipe.epochs)
    undecayed = () if recipe.decay_all else UNDECAYED
    how = {"momentum": recipe.momentum, "nesterov": recipe.nesterov}
    schedule = make_schedule(recipe, steps)
    rate = _Schedule(schedule) if callable(schedule) else schedule
    loss = tf_keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
    model.compile(_CoupledSGD(rate, decay=recipe.weight_decay, undecayed=undecayed, **how), loss, ["accuracy"])
    checkpoints = _Checkpoints(Path(job["checkpoints"]), model)
    pipeline = batches_from(checkpoints.epoch, 0)
    if recipe.distillation:
        teacher, _ = load_model(place / TEACHER)
        kept = Path(job["answers"]) if job["answers"] else None
        pipeline = distilled(batches_from, teacher, recipe, steps=steps, start=(checkpoints.epoch, 0), kept=kept)
    model.fit(
        pipeline.prefetch(tf.data.AUTOTUNE),
        initial_epoch=checkpoints.epoch,
        epochs=recipe.epochs,
        steps_per_epoch=steps,
        callbacks=[_Finite(), *callbacks, checkpoints, _Lines()],
        shuffle=False,
        verbose=0,
    )
    np.savez(place / TRAINED, seconds=checkpoints.seconds, **_values(model, settings))


def _batches(recipe: Recipe, job: dict) -> tuple[Callable[[int, int], tf.data.Dataset], int]:
    """The project's pipeline from any epoch and batch, and the steps of an epoch."""
    dataset = load_dataset(recipe.dataset, job["data_dir"], tuple(job["image_shape"]), recipe.data.keep)
    split = dataset.train if recipe.hold_out else joined(dataset.train, dataset.validation)
    preprocess = PREPROCESS[recipe.preprocess]

    def batches_from(epoch: int, batch: int) -> tf.data.Dataset:
        pipeline = training_batches(
            split,
            recipe.batch_size,
            seed=recipe.seed,
            augment=get_augmentation(recipe.augmentation, dataset.signal),
            repeats=recipe.repeats,
            mix=make_mix(recipe.mixup, recipe.cutmix),
            encode=lambda truth: tf.one_hot(truth["label"], len(dataset.classes)),
            first_epoch=epoch,
            first_batch=batch,
        )
        return pipeline.map(lambda x, y: (preprocess(x), y), num_parallel_calls=tf.data.AUTOTUNE)

    return batches_from, len(split) // recipe.batch_size


def _leave_with_the_parent() -> None:
    """It holds the other end of the standard input, and takes it along however it ends."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    sys.exit(console.run(lambda: main(Path(sys.argv[1]))))
