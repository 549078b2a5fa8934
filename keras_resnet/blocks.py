"""The parts of a residual network: stems, blocks, shortcuts.

`Primitives` is the only place where a convolution, a norm or an activation is spelled; the parts receive it as a
value, so a family's convention (and the layer namespace) is decided once. Layer names follow keras.applications
(`conv2_block1_1_conv`, ...): weight files, quantization scopes and users' code know them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from keras_resnet.specs import Convention, ResNetSpec


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

    def conv(self, x, filters: int, kernel: int, name: str, *, stride: int = 1, pad: int | None = None):
        """Convolution `{name}_conv`, padded to keep the size; `pad` asks for that many zeros on every side."""
        if pad is None and stride > 1 and kernel > 1 and self.convention.explicit_padding:
            pad = kernel // 2
        if pad is not None:
            x = self.pad(x, pad, name)
        initializer, arguments = self.convention.initializer
        return self.layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="same" if pad is None and kernel > 1 else "valid",
            use_bias=self.convention.conv_bias,
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

    def pad(self, x, pixels: int, name: str):
        """Zeros `{name}_pad` on all four sides."""
        return self.layers.ZeroPadding2D(pixels, name=f"{name}_pad")(x)

    def conv_norm_relu(self, x, filters: int, kernel: int, name: str, *, stride: int = 1, pad: int | None = None):
        """The sequence that every block is made of."""
        x = self.norm(self.conv(x, filters, kernel, name, stride=stride, pad=pad), name)
        return self.relu(x, f"{name}_relu")


def imagenet_stem(p: Primitives, x, spec: ResNetSpec):
    """7x7 convolution and 3x3 max pool, each with stride 2 and symmetric padding: (N, H, W, C) -> (N, H/4, W/4, w)."""
    x = p.conv_norm_relu(x, spec.width, 7, "conv1", stride=2, pad=3)
    x = p.pad(x, 1, "pool1")  # zeros are right below a max pool because a ReLU came before
    return p.layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def cifar_stem(p: Primitives, x, spec: ResNetSpec):
    """3x3 convolution with stride 1: (N, H, W, C) -> (N, H, W, width)."""
    return p.conv_norm_relu(x, spec.width, 3, "conv1")


def basic_residual(p: Primitives, x, filters: int, stride: int, name: str):
    """Two 3x3 convolutions; the first one strides."""
    x = p.conv_norm_relu(x, filters, 3, f"{name}_1", stride=stride)
    return p.norm(p.conv(x, filters, 3, f"{name}_2"), f"{name}_2")


def bottleneck_residual(p: Primitives, x, filters: int, stride: int, name: str):
    """1x1, 3x3 and 1x1 convolutions; the last one widens four times."""
    first, second = (stride, 1) if p.convention.stride_on_1x1 else (1, stride)
    x = p.conv_norm_relu(x, filters, 1, f"{name}_1", stride=first)
    x = p.conv_norm_relu(x, filters, 3, f"{name}_2", stride=second)
    return p.norm(p.conv(x, 4 * filters, 1, f"{name}_3"), f"{name}_3")


def zero_pad_shortcut(p: Primitives, x, channels: int, stride: int, name: str):
    """Option A: every second pixel, and zeros on both sides of the channels. No parameters."""
    if stride > 1:
        x = p.layers.MaxPooling2D(1, strides=stride, name=f"{name}_0_pool")(x)  # a subsampling that can be named
    extra = channels - x.shape[-1]
    # Read as channels_first, the last axis is a spatial one, and a standard layer pads it: the saved model needs
    # nothing of ours to load.
    return p.layers.ZeroPadding2D(
        ((0, 0), (extra // 2, extra - extra // 2)), data_format="channels_first", name=f"{name}_0_pad"
    )(x)


def projection_shortcut(p: Primitives, x, channels: int, stride: int, name: str):
    """Option B: a strided 1x1 convolution."""
    x = p.conv(x, channels, 1, f"{name}_0", stride=stride)
    return p.norm(x, f"{name}_0") if p.convention.projection_norm else x


STEM_PARTS = {"imagenet": imagenet_stem, "cifar": cifar_stem}
RESIDUAL_PARTS = {"basic": basic_residual, "bottleneck": bottleneck_residual}
SHORTCUT_PARTS = {"A": zero_pad_shortcut, "B": projection_shortcut}


def residual_block(p: Primitives, x, spec: ResNetSpec, filters: int, stride: int, name: str):
    """ReLU(shortcut + residual).

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
    channels = filters * spec.expansion
    changes_shape = stride > 1 or x.shape[-1] != channels
    # The shortcut is made, and added, first: `model.layers` is ordered by that, and legacy .h5 files of
    # keras.applications are loaded in the order of `model.layers`.
    shortcut = SHORTCUT_PARTS[spec.shortcut](p, x, channels, stride, name) if changes_shape else x
    residual = RESIDUAL_PARTS[spec.block](p, x, filters, stride, name)
    x = p.layers.Add(name=f"{name}_add")([shortcut, residual])
    return p.relu(x, f"{name}_out")
