"""Standard output and error of a command: what is printed may get lost on its way, the work may not."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class Patient:
    """A stream whose reader may go away: from then on nothing is written, and nobody hears of it.

    Attributes:
        stream: the stream itself.
        lost: error that the first loss gave; None so far.
    """

    def __init__(self, stream: TextIO):
        """Takes the stream."""
        self.stream, self.lost = stream, cast("Exception | None", None)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's own."""
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Writes, or leaves it; gives the number of characters."""
        if self.lost is None:
            try:
                return self.stream.write(text)
            except (OSError, ValueError) as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Flushes, or leaves it."""
        if self.lost is None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def _lose(self, error: OSError | ValueError) -> None:
        """Has the rest go nowhere: what the stream still holds, what children and C libraries write."""
        if isinstance(error, ValueError) and not self.stream.closed:
            raise error  # it cannot be encoded, say
        self.lost = error
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
            self.stream.flush()


def fill_descriptors() -> None:
    """Opens standard streams that were closed (`>&-`): the next file would get their number, and what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            os.set_inheritable(number, True)


def flush() -> None:
    """Flushes standard output and error; programs without a console have none."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


@contextlib.contextmanager
def guarded() -> Iterator[Patient]:
    """Standard output and error cannot fail while the block runs.

    Yields:
        Standard output.
    """
    fill_descriptors()
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as opened:

        def patient(stream: TextIO | None) -> Patient:
            nowhere = os.devnull
            return Patient(stream or opened.enter_context(open(nowhere, "w", encoding="utf-8")))  # noqa: SIM115

        out, err = map(patient, before)
        sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
        try:
            yield out
        finally:
            out.flush()
            err.flush()
            sys.stdout, sys.stderr = before


@contextlib.contextmanager
def results_alone() -> Iterator[TextIO]:
    """Keeps standard output for results; what is printed meanwhile goes to standard error, also by C and by children.

    Yields:
        Standard output.
    """
    out = sys.stdout
    out.flush()
    copy = None
    with contextlib.suppress(OSError, ValueError):  # a test's stream has no number
        copy = os.dup(out.fileno())
    moved = copy is not None and out.fileno() == 1
    with contextlib.ExitStack() as stack:
        alone = out
        if copy is not None:
            alone = os.fdopen(copy, "w", encoding="utf-8")
            stack.callback(_close, alone)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        if moved and copy is not None:
            os.dup2(2, 1)
            stack.callback(os.dup2, copy, 1)
        yield alone


def _close(stream: TextIO) -> None:
    with contextlib.suppress(OSError):  # of what could not be written, which was said when it was
        stream.close()
