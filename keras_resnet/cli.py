"""`python -m keras_resnet`: the commands of this package. `keras-resnet` has those of `export` too (export.program)."""

from __future__ import annotations

from collections.abc import Sequence

from keras_resnet import program
from keras_resnet.commands.table import COMMANDS

DESCRIPTION = "Residual networks in Keras, from your photos to the phone."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; returns its exit status."""
    return program.main(COMMANDS, "keras-resnet", DESCRIPTION, argv)
