"""Command lines: mistakes are one line that says what is wrong, what comes near, and where the options stand."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

_CHOICE = re.compile(r"argument COMMAND: invalid choice: '(.*)' \(choose from (.*)\)", re.DOTALL)
_HANDLER = "_handler"  # parser that a subcommand's options belong to


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes are short, and which knows former spellings.

    Attributes:
        elsewhere: what to say of options that another command has, by option.
        former: present spelling of options that had another one, by the old one; None for those that still have an
            (unlisted) argument of their own, which says what became of it.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        """Takes the arguments of `argparse.ArgumentParser`."""
        super().__init__(*args, **kwargs)
        self.elsewhere: dict[str, str] = {}
        self.former: dict[str, str] = {}
        self.set_defaults(**{_HANDLER: self})

    def error(self, message: str) -> NoReturn:
        """Prints one line, and where the options stand; ends the process with status 2."""
        choice = _CHOICE.fullmatch(message)
        if choice:  # the nearest command says more than the list of all
            near = difflib.get_close_matches(choice[1], re.findall(r"[\w-]+", choice[2]), n=2, cutoff=0.6)
            message = f"there is no command {choice[1]}" + (f": did you mean {' or '.join(near)}?" if near else "")
        self.exit(2, f"error: {message}\nall options: {self.prog} --help\n")

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parses; what nobody knows is an error of the subcommand that it was given to."""
        given = sys.argv[1:] if args is None else list(args)
        for option in self.elsewhere.keys() & {each.partition("=")[0] for each in given}:
            self.error(f"{option}: {self.elsewhere[option]}")  # before what argparse would miss
        found, unknown = self.parse_known_args(given, namespace)
        handler: Parser = getattr(found, _HANDLER)
        delattr(found, _HANDLER)
        if unknown:
            handler.error(handler._unknown(unknown))
        return found

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parses what is known, old spellings among it; subcommands are parsed by their own parser's."""
        given = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args([self._present(each) for each in given], namespace)

    def _present(self, argument: str) -> str:
        """An argument in the present spelling."""
        option, equals, value = argument.partition("=")
        if option not in self.former:
            return argument
        note_former(option, self.former[option])
        return self.former[option] + equals + value

    def _unknown(self, unknown: Sequence[str]) -> str:
        """Words about options that do not exist, with the nearest ones."""
        option = next((each for each in unknown if each.startswith("-")), unknown[0])
        name = option.partition("=")[0]
        shown = [each for action in self._actions for each in action.option_strings if action.help != argparse.SUPPRESS]
        near = difflib.get_close_matches(name, shown, n=2, cutoff=0.6)
        return f"there is no {name} here" + (f": did you mean {' or '.join(near)}?" if near else "")


def note_former(old: str, new: str) -> None:
    """Says that a spelling is an old one.

    Args:
        old: spelling that was used.
        new: spelling to use.
    """
    print(f"note: {old} is written {new} now; the old spelling works until the next release", file=sys.stderr)
