"""The table of published variants: one row per net, a row is a difference.

A `ResNetSpec` holds what distinguishes one net from another; everything that follows from it (channels, strides,
the positions of the projections) is derived. Illegal combinations are refused when the spec is made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from keras_resnet.errors import InputError, unknown_name

HE2015 = "He et al. 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385"
MLPERF_TINY = "Banbury et al. 2021, MLPerf Tiny Benchmark, arXiv:2106.07597"


@dataclass(frozen=True, kw_only=True)
class Convention:
    """How a family spells its primitives: the details that decide whether a weight file fits.

    Attributes:
        conv_bias: convolutions have biases although a norm follows.
        epsilon: added to the variance by batch normalisation.
        momentum: of the moving statistics, Keras' sense (PyTorch's 0.1 is 0.9 here).
        explicit_padding: pad strided 3x3 convolutions symmetrically, as PyTorch and Caffe do. "same" in Keras pads
            one pixel more at the end of an even input.
        stride_on_1x1: a bottleneck strides in its first 1x1 convolution (the 2015 paper) rather than in the 3x3
            ("v1.5", torchvision).
        projection_norm: batch normalisation follows the projection on the shortcut.
        initializer: of the convolution kernels: class name and arguments in `keras.initializers`.
    """

    conv_bias: bool
    epsilon: float
    momentum: float
    explicit_padding: bool
    stride_on_1x1: bool
    projection_norm: bool
    initializer: tuple[str, tuple[tuple[str, object], ...]]


_HE_FAN_OUT = (
    "VarianceScaling",
    (("scale", 2.0), ("mode", "fan_out"), ("distribution", "untruncated_normal")),
)

CONVENTIONS: dict[str, Convention] = {
    # keras.applications, so that its public weight files load and predictions are equal.
    "keras": Convention(
        conv_bias=True,
        epsilon=1.001e-5,
        momentum=0.99,
        explicit_padding=False,
        stride_on_1x1=True,
        projection_norm=True,
        initializer=("GlorotUniform", ()),
    ),
    # PyTorch: torchvision, timm and the CIFAR checkpoints.
    "torch": Convention(
        conv_bias=False,
        epsilon=1e-5,
        momentum=0.9,
        explicit_padding=True,
        stride_on_1x1=False,
        projection_norm=True,
        initializer=_HE_FAN_OUT,
    ),
    # mlcommons/tiny, benchmark/training/image_classification/keras_model.py.
    "mlperf_tiny": Convention(
        conv_bias=True,
        epsilon=1e-3,
        momentum=0.99,
        explicit_padding=False,
        stride_on_1x1=False,
        projection_norm=False,
        initializer=("HeNormal", ()),
    ),
}


@dataclass(frozen=True, kw_only=True)
class StemSpec:
    """Stride and default input size that come with a stem; the layers are in `blocks.py`."""

    stride: int
    default_size: int


STEMS: dict[str, StemSpec] = {
    "imagenet": StemSpec(stride=4, default_size=224),  # 7x7/2 convolution, 3x3/2 max pool
    "cifar": StemSpec(stride=1, default_size=32),  # 3x3 convolution
}
BLOCKS: dict[str, int] = {"basic": 1, "bottleneck": 4}  # name: expansion
SHORTCUTS = ("A", "B")  # A: zero-padded identity; B: projection where the shape changes


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
        shortcut: `"A"` or `"B"`, the paper's options, for blocks whose shape changes.
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
        for field in ("width", "classes"):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"illegal spec '{self.name}': {field}={value!r}, expected a whole number from 1")
        if not self.name or self.name != self.name.lower() or "/" in self.name:
            raise InputError(f"illegal spec name {self.name!r}: expected lower case without '/', like 'resnet50'")
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
    def output_stride(self) -> int:
        """Input size divided by the size of the last stage; the smallest input that the net accepts."""
        return STEMS[self.stem].stride * 2 ** (len(self.depths) - 1)

    @property
    def default_size(self) -> int:
        """Height and width of the input that the net was published with, in pixels."""
        return STEMS[self.stem].default_size


def _table() -> dict[str, ResNetSpec]:
    basic = ResNetSpec(name="basic", block="basic", depths=(2, 2, 2, 2))
    keras = ResNetSpec(name="keras", block="bottleneck", depths=(3, 4, 6, 3), convention="keras")
    cifar = replace(basic, stem="cifar", width=16, shortcut="A", classes=10)
    rows = [
        replace(basic, name="resnet18"),
        replace(basic, name="resnet34", depths=(3, 4, 6, 3)),
        replace(keras, name="resnet50"),
        replace(keras, name="resnet101", depths=(3, 4, 23, 3)),
        replace(keras, name="resnet152", depths=(3, 8, 36, 3)),
        # CIFAR: 6n+2 layers, n blocks in each of three stages.
        *(replace(cifar, name=f"resnet{6 * n + 2}_cifar", depths=(n, n, n)) for n in (3, 5, 7, 9, 18, 200)),
        replace(cifar, name="resnet8", depths=(1, 1, 1), convention="mlperf_tiny", shortcut="B", paper=MLPERF_TINY),
    ]
    return {row.name: row for row in rows}


SPECS: dict[str, ResNetSpec] = _table()


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
