"""`keras-resnet completion`: what a shell offers at the tabulator key. Nothing runs then: the script is complete."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from keras_resnet import console
from keras_resnet.parsing import Parser

_SHELLS = ("bash", "zsh", "tcsh", "fish")
_LINES = {
    "bash": "keras-resnet completion bash > ~/.local/share/bash-completion/completions/keras-resnet",
    "zsh": "keras-resnet completion zsh > ~/.zfunc/_keras-resnet, with fpath+=~/.zfunc before compinit in ~/.zshrc",
    "tcsh": "keras-resnet completion tcsh >> ~/.tcshrc",
    "fish": "keras-resnet completion fish > ~/.config/fish/completions/keras-resnet.fish",
}


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.add_argument("shell", choices=_SHELLS, help="whose script is printed")
    parser.epilog = "Install it: " + "; ".join(_LINES.values())
    console.add_json(parser, "the script")


def work(args: argparse.Namespace) -> int:
    """Prints the script."""
    import shtab

    from keras_resnet.nets.specs import list_models
    from keras_resnet.training.recipes import RECIPES

    parser = _whole()
    for action in _actions(parser):
        if action.dest == "recipe" or (action.dest == "name" and "recipe" in str(action.help)):
            action.choices = list(RECIPES)
        elif action.type is Path or action.dest in ("data", "images", "weights", "model"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        if action.dest == "names":
            action.choices = list_models()
    script = shtab.complete(parser, shell=args.shell)
    console.write_json(args.json, {"shell": args.shell, "script": script})
    print(script)
    return console.OK


def _whole() -> Parser:
    """The parser of the program with all commands; `export` is known to the program, not to this package."""
    from keras_resnet.program import known, parser_of

    rows, program, description = known()
    return parser_of(rows, program, description)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All actions of a parser and of its commands'."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _actions(each)
        elif action.help != argparse.SUPPRESS:
            yield action
