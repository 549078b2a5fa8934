"""Segmentation nets: a backbone and a decoder that gives a map of logits; each published one is a row.

Layer names are a contract, as the backbone's: `aspp_2_conv`, `head_conv`, `logits_conv`, ... (docs/segmentation.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.nets.blocks import Primitives

FCN = "Long et al. 2014, Fully Convolutional Networks for Semantic Segmentation, arXiv:1411.4038"
DEEPLABV3 = "Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv:1706.05587"
DEEPLABV3PLUS = "Chen et al. 2018, Encoder-Decoder with Atrous Separable Convolution, arXiv:1802.02611"
UNET = "Ronneberger et al. 2015, U-Net: Convolutional Networks for Biomedical Image Segmentation, arXiv:1505.04597"

VOC = 21  # classes of Pascal VOC, the background among them
AUXILIARY_STAGE = 3  # whose feature map the auxiliary head of torchvision's nets takes


@dataclass(frozen=True, kw_only=True)
class Taps:
    """Feature maps of a backbone.

    Attributes:
        by_stage: the last one of every stage, in order, `(N, height / stride, width / stride, channels)`; at output
            stride 8 the last three have one stride.
        by_stride: the last one at every stride, the stem's among them, ascending.
        size: `(height, width)` of the input in pixels.
    """

    by_stage: tuple[Any, ...]
    by_stride: Mapping[int, Any]
    size: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SegmenterSpec:
    """One segmentation net.

    Attributes:
        name: lower case; the name under which `segmenter` knows the net.
        decoder: row of `DECODERS`.
        backbone: name of a variant (`list_models()`), the default; None where the net goes with any.
        output_stride: size of the input divided by that of the backbone's last feature map, the default; None for what
            the backbone has.
        stages: stages of the backbone that are used, the default; None for all.
        width: channels of the decoder's convolutions; None: a quarter of the backbone's last feature map's.
        widths: channels of every step of a U-Net's decoder, from the deepest.
        rates: dilations of the 3x3 convolutions of the pyramid at an output stride of `rates_stride`; half as large
            where that is twice as large, and so on.
        rates_stride: output stride that the dilations are meant for.
        dropout: rate before the last convolution, 0 to below 1.
        any_size: whether the input's size need not be divisible by the deepest stride.
        classes: number of classes of the published net.
        paper: where the net was published.

    Raises:
        InputError: a field is outside its table or range.
    """

    name: str
    decoder: str
    backbone: str | None = None
    output_stride: int | None = 8
    stages: int | None = None
    width: int | None = 256
    widths: tuple[int, ...] = (256, 128, 64, 32, 16)
    rates: tuple[int, ...] = (12, 24, 36)
    rates_stride: int = 8
    dropout: float = 0.0
    any_size: bool = False
    classes: int = VOC
    paper: str = DEEPLABV3

    def __post_init__(self) -> None:
        """Refuses illegal specs where they are declared."""
        if self.decoder not in DECODERS:
            raise unknown_name("decoder", str(self.decoder), DECODERS)
        for name, values in (("rates", self.rates), ("widths", self.widths)):
            object.__setattr__(self, name, tuple(values))
            if not values or any(not isinstance(each, int) or isinstance(each, bool) or each < 1 for each in values):
                raise InputError(f"illegal spec '{self.name}': {name}={values!r}, expected whole numbers from 1")
        if not 0 <= self.dropout < 1:
            raise InputError(f"illegal spec '{self.name}': dropout={self.dropout!r}, expected 0 to below 1")

    def rates_at(self, stride: int) -> tuple[int, ...]:
        """Dilations of the pyramid at an output stride: they cover the same pixels at each.

        Args:
            stride: output stride of the backbone.
        """
        return tuple(max(1, rate * self.rates_stride // stride) for rate in self.rates)


def resized(p: Primitives, x: Any, size: tuple[int, ...], name: str, how: str = "bilinear", **layer: Any) -> Any:
    """A map at another size, by a layer that devices have (`UpSampling2D` becomes tiles there).

    Args:
        p: maker of layers.
        x: `(N, height, width, channels)`.
        size: `(height, width)` of the result.
        name: name of the layer.
        how: `"bilinear"` (half pixel centres, as PyTorch with `align_corners=False`) or `"nearest"`.
        **layer: further arguments of the layer.

    Returns:
        `(N, *size, channels)`; `x` itself where the size is its own.

    Raises:
        InputError: `x` is no image.
    """
    if tuple(x.shape[1:-1]) == tuple(size):
        return x
    if p.options.rank != 2:
        raise InputError(f"segmentation nets take images so far, received maps with {p.options.rank} axes")
    # As a layer for augmentation it takes itself to be in a training, and tells all layers behind it so, unless told.
    return p.layer("Resizing", name, *size, interpolation=how, **layer)(x, training=False)


def logits(p: Primitives, x: Any, size: tuple[int, ...], classes: int, name: str = "logits", kernel: int = 1) -> Any:
    """The last convolution, and its map at the size of the input, float32.

    Args:
        p: maker of layers.
        x: `(N, height, width, channels)`.
        size: `(height, width)` of the input.
        classes: number of classes.
        name: name of the last layer; the convolution's is `{name}_conv`.
        kernel: size of the convolution.
    """
    x = p.layer("ConvND", f"{name}_conv", classes, kernel, padding="same", dtype="float32")(x)
    if tuple(x.shape[1:-1]) == tuple(size):
        return p.layer("Activation", name, "linear", dtype="float32")(x)
    return resized(p, x, size, name, dtype="float32")


def fcn(p: Primitives, x: Any, spec: SegmenterSpec, prefix: str = "") -> Any:
    """A 3x3 convolution, and dropout; torchvision's `FCNHead` without its last layer.

    Args:
        p: maker of layers.
        x: feature map.
        spec: spec of the net.
        prefix: beginning of the layers' names behind the net's own.
    """
    x = p.conv_norm_relu(x, _width(spec, x), 3, f"{prefix}fcn")
    return p.layer("Dropout", f"{prefix}fcn_dropout", 0.1 if prefix else spec.dropout)(x)


def pyramid(p: Primitives, x: Any, spec: SegmenterSpec, stride: int) -> Any:
    """Atrous spatial pyramid pooling: a 1x1 convolution, 3x3 ones with dilations, and the mean of the image.

    Args:
        p: maker of layers.
        x: feature map.
        spec: spec of the net.
        stride: its stride.
    """
    width = _width(spec, x)
    branches = [p.conv_norm_relu(x, width, 1, "aspp_1")]
    for number, rate in enumerate(spec.rates_at(stride), 2):
        branches.append(p.conv_norm_relu(x, width, 3, f"aspp_{number}", dilation=rate))
    mean = p.layer("GlobalAveragePoolingND", "aspp_pool", keepdims=True)(x)
    mean = p.conv_norm_relu(mean, width, 1, "aspp_pool")
    branches.append(resized(p, mean, x.shape[1:-1], "aspp_pool_resize"))
    x = p.layer("Concatenate", "aspp_concat")(branches)
    x = p.conv_norm_relu(x, width, 1, "aspp_project")
    return p.layer("Dropout", "aspp_dropout", spec.dropout)(x) if spec.dropout else x


def _fcn(p: Primitives, taps: Taps, spec: SegmenterSpec, stride: int) -> Any:
    return fcn(p, taps.by_stage[-1], spec)


def _deeplabv3(p: Primitives, taps: Taps, spec: SegmenterSpec, stride: int) -> Any:
    x = pyramid(p, taps.by_stage[-1], spec, stride)
    return p.conv_norm_relu(x, _width(spec, x), 3, "head")


def _deeplabv3plus(p: Primitives, taps: Taps, spec: SegmenterSpec, stride: int) -> Any:
    """The pyramid's map four times as large, beside a thin map of the first stage."""
    if 4 not in taps.by_stride or stride <= 4:
        found = ", ".join(map(str, taps.by_stride))
        raise InputError(
            f"{spec.name} joins a map at stride 4 and a deeper one; the backbone has them at strides {found}: take "
            "another backbone, or unet, which takes any"
        )
    x = pyramid(p, taps.by_stage[-1], spec, stride)
    low = p.conv_norm_relu(taps.by_stride[4], 48, 1, "decoder_low")
    x = resized(p, x, low.shape[1:-1], "decoder_resize")
    x = p.layer("Concatenate", "decoder_concat")([x, low])
    x = p.conv_norm_relu(x, _width(spec, x), 3, "decoder_1")
    return p.conv_norm_relu(x, _width(spec, x), 3, "decoder_2")


