"""Changes of whole batches that leave every pixel in its place: other light, and what is covered."""

from __future__ import annotations

import math

from keras_resnet.signals.operations import operations


def jitter(images, draws, strength: float):
    """Changes brightness, contrast and saturation, in this order, by random factors (Howard 2013, arXiv:1312.5402).

    Args:
        images: uint8 `(n, H, W, 3)`.
        draws: uniform in [0, 1), `(n, 3)`; 0.5 leaves an image as it is.
        strength: factors lie within `1 - strength` and `1 + strength`.

    Returns:
        uint8 `(n, H, W, 3)`.
    """
    xp, factors = operations(images), 1 + strength * (2 * draws - 1)
    brightness, contrast, saturation = (factors[:, i, None, None, None] for i in range(3))
    x = xp.cast(images, "float32") * brightness
    x = contrast * x + (1 - contrast) * xp.mean(xp.grey(x), axis=(1, 2), keepdims=True)
    x = saturation * x + (1 - saturation) * xp.grey(x)
    return xp.cast(xp.clip(xp.round(x), 0, 255), "uint8")


def erase(images, draws, area: tuple[float, float] = (0.02, 1 / 3), value: int = 127):
    """Covers a random rectangle of every second image with one value (Zhong et al. 2017, arXiv:1708.04896).

    Args:
        images: uint8 `(n, H, W, C)`.
        draws: uniform in [0, 1), `(n, 5)`: whether, area, aspect, row, column.
        area: smallest and largest share of the image.
        value: grey by default, near every data set's mean.

    Returns:
        uint8 `(n, H, W, C)`.
    """
    xp = operations(images)
    share = area[0] + draws[:, 1] * (area[1] - area[0])
    aspect = xp.exp((2 * draws[:, 2] - 1) * math.log(10 / 3))
    covered = xp.cast(draws[:, 0] < 0.5, "float32")

    def inside(size: int, fraction, place):
        """Which pixels lie in an interval of that fraction of the axis; it lies inside the image as a whole."""
        fraction = xp.minimum(fraction, 1.0)[:, None] * covered[:, None]
        position = (xp.arange(size, "float32")[None] + 0.5) / size
        first = place[:, None] * (1 - fraction)
        return (position >= first) & (position < first + fraction)

    rows = inside(images.shape[1], xp.sqrt(share / aspect), draws[:, 3])
    columns = inside(images.shape[2], xp.sqrt(share * aspect), draws[:, 4])
    mask = (rows[:, :, None] & columns[:, None])[..., None]
    return xp.where(mask, xp.cast(value, images.dtype), images)
