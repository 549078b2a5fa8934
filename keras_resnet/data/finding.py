"""The table that a person means: a file, the only one in a folder, or a DataFrame."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from keras_resnet.data import tables
from keras_resnet.data.parts import part_name
from keras_resnet.data.tables import Table
from keras_resnet.signals.table import get_signal


def opened(source: Any, root: str | os.PathLike | None = None) -> Table | None:
    """The table that is meant; None where there is none.

    Args:
        source: file, folder that holds one, or DataFrame.
        root: folder that files are relative to.
    """
    if tables.is_frame(source):
        return tables.read(source, root)
    path = find(Path(source))
    return None if path is None else tables.read(path, root)


def find(path: Path) -> Path | None:
    """The table that a path names: itself, or the only one in a folder whose pictures are in no class folders.

    Args:
        path: file or folder.
    """
    if path.suffix.lower() in tables.SUFFIXES and (path.is_file() or not path.exists()):
        return path
    if not path.is_dir():
        return None
    known = [each for each in path.iterdir() if each.suffix.lower() in tables.SUFFIXES and each.is_file()]
    return known[0] if len(known) == 1 and not _has_classes(path) else None


def _has_classes(root: Path) -> bool:
    """Whether pictures lie in two class folders or more, of the whole or of a part."""
    folders = [each for each in root.iterdir() if each.is_dir() and not each.name.startswith(".")]
    parts = [each for each in folders if part_name(each.name)]
    if parts:
        return any(_has_classes(part) for part in parts)
    suffixes = get_signal("image").suffixes
    return sum(any(p.suffix.lower() in suffixes for p in each.rglob("*")) for each in folders) > 1
