"""The table of published variants: one row per net, a row is a difference.

A `ResNetSpec` holds what distinguishes one net from another; everything that follows from it (channels, strides,
the positions of the projections) is derived. Illegal combinations are refused when the spec is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.nets.conventions import CONVENTIONS, Convention

__all__ = [
    "BLOCKS",
    "CONVENTIONS",
    "SHORTCUTS",
    "SPECS",
    "STEMS",
    "BlockSpec",
    "Convention",
    "ResNetSpec",
    "StemSpec",
    "get_spec",
    "list_models",
]
HE2015 = "He et al. 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385"
HE2016 = "He et al. 2016, Identity Mappings in Deep Residual Networks, arXiv:1603.05027"
RESNEXT = "Xie et al. 2016, Aggregated Residual Transformations for Deep Neural Networks, arXiv:1611.05431"
WIDE = "Zagoruyko and Komodakis 2016, Wide Residual Networks, arXiv:1605.07146"
SE = "Hu et al. 2017, Squeeze-and-Excitation Networks, arXiv:1709.01507"
BAG_OF_TRICKS = "He et al. 2018, Bag of Tricks for Image Classification, arXiv:1812.01187"
RESNET_RS = "Bello et al. 2021, Revisiting ResNets: Improved Training and Scaling Strategies, arXiv:2103.07579"
MLPERF_TINY = "Banbury et al. 2021, MLPerf Tiny Benchmark, arXiv:2106.07597"


@dataclass(frozen=True, kw_only=True)
class StemSpec:
    """Stride and default input size that come with a stem; the layers are in `blocks.py`.

    `widths` are the channels of the 3x3 convolutions before the last one of a deep stem.
    """

    stride: int
    default_size: int
    widths: tuple[int, ...] = ()


STEMS: dict[str, StemSpec] = {
    "imagenet": StemSpec(stride=4, default_size=224),  # 7x7/2 convolution, 3x3/2 max pool
    "deep": StemSpec(stride=4, default_size=224, widths=(32, 32)),  # three 3x3 convolutions in place of the 7x7
    "tiered": StemSpec(stride=4, default_size=224, widths=(24, 32)),  # timm's "t"
    "rs": StemSpec(stride=4, default_size=224, widths=(32, 32)),  # deep; a strided convolution in place of the max pool
    "cifar": StemSpec(stride=1, default_size=32),  # 3x3 convolution
}
BLOCKS: dict[str, int] = {"basic": 1, "bottleneck": 4}  # name: expansion
# A: zero-padded identity; B: projection where the shape changes; C: projection in every block; D: B with an average
# pool in place of the stride; none: a plain net.
SHORTCUTS = ("A", "B", "C", "D", "none")


@dataclass(frozen=True)
class BlockSpec:
    """One block's place in a net; derived from the spec, never stored.

    Attributes:
        name: `conv{stage}_block{index}`, as in keras.applications.
        filters: width of its body.
        stride: 1 or 2.
        dilation: of the convolutions up to and with the one that strides, or would without dilation.
        later_dilation: of those behind it: twice as much where a stride became a dilation.
        depth: its position, from above 0 to 1 for the last block.
    """

    name: str
    filters: int
    stride: int
    dilation: int
    later_dilation: int
    depth: float


@dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """One residual network.

    Attributes:
        name: lower case; the name under which `build` and the commands know the net, and the model's name.
        block: `"basic"` (two 3x3 convolutions) or `"bottleneck"` (1x1, 3x3, 1x1).
        depths: blocks per stage.
        convention: row of `CONVENTIONS`.
        stem: row of `STEMS`.
        width: channels of the first stage, doubled with every stage; a bottleneck's output has four times as many.
        shortcut: `"A"`, `"B"` or `"C"`, the paper's options; `"D"`, projection after an average pool; `"none"` for a
            plain net.
        preactivation: norm and ReLU come before the convolutions and the sum stays bare (v2).
        stem_width: channels of the stem; by default the first stage's.
        cardinality: groups of a bottleneck's 3x3 convolution (ResNeXt's C).
        group_width: channels of one group in the first stage (ResNeXt's d); 64 in one group is the plain bottleneck.
        se_ratio: channels of a squeeze-and-excitation module's waist divided by the block's; 0 for none.
        classes: of the published net, the default of the head.
        paper: where the net was published.

    Raises:
        InputError: a field is outside its table, or the combination is no residual network.

    Example:
        >>> from keras_resnet import ResNetSpec, build
        >>> spec = ResNetSpec(name="mini", block="basic", depths=(1, 1), stem="cifar", width=8, classes=10)
        >>> model = build(spec)
    """

    name: str
    block: str
    depths: tuple[int, ...]
    convention: str = "torch"
    stem: str = "imagenet"
    width: int = 64
    shortcut: str = "B"
    preactivation: bool = False
    stem_width: int | None = None
    cardinality: int = 1
    group_width: int = 64
    se_ratio: float = 0.0
    classes: int = 1000
    paper: str = HE2015

    def __post_init__(self) -> None:
        """Refuses illegal specs where they are declared."""
        for field, table in (
            ("block", BLOCKS),
            ("convention", CONVENTIONS),
            ("stem", STEMS),
            ("shortcut", SHORTCUTS),
        ):
            if getattr(self, field) not in table:
                raise InputError(
                    f"illegal spec '{self.name}': {field}={getattr(self, field)!r}, expected one of {sorted(table)}"
                )
        object.__setattr__(self, "depths", self._checked_depths())
        for field in ("width", "classes", "cardinality", "group_width"):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"illegal spec '{self.name}': {field}={value!r}, expected a whole number from 1")
        if not self.name or self.name != self.name.lower() or "/" in self.name:
            raise InputError(f"illegal spec name {self.name!r}: expected lower case without '/', like 'resnet50'")
        if CONVENTIONS[self.convention].stride_in_last_block and not self.preactivation:
            raise InputError(
                f"illegal spec '{self.name}': convention='{self.convention}' strides in the last block of a "
                "stage, which goes with preactivation=True only"
            )
        if self.preactivation and (self.se_ratio or self.shortcut == "none" or self.stem not in ("imagenet", "cifar")):
            raise InputError(
                f"illegal spec '{self.name}': preactivation goes with the stems 'imagenet' and 'cifar', with a "
                "shortcut, and without squeeze and excitation"
            )
        if not 0 <= self.se_ratio <= 1:
            raise InputError(f"illegal spec '{self.name}': se_ratio={self.se_ratio!r}, expected 0 to 1")
        if (self.cardinality, self.group_width) != (1, 64) and self.block != "bottleneck":
            raise InputError(
                f"illegal spec '{self.name}': cardinality and group_width are those of a bottleneck's 3x3 convolution; "
                "a basic block has none"
            )
        if self.shortcut == "A" and self.block != "basic":
            # Table 3 of the paper defines option A for the basic nets; a bottleneck's first stage would need
            # four copies of zeros beside its input and no weight file has that.
            raise InputError(f"illegal spec '{self.name}': shortcut='A' goes with block='basic' only; use shortcut='B'")

    def _checked_depths(self) -> tuple[int, ...]:
        try:
            depths = tuple(self.depths)
        except TypeError:
            depths = ()
        if not 1 <= len(depths) <= 8 or any(not isinstance(d, int) or isinstance(d, bool) or d < 1 for d in depths):
            raise InputError(
                f"illegal spec '{self.name}': depths={self.depths!r}, expected the blocks of 1 to 8 stages, "
                "each a whole number from 1, like (3, 4, 6, 3)"
            )
        return depths

    @property
    def expansion(self) -> int:
        """Output channels of a block divided by its width."""
        return BLOCKS[self.block]

    @property
    def stem_channels(self) -> int:
        """Channels that the stem gives to the first block."""
        return self.width if self.stem_width is None else self.stem_width

    def blocks(self, dilated: Sequence[bool] = ()) -> Iterator[BlockSpec]:
        """The blocks in order.

        Args:
            dilated: for each stride of the stages, whether a dilation takes its place; by default none. The values at
                the positions that the strided net has are the same, so its weights fit (squeeze and excitation
                averages over more positions; option D's pool has no dilation).
        """
        flags = iter(dilated or (False,) * len(self.depths))
        dilation, number = 1, 0
        for stage, depth in enumerate(self.depths):
            for block in range(depth):
                number += 1
                stride, before = self._stride(stage, block), dilation
                if stride > 1 and next(flags):
                    stride, dilation = 1, dilation * stride
                name = f"conv{stage + 2}_block{block + 1}"
                yield BlockSpec(name, self.width * 2**stage, stride, before, dilation, number / sum(self.depths))

    def _stride(self, stage: int, block: int) -> int:
        if CONVENTIONS[self.convention].stride_in_last_block:
            return 2 if block == self.depths[stage] - 1 and stage < len(self.depths) - 1 else 1
        return 2 if stage > 0 and block == 0 else 1

    def inner_width(self, filters: int) -> int:
        """Channels of a bottleneck's 3x3 convolution in a stage of `filters`."""
        return filters * self.group_width // 64 * self.cardinality

    def final_stride(self, dilated: Sequence[bool] = ()) -> int:
        """Input size divided by the size of the last stage; the smallest input that the net accepts.

        Args:
            dilated: as in `blocks`.
        """
        return STEMS[self.stem].stride * 2 ** (len(self.depths) - 1 - sum(dilated))

    @property
    def default_size(self) -> int:
        """Height and width of the input that the net was published with, in pixels."""
        return STEMS[self.stem].default_size


def _imagenet_rows() -> list[ResNetSpec]:
    basic = ResNetSpec(name="basic", block="basic", depths=(2, 2, 2, 2))
    keras = ResNetSpec(name="keras", block="bottleneck", depths=(3, 4, 6, 3), convention="keras")
    torch = replace(keras, convention="torch")
    resnext = replace(torch, paper=RESNEXT)
    wide = replace(torch, paper=WIDE, group_width=128)
    return [
        replace(basic, name="resnet18"),
        replace(basic, name="resnet34", depths=_34),
        replace(keras, name="resnet50"),
        replace(keras, name="resnet101", depths=_101),
        replace(keras, name="resnet152", depths=_152),
        # The paper's other shortcuts, and its plain nets.
        *(replace(basic, name=f"resnet18_{option.lower()}", shortcut=option) for option in "AC"),
        *(replace(basic, name=f"resnet34_{option.lower()}", shortcut=option, depths=_34) for option in "AC"),
        replace(basic, name="plain18", shortcut="none"),
        replace(basic, name="plain34", shortcut="none", depths=_34),
        # torchvision: the stride on the 3x3, no biases.
        replace(torch, name="resnet50_v1_5"),
        replace(torch, name="resnet101_v1_5", depths=_101),
        replace(torch, name="resnet152_v1_5", depths=_152),
        replace(resnext, name="resnext50_32x4d", cardinality=32, group_width=4),
        replace(resnext, name="resnext101_32x8d", cardinality=32, group_width=8, depths=_101),
        replace(resnext, name="resnext101_64x4d", cardinality=64, group_width=4, depths=_101),
        replace(wide, name="wide_resnet50_2"),
        replace(wide, name="wide_resnet101_2", depths=_101),
    ]


def _preactivation_rows() -> list[ResNetSpec]:
    bottleneck = ResNetSpec(
        name="bottleneck", block="bottleneck", depths=(3, 4, 6, 3), preactivation=True, paper=HE2016
    )
    basic = replace(bottleneck, block="basic")
    keras = replace(bottleneck, convention="keras_v2")
    cifar = replace(bottleneck, stem="cifar", width=16, stem_width=16, classes=10)
    wide = replace(cifar, block="basic", paper=WIDE)
    return [
        replace(keras, name="resnet50v2"),
        replace(keras, name="resnet101v2", depths=_101),
        replace(keras, name="resnet152v2", depths=_152),
        # The paper's, bias-free and with the stride in the first block; as in timm.
        replace(basic, name="resnetv2_18", depths=(2, 2, 2, 2)),
        replace(basic, name="resnetv2_34", depths=_34),
        replace(bottleneck, name="resnetv2_50"),
        replace(bottleneck, name="resnetv2_101", depths=_101),
        replace(bottleneck, name="resnetv2_152", depths=_152),
        replace(bottleneck, name="resnetv2_200", depths=_200),
        # 20 is not in the paper: the family's smallest, for quantization and for teaching.
        replace(cifar, name="resnetv2_20_cifar", block="basic", shortcut="A", depths=(3,) * 3),
        replace(cifar, name="resnetv2_110_cifar", block="basic", shortcut="A", depths=(18,) * 3),
        replace(cifar, name="resnetv2_164_cifar", depths=(18,) * 3),
        replace(cifar, name="resnetv2_1001_cifar", depths=(111,) * 3),
        # WRN-depth-k: k times as wide, 6n+4 layers.
        replace(wide, name="wrn_16_4_cifar", width=64, depths=(2,) * 3),
        replace(wide, name="wrn_28_10_cifar", width=160, depths=(4,) * 3),
    ]


def _timm_rows() -> list[ResNetSpec]:
    """Deep stems, average-pool shortcuts, squeeze and excitation; as in timm, so that its weight files fit."""
    bottleneck = ResNetSpec(name="bottleneck", block="bottleneck", depths=(3, 4, 6, 3))
    d = replace(bottleneck, stem="deep", shortcut="D", paper=BAG_OF_TRICKS)
    d_basic = replace(d, block="basic")
    t = replace(d, stem="tiered")
    rs = replace(d, stem="rs", se_ratio=0.25, paper=RESNET_RS)
    return [
        replace(d_basic, name="resnet18d", depths=(2, 2, 2, 2)),
        replace(d_basic, name="resnet34d", depths=_34),
        replace(d, name="resnet50d"),
        replace(d, name="resnet101d", depths=_101),
        replace(d, name="resnet152d", depths=_152),
        replace(d, name="resnet200d", depths=_200),
        replace(bottleneck, name="seresnet50", se_ratio=1 / 16, paper=SE),
        replace(d, name="seresnet152d", depths=_152, se_ratio=1 / 16, paper=SE),
        replace(rs, name="resnetrs50"),
        replace(rs, name="resnetrs101", depths=_101),
        replace(rs, name="resnetrs152", depths=_152),
        replace(rs, name="resnetrs200", depths=_200),
        replace(t, name="resnet10t", block="basic", depths=(1, 1, 1, 1)),
        replace(t, name="resnet14t", depths=(1, 1, 1, 1)),
        replace(bottleneck, name="resnet26", depths=(2, 2, 2, 2)),
        replace(t, name="resnet26t", depths=(2, 2, 2, 2)),
    ]


def _cifar_rows() -> list[ResNetSpec]:
    """6n+2 layers: n blocks in each of three stages."""
    cifar = ResNetSpec(name="cifar", block="basic", depths=(1, 1, 1), stem="cifar", width=16, shortcut="A", classes=10)
    tiny = replace(cifar, convention="mlperf_tiny", shortcut="B", paper=MLPERF_TINY)
    depths = {6 * n + 2: (n, n, n) for n in (3, 5, 7, 9, 18, 200)}
    return [
        *(replace(cifar, name=f"resnet{layers}_cifar", depths=n) for layers, n in depths.items()),
        *(
            replace(cifar, name=f"{prefix}{layers}_cifar{suffix}", depths=depths[layers], shortcut=shortcut)
            for prefix, suffix, shortcut in (("plain", "", "none"), ("resnet", "_b", "B"))
            for layers in (20, 32, 44, 56, 110)
        ),
        replace(tiny, name="resnet8"),
        replace(tiny, name="resnet8_26", width=26),  # MLPerf Tiny's "Image Classification 2"
    ]


_34 = (3, 4, 6, 3)
_101 = (3, 4, 23, 3)
_152 = (3, 8, 36, 3)
_200 = (3, 24, 36, 3)
_FAMILIES = (_imagenet_rows, _preactivation_rows, _timm_rows, _cifar_rows)
SPECS: dict[str, ResNetSpec] = {row.name: row for rows in _FAMILIES for row in rows()}


def list_models() -> list[str]:
    """Names of all variants that `build` knows, sorted.

    Example:
        >>> import keras_resnet
        >>> "resnet50" in keras_resnet.list_models()
        True
    """
    return sorted(SPECS)


def get_spec(name_or_spec: str | ResNetSpec) -> ResNetSpec:
    """Returns the row of that name, or the spec itself.

    Raises:
        InputError: no variant has that name (the nearest names are in the message).
    """
    if isinstance(name_or_spec, ResNetSpec):
        return name_or_spec
    if not isinstance(name_or_spec, str):
        raise InputError(f"expected a model name or a ResNetSpec, received {type(name_or_spec).__name__}")
    if name_or_spec not in SPECS:
        raise unknown_name("model", name_or_spec, SPECS, "(keras_resnet.list_models() has them all)")
    return SPECS[name_or_spec]
