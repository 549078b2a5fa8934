"""Occlusion: how much of an answer goes when a part of the image is covered. Works for every file that runs."""

from __future__ import annotations

import itertools

import numpy as np

from keras_resnet.errors import InputError
from keras_resnet.runtime.interface import Runner
from keras_resnet.tasks import get_task

_WINDOW, _STRIDE = 0.2, 0.05  # as shares of the shorter side
GREY = 127.0
_BATCH = 256
_MOST = 64_000_000  # numbers of a batch's answers: maps are as large as images


def occlusion(
    runner: Runner,
    pixels: np.ndarray,
    classes: np.ndarray,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: float = GREY,
) -> np.ndarray:
    """Covers every part of the images in turn (Zeiler and Fergus 2014, arXiv:1311.2901).

    Args:
        runner: model that gives probabilities, of any kind of file.
        pixels: images, uint8 `(N, height, width, channels)`.
        classes: class of each image, int `(N,)`.
        window: side of the covered square in pixels; by default a fifth of the image's shorter side.
        stride: pixels from one square to the next; by default a twentieth of the shorter side.
        fill: pixel value that covers.

    Returns:
        float32 `(N, height, width)`: by how much the probability falls on average when a square covers the pixel;
        negative where it rises.

    Raises:
        InputError: a window or stride that does not fit the image.
    """
    height, width = pixels.shape[1:3]
    window = window or max(1, round(_WINDOW * min(height, width)))
    stride = stride or max(1, round(_STRIDE * min(height, width)))
    if not 0 < window <= min(height, width) or stride < 1:
        raise InputError(f"window={window}, stride={stride}: expected 1 to {min(height, width)} pixels")
    corners = list(itertools.product(_places(height, window, stride), _places(width, window, stride)))
    found = []
    for image, cls in zip(pixels, classes, strict=True):
        whole, numbers = _whole(runner, image, int(cls))
        batch = min(_BATCH, max(1, _MOST // numbers))
        falls = np.empty(len(corners), np.float32)
        for start in range(0, len(corners), batch):
            part = corners[start : start + batch]
            copies = np.repeat(image[None], len(part), axis=0)
            for copy, (top, left) in zip(copies, part, strict=True):
                copy[top : top + window, left : left + window] = fill
            falls[start : start + len(part)] = whole - _answers(runner, copies, int(cls))
        total, count = np.zeros((height, width)), np.zeros((height, width))
        for (top, left), fall in zip(corners, falls, strict=True):
            total[top : top + window, left : left + window] += fall
            count[top : top + window, left : left + window] += 1
        found.append((total / count).astype(np.float32))
    return np.stack(found)


def _places(length: int, window: int, stride: int) -> list[int]:
    """Beginnings of squares, with one that ends at the edge."""
    return sorted({*range(0, length - window, stride), length - window})


def _whole(runner: Runner, image: np.ndarray, cls: int) -> tuple[float, int]:
    """The evidence of the whole image, and how many numbers an answer has."""
    outputs = runner(runner.card.preprocess(image[None]))
    value = get_task(runner.card.task).capable.evidence(outputs, np.array([cls]))[0]
    return float(value), sum(values.size for values in outputs.values())


def _answers(runner: Runner, pixels: np.ndarray, cls: int) -> np.ndarray:
    outputs = runner(runner.card.preprocess(pixels))
    return get_task(runner.card.task).capable.evidence(outputs, np.full(len(pixels), cls))
