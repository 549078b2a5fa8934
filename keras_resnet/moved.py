"""Modules under their names of version 0.1, which users' scripts may import until the next release."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType


class _Finder:
    """Finds a module under its old name, and says the new one."""

    def __init__(self, modules: Mapping[str, str], names: Mapping[str, Mapping[str, str]]):
        self._modules, self._names = modules, names
        self._own: dict[str, importlib.machinery.ModuleSpec | None] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self) if name in self._modules else None  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        new = self._modules[spec.name]
        warnings.warn(f"{spec.name} is now {new}: the old name goes with the next release", DeprecationWarning, 2)
        module = importlib.import_module(new)
        self._own[new] = module.__spec__
        for name, home in self._names.get(spec.name, {}).items():
            setattr(module, name, getattr(importlib.import_module(home), name))
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Gives the module, which has been executed under its new name, its own spec back."""
        module.__spec__ = self._own.pop(module.__name__)


def register(modules: Mapping[str, str], names: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Makes modules importable under their old names too, with a DeprecationWarning.

    Args:
        modules: full new names by full old names; no file may have an old name.
        names: what went elsewhere than the rest of its module: by full old name of the module, full names of the
            modules that have it, by name.
    """
    sys.meta_path.append(_Finder(modules, names or {}))
