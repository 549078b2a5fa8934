"""`.keras` files with their card."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_resnet import card as card_lib
from keras_resnet import files, untrusted
from keras_resnet.builder import build
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.nets.functional import is_functional
from keras_resnet.nets.graph import deep_graphs
from keras_resnet.nets.segmentation import SEGMENTERS
from keras_resnet.nets.specs import get_spec
from keras_resnet.segmenter import segmenter
from keras_resnet.weights import WEIGHT_SETS, built, weights_card
from keras_resnet.weights.registry import SEGMENTER_WEIGHTS


def save_model(
    model: keras.Model, path: str | os.PathLike, card: ModelCard | None = None, *, overwrite: bool = False
) -> None:
    """Writes a `.keras` file that any Keras 3 opens, with the card inside.

    Args:
        model: model to be saved; optimizer state is saved where it was compiled.
        path: path of the file, which ends in `.keras`.
        card: labels, input convention and origin; by default, those of the weights that `build` was given, as long as
            nobody has trained the net since.
        overwrite: whether an existing file is replaced.

    Raises:
        InputError: the file exists, has another suffix, or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise InputError(f"{path}: expected a name that ends in .keras")
    card = built.card_of(model) if card is None else card
    with files.writing(path, overwrite=overwrite) as temporary, deep_graphs(), warnings.catch_warnings():
        # Keras warns about the temporary files of its own writer.
        warnings.simplefilter("ignore", ResourceWarning)
        model.save(temporary)
        if card is not None:
            card_lib.append(temporary, card)


def load_model(path: str | os.PathLike) -> tuple[keras.Model, ModelCard]:
    """Opens a `.keras` or `.h5` file without running any code that it may hold.

    Args:
        path: a file saved by this package or by Keras; a run directory.

    Returns:
        The model (not compiled) and its card; an empty card for models from elsewhere.

    Raises:
        InputError: no such file, or not a readable Keras 3 model.
    """
    path = files.existing_file(model_path(path))
    is_h5 = path.suffix in (".h5", ".hdf5")
    if not is_h5 and not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no Keras 3 model (not a zip archive): it is damaged or of another kind")
    from keras_resnet.nets import compressed as layers  # noqa: F401  registers what a net trained for integers is made of
    from keras_resnet.nets import suppressing  # noqa: F401  and the last layer of some detectors

    try:
        untrusted.check_h5_file(path) if is_h5 else untrusted.check_keras_file(path)
        with deep_graphs(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about masks and the like: what a foreign net is made of
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a foreign archive fails in any way at all inside Keras
        if files.is_full(error):  # Keras unpacks the weights into a temporary folder
            raise files.disk_full(error) from error
        raise InputError(f"{path} cannot be read as a Keras model: {_reason(error)}") from error
    model, card = _with_strides_as_keys(model), None if is_h5 else card_lib.read(path)
    if card is not None:
        built.keep(model, card)
    return model, card or card_lib.UNKNOWN


def _reason(error: Exception) -> str:
    """The first line of Keras' message, and what to do about layers that it does not know."""
    lines = str(error).strip().splitlines()
    said = lines[0][:200] if lines else type(error).__name__
    missing = re.search(r"Could not locate class '(\w+)'", str(error))
    if missing:
        return f"it has a layer of its own, {missing[1]}: give the Python file that defines it, --import FILE.py"
    return said


def _with_strides_as_keys(model: keras.Model) -> keras.Model:
    """Undoes what JSON does to the keys of a `build(features=...)` model."""
    outputs = model.output if is_functional(model) else None
    if not isinstance(outputs, dict) or not all(isinstance(key, str) and key.isdecimal() for key in outputs):
        return model
    return keras.Model(model.input, {int(key): tensor for key, tensor in outputs.items()}, name=model.name)


def model_path(model: str | os.PathLike) -> str:
    """The model that is meant: `model.keras` of a run directory, or what was given.

    Args:
        model: path or name.
    """
    inside = Path(model, "model.keras")
    return str(inside) if inside.is_file() and Path(model).suffix != ".savedmodel" else os.fspath(model)


def load_named(model: str | os.PathLike, weights: str | None) -> tuple[keras.Model, ModelCard]:
    """Opens what `--model` and `--weights` name: a `.keras` file, or a row of the table with weights.

    Args:
        model: path of a `.keras` file, a name of `list_models()`, or that of a segmentation net that has weights here.
        weights: for a row: a registered name, a weight file, or `"none"` for random values.

    Returns:
        The model and its card.

    Raises:
        InputError: neither a file nor a row, or a row without weights.
    """
    model = model_path(model)
    if Path(model).suffix or os.sep in str(model):
        if weights is not None:
            raise InputError(f"--weights goes with the name of a variant; {model} is a file and has its own")
        return load_model(model)
    if str(model) in SEGMENTERS:
        return _segmenter(str(model), weights)
    spec = get_spec(str(model))
    if weights is None:
        known = [name for variant, name in WEIGHT_SETS if variant == spec.name]
        raise InputError(
            f"--model {spec.name} needs --weights: {', '.join([*known, 'a weight file'])} or none (random values)"
        )
    if weights == "none":
        return build(spec), ModelCard(spec=spec.name)
    return build(spec, weights=weights), weights_card(weights, spec)


def _segmenter(name: str, weights: str | None) -> tuple[keras.Model, ModelCard]:
    """A segmentation net with registered weights, at the size that they were trained for."""
    row = SEGMENTER_WEIGHTS.get((name, weights or ""))
    if row is None:
        known = [own for net, own in SEGMENTER_WEIGHTS if net == name]
        raise InputError(
            f"--model {name} needs --weights {' or '.join(known)}"
            if known
            else f"--model {name}: no weights are registered; make the net by keras_resnet.segmenter, or name a file"
        )
    size = (row.resolution, row.resolution, 3)
    return segmenter(name, weights=weights, input_shape=size), row.card


def weights_sha256(model: keras.Model) -> str:
    """Hashes a model's weights, in order: SHA-256, hexadecimal."""
    sha = hashlib.sha256()
    for weight in model.get_weights():
        sha.update(np.ascontiguousarray(weight).tobytes())
    return sha.hexdigest()
