"""Files that bundles are made of: beside this package in an installed copy, in `examples/` in a clone."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from keras_resnet.errors import InputError

_PACKAGED = Path(__file__).with_name("files")  # filled by setup.py
_CLONE = Path(__file__).resolve().parents[2] / "examples"


def folder(name: str) -> Path:
    """Where an example is.

    Args:
        name: `"web"` or `"android"`.

    Raises:
        InputError: the installation is damaged.
    """
    for root in (_PACKAGED, _CLONE):
        if (root / name).is_dir():
            return root / name
    raise InputError(f"the files of examples/{name} are missing from this installation: install the package again")


def copy(name: str, target: Path, files: Iterable[str]) -> None:
    """Copies files of an example.

    Args:
        name: name of the example.
        target: the folder to copy into.
        files: relative names; a folder's name stands for everything in it.
    """
    source = folder(name)
    for each in files:
        if (source / each).is_dir():
            shutil.copytree(source / each, target / each, dirs_exist_ok=True)
        else:
            (target / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / each, target / each)
