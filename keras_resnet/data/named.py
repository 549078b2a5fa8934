"""What a person names as data."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Named(NamedTuple):
    """A data source, and the folder of its files.

    Attributes:
        name: name of a source, or a path.
        folder: folder of a named source's files; None for its usual place, and for a path.
    """

    name: str
    folder: Path | None = None

    def __str__(self) -> str:
        """As `--data` takes it."""
        return self.name if self.folder is None else f"{self.name}:{self.folder}"
