"""Recipes in files that people write: recipe.json, YAML, TOML."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from keras_resnet import untrusted
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.training.recipe import Recipe, loads
from keras_resnet.training.recipes import RECIPES

_MOST_BYTES = 1 << 20
_SUFFIXES = (".json", ".yaml", ".yml", ".toml")
_NAMES = {"data": "dataset"}  # what `--data` calls it


def read(path: str | os.PathLike) -> tuple[str | Recipe, list[str]]:
    r"""Reads a file of settings.

    Args:
        path: a run's recipe.json; or JSON, YAML or TOML with `recipe`, the name of a row (`photos` without), and the
            settings that differ from it.

    Returns:
        A whole recipe and no settings, or a row's name and settings as `override` takes them.

    Raises:
        InputError: no such file, of another kind, or something else than names and plain values.

    Example:
        >>> from pathlib import Path
        >>> from keras_resnet.training.config import read
        >>> _ = Path("mine.toml").write_text('recipe = "fast"\nepochs = 3\n')
        >>> read("mine.toml")
        ('fast', ['epochs=3'])
    """
    path = Path(path)
    values = _values(path)
    if {"version", "name", "task"} <= values.keys() and path.suffix.lower() == ".json":
        return loads(path.read_bytes(), str(path)), []
    name = values.pop("recipe", "photos")
    if not isinstance(name, str) or name not in RECIPES:
        raise unknown_name("recipe", str(name), RECIPES)
    return name, [f"{_NAMES.get(key, key)}={_text(path, key, value)}" for key, value in values.items()]


def _values(path: Path) -> dict[str, Any]:
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{path}: expected a {', '.join(_SUFFIXES)} file")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes: expected a recipe of at most {_MOST_BYTES:,}")
        text = path.read_text(encoding="utf-8-sig")
        values = _parsed(text, path.suffix.lower())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no {path.suffix.removeprefix('.')}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"{path}: expected names and values of settings, received {type(values).__name__}")
    return values


def _parsed(text: str, suffix: str) -> Any:
    if suffix == ".json":
        return untrusted.parse(text)
    if suffix == ".toml":
        return tomllib.loads(text)
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _text(path: Path, key: str, value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, list) and all(isinstance(each, int | float | str) for each in value):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 64:
        raise InputError(f"{path}: {key} is larger than any setting")
    if isinstance(value, int | float | str):
        return str(value)
    raise InputError(f"{path}: {key} has a {type(value).__name__}: expected a number, a text, true, false, or a list")
