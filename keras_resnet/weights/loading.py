"""Filling a net's variables: from a registered set, a hub repository or any file that we can read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_resnet import untrusted
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.nets.interface import STEMS, ResNetSpec
from keras_resnet.nets.specs import get_spec
from keras_resnet.weights import files, hub, identify, legacy_h5, origin, pickles, pytorch, registry
from keras_resnet.weights.matching import AUXILIARY, HEAD, LoadReport, match_tensors

_READERS = {".safetensors": files.read_safetensors, ".npz": files.read_npz}
_H5 = (".h5", ".hdf5")
# Named even where the net has none, so that it is known as what it is: the head, and what only a training needs.
_KNOWN: dict[str, tuple[int, ...]] = {
    **dict(zip(HEAD, ((0, 0), (0,)), strict=True)),
    "aux_fcn_conv/kernel": (0, 0, 0, 0),
    **{f"aux_fcn_bn/{kind}": (0,) for kind in ("gamma", "beta", "moving_mean", "moving_variance")},
    "aux_logits_conv/kernel": (0, 0, 0, 0),
    "aux_logits_conv/bias": (0,),
}


def weights_card(weights: str | os.PathLike, model: str | ResNetSpec) -> ModelCard:
    """Reads what comes with weights: labels, input convention and origin.

    Args:
        weights: registered name, `"hf://..."`, or file.
        model: name of the variant, or its spec.

    Returns:
        The card; only the variant's name where a file holds none.

    Raises:
        InputError: no such set or file, or its card is damaged.

    Example:
        >>> import keras_resnet
        >>> keras_resnet.weights_card("digits", "resnet8").preprocess.mean
        (127.5,)
    """
    spec = get_spec(model)
    if hub.is_hub(weights):
        return hub.fetch(str(weights), spec).card
    path = Path(weights)
    if not path.is_file():
        return _registered(path, weights, spec).card
    return files.read_card(path) or registry.card_by_hash(path, spec) or ModelCard(spec=spec.name)


def load_weights(
    model: keras.Model,
    weights: str | os.PathLike,
    *,
    match: str = "exact",
    spec: str | ResNetSpec | None = None,
    prefix: str = "",
) -> LoadReport:
    """Fills a model's variables from a registered set or a file.

    Args:
        model: model that `build`, `segmenter` or `detector` made.
        weights: a registered name, `"hf://timm/resnet18.a1_in1k"`, or the path of a `.safetensors` or `.npz` file
            (ours, or a state dict of torchvision, timm or akamaster/pytorch_resnet_cifar10, whose names may begin with
            `module.`, `state_dict.` and the like), or of a `.weights.h5`, `.h5` or `.keras` file.
        match: `"exact"`: every tensor is used and every variable filled. `"adapt"`: the first convolution may have
            another number of input channels (grey, colour with depth, ...), and the head may have other classes or be
            absent: then it keeps its values, or is left out. `"partial"`: what has the name and the shape is taken.
        spec: variant of the model, of a segmentation or detection net that of its backbone; by default what it is
            named after.
        prefix: prefix of the model's layers.

    Returns:
        A report of what was loaded, adapted, kept and left over; also logged (`keras_resnet`, warning) where not exact.

    Raises:
        InputError: no such set or file, it does not fit, or it says that it is of another net with the same tensors
            (an anti-aliased one, say); the model is as it was then.

    Example:
        >>> import keras_resnet
        >>> model = keras_resnet.build("resnet8", classes=5)
        >>> report = keras_resnet.load_weights(model, "digits", match="adapt")
        >>> report.initial
        ('predictions/kernel', 'predictions/bias')
    """
    spec = pytorch.spec_of(model, spec)
    has_head = any(layer.name == f"{prefix}predictions" for layer in model.layers)
    path = _resolve(weights, spec, has_head)
    variables = files.named_variables(model, prefix)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if path.suffix in _H5 and not legacy_h5.is_legacy(path):
        return _load_keras3_h5(model, path, match)
    tensors = _unprefixed(_read(path, model, shapes, spec))
    tensors = {name: each for name, each in tensors.items() if name in shapes or not name.startswith(AUXILIARY)}
    values, report = match_tensors(
        shapes,
        tensors,
        match=match,
        source=str(weights),
        model=model.name,
        first_conv=f"conv1{'_1' if STEMS[spec.stem].widths else ''}_conv/kernel",
        # Asked for only where it counts: it hashes a foreign .h5 file or asks the hub.
        bgr=match != "exact" and weights_card(weights, spec).preprocess.channels == "bgr",
        looks_like=identify.hint(tensors, spec),
    )
    if match != "partial":
        origin.check(path, spec)
    for name, value in values.items():
        variables[name].assign(value)
    return report


def _registered(path: Path, weights: str | os.PathLike, spec: ResNetSpec) -> registry.WeightSet:
    if path.is_dir():
        raise InputError(f"weights: {path} is a folder, expected a file")
    if path.suffix or os.sep in str(weights):
        raise InputError(f"weights: {path} does not exist")
    return registry.find(spec.name, str(weights))


def _resolve(weights: str | os.PathLike, spec: ResNetSpec, has_head: bool) -> Path:
    if hub.is_hub(weights):
        return hub.fetch(str(weights), spec).path
    path = Path(weights)
    path = path if path.is_file() else _registered(path, weights, spec).fetch(has_head)
    if path.suffix in pickles.SUFFIXES:
        raise InputError(
            f"weights: {path} is a pickle, which can run any code, and is never opened. Load a .safetensors file, "
            f"which this line makes in a Python that has PyTorch and safetensors: {pickles.conversion(path)}"
        )
    if path.suffix not in (*_READERS, *_H5, ".keras"):
        raise InputError(
            f"weights: {path} is of unknown kind '{path.suffix}', expected .safetensors, .npz, .weights.h5, .h5 or "
            ".keras"
        )
    return path


def _read(
    path: Path, model: keras.Model, shapes: Mapping[str, tuple[int, ...]], spec: ResNetSpec
) -> dict[str, np.ndarray]:
    """The file's tensors under our names; what has none keeps its own."""
    if path.suffix == ".keras":
        return _read_keras(path)
    if path.suffix in _H5:
        layers: dict[str, list[str]] = {}
        for name in shapes:
            layer, _, variable = name.partition("/")
            layers.setdefault(layer, []).append(variable)
        tensors, by_name = legacy_h5.read(path, layers)
        if not by_name:
            _check_order(model, path)
        return tensors
    tensors = pytorch.unwrapped(_READERS[path.suffix](path), path)
    if layout := pytorch.find_layout(tensors):
        return pytorch.to_ours(tensors, layout, {**_KNOWN, **shapes}, spec)
    return tensors


