"""Weights of timm's repositories on the Hugging Face hub: `hf://timm/resnet18.a1_in1k`, optionally `@revision`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from keras_resnet import extras, untrusted
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.specs import SPECS
from keras_resnet.signals.conventions import Preprocess

_SCHEME = "hf://"


@dataclass(frozen=True)
class HubWeights:
    """A downloaded repository.

    Attributes:
        path: path of its `model.safetensors`.
        card: input convention and origin, from its `config.json`.
    """

    path: Path
    card: ModelCard


def is_hub(weights: str | os.PathLike) -> bool:
    """True where weights are named by a hub address."""
    return isinstance(weights, str) and weights.startswith(_SCHEME)


def row_of(architecture: str) -> str | None:
    """Our name of a timm architecture: timm's `resnet50` has its stride on the 3x3."""
    return next((name for name in (f"{architecture}_v1_5", architecture) if name in SPECS), None)


def fetch(address: str, spec: ResNetSpec) -> HubWeights:
    """Downloads a repository's weights and configuration into the hub's cache, or finds them there.

    Args:
        address: `hf://OWNER/NAME` or `hf://OWNER/NAME@REVISION`.
        spec: spec of the net that the weights are for.

    Raises:
        InputError: huggingface_hub is not installed, the repository cannot be had or is no timm ResNet, or holds
            another variant.
    """
    extras.require_for(address)
    from huggingface_hub import hf_hub_download

    repository, _, revision = address.removeprefix(_SCHEME).partition("@")
    try:
        config = Path(hf_hub_download(repository, "config.json", revision=revision or None))
        fields = untrusted.read_json(config)
        architecture = str(fields["architecture"])
        _check_architecture(address, architecture, spec)
        path = Path(hf_hub_download(repository, "model.safetensors", revision=revision or None))
        return HubWeights(path, _card(fields, spec))
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"weights '{address}': its config.json is not timm's ({error!r}); expected a timm ResNet"
        ) from error
    except Exception as error:  # the hub's errors have no common class: no network, no such repository, no token
        reason = (str(error).strip() or repr(error)).splitlines()[0].rstrip(".")
        raise InputError(
            f"weights '{address}' cannot be had: {reason}. "
            "Expected hf://OWNER/NAME of a repository that holds model.safetensors and config.json, or that is in the "
            "cache of huggingface_hub"
        ) from error


def _check_architecture(address: str, architecture: str, spec: ResNetSpec) -> None:
    row = row_of(architecture)
    if row is None:
        raise InputError(f"weights '{address}' are of a {architecture}, which keras_resnet does not build")
    if row != spec.name:
        raise InputError(f"weights '{address}' are of timm's {architecture}, here '{row}'; received '{spec.name}'")


def _card(fields: dict, spec: ResNetSpec) -> ModelCard:
    """Makes a card of timm's mean and standard deviation, which are of RGB pixels from 0 to 1."""
    config = fields.get("pretrained_cfg", fields)
    mean, std = (tuple(255 * float(value) for value in config[key]) for key in ("mean", "std"))
    labels = tuple(str(label) for label in fields.get("label_names", ()))
    classes = int(fields.get("num_classes", 0))
    return ModelCard(
        labels=labels if len(labels) == classes else (),
        preprocess=Preprocess(mean=mean, std=std),
        spec=spec.name,
        dataset="imagenet" if classes == 1000 else None,
        crop=float(config.get("crop_pct") or 1.0),
    )
