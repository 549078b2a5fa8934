"""From a recipe to Keras' optimizers and schedules."""

from __future__ import annotations

import keras

from keras_resnet.training.recipes import Recipe

UNDECAYED = ("bias", "gamma", "beta")


def make_schedule(recipe: Recipe, steps_per_epoch: int):
    """The learning rate over the steps of a run: a number or a Keras schedule."""
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    peak = recipe.learning_rate
    if recipe.schedule == "cosine":
        if warmup:
            return keras.optimizers.schedules.CosineDecay(0.0, total - warmup, warmup_target=peak, warmup_steps=warmup)
        return keras.optimizers.schedules.CosineDecay(peak, total)
    boundaries, values = [], [peak]
    if warmup:  # a staircase of ten steps is warm-up enough where the rate is piecewise constant
        stairs = min(10, warmup)
        boundaries += [warmup * (i + 1) // stairs for i in range(stairs)]
        values = [*(peak * (i + 1) / (stairs + 1) for i in range(stairs)), peak]
    for milestone in recipe.milestones if recipe.schedule == "steps" else ():
        boundaries.append(round(milestone * total))
        values.append(values[-1] / 10)
    if not boundaries:
        return peak
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)


def make_optimizer(recipe: Recipe, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The recipe's optimizer, with weight decay kept off biases and norms unless it says `decay_all`."""
    rate = make_schedule(recipe, steps_per_epoch)
    decay = recipe.weight_decay or None
    if recipe.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=recipe.momentum, nesterov=recipe.nesterov, weight_decay=decay)
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    if decay and not recipe.decay_all:
        optimizer.exclude_from_weight_decay(var_names=list(UNDECAYED))
    return optimizer
