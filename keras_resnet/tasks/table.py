"""The table of tasks: what a net answers is a row here, and a module."""

from __future__ import annotations

from keras_resnet.errors import unknown_name
from keras_resnet.tasks.interface import CAPABILITIES, Score, Task

TASKS: dict[str, Task] = {
    row.name: row
    for row in (
        Task(
            name="classification",
            summary="one class of many for every example",
            truth="label",
            score=Score("top-1", "top1"),
            module="keras_resnet.tasks.classification",
            supports=frozenset(CAPABILITIES),
        ),
    )
}
DEFAULT = "classification"  # of cards and recipes that name no task


def get_task(name: str) -> Task:
    """The row of that name.

    Raises:
        InputError: no task has that name; the nearest names are in the message.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
