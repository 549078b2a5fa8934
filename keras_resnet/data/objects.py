"""Objects of pictures as files have them, checked: boxes without area and boxes outside are counted and left out."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.data.masks import Encoded
from keras_resnet.data.truth import BOX, USUAL
from keras_resnet.data.turning import Head, stood_up
from keras_resnet.errors import InputError
from keras_resnet.untrusted import visible

MOST = 2_000  # objects of a picture; the richest one of COCO has 93, and crowds of people some hundreds
MOST_NAMES = 10_000  # classes
_MOST_BYTES = 4 << 30  # of all boxes of a part, which are dense
_ROUNDING = 0.05  # pixels that a box may be outside by the digits of its file: nobody is told
_BEYOND = 2.0  # pixels outside by which a box is clipped
_SHARE = 0.01  # of bad boxes that a set may have
_NAMED = 5  # of them, in notes
_LARGEST = 1e9  # of a number of a box
_log = logging.getLogger("keras_resnet")


@dataclass(frozen=True, eq=False, slots=True)
class Thing:
    """An object of a picture.

    Attributes:
        corners: x1, y1, x2, y2 from the top left corner, 0-based, ends exclusive.
        kind: place of its class among the names.
        where: place in the file, for messages.
        flag: `truth.USUAL`, `CROWD` or `DIFFICULT`.
        area: pixels of its outline; None for those of its box.
    """

    corners: tuple[float, float, float, float]
    kind: int
    where: str
    flag: int = USUAL
    area: float | None = None


@dataclass(frozen=True, eq=False)
class Things:
    """The objects of a picture.

    Attributes:
        origin: file, for messages.
        things: objects in the order of the file.
        size: height and width of the picture as the file says; None where it does not.
        relative: whether corners are shares of the picture's width and height.
        lying: whether they mean the pixels as they lie in the file, whatever size is said.
    """

    origin: str
    things: tuple[Thing, ...] = ()
    size: tuple[int, int] | None = None
    relative: bool = False
    lying: bool = False


@dataclass(frozen=True)
class FoundThings:
    """Pictures with objects that a folder or a table has.

    Attributes:
        parts: by part, pictures (`masks.Encoded`) with their objects.
        names: names of the classes.
        ids: the set's own numbers of the classes; empty where it has none.
        named: whether the names are the set's own list, so that a `classes.txt` can only rename.
    """

    parts: Mapping[str, Sequence[tuple[Any, Things]]]
    names: tuple[str, ...]
    ids: tuple[int, ...] = ()
    named: bool = False


@dataclass(frozen=True)
class Problem:
    """A box that is not as it should be.

    Attributes:
        where: file, place in it, and object.
        why: what is wrong with it.
        dropped: whether it is left out; else it was clipped.
    """

    where: str
    why: str
    dropped: bool = True

    def __str__(self) -> str:
        """One line."""
        return f"{visible(self.where)}: {visible(self.why)}{'' if self.dropped else ', clipped'}"


_strict = False
_collected: list[Problem] | None = None


@contextlib.contextmanager
def strictly(whether: bool = True) -> Iterator[None]:
    """Sources that are opened in the block refuse every box that would be dropped or clipped (`--strict`).

    Args:
        whether: False leaves everything as it is.
    """
    global _strict
    former, _strict = _strict, _strict or whether
    try:
        yield
    finally:
        _strict = former


@contextlib.contextmanager
def collected() -> Iterator[list[Problem]]:
    """Sources that are opened in the block refuse no box and say nothing: what is wrong is in the list."""
    global _collected
    former, _collected = _collected, []
    try:
        yield _collected
    finally:
        _collected = former


def numbers(values: Any, origin: str) -> tuple[float, float, float, float]:
    """The four numbers of a box.

    Args:
        values: what a file has in their place: texts or numbers.
        origin: where it was, for messages.

    Raises:
        InputError: not four, or something else than finite numbers.
    """
    if not isinstance(values, list | tuple) or len(values) != 4:
        raise InputError(f"{origin}: expected a box of four numbers, received {visible(repr(values))[:80]}")
    found = [_number(each) for each in values]
    if any(each is None for each in found):
        raise InputError(f"{origin} has a box of something else than numbers: {visible(values)[:80]}")
    a, b, c, d = (float(each or 0.0) for each in found)
    return a, b, c, d


def _number(value: Any) -> float | None:
    """A finite number of a usual size; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value) if "_" not in value else math.nan
        except ValueError:
            return None
    if type(value) not in (int, float) or not abs(value) < _LARGEST:
        return None
    return float(value)


def judged(things: Things, size: tuple[int, int]) -> tuple[np.ndarray, list[Problem]]:
    """The boxes of a picture in pixels, clipped to it.

    Args:
        things: objects.
        size: height and width of the picture.

    Returns:
        float32 `(k, 7)`, rows of the truth `boxes`; and what is wrong.
    """
    height, width = size
    kept: list[tuple[float, ...]] = []
    problems: list[Problem] = []
    for number, thing in enumerate(things.things, 1):
        x1, y1, x2, y2 = thing.corners
        if things.relative:
            x1, y1, x2, y2 = x1 * width, y1 * height, x2 * width, y2 * height
        where = f"{things.origin}, {thing.where or f'object {number}'}"
        box = f"{x1:g}, {y1:g}, {x2:g}, {y2:g}"
        if x2 <= x1 or y2 <= y1:
            problems.append(Problem(where, f"the box {box} {_turned(x1, y1, x2, y2)}"))
            continue
        outside = max(-x1, -y1, x2 - width, y2 - height)
        seen = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
        if outside > _BEYOND or seen[2] <= seen[0] or seen[3] <= seen[1]:
            problems.append(Problem(where, f"the box {box} is outside of its picture of {width} x {height} pixels"))
            continue
        if outside > _ROUNDING:
            problems.append(
                Problem(where, f"the box {box} is {outside:.2g} pixels outside of {width} x {height}", False)
            )
        area = (seen[2] - seen[0]) * (seen[3] - seen[1]) if not thing.area else thing.area
        kept.append((*seen, thing.kind, thing.flag, area))
    return np.array(kept, np.float32).reshape(-1, BOX), problems


