"""From the raw outputs of a net to boxes, on NumPy alone; torchvision's constants stand in the rows of the heads."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.errors import InputError
from keras_resnet.nets.detection import DetectorSpec, HeadSpec, get_detector
from keras_resnet.tasks.detection.boxes import clipped, decoded
from keras_resnet.tasks.detection.priors import prior_boxes
from keras_resnet.tasks.detection.suppression import suppressed

_NAME = re.compile(r"(scores|boxes|centerness)_([1-9]\d{0,4})")


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """The answers for one image, from the highest score.

    Attributes:
        boxes: `(n, 4)`, float32: x1, y1, x2, y2 in pixels, 0-based, ends exclusive.
        scores: `(n,)`, float32, 0 to 1.
        classes: `(n,)`, int64, from 0.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.boxes)


def boxes_of(
    outputs: Mapping[str, np.ndarray],
    spec: str | DetectorSpec | HeadSpec,
    size: tuple[int, int],
    *,
    sizes: Sequence[tuple[int, int]] | None = None,
    threshold: float | None = None,
    overlap: float | None = None,
    candidates: int | None = None,
    most: int | None = None,
) -> list[Boxes]:
    """Boxes of every image, from what a net gave; as torchvision's nets make them.

    Args:
        outputs: raw outputs by name (`scores_8`, ...), `(N, h, w, ...)`, of any neck and number of classes.
        spec: name of the net (`"retinanet"`, `"fcos"`), its `DetectorSpec` or `HeadSpec`: the head counts.
        size: `(height, width)` of the net's input in pixels.
        sizes: `(height, width)` of every image within that, from its upper left corner; boxes end there. None for the
            whole input.
        threshold: score above which there is an answer; None for that of the head.
        overlap: intersection over union above which the lower of two boxes of a class goes; None for that of the head.
        candidates: largest number of answers of a map before that; None for that of the head.
        most: largest number of answers of an image; None for that of the head.

    Returns:
        Answers of every image, in pixels of the net's input.

    Raises:
        InputError: an output is missing or of another shape, or a number is outside its range.

    Example:
        >>> import numpy as np
        >>> from keras_resnet.tasks import detection
        >>> outputs = {"scores_8": np.full((1, 4, 6, 2), -9.0, "f"), "boxes_8": np.ones((1, 4, 6, 4), "f")}
        >>> outputs["centerness_8"] = np.full((1, 4, 6, 1), 5.0, "f")
        >>> outputs["scores_8"][0, 2, 3, 1] = 5.0  # an object of class 1 at the third row and fourth column
        >>> detection.boxes_of(outputs, "fcos", (32, 48))[0].boxes.tolist()
        [[16.0, 8.0, 32.0, 24.0]]
    """
    given: dict[str, Any] = {"threshold": threshold, "overlap": overlap, "candidates": candidates, "most": most}
    head = spec if isinstance(spec, HeadSpec) else get_detector(spec).head
    head = dataclasses.replace(head, **{name: value for name, value in given.items() if value is not None})
    outputs = {name: np.asarray(value) for name, value in outputs.items()}
    count = _checked(outputs, head, size)
    sizes = [size] * count if sizes is None else list(sizes)
    if len(sizes) != count:
        raise InputError(f"sizes: expected one for each of {count} images, received {len(sizes)}")
    for each in sizes:
        _check_size("sizes", each)
    return [_of_image(outputs, n, head, size, sizes[n]) for n in range(count)]


