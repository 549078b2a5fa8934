"""State dicts of PyTorch: what torchvision, timm and the CIFAR nets call our variables.

A layout is a row: how to recognise it, and how it names a layer. Kernels are transposed (OIHW to HWIO), batch
normalisation's `weight` is our `gamma`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from keras_resnet.specs import STEMS, ResNetSpec

_VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_COUNTER = "num_batches_tracked"  # PyTorch's count of steps; nothing computes with it
_BLOCK = re.compile(r"conv(\d+)_block(\d+)_(.+)")


@dataclass(frozen=True)
class Layout:
    """One way to name the layers of a ResNet.

    Attributes:
        mark: a tensor that only files of this layout have.
        layer: our layer's name, and the spec, to theirs.
    """

    mark: str
    layer: Callable[[str, ResNetSpec], str]


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
    return {**stem, "pool1_conv": "maxpool.0", "pool1_bn": "maxpool.1"}[name]


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
    "timm_v2": Layout("stem.conv.weight", _timm_v2_layer),
    "akamaster": Layout("linear.weight", lambda name, spec: _torchvision_layer(name, spec, head="linear")),
    "torchvision": Layout("layer1.0.conv1.weight", _torchvision_layer),
}


def find_layout(tensors: Mapping[str, np.ndarray]) -> Layout | None:
    """The layout of a state dict, None where it is none of ours."""
    return next((layout for layout in LAYOUTS.values() if layout.mark in tensors), None)


def to_ours(
    tensors: Mapping[str, np.ndarray], layout: Layout, names: Mapping[str, tuple[int, ...]], spec: ResNetSpec
) -> dict[str, np.ndarray]:
    """Renames and transposes a state dict.

    Args:
        tensors: of the file.
        layout: its naming.
        names: our variables (`conv1_conv/kernel`) and their shapes.
        spec: of the net.

    Returns:
        The tensors under our names; what has no counterpart keeps its own name, so that it shows as left over.
    """
    rest = {name: value for name, value in tensors.items() if not name.endswith(_COUNTER)}
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
    return np.ascontiguousarray(value.transpose(2, 3, 1, 0)) if value.ndim == 4 else value
