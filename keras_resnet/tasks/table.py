"""The table of tasks: what a net answers is a row here, and a module."""

from __future__ import annotations

from keras_resnet.errors import unknown_name
from keras_resnet.tasks.interface import CAPABILITIES, Score, Task

_EXPLAINED = frozenset({"corruptions", "ensemble", "explain", "places", "views"})

TASKS: dict[str, Task] = {
    row.name: row
    for row in (
        Task(
            name="classification",
            summary="one class of many for every example",
            truth="label",
            score=Score("top-1", "top1"),
            module="keras_resnet.tasks.classification",
            supports=frozenset(CAPABILITIES) - {"forms"},
        ),
        Task(
            name="multilabel",
            summary="any number of classes, called tags, for every example",
            truth="tags",
            score=Score("mAP", "map", per_example=False),
            module="keras_resnet.tasks.multilabel",
            supports=_EXPLAINED | {"mixing"},
        ),
        Task(
            name="regression",
            summary="numbers for every example, in units of their own",
            truth="values",
            score=Score("1 - MAE / range", "closeness"),
            module="keras_resnet.tasks.regression",
            supports=_EXPLAINED,
        ),
        Task(
            name="segmentation",
            summary="the class of every pixel",
            truth="mask",
            score=Score("mean IoU", "miou", per_example=False),
            module="keras_resnet.tasks.segmentation",
            supports=frozenset({"compress", "ensemble", "explain", "forms", "places", "views"}),
            forms=("logits", "probabilities", "classes"),
        ),
        Task(
            name="detection",
            summary="the boxes of objects, their classes and scores",
            truth="boxes",
            score=Score("AP", "ap", per_example=False, of="objects", decisive=1000),
            module="keras_resnet.tasks.detection",
            supports=frozenset({"compress", "explain", "forms", "places"}),
            forms=("raw", "decoded", "nms"),
        ),
        Task(
            name="localization",
            summary="the class of the one object in every example, and its box",
            truth="boxes",
            score=Score("localized", "localized", per_example=False),
            module="keras_resnet.tasks.localization",
            supports=frozenset({"explain", "places"}),
        ),
    )
}
DEFAULT = "classification"  # of cards and recipes that name no task


def task_of(truth: str) -> Task:
    """The first task that learns from a kind of truth.

    Args:
        truth: row of `data.truth.KINDS`, like what `data.sources.truth_of` says of a data source.

    Raises:
        InputError: no task learns from it.
    """
    for row in TASKS.values():
        if row.truth == truth:
            return row
    raise unknown_name("truth of a task", truth, {row.truth for row in TASKS.values()})


def get_task(name: str) -> Task:
    """The row of that name.

    Raises:
        InputError: no task has that name; the nearest names are in the message.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
