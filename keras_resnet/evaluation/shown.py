"""Examples of a split as small pictures with their names, for pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_resnet.data.dataset import EncodedSplit, Files, Split
from keras_resnet.gallery import Shown, shown
from keras_resnet.signals.decoding import pixels


def name_of(split: Split, index: int) -> str:
    """Name of an example: its file, or its number.

    Args:
        split: examples.
        index: position of the example.
    """
    path = _path(split, index)
    return f"number {index}" if path is None else str(path)


def pictured(split: Split, index: int, words: str) -> Shown:
    """An example as a picture: the whole photo where it is a file, else what the net is given.

    Args:
        split: examples that are images.
        index: position of the example.
        words: what is said of it.
    """
    path = _path(split, index)
    source = split.fetch(np.array([index]))[split.key][0] if path is None else path
    return shown(source, name_of(split, index), words)


def seen(split: Split, index: int, *, whole: bool = False) -> np.ndarray:
    """The pixels of an example, uint8 `(H, W, channels)`: those that the net is given.

    Args:
        split: examples that are images.
        index: position of the example.
        whole: whether the net is given all of a file at its own size, in tiles.
    """
    if whole and isinstance(split, EncodedSplit):
        return pixels(split.contents.read(np.array([index]))[0], split.shape[-1], split.upright)
    return split.fetch(np.array([index]))[split.key][0]


def _path(split: Split, index: int) -> Path | None:
    if isinstance(split, EncodedSplit) and isinstance(split.contents, Files):
        return split.contents.paths[index]
    return None