def _checked(outputs: Mapping[str, np.ndarray], head: HeadSpec, size: tuple[int, int]) -> int:
    """The number of images; refuses what the head cannot have given."""
    _check_size("size", size)
    kinds = ("scores", "boxes", *(("centerness",) if head.centerness else ()))
    strides = _strides(outputs)
    names = [f"{kind}_{stride}" for kind in kinds for stride in strides]
    if not strides or set(names) != set(outputs):
        raise InputError(f"outputs: expected {', '.join(names or kinds)}, received {', '.join(outputs) or 'none'}")
    first = outputs[names[0]]
    classes = first.shape[-1] // head.priors if first.ndim == 4 else 0
    channels = {"scores": head.priors * classes, "boxes": head.priors * 4, "centerness": head.priors}
    for name in names:
        kind, _, stride = name.partition("_")
        grid = outputs[f"scores_{stride}"].shape[1:3]
        if outputs[name].shape != (len(first), *grid, channels[kind]) or not classes or 0 in grid:
            raise InputError(
                f"{name} is {outputs[name].shape}: expected (images, height, width, "
                f"{head.priors} x {'classes' if kind == 'scores' else channels[kind] // head.priors}), as many images, "
                "rows and columns as scores have"
            )
        if any(cells > pixels for cells, pixels in zip(grid, size, strict=True)):
            raise InputError(f"{name} is {outputs[name].shape}: more places than size={size} has pixels")
        if any(abs(cells * int(stride) - pixels) >= int(stride) for cells, pixels in zip(grid, size, strict=True)):
            seen = " x ".join(str(cells * int(stride)) for cells in grid)
            raise InputError(
                f"{name} is {outputs[name].shape}, of an input of about {seen} pixels: received size={size}"
            )
    return len(first)


def _check_size(name: str, size: Any) -> None:
    """Refuses what is no height and width; of anything else boxes would be made that end somewhere."""
    pair = isinstance(size, tuple | list) and len(size) == 2
    if not pair or not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in size):
        raise InputError(f"{name}={size!r}: expected (height, width) in pixels")


def _strides(outputs: Mapping[str, np.ndarray]) -> list[int]:
    matches = [_NAME.fullmatch(name) for name in outputs]
    return sorted({int(match[2]) for match in matches if match})


def _of_image(
    outputs: Mapping[str, np.ndarray], image: int, head: HeadSpec, size: tuple[int, int], end: tuple[int, int]
) -> Boxes:
    """Answers of one image: the best of every map, those inside it, those that are not suppressed."""
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for stride in _strides(outputs):
        logits = outputs[f"scores_{stride}"][image]
        places = outputs[f"boxes_{stride}"][image].reshape(-1, 4)
        centers = outputs[f"centerness_{stride}"][image].ravel() if head.centerness else None
        index, scores = _best(logits.reshape(len(places), -1), centers, head)
        place, label = np.divmod(index, logits.size // len(places))
        priors = prior_boxes(head, stride, logits.shape[:2], size)
        found.append((decoded(places[place].astype("f", copy=False), priors[place], head.coder), scores, label))
    boxes, scores, labels = (np.concatenate(each) for each in zip(*found, strict=True))
    boxes = clipped(boxes, end)
    kept = suppressed(boxes, scores, labels, overlap=head.overlap, most=head.most)
    return Boxes(boxes=boxes[kept], scores=scores[kept], classes=labels[kept].astype(np.int64, copy=False))


def _best(logits: np.ndarray, centers: np.ndarray | None, head: HeadSpec) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices and scores of a map's answers above the threshold, the highest ones in descending order.

    Most are far below: they are sorted out by their logits, a little below the limit, and scores are made of the rest.
    """
    least: np.ndarray | np.floating
    if centers is None:
        least = _logit(np.float64(head.threshold))
    else:
        center = _sigmoid(centers)
        with np.errstate(divide="ignore", invalid="ignore"):
            least = _logit(np.minimum(head.threshold**2 / center, 1))[:, None]
    index = np.flatnonzero(logits > (least - 1e-3).astype("f"))
    scores = _sigmoid(logits.ravel()[index])
    if centers is not None:
        scores = np.sqrt(scores * center[index // logits.shape[1]])
    above = scores > head.threshold
    index, scores = index[above], scores[above]
    if len(scores) > head.candidates:
        best = np.argpartition(-scores, head.candidates - 1)[: head.candidates]
        best.sort()
        index, scores = index[best], scores[best]
    order = np.argsort(-scores, kind="stable")
    return index[order], scores[order]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x.astype("f", copy=False)))


def _logit(p):
    with np.errstate(divide="ignore"):
        return np.log(p) - np.log1p(-p)