def _unet(p: Primitives, taps: Taps, spec: SegmenterSpec, stride: int) -> Any:
    """From the deepest map upwards: twice as large, joined with the backbone's of that size, two convolutions."""
    *others, x = taps.by_stride.values()
    skips = [tap for tap in reversed(others) if tuple(tap.shape[1:-1]) != taps.size]
    sizes = [tuple(tap.shape[1:-1]) for tap in skips]
    full = [tap for tap in others if tuple(tap.shape[1:-1]) == taps.size]  # a CIFAR net's stem does not stride
    steps = [*zip(sizes, skips, strict=True), (taps.size, full[0] if full else None)]
    if len(steps) > len(spec.widths):
        raise InputError(f"{spec.name}: widths={spec.widths}, expected {len(steps)} of them for this backbone")
    for number, ((size, skip), width) in enumerate(zip(steps, spec.widths, strict=False), 1):
        x = resized(p, x, size, f"up{number}_resize", "nearest")
        if skip is not None:
            x = p.layer("Concatenate", f"up{number}_concat")([x, skip])
        x = p.conv_norm_relu(x, width, 3, f"up{number}_1")
        x = p.conv_norm_relu(x, width, 3, f"up{number}_2")
    return x


def _width(spec: SegmenterSpec, x: Any) -> int:
    return x.shape[-1] // 4 if spec.width is None else spec.width


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """How maps of a backbone become one map.

    Attributes:
        features: function of a maker of layers, taps, a spec and the deepest stride; gives the map before the last
            convolution.
        kernel: size of that convolution.
    """

    features: Callable[[Primitives, Taps, SegmenterSpec, int], Any]
    kernel: int = 1


