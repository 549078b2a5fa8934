"""The parts of a residual network: stems, blocks, shortcuts.

`Primitives` is the only place where a convolution, a norm or an activation is spelled; the parts receive it as a
value, so a family's convention (and the layer namespace) is decided once. Layer names follow keras.applications
(`conv2_block1_1_conv`, ...): weight files, quantization scopes and users' code know them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from keras_resnet.specs import STEMS, Convention, ResNetSpec


@dataclass(frozen=True)
class Primitives:
    """Named layers in one convention.

    Attributes:
        convention: details of padding, bias and normalisation.
        keras: the namespace that has `layers` and `initializers`.
    """

    convention: Convention
    keras: ModuleType

    @property
    def layers(self) -> ModuleType:
        """Where the layer classes come from."""
        return self.keras.layers

    def conv(
        self,
        x,
        filters: int,
        kernel: int,
        name: str,
        *,
        stride: int = 1,
        pad: int | None = None,
        groups: int = 1,
        before_norm: bool = True,
    ):
        """Convolution `{name}_conv`, padded to keep the size; `pad` asks for that many zeros on every side."""
        style = self.convention.padding
        if pad is None and kernel > 1 and (style == "layers" or (style == "symmetric" and stride > 1)):
            pad = kernel // 2
        if pad is not None:
            x = self.pad(x, pad, name)
        initializer, arguments = self.convention.initializer
        return self.layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="same" if pad is None and kernel > 1 else "valid",
            groups=groups,
            use_bias={"all": True, "none": False, "without_norm": not before_norm}[self.convention.conv_bias],
            kernel_initializer=getattr(self.keras.initializers, initializer)(**dict(arguments)),
            name=f"{name}_conv",
        )(x)

    def norm(self, x, name: str):
        """Batch normalisation `{name}_bn`."""
        return self.layers.BatchNormalization(
            epsilon=self.convention.epsilon, momentum=self.convention.momentum, name=f"{name}_bn"
        )(x)

    def relu(self, x, name: str):
        """Activation with exactly this name (blocks end in `_out`, not in `_relu`)."""
        return self.layers.Activation("relu", name=name)(x)

    def norm_relu(self, x, name: str):
        """Batch normalisation `{name}_bn` and ReLU `{name}_relu`."""
        return self.relu(self.norm(x, name), f"{name}_relu")

    def pad(self, x, pixels: int, name: str):
        """Zeros `{name}_pad` on all four sides."""
        return self.layers.ZeroPadding2D(pixels, name=f"{name}_pad")(x)

    def conv_norm_relu(self, x, filters: int, kernel: int, name: str, **how):
        """The sequence that every block is made of; `how` as in `conv`."""
        return self.norm_relu(self.conv(x, filters, kernel, name, **how), name)


def imagenet_stem(p: Primitives, x, spec: ResNetSpec):
    """7x7 convolution and 3x3 max pool, each with stride 2 and symmetric padding: (N, H, W, C) -> (N, H/4, W/4, w)."""
    if not spec.preactivation:
        return _max_pool(p, p.conv_norm_relu(x, spec.stem_channels, 7, "conv1", stride=2, pad=3))
    x = p.conv(x, spec.stem_channels, 7, "conv1", stride=2, pad=3, before_norm=False)
    if p.convention.padding == "layers":
        return _max_pool(p, x)  # keras.applications pads with zeros, although values may be negative here
    # PyTorch pads with minus infinity; to repeat the edge is the same below a 3x3 maximum, and quantizes.
    x = p.keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    return p.layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def _max_pool(p: Primitives, x):
    x = p.pad(x, 1, "pool1")  # zeros are right below a max pool where a ReLU came before
    return p.layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def _deep_convolutions(p: Primitives, x, spec: ResNetSpec):
    for number, width in enumerate(STEMS[spec.stem].widths, 1):
        x = p.conv_norm_relu(x, width, 3, f"conv1_{number}", stride=2 if number == 1 else 1)
    return p.conv_norm_relu(x, spec.stem_channels, 3, "conv1")


def deep_stem(p: Primitives, x, spec: ResNetSpec):
    """Three 3x3 convolutions, the first with stride 2, and a max pool: (N, H, W, C) -> (N, H/4, W/4, w)."""
    return _max_pool(p, _deep_convolutions(p, x, spec))


def rs_stem(p: Primitives, x, spec: ResNetSpec):
    """The deep stem with a 3x3 convolution of stride 2 in place of the max pool."""
    return p.conv_norm_relu(_deep_convolutions(p, x, spec), spec.stem_channels, 3, "pool1", stride=2)


def cifar_stem(p: Primitives, x, spec: ResNetSpec):
    """3x3 convolution with stride 1: (N, H, W, C) -> (N, H, W, stem_channels)."""
    if spec.preactivation:  # the first block's norm and ReLU follow
        return p.conv(x, spec.stem_channels, 3, "conv1", before_norm=False)
    return p.conv_norm_relu(x, spec.stem_channels, 3, "conv1")


def basic_residual(p: Primitives, x, spec: ResNetSpec, filters: int, stride: int, name: str):
    """Two 3x3 convolutions; the first one strides."""
    x = p.conv_norm_relu(x, filters, 3, f"{name}_1", stride=stride)
    return _last_conv(p, x, spec, filters, 3, f"{name}_2")


def _last_conv(p: Primitives, x, spec: ResNetSpec, filters: int, kernel: int, name: str):
    x = p.conv(x, filters, kernel, name, before_norm=not spec.preactivation)
    return x if spec.preactivation else p.norm(x, name)


def bottleneck_residual(p: Primitives, x, spec: ResNetSpec, filters: int, stride: int, name: str):
    """1x1, 3x3 (in groups) and 1x1 convolutions."""
    first, second = (stride, 1) if p.convention.stride_on_1x1 else (1, stride)
    inner = spec.inner_width(filters)
    x = p.conv_norm_relu(x, inner, 1, f"{name}_1", stride=first)
    x = p.conv_norm_relu(x, inner, 3, f"{name}_2", stride=second, groups=spec.cardinality)
    return _last_conv(p, x, spec, spec.expansion * filters, 1, f"{name}_3")


def squeeze_and_excite(p: Primitives, x, ratio: float, name: str):
    """Scales every channel by a number from 0 to 1 that depends on all channels' means."""
    channels = x.shape[-1]
    # Rounded to eights, never below 0.9 of what was asked for, as timm does.
    waist = max(8, int(channels * ratio + 4) // 8 * 8)
    waist += 8 * (waist < 0.9 * channels * ratio)
    gate = p.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_se_pool")(x)
    gate = p.relu(p.layers.Conv2D(waist, 1, name=f"{name}_se_1_conv")(gate), f"{name}_se_1_relu")
    gate = p.layers.Conv2D(channels, 1, activation="sigmoid", name=f"{name}_se_2_conv")(gate)
    return p.layers.Multiply(name=f"{name}_se_scale")([x, gate])


def subsample(p: Primitives, x, stride: int, name: str):
    """Every `stride`-th pixel, as a standard layer that has a name."""
    return p.layers.MaxPooling2D(1, strides=stride, name=f"{name}_0_pool")(x) if stride > 1 else x


def zero_pad_shortcut(p: Primitives, x, spec: ResNetSpec, channels: int, stride: int, name: str):
    """Option A: every second pixel, and zeros on both sides of the channels. No parameters."""
    x = subsample(p, x, stride, name)
    extra = channels - x.shape[-1]
    # Read as channels_first, the last axis is a spatial one, and a standard layer pads it: the saved model needs
    # nothing of ours to load.
    return p.layers.ZeroPadding2D(
        ((0, 0), (extra // 2, extra - extra // 2)), data_format="channels_first", name=f"{name}_0_pad"
    )(x)


def projection_shortcut(p: Primitives, x, spec: ResNetSpec, channels: int, stride: int, name: str):
    """Option B: a strided 1x1 convolution."""
    norm = p.convention.projection_norm and not spec.preactivation
    x = p.conv(x, channels, 1, f"{name}_0", stride=stride, before_norm=norm)
    return p.norm(x, f"{name}_0") if norm else x


def pooled_shortcut(p: Primitives, x, spec: ResNetSpec, channels: int, stride: int, name: str):
    """Option D: an average pool takes the stride, so that the 1x1 convolution sees every pixel."""
    if stride > 1:
        x = p.layers.AveragePooling2D(stride, padding="same", name=f"{name}_0_pool")(x)
    return projection_shortcut(p, x, spec, channels, 1, name)


STEM_PARTS = {
    "imagenet": imagenet_stem,
    "deep": deep_stem,
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


def residual_block(p: Primitives, x, spec: ResNetSpec, filters: int, stride: int, name: str):
    """ReLU(shortcut + residual); with preactivation, shortcut + residual(ReLU(norm(x))).

    Args:
        p: the layers.
        x: `(N, H, W, C)`.
        spec: says which body and which shortcut.
        filters: width of the body; the output has `filters * spec.expansion` channels.
        stride: of the block.
        name: `conv{stage}_block{index}`.

    Returns:
        `(N, ceil(H / stride), ceil(W / stride), filters * spec.expansion)`.
    """
    residual_part = RESIDUAL_PARTS[spec.block]
    if spec.shortcut == "none":
        return p.relu(residual_part(p, x, spec, filters, stride, name), f"{name}_out")
    channels = filters * spec.expansion
    entry = p.norm_relu(x, f"{name}_preact") if spec.preactivation else x
    # The shortcut is made, and added, first: `model.layers` is ordered by that, and legacy .h5 files of
    # keras.applications are loaded in the order of `model.layers`.
    if x.shape[-1] != channels or spec.shortcut == "C":
        shortcut = SHORTCUT_PARTS[spec.shortcut](p, entry, spec, channels, stride, name)
    else:
        shortcut = subsample(p, x, stride, name)
    residual = residual_part(p, entry, spec, filters, stride, name)
    if spec.se_ratio:
        residual = squeeze_and_excite(p, residual, spec.se_ratio, name)
    if spec.preactivation:
        return p.layers.Add(name=f"{name}_out")([shortcut, residual])
    return p.relu(p.layers.Add(name=f"{name}_add")([shortcut, residual]), f"{name}_out")
