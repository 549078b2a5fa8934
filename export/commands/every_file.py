"""`keras-resnet export all`: every file of a model, and a report."""

from __future__ import annotations

from export.commands.many_files import add_all as add
from export.commands.many_files import work_all as work

__all__ = ["add", "work"]
