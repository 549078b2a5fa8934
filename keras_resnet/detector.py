"""From the name of a detection net to a `keras.Model`: `detector`."""

from __future__ import annotations

import dataclasses
import math
import os

import keras

from keras_resnet import weights as weights_lib
from keras_resnet.builder import build
from keras_resnet.errors import InputError
from keras_resnet.nets.blocks import Primitives
from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.detection import DetectorSpec, get_detector, heads
from keras_resnet.nets.graph import deep_graphs, stage_taps
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.options import Options
from keras_resnet.nets.pyramids import PyramidSpec, get_pyramid, pyramid
from keras_resnet.nets.specs import get_spec
from keras_resnet.segmenter import checked_shape


def detector(
    name_or_spec: str | DetectorSpec,
    *,
    backbone: str | ResNetSpec | None = None,
    neck: str | PyramidSpec | None = None,
    weights: str | os.PathLike | None = None,
    weights_match: str = "exact",
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    stochastic_depth: float = 0.0,
    activation: str = "relu",
    norm: str = "batch",
    freeze_bn: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds a detection net as a functional Keras model of stock layers.

    Args:
        name_or_spec: `"realtime"`, `"retinanet"` or `"fcos"` on a backbone; torchvision's nets `"retinanet_r50_fpn"`,
            `"retinanet_r50_fpn_v2"` and `"fcos_r50_fpn"`; or a `DetectorSpec` of your own.
        backbone: name of a variant (`list_models()`), or a `ResNetSpec`; by default that of the row.
        neck: `"fpn"` (levels 3 to 7, the last two from the deepest map of the pyramid), `"fpn_c5"` (from that of the
            backbone), `"fpn_pool"` (levels 2 to 6), `"light"` (levels 3 to 5, 128 channels) or a `PyramidSpec`; by
            default that of the row.
        weights: values of the whole net: a `.safetensors` or `.npz` file of ours or of torchvision's names, or a
            `.keras` file; None for random ones.
        weights_match: as in `build`; with `"adapt"` other classes keep the last convolution's initial values.
        backbone_weights: values of the backbone alone, as `build` takes them for a net without head.
        input_shape: `(height, width, channels)`; height and width must be divisible by the stride of the deepest map
            that is joined (32).
        classes: number of outputs for every prior box. Scores are independent of each other: there is no background.
            (torchvision's nets have 91, of which the first is never learned.)
        stochastic_depth: as in `build`.
        activation: as in `build`, in the towers too.
        norm: as in `build`, of the backbone alone: towers have what their row says.
        freeze_bn: as in `build`; torchvision's first nets were trained so.
        name: name of the model; by default the row's, with the backbone's where the row leaves it open.

    Returns:
        A model whose input is `(N, height, width, channels)`, float, preprocessed as the weights expect, and whose
        outputs are a dict: for every stride S `scores_S`, logits `(N, height / S, width / S, priors * classes)`,
        `boxes_S` `(..., priors * 4)` and, of FCOS, `centerness_S`, logits `(..., priors)`; all float32.
        `keras_resnet.tasks.detection.boxes_of` makes boxes of them.

    Raises:
        InputError: unknown name, an argument that this net cannot honour, an input that the stride does not divide,
            weights that do not fit.

    Example:
        >>> import keras_resnet
        >>> net = keras_resnet.detector("fcos", backbone="resnet18", neck="light", classes=3, input_shape=(64, 96, 3))
        >>> net.output["boxes_8"].shape
        (None, 8, 12, 4)
    """
    spec = get_detector(name_or_spec)
    spec = dataclasses.replace(
        spec,
        neck=spec.neck if neck is None else get_pyramid(neck),
        classes=spec.classes if classes is None else classes,
    )
    chosen = backbone or spec.backbone
    if chosen is None:
        raise InputError(f"{spec.name} goes with any backbone: pass backbone='resnet18', say")
    base = get_spec(chosen)
    shape = checked_shape((spec.default_size, spec.default_size, 3) if input_shape is None else input_shape)
    _check_size(spec, shape)
    with deep_graphs():
        net = build(
            base,
            include_top=False,
            weights=backbone_weights,
            input_shape=shape,
            stochastic_depth=stochastic_depth,
            activation=activation,
            norm=norm,
            freeze_bn=freeze_bn,
        )
        outputs = raw_outputs(net, spec, Options(activation=activation, norm=norm, freeze_bn=freeze_bn))
        named = name or (spec.name if spec.backbone else f"{spec.name}_{base.name}")
        made = keras.Model(net.input, outputs, name=named)
        if weights is not None:
            weights_lib.load_weights(made, weights, match=weights_match, spec=base)
    return made


def raw_outputs(backbone: keras.Model, spec: DetectorSpec, options: Options) -> dict[str, keras.KerasTensor]:
    """Puts a pyramid and a head behind a backbone.

    Args:
        backbone: model without head, of a fixed input size that the pyramid's deepest stride divides.
        spec: spec of the net.
        options: activation of the towers, and what a batch norm is there.

    Returns:
        Raw outputs by name.
    """
    p = Primitives(CONVENTIONS["torch"], keras, options)
    return heads(p, pyramid(p, stage_taps(backbone), spec.neck), spec)


def _check_size(spec: DetectorSpec, shape: tuple[int, ...]) -> None:
    stride = 2 ** spec.neck.levels[-1]
    if any(each % stride for each in shape[:-1]):
        near = tuple(math.ceil(each / stride) * stride for each in shape[:-1])
        raise InputError(
            f"input_shape={shape}: {spec.name} needs a height and width that {stride} divides: the next ones are "
            f"{near[0]} x {near[1]}"
        )
