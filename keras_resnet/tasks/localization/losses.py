"""Losses of a localization: the class and the box of the largest object; examples without one teach nothing."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_resnet.data.truth import CLASS, FLAG, USUAL
from keras_resnet.tasks.detection.assigning import overlaps
from keras_resnet.tasks.segmentation.losses import over_replicas


def largest(truth: Any) -> tuple[Any, Any]:
    """The largest object of every example, and whether there is one.

    Args:
        truth: `boxes`, float32 `(n, M, 7)`.

    Returns:
        float32 `(n, 7)`, and bool `(n,)`.
    """
    truth = ops.cast(truth, "float32")
    there = (truth[..., 2] > truth[..., 0]) & (truth[..., FLAG] == USUAL)
    area = (truth[..., 2] - truth[..., 0]) * (truth[..., 3] - truth[..., 1])
    area = ops.where(there, area, -1.0)
    place = ops.argmax(area, axis=1)
    return ops.take_along_axis(truth, place[:, None, None], axis=1)[:, 0], ops.any(there, axis=1)


def _mean(values: Any, there: Any) -> Any:
    """Values `(n,)` whose mean is that over the examples of a batch that count, on all devices."""
    counts = ops.cast(there, "float32")
    total, replicas = over_replicas(ops.sum(counts))
    size = ops.cast(ops.shape(counts)[0], "float32")
    return ops.where(there, values, 0.0) * size * replicas / ops.maximum(total, 1.0)


class ClassLoss(keras.losses.Loss):
    """Cross-entropy of the largest object's class.

    Args:
        classes: number of classes.
        label_smoothing: share of the target that goes to all classes alike.
        name: name of the loss.
    """

    def __init__(self, classes: int, label_smoothing: float = 0.0, name: str = "class"):
        """Takes the settings."""
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.classes, self.label_smoothing = classes, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of every example, `(n,)`.

        Args:
            y_true: `boxes`, float32 `(n, M, 7)`.
            y_pred: logits, `(n, classes)`.
        """
        wanted, there = largest(y_true)
        one_hot = ops.one_hot(ops.maximum(ops.cast(wanted[:, CLASS], "int32"), 0), self.classes, dtype="float32")
        target = one_hot * (1 - self.label_smoothing) + self.label_smoothing / self.classes
        return _mean(-ops.sum(target * ops.log_softmax(ops.cast(y_pred, "float32")), axis=-1), there)


class BoxLoss(keras.losses.Loss):
    """Smooth L1 of centre and size, and 1 - generalised overlap, of the largest object.

    Args:
        size: height and width of the net's input in pixels.
        name: name of the loss.
    """

    def __init__(self, size: tuple[int, int], name: str = "box"):
        """Takes the size."""
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.scale = (float(size[1]), float(size[0])) * 2

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of every example, `(n,)`.

        Args:
            y_true: `boxes`, float32 `(n, M, 7)`, in pixels of the input.
            y_pred: centre x, y, width, height in 0..1 of it, `(n, 4)`.
        """
        wanted, there = largest(y_true)
        corners = wanted[:, :4] / ops.convert_to_tensor(self.scale, "float32")
        y_pred = ops.cast(y_pred, "float32")
        centered = ops.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=-1)
        apart = ops.abs(y_pred - centered)
        smooth = ops.where(apart < _DELTA, apart * apart / (2 * _DELTA), apart - _DELTA / 2)
        half = y_pred[:, 2:] / 2
        found = ops.concatenate([y_pred[:, :2] - half, y_pred[:, :2] + half], axis=-1)
        _, giou = overlaps(found, corners)
        return _mean(ops.sum(smooth, axis=-1) + 1 - giou, there)


_DELTA = 0.05  # of a side: differences below it are squared
