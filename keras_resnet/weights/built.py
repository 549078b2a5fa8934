"""What a net was built with: a file that is saved of it has a card, unless somebody has trained it in between."""

from __future__ import annotations

import hashlib
import os
import weakref

import keras

from keras_resnet.card import ModelCard
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.weights.loading import weights_card

_Built = tuple[ResNetSpec, str | os.PathLike | None, bytes]
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


def card_of(model: keras.Model) -> ModelCard | None:
    """The card of a net that `build` made and nobody has trained since; None for any other.

    Args:
        model: any.
    """
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
