"""State dicts of PyTorch: what torchvision, timm and the CIFAR nets call our variables.

A layout is a row: how to recognise it, and how it names a layer. Kernels are transposed (OIHW to HWIO), batch
normalisation's `weight` is our `gamma`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.detection import DETECTORS
from keras_resnet.nets.interface import STEMS, ResNetSpec
from keras_resnet.nets.segmentation import SEGMENTERS
from keras_resnet.nets.specs import SPECS, get_spec
from keras_resnet.weights import detectors, files

_VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_COUNTER = "num_batches_tracked"  # PyTorch's count of steps; nothing computes with it
# Layers of FCN and DeepLabV3, by `nets.segmentation`'s names; the backbone's stand below `backbone.` there.
SEGMENTATION = {
    "fcn_conv": "classifier.0",
    "fcn_bn": "classifier.1",
    **{f"aspp_{n + 1}_conv": f"classifier.0.convs.{n}.0" for n in range(4)},
    **{f"aspp_{n + 1}_bn": f"classifier.0.convs.{n}.1" for n in range(4)},
    "aspp_pool_conv": "classifier.0.convs.4.1",
    "aspp_pool_bn": "classifier.0.convs.4.2",
    "aspp_project_conv": "classifier.0.project.0",
    "aspp_project_bn": "classifier.0.project.1",
    "head_conv": "classifier.1",
    "head_bn": "classifier.2",
    "logits_conv": "classifier.4",
    "aux_fcn_conv": "aux_classifier.0",
    "aux_fcn_bn": "aux_classifier.1",
    "aux_logits_conv": "aux_classifier.4",
}
_OTHER_DECODERS = ("decoder_", "up")  # beginnings of the names of layers that torchvision has not
_BLOCK = re.compile(r"conv(\d+)_block(\d+)_(.+)")


@dataclass(frozen=True)
class Layout:
    """One way to name the layers of a ResNet.

    Attributes:
        mark: name of a tensor that only files of this layout have.
        layer: function of our layer's name and the spec; gives their name.
        convolutional_head: whether the classifier is a 1x1 convolution.
    """

    mark: str
    layer: Callable[[str, ResNetSpec], str]
    convolutional_head: bool = False


def _torchvision_layer(name: str, spec: ResNetSpec, head: str = "fc") -> str:
    """`conv3_block2_1_bn` is `layer2.1.bn1`; deep stems are timm's `conv1.0`, `conv1.1`, `conv1.3`, ..."""
    if name == "predictions":
        return head
    if match := _BLOCK.fullmatch(name):
        stage, block, part = int(match[1]), int(match[2]), match[3]
        return f"layer{stage - 1}.{block - 1}.{_block_part(part, spec)}"
    if match := re.fullmatch(r"conv1_(\d)_(conv|bn)", name):
        return f"conv1.{3 * (int(match[1]) - 1) + (match[2] == 'bn')}"
    deep = 3 * len(STEMS[spec.stem].widths)
    stem = {"conv1_conv": f"conv1.{deep}" if deep else "conv1", "conv1_bn": "bn1"}
    return {**stem, "pool1_conv": "maxpool.0", "pool1_bn": "maxpool.1", **SEGMENTATION, **detectors.LAYERS}[name]


def _block_part(part: str, spec: ResNetSpec) -> str:
    if part.startswith("se_"):
        return f"se.fc{part[3]}"
    number, kind = part.split("_")
    if number == "0":  # with option D an average pool (or nothing) stands first
        return f"downsample.{(kind == 'bn') + (spec.shortcut == 'D')}"
    return f"{kind}{number}"


def _timm_v2_layer(name: str, spec: ResNetSpec) -> str:
    """`conv3_block2_1_bn` is `stages.1.blocks.1.norm2`: the norms count from the one before the first convolution."""
    del spec
    if match := _BLOCK.fullmatch(name):
        stage, block, part = int(match[1]), int(match[2]), match[3]
        if part == "preact_bn":
            part = "norm1"
        elif part == "0_conv":
            part = "downsample.conv"
        else:
            number, kind = part.split("_")
            part = f"conv{number}" if kind == "conv" else f"norm{int(number) + 1}"
        return f"stages.{stage - 2}.blocks.{block - 1}.{part}"
    return {"conv1_conv": "stem.conv", "post_bn": "norm", "predictions": "head.fc"}[name]


LAYOUTS: dict[str, Layout] = {
    "timm_v2": Layout("stem.conv.weight", _timm_v2_layer, convolutional_head=True),
    "akamaster": Layout("linear.weight", lambda name, spec: _torchvision_layer(name, spec, head="linear")),
    "torchvision": Layout("layer1.0.conv1.weight", _torchvision_layer),
}


