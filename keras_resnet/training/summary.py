"""Summary of a training, before it starts."""

from __future__ import annotations

import math

import keras

from keras_resnet.nets.compressed import parameters
from keras_resnet.nets.graph import BLOCK_OUT, multiply_adds
from keras_resnet.training.checkpoints import Checkpoint
from keras_resnet.training.optimization import UNDECAYED
from keras_resnet.training.recipes import Recipe

_SLOTS = {"sgd": 1, "adam": 2, "adamw": 2, "rmsprop": 2, "lamb": 2, "keras-lamb": 2}


def describe(model: keras.Model, twin: keras.Model, recipe: Recipe, steps: int, policy: str, replicas: int = 1) -> str:
    """Writes three lines: the net, the optimization, the size of a step.

    Args:
        model: model that is trained.
        twin: model that will be saved, whose input size is known.
        recipe: recipe of the run.
        steps: number of steps in an epoch.
        policy: dtype policy that the model was built under.
        replicas: number of replicas that share a batch.
    """
    trainable = model.trainable_variables
    undecayed = () if recipe.decay_all else UNDECAYED
    decayed = sum(variable.name not in undecayed for variable in trainable) if recipe.weight_decay else 0
    memory = estimated_memory(twin, recipe, policy, replicas) / 1e9
    share = f"{recipe.batch_size // replicas} on each of {replicas} replicas, " if replicas > 1 else ""
    each = " each" if replicas > 1 else ""
    size = " x ".join(map(str, twin.input_shape[1:-1]))
    return "\n".join(
        (
            f"{model.name}: {parameters(model):,} parameters, {multiply_adds(twin):,} multiply-adds at {size}, "
            f"{policy}",
            f"{recipe.optimizer}: {decayed} tensors decayed, {len(trainable) - decayed} not; {recipe.schedule} "
            f"schedule, {recipe.epochs} epochs of {steps} steps",
            f"batches of {recipe.batch_size}, {share}about {memory:.1f} GB of memory{each} (estimated){_device()}",
        )
    )


def _device() -> str:
    """What the net is trained on, where that is not plain: JAX takes what it finds, TensorFlow a GPU."""
    if keras.backend.backend() == "jax":
        import jax

        return f"; on {jax.devices()[0].device_kind}, by JAX"
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        found = [tf.config.experimental.get_device_details(each) for each in tf.config.list_physical_devices("GPU")]
        return f"; on {found[0].get('device_name', 'a GPU')}, by TensorFlow" if found else ""
    return ""


def going_on(start: Checkpoint | None, steps: int) -> str:
    """Where a resumed run goes on, in words; empty for a run that begins.

    Args:
        start: checkpoint that it goes on from.
        steps: number of steps in an epoch.
    """
    if start is None:
        return ""
    return f", going on with epoch {start.epoch + 1}, step {start.step + 1} of {steps}"


def estimated_memory(twin: keras.Model, recipe: Recipe, policy: str, replicas: int = 1) -> float:
    """Estimates bytes: outputs that the backward pass needs, weights, gradients and the optimizer's slots.

    Args:
        twin: net with the input size at which it is saved.
        recipe: recipe of the run.
        policy: dtype policy of the training.
        replicas: number of replicas that share a batch; the figure is that of one.
    """
    item = 2 if policy.startswith("mixed") else 4
    kept, parts = 0, [0]  # with rematerialisation: the blocks' outputs, and what lies within one block at a time
    for layer in twin.layers:
        parts[-1] += math.prod(layer.output.shape[1:])
        if recipe.remat and BLOCK_OUT.search(layer.name):
            kept += math.prod(layer.output.shape[1:])
            parts.append(0)
    scale = (recipe.image_size / recipe.test_size) ** 2 if recipe.test_size and recipe.image_size else 1.0
    copies = 2 + _SLOTS[recipe.optimizer] + bool(recipe.ema)
    return (kept + max(parts)) * scale * item * recipe.batch_size / replicas + 4 * twin.count_params() * copies
