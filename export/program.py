"""The program `keras-resnet`: the commands of both packages, and those of `export` alone as modules of Python."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from export.commands import table
from keras_resnet import cli, console, program
from keras_resnet.commands.table import COMMANDS as OWN

COMMANDS = (*(row for row in OWN if not row.former), *table.COMMANDS, *(row for row in OWN if row.former))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line of `keras-resnet`; returns its exit status."""
    return program.main(COMMANDS, "keras-resnet", cli.DESCRIPTION, argv)


def alone(name: str, argv: Sequence[str] | None = None) -> int:
    """Runs a command line of one command of `export`, like `python -m export.tflite`; returns its exit status.

    Args:
        name: row of `export.commands.table`, like `"export tflite"`.
        argv: arguments, by default those of the process.
    """
    words = name if name.startswith("export") else f"export {name}"
    parser = program.alone(table.named(name), f"python -m {words.replace(' ', '.')}")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    return console.run(lambda: args.work(args), args)
