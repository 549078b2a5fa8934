"""Which net a weight file says that it was trained in, where its tensors fit several: anti-aliasing has no weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from keras_resnet import untrusted
from keras_resnet.errors import InputError
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.specs import SPECS
from keras_resnet.weights import files, hub
from keras_resnet.weights.identify import graph_of

# What training programs call the architecture in a file's header.
_KEYS = ("architecture", "arch", "model_name")
_WEIGHTLESS = ("A", "none")  # shortcuts


def check(path: Path, spec: ResNetSpec) -> None:
    """Refuses a file whose tensors fit, and that says that they are of another graph.

    Args:
        path: weight file.
        spec: net that it is loaded into.

    Raises:
        InputError: its card, its header or the `config.json` beside it names a net with the same tensors that computes
            something else with them.
    """
    for row, where in _claims(path):
        if row in SPECS and _other_graph_of_the_same_tensors(SPECS[row], spec):
            raise InputError(
                f"{path} holds weights of {row} ({where} says so); {spec.name} has the same tensors and computes "
                f"something else with them. Build '{row}', or pass weights_match='partial' if this is meant"
            )


def _other_graph_of_the_same_tensors(row: ResNetSpec, spec: ResNetSpec) -> bool:
    shortcut = spec.shortcut if {row.shortcut, spec.shortcut} <= set(_WEIGHTLESS) else row.shortcut
    twin = dataclasses.replace(row, antialiasing=spec.antialiasing, shortcut=shortcut)
    return graph_of(twin) == graph_of(spec) != graph_of(row)


def _claims(path: Path) -> Iterator[tuple[str | None, str]]:
    """Rows that a file is said to be of, and who says so."""
    try:
        card = files.read_card(path)
    except InputError:  # a newer one, say: who asks for the card hears of it
        card = None
    if card:
        yield card.spec, "its card"
    if path.suffix == ".safetensors":
        header = files.read_header(path)
        yield from ((hub.row_of(header[key]), f"'{key}' in its header") for key in _KEYS if key in header)
        yield hub.row_of(_architecture(path.with_name("config.json"))), "config.json beside it"


def _architecture(path: Path) -> str:
    """Architecture in a timm configuration; empty where there is none."""
    try:
        return str(untrusted.read_json(path)["architecture"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
