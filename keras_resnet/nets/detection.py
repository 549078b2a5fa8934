"""Detection nets: a backbone, a feature pyramid, and a head that is shared by all of its maps; each is a row.

Raw outputs have names that are a contract: `scores_8` are logits `(N, h, w, priors * classes)` of the map at stride 8,
`boxes_8` are `(N, h, w, priors * 4)`, `centerness_8` logits `(N, h, w, priors)` where the head has them. What they mean
in pixels is `keras_resnet.tasks.detection`'s: the net knows no box.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.nets.blocks import Primitives
from keras_resnet.nets.pyramids import PYRAMIDS, PyramidSpec

RETINANET = "Lin et al. 2017, Focal Loss for Dense Object Detection, arXiv:1708.02002"
FCOS = "Tian et al. 2019, FCOS: Fully Convolutional One-Stage Object Detection, arXiv:1904.01355"

GFL = "Li et al. 2020, Generalized Focal Loss, arXiv:2006.04388"  # its scores; the assignment is TOOD's (2108.07755)

COCO = 91  # torchvision's outputs: one for each id of COCO, 0 among them, which is no class
PRIOR = 0.01  # score of every class at the start of a training
CODERS = ("deltas", "distances")
NORMS = ("none", "group", "batch")


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """One head: two towers of convolutions on every map of a pyramid, and how their numbers become boxes.

    Attributes:
        name: name of the row of `HEADS`.
        coder: `"deltas"` to the centre and the logarithm of the size of a prior box, or `"distances"` from its centre
            to the four sides, in units of its size.
        sizes: sides of the square prior boxes of a place, in strides; made whole pixels downwards.
        ratios: heights of the prior boxes divided by their widths; every one goes with every size.
        depth: number of 3x3 convolutions of a tower, each as wide as the pyramid.
        norm: `"none"`, `"group"` or `"batch"`, behind these convolutions.
        tower_bias: whether these have biases.
        offset: where in its cell the centre of prior boxes lies, from its corner (0) to the opposite one (1).
        start: what boxes' outputs are near when a training begins.
        shared: whether all maps have the same towers, which a batch norm does not go with: maps differ in their means.
        centerness: whether the tower of boxes also says how central a place is in its object.
        threshold: least score of an answer in an evaluation.
        candidates: largest number of answers of a map before suppression.
        overlap: intersection over union above which the lower of two boxes of a class is suppressed.
        most: largest number of answers of an image.

    Raises:
        InputError: a field is outside its table or range.
    """

    name: str
    coder: str = "deltas"
    sizes: tuple[float, ...] = (4.0,)
    ratios: tuple[float, ...] = (1.0,)
    depth: int = 4
    norm: str = "none"
    tower_bias: bool = True
    offset: float = 0.0
    start: float = 0.0
    shared: bool = True
    centerness: bool = False
    threshold: float = 0.05
    candidates: int = 1000
    overlap: float = 0.5
    most: int = 300

    def __post_init__(self) -> None:
        """Refuses illegal specs where they are declared."""
        for field, table in (("coder", CODERS), ("norm", NORMS)):
            if getattr(self, field) not in table:
                raise unknown_name(field, str(getattr(self, field)), table)
        for field in ("sizes", "ratios"):
            values = tuple(getattr(self, field))
            object.__setattr__(self, field, values)
            if not values or not all(_is_number(each) and 0 < each < math.inf for each in values):
                raise InputError(f"illegal head '{self.name}': {field}={values}, expected numbers above 0")
        for field, least in (("depth", 0), ("candidates", 1), ("most", 1)):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"illegal head '{self.name}': {field}={value!r}, expected a whole number from {least}")
        for field in ("offset", "threshold", "overlap"):
            value = getattr(self, field)
            if not _is_number(value) or not 0 <= value <= 1:
                raise InputError(f"illegal head '{self.name}': {field}={value!r}, expected a number from 0 to 1")

        if self.shared and self.norm == "batch":
            raise InputError(f"illegal head '{self.name}': norm='batch' goes with shared=False, a tower for every map")

    @property
    def priors(self) -> int:
        """Number of prior boxes of a place."""
        return len(self.sizes) * len(self.ratios)


@dataclass(frozen=True, kw_only=True)
class DetectorSpec:
    """One detection net.

    Attributes:
        name: lower case; the name under which `detector` knows the net.
        neck: what joins maps of the backbone.
        head: what answers.
        backbone: name of a variant (`list_models()`), the default; None where the net goes with any.
        classes: number of classes of the published net.
        default_size: pixels of a side of the usual input.
        paper: where the net was published.

    Raises:
        InputError: the number of classes is none.
    """

    name: str
    neck: PyramidSpec
    head: HeadSpec
    backbone: str | None = None
    classes: int = COCO
    default_size: int = 800
    paper: str = RETINANET

    def __post_init__(self) -> None:
        """Refuses illegal specs where they are declared."""
        for field, kind in (("neck", PyramidSpec), ("head", HeadSpec)):
            if not isinstance(getattr(self, field), kind):
                raise InputError(f"{self.name}: {field}={getattr(self, field)!r:.80}, expected a {kind.__name__}")
        if not isinstance(self.classes, int) or isinstance(self.classes, bool) or self.classes < 1:
            raise InputError(f"{self.name}: classes={self.classes!r}, expected a whole number from 1")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the raw outputs: `scores_8`, ..., then `boxes_8`, ..., then `centerness_8`, ... ."""
        kinds = ("scores", "boxes", *(("centerness",) if self.head.centerness else ()))
        return tuple(f"{kind}_{stride}" for kind in kinds for stride in self.neck.strides)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def heads(p: Primitives, maps: Mapping[int, Any], spec: DetectorSpec) -> dict[str, Any]:
    """Runs both towers over all maps with the same layers.

    Args:
        p: maker of layers.
        maps: maps of the pyramid by stride.
        spec: spec of the net.

    Returns:
        Raw outputs by the names of `spec.outputs`, float32 whatever the policy is.
    """
    head, found = spec.head, {}
    parts: _Parts | None = None
    # A distance is no less than zero.
    how = "relu" if head.coder == "distances" else "linear"
    for stride, x in maps.items():
        if parts is None or not head.shared:
            parts = _Parts.of(p, spec, "" if head.shared else f"_{stride}")
        located = _through(parts.boxes, x)
        found[f"scores_{stride}"] = _named(p, f"scores_{stride}", parts.classify(_through(parts.scores, x)))
        found[f"boxes_{stride}"] = _named(p, f"boxes_{stride}", parts.locate(located), how)
        if parts.center is not None:
            found[f"centerness_{stride}"] = _named(p, f"centerness_{stride}", parts.center(located))
    return {name: found[name] for name in spec.outputs}


