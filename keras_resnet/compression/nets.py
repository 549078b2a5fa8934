"""A compressed net as `train` takes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.compression import folding, methods
from keras_resnet.compression.rewriting import cloned
from keras_resnet.compression.settings import Settings
from keras_resnet.data import Dataset
from keras_resnet.errors import InputError
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.specs import SPECS
from keras_resnet.saving import weights_sha256
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks import get_task
from keras_resnet.tasks.table import DEFAULT
from keras_resnet.training import precision
from keras_resnet.training.inputs import encoder
from keras_resnet.training.nets import FromRecipe, Nets, accelerate, build_pair, copy_weights
from keras_resnet.training.recipes import Recipe
from keras_resnet.training.strategy import Devices

_EXAMPLES, _PIXELS = 4000, 100_000_000  # training images that channels are chosen by: so many, or so many values
_BUILT_IN = ("stochastic_depth", "remat")  # settings of a recipe that only `build` can honour


class Compressed(FromRecipe):
    """Trains a given model in its compressed form."""

    def __init__(
        self,
        model: keras.Model,
        card: ModelCard,
        settings: Settings,
        teacher: keras.Model | None = None,
        answers: Path | None = None,
    ):
        """Takes what is trained, and from whom it learns.

        Args:
            model: plain model in float32.
            card: card of the model.
            settings: settings of the compression.
            teacher: model that gives probabilities of the same classes; by default the model as it is.
            answers: folder that keeps what the teacher says; None: every run asks anew.

        Raises:
            InputError: the model cannot be compressed so.
        """
        methods.refuse(model, settings)
        self.model, self.card, self.settings = model, card, settings
        self.teacher = model if teacher is None else teacher
        self.answers = answers

    def spec(self, recipe: Recipe) -> ResNetSpec | None:
        """The row of the table; None for a net from elsewhere and for one that becomes narrower."""
        return None if self.settings.channels else self._own_spec()

    def _own_spec(self) -> ResNetSpec | None:
        return SPECS.get(self.card.spec or "")

    def origin(self, recipe: Recipe) -> str | None:
        """The training that made the model: how its images may be changed stays true."""
        return self.card.recipe

    def start(self, recipe: Recipe) -> ModelCard | None:
        """The model's."""
        return self.card

    def facts(self) -> dict[str, str]:
        """The compression, and both models."""
        nets = {"model": self.model, "teacher": self.teacher}
        return {"compression": self.settings.name, **{name: weights_sha256(net) for name, net in nets.items()}}

    def image_size(self, recipe: Recipe) -> int:
        """The model's."""
        return self.model.input_shape[1]

    def make(self, recipe: Recipe, dataset: Dataset, policy: str, devices: Devices) -> Nets:
        """Rewrites the model, and a copy of it that is saved.

        Raises:
            InputError: the recipe asks for what this model cannot have.
        """
        if recipe.weights or recipe.freeze != "none":
            raise InputError(f"recipe {recipe.name}: weights and freeze do not go with a compression")
        model, twin = self._pair(recipe, dataset, policy, devices)
        judged = _judged(recipe, dataset)
        with devices.scope(), precision.policy(policy):
            if self.settings.channels:
                nets = methods.narrower(model, twin, self.settings, *_examples(recipe, dataset), judged)
            else:
                nets = methods.forms(model, twin, self.settings)
            nets = replace(nets, model=judged(nets.model))
        accelerate(nets.model, recipe, policy)
        return replace(nets, teacher=self._teacher(policy) if recipe.distillation else None, answers=self.answers)

    def _teacher(self, policy: str) -> keras.Model:
        """Makes the teacher as fast as it goes: norms folded, in the training's precision."""
        plain = folding.folded_if_possible(self.teacher)
        if plain is self.teacher:
            return plain
        last = plain.layers[-1].name

        def faster(layer):
            return type(layer).from_config({**layer.get_config(), "dtype": "float32" if layer.name == last else policy})

        teacher = cloned(plain, faster)
        copy_weights(plain, teacher)
        return teacher

    def _pair(self, recipe: Recipe, dataset: Dataset, policy: str, devices: Devices):
        spec = self._own_spec()
        # A head with settings of its own is not made anew: the model has it, with what its training's recipe said.
        if spec is not None and self.card.task == DEFAULT:
            model, twin = build_pair(spec, recipe, dataset, policy, devices)
            own = {weight.path: tuple(weight.shape) for weight in self.model.weights}
            if own == {weight.path: tuple(weight.shape) for weight in twin.weights}:
                for net in (model, twin):
                    copy_weights(self.model, net)
                return model, twin
        built_in = (*_BUILT_IN, *["dropout"] * (self.card.task == DEFAULT))
        asked = [name for name in built_in if getattr(recipe, name)] + ["loss"] * (
            getattr(recipe, "loss", "") == "binary"
        )
        if asked:
            raise InputError(
                f"recipe {recipe.name}: {', '.join(asked)} need a net of the table, and the model is from elsewhere"
            )

        last = _last(self.model)

        def for_training(layer):
            config = {**layer.get_config(), "dtype": policy}
            if isinstance(layer, keras.layers.BatchNormalization):
                config |= {"synchronized": devices.norm(recipe.sync_bn) == "sync_batch"}
                config |= {"trainable": False} if recipe.freeze_bn else {}
            return type(layer).from_config({**config, "dtype": "float32"} if layer.name in last else config)

        with devices.scope():
            model = cloned(self.model, for_training)
        twin = cloned(self.model, lambda layer: type(layer).from_config(layer.get_config()))
        for net in (model, twin):
            copy_weights(self.model, net)
        return model, twin

    def callbacks(self, nets: Nets, recipe: Recipe, steps: int, done: int) -> Sequence[keras.callbacks.Callback]:
        """The method's."""
        return methods.callbacks(nets.model, self.settings, epochs=recipe.epochs, epoch_steps=steps, done=done)


def _judged(recipe: Recipe, dataset: Dataset) -> Callable[[keras.Model], keras.Model]:
    """From a net to the one whose outputs the task's loss takes."""
    code = get_task(recipe.task).capable
    if not hasattr(code, "learning"):
        return lambda model: model
    return lambda model: code.learning(model, code.facts(dataset, recipe.head))


def _last(model: keras.Model) -> set[str]:
    """Names of the layers that stay in float32: the last ones with weights, and those behind them."""
    names = set()
    for tensor in model.outputs:
        layer = tensor._keras_history.operation
        names.add(layer.name)
        while not getattr(layer, "weights", ()) and isinstance(layer.input, keras.KerasTensor):
            layer = layer.input._keras_history.operation
            names.add(layer.name)
    return names


def _examples(recipe: Recipe, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, Any]:
    """Training images, spread over the split, as the net takes them, their targets, and the task's loss."""
    split, code = dataset.train, get_task(recipe.task).code
    count = min(_EXAMPLES, len(split), max(40, _PIXELS // math.prod(dataset.shape)))
    chosen = np.linspace(0, len(split) - 1, count, dtype=np.int64)
    parts = [split.fetch(part) for part in np.array_split(chosen, 40) if len(part)]
    pixels = np.concatenate([part[split.key] for part in parts])
    encode = encoder(recipe, dataset)
    encoded = [np.asarray(encode(part)) for part in parts]
    loss = code.objectives(code.facts(dataset, recipe.head), recipe.head).loss
    return np.asarray(PREPROCESS[recipe.preprocess](pixels)), np.concatenate(encoded), keras.losses.get(loss)
