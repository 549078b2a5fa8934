"""Changes of a recipe: settings as text, another task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.training.recipe import OWN, Recipe, kinds_of, names_in, place_of

# What other projects call a setting.
_ELSEWHERE = {
    "lr": "learning_rate",
    "lr0": "learning_rate",
    "batch": "batch_size",
    "bs": "batch_size",
    "imgsz": "image_size",
    "img_size": "image_size",
    "wd": "weight_decay",
    "smoothing": "label_smoothing",
    "opt": "optimizer",
    "sched": "schedule",
    "warmup": "warmup_epochs",
    "data": "dataset",
    "drop_path": "stochastic_depth",
    "amp": "precision",
}


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Applies `key=value` settings, each checked against the type of its field.

    Args:
        recipe: source of the other values.
        settings: like `["epochs=3", "nesterov=true", "milestones=0.5,0.75"]`; `GROUP.NAME=VALUE` where two groups have
            a setting of one name.

    Returns:
        A new recipe.

    Raises:
        InputError: unknown key (the nearest names are in the message), one that two groups have (both are listed), a
            value of the wrong type or out of range.

    Example:
        >>> from keras_resnet.training import RECIPES
        >>> override(RECIPES["digits-resnet8"], ["epochs=3"]).epochs
        3
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: expected key=value")
        changes[key] = _parse(key, _old(recipe, key), text)
    if "learning_rate" in changes:  # who names a rate means that one
        changes.setdefault("own_rate", 0.0)
    return dataclasses.replace(recipe, **changes)


def checked(recipe: Recipe, settings: Iterable[str]) -> dict[str, Any]:
    """The values of settings, each checked against the type of its field alone.

    Args:
        recipe: recipe that has the fields.
        settings: as for `override`.

    Raises:
        InputError: unknown key, or a value of the wrong type.
    """
    pairs = [each.partition("=")[::2] for each in settings]
    return {key: _parse(key, _old(recipe, key), text) for key, text in pairs}


def knows(recipe: Recipe, key: str) -> bool:
    """Whether a recipe's groups have a setting of that name.

    Args:
        recipe: recipe, whose task decides what its head has.
        key: name as `override` takes it.
    """
    return key in ("model", *names_in(kinds_of(recipe.task)))


def _old(recipe: Recipe, key: str) -> Any:
    """The value of a setting, or of what `--set` may change beside the groups."""
    if key in OWN and key not in ("name", "task"):
        return getattr(recipe, key)
    if key == "task":
        own = f"recipe {recipe.name} is of task {recipe.task}, as its head is"
        raise InputError(f"--set task: {own}: choose another recipe")
    kinds = kinds_of(recipe.task)
    try:
        group, leaf = place_of(key, kinds)
    except TypeError as error:
        if " and " in str(error):
            raise InputError(f"--set {key}: {error}") from None
        if key in _ELSEWHERE:
            raise InputError(f"unknown recipe setting '{key}': did you mean {_ELSEWHERE[key]}?") from None
        raise unknown_name("recipe setting", key, ["model", *names_in(kinds)]) from None
    return getattr(getattr(recipe, group), leaf)


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _parse(key: str, old: object, text: str) -> object:
    kind: type = type(old)
    try:
        if kind is bool:
            return _TRUTH[text.lower()]
        if kind is tuple:
            return tuple(float(part) for part in text.split(",") if part)
        return kind(text)
    except (ValueError, KeyError):
        names = {bool: "true or false", tuple: "numbers with commas between", int: "a whole number", float: "a number"}
        raise InputError(f"--set {key}={text}: expected {names[kind]}, like {old}") from None
