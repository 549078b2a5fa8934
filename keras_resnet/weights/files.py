"""Reading and writing weight files: every tensor of a file is used and every variable of the net is filled."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import safetensors
import safetensors.numpy

from keras_resnet import card as card_lib
from keras_resnet import files
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.specs import ResNetSpec
from keras_resnet.weights import pytorch, registry

_H5 = (".h5", ".hdf5")


def named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Maps `layer/variable` (`conv1_conv/kernel`) to the variable."""
    return {f"{layer.name}/{variable.name}": variable for layer in model.layers for variable in layer.variables}


def save_weights(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    card: ModelCard | None = None,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Writes all variables to a safetensors file keyed by layer name.

    Args:
        model: a functional model with named layers.
        path: ends in `.safetensors`.
        card: labels, input convention and origin, kept in the file's header.
        metadata: more strings for the header.
        overwrite: replace an existing file.

    Raises:
        InputError: wrong suffix, the file exists or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: expected a name that ends in .safetensors")
    tensors = {name: keras.ops.convert_to_numpy(variable) for name, variable in named_variables(model).items()}
    header = {**(metadata or {}), **({card_lib.KEY: card.dumps()} if card else {})}
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(safetensors.numpy.save(tensors, header))


def weights_card(weights: str | os.PathLike, spec: ResNetSpec) -> ModelCard:
    """The card that comes with a registered set or a weight file; only the spec's name where there is none."""
    path = Path(weights)
    card = None
    if not path.is_file():
        return registry.find(spec.name, str(weights)).card
    if path.suffix == ".keras":
        card = card_lib.read(path)
    elif path.suffix == ".safetensors":
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
        card = ModelCard.loads(header[card_lib.KEY], path) if card_lib.KEY in header else None
    return card or ModelCard(spec=spec.name)


def load(model: keras.Model, weights: str | os.PathLike, *, spec: ResNetSpec, include_top: bool = True) -> None:
    """Fills a model's variables from a registered set or a file.

    Args:
        model: built from `spec`.
        weights: name of a registered set, or path of a `.safetensors` or `.npz` file (ours, or a state dict of
            torchvision, timm or akamaster/pytorch_resnet_cifar10), or of a `.weights.h5`, `.h5` or `.keras` file.
        spec: the variant, for which registered names are looked up.
        include_top: whether the model has its head.

    Raises:
        InputError: no such set or file, or the file does not fit; the model is as it was then.
    """
    path = Path(weights)
    if not path.is_file():
        if path.is_dir():
            raise InputError(f"weights: {path} is a folder, expected a file")
        if path.suffix or os.sep in str(weights):
            raise InputError(f"weights: {path} does not exist")
        path = registry.find(spec.name, str(weights)).fetch(include_top)
    if path.suffix in _READERS:
        tensors = _READERS[path.suffix](path)
        if layout := pytorch.find_layout(tensors):
            shapes = {name: tuple(variable.shape) for name, variable in named_variables(model).items()}
            tensors = pytorch.to_ours(tensors, layout, shapes, spec)
        _assign(model, tensors, path)
    elif path.suffix in (*_H5, ".keras"):
        _load_keras(model, path)
    else:
        raise InputError(
            f"weights: {path} is of unknown kind '{path.suffix}', expected .safetensors, .npz, .weights.h5, .h5 or "
            ".keras. Pickles (.pth, .th, .bin) are never opened: convert them where you trust them, with "
            "state = torch.load(FILE, map_location='cpu', weights_only=True); "
            "safetensors.torch.save_file(state, 'FILE.safetensors')"
        )


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is no readable safetensors file: {error}") from error


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        # np.load leaves a file open that it cannot read; and returns an array where it is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is no readable npz file: {error}") from error


_READERS = {".safetensors": _read_safetensors, ".npz": _read_npz}


def _assign(model: keras.Model, tensors: Mapping[str, np.ndarray], path: Path) -> None:
    variables = named_variables(model)
    missing = sorted(set(variables) - set(tensors))
    extra = sorted(set(tensors) - set(variables))
    wrong = [
        f"{name} {tensors[name].shape} instead of {tuple(variable.shape)}"
        for name, variable in variables.items()
        if name in tensors and tensors[name].shape != tuple(variable.shape)
    ]
    if missing or extra or wrong:
        parts = [
            f"{title}: {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
            for title, names in (("missing", missing), ("left over", extra), ("wrong shape", wrong))
            if names
        ]
        raise InputError(f"{path} does not fit {model.name}: {'; '.join(parts)}")
    bad = [name for name, value in tensors.items() if not np.isfinite(value).all()]
    if bad:
        raise InputError(f"{path} holds NaN or infinity in {', '.join(bad[:4])}; the file is damaged")
    for name, variable in variables.items():
        variable.assign(tensors[name])


def _load_keras(model: keras.Model, path: Path) -> None:
    before = model.get_weights()
    try:
        if path.suffix == ".keras":
            source = keras.saving.load_model(path, compile=False, safe_mode=True)
            tensors = {name: keras.ops.convert_to_numpy(v) for name, v in named_variables(source).items()}
            _assign(model, tensors, path)
        else:
            model.load_weights(path)
    except InputError:
        raise
    except Exception as error:  # h5py and Keras fail in many ways on foreign files
        model.set_weights(before)
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise InputError(f"{path} does not fit {model.name}: {reason}") from error
