"""The loss of a detector: scores, boxes and centerness of all prior boxes, normalised by what is learned.

While it learns, a net has one output `dense` `(n, P, classes + 4 or 5)`: what a prior box learns depends on all its
numbers, and plain `compile` and `fit` know losses of one output. Works on every backend of Keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_resnet.data.truth import CLASS, FLAG, USUAL
from keras_resnet.tasks.detection.assigning import ASSIGNERS, Assigned, Objects, Priors, overlaps
from keras_resnet.tasks.detection.priors import prior_boxes
from keras_resnet.tasks.detection.schemes import scheme_of
from keras_resnet.tasks.detection.settings import Facts, Settings, head_of
from keras_resnet.tasks.segmentation.losses import over_replicas

_LARGEST = float(np.log(1000 / 16))  # as `boxes.decoded`
FOCAL_ALPHA, FOCAL_GAMMA, QUALITY_BETA = 0.25, 2.0, 2.0


def laid(facts: Facts, size: tuple[int, int]) -> Priors:
    """Prior boxes of all maps.

    Args:
        facts: facts of the training set.
        size: height and width of the net's input in pixels.
    """
    head = head_of(facts)
    grids = {stride: tuple(side // stride for side in size) for stride in facts.strides}
    each = [prior_boxes(head, stride, (grid[0], grid[1]), size) for stride, grid in grids.items()]
    strides = [np.full(len(boxes), stride, "f") for stride, boxes in zip(grids, each, strict=True)]
    return Priors(np.concatenate(each), np.concatenate(strides), tuple(map(len, each)))


def decoded(values: Any, priors: Priors, coder: str) -> Any:
    """Boxes in pixels from a net's numbers, as `boxes.decoded` makes them, in Keras' operations.

    Args:
        values: `(n, P, 4)`.
        priors: prior boxes.
        coder: row of `boxes.CODERS`.
    """
    center, size = priors.centers, priors.boxes[:, 2:] - priors.boxes[:, :2]
    if coder == "distances":
        return ops.concatenate([center - values[..., :2] * size, center + values[..., 2:] * size], axis=-1)
    center = values[..., :2] * size + center
    half = 0.5 * ops.exp(ops.minimum(values[..., 2:], _LARGEST)) * size
    return ops.concatenate([center - half, center + half], axis=-1)


def encoded(boxes: Any, priors: Priors, coder: str) -> Any:
    """Numbers that a net should give for boxes `(n, P, 4)`: the inverse of `decoded`."""
    center, size = priors.centers, priors.boxes[:, 2:] - priors.boxes[:, :2]
    if coder == "distances":
        return ops.concatenate([(center - boxes[..., :2]) / size, (boxes[..., 2:] - center) / size], axis=-1)
    sides = ops.maximum(boxes[..., 2:] - boxes[..., :2], 1e-3)
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    return ops.concatenate([(middle - center) / size, ops.log(sides / size)], axis=-1)


def objects_of(truth: Any) -> Objects:
    """What there is to learn.

    Args:
        truth: `boxes` of a batch, float32 `(n, M, 7)`.
    """
    truth = ops.cast(truth, "float32")
    there = truth[..., 2] > truth[..., 0]
    usual = truth[..., FLAG] == USUAL
    classes = ops.maximum(ops.cast(truth[..., CLASS], "int32"), 0)
    return Objects(truth[..., :4], classes, there & usual, there & ops.logical_not(usual))


def quality_focal(logits: Any, target: Any) -> Any:
    """Quality focal loss of every number: cross-entropy weighed by the square of what is missing (arXiv:2006.04388).

    Args:
        logits: any shape.
        target: 0 to 1, of the same shape.
    """
    entropy = ops.relu(logits) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.power(ops.abs(target - ops.sigmoid(logits)), QUALITY_BETA) * entropy


def focal(logits: Any, target: Any) -> Any:
    """Sigmoid focal loss of every number, alpha 0.25 and gamma 2; arguments as in `quality_focal`, targets 0 or 1."""
    return keras.ops.binary_crossentropy(target, logits, from_logits=True) * _focal_weight(logits, target)


def _focal_weight(logits: Any, target: Any) -> Any:
    p = ops.sigmoid(logits)
    missing = p + target - 2 * p * target  # 1 - the probability of what is true
    return (FOCAL_ALPHA * target + (1 - FOCAL_ALPHA) * (1 - target)) * ops.power(missing, FOCAL_GAMMA)


class DetectionLoss(keras.losses.Loss):
    """Scores, boxes and centerness, divided by the positive prior boxes of the batch on all devices.

    Args:
        facts: facts of the training set.
        settings: head of the recipe.
        size: height and width of the net's input in pixels.
        name: name of the loss.
    """

    def __init__(self, facts: Facts, settings: Settings, size: tuple[int, int], name: str = "detection"):
        """Lays out the prior boxes."""
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.facts, self.settings, self.scheme = facts, settings, scheme_of(settings)
        self.priors = laid(facts, size)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of every image, `(n,)`, whose mean is that of the batch.

        Args:
            y_true: `boxes`, float32 `(n, M, 7)`.
            y_pred: `dense`, `(n, P, classes + 4 or 5)`: scores as logits, numbers of boxes, centerness as logits.
        """
        parts = self.parts(y_true, y_pred)
        return parts["scores"] + self.scheme.box_weight * parts["boxes"] + parts.get("centerness", 0.0)

    def parts(self, y_true: Any, y_pred: Any) -> Mapping[str, Any]:
        """The parts of the loss by name, `(n,)` each, before they are weighed; arguments as in `call`."""
        y_pred, count = ops.cast(y_pred, "float32"), len(self.facts.names)
        logits, values = y_pred[..., :count], y_pred[..., count : count + 4]
        objects, coder = objects_of(y_true), self.facts.coder
        boxes = decoded(values, self.priors, coder)
        still = ops.stop_gradient
        assigner = ASSIGNERS[self.scheme.assigner]
        found = assigner(objects, self.priors, still(ops.sigmoid(logits)), still(boxes), self.settings.candidates)
        wanted = ops.take_along_axis(objects.boxes, found.object[..., None], axis=1)  # (n, P, 4)
        iou, giou = overlaps(boxes, wanted)
        positive = ops.cast(found.positive, "float32")
        quality = self._quality(found, still(iou), positive)
        one_hot = ops.one_hot(ops.take_along_axis(objects.classes, found.object, axis=1), count, dtype="float32")
        if self.scheme.quality:
            scored = quality_focal(logits, one_hot * quality[..., None])
        else:
            scored = focal(logits, one_hot * positive[..., None])
        counted = ops.cast(ops.logical_not(found.ignored), "float32")
        sums = {"scores": ops.sum(scored * counted[..., None], axis=(1, 2))}
        weights = quality if self.scheme.quality else positive
        if self.scheme.box == "giou":
            sums["boxes"] = ops.sum(weights * (1 - giou), axis=1)
        else:
            apart = ops.abs(values - still(encoded(wanted, self.priors, coder)))
            sums["boxes"] = ops.sum(positive * ops.sum(ops.where(positive[..., None] > 0, apart, 0.0), axis=-1), axis=1)
        if self.facts.centerness:
            sums["centerness"] = self._centerness(y_pred[..., count + 4], wanted, positive)
        return self._normalised(sums, weights)

    def _quality(self, found: Assigned, iou: Any, positive: Any) -> Any:
        """Score that each prior box learns: what its assigner says, or how well its box fits now."""
        return iou * positive if found.quality is None else found.quality

    def _centerness(self, logits: Any, wanted: Any, positive: Any) -> Any:
        sides = ops.maximum(encoded(wanted, self.priors, "distances"), 0.0)
        left, top, right, bottom = (sides[..., n] for n in range(4))
        across = ops.minimum(left, right) / ops.maximum(ops.maximum(left, right), 1e-9)
        along = ops.minimum(top, bottom) / ops.maximum(ops.maximum(top, bottom), 1e-9)
        entropy = ops.binary_crossentropy(ops.sqrt(across * along), logits, from_logits=True)
        return ops.sum(positive * entropy, axis=1)

    def _normalised(self, sums: Mapping[str, Any], weights: Any) -> Mapping[str, Any]:
        if self.scheme.per_image:
            return {name: each / ops.maximum(ops.sum(weights, axis=1), 1.0) for name, each in sums.items()}
        total, replicas = over_replicas(ops.sum(weights))
        size = ops.cast(ops.shape(weights)[0], "float32")
        return {name: each * size * replicas / ops.maximum(total, 1.0) for name, each in sums.items()}
