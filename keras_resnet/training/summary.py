"""What a training is about to do, before it starts."""

from __future__ import annotations

import math

import keras

from keras_resnet.builder import multiply_adds
from keras_resnet.training.optimization import UNDECAYED
from keras_resnet.training.recipes import Recipe

_SLOTS = {"sgd": 1, "adam": 2, "adamw": 2, "rmsprop": 2, "lamb": 2}


def describe(model: keras.Model, recipe: Recipe, steps: int, policy: str) -> str:
    """Three lines: the net, the optimization, the size of a step.

    Args:
        model: to be trained.
        recipe: of the run.
        steps: per epoch.
        policy: dtype policy that the model was built under.
    """
    trainable = model.trainable_variables
    undecayed = () if recipe.decay_all else UNDECAYED
    decayed = sum(variable.name not in undecayed for variable in trainable) if recipe.weight_decay else 0
    memory = estimated_memory(model, recipe) / 1e9
    return "\n".join(
        (
            f"{model.name}: {model.count_params():,} parameters, {multiply_adds(model):,} multiply-adds, {policy}",
            f"{recipe.optimizer}: {decayed} tensors decayed, {len(trainable) - decayed} not; {recipe.schedule} "
            f"schedule, {recipe.epochs} epochs of {steps} steps",
            f"batches of {recipe.batch_size}, about {memory:.1f} GB of memory (estimated)",
        )
    )


def estimated_memory(model: keras.Model, recipe: Recipe) -> float:
    """Bytes for the outputs that the backward pass needs, and for weights, gradients and the optimizer's slots."""
    outputs = 0
    for layer in model.layers:
        shape = layer.output.shape[1:]
        if None not in shape:
            outputs += math.prod(shape) * (2 if "16" in str(layer.compute_dtype) else 4)
    copies = 2 + _SLOTS[recipe.optimizer] + bool(recipe.ema)
    return outputs * recipe.batch_size + 4 * model.count_params() * copies
