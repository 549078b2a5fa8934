#!/usr/bin/env python3
"""Writes the tables of docs/commands.md from the parsers: tools/commands_table.py [--check].

Between `<!-- commands -->` and `<!-- /commands -->` stand all commands with all options, their old spellings and their
meaning. With --check nothing is written; the exit status is 1 if the page is not what the code says.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from export.program import COMMANDS
from keras_resnet.parsing import Parser
from keras_resnet.program import Command

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
_BLOCK = re.compile(r"(<!-- commands -->\n).*?(<!-- /commands -->)", re.DOTALL)


def tables() -> str:
    """All commands."""
    return "\n".join(_section(row) for row in COMMANDS if not row.former)


def _section(row: Command) -> str:
    parser = Parser(prog=f"keras-resnet {row.name}")
    row.fill(parser)
    lines = [f"### {row.name}", "", f"{row.summary[:1].upper()}{row.summary[1:]}.", "", "| option | before | meaning |"]
    lines += ["|---|---|---|", *(f"| {' | '.join(cells)} |" for cells in _options(parser)), ""]
    return "\n".join(lines)


def _options(parser: Parser) -> Iterator[tuple[str, str, str]]:
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        old = [f"`{before}`" for before, now in parser.former.items() if now in action.option_strings]
        if "--data" in action.option_strings:
            old.append("`--data-dir`")
        names = ", ".join(action.option_strings) or (action.metavar or action.dest)
        value = "" if action.nargs == 0 or not action.option_strings else f" {action.metavar or _choices(action)}"
        text = (action.help or "") % {**vars(action), "prog": parser.prog}
        yield f"`{names}{value}`".replace("|", "\\|"), ", ".join(old), text.replace("|", "\\|")


def _choices(action: argparse.Action) -> str:
    return "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()


def main() -> int:
    """Writes the page, or says that it is not what the code says."""
    text = PAGE.read_text(encoding="utf-8")
    made = _BLOCK.sub(lambda match: match[1] + tables() + match[2], text)
    if made == text:
        return 0
    if "--check" in sys.argv:
        print(f"error: {PAGE.name} is not what the code says: run tools/commands_table.py", file=sys.stderr)
        return 1
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
