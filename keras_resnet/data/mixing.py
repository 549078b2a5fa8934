"""MixUp and CutMix of a batch with itself, as functions of a seed: a resumed run mixes what the first one mixed.

Keras' own layers draw from a generator with a state, which a pipeline that starts in the middle of a run cannot have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.data import draws
from keras_resnet.signals.operations import operations

_AXES = 3  # of an example, at most
VALUES = 2 + _AXES  # of a batch: weight of mixup, share that cutmix cuts out, the rectangle's centre


def mixup(images, targets, weight):
    """Weighted means of pairs of images and of their targets (Zhang et al. 2017, arXiv:1710.09412).

    Args:
        images: examples of any signal, `(n, ...)`, any number type.
        targets: float `(n, ...)`, or a dict of such tensors.
        weight: weight of every image, 0 to 1; that of its partner is the rest. One for the batch.

    Returns:
        float32 images and targets of the same shapes.
    """
    images = operations(images).cast(images, "float32")
    return _blended(images, weight), _each(targets, weight)


def _blended(values, weight):
    """`weight` of every example, the rest of the one that it is paired with: first and last, and so on."""
    return weight * values + (1 - weight) * values[::-1]


def _each(targets, weight):
    if isinstance(targets, Mapping):
        return {name: _blended(values, weight) for name, values in targets.items()}
    return _blended(targets, weight)


def cutmix(images, targets, area, centre):
    """A rectangle of every image comes from another one, and the targets follow its area (arXiv:1905.04899).

    Args:
        images: examples of any signal, `(n, *axes, C)`, any number type; the rectangle has as many axes.
        targets: float `(n, ...)`, or a dict of such tensors.
        area: share of an image that the rectangle would cover if it lay inside as a whole, 0 to 1.
        centre: place of its centre along the axes, 0 to 1, `(axes,)` or more.

    Returns:
        float32 images and targets of the same shapes.
    """
    xp, sizes = operations(images), images.shape[1:-1]
    side = xp.sqrt(area) if len(sizes) == 2 else area ** (1 / len(sizes))
    patch = None
    for axis, size in enumerate(sizes):
        along = [size if each == axis else 1 for each in range(len(sizes))]
        position = (xp.arange(size, "float32") + 0.5) / size
        inside = xp.reshape(xp.abs(position - centre[axis]) < side / 2, [1, *along, 1])
        patch = inside if patch is None else patch & inside
    share = 1 - xp.mean(xp.cast(patch, "float32"))
    images = xp.cast(images, "float32")
    return xp.where(patch, images[::-1], images), _each(targets, share)


@dataclass(frozen=True)
class Mix:
    """The mixing of a recipe: one of both, or for every batch one of them with equal probability.

    Attributes:
        mixup: parameter of the symmetric beta distribution that the weight of `mixup` is drawn from, one for a batch;
            small values keep most batches nearly as they are. 0 for no such mixing.
        cutmix: likewise of the share of the area that stays in `cutmix`.
    """

    mixup: float
    cutmix: float

    def values(self, seed: draws.Seed) -> np.ndarray:
        """Draws what a batch is mixed by, float32 `(VALUES,)`; a method that is not its turn gets what changes nothing.

        Args:
            seed: seed of the batch, as `Epochs.batch_seed` gives it.
        """
        from scipy.special import betaincinv

        which, beta, *centre = draws.uniform64(seed, 2 + _AXES)
        turn = which < 0.5 if self.mixup and self.cutmix else bool(self.mixup)
        kept = betaincinv(alpha := self.mixup if turn else self.cutmix, alpha, beta)  # the draw of that distribution
        return np.array([kept if turn else 1.0, 0.0 if turn else 1 - kept, *centre], np.float32)

    def __call__(self, images: Any, targets: Any, values: Any) -> tuple[Any, Any]:
        """Mixes a batch.

        Args:
            images: examples of any signal, `(n, *axes, C)`, any number type.
            targets: float `(n, ...)`, or a dict of such tensors.
            values: what `values` gave, an array or a tensor.

        Returns:
            float32 images and targets of the same shapes.
        """
        if self.mixup:
            images, targets = mixup(images, targets, values[0])
        if self.cutmix:
            images, targets = cutmix(images, targets, values[1], values[2:])
        return images, targets


def make_mix(mixup_alpha: float, cutmix_alpha: float) -> Mix | None:
    """Makes the mixing of a recipe.

    Args:
        mixup_alpha: `mixup` of a `Mix`.
        cutmix_alpha: `cutmix` of a `Mix`.

    Returns:
        The mixing; None where both are 0.
    """
    return Mix(mixup_alpha, cutmix_alpha) if mixup_alpha or cutmix_alpha else None
