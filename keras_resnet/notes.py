"""Notes on standard error, which the package's modules say by `logging`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


class _Once(logging.Filter):
    """Lets every note pass the first time."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        is_new = text not in self._said
        self._said.add(text)
        return is_new


@contextlib.contextmanager
def said_once() -> Iterator[None]:
    """Says in the block every note once: a command opens the same data to look at it, and to learn from it."""
    log, once = logging.getLogger("keras_resnet"), _Once()
    log.addFilter(once)
    try:
        yield
    finally:
        log.removeFilter(once)
