"""Calibration samples: from the training split only, class-balanced, seeded, and named by a hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from export.formats import SAMPLES
from keras_resnet.data import Split
from keras_resnet.preprocessing import Preprocess

_SEED = 2015


@dataclass(frozen=True)
class Calibration:
    """Images whose activations set the quantization ranges.

    Attributes:
        images: float32 `(n, H, W, C)`, preprocessed.
        indices: their positions in the training split.
        sha256: of the uint8 pixels, in order.
    """

    images: np.ndarray
    indices: tuple[int, ...]
    sha256: str


def sample(split: Split, preprocess: Preprocess, count: int = SAMPLES) -> Calibration:
    """Draws the samples: the same ones every time, the same number of every class as far as there are enough.

    Args:
        split: the training split.
        preprocess: the model's input convention.
        count: how many; all there are if fewer.

    Returns:
        The samples.
    """
    rng = np.random.default_rng(_SEED)
    order = rng.permutation(len(split.labels))
    # Round robin over the classes: first the first image of every class in the shuffled order, then the second, ...
    turn = np.zeros(len(order), np.int64)
    for label in np.unique(split.labels):
        members = split.labels[order] == label
        turn[members] = np.arange(members.sum())
    indices = order[np.argsort(turn, kind="stable")][:count]
    pixels = split.fetch(tf.constant(indices)).numpy()
    return Calibration(preprocess(pixels), tuple(indices.tolist()), hashlib.sha256(pixels.tobytes()).hexdigest())
