"""A program of commands: a command is a row, and its module is imported when it is called."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from keras_resnet import __version__, console
from keras_resnet.parsing import Parser

EPILOG = "Exit status: 0 done, 1 a check failed, 2 wrong usage or input."


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        name: words that call it, like `"train"` or `"export tflite"`.
        summary: one line for lists.
        module: full name of a module with `add(parser)`, which adds the options, and `work(args)`, which gives the exit
            status; both get `given` before that. A default `around` of the parser, from the options to a context, is
            entered around the work.
        given: further arguments of the two functions.
        former: whether the command has another name now, so that no list names it.
    """

    name: str
    summary: str
    module: str
    given: tuple[str, ...] = ()
    former: bool = False

    def fill(self, parser: Parser) -> None:
        """Gives a parser the command's options and its work."""
        module: Any = importlib.import_module(self.module)
        module.add(*self.given, parser)

        def work(args: argparse.Namespace) -> Any:
            with getattr(args, "around", contextlib.nullcontext)(args):
                return module.work(*self.given, args)

        parser.set_defaults(work=work)


def alone(row: Command, program: str) -> Parser:
    """The parser of one command that is a program of its own, like `python -m export.tflite`.

    Args:
        row: command.
        program: how it is called.
    """
    parser = Parser(prog=program, description=f"{row.summary[:1].upper()}{row.summary[1:]}.", epilog=EPILOG)
    row.fill(parser)
    return parser


def parser_of(rows: Sequence[Command], program: str, description: str, wanted: Iterable[str] | None = None) -> Parser:
    """The parser of a program.

    Args:
        rows: commands.
        program: name that it is called by.
        description: one line.
        wanted: words of a command line: only commands that begin with one of them get their options, which spares the
            imports of the others; None for all.
    """
    parser = Parser(prog=program, description=description, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"keras-resnet-toolkit {__version__}")
    groups: dict[tuple[str, ...], argparse._SubParsersAction] = {(): _subparsers(parser)}
    words = None if wanted is None else set(wanted)
    for row in rows:
        *above, last = row.name.split()
        for depth in range(len(above)):
            path = tuple(above[: depth + 1])
            if path not in groups:
                text = f"{' '.join(path)} a file or a folder: {program} {' '.join(path)} --help"
                inner = groups[path[:-1]].add_parser(path[-1], help=text, description=text)
                inner.set_defaults(work=_lister(rows, program, " ".join(path)))
                groups[path] = _subparsers(inner)
        how: dict[str, Any] = {} if row.former else {"help": row.summary}  # without help it is in no list
        made = groups[tuple(above)].add_parser(
            last, description=f"{row.summary[:1].upper()}{row.summary[1:]}.", epilog=EPILOG, **how
        )
        if words is None or last in words:
            row.fill(made)
    return parser


def _subparsers(parser: Parser) -> argparse._SubParsersAction:
    return parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)


def _lister(rows: Sequence[Command], program: str, group: str):
    return lambda args: show(rows, program, group)


def show(rows: Sequence[Command], program: str, group: str = "") -> int:
    """Prints the commands, one line each.

    Args:
        rows: commands.
        program: name that they are called by.
        group: word that their names begin with; empty for all.
    """
    shown = [row for row in rows if not row.former and (not group or row.name.split()[0] == group)]
    width = max(len(row.name) for row in shown)
    for row in shown:
        print(f"  {row.name.ljust(width)}  {row.summary}")
    print(f"options of one: {program} COMMAND --help")
    return console.OK


_RUNNING: tuple[Sequence[Command], str, str] | None = None


def known() -> tuple[Sequence[Command], str, str]:
    """Commands, name and description of the program that runs; a command may ask, as it does not know the others."""
    assert _RUNNING is not None  # a command is called by `main`
    return _RUNNING


def main(rows: Sequence[Command], program: str, description: str, argv: Sequence[str] | None = None) -> int:
    """Runs a command line; returns its exit status.

    Args:
        rows: commands.
        program: name that it was called by.
        description: one line for `--help`.
        argv: arguments, by default those of the process.
    """
    global _RUNNING
    _RUNNING = rows, program, description
    given = sys.argv[1:] if argv is None else list(argv)
    if not given:
        return console.run(lambda: (print(description), show(rows, program))[1])
    args = parser_of(rows, program, description, given).parse_args(given)
    return console.run(lambda: args.work(args), args)
