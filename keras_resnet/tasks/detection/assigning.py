"""Which prior boxes learn which object: assigners, in Keras' operations, for whole batches.

An assigner gets the objects of a batch and what the net answers now, and says for every prior box which object it
learns, if any. All are rows of `ASSIGNERS` with one signature, apart from heads, coders and losses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

_CLOSE = 1e-9
_RADIUS = 1.5  # strides from an object's centre, of FCOS
_RANGES = 8.0  # of a map: objects whose farthest side lies within this many strides, but for the first and last map
_ALPHA, _BETA = 1.0, 6.0  # exponents of score and overlap in TOOD's alignment


@dataclass(frozen=True, eq=False)
class Priors:
    """The prior boxes of all maps of one input size, P in all, by NumPy.

    Attributes:
        boxes: float32 `(P, 4)`, x1, y1, x2, y2 in pixels of the net's input.
        strides: float32 `(P,)`: stride of each one's map.
        maps: number of prior boxes of every map, the finest first.
    """

    boxes: np.ndarray
    strides: np.ndarray
    maps: tuple[int, ...]

    @property
    def centers(self) -> np.ndarray:
        """Centres x, y, float32 `(P, 2)`."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2


@dataclass(frozen=True)
class Objects:
    """The objects of a batch, and what is ignored; tensors.

    Attributes:
        boxes: float32 `(n, M, 4)`, x1, y1, x2, y2 in pixels of the net's input.
        classes: int32 `(n, M)`.
        counts: bool `(n, M)`: whether there is such an object, and it is learned.
        ignored: bool `(n, M)`: whether there is a crowd or a difficult object.
    """

    boxes: Any
    classes: Any
    counts: Any
    ignored: Any


@dataclass(frozen=True)
class Assigned:
    """What every prior box learns; tensors.

    Attributes:
        object: int32 `(n, P)`: position of its object; any where it learns none.
        positive: bool `(n, P)`: whether it learns one.
        ignored: bool `(n, P)`: whether its scores count nothing.
        quality: float32 `(n, P)`, 0 to 1: score that it learns, and weight of its box; 0 where it learns no object.
            None where that is the overlap of its answer with the object.
    """

    object: Any
    positive: Any
    ignored: Any
    quality: Any = None


def overlaps(boxes: Any, others: Any) -> tuple[Any, Any]:
    """Intersection over union, and its generalisation by the box around both (Rezatofighi et al. 2019, 1902.09630).

    Args:
        boxes: float32 `(..., 4)`.
        others: float32 `(..., 4)` that broadcasts with it.

    Returns:
        Both, float32, without the last axis: 0 to 1, and -1 to 1.
    """
    x1, y1, x2, y2 = (boxes[..., n] for n in range(4))
    u1, v1, u2, v2 = (others[..., n] for n in range(4))
    shared = ops.relu(ops.minimum(x2, u2) - ops.maximum(x1, u1)) * ops.relu(ops.minimum(y2, v2) - ops.maximum(y1, v1))
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared
    around = (ops.maximum(x2, u2) - ops.minimum(x1, u1)) * (ops.maximum(y2, v2) - ops.minimum(y1, v1))
    iou = shared / ops.maximum(union, _CLOSE)
    return iou, iou - (around - union) / ops.maximum(around, _CLOSE)


def aligned(objects: Objects, priors: Priors, scores: Any, boxes: Any, candidates: int) -> Assigned:
    """Prior boxes in the object whose score and box agree best with it already (TOOD, arXiv:2108.07755).

    Args:
        objects: objects of the batch.
        priors: prior boxes.
        scores: probabilities that the net gives now, `(n, P, classes)`.
        boxes: boxes that it gives now, `(n, P, 4)` in pixels.
        candidates: largest number of prior boxes that learn an object.
    """
    iou, _ = overlaps(objects.boxes[:, :, None], boxes[:, None])  # (n, M, P)
    own = ops.take_along_axis(ops.transpose(scores, (0, 2, 1)), objects.classes[..., None], axis=1)  # of its class
    metric = ops.power(own, _ALPHA) * ops.power(iou, _BETA)
    possible = _inside(objects, priors)
    # An object that no answer meets yet: its innermost prior boxes, by a number below all others.
    near = 1e-12 / (1.0 + _distances(objects, priors) / priors.strides)
    metric = ops.where(possible, metric + near, 0.0)
    chosen = _largest(metric, candidates) & possible
    place, positive = _one_object(chosen, iou + near)
    best = ops.max(ops.where(chosen, metric, 0.0), axis=2, keepdims=True)
    reached = ops.max(ops.where(chosen, iou, 0.0), axis=2, keepdims=True)
    quality = ops.where(chosen, metric / ops.maximum(best, 1e-20) * reached, 0.0)
    quality = ops.take_along_axis(quality, place[:, None], axis=1)[:, 0]
    quality = ops.where(positive, ops.clip(quality, 0.0, 1.0), 0.0)
    return Assigned(place, positive, _ignored(objects, priors, positive), quality)


