"""The usual corruptions in five strengths, after Hendrycks and Dietterich 2019, arXiv:1903.12261.

Kinds and strengths are those of their ImageNet-C, and of CIFAR-10-C for small images; the code is our own, so figures
compare between models measured here, not with tables of the published image sets.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_resnet.errors import unknown_name

STRENGTHS = (1, 2, 3, 4, 5)
_SMALL = 64  # pixels of the shorter side, up to which an image gets the strengths of CIFAR-10-C


def _gaussian_noise(image: np.ndarray, amount: float, draw: np.random.Generator) -> np.ndarray:
    return image + draw.normal(scale=amount, size=image.shape)


def _shot_noise(image: np.ndarray, photons: float, draw: np.random.Generator) -> np.ndarray:
    return draw.poisson(image * photons) / photons


def _impulse_noise(image: np.ndarray, share: float, draw: np.random.Generator) -> np.ndarray:
    hit, salt = draw.random(image.shape) < share, draw.random(image.shape) < 0.5
    return np.where(hit, salt, image)


def _gaussian_blur(image: np.ndarray, sigma: float, draw: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=4)


def _contrast(image: np.ndarray, factor: float, draw: np.random.Generator) -> np.ndarray:
    mean = image.mean(axis=(0, 1), keepdims=True)
    return (image - mean) * factor + mean


def _brightness(image: np.ndarray, amount: float, draw: np.random.Generator) -> np.ndarray:
    return image + amount


def _jpeg(image: np.ndarray, quality: float, draw: np.random.Generator) -> np.ndarray:
    from PIL import Image

    packed = io.BytesIO()
    _picture(image).save(packed, "JPEG", quality=int(quality))
    return np.asarray(Image.open(packed)).reshape(image.shape) / 255


def _pixelate(image: np.ndarray, factor: float, draw: np.random.Generator) -> np.ndarray:
    from PIL import Image

    height, width = image.shape[:2]
    small = _picture(image).resize((max(1, int(width * factor)), max(1, int(height * factor))), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST)).reshape(image.shape) / 255


def _picture(image: np.ndarray):
    from PIL import Image

    values = np.rint(image * 255).astype(np.uint8)
    return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)


@dataclass(frozen=True)
class Corruption:
    """A row of `CORRUPTIONS`.

    Attributes:
        apply: function of an image (float 0..1, `(H, W, C)`), an amount and random numbers; gives an image.
        large: amounts of the five strengths, for images of more than 64 pixels.
        small: amounts of the five strengths, for images of up to 64 pixels.
    """

    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    large: tuple[float, ...]
    small: tuple[float, ...]


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian-noise": Corruption(_gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot-noise": Corruption(_shot_noise, (60, 25, 12, 5, 3), (500, 250, 100, 75, 50)),
    "impulse-noise": Corruption(_impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27), (0.01, 0.02, 0.03, 0.05, 0.07)),
    "gaussian-blur": Corruption(_gaussian_blur, (1, 2, 3, 4, 6), (0.4, 0.6, 0.7, 0.8, 1.0)),
    "jpeg": Corruption(_jpeg, (25, 18, 15, 10, 7), (80, 65, 58, 50, 40)),
    "pixelate": Corruption(_pixelate, (0.6, 0.5, 0.4, 0.3, 0.25), (0.95, 0.9, 0.85, 0.75, 0.65)),
    "contrast": Corruption(_contrast, (0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15)),
    "brightness": Corruption(_brightness, (0.1, 0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3)),
}


def corrupt(images: np.ndarray, kind: str, strength: int, *, seed: int = 0, first: int = 0) -> np.ndarray:
    """Corrupts images; the same image at the same place gets the same noise, however many go with it.

    Args:
        images: uint8 `(N, H, W, C)`, one or three channels.
        kind: row of `CORRUPTIONS`.
        strength: strength, 1 to 5.
        seed: seed of the noise.
        first: position of the first image in its split.

    Returns:
        The corrupted images, uint8 `(N, H, W, C)`.

    Raises:
        InputError: no such corruption or strength.

    Example:
        >>> import numpy as np
        >>> grey = np.full((1, 8, 8, 3), 100, "uint8")
        >>> int(corrupt(grey, "brightness", 1).mean())
        113
    """
    if kind not in CORRUPTIONS:
        raise unknown_name("corruption", kind, CORRUPTIONS)
    if strength not in STRENGTHS:
        raise unknown_name("strength", str(strength), map(str, STRENGTHS))
    row = CORRUPTIONS[kind]
    amount = (row.small if min(images.shape[1:3]) <= _SMALL else row.large)[strength - 1]
    result = np.empty_like(images)
    for place, image in enumerate(images):
        changed = row.apply(image / 255.0, amount, np.random.default_rng((seed, first + place)))
        result[place] = np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8)
    return result