def _read_keras(path: Path) -> dict[str, np.ndarray]:
    try:
        untrusted.check_keras_file(path)
        source = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a foreign archive fails in any way at all inside Keras
        raise InputError(f"{path} cannot be read as a Keras 3 model: {_first_line(error)}") from error
    return {name: keras.ops.convert_to_numpy(v) for name, v in files.named_variables(source).items()}


# Layers that an option has added: with them Keras sorts the others differently.
_ADDED = re.compile(r"_drop$|_block\d+_[123]_pool$")


def _check_order(model: keras.Model, path: Path) -> None:
    """Refuses to load by position where positions are not those of the net that the file was saved from."""
    if any(_ADDED.search(layer.name) for layer in model.layers):
        raise InputError(
            f"{path} holds no layer names that are ours, and stochastic_depth or dilate changes the order of the "
            f"layers. Load it into build('{model.name}') without them, keras_resnet.save_weights that, and load the "
            ".safetensors file here"
        )


def _load_keras3_h5(model: keras.Model, path: Path, match: str) -> LoadReport:
    """Keras 3's own file is keyed by class and position: it fits as a whole or not at all."""
    if match != "exact":
        raise InputError(
            f"{path}: a .weights.h5 file holds no layer names, so only weights_match='exact' can be had; load it into "
            "the net that it was saved from, and save that with keras_resnet.save_weights"
        )
    _check_order(model, path)
    before = model.get_weights()
    try:
        model.load_weights(path)
    except Exception as error:  # h5py and Keras fail in many ways on foreign files
        model.set_weights(before)
        raise InputError(f"{path} does not fit {model.name}: {_first_line(error)}") from error
    if not all(np.isfinite(value).all() for value in model.get_weights()):
        model.set_weights(before)
        raise InputError(f"{path} holds NaN or infinity; the file is damaged")
    return LoadReport(source=str(path), loaded=len(before))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def _unprefixed(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without the prefix that the layers had in the net that the file was saved from."""
    stems = [match[1] for name in tensors if (match := re.fullmatch(r"(.*?)conv1(?:_1)?_conv/kernel", name))]
    prefix = stems[0] if stems else ""
    return {name.removeprefix(prefix): value for name, value in tensors.items()}
