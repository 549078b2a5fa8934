"""Keras' own `.keras` file of the exported network: `convert`, `describe`, and `keras-resnet export keras`."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from export.formats.artifacts import Artifact
from export.formats.table import Contents
from keras_resnet.card import ModelCard, append
from keras_resnet.files import member

_NO_DATE = "1980-01-01@00:00:00"  # that of the members of the archive


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
    _without_times(path)


def _without_times(path: Path) -> None:
    """Writes the archive again, with nothing of the hour in it: the same model gives the same file."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    facts = json.loads(contents["metadata.json"])
    contents["metadata.json"] = json.dumps({**facts, "date_saved": _NO_DATE}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(member(name, stored=True), data)  # as Keras does


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
