"""What a look at data found: figures, lists of files, and what a training will do about it."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.looking import boxes, duplicates
from keras_resnet.looking.facts import Facts, examine
from keras_resnet.looking.gathering import PARTS, Gathered, gather
from keras_resnet.looking.hints import hints
from keras_resnet.tasks.results import Table
from keras_resnet.untrusted import visible

_NAMED = 20  # files of a list in a terminal or on a page; the JSON file has all


@dataclass(frozen=True)
class Findings:
    """Result of a look.

    Attributes:
        data: examples.
        facts: facts of each of them.
        exact: groups of the same bytes, as positions.
        near: groups of nearly the same picture.
    """

    data: Gathered
    facts: tuple[Facts, ...]
    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, ...], ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that there are; one without a name where the source is not divided."""
        there = {item.part for item in self.data.items}
        return tuple(part for part in ("", *PARTS) if part in there)

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of examples by class and part, of objects where there are boxes; each of several tags counts."""
        if self.data.boxes:
            return boxes.counts(self.data)
        found = {name: dict.fromkeys(self.parts, 0) for name in self.data.classes}
        for item in self.data.items:
            for name in item.labels:
                found.setdefault(name, dict.fromkeys(self.parts, 0))[item.part] += 1
        return found

    def bad(self) -> list[int]:
        """Positions of pictures that cannot be read."""
        return [number for number, each in enumerate(self.facts) if each.error]

    def odd(self) -> dict[str, list[int]]:
        """Positions of pictures by what is unusual about them."""
        found: dict[str, list[int]] = {}
        for number, each in enumerate(self.facts):
            for what in each.odd:
                found.setdefault(what, []).append(number)
        return dict(sorted(found.items(), key=lambda pair: -len(pair[1])))

    def across(self) -> list[tuple[int, ...]]:
        """Groups of nearly the same picture with members in several parts."""
        return [group for group in self.near if len({self.data.items[n].part for n in group}) > 1]

    def contradictory(self) -> list[tuple[int, ...]]:
        """Groups of nearly the same picture with members of different classes."""
        return [group for group in self.near if len({self.data.items[n].labels for n in group}) > 1]

    def sizes(self) -> dict[str, tuple[float, float, float]]:
        """Smallest, median and largest width, height, shorter side (pixels), and ratio of the longer to the shorter."""
        sides = np.array([(each.width, each.height) for each in self.facts if not each.error], float).reshape(-1, 2)
        if not len(sides):
            return {}
        figures = {
            "width": sides[:, 0],
            "height": sides[:, 1],
            "shorter side": sides.min(1),
            "longer to shorter side": sides.max(1) / sides.min(1),
        }
        return {name: (float(v.min()), float(np.median(v)), float(v.max())) for name, v in figures.items()}

    def formats(self) -> dict[str, int]:
        """Number of readable pictures by format."""
        return dict(Counter(each.form for each in self.facts if not each.error).most_common())

    def hints(self) -> list[str]:
        """What a training will do about what was found, and what a person can do; one sentence each."""
        return list(hints(self))

    def names(self, group: Sequence[int]) -> list[str]:
        """Names of examples."""
        return [self.data.items[number].name for number in group]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON types."""
        values = {name: [float(v.min()), float(np.median(v)), float(v.max())] for name, v in self.data.values.items()}
        return {
            "data": self.data.name,
            "examples": len(self.data.items),
            "truth": self.data.truth,
            "divided": self.data.own_parts,
            "parts": {part or "all": sum(item.part == part for item in self.data.items) for part in self.parts},
            "classes": {name: {k or "all": v for k, v in by_part.items()} for name, by_part in self.counts().items()},
            "values": values,
            "sizes": {name: list(three) for name, three in self.sizes().items()},
            "formats": self.formats(),
            "unreadable": {self.data.items[n].name: self.facts[n].error for n in self.bad()},
            "odd": {what: self.names(group) for what, group in self.odd().items()},
            "no_pictures": [str(path) for path in self.data.others],
            "empty_folders": list(self.data.empty),
            "exact_duplicates": [self.names(group) for group in self.exact],
            "near_duplicates": [self.names(group) for group in self.near],
            "near_duplicates_across_parts": [self.names(group) for group in self.across()],
            "near_duplicates_of_different_classes": [self.names(group) for group in self.contradictory()],
            "hints": self.hints(),
            **({"objects": boxes.to_json(self.data)} if self.data.boxes else {}),
        }

    def tables(self) -> Iterator[Table]:
        """Tables for the terminal and for the page."""
        counts = self.counts()
        if counts:
            yield _class_table(counts, self.parts, "Objects" if self.data.boxes else "Classes")
        if self.data.boxes:
            yield from boxes.tables(self.data)
        if self.data.values:
            values = [
                (name, *(f"{x:.4g}" for x in (v.min(), np.median(v), v.max()))) for name, v in self.data.values.items()
            ]
            yield Table("Values", ("value", "smallest", "median", "largest"), tuple(values))
        sizes = [(name, *(f"{x:,.4g}" for x in three)) for name, three in self.sizes().items()]
        yield Table("Sizes in pixels", ("of a picture", "smallest", "median", "largest"), tuple(sizes))
        yield Table("Formats", ("format", "pictures"), tuple(self.formats().items()))
        if bad := self.bad():
            reasons = [(self.data.items[n].name, self.facts[n].error) for n in bad[:_NAMED]]
            yield Table(_titled("Cannot be read", len(bad)), ("file", "why"), tuple(reasons))
        if odd := self.odd():
            unusual = [(what, len(group), self.data.items[group[0]].name) for what, group in odd.items()]
            yield Table("Unusual", ("what", "pictures", "the first"), tuple(unusual))
        for title, groups in (("The same bytes", self.exact), ("Nearly the same picture", self.near)):
            if groups:
                rows = [(", ".join(self.names(group)[:4]), len(group), self._where(group)) for group in groups[:_NAMED]]
                yield Table(_titled(title, len(groups)), ("files", "number", "parts and classes"), tuple(rows))

    def _repr_html_(self) -> str:
        """Hints and tables, for notebooks."""
        from keras_resnet.page import table

        tables = "".join(table(each.title, each.columns, each.rows) for each in self.tables())
        hints = "".join(f"<li>{html.escape(visible(hint))}</li>" for hint in self.hints())
        return f"<ul>{hints}</ul>{tables}"

    def _where(self, group: Sequence[int]) -> str:
        """The parts and the classes of a group's members."""
        items = [self.data.items[number] for number in group]
        places = (" ".join(filter(None, (item.part, "|".join(item.labels)))) for item in items)
        return ", ".join(dict.fromkeys(places))


