"""What a data source is: a row of `data.sources.SOURCES`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from keras_resnet.data.dataset import Dataset
from keras_resnet.signals.fits import Keep


class Load(Protocol):
    """Opens a data source."""

    def __call__(self, name: str, data_dir: Path | None, shape: tuple[int, ...], keep: Keep) -> Dataset:
        """Opens it.

        Args:
            name: what the user named: the row's name, or what the row matches.
            data_dir: folder of the source's files; None where the user named none.
            shape: shape that every example gets, where the source leaves that open.
            keep: share of the central part's sides that is used, where examples are cut.

        Raises:
            InputError: files are missing or damaged.
        """


def never(name: str) -> bool:
    """Whether a name belongs to a source that is called by its own name alone: it does not."""
    return False


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where examples come from.

    Attributes:
        name: name that the commands know it by; of a source that many names belong to, their form, like `"tfds:NAME"`.
        summary: what the examples are, for people.
        needs: what must be there before it can be loaded, for people; empty for nothing.
        load: opens it.
        at_hand: from a data folder, or None, to whether all that it needs is there, so that it can be a default.
        matches: says whether a name that is no row's belongs to this source.
        signal: row of `signals.table.SIGNALS`: what an example is.
        truth: row of `data.truth.KINDS`: what is known of an example; `load` of masks may be given a `Reading` too,
            that of boxes the names of a model's `classes`.
        upright: whether pictures are turned as EXIF says. Published figures and places of a set mean the pixels as they
            lie in its files; photographs of one's own are to be seen as people see them.
        table: whether it is a table, whose columns decide the truth (`labelled.load`).
        test_alone: whether `load` takes `test_only`: a folder without a part to learn from can be evaluated.
    """

    name: str
    summary: str
    needs: str = ""
    load: Load
    at_hand: Callable[[str | os.PathLike | None], bool] = lambda data_dir: False
    matches: Callable[[str], bool] = never
    signal: str = "image"
    truth: str = "label"
    upright: bool = False
    table: bool = False
    test_alone: bool = False