@dataclass(frozen=True)
class _Parts:
    """The layers of both towers: of all maps, or of one."""

    scores: list[Any]
    boxes: list[Any]
    classify: Any
    locate: Any
    center: Any

    @classmethod
    def of(cls, p: Primitives, spec: DetectorSpec, place: str = "") -> _Parts:
        """Makes them; `place` is what names of layers end in that one map has."""
        head = spec.head
        return cls(
            _tower(p, spec, f"scores{place}"),
            _tower(p, spec, f"boxes{place}"),
            _last(p, f"scores{place}", head.priors * spec.classes, bias=-math.log((1 - PRIOR) / PRIOR)),
            _last(p, f"boxes{place}", head.priors * 4, bias=head.start),
            _last(p, f"centerness{place}", head.priors) if head.centerness else None,
        )


def _tower(p: Primitives, spec: DetectorSpec, kind: str) -> list[Any]:
    layers, head, width = [], spec.head, spec.neck.width
    for number in range(1, head.depth + 1):
        name = f"{kind}_tower_{number}"
        if head.norm == "batch":  # as wide a start as the backbone's: the norm sets the scale
            layers.append(p.layer("ConvND", f"{name}_conv", width, 3, padding="same", use_bias=head.tower_bias))
            layers.append(partial(p.norm, name=name))
        else:
            layers.append(_convolution(p, f"{name}_conv", width, use_bias=head.tower_bias))
        if head.norm == "group":
            groups = math.gcd(64, width) // 2 or 1  # 32 of 256 channels, as `Primitives.norm`
            layers.append(p.layer("GroupNormalization", f"{name}_bn", groups=groups, epsilon=1e-5))
        layers.append(p.layer("Activation", f"{name}_relu", p.options.activation))
    return layers


