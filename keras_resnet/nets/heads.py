"""Heads: what joins a feature map and answers."""

from __future__ import annotations

from collections.abc import Callable

import keras

from keras_resnet.nets.blocks import Primitives
from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.options import Options

# Makes a layer of a class's name (`ND` stands for the rank), a name and arguments: `Primitives.layer`.
Layer = Callable[..., Callable]


def layer_maker(rank: int, prefix: str = "") -> Layer:
    """A maker of Keras layers for heads.

    Args:
        rank: number of spatial axes.
        prefix: beginning of every layer's name.
    """
    # The convention decides on convolutions and norms only, of which heads of their own spell theirs.
    return Primitives(CONVENTIONS["torch"], keras, Options(rank=rank, prefix=prefix)).layer


def classifier(layer: Layer, x, classes: int, *, activation: str | None, dropout: float = 0.0):
    """Global average pooling and a dense layer.

    Args:
        layer: maker of layers, `Primitives.layer`.
        x: feature map `(N, H, W, channels)`, or of another rank.
        classes: number of outputs.
        activation: name of the last activation; None for logits.
        dropout: rate between pooling and classifier, 0 to below 1.

    Returns:
        `(N, classes)`, float32.
    """
    x = layer("GlobalAveragePoolingND", "avg_pool")(x)
    if dropout:
        x = layer("Dropout", "dropout", dropout)(x)
    # Under a mixed policy the softmax stays in float32: float16 probabilities lose the small ones.
    return layer("Dense", "predictions", classes, activation=activation, dtype="float32")(x)
