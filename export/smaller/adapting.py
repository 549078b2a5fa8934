"""What a model asks of the recipe that compresses it, and of its teacher."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

import keras
import numpy as np

from export.model.source import Source
from keras_resnet.compression.settings import Settings
from keras_resnet.errors import InputError
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks import get_task
from keras_resnet.tasks.table import DEFAULT
from keras_resnet.training.recipes import COMPRESSING, OWN_AUGMENTATION, RECIPES, Recipe

_SIZE, _READING = "the size of the model's input", "the reading of the model's card, or --void and --reduce-zero-label"
_FROM_THE_MODEL = {
    **dict.fromkeys(("image_size", "image_width", "test_size", "test_width"), _SIZE),
    **dict.fromkeys(("void", "reduce_zero_label"), _READING),
}
_USUAL = {"segmentation": "scene", "detection": "scene"}  # augmentation where the model's own training is not known


def adapted(recipe: Recipe, source: Source, settings: Settings, dataset: str | None = None) -> Recipe:
    """The recipe with the source's model, data and input convention.

    Args:
        recipe: any.
        source: model with its data.
        settings: what is done; some settings leave batch normalisation to be estimated at the end.
        dataset: name, where it is not the card's.

    Raises:
        InputError: the source has no data, or a convention of its own.
    """
    if source.dataset is None:
        raise InputError(
            "a compression trains, and the model names no dataset that is here: pass --data digits, --data "
            "cifar10 --data cifar10:DIR, or --data FOLDER of class folders"
        )
    names = [name for name, row in PREPROCESS.items() if row == source.card.preprocess]
    if not names:
        raise InputError(f"{source.origin} has an input convention of its own: {source.card.preprocess.to_json()}")
    if recipe.task != source.card.task:
        raise InputError(
            f"recipe {recipe.name} is of task {recipe.task}, {source.origin} of {source.card.task}: expected --recipe "
            f"{' or '.join(sorted(set(COMPRESSING[source.card.task].values())))}"
        )
    known, outputs = len(source.dataset.classes), _classes(source)
    if known != outputs:
        raise InputError(
            f"{source.dataset.name} has {known} classes, the model {outputs}: it cannot be trained on them"
        )
    return dataclasses.replace(
        recipe,
        model=source.card.spec or "",
        dataset=str(dataset or source.card.dataset),
        preprocess=names[0],
        crop=source.card.crop,
        fit=source.card.fit,
        augmentation=_augmentation(recipe, source),
        learning_rate=_learning_rate(recipe, source),
        own_rate=0.0,
        precise_bn=recipe.precise_bn if settings.norms_move else 0,
        **_of_the_model(recipe, source),
    )


def _classes(source: Source) -> int:
    """Number of the model's classes; of one with several outputs its facts say it."""
    several = len(source.model.outputs) > 1
    return len(source.card.facts.get("names", ())) if several else source.model.output_shape[-1]


def _own(recipe: Recipe, source: Source) -> Recipe | None:
    """The recipe of the training that made the model, where it is in the table and of the same task."""
    own = RECIPES.get(source.card.recipe or "")
    return own if own is not None and own.task == recipe.task else None


def _of_the_model(recipe: Recipe, source: Source) -> dict[str, Any]:
    """What masks and parts of images need: the input's size, how masks are read, the losses that made the model."""
    if recipe.task == DEFAULT:
        return {}
    own, plain = _own(recipe, source), RECIPES.get(recipe.name)
    for name, where in _FROM_THE_MODEL.items():
        if plain is not None and getattr(recipe, name) != getattr(plain, name):
            raise InputError(f"{name}={getattr(recipe, name)}: a compression has {where}; leave out the setting")
    height, width = source.shape[:2]
    found: dict[str, Any] = {
        "image_size": height,
        "image_width": width if width != height else 0,
        "test_size": 0,
        "test_width": 0,
    }
    said = source.card.reading
    found["void"] = ",".join(map(str, said.get("void", ())))
    found["reduce_zero_label"] = bool(said.get("reduce_zero_label"))
    if own is not None and plain is not None and recipe.head == plain.head:  # nobody has said otherwise
        one = {"aux": 0.0} if hasattr(own.head, "aux") else {}  # the model has no second head any more
        found["head"] = dataclasses.replace(own.head, **one)
    return found