# Tensors that every net of the layouts has, whatever its head.
_BODIES = ("layer1.0.conv1.weight", "stages.0.blocks.0.conv1.weight")
_INNER = ("backbone.body.", "backbone.")  # where torchvision's detection and segmentation nets have their backbone


def unwrapped(tensors: dict[str, np.ndarray], source: object) -> dict[str, np.ndarray]:
    """Strips what programs put before a state dict's names: `module.`, `model.`, `state_dict.`, `_orig_mod.`, chained.

    Args:
        tensors: arrays of a file by their names.
        source: name of the file, for the message.

    Returns:
        The tensors without the prefix of the only net in the file; a name that lacks it stays, and shows as left over.

    Raises:
        InputError: the file holds several nets.
    """
    found = [name.removesuffix(body) for name in tensors for body in _BODIES if name.endswith(f".{body}")]
    if not found or any(body in tensors for body in _BODIES):
        return tensors
    if len(found) > 1:
        raise InputError(
            f"{source} holds several nets, below {', '.join(map(repr, found))}; expected one. Save the tensors "
            f"of one alone: {{name: tensors[name] for name in tensors if name.startswith({found[0]!r})}}"
        )
    inner = next((each for each in _INNER if found[0].endswith(each)), "")  # of a net whose heads stand beside it
    outer = found[0].removesuffix(inner)
    return {name.removeprefix(outer).removeprefix(inner): value for name, value in tensors.items()}


def find_layout(tensors: Mapping[str, np.ndarray]) -> Layout | None:
    """The layout of a state dict, None where it is none of ours."""
    return next((layout for layout in LAYOUTS.values() if layout.mark in tensors), None)


def to_ours(
    tensors: Mapping[str, np.ndarray], layout: Layout, names: Mapping[str, tuple[int, ...]], spec: ResNetSpec
) -> dict[str, np.ndarray]:
    """Renames and transposes a state dict.

    Args:
        tensors: arrays of the file by their names.
        layout: layout of the file.
        names: shapes of our variables by name (`conv1_conv/kernel`).
        spec: spec of the net.

    Returns:
        The tensors under our names; what has no counterpart keeps its own name, so that it shows as left over.
    """
    rest = {name: value for name, value in tensors.items() if not name.endswith(_COUNTER)}
    rest = detectors.canonical(rest, CONVENTIONS[spec.convention].epsilon)
    ours = {}
    for name in names:
        layer, _, variable = name.partition("/")
        try:
            theirs = f"{layout.layer(layer, spec)}.{_VARIABLES[variable]}"
        except KeyError:  # a layer that this layout has not: reported as missing
            continue
        if theirs in rest:
            ours[name] = _transposed(rest.pop(theirs), len(names[name]))
    return {**ours, **rest}


def _transposed(value: np.ndarray, rank: int) -> np.ndarray:
    if rank == 2:  # Linear, or a 1x1 convolution as a head: (out, in, 1, 1)
        return np.ascontiguousarray(value.reshape(value.shape[:2]).T)
    if value.ndim < 3:
        return value
    return np.ascontiguousarray(np.moveaxis(value, (1, 0), (-2, -1)))  # (out, in, ...) to (..., in, out)


def spec_of(model: keras.Model, spec: str | ResNetSpec | None = None) -> ResNetSpec:
    """The variant of a net, or of the backbone of a segmentation or detection net.

    Args:
        model: model that `build`, `segmenter` or `detector` made.
        spec: what is known of it; None for what its name says.

    Raises:
        InputError: the name says nothing.
    """
    row = SEGMENTERS.get(model.name) or DETECTORS.get(model.name)
    return get_spec(spec or (row.backbone if row and row.backbone else model.name))


def to_theirs(
    tensors: Mapping[str, np.ndarray], layout: Layout, spec: ResNetSpec, body: str = ""
) -> dict[str, np.ndarray]:
    """Renames and transposes our tensors into a state dict: the inverse of `to_ours`.

    Args:
        tensors: arrays by our names.
        layout: layout of the state dict.
        spec: spec of the net.
        body: beginning of the names of the backbone's tensors there.

    Returns:
        The state dict, with `num_batches_tracked` of every batch normalisation, as PyTorch saves it.

    Raises:
        InputError: the layout has no name for a layer.
    """
    state = {}
    for name, value in tensors.items():
        layer, _, variable = name.partition("/")
        try:
            theirs = layout.layer(layer, spec)
        except KeyError:
            raise InputError(f"that library has no layer like {layer}; layout='keras_resnet' takes any net") from None
        theirs = theirs if layer in SEGMENTATION or layer in detectors.LAYERS else body + theirs
        if value.ndim == 2:
            value = value.T.reshape(*value.T.shape, 1, 1) if layout.convolutional_head else value.T
        elif value.ndim > 2:
            value = np.moveaxis(value, (-1, -2), (0, 1))
        state[f"{theirs}.{_VARIABLES[variable]}"] = np.ascontiguousarray(value)
        if variable == "moving_mean":
            state[f"{theirs}.{_COUNTER}"] = np.zeros((), np.int64)
    return detectors.published(state)


