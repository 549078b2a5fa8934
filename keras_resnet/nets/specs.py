"""The table of published variants: one row per net, a row is a difference."""

from __future__ import annotations

from dataclasses import replace

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.nets.interface import ResNetSpec

HE2016 = "He et al. 2016, Identity Mappings in Deep Residual Networks, arXiv:1603.05027"
RESNEXT = "Xie et al. 2016, Aggregated Residual Transformations for Deep Neural Networks, arXiv:1611.05431"
WIDE = "Zagoruyko and Komodakis 2016, Wide Residual Networks, arXiv:1605.07146"
SE = "Hu et al. 2017, Squeeze-and-Excitation Networks, arXiv:1709.01507"
BAG_OF_TRICKS = "He et al. 2018, Bag of Tricks for Image Classification, arXiv:1812.01187"
BLUR = "Zhang 2019, Making Convolutional Networks Shift-Invariant Again, arXiv:1904.11486"
TIMM = "Wightman 2019, PyTorch Image Models, doi:10.5281/zenodo.4414861"
RESNET_RS = "Bello et al. 2021, Revisiting ResNets: Improved Training and Scaling Strategies, arXiv:2103.07579"
MLPERF_TINY = "Banbury et al. 2021, MLPerf Tiny Benchmark, arXiv:2106.07597"


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
        *(
            replace(resnext, name=f"resnext101_32x{width}d", cardinality=32, group_width=width, depths=_101)
            for width in (4, 8, 16, 32)
        ),
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
    c = replace(bottleneck, stem="deep", paper=BAG_OF_TRICKS)
    s = replace(c, stem="deep64", stem_width=128, paper=TIMM)
    d = replace(c, shortcut="D")
    d_basic = replace(d, block="basic")
    t = replace(d, stem="tiered", paper=TIMM)
    se = replace(bottleneck, se_ratio=1 / 16, paper=SE)
    se_basic = replace(se, block="basic")
    se_d = replace(d, se_ratio=1 / 16, paper=SE)
    rs = replace(d, stem="rs", se_ratio=0.25, paper=RESNET_RS)
    return [
        replace(d_basic, name="resnet18d", depths=(2, 2, 2, 2)),
        replace(d_basic, name="resnet34d", depths=_34),
        *(replace(d, name=f"resnet{layers}d", depths=depths) for layers, depths in _DEEP.items()),
        replace(d, name="resnet26d", depths=(2, 2, 2, 2)),
        *(replace(c, name=f"resnet{layers}c", depths=depths) for layers, depths in _DEEP.items() if layers < 200),
        *(replace(s, name=f"resnet{layers}s", depths=depths) for layers, depths in _DEEP.items() if layers < 200),
        replace(bottleneck, name="resnet200", depths=_200),
        replace(se_basic, name="seresnet18", depths=(2, 2, 2, 2)),
        replace(se_basic, name="seresnet34", depths=_34),
        *(replace(se, name=f"seresnet{layers}", depths=depths) for layers, depths in _DEEP.items() if layers < 200),
        replace(se_d, name="seresnet152d", depths=_152),
        replace(se_d, name="seresnet200d", depths=_200),
        replace(se_d, name="seresnet269d", depths=(3, 30, 48, 8)),
        replace(rs, name="resnetrs50"),
        replace(rs, name="resnetrs101", depths=_101),
        replace(rs, name="resnetrs152", depths=_152),
        replace(rs, name="resnetrs200", depths=_200),
        replace(rs, name="resnetrs270", depths=(4, 29, 53, 4)),
        replace(rs, name="resnetrs350", depths=(4, 36, 72, 4)),
        replace(rs, name="resnetrs420", depths=(4, 44, 87, 4)),
        replace(t, name="resnet10t", block="basic", depths=(1, 1, 1, 1)),
        replace(t, name="resnet14t", depths=(1, 1, 1, 1)),
        replace(bottleneck, name="resnet26", depths=(2, 2, 2, 2)),
        replace(t, name="resnet26t", depths=(2, 2, 2, 2)),
        replace(t, name="resnet50t"),
        replace(t, name="seresnet50t", se_ratio=1 / 16),
    ]


def _grouped_rows() -> list[ResNetSpec]:
    """ResNeXt with deep stems, and with squeeze and excitation; as in timm."""
    resnext = ResNetSpec(
        name="resnext", block="bottleneck", depths=(3, 4, 6, 3), cardinality=32, group_width=4, paper=RESNEXT
    )
    d = replace(resnext, stem="deep", shortcut="D", paper=TIMM)
    se = replace(resnext, se_ratio=1 / 16, paper=SE)
    se_d = replace(d, se_ratio=1 / 16)
    return [
        replace(d, name="resnext50d_32x4d"),
        replace(se_d, name="seresnext26d_32x4d", depths=(2, 2, 2, 2)),
        replace(se_d, name="seresnext26t_32x4d", depths=(2, 2, 2, 2), stem="tiered"),
        replace(se, name="seresnext50_32x4d"),
        replace(se, name="seresnext101_32x4d", depths=_101),
        replace(se, name="seresnext101_32x8d", depths=_101, group_width=8),
        replace(se, name="seresnext101_64x4d", depths=_101, cardinality=64),
        replace(se_d, name="seresnext101d_32x8d", depths=_101, group_width=8),
    ]


def _antialiased_rows() -> list[ResNetSpec]:
    """A blur, or a mean ("aa"), takes the strides; as in timm."""
    blur = ResNetSpec(name="blur", block="bottleneck", depths=(3, 4, 6, 3), antialiasing="blur", paper=BLUR)
    blur_d = replace(blur, stem="deep", shortcut="D")
    mean = replace(blur, antialiasing="mean", paper=TIMM)
    mean_d = replace(mean, stem="deep", shortcut="D")
    se = replace(mean_d, se_ratio=1 / 16)
    return [
        replace(blur, name="resnetblur18", block="basic", depths=(2, 2, 2, 2)),
        replace(blur, name="resnetblur50"),
        replace(blur_d, name="resnetblur50d"),
        replace(blur_d, name="resnetblur101d", depths=_101),
        replace(mean_d, name="resnetaa34d", block="basic", depths=_34),
        replace(mean, name="resnetaa50"),
        replace(mean_d, name="resnetaa50d"),
        replace(mean_d, name="resnetaa101d", depths=_101),
        replace(se, name="seresnetaa50d"),
        replace(se, name="seresnextaa101d_32x8d", depths=_101, cardinality=32, group_width=8),
        replace(
            se,
            name="seresnextaa201d_32x8d",
            depths=(3, 24, 36, 4),
            stem="deep64",
            stem_width=128,
            cardinality=32,
            group_width=8,
        ),
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
_DEEP = {50: (3, 4, 6, 3), 101: _101, 152: _152, 200: _200}
_FAMILIES = (_imagenet_rows, _preactivation_rows, _timm_rows, _grouped_rows, _antialiased_rows, _cifar_rows)
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
    name = name_or_spec if name_or_spec in SPECS else name_or_spec.lower()  # ResNet50 is the function, and its net
    if name not in SPECS:
        raise unknown_name("model", name_or_spec, SPECS, "(keras_resnet.list_models() has them all)")
    return SPECS[name]
