"""MixUp and CutMix of a batch with itself, as functions of a seed: a resumed run mixes what the first one mixed.

Keras' own layers draw from a generator with a state, which a pipeline that starts in the middle of a run cannot have.
"""

from __future__ import annotations

from collections.abc import Callable

Mix = Callable[[object, object, object], tuple[object, object]]


def mixup(images, targets, seed, alpha: float):
    """Weighted means of pairs of images and of their targets (Zhang et al. 2017, arXiv:1710.09412).

    Args:
        images: `(n, H, W, C)`, any number type.
        targets: `(n, classes)`, float.
        seed: int64 `(2,)`.
        alpha: of the symmetric beta distribution that one weight for the batch is drawn from; small values keep most
            batches nearly as they are.

    Returns:
        float32 images and targets of the same shapes.
    """
    import tensorflow as tf

    weight = _beta(seed, alpha)
    images = tf.cast(images, tf.float32)
    return (weight * images + (1 - weight) * images[::-1], weight * targets + (1 - weight) * targets[::-1])


def cutmix(images, targets, seed, alpha: float):
    """A rectangle of every image comes from another one, and the targets follow its area (arXiv:1905.04899).

    Args and result as in `mixup`; `alpha` is that of the area that stays.
    """
    import tensorflow as tf

    height, width = images.shape[1], images.shape[2]
    side = tf.sqrt(1 - _beta(seed, alpha))
    centre = tf.random.stateless_uniform((2,), seed + 1)
    rows = _inside(height, centre[0], side)
    columns = _inside(width, centre[1], side)
    patch = (rows[:, None] & columns[None])[None, :, :, None]
    share = 1 - tf.reduce_mean(tf.cast(patch, tf.float32))
    images = tf.cast(images, tf.float32)
    return tf.where(patch, images[::-1], images), share * targets + (1 - share) * targets[::-1]


def _inside(size: int, centre, side):
    """Which of `size` pixels lie in an interval of that length, a fraction, around that centre."""
    import tensorflow as tf

    position = (tf.range(size, dtype=tf.float32) + 0.5) / size
    return tf.abs(position - centre) < side / 2


def _beta(seed, alpha: float):
    """One draw of Beta(alpha, alpha), from two gamma variables."""
    import tensorflow as tf

    one, other = tf.unstack(tf.random.stateless_gamma((2,), seed, alpha=alpha) + 1e-12)
    return one / (one + other)


def make_mix(mixup_alpha: float, cutmix_alpha: float) -> Mix | None:
    """The mixing of a recipe: none, one, or for every batch one of both with equal probability."""
    if mixup_alpha and cutmix_alpha:

        def either(images, targets, seed):
            import tensorflow as tf

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
