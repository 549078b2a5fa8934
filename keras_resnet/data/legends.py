"""What the values and the colours of masks mean: names, void, and what a person says besides.

Inside the package a class is its place among the names, and 255 is void, whatever the files have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import untrusted
from keras_resnet.data.truth import VOID
from keras_resnet.errors import InputError
from keras_resnet.untrusted import visible

NAMES = "classes.txt"  # a class a line, in the order of the index: `name`, or `name R G B`; `void` is ignored
MOST = VOID  # classes, of which 255 is none
_LEAST = 2  # classes that a net can tell apart
_MOST_BYTES = 1 << 20  # of a list of classes
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Legend:
    """What the values of masks mean.

    Attributes:
        names: names of the classes, in the order of their values.
        colours: colour of every class, or none.
        void: values that mean nothing, besides 255.
        void_colours: colours that mean nothing.
        by_colour: whether masks are read by their colours (`settled`).
        values: value in the files of every class, in the order of the names; empty where these are 0, 1, ...
        fixed: whether values are all that counts, as a published set has them: nothing else is looked for.
    """

    names: tuple[str, ...] = ()
    colours: tuple[Colour, ...] = ()
    void: tuple[int, ...] = ()
    void_colours: tuple[Colour, ...] = ()
    by_colour: bool = False
    values: tuple[int, ...] = ()
    fixed: bool = False

    def lookup(self) -> np.ndarray:
        """Class of every value, uint8 `(256,)`; values of no class stay what they are, if no `values` are listed."""
        table = np.arange(256, dtype=np.uint8)
        if self.values:
            table[:] = VOID
            table[list(self.values)] = np.arange(len(self.values))
        table[list(self.void)] = VOID
        return table

    def strange(self, seen: np.ndarray) -> int | None:
        """The first value without a meaning, where `values` lists those that have one.

        Args:
            seen: whether a mask has a value, bool `(256,)`.
        """
        known = np.zeros(256, bool)
        known[[*self.values, *self.void, VOID]] = True
        found = np.flatnonzero(seen & ~known)
        return int(found[0]) if self.values and len(found) else None


@dataclass(frozen=True)
class Reading:
    """What a person says of the values of masks, besides what their folder says.

    Attributes:
        void: values that mean nothing.
        shift: whether 0 means nothing and the names begin at 1 (`--reduce-zero-label`).

    Raises:
        InputError: values that no mask can have.
    """

    void: tuple[int, ...] = ()
    shift: bool = False

    def __post_init__(self) -> None:
        """Checks the values."""
        if not all(type(each) is int and 0 <= each <= VOID for each in self.void):
            raise InputError(f"void {visible(self.void)[:80]}: expected whole numbers from 0 to {VOID}")

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return bool(self.void or self.shift)

    def to_json(self) -> dict[str, Any]:
        """What is said, as arguments of `load_dataset` in JSON types; empty where nothing is."""
        said: dict[str, Any] = {"void": list(self.void), "reduce_zero_label": self.shift}
        return {key: value for key, value in said.items() if value}

    def of(self, legend: Legend, *, listed: bool = False) -> Legend:
        """The meaning of the values with this: a class whose value means nothing goes, and its name and colour.

        Args:
            legend: meaning of the values.
            listed: whether the names are a person's list, whose first one a shift moves to the value 1.

        Raises:
            InputError: fewer than two classes are left.
        """
        if not self:
            return legend
        void, values = {*legend.void, *self.void}, legend.values or tuple(range(len(legend.names)))
        if self.shift and listed:
            void, values = {0, *self.void, *(each + 1 for each in legend.void)}, tuple(each + 1 for each in values)
        elif self.shift:
            if values and 0 not in values:
                raise InputError(f"reduce_zero_label: the values begin at {min(values)} here already: leave it out")
            void |= {0}
        kept = [place for place, value in enumerate(values) if value not in void]
        if legend.names and len(kept) < _LEAST:
            raise InputError(f"void leaves {len(kept)} of {len(values)} classes: expected {_LEAST} or more")
        gone = [legend.colours[place] for place in range(len(legend.colours)) if place not in kept]
        return replace(
            legend,
            names=tuple(legend.names[place] for place in kept),
            colours=tuple(legend.colours[place] for place in kept if legend.colours),
            values=tuple(values[place] for place in kept),
            void=tuple(sorted(void)),
            void_colours=(*legend.void_colours, *gone),
        )


NOTHING = Reading()


def parse_void(text: str) -> tuple[int, ...]:
    """What `--void` says: values with commas between.

    Args:
        text: like `"0,11"`; empty or `"none"` for no values.

    Raises:
        InputError: something else than whole numbers from 0 to 255.
    """
    parts = [part.strip() for part in text.split(",") if part.strip() and text != "none"]
    if not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts):
        raise InputError(f"--void {visible(text)[:80]}: expected values of masks with commas between, like 0,11")
    return Reading(tuple(map(int, parts))).void


def spans(values: Sequence[int]) -> str:
    """Whole numbers in words: `1 to 3, 7`.

    Args:
        values: numbers in any order.
    """
    parts: list[list[int]] = []
    for value in sorted(set(values)):
        if parts and value == parts[-1][1] + 1:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in parts)


def read_legend(path: Path) -> Legend:
    """Reads a list of classes.

    Args:
        path: `classes.txt`: a class a line in the order of the values, `name` or `name R G B`; a line `void` or
            `void R G B` marks what is ignored, and takes a value of its own only where it has no colour.

    Raises:
        InputError: damaged, colours for some of the classes only, or a name twice.
    """
    try:
        lines = untrusted.content(path, most=_MOST_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    names: list[str] = []
    colours: list[Colour | None] = []
    void: list[int] = []
    void_colours: list[Colour] = []
    for number, line in enumerate((each.strip() for each in lines), 1):
        if not line or line.startswith("#"):
            continue
        name, colour = _class(line, f"{path}, line {number}")
        if name.lower() == "void":
            void_colours += [colour] if colour else []
            void += [] if colour else [len(names) + len(void)]
            continue
        if name in names:
            raise InputError(f"{path}, line {number}: the class {visible(name)} is there twice")
        names.append(name)
        colours.append(colour)
    found = [colour for colour in colours if colour is not None]
    if len(found) not in (0, len(names)):
        raise InputError(f"{path}: {len(found)} of {len(names)} classes have colours; expected all of them, or none")
    if not 1 <= len(names) <= MOST or (void and any(each < len(names) for each in void)):
        raise InputError(f"{path}: expected 1 to {MOST} classes, and void behind them where it has no colour")
    if len({*found, *void_colours}) < len(found) + len(void_colours):
        raise InputError(f"{path}: two classes have the same colour")
    return Legend(tuple(names), tuple(found), tuple(void), tuple(void_colours))


def _class(line: str, where: str) -> tuple[str, Colour | None]:
    """Name and colour of a line."""
    words = line.replace(",", " ").split()
    if len(words) >= 4 and all(word.isdigit() for word in words[-3:]):
        red, green, blue = (int(word) for word in words[-3:])
        if max(red, green, blue) > 255:
            raise InputError(f"{where}: a colour has three numbers from 0 to 255, received {' '.join(words[-3:])}")
        return " ".join(words[:-3]), (red, green, blue)
    return " ".join(words), None