def _titled(title: str, count: int) -> str:
    return f"{title}: {count:,}" + (f", the first {_NAMED} of them" if count > _NAMED else "")


def _class_table(counts: dict[str, dict[str, int]], parts: Sequence[str], title: str) -> Table:
    total = sum(sum(by_part.values()) for by_part in counts.values())
    named = [part or "pictures" for part in parts]
    rows = [
        (name, *by_part.values(), *([sum(by_part.values())] if len(parts) > 1 else []), _share(by_part, total))
        for name, by_part in counts.items()
    ]
    whole = [sum(by_part[part] for by_part in counts.values()) for part in parts]
    rows.append(("all", *whole, *([total] if len(parts) > 1 else []), "100.0 %"))
    return Table(title, ("class", *named, *(["all"] if len(parts) > 1 else []), "share"), tuple(rows))


def _share(by_part: dict[str, int], total: int) -> str:
    return f"{100 * sum(by_part.values()) / max(1, total):.1f} %"


def look(place: Any, **how: Any) -> Findings:
    """Looks at data before a training.

    Args:
        place: `data.sources.Named`, or what `--data` takes: a folder, a table of labels, a name.
        **how: further arguments of `load_dataset`, of a table or of masks, or the truth.

    Raises:
        InputError: there is nothing to look at.

    Example:
        >>> from keras_resnet.looking.findings import look
        >>> found = look("photos/")  # doctest: +SKIP
        >>> found.hints()  # doctest: +SKIP
    """
    from keras_resnet.data.sources import Named, locate

    data = gather(place if isinstance(place, Named) else locate(place), **how)
    facts = examine(data.items)
    groups = [tuple(map(tuple, find(facts))) for find in (duplicates.exact, duplicates.near)]
    return Findings(data, tuple(facts), *groups)
