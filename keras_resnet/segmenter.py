"""From the name of a segmentation net to a `keras.Model`: `segmenter`."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence

import keras

from keras_resnet import weights as weights_lib
from keras_resnet.builder import build
from keras_resnet.errors import InputError
from keras_resnet.nets.blocks import Primitives
from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.graph import deep_graphs, stage_outputs, stage_taps
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.options import Options
from keras_resnet.nets.segmentation import (
    AUXILIARY_STAGE,
    DECODERS,
    SegmenterSpec,
    Taps,
    fcn,
    get_segmenter,
    logits,
)
from keras_resnet.nets.specs import get_spec
from keras_resnet.weights.registry import registered

DEFAULT_SIZE = 520  # pixels: torchvision's


def segmenter(
    name_or_spec: str | SegmenterSpec,
    *,
    backbone: str | ResNetSpec | None = None,
    weights: str | os.PathLike | None = None,
    weights_match: str = "exact",
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    aux: bool = False,
    output_stride: int | None = None,
    stages: int | None = None,
    width: int | None = None,
    widths: Sequence[int] | None = None,
    rates: Sequence[int] | None = None,
    dropout: float | None = None,
    stochastic_depth: float = 0.0,
    activation: str = "relu",
    norm: str = "batch",
    freeze_bn: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds a segmentation net as a functional Keras model of stock layers.

    Args:
        name_or_spec: `"fcn"`, `"deeplabv3"`, `"deeplabv3plus"` or `"unet"` on a backbone; torchvision's nets
            `"fcn_r50"`, `"fcn_r101"`, `"deeplabv3_r50"` and `"deeplabv3_r101"`; or a `SegmenterSpec` of your own.
        backbone: name of a variant (`list_models()`), or a `ResNetSpec`; by default that of the row.
        weights: values of the whole net: a registered name (`list_weights(task="segmentation")`), a `.safetensors` or
            `.npz` file of ours or of torchvision's names, or a `.keras` file; None for random ones.
        weights_match: as in `build`; with `"adapt"` other classes keep the last convolution's initial values.
        backbone_weights: values of the backbone alone, as `build` takes them for a net without head.
        input_shape: `(height, width, channels)`; height and width must be divisible by the deepest stride, but for FCN
            and DeepLabV3, which take any.
        classes: number of classes, the background among them where there is one.
        aux: whether there is an auxiliary head on the third stage, for training.
        output_stride: input size divided by the backbone's last map, 8, 16 or 32: the strides beyond become dilations.
        stages: number of the backbone's stages that are used; None for all.
        width: channels of the decoder; None for the row's.
        widths: channels of a U-Net's steps, from the deepest; None for the row's.
        rates: dilations of DeepLab's pyramid, at the output stride that the net has; None for the row's.
        dropout: rate before the last convolution; None for the row's.
        stochastic_depth: as in `build`.
        activation: as in `build`, in the decoder too.
        norm: as in `build`, in the decoder too.
        freeze_bn: as in `build`, in the decoder too.
        name: name of the model; by default the row's, with the backbone's where the row leaves it open.

    Returns:
        A model whose input is `(N, height, width, channels)`, float, preprocessed as the weights expect, and whose
        output is `logits`, `(N, height, width, classes)`, float32. With `aux` a dict of `logits` and `aux_logits`.

    Raises:
        InputError: unknown name, an argument that this net cannot honour, an input that the stride does not divide,
            weights that do not fit.

    Example:
        >>> import keras_resnet
        >>> net = keras_resnet.segmenter("deeplabv3plus", backbone="resnet18", classes=11, input_shape=(64, 96, 3))
        >>> net.output_shape
        (None, 64, 96, 11)
    """
    spec = get_segmenter(name_or_spec)
    spec = dataclasses.replace(
        spec,
        width=spec.width if width is None else width,
        widths=spec.widths if widths is None else tuple(widths),
        dropout=spec.dropout if dropout is None else dropout,
    )
    base = _backbone(spec, backbone)
    classes = _count(spec.classes if classes is None else classes)
    shape = checked_shape((DEFAULT_SIZE, DEFAULT_SIZE, 3) if input_shape is None else input_shape)
    stride = output_stride
    if stride is None and spec.output_stride:
        stride = min(spec.output_stride, base.final_stride())
    options = Options(activation=activation, norm=norm, freeze_bn=freeze_bn)
    stages = spec.stages if stages is None else stages
    called = name or (spec.name if spec.backbone else f"{spec.name}_{base.name}")
    with deep_graphs():
        net = build(
            base,
            include_top=False,
            weights=backbone_weights,
            input_shape=shape,
            output_stride=stride,
            stochastic_depth=stochastic_depth,
            activation=activation,
            norm=norm,
            freeze_bn=freeze_bn,
        )
        made = decoded(net, spec, classes, aux=aux, stages=stages, rates=rates, options=options, name=called)
        if weights is not None:
            weights = registered(spec.name, weights) or weights
            weights_lib.load_weights(made, weights, match=weights_match, spec=base)
    return made


