"""Attributions to pixels by gradients: integrated gradients and SmoothGrad."""

from __future__ import annotations

import numpy as np

from keras_resnet.explain.net import Net

_BATCH = 32
_PIXELS = _BATCH * 224 * 224  # of a batch at most: slopes need the maps of all layers
TOLERANCE = 0.01  # of integrated gradients: relative error of their sum
_FIRST, _MOST = 64, 2048  # steps on the path


def _slopes(net: Net, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Gradients of the classes' logits, float32 of the images' shape."""
    parts = []
    batch = min(_BATCH, max(1, _PIXELS // (images.shape[1] * images.shape[2])))
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        parts.append(net.slopes(images[part], classes[part])[1])
    return np.concatenate(parts)


def integrated_gradients(
    net: Net,
    images: np.ndarray,
    classes: np.ndarray,
    baseline: np.ndarray | float = 0.0,
    *,
    tolerance: float = TOLERANCE,
) -> tuple[np.ndarray, np.ndarray]:
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365).

    The slopes are averaged at the middles of 64 equal steps between the baseline and the image; the steps are doubled,
    up to 2,048, until the attributions add up to the change of the logit (completeness).

    Args:
        net: image model.
        images: preprocessed images, float32 `(N, height, width, channels)`.
        classes: class of each image, int `(N,)`.
        baseline: preprocessed too, `(height, width, channels)` or one that broadcasts.
        tolerance: relative error of the sum to stop at.

    Returns:
        float32 `(N, height, width, channels)`, signed, and `(N,)`: the relative error of each image's sum.
    """
    maps, errors = zip(
        *(_integrated(net, image, int(cls), baseline, tolerance) for image, cls in zip(images, classes, strict=True)),
        strict=True,
    )
    return np.stack(maps), np.array(errors)


def _integrated(net: Net, image: np.ndarray, cls: int, baseline, tolerance: float) -> tuple[np.ndarray, float]:
    start = np.broadcast_to(np.asarray(baseline, np.float32), image.shape)
    ends = np.asarray(net.scalar(net.logits(np.stack([start, image])), np.full(2, cls))).astype(np.float64)
    change, steps = ends[1] - ends[0], _FIRST
    while True:
        total = np.zeros(image.shape, np.float64)
        for first in range(0, steps, _BATCH):
            places = (np.arange(first, min(first + _BATCH, steps)) + 0.5) / steps
            points = start + places[:, None, None, None].astype(np.float32) * (image - start)
            total += _slopes(net, points, np.full(len(points), cls)).sum(axis=0, dtype=np.float64)
        found = (image - start) * total / steps
        error = abs(found.sum() - change) / max(abs(change), 1e-6)
        if error <= tolerance or steps >= _MOST:
            return found.astype(np.float32), error
        steps *= 2


def smoothgrad(
    net: Net, images: np.ndarray, classes: np.ndarray, *, samples: int = 32, noise: float = 0.15, seed: int = 0
) -> np.ndarray:
    """SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825): the mean slope over noisy copies.

    Args:
        net: image model.
        images: preprocessed images, float32 `(N, height, width, channels)`.
        classes: class of each image, int `(N,)`.
        samples: number of noisy copies of each image.
        noise: standard deviation as a share of the image's range.
        seed: seed of the noise.

    Returns:
        float32 `(N, height, width, channels)`, signed.
    """
    draw, found = np.random.default_rng(seed), []
    for image, cls in zip(images, classes, strict=True):
        spread = noise * float(image.max() - image.min())
        copies = image + draw.normal(scale=spread, size=(samples, *image.shape)).astype(np.float32)
        found.append(_slopes(net, copies, np.full(samples, int(cls))).mean(axis=0))
    return np.stack(found)
