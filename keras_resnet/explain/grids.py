"""First-layer filters and feature maps as grids of pictures."""

from __future__ import annotations

import math

import keras
import numpy as np

from keras_resnet import pictures
from keras_resnet.errors import InputError
from keras_resnet.explain.net import Net

_MOST = 256  # pictures; of more channels the first ones are shown


def first_filters(net: Net) -> tuple[str, np.ndarray]:
    """Kernels of the first convolution.

    Args:
        net: image model.

    Returns:
        Name of the layer and float32 `(filters, height, width, 1 or 3)`, each scaled to 0..1, grey at 0.5 standing for
        zero. Kernels over other numbers of channels are shown as their mean.

    Raises:
        InputError: the first convolution has no 2-D kernel.
    """
    for step in net.steps:
        if isinstance(step.layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel = np.asarray(step.layer.kernel, np.float32)  # (height, width, channels, filters)
            if kernel.shape[2] != 3:
                kernel = kernel.mean(axis=2, keepdims=True)
            filters = kernel.transpose(3, 0, 1, 2)
            largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
            return step.name, filters / np.maximum(2 * largest, 1e-12) + 0.5
    raise InputError(f"model '{net.model.name}' has no 2-D convolution")


def feature_maps(net: Net, image: np.ndarray, layer: str | None = None) -> tuple[str, np.ndarray]:
    """Feature maps of a layer, one per channel.

    Args:
        net: image model.
        image: preprocessed image, float32 `(height, width, channels)`.
        layer: name of the layer; by default the last one that gives a map.

    Returns:
        Name of the layer and float32 `(channels, h, w, 1)`, each scaled to 0..1.

    Raises:
        InputError: no such layer, or it gives no map.
    """
    name = net.map_step(layer).name
    _, maps = net.logits(image[None], layer=name)
    channels = np.asarray(maps[0], np.float32).transpose(2, 0, 1)[..., None]
    low, high = channels.min(axis=(1, 2, 3), keepdims=True), channels.max(axis=(1, 2, 3), keepdims=True)
    return name, (channels - low) / np.maximum(high - low, 1e-12)


def draw(tiles: np.ndarray, title: str):
    """A grid of small pictures.

    Args:
        tiles: float `(N, height, width, 1 or 3)`, 0..1.
        title: title above the figure.
    """
    shown = tiles[:_MOST]
    columns = math.ceil(math.sqrt(len(shown) * 1.6))
    lines = math.ceil(len(shown) / columns)
    made = pictures.figure(0.75 * columns + 0.3, 0.75 * lines + 0.7)
    more = f" (the first {_MOST} of {len(tiles)})" if len(tiles) > _MOST else ""
    made.suptitle(title + more, fontsize=10)
    for place, axes in enumerate(made.subplots(lines, columns, squeeze=False).flat):
        axes.axis("off")
        if place < len(shown):
            tile = shown[place]
            axes.imshow(tile[..., 0] if tile.shape[-1] == 1 else tile, cmap="gray", vmin=0, vmax=1)
    return made
