"""A look at data as one page: tables, a sheet of examples, and what is there twice as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_resnet import files
from keras_resnet.gallery import Shown, shown
from keras_resnet.looking import boxes
from keras_resnet.looking.findings import Findings
from keras_resnet.page import render, table

_EACH, _CLASSES = 8, 40  # examples of a class; classes
_GROUPS, _MEMBERS = 12, 6  # of duplicates


def write_html(found: Findings, command: str, path: Path, *, overwrite: bool = False) -> None:
    """Writes the page.

    Args:
        found: result of a look.
        command: command line that made it.
        path: file to write.
        overwrite: replace an existing file.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    text = render(
        "keras_resnet/look.html",
        title=f"{len(found.facts):,} pictures in {Path(found.data.name).name or found.data.name}",
        hints=found.hints(),
        tables=[table(each.title, each.columns, each.rows) for each in found.tables()],
        sheet=_sheet(found),
        groups=[_pictures(found, group) for group in _interesting(found)[:_GROUPS]],
        hidden=max(0, len(found.near) - _GROUPS),
        command=command,
    )
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _interesting(found: Findings) -> list[tuple[int, ...]]:
    """Groups of nearly the same picture: first those of several classes, then those in several parts."""
    other, across = set(found.contradictory()), set(found.across())
    return sorted(found.near, key=lambda group: (group not in other, group not in across))


def _pictures(found: Findings, group: Sequence[int]) -> list[Shown]:
    return [_of(found, number) for number in group[:_MEMBERS]]


def _of(found: Findings, number: int, words: str | None = None) -> Shown:
    item = found.data.items[number]
    said = " ".join(filter(None, (item.part, "|".join(item.labels)))) if words is None else words
    if found.data.boxes:
        return boxes.shown(found.data, number, said)
    return shown(item.source, item.name, said)


def _sheet(found: Findings) -> list[tuple[str, list[Shown]]]:
    """Examples by class, evenly from the first to the last; of a source without classes all together."""
    places: dict[str, list[int]] = {name: [] for name in found.data.classes}
    for number, item in enumerate(found.data.items):
        if not found.facts[number].error:
            for name in item.labels or ("examples",):
                places.setdefault(name, []).append(number)
    chosen = {name: _evenly(numbers) for name, numbers in list(places.items())[:_CLASSES]}
    return [(name, [_of(found, n, "") for n in numbers]) for name, numbers in chosen.items() if numbers]


def _evenly(numbers: Sequence[int]) -> list[int]:
    if not numbers:
        return []
    return [numbers[int(n)] for n in np.unique(np.linspace(0, len(numbers) - 1, min(_EACH, len(numbers))).astype(int))]
