"""Class activation maps: where in a feature map the evidence for a class lies."""

from __future__ import annotations

import keras
import numpy as np

from keras_resnet.errors import InputError
from keras_resnet.explain.net import Net

_TINY = 1e-12
_BETWEEN = (keras.layers.Dropout, keras.layers.Flatten, keras.layers.Activation)  # pooling and classifier


def cam(net: Net, images: np.ndarray, classes: np.ndarray, layer: str | None = None) -> np.ndarray:
    """Class activation maps: the exact decomposition of a logit over the positions (Zhou et al. 2016, 1512.04150).

    Args:
        net: ends in global average pooling and a dense layer.
        images: preprocessed images, float32 `(N, height, width, channels)`.
        classes: class of each image, int `(N,)`.
        layer: must be None, or the layer whose output is pooled.

    Returns:
        float32 `(N, h, w)`, signed. Its mean plus the classifier's bias is the logit.

    Raises:
        InputError: the net ends in something else.

    Example:
        >>> import numpy as np, keras_resnet
        >>> from keras_resnet.explain import Net, cam
        >>> net = Net(keras_resnet.build("resnet8", weights="digits"))
        >>> cam(net, np.zeros((1, 32, 32, 3), "float32"), np.array([3])).shape
        (1, 8, 8)
    """
    pooled, dense = _pooled_head(net)
    if layer is not None and net.step(layer).layer is not net.step(pooled).layer:
        raise InputError(f"cam decomposes what is pooled, {pooled}: leave out layer={layer}, or use grad-cam")
    _, maps = net.logits(images, layer=pooled)
    kernel = np.asarray(dense.kernel, np.float32)[:, classes]  # (channels, N)
    return np.einsum("nhwc,cn->nhw", np.asarray(maps, np.float32), kernel)


def _pooled_head(net: Net) -> tuple[str, keras.layers.Dense]:
    """The layer whose output is pooled, and the classifier."""
    steps = list(net.steps)
    end = steps.pop() if steps else None
    while steps and isinstance(steps[-1].layer, _BETWEEN) and len(steps[-1].shape) == 1:
        steps.pop()
    pool = steps.pop() if steps else None
    if (
        end is None
        or pool is None
        or not isinstance(end.layer, keras.layers.Dense)
        or not isinstance(pool.layer, keras.layers.GlobalAveragePooling2D)
        or not steps
    ):
        raise InputError(
            "cam needs a net that ends in global average pooling and one dense layer; grad-cam works for any"
        )
    return steps[-1].name, end.layer


def _gradients(net: Net, images: np.ndarray, classes: np.ndarray, layer: str | None):
    """A layer's maps and the gradients of the classes' logits there."""
    maps, slopes = net.slopes(images, classes, net.map_step(layer).name)
    if slopes is None:
        raise InputError(f"the scores do not depend on layer {net.map_step(layer).name}: choose another")
    return maps, slopes


def grad_cam(net: Net, images: np.ndarray, classes: np.ndarray, layer: str | None = None) -> np.ndarray:
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): maps weighted by the mean slope of the logit.

    Args:
        net: image model.
        images: preprocessed images, float32 `(N, height, width, channels)`.
        classes: class of each image, int `(N,)`.
        layer: name of a layer that gives a feature map; by default the last such one.

    Returns:
        float32 `(N, h, w)`, from 0.

    Raises:
        InputError: no such layer, or it gives no map.
    """
    maps, slopes = _gradients(net, images, classes, layer)
    return np.maximum((maps * slopes.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0)


def hires_cam(net: Net, images: np.ndarray, classes: np.ndarray, layer: str | None = None) -> np.ndarray:
    """HiResCAM (Draelos and Carin 2020, arXiv:2011.08891): maps times the slopes of the logit, place by place.

    Grad-CAM takes the mean slope of a map, which says no more where it is: of one object among others this says where.

    Args:
        net: image model.
        images: preprocessed images, float32 `(N, height, width, channels)`.
        classes: class of each image, int `(N,)`.
        layer: name of a layer that gives a feature map; by default the last such one.

    Returns:
        float32 `(N, h, w)`, from 0.

    Raises:
        InputError: no such layer, or it gives no map.
    """
    maps, slopes = _gradients(net, images, classes, layer)
    return np.maximum((maps * slopes).sum(axis=-1), 0)


def grad_cam_plus_plus(net: Net, images: np.ndarray, classes: np.ndarray, layer: str | None = None) -> np.ndarray:
    """Grad-CAM++ (Chattopadhay et al. 2018, arXiv:1710.11063): finds several objects of a class better.

    Its closed form for the exponential of the logit: the slopes' powers stand for the higher derivatives.

    Args:
        net: image model.
        images: preprocessed images, float32 `(N, height, width, channels)`.
        classes: class of each image, int `(N,)`.
        layer: name of a layer that gives a feature map; by default the last such one.

    Returns:
        float32 `(N, h, w)`, from 0.

    Raises:
        InputError: no such layer, or it gives no map.
    """
    maps, slopes = (values.astype(np.float64) for values in _gradients(net, images, classes, layer))
    squares, cubes = slopes**2, slopes**3
    below = 2 * squares + maps.sum(axis=(1, 2), keepdims=True) * cubes
    alpha = np.where(squares > 0, squares / np.where(np.abs(below) > _TINY, below, 1.0), 0.0)
    weights = (alpha * np.maximum(slopes, 0)).sum(axis=(1, 2), keepdims=True)
    return np.maximum((maps * weights).sum(axis=-1), 0).astype(np.float32)