def _is_torchvision(spec: ResNetSpec) -> bool:
    plain = not spec.se_ratio and spec.antialiasing == "none"
    return spec.convention == "torch" and spec.stem == "imagenet" and spec.shortcut == "B" and plain


# layout of `export_weights`: for which nets PyTorch has such a file, and how its layers are named.
_EXPORTS: dict[str, tuple[Callable[[ResNetSpec], bool], Callable[[ResNetSpec], str]]] = {
    "torchvision": (lambda spec: _is_torchvision(spec) and not spec.preactivation, lambda spec: "torchvision"),
    "timm": (
        lambda spec: spec.convention == "torch" and spec.stem != "cifar" and spec.shortcut in "BD",
        lambda spec: "timm_v2" if spec.preactivation else "torchvision",
    ),
    "akamaster": (
        lambda spec: (
            (spec.convention, spec.stem, spec.antialiasing) == ("torch", "cifar", "none")
            and spec.shortcut in "AB"
            and not spec.preactivation
        ),
        lambda spec: "akamaster",
    ),
}
EXPORT_LAYOUTS = ("keras_resnet", *_EXPORTS)


# What torchvision has of nets with a backbone, by where that stands.
_HEADED = {"backbone.": "fcn and deeplabv3", "backbone.body.": "retinanet and fcos with pyramids from level 3 on"}


def _body(tensors: Mapping[str, np.ndarray]) -> str:
    """Where torchvision has the backbone of such a net; empty where the net is one itself."""
    if "logits_conv/kernel" in tensors:
        return "backbone."
    return "backbone.body." if "boxes_conv/kernel" in tensors else ""


def _is_other(layer: str) -> bool:
    """Whether a layer behind a backbone is none of torchvision's."""
    detects = layer.startswith(detectors.BEGINNINGS)
    return layer.startswith(_OTHER_DECODERS) or (detects and layer not in detectors.LAYERS)


def export_weights(
    model: keras.Model,
    path: str | os.PathLike,
    layout: str = "keras_resnet",
    *,
    spec: str | ResNetSpec | None = None,
    prefix: str = "",
    card: ModelCard | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a model's weights so that another library opens them.

    In PyTorch: `net.load_state_dict(safetensors.torch.load_file(path))`.

    Args:
        model: model that `build`, `segmenter` or `detector` made.
        path: file that ends in `.safetensors`.
        layout: `"keras_resnet"` (keyed by layer name), `"torchvision"`, `"timm"`, or `"akamaster"` for the CIFAR nets
            of akamaster/pytorch_resnet_cifar10.
        spec: variant of the model, of a segmentation or detection net that of its backbone; by default what it is
            named after.
        prefix: prefix of the model's layers; the file has none.
        card: labels, input convention and origin, kept in the file's header.
        overwrite: replace an existing file.

    Raises:
        InputError: unknown layout, the layout's library has no such net, or the file exists or cannot be written.

    Example:
        >>> import keras_resnet
        >>> model = keras_resnet.build("resnet18")
        >>> keras_resnet.export_weights(model, "resnet18.safetensors", layout="torchvision")
    """
    if layout not in EXPORT_LAYOUTS:
        raise unknown_name("layout", str(layout), EXPORT_LAYOUTS)
    tensors = {
        name: keras.ops.convert_to_numpy(variable) for name, variable in files.named_variables(model, prefix).items()
    }
    metadata = None
    if layout in _EXPORTS:
        spec = spec_of(model, spec)
        exists, naming = _EXPORTS[layout]
        if not exists(spec):
            rows = [row.name for row in SPECS.values() if exists(row)]
            raise InputError(
                f"layout='{layout}': no net of that library is {spec.name}; it has {', '.join(rows[:8])}"
                f"{', ...' if len(rows) > 8 else ''}"
            )
        body = _body(tensors)
        others = [name for name in tensors if _is_other(name.partition("/")[0])]
        if body and (layout != "torchvision" or others):
            raise InputError(
                f"layout='{layout}': that library has not {model.name}; torchvision has {_HEADED[body]}, and "
                "layout='keras_resnet' takes any"
            )
        tensors = to_theirs(tensors, LAYOUTS[naming(spec)], spec, body=body)
        metadata = {"format": "pt"}  # what loaders of the hub look for
        if spec.name in SPECS and not body:  # whose graph it is, which tensors do not always say
            metadata["architecture"] = spec.name.removesuffix("_v1_5")
    files.write_safetensors(path, tensors, card=card, metadata=metadata, overwrite=overwrite)