DECODERS: dict[str, Decoder] = {
    "fcn": Decoder(features=_fcn),
    "deeplabv3": Decoder(features=_deeplabv3),
    "deeplabv3plus": Decoder(features=_deeplabv3plus),
    "unet": Decoder(features=_unet, kernel=3),
}

_fcn_row = SegmenterSpec(name="fcn", decoder="fcn", width=None, dropout=0.1, any_size=True, paper=FCN)
_deeplab = SegmenterSpec(name="deeplabv3", decoder="deeplabv3", dropout=0.5, any_size=True)
_unet_row = SegmenterSpec(name="unet", decoder="unet", output_stride=None, paper=UNET)
_ROWS = (
    _fcn_row,
    replace(_fcn_row, name="fcn_r50", backbone="resnet50_v1_5"),
    replace(_fcn_row, name="fcn_r101", backbone="resnet101_v1_5"),
    _deeplab,
    replace(_deeplab, name="deeplabv3_r50", backbone="resnet50_v1_5"),
    replace(_deeplab, name="deeplabv3_r101", backbone="resnet101_v1_5"),
    SegmenterSpec(name="deeplabv3plus", decoder="deeplabv3plus", output_stride=16, dropout=0.1, paper=DEEPLABV3PLUS),
    _unet_row,
    replace(  # of the recipe `nuclei`, whose weights are in the package: two million parameters
        _unet_row,
        name="unet_nuclei",
        backbone="resnet10t",
        stages=3,
        widths=(128, 64, 32, 16, 8),
        classes=2,
    ),
)
SEGMENTERS: dict[str, SegmenterSpec] = {row.name: row for row in _ROWS}


def get_segmenter(name_or_spec: str | SegmenterSpec) -> SegmenterSpec:
    """Returns a row of `SEGMENTERS`, or the spec itself.

    Raises:
        InputError: there is none of that name.
    """
    if isinstance(name_or_spec, SegmenterSpec):
        return name_or_spec
    if name_or_spec not in SEGMENTERS:
        raise unknown_name("segmentation net", str(name_or_spec), SEGMENTERS)
    return SEGMENTERS[name_or_spec]
