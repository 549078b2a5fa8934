"""Optimizers and schedules of Keras for a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_resnet.training.lamb import Lamb
from keras_resnet.training.recipes import Recipe

UNDECAYED = ("bias", "gamma", "beta")

_POLY = 0.9  # DeepLab's power (arXiv:1606.00915)


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """A straight line up to the peak and a straight line, or a power of one, down to zero (arXiv:1708.07120)."""

    def __init__(self, peak: float, total: int, warmup: int, power: float = 1.0):
        """Takes the peak, the steps in all and up to the peak, and the power of the way down."""
        self.peak, self.total, self.warmup, self.power = peak, total, warmup, power

    def __call__(self, step):
        """The rate at a step."""
        step = keras.ops.cast(step, "float32")
        down = (self.total - step) / (self.total - self.warmup)
        up = step / max(self.warmup, 1)
        down = keras.ops.maximum(down, 0.0)
        down = down if self.power == 1 else keras.ops.power(down, self.power)
        return self.peak * (keras.ops.where(step < self.warmup, up, down) if self.warmup else down)

    def get_config(self) -> dict[str, object]:
        """The arguments."""
        return {"peak": self.peak, "total": self.total, "warmup": self.warmup, "power": self.power}


def _is_plain(variable) -> bool:
    """Whether it is TensorFlow's own variable on one device, not a part of a distributed one."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.distribute.has_strategy() and isinstance(variable, tf.Variable) and hasattr(variable, "handle")


class CoupledSGD(keras.optimizers.SGD):
    """SGD whose weight decay is part of the gradient, and so of the momentum: the papers', Caffe's and PyTorch's.

    Keras' own `weight_decay` is subtracted beside the momentum; at momentum 0.9 the same number decays a tenth.
    """

    def __init__(
        self,
        learning_rate,
        *,
        decay: float,
        undecayed: tuple[str, ...] = UNDECAYED,
        factors: Mapping[str, float] | None = None,
        held_steps: int = 0,
        **kwargs,
    ):
        """Takes SGD's arguments and three of its own.

        Args:
            learning_rate: learning rate or schedule, as in SGD.
            decay: weight decay, coupled to the momentum.
            undecayed: names of the variables that the decay leaves alone.
            factors: factors of the learning rate by a variable's path; 1 for others.
            held_steps: number of first steps in which the variables with a factor stay as they are.
            **kwargs: other arguments of SGD.
        """
        super().__init__(learning_rate, **kwargs)
        self.decay, self.undecayed = decay, tuple(undecayed)
        self.factors, self.held_steps = dict(factors or {}), held_steps

    def update_step(self, gradient, variable, learning_rate):
        """Adds the decay to a gradient, after clipping and after the replicas' sum, as PyTorch does."""
        # TensorFlow passes its own variable, whose name is not Keras'.
        own = self._trainable_variables[self._get_variable_index(variable)]
        if own.name not in self.undecayed:
            gradient = gradient + keras.ops.cast(variable, gradient.dtype) * self.decay
        if own.path in self.factors:
            is_free = keras.ops.cast(self.iterations >= self.held_steps, learning_rate.dtype)
            learning_rate = learning_rate * self.factors[own.path] * is_free
        if self.momentum and _is_plain(variable):
            self._move(gradient, variable, learning_rate)
        else:
            super().update_step(gradient, variable, learning_rate)

    def _move(self, gradient, variable, learning_rate):
        """Keras' step as one operation: the same values in a third of the passes over memory."""
        import tensorflow as tf

        momentum = self.momentums[self._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=momentum.value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )

    def get_config(self) -> dict[str, object]:
        """The arguments."""
        own = {name: getattr(self, name) for name in ("decay", "undecayed", "factors", "held_steps")}
        return {**super().get_config(), **own}


def make_schedule(recipe: Recipe, steps_per_epoch: int):
    """The learning rate over the steps of a run: a number or a Keras schedule."""
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    peak = recipe.learning_rate
    if recipe.schedule == "cosine":
        if warmup:
            return keras.optimizers.schedules.CosineDecay(0.0, total - warmup, warmup_target=peak, warmup_steps=warmup)
        return keras.optimizers.schedules.CosineDecay(peak, total)
    if recipe.schedule == "one-cycle":
        return OneCycle(peak, total, warmup)
    if recipe.schedule == "poly":
        return OneCycle(peak, total, warmup, _POLY)
    boundaries, values = [], [peak]
    if warmup and recipe.schedule != "plateau":  # ten stairs are warm-up enough where the rate is piecewise constant
        stairs = min(10, warmup)
        boundaries += [warmup * (i + 1) // stairs for i in range(stairs)]
        values = [*(peak * (i + 1) / (stairs + 1) for i in range(stairs)), peak]
    for milestone in recipe.milestones if recipe.schedule == "steps" else ():
        boundaries.append(round(milestone * total))
        values.append(values[-1] / 10)
    if not boundaries:
        return peak
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)


def make_optimizer(
    recipe: Recipe, steps_per_epoch: int, factors: Mapping[str, float] | None = None
) -> keras.optimizers.Optimizer:
    """Makes the recipe's optimizer, with weight decay kept off biases and norms unless it says `decay_all`.

    Args:
        recipe: recipe of the run.
        steps_per_epoch: number of steps in an epoch.
        factors: factors of the learning rate by a variable's path (`transfer.factors`).
    """
    rate = make_schedule(recipe, steps_per_epoch)  # Keras counts batches, accumulated or not
    undecayed = () if recipe.decay_all else UNDECAYED
    common: dict[str, Any] = {
        "global_clipnorm": recipe.clip_norm or None,
        "gradient_accumulation_steps": recipe.accumulation if recipe.accumulation > 1 else None,
        "use_ema": bool(recipe.ema),
        "ema_momentum": recipe.ema or 0.99,
    }
    sgd: dict[str, Any] = {"momentum": recipe.momentum, "nesterov": recipe.nesterov}
    if recipe.coupled_decay:
        return CoupledSGD(
            rate,
            decay=recipe.weight_decay,
            undecayed=undecayed,
            factors=factors,
            held_steps=round(recipe.head_epochs * steps_per_epoch),
            **sgd,
            **common,
        )
    if recipe.optimizer == "lamb":
        return Lamb(rate, decay=recipe.weight_decay, undecayed=undecayed, **common)
    kinds = {
        "sgd": (keras.optimizers.SGD, sgd),
        "adam": (keras.optimizers.Adam, {}),
        "adamw": (keras.optimizers.AdamW, {}),
        "rmsprop": (keras.optimizers.RMSprop, {"momentum": recipe.momentum}),
        "keras-lamb": (keras.optimizers.Lamb, {}),
    }
    kind, own = kinds[recipe.optimizer]
    optimizer = kind(rate, weight_decay=recipe.weight_decay or None, **own, **common)
    if recipe.weight_decay and undecayed:
        optimizer.exclude_from_weight_decay(var_names=list(undecayed))
    return optimizer
