"""What a net was built with: a file that is saved of it has a card, unless somebody has trained it in between."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import weakref

import keras

from keras_resnet.card import ModelCard
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.weights.loading import weights_card

_Built = tuple[ResNetSpec, str | os.PathLike | None, bytes]
_READ: weakref.WeakKeyDictionary[keras.Model, tuple[ModelCard, bytes]] = weakref.WeakKeyDictionary()
_BUILT: weakref.WeakKeyDictionary[keras.Model, _Built] = weakref.WeakKeyDictionary()


def remember(model: keras.Model, spec: ResNetSpec, weights: str | os.PathLike | None) -> None:
    """Keeps what a net was built with, as long as the net is there.

    Args:
        model: net.
        spec: its row.
        weights: registered name, address or file; None for random values.
    """
    digest = _first_kernel(model)
    if digest:
        _BUILT[model] = spec, weights, digest


def keep(model: keras.Model, card: ModelCard) -> None:
    """Keeps the card of a model that was read from a file, as long as the model is there.

    Args:
        model: model as it was read.
        card: card in the file.
    """
    _READ[model] = card, _first_kernel(model)


def card_of(model: keras.Model) -> ModelCard | None:
    """The card of a net that `build` made and nobody has trained since, or of a model that was read; None for others.

    Args:
        model: any. One that was read and then trained keeps its card, but nobody knows what it has seen since.
    """
    if model in _READ:
        card, digest = _READ[model]
        return card if _first_kernel(model) == digest else dataclasses.replace(card, held_out=None)
    spec, weights, digest = _BUILT.get(model, (None, None, b""))
    if spec is None or _first_kernel(model) != digest:
        return None
    return ModelCard(spec=spec.name) if weights is None else weights_card(weights, spec)


def _first_kernel(model: keras.Model) -> bytes:
    """Hash of the first convolution's kernel, which every training moves; empty where there are no values."""
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            try:
                return hashlib.sha256(keras.ops.convert_to_numpy(layer.kernel).tobytes()).digest()
            except Exception:  # a net without values, in a scope of Keras
                return b""
    return b""
