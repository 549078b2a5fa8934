"""Feature pyramids: maps of a backbone joined from the deepest upwards, and further ones beyond it; each is a row.

A level is the logarithm of its stride: level 3 has stride 8. Layer names are a contract, as the backbone's:
`fpn_p3_lateral_conv`, `fpn_p3_conv`, `fpn_p6_conv`, ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.nets.blocks import Primitives
from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.segmentation import resized

FPN = "Lin et al. 2016, Feature Pyramid Networks for Object Detection, arXiv:1612.03144"


@dataclass(frozen=True, kw_only=True)
class PyramidSpec:
    """One feature pyramid.

    Attributes:
        name: lower case; the name under which `detector` knows it.
        levels: levels of the backbone's maps that are joined, ascending and without a gap.
        width: channels of every map.
        extra: number of levels beyond those.
        source: row of `SOURCES`: what the levels beyond are made from.
        norm: whether every convolution of the joined levels has a batch norm, and no bias.
        paper: where it was published.

    Raises:
        InputError: a field is outside its table or range.
    """

    name: str
    levels: tuple[int, ...] = (3, 4, 5)
    width: int = 256
    extra: int = 2
    source: str = "output"
    norm: bool = False
    paper: str = FPN

    def __post_init__(self) -> None:
        """Refuses illegal specs where they are declared."""
        if self.source not in SOURCES:
            raise unknown_name("source of extra levels", str(self.source), SOURCES)
        if not isinstance(self.levels, tuple | list):
            raise InputError(f"illegal spec '{self.name}': levels={self.levels!r}, expected levels like (3, 4, 5)")
        levels = tuple(self.levels)
        object.__setattr__(self, "levels", levels)
        whole = all(isinstance(each, int) and not isinstance(each, bool) for each in (*levels, self.width, self.extra))
        if not whole or not levels or levels != tuple(range(levels[0], levels[0] + len(levels))) or levels[0] < 0:
            raise InputError(f"illegal spec '{self.name}': levels={levels}, expected levels like (3, 4, 5)")
        if self.width < 1 or self.extra < 0:
            raise InputError(
                f"illegal spec '{self.name}': width={self.width}, extra={self.extra}, expected whole numbers from 1 "
                "and from 0"
            )

    @property
    def all_levels(self) -> tuple[int, ...]:
        """Levels of all maps, those beyond the backbone among them."""
        return tuple(range(self.levels[0], self.levels[-1] + self.extra + 1))

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of all maps, ascending."""
        return tuple(2**level for level in self.all_levels)


def pyramid(p: Primitives, taps: Mapping[int, Any], spec: PyramidSpec) -> dict[int, Any]:
    """Joins maps of a backbone: 1x1 convolutions, added to the deeper map at twice its size, and 3x3 ones.

    Args:
        p: maker of layers.
        taps: maps of the backbone by stride (`stage_taps`), `(N, height / stride, width / stride, channels)`; sizes
            must be halves of each other.
        spec: spec of the pyramid.

    Returns:
        Maps by stride, ascending, each with `spec.width` channels.

    Raises:
        InputError: the backbone has no map at a stride, or a size is not twice that of the next.
    """
    p = replace(p, convention=_CONVENTION)
    missing = [2**level for level in spec.levels if 2**level not in taps]
    if missing:
        raise InputError(
            f"{spec.name} joins maps at strides {_listed(2**level for level in spec.levels)}; the backbone has them at "
            f"{_listed(taps)}: take another backbone, or a PyramidSpec with other levels"
        )
    made = partial(_normalised, replace(p, convention=CONVENTIONS["torch"])) if spec.norm else p.conv
    found: dict[int, Any] = {}
    joined: Any = None
    for level in reversed(spec.levels):
        x = made(taps[2**level], spec.width, 1, f"fpn_p{level}_lateral")
        if joined is not None:
            size = tuple(x.shape[1:-1])
            if None in size or size != tuple(2 * each for each in joined.shape[1:-1]):
                raise InputError(
                    f"{spec.name}: the map at stride {2**level} is {size}, not twice {joined.shape[1:-1]}; the input's "
                    f"height and width must be divisible by {2 ** spec.levels[-1]}"
                )
            x = p.layer("Add", f"fpn_p{level}_add")([x, resized(p, joined, size, f"fpn_p{level}_resize", "nearest")])
        joined = x
        found[2**level] = made(x, spec.width, 3, f"fpn_p{level}")
    deepest = 2 ** spec.levels[-1]
    x = SOURCES[spec.source].first(taps, found, deepest)
    for level in range(spec.levels[-1] + 1, spec.levels[-1] + spec.extra + 1):
        found[2**level] = x = SOURCES[spec.source].next(p, x, spec.width, level, spec.levels[-1] + 1)
    return dict(sorted(found.items()))


def _normalised(p: Primitives, x: Any, filters: int, kernel: int, name: str) -> Any:
    return p.norm(p.conv(x, filters, kernel, name), name)


def _listed(strides) -> str:
    return ", ".join(map(str, strides))


def _strided(p: Primitives, x: Any, width: int, level: int, first: int) -> Any:
    """A 3x3 convolution with stride 2 and zeros on every side, behind a ReLU but for the first."""
    x = x if level == first else p.relu(x, f"fpn_p{level - 1}_relu")
    return p.conv(x, width, 3, f"fpn_p{level}", stride=2)


def _subsampled(p: Primitives, x: Any, width: int, level: int, first: int) -> Any:
    del width, first
    return p.subsample(x, 2, f"fpn_p{level}_pool")


@dataclass(frozen=True, kw_only=True)
class Source:
    """How levels beyond the backbone are made.

    Attributes:
        first: function of the backbone's maps, the pyramid's and the deepest stride; gives the map to start from.
        next: function of a maker of layers, the map before, width, level and first such level; gives the level's map.
    """

    first: Callable[[Mapping[int, Any], Mapping[int, Any], int], Any]
    next: Callable[[Primitives, Any, int, int, int], Any]


SOURCES: dict[str, Source] = {
    "output": Source(first=lambda taps, found, deepest: found[deepest], next=_strided),  # P5
    "backbone": Source(first=lambda taps, found, deepest: taps[deepest], next=_strided),  # C5
    "pool": Source(first=lambda taps, found, deepest: found[deepest], next=_subsampled),  # every second value of P5
}

# Biases without norms, strides with zeros on every side, kernels from PyTorch's kaiming_uniform with a=1.
_CONVENTION = replace(
    CONVENTIONS["torch"],
    conv_bias="all",
    initializer=("VarianceScaling", (("scale", 1.0), ("mode", "fan_in"), ("distribution", "uniform"))),
)

_ROWS = (
    PyramidSpec(name="fpn"),  # P3 to P7: RetinaNet's and FCOS'
    PyramidSpec(name="fpn_c5", source="backbone"),
    PyramidSpec(name="fpn_pool", levels=(2, 3, 4, 5), extra=1, source="pool"),  # P2 to P6: two stages
    PyramidSpec(name="light", width=128, extra=0, norm=True),
)
PYRAMIDS: dict[str, PyramidSpec] = {row.name: row for row in _ROWS}


def get_pyramid(name_or_spec: str | PyramidSpec) -> PyramidSpec:
    """Returns a row of `PYRAMIDS`, or the spec itself.

    Raises:
        InputError: there is none of that name.
    """
    if isinstance(name_or_spec, PyramidSpec):
        return name_or_spec
    if not isinstance(name_or_spec, str) or name_or_spec not in PYRAMIDS:
        raise unknown_name("pyramid", str(name_or_spec), PYRAMIDS)
    return PYRAMIDS[name_or_spec]
