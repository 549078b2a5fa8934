"""Outputs of a net under the names of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import keras

from export.formats.artifacts import Artifact
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.runtime.keras import output_names
from keras_resnet.tasks import Output, get_task
from keras_resnet.tasks.facts import facts_of
from keras_resnet.tasks.table import DEFAULT

T = TypeVar("T")


def of_task(card: ModelCard) -> tuple[Output, ...]:
    """Outputs that a net of this task gives, the most important one first.

    Args:
        card: says task and facts.

    Raises:
        InputError: the facts are not the task's.
    """
    return get_task(card.task).code.outputs(facts_of(card))


def by_task(found: Mapping[str, T], card: ModelCard) -> dict[str, T]:
    """Outputs under the names of the task, in its order.

    Args:
        found: tensors or arrays by the names of a model or file; others than the task's are left out. Where none has a
            name of the task, they are taken to be the task's in its order, as in a model from elsewhere.
        card: says task and facts.

    Raises:
        InputError: these are no outputs of the task.
    """
    wanted = [output.name for output in of_task(card)]
    if set(wanted) <= set(found):
        return {name: found[name] for name in wanted}
    if len(found) == len(wanted) and not set(wanted) & set(found):
        return dict(zip(wanted, found.values(), strict=True))
    raise InputError(f"the model has the outputs {', '.join(found)}: task {card.task} gives {', '.join(wanted)}")


def named(model: keras.Model, card: ModelCard) -> dict[str, keras.KerasTensor]:
    """Output tensors of a model under the names of the task.

    Args:
        model: functional.
        card: says task and facts.

    Raises:
        InputError: these are no outputs of the task.
    """
    return by_task(dict(zip(output_names(model), keras.tree.flatten(model.outputs), strict=True)), card)


def require_choices(card: ModelCard, made: Artifact) -> None:
    """Refuses choices of an artifact that its task does not have.

    Args:
        card: says task and signal.
        made: what was asked for.

    Raises:
        InputError: another task or signal, or no such form.
    """
    if made.form:
        task = get_task(card.task)
        task.require("forms")
        if made.form not in task.forms:
            raise unknown_name(f"form of {card.task}", made.form, task.forms)
    chosen = {
        "--input tf": made.input == "tf",
        "--with-cam": made.cam,
        "--features": made.features,
        "--image-size": made.size,
    }
    for option, value in chosen.items():
        if value:
            require_classes(card, option)
    if made.labels_file:
        require_classes(card, "--metadata", _NAMED)
        wanted = _MEDIAPIPES.get(card.task, ("", ""))
        if made.form != wanted[0]:
            raise InputError(f"--metadata are for MediaPipe, which takes {wanted[1]}: give --form {wanted[0]} with it")


_NAMED = (DEFAULT, "multilabel", "segmentation", "detection")  # tasks whose outputs are, or can be, of named classes
_MEDIAPIPES = {"segmentation": ("probabilities", "probabilities"), "detection": ("nms", "answers that stay")}  # forms


def require_classes(card: ModelCard, what: str, tasks: Sequence[str] = (DEFAULT,)) -> None:
    """Refuses what only some tasks on images have.

    Args:
        card: says task and signal.
        what: what was asked for, like `"--with-cam"`.
        tasks: rows of `tasks.TASKS`; classification alone by default.

    Raises:
        InputError: another task or signal.
    """
    for kind, own, needed in (("task", card.task, tasks), ("signal", card.signal, ("image",))):
        if own not in needed:
            raise InputError(f"{what} goes with {kind} {' or '.join(needed)}: the model's is {own}")