def _through(layers: list[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


def _convolution(p: Primitives, name: str, filters: int, **how: Any) -> Any:
    normal = p.keras.initializers.RandomNormal(stddev=0.01)
    return p.layer("ConvND", name, filters, 3, padding="same", kernel_initializer=normal, **how)


def _last(p: Primitives, kind: str, filters: int, bias: float = 0.0) -> Any:
    start = p.keras.initializers.Constant(bias)
    return _convolution(p, f"{kind}_conv", filters, bias_initializer=start, dtype="float32")


def _named(p: Primitives, name: str, x: Any, how: str = "linear") -> Any:
    return p.layer("Activation", name, how, dtype="float32")(x)


_octaves = (4.0, 4 * 2 ** (1 / 3), 4 * 2 ** (2 / 3))
_retinanet = HeadSpec(name="retinanet", sizes=_octaves, ratios=(0.5, 1.0, 2.0))
HEADS: dict[str, HeadSpec] = {
    "retinanet": _retinanet,
    "retinanet_group": replace(_retinanet, name="retinanet_group", norm="group", tower_bias=False),
    "fcos": HeadSpec(
        name="fcos",
        coder="distances",
        sizes=(1.0,),
        norm="group",
        centerness=True,
        threshold=0.2,
        overlap=0.6,
        most=100,
    ),
    "realtime": HeadSpec(
        name="realtime",
        coder="distances",
        sizes=(1.0,),
        depth=2,
        norm="batch",
        tower_bias=False,
        offset=0.5,
        start=2.0,
        shared=False,
        overlap=0.6,
        most=100,
    ),
}

_retinanet_row = DetectorSpec(name="retinanet", neck=PYRAMIDS["fpn"], head=HEADS["retinanet"])
_fcos_row = DetectorSpec(name="fcos", neck=PYRAMIDS["fpn"], head=HEADS["fcos"], paper=FCOS)
_realtime_row = DetectorSpec(
    name="realtime", neck=PYRAMIDS["light"], head=HEADS["realtime"], classes=80, default_size=320, paper=GFL
)
_ROWS = (
    _retinanet_row,
    replace(_retinanet_row, name="retinanet_r50_fpn", backbone="resnet50_v1_5"),
    replace(
        _retinanet_row,
        name="retinanet_r50_fpn_v2",
        backbone="resnet50_v1_5",
        neck=PYRAMIDS["fpn_c5"],
        head=HEADS["retinanet_group"],
    ),
    _fcos_row,
    replace(_fcos_row, name="fcos_r50_fpn", backbone="resnet50_v1_5"),
    _realtime_row,
)
DETECTORS: dict[str, DetectorSpec] = {row.name: row for row in _ROWS}


def get_detector(name_or_spec: str | DetectorSpec) -> DetectorSpec:
    """Returns a row of `DETECTORS`, or the spec itself.

    Raises:
        InputError: there is none of that name.
    """
    if isinstance(name_or_spec, DetectorSpec):
        return name_or_spec
    if name_or_spec not in DETECTORS:
        raise unknown_name("detection net", str(name_or_spec), DETECTORS)
    return DETECTORS[name_or_spec]