def atss(objects: Objects, priors: Priors, scores: Any, boxes: Any, candidates: int) -> Assigned:
    """Near prior boxes of every map that overlap an object more than most of them (ATSS, arXiv:1912.02424).

    Squares of eight strides around the centres stand for prior boxes, as in its paper; arguments as in `aligned`.
    """
    del scores, boxes
    centers, half = priors.centers, 4 * priors.strides[:, None]
    squares = np.concatenate([centers - half, centers + half], axis=1)
    iou, _ = overlaps(objects.boxes[:, :, None], ops.convert_to_tensor(squares))
    distances, near, first = _distances(objects, priors), [], 0
    for count in priors.maps:
        near.append(_largest(-distances[..., first : first + count], min(candidates, count)))
        first += count
    chosen = ops.concatenate(near, axis=-1)
    weight = ops.cast(chosen, "float32")
    number = ops.sum(weight, axis=-1, keepdims=True)
    mean = ops.sum(iou * weight, axis=-1, keepdims=True) / number
    variance = ops.sum(ops.square(iou - mean) * weight, axis=-1, keepdims=True) / ops.maximum(number - 1, 1.0)
    chosen = chosen & (iou >= mean + ops.sqrt(variance)) & _inside(objects, priors)
    place, positive = _one_object(chosen, iou)
    return Assigned(place, positive, _ignored(objects, priors, positive))


def overlap(objects: Objects, priors: Priors, scores: Any, boxes: Any, candidates: int) -> Assigned:
    """Prior boxes that overlap an object by half, and the best ones of every object (RetinaNet, arXiv:1708.02002).

    Between 0.4 and 0.5 scores count nothing. Arguments as in `aligned`; `candidates` is not asked.
    """
    del scores, boxes, candidates
    iou, _ = overlaps(objects.boxes[:, :, None], ops.convert_to_tensor(priors.boxes))
    iou = ops.where(objects.counts[..., None], iou, -1.0)
    most = ops.max(iou, axis=2, keepdims=True)
    low = (iou >= most - 1e-7) & (most > 0)  # an object that no prior box meets well enough has its best ones
    best = ops.max(iou, axis=1)
    forced = ops.any(low, axis=1)
    positive = (best >= 0.5) | forced
    between = (best >= 0.4) & ops.logical_not(positive)
    place = ops.cast(ops.argmax(iou, axis=1), "int32")  # torchvision's: the best object, not the one that forced it
    return Assigned(place, positive, between | _ignored(objects, priors, positive))


def center(objects: Objects, priors: Priors, scores: Any, boxes: Any, candidates: int) -> Assigned:
    """Places near an object's centre on the map of its size; the smallest object wins (FCOS, arXiv:1904.01355).

    Arguments as in `aligned`; `candidates` is not asked.
    """
    del scores, boxes, candidates
    x, y = (ops.convert_to_tensor(priors.centers[:, n]) for n in range(2))
    x1, y1, x2, y2 = (objects.boxes[..., n, None] for n in range(4))
    strides = ops.convert_to_tensor(priors.strides)
    near = (ops.abs(x - (x1 + x2) / 2) < _RADIUS * strides) & (ops.abs(y - (y1 + y2) / 2) < _RADIUS * strides)
    farthest = ops.maximum(ops.maximum(x - x1, x2 - x), ops.maximum(y - y1, y2 - y))
    low, high = _ranges(priors)
    chosen = _inside(objects, priors) & near & (farthest > low) & (farthest < high)
    area = (x2 - x1) * (y2 - y1)
    place, positive = _one_object(chosen, 1.0 / ops.maximum(area, 1e-6))
    return Assigned(place, positive, _ignored(objects, priors, positive))


def _ranges(priors: Priors) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the farthest side that a prior box's map learns, in pixels."""
    low, high = priors.strides * _RANGES / 2, priors.strides * _RANGES
    low[: priors.maps[0]], high[-priors.maps[-1] :] = 0.0, np.inf
    return low, high


def _inside(objects: Objects, priors: Priors) -> Any:
    """Whether centres of prior boxes lie in an object that counts, bool `(n, M, P)`."""
    return _covers(objects, priors) & objects.counts[..., None]


def _covers(objects: Objects, priors: Priors) -> Any:
    x, y = (ops.convert_to_tensor(priors.centers[:, n]) for n in range(2))
    x1, y1, x2, y2 = (objects.boxes[..., n, None] for n in range(4))
    return (x > x1) & (x < x2) & (y > y1) & (y < y2)


def _ignored(objects: Objects, priors: Priors, positive: Any) -> Any:
    """Whether a prior box that learns no object lies in a crowd or in something difficult, bool `(n, P)`."""
    there = ops.any(_covers(objects, priors) & objects.ignored[..., None], axis=1)
    return there & ops.logical_not(positive)


def _distances(objects: Objects, priors: Priors) -> Any:
    """Distances of centres, float32 `(n, M, P)`."""
    middle = (objects.boxes[..., :2] + objects.boxes[..., 2:]) / 2
    apart = middle[:, :, None] - ops.convert_to_tensor(priors.centers)
    return ops.sqrt(ops.sum(ops.square(apart), axis=-1) + 1e-12)


def _largest(values: Any, count: int) -> Any:
    """Which of the last axis are among its largest, bool; of equal ones all."""
    count = min(count, values.shape[-1])
    return values >= ops.top_k(values, count, sorted=True)[0][..., -1:]


def _one_object(chosen: Any, preference: Any) -> tuple[Any, Any]:
    """The one object of every prior box that several chose: position `(n, P)`, and whether there is one."""
    liked = ops.where(chosen, preference, -1.0)
    return ops.cast(ops.argmax(liked, axis=1), "int32"), ops.any(chosen, axis=1)


ASSIGNERS: dict[str, Callable[[Objects, Priors, Any, Any, int], Assigned]] = {
    "aligned": aligned,
    "atss": atss,
    "overlap": overlap,
    "center": center,
}
