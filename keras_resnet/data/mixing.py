"""MixUp and CutMix of a batch with itself, as functions of a seed: a resumed run mixes what the first one mixed.

Keras' own layers draw from a generator with a state, which a pipeline that starts in the middle of a run cannot have.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Mix = Callable[[object, object, object], tuple[object, object]]


def mixup(images, targets, seed, alpha: float):
    """Weighted means of pairs of images and of their targets (Zhang et al. 2017, arXiv:1710.09412).

    Args:
        images: examples of any signal, `(n, ...)`, any number type.
        targets: float `(n, ...)`, or a dict of such tensors.
        seed: int64 `(2,)`.
        alpha: parameter of the symmetric beta distribution that one weight for the batch is drawn from; small values
            keep most batches nearly as they are.

    Returns:
        float32 images and targets of the same shapes.
    """
    weight = _beta(seed, alpha)
    images = tf.cast(images, tf.float32)
    return _blended(images, weight), tf.nest.map_structure(lambda each: _blended(each, weight), targets)


def _blended(values, weight):
    """`weight` of every example, the rest of the one that it is paired with: first and last, and so on."""
    return weight * values + (1 - weight) * values[::-1]


def cutmix(images, targets, seed, alpha: float):
    """A rectangle of every image comes from another one, and the targets follow its area (arXiv:1905.04899).

    Args:
        images: examples of any signal, `(n, *axes, C)`, any number type; the rectangle has as many axes.
        targets: float `(n, ...)`, or a dict of such tensors.
        seed: int64 `(2,)`.
        alpha: parameter of the symmetric beta distribution that the share of the area that stays is drawn from.

    Returns:
        float32 images and targets of the same shapes.
    """
    sizes = images.shape[1:-1]
    area = 1 - _beta(seed, alpha)
    side = tf.sqrt(area) if len(sizes) == 2 else area ** (1 / len(sizes))
    centre = tf.random.stateless_uniform((len(sizes),), seed + 1)
    patch = tf.constant(True)
    for axis, size in enumerate(sizes):
        along = [size if each == axis else 1 for each in range(len(sizes))]
        patch &= tf.reshape(_inside(size, centre[axis], side), [1, *along, 1])
    share = 1 - tf.reduce_mean(tf.cast(patch, tf.float32))
    images = tf.cast(images, tf.float32)
    mixed = tf.where(patch, images[::-1], images)
    return mixed, tf.nest.map_structure(lambda each: _blended(each, share), targets)


def _inside(size: int, centre, side):
    """Says which of `size` elements lie in an interval of that length, a fraction, around that centre."""
    position = (tf.range(size, dtype=tf.float32) + 0.5) / size
    return tf.abs(position - centre) < side / 2


def _beta(seed, alpha: float):
    """One draw of Beta(alpha, alpha), from two gamma variables."""
    one, other = tf.unstack(tf.random.stateless_gamma((2,), seed, alpha=alpha) + 1e-12)
    return one / (one + other)


def make_mix(mixup_alpha: float, cutmix_alpha: float) -> Mix | None:
    """Makes the mixing of a recipe: none, one, or for every batch one of both with equal probability.

    Args:
        mixup_alpha: `alpha` of `mixup`; 0 for none.
        cutmix_alpha: `alpha` of `cutmix`; 0 for none.
    """
    if mixup_alpha and cutmix_alpha:

        def either(images, targets, seed):
            return tf.cond(
                tf.random.stateless_uniform((), seed + 2) < 0.5,
                lambda: mixup(images, targets, seed, mixup_alpha),
                lambda: cutmix(images, targets, seed, cutmix_alpha),
            )

        return either
    if mixup_alpha:
        return lambda images, targets, seed: mixup(images, targets, seed, mixup_alpha)
    if cutmix_alpha:
        return lambda images, targets, seed: cutmix(images, targets, seed, cutmix_alpha)
    return None
