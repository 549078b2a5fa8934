"""Transfer learning: pretrained weights under a new head, frozen stages, and a rate for every stage."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence

import keras

from keras_resnet.errors import InputError
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.specs import get_spec
from keras_resnet.signals.conventions import row_of
from keras_resnet.training.recipes import Recipe, override
from keras_resnet.weights.loading import load_weights, weights_card

_HEAD, _STEM = "predictions", 1
_OF_CLASSES = (_HEAD, "logits_conv", "aux_logits_conv")  # layers whose values belong to certain classes
_RECIPE = Recipe(
    name="finetune",
    model="resnet50",
    dataset="",
    preprocess="caffe",
    augmentation="none",
    epochs=20,
    batch_size=32,
    learning_rate=0.05,
    nesterov=True,
    coupled_decay=True,
    weight_decay=1e-4,
    # Without batch statistics steep batches can end a training: on digits seed 0 fell to chance without clipping.
    clip_norm=5.0,
    freeze_bn=True,  # statistics of few images are worse than those of the many that the weights have seen
    head_epochs=5.0,
    layer_decay=0.5,
    keep="best",
    hardware="depends on the data",
    wall_time="depends on the data",
    command="keras-resnet train --model NET --weights W --data DATA",
)


def finetune_recipe(
    weights: str | os.PathLike,
    dataset: str | os.PathLike,
    model: str | None = None,
    *,
    freeze: str = "none",
    settings: Sequence[str] = (),
) -> Recipe:
    """Makes the recipe of a transfer, for `train`.

    In the first `head_epochs` only the new head learns, afterwards all that is not frozen, every stage with
    `layer_decay` times the rate of the one above it. Batch normalisation stays in inference mode (`freeze_bn`).

    Args:
        weights: `.keras` file of this package, or with `model` whatever `load_weights` takes.
        dataset: name or folder of a data source, as `load_dataset` takes it.
        model: name of the variant; that of a `.keras` file by default.
        freeze: last part that keeps its weights: `"stem"`, `"stage2"`, ...; `"all"` but the head; `"none"`.
        settings: settings like `["epochs=10", "learning_rate=0.01"]`.

    Returns:
        A recipe that starts from the weights and uses their input convention.

    Raises:
        InputError: no such weights, or they do not say what they are.

    Example:
        >>> from keras_resnet.training import finetune_recipe
        >>> recipe = finetune_recipe("cifar10", "digits", "resnet8", freeze="stage3", settings=["epochs=8"])
        >>> recipe.model, recipe.preprocess, recipe.epochs
        ('resnet8', 'cifar10', 8)
    """
    if model is None:
        if not str(weights).endswith(".keras"):
            raise InputError(f"weights {weights}: expected --model NAME with them; only .keras files name their net")
        from keras_resnet.saving import load_model

        card = load_model(weights)[1]
        if not card.spec:
            raise InputError(f"{weights} does not name its net: pass --model NAME")
        model = card.spec
    else:
        card = weights_card(weights, model)
    name = row_of(card.preprocess)
    if name is None:
        raise InputError(f"weights {weights} have an input convention of their own: {card.preprocess.to_json()}")
    row = dataclasses.replace(
        _RECIPE,
        model=get_spec(model).name,
        dataset=str(dataset),
        preprocess=name,
        crop=card.crop,
        fit=card.fit,
        weights=str(weights),
        freeze=freeze,
    )
    return override(row, settings)


def stage_of(name: str) -> int:
    """The stage of a layer or a variable: 1 for the stem, 2 to 5, and a larger number behind the stages."""
    match = re.match(r"conv(\d+)_", name)
    return int(match[1]) if match else 9


def begin(model: keras.Model, recipe: Recipe, spec: ResNetSpec, classes: Sequence[str]) -> None:
    """Gives a fresh model the recipe's weights, below a new head, and freezes what shall not learn.

    The head is kept where the weights know the same classes.

    Args:
        model: model that is trained.
        recipe: recipe with `weights` or `freeze`.
        spec: spec of the model.
        classes: class names of the data.

    Raises:
        InputError: the weights do not fit, or the net has no such stage.
    """
    if recipe.weights:
        fresh = {layer.name: layer.get_weights() for layer in model.layers if layer.name in _OF_CLASSES}
        whole = _HEAD in fresh  # else a decoder, which weights for classes have not
        report = load_weights(model, recipe.weights, match="adapt" if whole else "partial", spec=spec)
        missing = [name for name in report.initial if not whole and not _of_head(name)]
        if missing:
            raise InputError(
                f"weights {recipe.weights} do not fit {spec.name}: missing or of another shape: "
                f"{', '.join(missing[:4])}{', ...' * (len(missing) > 4)}"
            )
        if tuple(weights_card(recipe.weights, spec).labels or ()) != tuple(classes):
            for name, values in fresh.items():
                model.get_layer(name).set_weights(values)
    last = _last_frozen(model, recipe.freeze)
    for layer in model.layers:
        if not _of_head(layer.name) and stage_of(layer.name) <= last:
            layer.trainable = False


def _of_head(name: str) -> bool:
    """Whether a layer, or a variable by its path, stands behind the backbone."""
    return not re.match(r"(conv|pool)\d+_|post_", name)


def _last_frozen(model: keras.Model, freeze: str) -> int:
    if freeze == "none":
        return 0
    if freeze == "all":
        return 9
    stages = sorted({stage_of(layer.name) for layer in model.layers} - {_STEM, 9})
    known = {"stem": _STEM, **{f"stage{stage}": stage for stage in stages}}
    if freeze not in known:
        raise InputError(f"freeze={freeze}: {model.name} has {', '.join(known)}, or all or none")
    return known[freeze]


def factors(model: keras.Model, recipe: Recipe) -> dict[str, float]:
    """Shares of the learning rate for the body's variables, by path; the head gets all of it.

    Args:
        model: model that is trained.
        recipe: recipe of the run; without `layer_decay` and `head_epochs` there are no shares.
    """
    if recipe.layer_decay == 1 and not recipe.head_epochs:
        return {}
    top = max(stage_of(layer.name) for layer in model.layers if stage_of(layer.name) < 9)
    return {
        variable.path: recipe.layer_decay ** max(1, top + 1 - stage_of(variable.path))
        for variable in model.trainable_variables
        if not _of_head(variable.path)
    }