def decoded(
    backbone: keras.Model,
    spec: SegmenterSpec,
    classes: int,
    *,
    aux: bool = False,
    stages: int | None = None,
    rates: Sequence[int] | None = None,
    options: Options | None = None,
    name: str | None = None,
) -> keras.Model:
    """Puts a decoder behind a backbone.

    Args:
        backbone: model that `build` made without head, of a fixed input size.
        spec: spec of the net.
        classes: number of classes.
        aux: as in `segmenter`.
        stages: as in `segmenter`.
        rates: as in `segmenter`.
        options: norm and activation; by default those of the backbone.
        name: name of the model; by default the backbone's.

    Returns:
        As `segmenter`.

    Raises:
        InputError: the backbone has not the maps that the decoder needs, or the stride does not divide its input.
    """
    p = Primitives(CONVENTIONS["torch"], keras, options or options_of(backbone))
    with deep_graphs():
        taps = _taps(backbone, stages)
        deepest = max(taps.by_stride)
        _check_size(spec, backbone.input_shape[1:], deepest)
        if rates is not None:  # as they are meant, whatever the stride
            spec = dataclasses.replace(spec, rates=tuple(rates), rates_stride=deepest)
        x = DECODERS[spec.decoder].features(p, taps, spec, deepest)
        outputs = logits(p, x, taps.size, classes, kernel=DECODERS[spec.decoder].kernel)
        if aux:
            outputs = {"logits": outputs, "aux_logits": _auxiliary(p, taps, spec, classes)}
        return keras.Model(backbone.input, outputs, name=name or backbone.name)


def options_of(backbone: keras.Model) -> Options:
    """Norm and activation of a net, from its layers; the norms of a new decoder learn in any case.

    Args:
        backbone: net that was built here.
    """
    norms = [layer for layer in backbone.layers if layer.name.endswith("_bn")]
    used = {layer.activation.__name__ for layer in backbone.layers if layer.name.endswith("_relu")}
    norm = "batch"
    if norms and isinstance(norms[0], keras.layers.GroupNormalization):
        norm = "group"
    elif norms and getattr(norms[0], "synchronized", False):
        norm = "sync_batch"
    return Options(norm=norm, activation=used.pop() if len(used) == 1 else "relu")


def checked_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape of an image of fixed size.

    Args:
        shape: what a person gave.

    Raises:
        InputError: it is not height, width and channels in numbers.
    """
    right = isinstance(shape, tuple | list) and len(shape) == 3
    if not right or not all(isinstance(each, int) and not isinstance(each, bool) and each > 0 for each in shape):
        raise InputError(f"input_shape={shape!r}: expected (height, width, channels), in numbers")
    return tuple(shape)  # type: ignore[return-value]


def _backbone(spec: SegmenterSpec, backbone: str | ResNetSpec | None) -> ResNetSpec:
    chosen = backbone or spec.backbone
    if chosen is None:
        raise InputError(f"{spec.name} goes with any backbone: pass backbone='resnet18', say")
    return get_spec(chosen)


def _count(classes: int) -> int:
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise InputError(f"classes={classes!r}: expected a whole number from 1")
    return classes


def _taps(net: keras.Model, stages: int | None) -> Taps:
    """The maps of a backbone that ends with a stage."""
    outputs, strides = stage_outputs(net), stage_taps(net)
    if stages is not None and stages not in range(1, len(outputs) + 1):
        raise InputError(f"stages={stages!r}: {net.name} has 1 to {len(outputs)} of them")
    kept = outputs[: stages or len(outputs)]
    size, last = net.input_shape[1:-1], kept[-1].shape[1:-1]
    deepest = next(stride for stride, tap in strides.items() if tap.shape[1:-1] == last)
    by_stride = {stride: tap for stride, tap in strides.items() if stride < deepest}
    return Taps(by_stage=kept, by_stride={**by_stride, deepest: kept[-1]}, size=size)


def _check_size(spec: SegmenterSpec, shape: tuple[int, ...], stride: int) -> None:
    if None in shape[:-1]:
        raise InputError(f"{spec.name} needs a fixed input size, received {shape}: of a training, set test_size=0")
    if spec.any_size or all(each % stride == 0 for each in shape[:-1]):
        return
    near = tuple(math.ceil(each / stride) * stride for each in shape[:-1])
    raise InputError(
        f"input_shape={shape}: {spec.name} needs a height and width that its deepest stride, {stride}, divides: the "
        f"next ones are {near[0]} x {near[1]}"
    )


def _auxiliary(p: Primitives, taps: Taps, spec: SegmenterSpec, classes: int):
    if len(taps.by_stage) < AUXILIARY_STAGE:
        raise InputError(f"aux=True: the auxiliary head takes stage {AUXILIARY_STAGE}, and there are fewer")
    x = fcn(p, taps.by_stage[AUXILIARY_STAGE - 1], dataclasses.replace(spec, width=None), prefix="aux_")
    return logits(p, x, taps.size, classes, name="aux_logits")
