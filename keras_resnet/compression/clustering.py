"""First centroids for weight clustering."""

from __future__ import annotations

import keras
import numpy as np

from keras_resnet.nets.compressed import Clusters, WithKernel

_ROUNDS = 50


def centroids(values: np.ndarray, clusters: int) -> np.ndarray:
    """k-means of numbers, from centroids that are evenly spread over their range.

    An even start keeps the large weights, which matter most (arXiv:1510.00149, section 3.2).

    Args:
        values: any shape; there may be fewer different ones than clusters.
        clusters: number of clusters, from 2.

    Returns:
        Ascending float32 `(clusters,)`.

    Example:
        >>> import numpy as np
        >>> from keras_resnet.compression.clustering import centroids
        >>> centroids(np.array([0.0, 0.1, 0.9, 1.0]), 2)
        array([0.05, 0.95], dtype=float32)
    """
    values = np.sort(np.float64(values).ravel())
    sums = np.concatenate([[0.0], np.cumsum(values)])
    found = np.linspace(values[0], values[-1], clusters)
    for _ in range(_ROUNDS):
        bounds = np.searchsorted(values, (found[1:] + found[:-1]) / 2)
        first, last = np.concatenate([[0], bounds]), np.concatenate([bounds, [values.size]])
        counts = last - first
        moved = np.where(counts > 0, (sums[last] - sums[first]) / np.maximum(counts, 1), found)
        if np.allclose(moved, found, rtol=0, atol=1e-9):
            break
        found = moved
    return found.astype(np.float32)


def begin(model: keras.Model) -> None:
    """Gives all `Clusters` of a model the centroids of their kernels.

    Args:
        model: result of `rewriting.compressed`, with its weights.
    """
    for layer in model.layers:
        kernel = layer.kernel if isinstance(layer, WithKernel) else None
        for transform in getattr(layer, "transforms", ()):
            if isinstance(transform, Clusters):
                transform.centroids.assign(centroids(keras.ops.convert_to_numpy(kernel), transform.clusters))
            kernel = transform(kernel)
