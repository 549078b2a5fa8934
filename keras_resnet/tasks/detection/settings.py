"""What the head of a detector is told: by a recipe, and by the data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_resnet import ranges
from keras_resnet.errors import InputError
from keras_resnet.tasks.cards import TRAINING
from keras_resnet.tasks.interface import Output

if TYPE_CHECKING:
    from keras_resnet.data.dataset import Dataset
    from keras_resnet.nets.detection import DetectorSpec, HeadSpec
    from keras_resnet.nets.interface import ResNetSpec

TRUTH, FRAME = "boxes", "frame"
RAW, DECODED, SUPPRESSED = FORMS = ("raw", "decoded", "nms")  # of files; see `Facts.form`
DENSE = "dense"  # the one output of a net while it learns: for every prior box scores, then a box, then centerness
ONE_SIZE = True  # prior boxes are laid out for one size
IN_PLACES = True  # answers are places in a picture, whatever part of it the net saw
MOST_NAMES, MOST_BOXES, LARGEST_STRIDE = 10_000, 10_000, 1 << 15
DETECTOR_NAMES = ("realtime", "retinanet", "fcos")
NECK_NAMES = ("", "fpn", "fpn_c5", "fpn_pool", "light")
ASSIGNERS = ("", "aligned", "atss", "overlap", "center")
CANDIDATES = 9  # ATSS' own


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The section `head` of a detection recipe.

    Attributes:
        detector: row of `nets.detection.DETECTORS`: `"realtime"`, `"retinanet"` or `"fcos"`.
        neck: row of `nets.pyramids.PYRAMIDS`; empty for the detector's own.
        width: channels of the pyramid and of the towers; 0 for the neck's own.
        assigner: which prior boxes learn an object (`tasks.detection.assigning.ASSIGNERS`): `"aligned"`, `"atss"`,
            `"overlap"` or `"center"`; empty for the detector's own.
        candidates: largest number of prior boxes that learn one object, of `"aligned"`, and of a map of `"atss"`.
        box_weight: weight of the boxes' loss beside that of the scores; 0 for the detector's own.
        threshold: score from which an app shows a box; an evaluation takes far lower ones.
    """

    detector: str = ranges.one_of(DETECTOR_NAMES, "realtime")
    neck: str = ranges.one_of(NECK_NAMES, "")
    width: int = ranges.at_least_0(0)
    assigner: str = ranges.one_of(ASSIGNERS, "")
    candidates: int = ranges.positive(CANDIDATES)
    box_weight: float = ranges.at_least_0(0.0)
    threshold: float = ranges.rate(0.3)

    def problems(self) -> Iterator[str]:
        """Settings that contradict each other, in words."""
        from keras_resnet.tasks.detection.schemes import scheme_of

        assigner = scheme_of(self).assigner
        if self.candidates != CANDIDATES and assigner in ("overlap", "center"):
            yield f"candidates goes with assigner=aligned or atss, not {assigner}"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What makes boxes of a detector's raw numbers, and what of them counts.

    Attributes:
        names: names of the classes, which have no background among them.
        ids: the data set's own numbers of the classes; empty where it has none.
        strides: strides of the maps, ascending.
        coder: row of `boxes.CODERS`: `"deltas"` or `"distances"`.
        sizes: sides of the square prior boxes of a place, in strides.
        ratios: heights of the prior boxes divided by their widths.
        offset: where in a cell the prior boxes' centre is, 0 for its corner, 0.5 for its middle.
        centerness: whether there are outputs `centerness_S`, which scores are multiplied with, and the root taken.
        floor: score above which an evaluation counts an answer.
        threshold: score from which an app shows one.
        overlap: intersection over union above which the lower of two boxes of a class goes.
        candidates: largest number of answers of a map before that.
        most: largest number of answers of an image.
        form: what a file gives: `""` or `"raw"`, the net's own outputs; `"decoded"`: `boxes` `(n, N, 4)`, x1, y1, x2,
            y2 in 0..1 of the net's input, and `scores` `(n, N, classes)` after the sigmoid; `"nms"`: `boxes`,
            `classes`, `scores`, `count`, padded with 0. On the card of a file that has one.
        size: height and width of the inputs in pixels: of a training, and on the card of a file that has a form.
    """

    names: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    strides: tuple[int, ...] = (8, 16, 32)
    coder: str = "distances"
    sizes: tuple[float, ...] = (1.0,)
    ratios: tuple[float, ...] = (1.0,)
    offset: float = 0.5
    centerness: bool = False
    floor: float = 0.05
    threshold: float = 0.3
    overlap: float = 0.6
    candidates: int = 1000
    most: int = 100
    form: str = dataclasses.field(default="", metadata=TRAINING)
    size: tuple[int, ...] = dataclasses.field(default=(), metadata=TRAINING)

    def __post_init__(self) -> None:
        """Refuses what a damaged card may hold."""
        if not _is_list(self.names, MOST_NAMES) or not all(isinstance(name, str) for name in self.names):
            raise ValueError(f"names={self.names!r:.80}, expected a list of names")
        if not _is_list(self.ids, MOST_NAMES) or not all(type(each) is int for each in self.ids):
            raise ValueError(f"ids={self.ids!r:.80}, expected whole numbers, one for every class, or none")
        if len(self.ids) not in (0, len(self.names)):
            raise ValueError(f"ids={self.ids!r:.80}, expected one for every class, or none")
        whole = _is_list(self.strides, 16) and all(type(s) is int and 1 <= s <= LARGEST_STRIDE for s in self.strides)
        if not whole or not self.strides or list(self.strides) != sorted(set(self.strides)):
            raise ValueError(f"strides={self.strides!r:.80}, expected whole numbers, ascending")
        for name in ("sizes", "ratios"):
            values = getattr(self, name)
            if not _is_list(values, 64) or not values or not all(_is_number(each, 1e-3, 1e3) for each in values):
                raise ValueError(f"{name}={values!r:.80}, expected numbers above 0")
        for name in ("offset", "floor", "threshold", "overlap"):
            if not _is_number(getattr(self, name), 0.0, 1.0):
                raise ValueError(f"{name}={getattr(self, name)!r:.80}, expected a number from 0 to 1")
        for name, most in (("candidates", 100 * MOST_BOXES), ("most", MOST_BOXES)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"{name}={value!r:.80}, expected a whole number from 1 to {most}")
        if self.coder not in ("deltas", "distances") or not isinstance(self.centerness, bool):
            raise ValueError(f"coder={self.coder!r:.80}, expected deltas or distances; centerness true or false")
        if not _is_list(self.size, 2) or not all(type(each) is int and each > 0 for each in self.size):
            raise ValueError(f"size={self.size!r:.80}, expected height and width, or none")
        if self.form not in ("", *FORMS):
            raise ValueError(f"form={self.form!r:.80}, expected one of {', '.join(FORMS)}")


def _is_list(values: object, most: int) -> bool:
    return isinstance(values, list | tuple) and len(values) <= most


def _is_number(value: object, low: float, high: float) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and low <= value <= high  # type: ignore[arg-type, operator]


def spec_of(settings: Settings) -> DetectorSpec:
    """The row of the detector with the changes of a recipe.

    Args:
        settings: head of the recipe.
    """
    from keras_resnet.nets.detection import get_detector
    from keras_resnet.nets.pyramids import get_pyramid

    row = get_detector(settings.detector)
    neck = get_pyramid(settings.neck) if settings.neck else row.neck
    return dataclasses.replace(row, neck=dataclasses.replace(neck, width=settings.width or neck.width))


def head_of(facts: Facts) -> HeadSpec:
    """What `decode` must know of a head, from a card.

    Args:
        facts: facts of the card.
    """
    from keras_resnet.nets.detection import HeadSpec

    same = ("coder", "offset", "centerness", "overlap", "candidates", "most")
    own = {name: getattr(facts, name) for name in same}
    return HeadSpec(
        name="card", sizes=tuple(facts.sizes), ratios=tuple(facts.ratios), threshold=facts.floor, shared=False, **own
    )


def facts(dataset: Dataset, settings: Settings) -> Facts:
    """The facts of a training set.

    Args:
        dataset: training set with boxes and the names of their classes.
        settings: head of the recipe.

    Raises:
        InputError: the data have no names of classes.
    """
    if not dataset.classes:
        raise InputError(f"{dataset.name} has no names of classes: expected those of its boxes")
    spec = spec_of(settings)
    same = ("coder", "sizes", "ratios", "offset", "centerness", "overlap", "candidates", "most")
    own: dict[str, Any] = {name: getattr(spec.head, name) for name in same}
    return Facts(
        names=tuple(dataset.classes),
        ids=tuple(getattr(dataset, "ids", ())),
        strides=spec.neck.strides,
        floor=spec.head.threshold,
        threshold=settings.threshold,
        size=tuple(getattr(dataset.train, "shape", dataset.shape)[:-1]),
        **own,
    )


def outputs(facts: Facts) -> tuple[Output, ...]:
    """The raw outputs of every map, or what the form has in their place."""
    if facts.form == DECODED:
        return (
            Output("boxes", ("n", "boxes", "4"), (0.0, 1.0), floating=True),
            Output("scores", ("n", "boxes", "classes"), (0.0, 1.0), floating=True),
        )
    if facts.form == SUPPRESSED:
        answers = {"boxes": ("n", "boxes", "4"), "classes": ("n", "boxes"), "scores": ("n", "boxes"), "count": ("n",)}
        return tuple(Output(name, axes, floating=True, ordered=False) for name, axes in answers.items())
    kinds = ("scores", "boxes", *(("centerness",) if facts.centerness else ()))
    return tuple(
        Output(f"{kind}_{stride}", ("n", "height", "width", "numbers")) for kind in kinds for stride in facts.strides
    )


def backbone(spec: ResNetSpec, settings: Settings) -> dict[str, Any]:
    """Arguments of `build` that the head needs: none.

    Args:
        spec: variant of the backbone.
        settings: head of the recipe.
    """
    del spec, settings
    return {}
