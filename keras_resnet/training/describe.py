"""Settings of a recipe in words: value, range and meaning, from the dataclasses that hold them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass
from typing import Any

from keras_resnet import ranges
from keras_resnet.tasks.table import TASKS, get_task
from keras_resnet.training.groups import GROUPS
from keras_resnet.training.recipe import Recipe


@dataclass(frozen=True)
class Setting:
    """One setting of a recipe.

    Attributes:
        name: name that `--set` takes.
        value: present value.
        range: what it may be, in words.
        meaning: what it does.
    """

    name: str
    value: Any
    range: str
    meaning: str

    @property
    def text(self) -> str:
        """The value as `--set` takes it."""
        if isinstance(self.value, bool):
            return str(self.value).lower()
        return ",".join(map(str, self.value)) if isinstance(self.value, tuple) else str(self.value)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"name": self.name, "value": value, "range": self.range, "meaning": self.meaning}


def described(recipe: Recipe) -> list[Setting]:
    """All settings of a recipe, in the order of its groups.

    Args:
        recipe: recipe of any task.

    Example:
        >>> from keras_resnet.training import RECIPES
        >>> from keras_resnet.training.describe import described
        >>> described(RECIPES["fast"])[0].name
        'task'
    """
    first = [
        Setting("task", recipe.task, ", ".join(TASKS), "what the net answers"),
        Setting("model", recipe.model, "keras-resnet models", "net that is trained"),
    ]
    kinds = {**GROUPS, "head": get_task(recipe.task).code.Settings}
    flat = list(recipe.settings().items())
    return first + [
        Setting(name, value, _range(field), meaning)
        for (name, value), (field, meaning) in zip(flat, _fields(kinds), strict=True)
    ]


def _fields(kinds: dict[str, type]) -> list[tuple[dataclasses.Field[Any], str]]:
    return [
        (field, meanings(kind).get(field.name, "")) for kind in kinds.values() for field in dataclasses.fields(kind)
    ]


def _range(field: dataclasses.Field[Any]) -> str:
    allowed = ranges.of(field)
    if allowed is not None:
        return ", ".join(allowed.names) or allowed.words
    return "true, false" if field.type == "bool" else ""


def meanings(kind: type) -> dict[str, str]:
    """What the attributes of a class mean, by name, as its docstring says.

    Args:
        kind: class with a section `Attributes:`.
    """
    text = inspect.getdoc(kind) or ""
    _, _, section = text.partition("Attributes:\n")
    found = re.findall(r"^    (\w+): ((?:.*\n?)(?:^        .*\n?)*)", section, re.MULTILINE)
    return {name: " ".join(words.split()).replace("`", "").replace('"', "") for name, words in found}
