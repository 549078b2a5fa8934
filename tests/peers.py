"""Small nets that keras.applications' own code builds, and the specs of ours that must be the same nets."""

import dataclasses
import functools

import keras

from keras_resnet import ResNetSpec
from keras_resnet.nets.specs import SPECS

NAMES = ("resnet50", "resnet50v2")
DEPTHS, WIDTH = (2, 2, 2, 2), 8  # in place of (3, 4, 6, 3) and 64; every kind of block stays


def spec(name: str) -> ResNetSpec:
    """The row with fewer blocks and channels; the stem keeps its 64, which keras.applications has no argument for."""
    return dataclasses.replace(SPECS[name], name=f"small_{name}", depths=DEPTHS, width=WIDTH, stem_width=64)


def build(name: str, **arguments) -> keras.Model:
    """The net of `spec`, from keras.applications' functions."""
    from keras.src.applications import resnet

    v2 = name.endswith("v2")
    stack = resnet.stack_residual_blocks_v2 if v2 else resnet.stack_residual_blocks_v1
    unstrided = len(DEPTHS) - 1 if v2 else 0  # the stage whose first, in V2 last, block has stride 1

    def stages(x):
        for number, depth in enumerate(DEPTHS):
            stride = {"stride1": 1} if number == unstrided else {}
            x = stack(x, WIDTH * 2**number, depth, name=f"conv{number + 2}", **stride)
        return x

    make = functools.partial(resnet.ResNet, stages, v2, True, weights=None, name=f"small_{name}")
    return make(**arguments)
