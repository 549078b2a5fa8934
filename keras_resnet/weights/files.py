"""Writing weight files, and reading the tensors of those that others wrote."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import safetensors
import safetensors.numpy

from keras_resnet import arrays, files, untrusted
from keras_resnet import card as card_lib
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError


def named_variables(model: keras.Model, prefix: str = "") -> dict[str, keras.Variable]:
    """Maps `layer/variable` (`conv1_conv/kernel`) to the variable; a prefix of the layers' names is left out."""
    return {
        f"{layer.name.removeprefix(prefix)}/{variable.name}": variable
        for layer in model.layers
        for variable in layer.weights  # not the state of random generators, which `variables` has too
    }


def save_weights(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    card: ModelCard | None = None,
    metadata: Mapping[str, str] | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
) -> None:
    """Writes all variables to a safetensors file keyed by layer name.

    Args:
        model: functional model with named layers.
        path: file that ends in `.safetensors`.
        card: labels, input convention and origin, kept in the file's header.
        metadata: more strings for the header.
        dtype: dtype of the file: `"float32"`, or `"float16"` for half the size; variables are float32 when loaded.
        overwrite: whether an existing file is replaced.

    Raises:
        InputError: wrong suffix or dtype, a value beyond float16's range, the file exists or cannot be written.
    """
    if dtype not in ("float32", "float16"):
        raise InputError(f"dtype={dtype!r}: expected 'float32' or 'float16'")
    tensors = {name: keras.ops.convert_to_numpy(variable) for name, variable in named_variables(model).items()}
    with np.errstate(over="ignore"):
        tensors = {name: value.astype(dtype) for name, value in tensors.items()}
    if large := [name for name, value in tensors.items() if np.isinf(value).any()]:
        raise InputError(f"dtype='{dtype}': {', '.join(large[:4])} hold values beyond its range; use float32")
    write_safetensors(path, tensors, card=card, metadata=metadata, overwrite=overwrite)


def write_safetensors(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    *,
    card: ModelCard | None,
    metadata: Mapping[str, str] | None,
    overwrite: bool,
) -> None:
    """Writes beside and renames; arguments and errors as in `save_weights`."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: expected a name that ends in .safetensors")
    header = {**(metadata or {}), **({card_lib.KEY: card.dumps()} if card else {})}
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(safetensors.numpy.save(dict(tensors), header))


def read_card(path: Path) -> ModelCard | None:
    """Reads the card of a `.keras` or `.safetensors` file; None where there is none."""
    if path.suffix == ".keras":
        return card_lib.read(path)
    if path.suffix != ".safetensors":
        return None
    header = read_header(path)
    if card_lib.KEY not in header:
        return None
    card = ModelCard.loads(header[card_lib.KEY], path)
    return dataclasses.replace(card, held_out=_held_out(header)) if card.held_out is None else card


def read_header(path: Path) -> dict[str, str]:
    """Reads the strings in the header of a safetensors file.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is no readable safetensors file: {error}") from error


def _held_out(header: Mapping[str, str]) -> bool | None:
    """What a header of before says: `recipe` of tools/ship_weights.py, `training` of benchmarks/trained; else None."""
    try:
        recipe, training = (untrusted.parse(header.get(key, "{}")) for key in ("recipe", "training"))
        known = recipe.get("hold_out", True) if recipe and not recipe.get("weights") else training.get("held_out")
    except (AttributeError, ValueError):
        return None
    return known if isinstance(known, bool) else None


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads all tensors of a safetensors file.

    Raises:
        InputError: the file is damaged, or holds a number type that NumPy has not.
    """
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is no readable safetensors file: {error}") from error


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an npz file; pickled objects are refused.

    Raises:
        InputError: the file is damaged or holds objects.
    """
    try:
        return arrays.read(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no readable npz file: {error}") from error