def _augmentation(recipe: Recipe, source: Source) -> str:
    """Digits must not be mirrored, photos may: the model's own training knew."""
    if recipe.augmentation != OWN_AUGMENTATION:
        return recipe.augmentation
    own = _own(recipe, source)
    return own.augmentation if own else _USUAL.get(recipe.task, "none")


def _learning_rate(recipe: Recipe, source: Source) -> float:
    """In proportion to the batch as well: as many images move the weights as far."""
    own = _own(recipe, source)
    if not recipe.own_rate or own is None or (own.optimizer, recipe.optimizer) != ("sgd", "sgd"):
        return recipe.learning_rate
    return recipe.own_rate * own.learning_rate * recipe.batch_size / own.batch_size


def check_teacher(teacher: Source, source: Source, recipe: Recipe) -> None:
    """Refuses a teacher of other images or classes.

    Args:
        teacher: model that is asked.
        source: model that is compressed.
        recipe: recipe of the training.

    Raises:
        InputError: what is other.
    """
    if not recipe.distillation:
        raise InputError(f"recipe {recipe.name} has distillation=0 and asks no teacher: --set distillation=0.5")
    apart = {
        "input": (teacher.model.input_shape[1:], source.model.input_shape[1:]),
        "outputs": (teacher.model.output_shape[-1], source.model.output_shape[-1]),
        "labels": (teacher.card.labels, source.card.labels),
        "input convention": (teacher.card.preprocess, source.card.preprocess),
    }
    for what, (found, expected) in apart.items():
        if found != expected and found and expected:
            facts = f"{what} {_short(found)}, expected {_short(expected)}"
            raise InputError(f"{teacher.origin} cannot teach {source.origin}: {facts}")


def check_part(source: Source, teacher: Source, recipe: Recipe) -> None:
    """Refuses to measure on validation images that somebody has learnt from.

    Args:
        source: model that is compressed, with the part of the data that it is measured on.
        teacher: model that is asked.
        recipe: recipe of the training.

    Raises:
        InputError: the recipe holds nothing out, or a model was trained on these images.
    """
    if source.part != "validation":
        return
    if not recipe.hold_out:
        raise InputError(f"recipe {recipe.name} has hold_out=false and trains on the images that it is measured on")
    for model in (source, teacher):
        if model.card.held_out is False:
            raise InputError(
                f"{model.origin} was trained on the validation images: expected a model of a training with "
                "hold_out=true, to choose settings with"
            )


def check_outputs(model: Source, source: Source) -> None:
    """Refuses a model whose outputs are not what the loss, and a teacher's share of the targets, are made for.

    Args:
        model: model that is compressed, or its teacher.
        source: model that is compressed, with its data.

    Raises:
        InputError: no probabilities where the task has them, or probabilities where it has logits.
    """
    task = get_task(source.card.task)
    if len(model.model.outputs) > 1:  # by name, each with a loss of its own
        return
    probabilities = "distillation" in task.supports
    images = source.card.preprocess(source.evidence(4).pixels)
    answers = keras.ops.convert_to_numpy(model.model(images, training=False))
    found = np.allclose(answers.sum(axis=-1), 1, atol=1e-2) and answers.min() >= 0
    if probabilities and not found:
        raise InputError(f"{model.origin} gives no probabilities of classes: put a softmax behind its last layer")
    if found and not probabilities:
        raise InputError(f"{model.origin} ends in a softmax, and the loss takes logits: take its last layer away")


def _short(value: object) -> str:
    return textwrap.shorten(str(value), 60, placeholder=" ...")