def _turned(x1: float, y1: float, x2: float, y2: float) -> str:
    return "is turned round: its ends come before its beginnings" if x2 < x1 or y2 < y1 else "has no area"


def note_turned(origin: str, pictures: Sequence[tuple[Encoded, bool]]) -> None:
    """Says how many pictures EXIF turns, and the boxes of how many are turned with them.

    Args:
        origin: folder or table, for messages.
        pictures: those that are turned, and whether their boxes mean the pixels as they lie.
    """
    if pictures and _collected is None:
        _log.warning(
            "note: %s: EXIF turns %s pictures (%s, ...): they stand upright here, as predict shows them; the boxes of "
            "%s of them are turned with them, as these mean the pixels that lie in the files",
            *(
                visible(origin),
                f"{len(pictures):,}",
                visible(pictures[0][0]),
                f"{sum(lying for _, lying in pictures):,}",
            ),
        )


def lies(things: Things, head: Head) -> bool:
    """Whether boxes mean the pixels as they lie in the file.

    They do where their file says that size, as published sets are. Where no size is said, as in tables and YOLO's
    files, they are what people saw while they drew them.

    Args:
        things: objects of a picture.
        head: head of the picture, which EXIF turns.
    """
    return things.lying or things.size == head.lying


def truth_of(
    things: Sequence[Things], pictures: Sequence[Encoded], heads: Sequence[Head | None]
) -> tuple[list[np.ndarray], np.ndarray, list[Problem]]:
    """The boxes of every picture that stands upright, and its size.

    Args:
        things: objects of every picture.
        pictures: pictures, for messages.
        heads: heads of the pictures.

    Returns:
        Boxes, float32 `(k, 7)` each; the truth `frame`, float32 `(N, 2)`; and what is wrong.

    Raises:
        InputError: a picture has another size than its file says, or too many objects.
    """
    boxes, sizes, problems = [], [], []
    for each, picture, head in zip(things, pictures, heads, strict=True):
        if head is None:
            raise InputError(f"{picture} cannot be opened: expected a picture, whose size its boxes need")
        if each.size is not None and each.size not in (head.lying, head.upright):
            raise InputError(
                f"{each.origin} is of a picture of {each.size[1]} x {each.size[0]} pixels, and {picture} has "
                f"{head.lying[1]} x {head.lying[0]}: expected the same size"
            )
        if len(each.things) > MOST:
            raise InputError(f"{each.origin} has {len(each.things):,} objects of {picture}: expected at most {MOST:,}")
        lying = head.is_turned and lies(each, head)
        found, wrong = judged(each, head.lying if lying else head.upright)
        boxes.append(stood_up(found, head) if lying else found)
        sizes.append(head.upright)
        problems += wrong
    return boxes, np.array(sizes, np.float32).reshape(-1, 2), problems


def dense(boxes: Sequence[np.ndarray], most: int) -> np.ndarray:
    """Boxes of all pictures as one array, float32 `(N, most, 7)`; rows that are none are -1.

    Args:
        boxes: boxes of every picture, `(k, 7)`.
        most: largest number of boxes of a picture of the set.

    Raises:
        InputError: they would fill the memory.
    """
    if 4 * BOX * len(boxes) * most > _MOST_BYTES:
        raise InputError(
            f"a picture has {most:,} boxes, and there are {len(boxes):,} pictures: expected that their product is at "
            f"most {_MOST_BYTES // (4 * BOX):,}; leave out the pictures with most boxes"
        )
    found = np.full((len(boxes), most, BOX), -1, np.float32)
    for place, each in enumerate(boxes):
        found[place, : len(each)] = each
    return found


def report(origin: str, problems: Sequence[Problem], total: int) -> None:
    """Says what was dropped and clipped, or refuses it.

    Args:
        origin: folder or table.
        problems: boxes that are not as they should be.
        total: number of boxes of the set.

    Raises:
        InputError: more than a hundredth of the boxes are bad, and more than one; or any is, and `strictly` asked.
    """
    if _collected is not None:
        _collected.extend(problems)
        return
    dropped = sum(each.dropped for each in problems)
    if dropped > max(1, _SHARE * total):
        raise InputError(
            f"{origin}: {dropped:,} of {total:,} boxes are bad, more than {_SHARE:.0%} "
            f"({_first(problems)}): correct or remove them; keras-resnet data names all"
        )
    if problems and _strict:
        raise InputError(f"{origin}: {_counted(problems)} of {total:,} boxes ({_first(problems)}): refused by --strict")
    if problems:
        _log.warning("note: %s: %s of %s boxes", origin, _counted(problems), f"{total:,}")
    for each in problems[:_NAMED]:
        _log.warning("note: %s", each)


def _first(problems: Sequence[Problem]) -> str:
    return f"the first: {next((each for each in problems if each.dropped), problems[0])}"


def _counted(problems: Sequence[Problem]) -> str:
    dropped = sum(each.dropped for each in problems)
    said = [(dropped, "dropped"), (len(problems) - dropped, "clipped")]
    return ", ".join(f"{count:,} {word}" for count, word in said if count)
