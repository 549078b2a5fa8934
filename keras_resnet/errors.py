"""The exceptions that a command turns into one line and an exit status.

Anything else that escapes a command is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class InputError(ValueError):
    """What was asked for cannot be done: the message says what was expected, what was received, what to do."""


class DiskFullError(InputError):
    """Nothing was wrong with what was asked for, but there was no space to write it (exit status 1)."""


class GateError(RuntimeError):
    """The work was done and its result failed a check (exit status 1)."""


class Stopped(KeyboardInterrupt):
    """A signal ended the work, which was left in order.

    Attributes:
        signal: the signal.
    """

    def __init__(self, number: int):
        """Takes the number of the signal."""
        super().__init__()
        self.signal = signal.Signals(number)


def unknown_name(kind: str, name: str, known: Iterable[str], remedy: str = "") -> InputError:
    """Builds the error for a name that is in no table, with the nearest names that are.

    Args:
        kind: what the name should have named, for example `"model"`.
        name: the name received.
        known: the names that exist.
        remedy: what to do, appended to the message.

    Returns:
        The exception, to be raised by the caller.
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return InputError(f"unknown {kind} '{name}': {hint}{' ' + remedy if remedy else ''}")
