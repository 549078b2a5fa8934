"""Variants that a weight file looks like, told from its tensors' names and shapes alone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping

import numpy as np

from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.interface import STEMS, ResNetSpec
from keras_resnet.nets.specs import SPECS

# (stage, block, convolution) in the names of ours, of torchvision and of timm's v2 nets, and the numbers that the
# first stage and block have there. Kernels of PyTorch are (out, in, k, k).
_NAMES = (
    (re.compile(r"conv(\d+)_block(\d+)_(\d)_conv/kernel"), (2, 1), (0, -2, -1)),
    (re.compile(r"layer(\d+)\.(\d+)\.conv(\d)\.weight"), (1, 0), (2, 1, 0)),
    (re.compile(r"stages\.(\d+)\.blocks\.(\d+)\.conv(\d)\.weight"), (0, 0), (2, 1, 0)),
)
_PROJECTION = re.compile(r"_0_conv/kernel|downsample\.([01]|conv)\.weight")
Body = dict[tuple[int, int, int], tuple[int, int, int]]


def looks_like(tensors: Mapping[str, np.ndarray], at_most: int = 3) -> list[str]:
    """Names of the variants whose convolutions are those of a file.

    Args:
        tensors: arrays by our names or by those of torchvision, timm or the CIFAR nets.
        at_most: largest number of names.

    Returns:
        The best fitting names, empty if no variant fits; nets against aliasing, whose files look like those of the
        plain ones, are left out.
    """
    body = _body(tensors)
    rows = [spec for spec in SPECS.values() if spec.antialiasing == "none"]
    same = [spec for spec in rows if body and dict(_expected(spec)) == body]
    scores = {spec.name: _agreement(spec, tensors) for spec in same}
    best = max(scores.values(), default=0)
    return [name for name, score in scores.items() if score == best][:at_most]


def hint(tensors: Mapping[str, np.ndarray], spec: ResNetSpec) -> str:
    """The end of an error message: what the file looks like, if that is not the net it was meant for."""
    names = looks_like(tensors)
    plain = graph_of(dataclasses.replace(spec, antialiasing="none"))
    return (
        ""
        if not names or any(graph_of(SPECS[name]) == plain for name in names)
        else f". The file looks like {' or '.join(names)}"
    )


def graph_of(spec: ResNetSpec) -> ResNetSpec:
    """The spec without what changes nothing in the layers before the head."""
    return dataclasses.replace(spec, name="any", classes=1, paper="")


def _body(tensors: Mapping[str, np.ndarray]) -> Body:
    """Kernel size, input and output channels of every convolution of the residuals."""
    found = {}
    for name, value in tensors.items():
        for pattern, (stage, block), axes in _NAMES:
            match = pattern.search(name)
            if match and int(match[3]) and value.ndim == 4:
                place = (int(match[1]) - stage, int(match[2]) - block, int(match[3]))
                found[place] = tuple(value.shape[axis] for axis in axes)
    return found


def _expected(spec: ResNetSpec) -> Iterator[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    places = [(stage, block) for stage, depth in enumerate(spec.depths) for block in range(depth)]
    channels = spec.stem_channels
    for place, block in zip(places, spec.blocks(), strict=True):
        if spec.block == "basic":
            kernels = [(3, channels, block.filters), (3, block.filters, block.filters)]
        else:
            inner = spec.inner_width(block.filters)
            kernels = [
                (1, channels, inner),
                (3, inner // spec.cardinality, inner),
                (1, inner, block.filters * spec.expansion),
            ]
        channels = block.filters * spec.expansion
        yield from (((*place, number), kernel) for number, kernel in enumerate(kernels, 1))


def _agreement(spec: ResNetSpec, tensors: Mapping[str, np.ndarray]) -> int:
    """Number of features beside the residuals' kernels that are those of the file."""
    text = "\n".join(tensors)
    projections = len(_PROJECTION.findall(text))
    shortcut = {"A": not projections, "none": not projections, "C": projections == sum(spec.depths)}
    pooled = "downsample.2" in text  # in PyTorch's names option D counts one further
    features = (
        shortcut.get(spec.shortcut, 0 < projections < sum(spec.depths)),
        bool(spec.se_ratio) == bool(re.search(r"_se_1_conv|\.se\.fc1", text)),
        bool(STEMS[spec.stem].widths) == bool(re.search(r"conv1_1_conv|^conv1\.0\.", text, re.MULTILINE)),
        (spec.stem == "rs") == bool(re.search(r"pool1_conv|^maxpool\.0", text, re.MULTILINE)),
        spec.preactivation == bool(re.search(r"_preact_bn|\.norm1\.", text)),
        (CONVENTIONS[spec.convention].conv_bias == "all") == bool(re.search(r"_1_conv/bias|conv1\.bias", text)),
        pooled == (spec.shortcut == "D") or "/" in text,
        (spec.stem == "cifar") == (_stem_kernel(tensors) == 3) or bool(STEMS[spec.stem].widths),
    )
    return sum(features)


def _stem_kernel(tensors: Mapping[str, np.ndarray]) -> int | None:
    for name, axis in (("conv1_conv/kernel", 0), ("conv1.weight", 2), ("stem.conv.weight", 2)):
        if name in tensors and tensors[name].ndim == 4:
            return tensors[name].shape[axis]
    return None
