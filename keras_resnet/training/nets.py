"""Nets of a run: the one that is trained, its plain twin that is saved, and how the second follows the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_resnet.builder import build
from keras_resnet.card import ModelCard
from keras_resnet.data import Dataset
from keras_resnet.nets.fused import fuse
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.specs import get_spec
from keras_resnet.tasks import get_task
from keras_resnet.training import precision, transfer
from keras_resnet.training.recipes import Recipe
from keras_resnet.training.remat import rematerialise
from keras_resnet.training.strategy import Devices
from keras_resnet.weights.loading import weights_card


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies by layer name: regularising layers change the order of the others."""
    values = {weight.path: weight for weight in source.weights}
    for weight in target.weights:
        weight.assign(keras.ops.convert_to_numpy(values[weight.path]))


@dataclass(frozen=True)
class Nets:
    """The two models of a run.

    Attributes:
        model: model that is trained.
        twin: model that is saved: float32, without the training's regularisation.
        copy: function that brings the weights of the first into the second.
        teacher: model whose probabilities a recipe's `distillation` mixes into the targets; None for none.
        answers: folder that keeps the teacher's probabilities for other runs (`distillation.distilled`); None for none.
    """

    model: keras.Model
    twin: keras.Model
    copy: Callable[[keras.Model, keras.Model], None] = copy_weights
    teacher: keras.Model | None = None
    answers: Path | None = None


class FromRecipe:
    """The variant that a recipe names, from random or from pretrained weights.

    What trains other nets (`compression.Compressed`) has the same methods.
    """

    def spec(self, recipe: Recipe) -> ResNetSpec | None:
        """The row of the table; None for a net from elsewhere."""
        return get_spec(recipe.model)

    def origin(self, recipe: Recipe) -> str | None:
        """Name of the recipe that made the net, for its card."""
        return recipe.name

    def start(self, recipe: Recipe) -> ModelCard | None:
        """Card of the weights that the training starts from; None for random ones."""
        return weights_card(recipe.weights, self.spec(recipe) or recipe.model) if recipe.weights else None

    def facts(self) -> dict[str, str]:
        """Facts that several workers must have alike beside the recipe."""
        return {}

    def image_size(self, recipe: Recipe) -> int:
        """Pixels of the net's own input."""
        return get_spec(recipe.model).default_size if (spec := self.spec(recipe)) is None else spec.default_size

    def make(self, recipe: Recipe, dataset: Dataset, policy: str, devices: Devices) -> Nets:
        """Builds both models.

        Args:
            recipe: recipe of the run.
            dataset: training set.
            policy: dtype policy of the training.
            devices: devices of the run.
        """
        spec = self.spec(recipe) or get_spec(recipe.model)
        model, twin = build_pair(spec, recipe, dataset, policy, devices)
        accelerate(model, recipe, policy)
        if recipe.weights or recipe.freeze != "none":
            transfer.begin(model, recipe, spec, dataset.classes)
        return Nets(model, twin)

    def callbacks(self, nets: Nets, recipe: Recipe, steps: int, done: int) -> Sequence[keras.callbacks.Callback]:
        """Callbacks of these nets, which act before the model is saved.

        Args:
            nets: nets that `make` gave.
            recipe: recipe of the run.
            steps: number of steps in an epoch.
            done: number of steps that a resumed run has behind it.
        """
        return ()


def build_pair(
    spec: ResNetSpec, recipe: Recipe, dataset: Dataset, policy: str, devices: Devices
) -> tuple[keras.Model, keras.Model]:
    """Builds a variant with the recipe's regularisation in the training's precision, and plain in float32.

    Args:
        spec: spec of both models.
        recipe: recipe of the run.
        dataset: training set, which has the input size and the facts of the task.
        policy: dtype policy of the trained model.
        devices: devices of the run.
    """
    code = get_task(recipe.task).code
    facts = code.facts(dataset, recipe.head)
    *spatial, channels = dataset.shape
    rank = len(spatial)
    # Training and validation images of two sizes pass through a net of no fixed one.
    seen = [None] * rank if recipe.test_size else spatial
    if recipe.test_size and getattr(code, "ONE_SIZE", False):
        seen = list(dataset.train.shape[:-1])  # type: ignore[attr-defined]  # a split of files, which `inputs` has seen to
    needed: dict[str, Any] = getattr(code, "backbone", lambda *_: {})(spec, recipe.head)
    with precision.policy(policy), devices.scope():
        backbone = build(
            spec,
            include_top=False,
            rank=rank,
            input_tensor=keras.Input((*seen, channels)),
            stochastic_depth=recipe.stochastic_depth,
            zero_init_residual=recipe.zero_init_residual,
            norm=devices.norm(recipe.sync_bn),
            freeze_bn=recipe.freeze_bn,
            **needed,
        )
        model = code.attach(backbone, facts, recipe.head, training=True)
    with precision.policy("float32"):
        backbone = build(spec, include_top=False, rank=rank, input_shape=dataset.shape, **needed)
        twin = code.attach(backbone, facts, recipe.head, training=False)
    return model, twin


def accelerate(model: keras.Model, recipe: Recipe, policy: str) -> None:
    """Fuses normalisation, and rematerialises where the recipe says so.

    Args:
        model: model that is trained; changed in place.
        recipe: recipe of the run.
        policy: dtype policy that the model was built under.
    """
    fuse(model)
    if recipe.remat:
        with precision.policy(policy):
            rematerialise(model)
