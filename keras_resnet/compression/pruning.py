"""Magnitude pruning: which weights of a kernel stay, and the schedule by which the others go."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from keras_resnet.compression.settings import Sparsity
from keras_resnet.nets.compressed import Mask, WithKernel, kernels

_POWER = 3  # of the schedule, arXiv:1710.01878


def mask(kernel: np.ndarray, sparsity: Sparsity, share: float | None = None) -> np.ndarray:
    """Mask of the weights that stay: the largest ones.

    Args:
        kernel: kernel, float `(..., input channels, output channels)`.
        sparsity: sparsity at the end.
        share: share that is 0 at this moment; all by default. A pattern is reached by more and more of its groups.

    Returns:
        Ones and zeros, float32, of the kernel's shape. Ties are decided by the place, so that the share is exact.

    Example:
        >>> import numpy as np
        >>> from keras_resnet.compression.pruning import mask
        >>> from keras_resnet.compression.settings import parse_sparsity
        >>> mask(np.array([[4.0], [-3.0], [2.0], [1.0]]), parse_sparsity("2:4")).ravel()
        array([1., 1., 0., 0.], dtype=float32)
    """
    share = sparsity.share if share is None else share
    sizes = np.abs(kernel)
    wanted = round(share * sizes.size)
    if sparsity.group:
        candidates = _outside_of_pattern(sizes, sparsity)
        sizes = np.where(candidates, sizes, np.inf)
        wanted = round(share / sparsity.share * candidates.sum())
    kept = np.ones(sizes.size, np.float32)
    kept[np.argsort(sizes, axis=None, kind="stable")[:wanted]] = 0
    return kept.reshape(sizes.shape)


def scores(kernel: np.ndarray) -> np.ndarray:
    """Squares relative to the sum of all that are not smaller, which are comparable between layers.

    A layer's largest weight has score 1: small layers, where every weight counts, keep more of theirs (LAMP,
    arXiv:2010.07611).

    Args:
        kernel: float array of any shape.

    Returns:
        0 to 1, of the kernel's shape.
    """
    squares = np.square(np.float64(kernel)).ravel()
    order = np.argsort(-squares, kind="stable")
    found = np.empty_like(squares)
    found[order] = squares[order] / np.maximum(np.cumsum(squares[order]), 1e-30)
    return found.reshape(kernel.shape)


def masks(kernels: Sequence[np.ndarray], sparsity: Sparsity, share: float) -> list[np.ndarray]:
    """Masks of the weights of a net that stay.

    Args:
        kernels: kernels of all its layers, float `(..., input channels, output channels)`.
        sparsity: sparsity at the end: a pattern holds in every kernel, a share over all kernels together.
        share: share of zeros at this moment.

    Returns:
        Ones and zeros of the kernels' shapes.
    """
    if sparsity.group:
        return [mask(kernel, sparsity, share) for kernel in kernels]
    together = np.concatenate([scores(kernel).ravel() for kernel in kernels])
    kept = mask(together, sparsity, share)
    parts = np.split(kept, np.cumsum([kernel.size for kernel in kernels])[:-1])
    return [part.reshape(kernel.shape) for part, kernel in zip(parts, kernels, strict=True)]


def _outside_of_pattern(sizes: np.ndarray, sparsity: Sparsity) -> np.ndarray:
    """The smallest `group - keep` of every group; channels that fill no group stay."""
    channels = sizes.shape[-2] // sparsity.group * sparsity.group
    moved = np.moveaxis(sizes[..., :channels, :], -2, -1)  # (..., output channels, input channels)
    groups = moved.reshape(*moved.shape[:-1], -1, sparsity.group)
    order = np.argsort(groups, axis=-1, kind="stable")
    smallest = np.zeros(groups.shape, bool)
    np.put_along_axis(smallest, order[..., : sparsity.group - sparsity.keep], True, axis=-1)
    found = np.zeros(sizes.shape, bool)
    found[..., :channels, :] = np.moveaxis(smallest.reshape(moved.shape), -1, -2)
    return found


def interval(steps: int) -> int:
    """Steps between two removals: at most 100, and at least ten removals in all.

    Args:
        steps: number of steps until the last removal.
    """
    return max(1, min(100, steps // 10))


class Schedule(keras.callbacks.Callback):
    """Removes weights while a net is trained, fast at first and slowly at the end (arXiv:1710.01878, power 3).

    A removed weight stays removed: it has magnitude 0 in the next round.
    """

    def __init__(self, model: keras.Model, sparsity: Sparsity, steps: int, *, epoch_steps: int, done: int = 0):
        """Takes what it acts on.

        Args:
            model: model with `Mask` transforms.
            sparsity: sparsity at the end.
            steps: number of steps until then; what remains of the training heals the net.
            epoch_steps: number of steps in an epoch.
            done: number of steps that a resumed run has behind it; its masks come from the checkpoint.
        """
        super().__init__()
        self.pruned, self.sparsity, self.steps, self.every = masked(model), sparsity, max(1, steps), interval(steps)
        self.epoch_steps, self.step = epoch_steps, done

    def share(self, step: int) -> float:
        """Fraction of pruned weights at a training step."""
        left = 1 - min(1.0, step / self.steps)
        return self.sparsity.share * (1 - left**_POWER)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Batches are counted from here."""
        self._before = epoch * self.epoch_steps

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Prunes every so many steps until the end of the schedule; steps of before the checkpoint are passed over."""
        now, last = self._before + batch + 1, self.step
        if now <= last:
            return
        self.step = now
        if last < self.steps and (now // self.every > last // self.every or now >= self.steps):
            self.prune()

    def prune(self) -> None:
        """Makes the masks of this moment."""
        effective = [
            np.asarray(keras.ops.convert_to_numpy(layer.kernel * transform.mask)) for layer, transform in self.pruned
        ]
        found = masks(effective, self.sparsity, self.share(self.step))
        for (_, transform), value in zip(self.pruned, found, strict=True):
            transform.mask.assign(value)


def masked(model: keras.Model) -> list[tuple[keras.layers.Layer, Mask]]:
    """Layers with a mask, and their masks.

    Args:
        model: result of `rewriting.compressed`.
    """
    layers = [layer for layer in model.layers if isinstance(layer, WithKernel)]
    return [(layer, each) for layer in layers for each in layer.transforms if isinstance(each, Mask)]


def attainable(kernels: Sequence[np.ndarray], sparsity: Sparsity) -> float:
    """Share of zeros that a sparsity comes to: channels that fill no group of a pattern keep theirs.

    Args:
        kernels: kernels of all layers, float `(..., input channels, output channels)`.
        sparsity: sparsity at the end.

    Example:
        >>> import numpy as np
        >>> from keras_resnet.compression.pruning import attainable
        >>> from keras_resnet.compression.settings import parse_sparsity
        >>> attainable([np.ones((3, 1)), np.ones((4, 3))], parse_sparsity("2:4"))
        0.4
    """
    found = masks(kernels, sparsity, sparsity.share)
    return float(sum((kept == 0).sum() for kept in found) / sum(kept.size for kept in found))


def sparsity_of(model: keras.Model) -> float:
    """Share of zeros among the weights of convolutions and dense layers.

    Args:
        model: plain, or trained for integers.
    """
    values = kernels(model).values()
    return float(sum((kernel == 0).sum() for kernel in values) / sum(kernel.size for kernel in values))
