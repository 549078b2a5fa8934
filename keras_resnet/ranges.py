"""Ranges of settings, stated at the fields of frozen dataclasses and checked by one loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from keras_resnet.errors import InputError, unknown_name

_KEY = "range"


@dataclass(frozen=True)
class Range:
    """What a setting may be.

    Attributes:
        words: what is expected, for the message.
        holds: whether a value is inside; not a number never is.
        names: rows that a name must be one of; empty for numbers.
    """

    words: str
    holds: Callable[[Any], bool]
    names: tuple[str, ...] = ()


def positive(default: Any = dataclasses.MISSING) -> Any:
    """A field whose value is above 0; without a default it must be given."""
    return _field(default, Range("more than 0", lambda value: value > 0))


def at_least_0(default: Any) -> Any:
    """A field whose value is 0 or more."""
    return _field(default, Range("at least 0", lambda value: value >= 0))


def rate(default: Any) -> Any:
    """A field whose value is 0 up to below 1."""
    return _field(default, Range("0 up to below 1", lambda value: 0 <= value < 1))


def share(default: Any) -> Any:
    """A field whose value is above 0 and at most 1."""
    return _field(default, Range("above 0 and at most 1", lambda value: 0 < value <= 1))


def ascending_fractions(default: Any = ()) -> Any:
    """A field of ascending numbers between 0 and 1."""
    words = "ascending fractions of the run, like 0.5,0.75"
    return _field(default, Range(words, lambda value: all(0 < m < 1 for m in value) and list(value) == sorted(value)))


def one_of(names: Sequence[str], default: str) -> Any:
    """A field whose value is one of several names."""
    return _field(default, Range("", lambda value: value in names, tuple(names)))


def of(field: dataclasses.Field[Any]) -> Range | None:
    """The range that a field states; None where it states none."""
    return field.metadata.get(_KEY)


def _field(default: Any, allowed: Range) -> Any:
    return dataclasses.field(default=default, metadata={_KEY: allowed})


def check(settings: Any, owner: str) -> None:
    """Refuses values outside the ranges of their fields.

    Args:
        settings: instance of a dataclass.
        owner: whose settings these are, for the message, like `"recipe fast"`.

    Raises:
        InputError: a value outside its range; for a name, the nearest ones are in the message.
    """
    for field in dataclasses.fields(settings):
        allowed = of(field)
        value = getattr(settings, field.name)
        if allowed is None or allowed.holds(value):
            continue
        if allowed.names:
            raise unknown_name(field.name, str(value), allowed.names)
        raise InputError(f"{owner}: {field.name}={value}, expected {allowed.words}")
