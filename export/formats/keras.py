"""Keras' own `.keras` file of the exported network: `convert`, `describe`, and `python -m export.keras`."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from export.formats.artifacts import Artifact
from export.formats.table import Contents
from keras_resnet.card import ModelCard, append


def convert(model, artifact: Artifact, samples: np.ndarray | None, path: Path) -> None:
    """Writes a float32 model that plain Keras 3 opens; with one output it returns an array, not a dict.

    Args:
        model: result of `graph.prepare`.
        artifact: float32.
        samples: not used.
        path: file to write.
    """
    import keras

    from keras_resnet.nets.graph import deep_graphs

    with deep_graphs():
        if len(model.output) == 1:
            ((name, output),) = model.output.items()
            named = keras.layers.Identity(name=name)(output)
            model = keras.Model(model.input, named, name=model.name)
        model.save(path)


def add_card(path: Path, card: ModelCard) -> None:
    """Adds the card to the archive."""
    append(path, card)


def fingerprint(path: Path) -> str:
    """SHA-256 of the network: of the archive's configuration and weights."""
    sha = hashlib.sha256()
    with zipfile.ZipFile(path) as archive:
        for member in ("config.json", "model.weights.h5"):
            sha.update(archive.read(member))
    return sha.hexdigest()


def describe(path: Path) -> Contents:
    """Counts the layers by class."""
    from keras_resnet.saving import load_model

    def layers(model):
        for layer in model.layers:
            yield from layers(layer) if hasattr(layer, "layers") else [type(layer).__name__]

    return Contents(Counter(layers(load_model(path)[0])), "float32")
