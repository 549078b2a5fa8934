"""The `.h5` files of keras.applications, of Keras 2 and of `model.save("x.h5")`: by layer name or in layer order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from keras_resnet.errors import InputError

_MAX_BYTES = 4_000_000_000  # ten times the largest ResNet; a damaged header may claim any size

# mlcommons/tiny, keras_model.py: automatic names, counted in the order in which its layers were made. Its shortcuts
# come after the convolutions of their block and have no norm.
_MLPERF_TINY = (
    "conv1", *(f"conv{stage}_block1_{part}" for stage in (2, 3, 4) for part in (1, 2, 0) if (stage, part) != (2, 0))
)  # fmt: skip
MLPERF_TINY: dict[str, str] = {
    **{f"conv2d_{i}" if i else "conv2d": f"{name}_conv" for i, name in enumerate(_MLPERF_TINY)},
    **{
        f"batch_normalization_{i}" if i else "batch_normalization": f"{name}_bn"
        for i, name in enumerate(name for name in _MLPERF_TINY if not name.endswith("_0"))
    },
    "dense": "predictions",
}


def is_legacy(path: Path) -> bool:
    """True for a file of this layout rather than a Keras 3 `.weights.h5`.

    Raises:
        InputError: the file is no HDF5 file.
    """
    try:
        with h5py.File(path, "r") as file:
            return "layer_names" in file.attrs or "model_weights" in file
    except (OSError, RuntimeError, ValueError, KeyError) as error:  # a damaged tree inside the file is no OSError
        raise InputError(f"{path} is no readable HDF5 file ({error}): it is damaged or of another kind") from error


def read(path: Path, layers: Mapping[str, Sequence[str]]) -> tuple[dict[str, np.ndarray], bool]:
    """Reads a file's tensors under our names.

    Layers are matched by name where the file knows most of ours, else in their order, as Keras does.

    Args:
        path: file.
        layers: our layers that have variables, in the model's order, with the names of their variables.

    Returns:
        `{"conv1_conv/kernel": array, ...}`, what has no counterpart under its own name; and whether layers were matched
        by name.

    Raises:
        InputError: the file is damaged.
    """
    groups = _read_groups(path)
    if set(groups) == set(MLPERF_TINY) and "conv1_conv" in layers:
        groups = {MLPERF_TINY[name]: arrays for name, arrays in groups.items()}
    by_name = 2 * len(set(groups) & set(layers)) >= len(layers)
    if by_name or len(groups) != len(layers):
        pairs = [(name, name, arrays) for name, arrays in groups.items()]
    else:
        pairs = [(ours, theirs, arrays) for ours, (theirs, arrays) in zip(layers, groups.items(), strict=True)]
    tensors = {}
    for ours, theirs, arrays in pairs:
        variables = layers.get(ours, ())
        for index, (name, value) in enumerate(arrays):
            known = len(variables) == len(arrays)
            tensors[f"{ours}/{variables[index]}" if known else f"{theirs}/{name}"] = value
    return tensors, by_name


def _read_groups(path: Path) -> dict[str, list[tuple[str, np.ndarray]]]:
    """Layers with weights, in the file's order: names of the weights and their values."""
    groups: dict[str, list[tuple[str, np.ndarray]]] = {}
    total = 0
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            for layer in map(_text, root.attrs["layer_names"]):
                names = [_text(name) for name in root[layer].attrs["weight_names"]]
                for name in names:
                    dataset = root[layer][name]
                    total += _checked_size(dataset, path)
                    if total > _MAX_BYTES:
                        raise InputError(f"{path} claims more than {_MAX_BYTES} bytes of weights; it is no ResNet")
                    short = name.rsplit("/", 1)[-1].removesuffix(":0")
                    groups.setdefault(layer, []).append((short, np.asarray(dataset, dtype=np.float32)))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged: it cannot be read as a Keras .h5 file ({error})") from error
    return groups


def _checked_size(dataset, path: Path) -> int:
    """Bytes of a dataset that is what a weight must be: numbers, in this file."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f":
        raise InputError(f"{path} is damaged: {dataset.name} is no array of floating-point numbers")
    if dataset.external or dataset.is_virtual or dataset.file.filename != str(path):
        raise InputError(f"{path}: {dataset.name} points into another file; weights must be in the file itself")
    return dataset.size * 4


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
