"""Forms of a segmentation's file: what it gives where that is not logits at the size of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.segmentation.settings import CLASSES, LOGITS, OUTPUT, PROBABILITIES, output_of

MOST_STRIDE = 64  # of a decoder's map; the deepest of a net's is 32


def answer(outputs: Mapping[str, np.ndarray], card: ModelCard) -> np.ndarray:
    """What a file says of every pixel: scores `(n, H, W, classes)`, or classes `(n, H, W)`.

    Args:
        outputs: arrays by output name; of a foreign file the only one.
        card: card of the file.
    """
    found = restored(outputs, card)
    return np.asarray(sole(found, output_of(card.facts.get("form", ""))))


def restored(outputs: Mapping[str, np.ndarray], card: ModelCard) -> dict[str, np.ndarray]:
    """Outputs at the size of the input: what the caller of a file of the form `logits` does with them.

    Args:
        outputs: arrays by output name.
        card: card of the file.

    Raises:
        InputError: the card asks for a mask that no net's map is made for; it may be a stranger's.
    """
    if card.facts.get("form") != LOGITS:
        return dict(outputs)
    size = card.facts["size"]
    for values in outputs.values():
        given = np.shape(values)[1:3]
        if len(given) < 2 or any(wanted > MOST_STRIDE * side for wanted, side in zip(size, given, strict=True)):
            raise InputError(f"the card asks for masks of {size}, and the model gives maps of {list(given)}")
    return {name: resized(np.asarray(values), size) for name, values in outputs.items()}


def as_form(outputs: Mapping[str, np.ndarray], card: ModelCard) -> dict[str, np.ndarray]:
    """Logits of a Keras model as a file should give them, after `restored`; by NumPy, and not by the file's graph.

    Args:
        outputs: `logits` `(n, H, W, classes)` at the size of the input.
        card: card of the file.
    """
    form = card.facts.get("form", "")
    logits = np.asarray(outputs[OUTPUT])
    if form == PROBABILITIES and logits.shape[-1] > 1:
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        logits = powers / powers.sum(axis=-1, keepdims=True)
    if form == CLASSES:
        logits = classes_of(logits).astype(np.float32)
    return {output_of(form): logits}


def classes_of(scores: np.ndarray) -> np.ndarray:
    """The class of every pixel, `(n, H, W)`.

    Args:
        scores: `(n, H, W, classes)`; one of one class is its probability. Classes `(n, H, W)` stay what they are.
    """
    if scores.ndim == 3:
        return scores.astype(np.int64)
    if scores.shape[-1] == 1:
        return (scores[..., 0] > 0.5).astype(np.int64)
    return scores.argmax(axis=-1)


def resized(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Maps at another size: bilinear, pixels have their centres in their middle, as in `keras.layers.Resizing`.

    Args:
        maps: `(n, h, w, channels)`.
        size: height and width in pixels.

    Returns:
        `(n, height, width, channels)`; `maps` itself where that is its size.
    """
    for axis, length in ((1, int(size[0])), (2, int(size[1]))):
        given = maps.shape[axis]
        if given == length:
            continue
        places = (np.arange(length) + 0.5) * (given / length) - 0.5
        below = np.floor(places)
        share = (places - below).astype(maps.dtype).reshape(-1, *[1] * (maps.ndim - 1 - axis))
        low, high = (np.take(maps, each.clip(0, given - 1).astype(np.int64), axis) for each in (below, below + 1))
        maps = low + share * (high - low)
    return maps
