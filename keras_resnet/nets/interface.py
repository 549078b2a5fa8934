"""What a net is: a `ResNetSpec`, a row of `nets.specs.SPECS`.

It holds what distinguishes one net from another; everything that follows from it (channels, strides, the positions of
the projections) is derived. Illegal combinations are refused when the spec is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keras_resnet.errors import InputError
from keras_resnet.nets.conventions import CONVENTIONS

HE2015 = "He et al. 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385"


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
    "deep64": StemSpec(stride=4, default_size=224, widths=(64, 64)),  # timm's "s"
    "tiered": StemSpec(stride=4, default_size=224, widths=(24, 32)),  # timm's "t"
    "rs": StemSpec(stride=4, default_size=224, widths=(32, 32)),  # deep; a strided convolution in place of the max pool
    "cifar": StemSpec(stride=1, default_size=32),  # 3x3 convolution
}
BLOCKS: dict[str, int] = {"basic": 1, "bottleneck": 4}  # name: expansion
# A: zero-padded identity; B: projection where the shape changes; C: projection in every block; D: B with an average
# pool in place of the stride; none: a plain net.
SHORTCUTS = ("A", "B", "C", "D", "none")
# What stands between the convolution that strides and its stride: a binomial blur, a 2x2 mean, nothing.
ANTIALIASING = ("none", "blur", "mean")


@dataclass(frozen=True)
class BlockSpec:
    """One block's place in a net; derived from the spec, never stored.

    Attributes:
        name: `conv{stage}_block{index}`, as in keras.applications.
        filters: width of the block's body, in channels.
        stride: 1 or 2.
        dilation: dilation of the convolutions up to and with the one that strides, or would without dilation.
        later_dilation: dilation of the convolutions behind that one: twice as much where a stride became a dilation.
        depth: position in the net, from above 0 to 1 for the last block.
    """

    name: str
    filters: int
    stride: int
    dilation: int
    later_dilation: int
    depth: float

    @property
    def reduces(self) -> bool:
        """Whether the block has a stride, or the dilation that has replaced one."""
        return self.stride > 1 or self.later_dilation > self.dilation


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
        antialiasing: what takes the strides of the residuals and of the max pool: `"blur"`, a binomial filter;
            `"mean"`, a 2x2 average pool; `"none"`, the convolutions and the pool themselves. It has no weights, so
            files of nets with and without it look the same.
        classes: number of classes of the published net, the default of the head.
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
    antialiasing: str = "none"
    classes: int = 1000
    paper: str = HE2015

    def __post_init__(self) -> None:
        """Refuses illegal specs where they are declared."""
        for field, table in (
            ("block", BLOCKS),
            ("convention", CONVENTIONS),
            ("stem", STEMS),
            ("shortcut", SHORTCUTS),
            ("antialiasing", ANTIALIASING),
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
        if self.antialiasing != "none" and (self.preactivation or self.stem == "rs"):
            raise InputError(
                f"illegal spec '{self.name}': antialiasing='{self.antialiasing}' goes without preactivation and "
                "without the stem 'rs', which has no max pool"
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
                averages over more positions; option D's pool has no dilation, and counts zeros behind the border, as
                timm's does; what stands against aliasing has no dilation either).
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
        """Input size divided by the size of the last stage.

        Args:
            dilated: for each stride of the stages, whether a dilation takes its place.
        """
        return STEMS[self.stem].stride * 2 ** (len(self.depths) - 1 - sum(dilated))

    def smallest_size(self, dilated: Sequence[bool] = ()) -> int:
        """Height and width of the smallest input that the net accepts, in pixels.

        Args:
            dilated: as in `final_stride`.
        """
        # A blur reflects the border, which takes two positions; one that strides has them.
        return self.final_stride(dilated) * (2 if self.antialiasing == "blur" and any(dilated) else 1)

    @property
    def default_size(self) -> int:
        """Height and width of the input that the net was published with, in pixels."""
        return STEMS[self.stem].default_size
