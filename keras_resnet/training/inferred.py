"""The task that data ask for, and a recipe that learns it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from keras_resnet.data.sources import truth_of
from keras_resnet.tasks.table import DEFAULT, get_task, task_of
from keras_resnet.training.groups import GROUPS
from keras_resnet.training.recipe import Recipe

_log = logging.getLogger("keras_resnet")


def task_for(
    dataset: Any, columns: Mapping[str, str] | None = None, task: str | None = None, usual: str = DEFAULT
) -> str:
    """The task that a data source is for: that of its truth, which the columns of a table tell.

    Args:
        dataset: name as `load_dataset` takes it, or a DataFrame.
        columns: a table's own names of columns by their meaning.
        task: task that a person has named; checked, and wins where the table has columns for it.
        usual: task of a recipe, which wins where nobody named one and the data are for it too; that of most recipes is
            no wish.

    Returns:
        Row of `tasks.TASKS`.

    Raises:
        InputError: no such data or task; a table with nothing to learn, or with columns of several tasks.
    """
    if task is None and usual != DEFAULT:
        task = usual
    wanted = None if task is None else get_task(task)
    found = truth_of(dataset, columns=columns, truth=None if wanted is None else wanted.truth)
    return wanted.name if wanted is not None and wanted.truth == found else task_of(found).name


def for_task(recipe: Recipe, task: str) -> Recipe:
    """The recipe for another task: the same settings, and of the head those that both tasks have in the same range.

    Args:
        recipe: recipe of any task.
        task: row of `tasks.TASKS`.

    Returns:
        The recipe itself where it is of that task; else one without an expected result.

    Example:
        >>> from keras_resnet.training import RECIPES
        >>> for_task(RECIPES["digits-resnet8"], "regression").head.loss
        'huber'
    """
    if recipe.task == task:
        return recipe
    kept: dict[str, Any] = {group: getattr(recipe, group) for group in GROUPS}
    known = {field.name for field in dataclasses.fields(get_task(task).code.Settings)}
    shared = {name: getattr(recipe.head, name) for name in ("dropout", "label_smoothing") if name in known}
    if (recipe.mixup or recipe.cutmix) and "mixing" not in get_task(task).supports:
        kept["regularisation"] = dataclasses.replace(recipe.regularisation, mixup=0.0, cutmix=0.0)
        _log.warning("note: recipe %s mixes images, which task %s does not support: it is left out", recipe.name, task)
    return Recipe(name=recipe.name, task=task, model=recipe.model, **kept, **shared)
