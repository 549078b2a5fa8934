"""Losses of masks: pixels that are void count nothing, and the others all alike, whatever image they are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_resnet.data.truth import VOID
from keras_resnet.lazily import tf
from keras_resnet.tasks.segmentation.settings import ALPHA, BETA

_SMOOTH = 0.5  # added to both sides of Tversky's fraction, in pixels, so that an absent class is no division by zero


class PixelLoss(keras.losses.Loss):
    """Cross-entropy of the pixels that are not void, with weights of classes, focal or not, and losses of regions.

    The mean is over all pixels of a batch that count, by their weights, as PyTorch's, on all devices; void is 255.

    Args:
        gamma: exponent of the focal weight; 0 for cross-entropy.
        weights: weight of every class; empty for none.
        dice: weight of Dice's loss, the mean over the classes of one batch.
        tversky: weight of Tversky's loss, the same mean.
        alpha: weight of false positives in Tversky's loss.
        beta: weight of false negatives there.
        name: name of the loss.
    """

    def __init__(
        self,
        gamma: float = 0.0,
        weights: Sequence[float] = (),
        dice: float = 0.0,
        tversky: float = 0.0,
        alpha: float = ALPHA,
        beta: float = BETA,
        name: str = "pixels",
    ):
        """Takes the settings."""
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.gamma, self.weights, self.dice = gamma, tuple(weights), dice
        self.tversky, self.alpha, self.beta = tversky, alpha, beta

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of every image, `(n,)`, whose mean is that of the batch.

        Args:
            y_true: classes, uint8 or another integer, `(n, H, W)`; 255 is void.
            y_pred: logits, `(n, H, W, classes)`.
        """
        y_pred = ops.cast(y_pred, "float32")
        classes = y_pred.shape[-1]
        target = ops.cast(y_true, "int32")
        valid = target != VOID
        target = ops.where(valid, target, 0)
        one_hot = ops.one_hot(target, classes, dtype="float32") * ops.cast(valid, "float32")[..., None]
        log = ops.log_softmax(y_pred)
        entropy = -ops.sum(one_hot * log, axis=-1)  # 0 where void
        counts = ops.cast(valid, "float32")
        if self.weights:
            counts = ops.sum(one_hot * ops.convert_to_tensor(self.weights, "float32"), axis=-1)
        if self.gamma:
            # From above 0: the slope of a root is infinite there, and void pixels would make it no number.
            entropy = entropy * ops.power(ops.maximum(1 - ops.exp(-entropy), 1e-7), self.gamma)
        axes = tuple(range(1, len(entropy.shape)))
        size = ops.cast(ops.shape(y_pred)[0], "float32")
        total, replicas = over_replicas(ops.sum(counts))
        found = ops.sum(counts * entropy, axis=axes) * size * replicas / ops.maximum(total, 1e-6)
        if self.dice:
            found = found + self.dice * dice(one_hot, ops.exp(log), valid)
        if self.tversky:
            found = found + self.tversky * tversky(one_hot, ops.exp(log), valid, self.alpha, self.beta)
        return found

    def get_config(self) -> dict[str, Any]:
        """The settings, as Keras keeps them."""
        regions = {"dice": self.dice, "tversky": self.tversky, "alpha": self.alpha, "beta": self.beta}
        return {"gamma": self.gamma, "weights": self.weights, **regions, "name": self.name}


def over_replicas(values: Any) -> tuple[Any, float]:
    """Sums over the devices that share a batch, and their number; JAX' programs see the whole batch as it is.

    Args:
        values: sums over a device's share.
    """
    if keras.backend.backend() == "tensorflow":
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return context.all_reduce(tf.distribute.ReduceOp.SUM, values), float(context.num_replicas_in_sync)
    return values, 1.0


def dice(one_hot: Any, probabilities: Any, valid: Any) -> Any:
    """Dice's loss, 1 - 2 |A and B| / (|A| + |B|), mean over the classes of a batch: a scalar.

    Args:
        one_hot: float32 `(n, H, W, classes)`, 0 where void.
        probabilities: float32 of the same shape.
        valid: bool `(n, H, W)`.
    """
    return tversky(one_hot, probabilities, valid, 0.5, 0.5)


def tversky(one_hot: Any, probabilities: Any, valid: Any, alpha: float, beta: float) -> Any:
    """Tversky's loss, 1 - |A and B| / (|A and B| + alpha |B - A| + beta |A - B|), mean over the classes of a batch.

    Keras' own knows no void, and sums over the share of one device.

    Args:
        one_hot: float32 `(n, H, W, classes)`, 0 where void.
        probabilities: float32 of the same shape.
        valid: bool `(n, H, W)`.
        alpha: weight of what is answered and not true.
        beta: weight of what is true and not answered; 0.5 for both is Dice's loss.
    """
    probabilities = probabilities * ops.cast(valid, "float32")[..., None]
    axes = tuple(range(len(one_hot.shape) - 1))
    both, _ = over_replicas(ops.sum(one_hot * probabilities, axis=axes))
    true, _ = over_replicas(ops.sum(one_hot, axis=axes))
    given, _ = over_replicas(ops.sum(probabilities, axis=axes))
    wrong = alpha * (given - both) + beta * (true - both)
    return 1 - ops.mean((both + _SMOOTH) / (both + wrong + _SMOOTH))


class MeanIoU(keras.metrics.Metric):
    """Mean over the classes of intersection over union, of all pixels that are not void.

    Classes that neither the truth nor the answers have are left out. Keras' own metric takes no weights of examples
    where a target has axes.

    Args:
        classes: number of classes.
        name: name of the metric.
    """

    def __init__(self, classes: int, name: str = "mean_iou"):
        """Starts at zero."""
        super().__init__(name=name, dtype="float32")
        self.classes = classes
        self.confusion = self.add_variable((classes, classes), initializer="zeros", name="confusion")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts pairs of true and predicted classes.

        Args:
            y_true: classes `(n, H, W)`; 255 is void.
            y_pred: logits `(n, H, W, classes)`.
            sample_weight: weight of every example, `(n,)`: those of weight 0 are left out, the others count once.
        """
        target = ops.cast(y_true, "int32")
        counted = ops.cast(target != VOID, "float32")
        if sample_weight is not None:
            there = ops.cast(ops.convert_to_tensor(sample_weight) > 0, "float32")
            counted = counted * ops.reshape(there, (-1, *[1] * (len(target.shape) - 1)))
        target = ops.where(target != VOID, target, 0)
        found = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        true = ops.reshape(ops.one_hot(target, self.classes, dtype="float32") * counted[..., None], (-1, self.classes))
        answers = ops.reshape(ops.one_hot(found, self.classes, dtype="float32"), (-1, self.classes))
        self.confusion.assign_add(ops.matmul(ops.transpose(true), answers))

    def result(self) -> Any:
        """The mean so far."""
        both = ops.diagonal(self.confusion)
        union = ops.sum(self.confusion, axis=0) + ops.sum(self.confusion, axis=1) - both
        there = ops.cast(union > 0, "float32")
        return ops.sum(both / ops.maximum(union, 1.0)) / ops.maximum(ops.sum(there), 1.0)

    def get_config(self) -> dict[str, Any]:
        """The settings, as Keras keeps them."""
        return {"classes": self.classes, "name": self.name}
