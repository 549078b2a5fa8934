"""The parts of a residual network: stems, blocks, shortcuts.

`Primitives` is the only place where a convolution, a norm or an activation is spelled; the parts receive it as a
value, so a family's convention, the user's options and the layer namespace are decided once. Layer names follow
keras.applications (`conv2_block1_1_conv`, ...): weight files, quantization scopes and users' code know them. They name
the place, not the class: a group normalisation where the published net has a batch normalisation is `..._bn` too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import ModuleType

from keras_resnet.nets.conventions import Convention
from keras_resnet.nets.interface import STEMS, BlockSpec, ResNetSpec
from keras_resnet.nets.options import NON_NEGATIVE, Options


@dataclass(frozen=True)
class Primitives:
    """Named layers in one convention.

    Attributes:
        convention: details of padding, bias and normalisation.
        keras: the namespace that has `layers`, `initializers` and `ops`.
        options: rank, norm, activation and prefix among them.
    """

    convention: Convention
    keras: ModuleType
    options: Options = field(default_factory=Options)

    def layer(self, kind: str, name: str, *args, **kwargs):
        """A layer with the prefix before its name; `ND` in the class's name stands for the rank."""
        cls = getattr(self.keras.layers, kind.replace("ND", f"{self.options.rank}D"))
        return cls(*args, name=self.options.prefix + name, **kwargs)

    def conv(
        self,
        x,
        filters: int,
        kernel: int,
        name: str,
        *,
        stride: int = 1,
        dilation: int = 1,
        pad: int | None = None,
        groups: int = 1,
        before_norm: bool = True,
        zero: bool = False,
    ):
        """Convolution `{name}_conv`, padded to keep the size.

        `pad` asks for that many zeros on every side; `zero` for a kernel of zeros.
        """
        if stride > 1 and dilation > 1:  # no Keras layer does both
            dense = self.conv(x, filters, kernel, name, dilation=dilation, groups=groups, before_norm=before_norm)
            return self.subsample(dense, stride, f"{name}_pool")
        style = self.convention.padding
        if pad is None and kernel > 1 and (style == "layers" or (style == "symmetric" and stride > 1)):
            pad = dilation * (kernel // 2)
        if pad is not None:
            x = self.layer("ZeroPaddingND", f"{name}_pad", pad)(x)
        initializer, arguments = ("Zeros", ()) if zero else self.convention.initializer
        return self.layer(
            "ConvND",
            f"{name}_conv",
            filters,
            kernel,
            strides=stride,
            dilation_rate=dilation,
            padding="same" if pad is None and kernel > 1 else "valid",
            groups=groups,
            use_bias={"all": True, "none": False, "without_norm": not before_norm}[self.convention.conv_bias],
            kernel_initializer=getattr(self.keras.initializers, initializer)(**dict(arguments)),
        )(x)

    def norm(self, x, name: str, zero: bool = False):
        """Normalisation `{name}_bn`; `zero` starts its scale at 0."""
        how = {"epsilon": self.convention.epsilon, "gamma_initializer": "zeros" if zero else "ones"}
        if self.options.norm == "group":
            # 32 groups (arXiv:1803.08494), fewer where they would have less than two channels or uneven ones.
            groups = math.gcd(64, x.shape[-1]) // 2 or 1
            return self.layer("GroupNormalization", f"{name}_bn", groups=groups, **how)(x)
        how |= {"trainable": False} if self.options.freeze_bn else {}
        if self.options.norm == "sync_batch" and self.keras.backend.backend() == "tensorflow":
            how["synchronized"] = True  # JAX' programs are written for the whole batch
        return self.layer("BatchNormalization", f"{name}_bn", momentum=self.convention.momentum, **how)(x)

    def relu(self, x, name: str):
        """The net's activation, with exactly this name (blocks end in `_out`, not in `_relu`)."""
        return self.layer("Activation", name, self.options.activation)(x)

    def norm_relu(self, x, name: str):
        """Normalisation `{name}_bn` and activation `{name}_relu`."""
        return self.relu(self.norm(x, name), f"{name}_relu")

    def conv_norm_relu(self, x, filters: int, kernel: int, name: str, **how):
        """The sequence that every block is made of; `how` as in `conv`."""
        return self.norm_relu(self.conv(x, filters, kernel, name, **how), name)

    def subsample(self, x, stride: int, name: str):
        """Every `stride`-th position, by a standard layer of this name."""
        return self.layer("MaxPoolingND", name, 1, strides=stride)(x) if stride > 1 else x


def imagenet_stem(p: Primitives, x, spec: ResNetSpec):
    """7x7 convolution and 3x3 max pool, each with stride 2 and symmetric padding: (N, H, W, C) -> (N, H/4, W/4, w)."""
    if not spec.preactivation:
        return stem_pool(p, p.conv_norm_relu(x, spec.stem_channels, 7, "conv1", stride=2, pad=3), spec)
    x = p.conv(x, spec.stem_channels, 7, "conv1", stride=2, pad=3, before_norm=False)
    # keras.applications pads with zeros, although values may be negative here.
    return stem_pool(p, x, spec, negative=p.convention.padding != "layers")


def stem_pool(p: Primitives, x, spec: ResNetSpec, negative: bool = False):
    """3x3 max pool with stride 2; `negative` says that its input may be below zero.

    Against aliasing it strides in a blur, or is a mean that leaves the last row of an odd size out; as in timm.
    """
    if spec.antialiasing == "mean":
        return p.layer("AveragePoolingND", "pool1_pool", 2, strides=2)(x)
    if negative or p.options.activation not in NON_NEGATIVE:
        # PyTorch pads with minus infinity; to repeat the edge is the same below a 3x3 maximum, and quantizes.
        x = p.keras.ops.pad(x, ((0, 0), *((1, 1),) * p.options.rank, (0, 0)), mode="symmetric")
    else:
        x = p.layer("ZeroPaddingND", "pool1_pad", 1)(x)
    if spec.antialiasing == "blur":
        return blur(p, p.layer("MaxPoolingND", "pool1_pool", 3, strides=1)(x), 2, "pool1")
    return p.layer("MaxPoolingND", "pool1_pool", 3, strides=2)(x)


def blur(p: Primitives, x, stride: int, name: str):
    """Binomial 3x3 filter over a reflected border, and its stride (arXiv:1904.11486; timm's BlurPool2d).

    Along an axis (1, 2, 1) / 4 is (1, 1) / 2 twice, so two average pools compute it without a weight: there is nothing
    to train, nothing in weight files, and every converter knows the layers.
    """
    x = p.keras.ops.pad(x, ((0, 0), *((1, 1),) * p.options.rank, (0, 0)), mode="reflect")
    x = p.layer("AveragePoolingND", f"{name}_blur_1", 2, strides=1)(x)
    return p.layer("AveragePoolingND", f"{name}_blur_2", 2, strides=stride)(x)


def mean(p: Primitives, x, stride: int, name: str):
    """Average pool as large as its stride; at an odd border the mean of what is there."""
    return p.layer("AveragePoolingND", f"{name}_mean", stride, strides=stride, padding="same")(x) if stride > 1 else x


ANTIALIASING_PARTS = {"blur": blur, "mean": mean}


def _deep_convolutions(p: Primitives, x, spec: ResNetSpec):
    for number, width in enumerate(STEMS[spec.stem].widths, 1):
        x = p.conv_norm_relu(x, width, 3, f"conv1_{number}", stride=2 if number == 1 else 1)
    return p.conv_norm_relu(x, spec.stem_channels, 3, "conv1")


def deep_stem(p: Primitives, x, spec: ResNetSpec):
    """Three 3x3 convolutions, the first with stride 2, and a max pool: (N, H, W, C) -> (N, H/4, W/4, w)."""
    return stem_pool(p, _deep_convolutions(p, x, spec), spec)


def rs_stem(p: Primitives, x, spec: ResNetSpec):
    """The deep stem with a 3x3 convolution of stride 2 in place of the max pool."""
    return p.conv_norm_relu(_deep_convolutions(p, x, spec), spec.stem_channels, 3, "pool1", stride=2)


def cifar_stem(p: Primitives, x, spec: ResNetSpec):
    """3x3 convolution with stride 1: (N, H, W, C) -> (N, H, W, stem_channels)."""
    if spec.preactivation:  # the first block's norm and ReLU follow
        return p.conv(x, spec.stem_channels, 3, "conv1", before_norm=False)
    return p.conv_norm_relu(x, spec.stem_channels, 3, "conv1")


def _reducing(p: Primitives, x, spec: ResNetSpec, block: BlockSpec, filters: int, kernel: int, name: str, **how):
    """Convolution, norm and ReLU with the block's stride, which the part against aliasing takes where there is one."""
    part = ANTIALIASING_PARTS.get(spec.antialiasing) if block.reduces else None
    x = p.conv_norm_relu(x, filters, kernel, name, stride=1 if part else block.stride, **how)
    return part(p, x, block.stride, name) if part else x


def basic_residual(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """Two 3x3 convolutions; the first one strides."""
    x = _reducing(p, x, spec, block, block.filters, 3, f"{block.name}_1", dilation=block.dilation)
    return _last_conv(p, x, spec, block.filters, 3, f"{block.name}_2", dilation=block.later_dilation)


def _last_conv(p: Primitives, x, spec: ResNetSpec, filters: int, kernel: int, name: str, dilation: int = 1):
    zero = p.options.zero_init_residual
    if spec.preactivation:
        return p.conv(x, filters, kernel, name, dilation=dilation, before_norm=False, zero=zero)
    return p.norm(p.conv(x, filters, kernel, name, dilation=dilation), name, zero=zero)


def bottleneck_residual(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """1x1, 3x3 (in groups) and 1x1 convolutions."""
    inner, groups = spec.inner_width(block.filters), {"groups": spec.cardinality}
    if p.convention.stride_on_1x1:
        x = _reducing(p, x, spec, block, inner, 1, f"{block.name}_1")
        x = p.conv_norm_relu(x, inner, 3, f"{block.name}_2", dilation=block.later_dilation, **groups)
    else:
        x = p.conv_norm_relu(x, inner, 1, f"{block.name}_1")
        x = _reducing(p, x, spec, block, inner, 3, f"{block.name}_2", dilation=block.dilation, **groups)
    return _last_conv(p, x, spec, spec.expansion * block.filters, 1, f"{block.name}_3")


def squeeze_and_excite(p: Primitives, x, ratio: float, name: str):
    """Scales every channel by a number from 0 to 1 that depends on all channels' means.

    Its inner activation is ReLU whatever the net's is, as in the paper and in timm.
    """
    channels = x.shape[-1]
    # Rounded to eights, never below 0.9 of what was asked for, as timm does.
    waist = max(8, int(channels * ratio + 4) // 8 * 8)
    waist += 8 * (waist < 0.9 * channels * ratio)
    gate = p.layer("GlobalAveragePoolingND", f"{name}_se_pool", keepdims=True)(x)
    gate = p.layer("ConvND", f"{name}_se_1_conv", waist, 1)(gate)
    gate = p.layer("Activation", f"{name}_se_1_relu", "relu")(gate)
    gate = p.layer("ConvND", f"{name}_se_2_conv", channels, 1, activation="sigmoid")(gate)
    return p.layer("Multiply", f"{name}_se_scale")([x, gate])


def zero_pad_shortcut(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """Option A: every second pixel, and zeros on both sides of the channels. No parameters."""
    x = p.subsample(x, block.stride, f"{block.name}_0_pool")
    extra = block.filters * spec.expansion - x.shape[-1]
    sides = (extra // 2, extra - extra // 2)
    # Read as channels_first, the last axis is a spatial one, and a standard layer pads it: the saved model needs
    # nothing of ours to load.
    rank = p.options.rank
    padding = sides if rank == 1 else (*((0, 0),) * (rank - 1), sides)
    return p.layer("ZeroPaddingND", f"{block.name}_0_pad", padding, data_format="channels_first")(x)


def projection_shortcut(p: Primitives, x, spec: ResNetSpec, block: BlockSpec, stride: int | None = None):
    """Option B: a strided 1x1 convolution."""
    norm, name = p.convention.projection_norm and not spec.preactivation, f"{block.name}_0"
    stride = block.stride if stride is None else stride
    x = p.conv(x, block.filters * spec.expansion, 1, name, stride=stride, before_norm=norm)
    return p.norm(x, name) if norm else x


def pooled_shortcut(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """Option D: an average pool takes the stride, so that the 1x1 convolution sees every pixel."""
    if block.reduces:
        # A pool that strides takes the mean of what is there at an odd border. One whose stride has become a dilation
        # counts zeros behind the last row and column, as timm's AvgPool2dSame does.
        if block.stride == 1:
            end = (0, 1) if p.options.rank == 1 else ((0, 1),) * p.options.rank
            x = p.layer("ZeroPaddingND", f"{block.name}_0_pad", end)(x)
        padding = "same" if block.stride > 1 else "valid"
        x = p.layer("AveragePoolingND", f"{block.name}_0_pool", 2, strides=block.stride, padding=padding)(x)
    return projection_shortcut(p, x, spec, block, stride=1)


STEM_PARTS = {
    "imagenet": imagenet_stem,
    "deep": deep_stem,
    "deep64": deep_stem,
    "tiered": deep_stem,
    "rs": rs_stem,
    "cifar": cifar_stem,
}
RESIDUAL_PARTS = {"basic": basic_residual, "bottleneck": bottleneck_residual}
SHORTCUT_PARTS = {
    "A": zero_pad_shortcut,
    "B": projection_shortcut,
    "C": projection_shortcut,
    "D": pooled_shortcut,
}


def _pool_name(p: Primitives, block: str) -> str:
    """Name of the pool of an identity shortcut; keras.applications leaves it to Keras, which counts."""
    if not p.convention.stride_in_last_block:
        return f"{block}_0_pool"
    number = int(block.removeprefix("conv").partition("_")[0]) - 2
    return f"max_pooling{p.options.rank}d{f'_{number}' if number else ''}"


def residual_block(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """ReLU(shortcut + residual); with preactivation, shortcut + residual(ReLU(norm(x))).

    Args:
        p: maker of layers.
        x: `(N, H, W, C)`.
        spec: net whose body and shortcut are built.
        block: place in the net.

    Returns:
        `(N, ceil(H / stride), ceil(W / stride), filters * spec.expansion)`.
    """
    name = block.name
    residual_part = RESIDUAL_PARTS[spec.block]
    if spec.shortcut == "none":
        return p.relu(residual_part(p, x, spec, block), f"{name}_out")
    entry = p.norm_relu(x, f"{name}_preact") if spec.preactivation else x
    # The shortcut is made, and added, first: `model.layers` is ordered by that, and legacy .h5 files of
    # keras.applications are loaded in the order of `model.layers`.
    if x.shape[-1] != block.filters * spec.expansion or spec.shortcut == "C":
        shortcut = SHORTCUT_PARTS[spec.shortcut](p, entry, spec, block)
    else:
        shortcut = p.subsample(x, block.stride, _pool_name(p, name))
    residual = residual_part(p, entry, spec, block)
    if spec.se_ratio:
        residual = squeeze_and_excite(p, residual, spec.se_ratio, name)
    if p.options.stochastic_depth:
        residual = drop_path(p, residual, p.options.stochastic_depth * block.depth, name)
    if spec.preactivation:
        return p.layer("Add", f"{name}_out")([shortcut, residual])
    return p.relu(p.layer("Add", f"{name}_add")([shortcut, residual]), f"{name}_out")


def drop_path(p: Primitives, x, rate: float, name: str):
    """Leaves the whole branch out for some images while training, and scales the others up (arXiv:1603.09382)."""
    noise_shape = (None, *(1,) * (p.options.rank + 1))
    return p.layer("Dropout", f"{name}_drop", rate, noise_shape=noise_shape)(x)
