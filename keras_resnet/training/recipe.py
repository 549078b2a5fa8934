"""Recipes: everything needed to repeat a training, and the result to expect."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from keras_resnet import ranges, untrusted
from keras_resnet.errors import InputError
from keras_resnet.tasks.table import DEFAULT, TASKS, get_task
from keras_resnet.training.groups import GROUPS, Data, Optimization, Rate, Regularisation, Run, Transfer
from keras_resnet.training.rules import problems

_Class = TypeVar("_Class")
# What describes a recipe rather than does something.
DESCRIPTION = ("name", "expected", "hardware", "wall_time", "command")
# Of recipe.json: 1 had no version and no task, 2 called Keras' LAMB lamb, 3 knew no tables, 4 only square images,
# 5 only central parts, 6 only images that are decoded in every epoch.
VERSION = 7
# Settings that are younger than a version, with the values that mean what was done before them.
_YOUNG = {"columns": "", "fold": "", "focal_gamma": 2.0, "class_weights": False, "balance": "none", "stop_patience": 0}
_SCENES = {"fit": "crop", "test_width": 0, "void": "", "reduce_zero_label": False}
ADDED: dict[int, dict[str, Any]] = {
    2: {"task": DEFAULT},
    4: _YOUNG,
    5: {"image_width": 0},
    6: _SCENES,
    7: {"decode_once": False},
}
# Values that mean something else since a version, by setting, with what the old meaning is called now.
RENAMED: dict[int, dict[str, dict[Any, Any]]] = {3: {"optimizer": {"lamb": "keras-lamb"}}}
OWN = ("name", "task", "model", "expected", "hardware", "wall_time", "command")
_NEEDED = ("name", "task", "model")  # in every recipe.json of this version
_DEFAULTS = {"task": DEFAULT, "expected": (), "hardware": "", "wall_time": "", "command": ""}


if TYPE_CHECKING:

    def _row(cls: type[_Class]) -> type[_Class]:
        """Leaves the constructor, which takes settings too, to type checkers as it is."""
        return cls

else:
    _row = dataclass(frozen=True, init=False)


@_row
class Recipe:
    """One training, from data to result.

    Every setting is a field of one group; `recipe.epochs` is short for `recipe.rate.epochs`, and both the constructor
    and `dataclasses.replace` take settings by that one name too.

    Attributes:
        name: row's name, which `--recipe` is given.
        task: row of `tasks.TASKS`.
        model: name of `list_models()`.
        data: data that are learned, and the changes of examples.
        rate: epochs, and the learning rate over them.
        optimization: batch size and optimizer.
        regularisation: mixing, distillation, stochastic depth.
        head: settings of the task (`TaskCode.Settings`).
        transfer: weights to start from, and layers that stay as they are.
        run: precision, devices, what is kept, seed.
        expected: test accuracy to expect, as a range of fractions.
        hardware: machine that `expected` and `wall_time` were measured on, with the date.
        wall_time: duration of the run, in words.
        command: command line that repeats it.

    Raises:
        InputError: a value outside its range, settings that contradict each other, or a head of another task.
        TypeError: a setting that no group has, or that several have.

    Example:
        >>> import dataclasses
        >>> from keras_resnet.training import RECIPES
        >>> longer = dataclasses.replace(RECIPES["digits-resnet8"], epochs=48)
        >>> longer.epochs, longer.rate.epochs
        (48, 48)
    """

    name: str
    task: str
    model: str
    data: Data
    rate: Rate
    optimization: Optimization
    regularisation: Regularisation
    head: Any
    transfer: Transfer
    run: Run
    expected: tuple[float, ...]
    hardware: str
    wall_time: str
    command: str

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

        def __getattr__(self, name: str) -> Any:
            """The setting of that name."""

    def __init__(self, **given: Any):
        """Takes the attributes, and settings of the groups by their names."""
        own = {**_DEFAULTS, **{name: given.pop(name) for name in OWN if name in given}}
        for name in OWN:
            if name not in own:
                raise TypeError(f"a recipe needs {name}")
            object.__setattr__(self, name, own[name])
        kinds = kinds_of(self.task)
        groups = {group: given.pop(group, None) for group in kinds}
        leaves: dict[str, dict[str, Any]] = {group: {} for group in kinds}
        for key, value in given.items():
            group, leaf = place_of(key, kinds)
            leaves[group][leaf] = value
        for group, kind in kinds.items():
            found = groups[group]
            if found is not None and type(found) is not kind:
                raise InputError(
                    f"recipe {self.name}: {group} is a {type(found).__module__}.{type(found).__qualname__}, and task "
                    f"{self.task} expects a {kind.__module__}.{kind.__qualname__}"
                )
            base: Any = found
            made = kind(**leaves[group]) if base is None else dataclasses.replace(base, **leaves[group])
            object.__setattr__(self, group, made)
        for group in kinds:
            ranges.check(getattr(self, group), f"recipe {self.name}")
        for problem in problems(self):
            raise InputError(f"recipe {self.name}: {problem}")

    def settings(self) -> dict[str, Any]:
        """All settings by the names that `--set` takes: `epochs`, or `GROUP.NAME` where two groups share a name."""
        kinds = kinds_of(self.task)
        return {key: getattr(getattr(self, group), leaf) for key, (group, leaf) in names_in(kinds).items()}

    def to_json(self) -> dict[str, Any]:
        """Description, task, model and all settings, flat, as JSON types."""
        own = {name: getattr(self, name) for name in OWN}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in {**own, **self.settings()}.items()}

    def dumps(self) -> str:
        """The recipe as JSON text."""
        return json.dumps({"version": VERSION, **self.to_json()}, indent=2)


def _read(self: Recipe, name: str) -> Any:
    """The setting of that name: `recipe.epochs` for `recipe.rate.epochs`."""
    if name.startswith("_") or "task" not in vars(self):
        raise AttributeError(name)
    found = [group for group, kind in kinds_of(self.task).items() if name in _fields(kind)]
    if len(found) != 1:
        places = " and ".join(f"{group}.{name}" for group in found)
        raise AttributeError(f"recipe {self.name} has {places or 'no setting ' + name}")
    return getattr(getattr(self, found[0]), name)


Recipe.__getattr__ = _read  # type: ignore[method-assign]


def kinds_of(task: str) -> dict[str, type]:
    """The classes of a recipe's groups, the head's among them."""
    return {**GROUPS, "head": get_task(task).code.Settings}


def _fields(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def names_in(kinds: dict[str, type]) -> dict[str, tuple[str, str]]:
    """Group and field of every setting, by its one name."""
    pairs = [(group, leaf) for group, kind in kinds.items() for leaf in _fields(kind)]
    count = [leaf for _, leaf in pairs]
    return {leaf if count.count(leaf) == 1 else f"{group}.{leaf}": (group, leaf) for group, leaf in pairs}


def place_of(key: str, kinds: dict[str, type]) -> tuple[str, str]:
    """Group and field of a setting, by its one name or as `GROUP.NAME`.

    Raises:
        TypeError: no setting has that name, or several have.
    """
    names = names_in(kinds)
    if key in names:
        return names[key]
    group, _, leaf = key.partition(".")
    if group in kinds and leaf in _fields(kinds[group]):
        return group, leaf
    several = [name for name in names if name.endswith(f".{key}")]
    if several:
        raise TypeError(f"{key} is {' and '.join(several)}: name one of them")
    raise TypeError(f"unknown setting {key!r}")


def loads(text: str | bytes, origin: str) -> Recipe:
    """Reads what `dumps` wrote, now or in an older version of this package.

    Args:
        text: recipe as JSON text, of anybody: it is parsed within limits.
        origin: file that it came from, for messages.

    Raises:
        InputError: no recipe, or one with settings that this version or its task does not know: they are named.
    """
    try:
        values = _parsed(text)
        version = values.pop("version", 1)
        if not isinstance(version, int):
            raise TypeError(f"version {version!r}")
        own = {*OWN, *names_in(kinds_of(str(values.get("task", DEFAULT))))}
        for number, added in ADDED.items():
            if version < number:  # the old behaviour, whatever today's default is
                values = {**{name: value for name, value in added.items() if name in own}, **values}
        values = renamed(values, version)
        lacking = [name for name in _NEEDED if name not in values]
        if "task" not in lacking:  # which says what is unknown
            _refuse_unknown(values, version, origin)
        if lacking:
            raise InputError(f"{origin} is no recipe: it lacks {', '.join(lacking)}")
        if version > VERSION:
            print(f"note: {origin} is of version {version}, newer than this package's {VERSION}", file=sys.stderr)
        recipe = Recipe(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
        _check_types(recipe)
        return recipe
    except (TypeError, AttributeError, KeyError, OverflowError) as error:
        raise InputError(f"{origin} is no recipe of this version: {error}") from error


def _parsed(text: str | bytes) -> dict[str, Any]:
    try:
        values = untrusted.parse(text)
    except ValueError as error:
        raise TypeError(str(error)) from error
    if not isinstance(values, dict):
        raise TypeError(f"expected an object of JSON, received {type(values).__name__}")
    return values


_TYPES: dict[str, type | tuple[type, ...]] = {"str": str, "bool": bool, "int": int, "float": (int, float)}


def _check_types(recipe: Recipe) -> None:
    """Raises TypeError for a setting whose value is of another type than its field says."""
    found = [(name, "str", getattr(recipe, name)) for name in ("name", "model")]
    for group, kind in kinds_of(recipe.task).items():
        settings = getattr(recipe, group)
        found += [(field.name, str(field.type), getattr(settings, field.name)) for field in dataclasses.fields(kind)]
    for name, words, value in found:
        expected = tuple if words.startswith("tuple") else _TYPES.get(words, object)
        if not isinstance(value, expected) or (isinstance(value, bool) and words in ("int", "float")):
            raise TypeError(f"{name}={value!r:.80}, expected {words}")


def renamed(values: Mapping[str, Any], version: int) -> dict[str, Any]:
    """The settings of an older recipe.json with the present names of values that mean something else now.

    Args:
        values: settings.
        version: version of the file.
    """
    changes = [names for number, names in RENAMED.items() if version < number]
    return {
        key: next((names[key][value] for names in changes if value in names.get(key, ())), value)
        if isinstance(value, str)
        else value
        for key, value in values.items()
    }


def _refuse_unknown(values: Mapping[str, Any], version: int, origin: str) -> None:
    """Refuses settings that no group of the recipe's task has, by name."""
    task = str(values["task"])
    names = names_in(kinds_of(task))
    shared = {leaf for _, leaf in names.values()}  # one that two groups have is refused by `Recipe`, with both
    unknown = sorted(set(values) - {*OWN, *names, *shared})
    if not unknown:
        return
    said = ", ".join(map(ascii, unknown))
    if version > VERSION:
        raise InputError(
            f"{origin} (version {version}, this is {VERSION}) has settings that this version does not know: {said}; "
            "update keras-resnet-toolkit"
        )
    heads = {leaf for other in TASKS for leaf in _fields(kinds_of(other)["head"])}
    foreign = [name for name in unknown if name.removeprefix("head.") in heads - shared]
    if foreign:
        raise InputError(f"{origin}: task {task} has no setting {', '.join(foreign)}")
    raise InputError(f"{origin} has settings that no recipe has: {said}")
