"""LAMB as its paper (arXiv:1904.00962) and timm have it, which is what recipes that name it were measured with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_resnet")
class Lamb(keras.optimizers.Optimizer):
    """Adam's step, the weight decay added to it, times the norm of the variable over the norm of the step.

    Keras' own Lamb subtracts the decay beside that ratio, so that it shrinks with the learning rate alone, and adapts
    the rate of biases and norms too (keras#19981). Here, as in timm, a variable that is not decayed takes Adam's step.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        *,
        decay: float = 0.0,
        undecayed: Sequence[str] = (),
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        name: str = "lamb",
        **kwargs: Any,
    ):
        """Takes the arguments of Keras' optimizers but `weight_decay`, and six of its own.

        Args:
            learning_rate: learning rate or schedule.
            decay: weight decay, a part of the step; 0 for none, and then no rate is adapted.
            undecayed: names of the variables that are neither decayed nor adapted.
            beta_1: momentum of the mean gradient.
            beta_2: momentum of the mean squared gradient.
            epsilon: smallest root of a mean squared gradient.
            name: name of the optimizer.
            **kwargs: other arguments of Keras' optimizers, like `global_clipnorm`.
        """
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.decay, self.undecayed = decay, tuple(undecayed)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the moments.

        Args:
            variables: trainable variables.
        """
        if self.built:
            return
        super().build(variables)
        self._means, self._squares = self.add_optimizer_variables(variables, ["mean", "square"])

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable.

        Args:
            gradient: gradient of the loss, clipped.
            variable: variable to move.
            learning_rate: learning rate of this step.
        """
        ops, dtype, index = keras.ops, variable.dtype, self._get_variable_index(variable)
        gradient = ops.cast(gradient, dtype)
        mean, square = self._means[index], self._squares[index]
        self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
        step = ops.cast(self.iterations + 1, dtype)  # not of batches, where several are accumulated
        root = ops.sqrt(square / _risen(self.beta_2, step)) + self.epsilon
        update = mean / _risen(self.beta_1, step) / root
        # TensorFlow passes its own variable, whose name is not Keras'.
        if self.decay and self._trainable_variables[index].name not in self.undecayed:
            update = update + variable * self.decay
            update = update * _ratio(_norm(variable), _norm(update))
        self.assign_sub(variable, update * ops.cast(learning_rate, dtype))

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        """Clips the gradients of one process; those of replicas are clipped where they have been summed."""
        return grads if keras.backend.backend() == "tensorflow" else super()._clip_gradients(grads)

    def _all_reduce_sum_gradients(self, grads_and_vars: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        """Sums over TensorFlow's replicas, and clips the sum: Keras clips the parts, whose norms say little."""
        pairs = super()._all_reduce_sum_gradients(grads_and_vars)
        clipped = super()._clip_gradients([gradient for gradient, _ in pairs])
        return [(gradient, variable) for gradient, (_, variable) in zip(clipped, pairs, strict=True)]

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = ("decay", "undecayed", "beta_1", "beta_2", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def _risen(beta: float, step: Any) -> Any:
    """1 - beta ** step, without the rounding of a power near 1."""
    return -keras.ops.expm1(step * math.log(beta))


def _norm(values: Any) -> Any:
    return keras.ops.sqrt(keras.ops.sum(keras.ops.square(values)))


def _ratio(of_variable: Any, of_update: Any) -> Any:
    """The trust ratio; 1 where a norm is zero."""
    known = (of_variable > 0) & (of_update > 0)
    return keras.ops.where(known, of_variable / keras.ops.where(known, of_update, 1.0), 1.0)
