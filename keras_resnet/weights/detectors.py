"""What torchvision calls the layers of its detection nets, today and in files of before.

All names are brought to those of today's RetinaNet. FCOS counts every layer of a tower, activations among them; the
published RetinaNet of 2020 has no numbers behind those of convolutions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

_HEADS = {"scores": "head.classification_head", "boxes": "head.regression_head"}
_MOST = 8  # convolutions of a tower; torchvision's have 4
# By `nets.detection`'s and `nets.pyramids`' names; the backbone's stand below `backbone.body.` there.
LAYERS = {
    **{f"fpn_p{n}_lateral_conv": f"backbone.fpn.inner_blocks.{n - 3}.0" for n in (3, 4, 5)},
    **{f"fpn_p{n}_conv": f"backbone.fpn.layer_blocks.{n - 3}.0" for n in (3, 4, 5)},
    **{f"fpn_p{n}_conv": f"backbone.fpn.extra_blocks.p{n}" for n in (6, 7)},
    **{f"{ours}_tower_{n + 1}_conv": f"{head}.conv.{n}.0" for ours, head in _HEADS.items() for n in range(_MOST)},
    **{f"{ours}_tower_{n + 1}_bn": f"{head}.conv.{n}.1" for ours, head in _HEADS.items() for n in range(_MOST)},
    "scores_conv": "head.classification_head.cls_logits",
    "boxes_conv": "head.regression_head.bbox_reg",
    "centerness_conv": "head.regression_head.bbox_ctrness",
}
BEGINNINGS = ("fpn_", "scores_", "boxes_", "centerness_")  # of names of layers that only detection nets have
_BOXES = f"{LAYERS['boxes_conv']}.weight"
_CENTERNESS = f"{LAYERS['centerness_conv']}.weight"
_OLD_TOWER = "head.classification_head.conv.0.weight"
_OLD_PYRAMID = re.compile(r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)")
_COUNTED = re.compile(r"(head\.\w+_head\.conv)\.(\d{1,2})\.(weight|bias)")
_PAIRED = re.compile(r"^(head\.\w+_head\.conv)\.(\d{1,2})\.([01])\.(weight|bias)$")


def canonical(tensors: Mapping[str, np.ndarray], epsilon: float) -> dict[str, np.ndarray]:
    """Brings the names of a detection net's state dict to those of `LAYERS`.

    The published RetinaNet of 2020, told by its names, was trained with frozen norms whose epsilon is 0; their scales
    are changed so that a net with another epsilon computes the same.

    Args:
        tensors: state dict; of another net it is given back as it is.
        epsilon: what the norms of our net add to the variance.

    Returns:
        The tensors under their new names; where two would have one name, each keeps its own.
    """
    if _BOXES not in tensors:
        return dict(tensors)
    every = 3 if _CENTERNESS in tensors else 2  # convolution, norm and activation, or without the norm
    found: dict[str, np.ndarray] = {}
    for name, value in tensors.items():
        renamed = _OLD_PYRAMID.sub(r"\1.0.\2", name) if _OLD_PYRAMID.fullmatch(name) else name
        if match := _COUNTED.fullmatch(name):
            renamed = f"{match[1]}.{int(match[2]) // every}.{int(match[2]) % every}.{match[3]}"
        found[name if renamed != name and renamed in tensors else renamed] = value
    if every == 2 and _OLD_TOWER in tensors:
        _rescale(found, epsilon)
    return found


def _rescale(tensors: dict[str, np.ndarray], epsilon: float) -> None:
    """From norms that divide by the variance alone to norms that add epsilon to it."""
    for name in [name for name in tensors if name.endswith(".running_var")]:
        scale, variance = f"{name.removesuffix('running_var')}weight", tensors[name].astype("d")
        if scale in tensors and tensors[scale].shape == variance.shape:
            with np.errstate(all="ignore"):  # what is not finite is refused later, by its name
                values = tensors[scale] * np.sqrt((variance + epsilon) / variance)
                tensors[scale] = values.astype(tensors[scale].dtype)


def published(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The names that torchvision's own net has, from those of `LAYERS`: FCOS counts otherwise.

    Args:
        state: state dict of a detection net or of any other.
    """
    if _CENTERNESS not in state:
        return dict(state)
    return {_PAIRED.sub(_three, name): value for name, value in state.items()}


def _three(match: re.Match[str]) -> str:
    return f"{match[1]}.{3 * int(match[2]) + int(match[3])}.{match[4]}"
