"""Where an export starts: a Keras model in float32, its card, and data to calibrate and verify with."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export.model import conventions, graph
from export.model.evidence import BUDGET, Evidence
from export.model.outputs import named, require_classes
from keras_resnet.card import ModelCard, held_out_of_all
from keras_resnet.data import SOURCES, Dataset
from keras_resnet.errors import InputError
from keras_resnet.evaluation import check_fit
from keras_resnet.evaluation.examples import dataset_for
from keras_resnet.labels import class_names
from keras_resnet.nets.graph import deep_graphs
from keras_resnet.runtime import foreign
from keras_resnet.runtime.anything import model_of
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.saving import model_path
from keras_resnet.signals.table import Signal, get_signal
from keras_resnet.tasks import get_task
from keras_resnet.tasks.table import DEFAULT
from keras_resnet.training import run

_SMALL = ("resnet8", "digits")  # needs no data but what scikit-learn brings
_PHOTOS = ("resnet20_cifar", "cifar10")  # deeper nets of the registry take minutes to convert and verify
_NOISE = 64


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        model: float32.
        card: travels with every file.
        name: stem of the default file names.
        origin: which model this is, and why, in words.
        dataset: data to calibrate and verify with; None where there are none.
        part: part of the data that `dataset.test` is, for people.
    """

    model: keras.Model
    card: ModelCard
    name: str
    origin: str
    dataset: Dataset | None
    part: str = "test"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, channels last: `(height, width, channels)` of an image."""
        return tuple(self.model.input_shape[1:])

    @property
    def signal(self) -> Signal:
        """What an example is."""
        return get_signal(self.card.signal)

    @property
    def noun(self) -> str:
        """What examples are called in messages."""
        return "images" if self.card.signal == "image" else "examples"

    def in_form(self, form: str) -> Source:
        """The source with the outputs, and the card, of a form.

        Args:
            form: one of the task's forms, or empty: the source itself.
        """
        if not form:
            return self
        with deep_graphs():
            model, card = get_task(self.card.task).capable.formed(self.model, self.card, form)
        return replace(self, model=model, card=card)

    def on_validation(self) -> Source:
        """The source with its validation examples in the test examples' place: for what is chosen by its result."""
        if self.dataset is None:
            return self
        return replace(self, dataset=replace(self.dataset, test=self.dataset.validation), part="validation")

    def evidence(self, limit: int | None = None) -> Evidence:
        """Test examples, or noise where there is no dataset.

        Args:
            limit: number of examples at most, spread evenly over the split; by default all that fit in 1 GB.
        """
        if self.dataset is None:
            noise = self.signal.code.noise(self.shape, _NOISE, np.random.default_rng(0))
            origin = f"{_NOISE} {self.noun} of noise (accuracy unknown: no data)"
            return Evidence.of_array(noise, origin, self.signal)
        split = self.dataset.test
        size = math.prod(self.shape) * np.dtype(self.signal.dtype).itemsize
        count = min(limit or BUDGET // size, len(split))
        chosen = np.linspace(0, len(split) - 1, count, dtype=np.int64)
        of_all = "" if count == len(split) else f" of {len(split):,}"
        origin = f"{count:,}{of_all} {self.part} {self.noun} of {self.dataset.name}"
        return Evidence(split, chosen, origin, self.signal)


def load_source(
    model: Any = None,
    *,
    weights: str | None = None,
    dataset: str | os.PathLike | Dataset | None = None,
    data_dir: str | os.PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    reading: Mapping[str, Any] | None = None,
    classes: str | os.PathLike | Sequence[str] | None = None,
    labels: str | os.PathLike | None = None,
    hints: foreign.Hints = foreign.NO_HINTS,
) -> Source:
    """Opens the model to export and finds its data.

    Args:
        model: `.keras` file, run directory or name of a variant, or several: their mean is exported as one net; a
            `keras.Model`, or what `train` or `load_model` returned; by default the newest run under runs/, and where
            there is none the best model that ships with the package: on CIFAR-10 where its images are at hand, else on
            digits.
        weights: name or file of weights, for the name of a variant.
        dataset: name of the data, or the data; by default what the model was trained on.
        data_dir: folder of CIFAR's official binary files; by default Keras' cache.
        columns: a table's own names of columns by their meaning.
        reading: `void` and `reduce_zero_label` of masks; by default what the model's card says.
        classes: names of the classes (`labels.class_names`), in place of those that the model carries.
        labels: former name of `classes`.
        hints: what a person says of a model that does not tell itself.

    Returns:
        The source; its `dataset` is None where the model names none that can be opened.

    Raises:
        InputError: no such model, nobody says what its input looks like, or the dataset that was asked for cannot be
            opened or does not fit.
    """
    if labels is not None:
        warnings.warn("labels is called classes now: the old name goes with the next release", DeprecationWarning, 2)
        classes = labels
    if isinstance(model, list | tuple) and not any(isinstance(each, ModelCard) for each in model):
        if len(model) > 1:
            how: dict[str, Any] = {"weights": weights, "dataset": dataset, "data_dir": data_dir, "classes": classes}
            how |= {"hints": hints, "columns": columns, "reading": reading}
            return _ensemble([load_source(each, **how) for each in model])
        model = model[0] if model else None
    model = getattr(model, "run_dir", model)  # what `train` returned
    if model is None and weights is not None:
        raise InputError("--weights goes with --model NAME")
    if model is None or isinstance(model, str | os.PathLike):
        place = None if model is None else model_path(model)
        model, weights, name, origin = _chosen(place, weights, data_dir)
        network, card = foreign.load(model, weights, hints)
    else:
        network, card = model_of(model, hints)
        name, origin = network.name, f"the model {network.name}"
    network = float32_twin(network)
    if classes is not None:
        require_classes(card, "--classes")
        card = replace(card, labels=class_names(classes, network.output_shape[-1]))
    runner = KerasRunner(network, card)
    named(network, card)  # a model that gives something else is refused here
    data = _dataset(runner, dataset, data_dir, {"columns": columns, **(reading or {})})
    if data is not None:
        check_fit(runner, data.shape)
        outputs = runner.output.shape[-1]
        if card.task == DEFAULT and outputs is not None and len(data.classes) > outputs:
            raise InputError(
                f"{data.name} has {len(data.classes)} classes, the model {outputs}: name the dataset that it was "
                "trained on"
            )
    conventions.require(network, card, data, origin)
    return Source(network, card, name, origin, data)


def _chosen(model, weights: str | None, data_dir) -> tuple[str | os.PathLike, str | None, str, str]:
    """Model, weights, name and origin in words."""
    if model is None and (newest := run.newest()):
        return newest, weights, newest.parent.name, f"{newest} (the newest run)"
    if model is None:
        model, weights = shipped(data_dir)
        words = f"{model} trained on {weights}, which ships with the package (no run under {run.RUNS}/)"
        return model, weights, f"{model}-{weights}", words
    name = Path(model).stem
    if name == Path(run.MODEL).stem:
        name = Path(model).resolve().parent.name
    return model, weights, name, str(model)


def _ensemble(members: Sequence[Source]) -> Source:
    """Makes the mean of several, under the first one's card."""
    first = members[0]
    get_task(first.card.task).require("ensemble")
    for other in members[1:]:
        if (other.card.labels, other.card.preprocess) != (first.card.labels, first.card.preprocess):
            raise InputError(
                f"{other.origin} and {first.origin} have other labels or another input convention: no ensemble"
            )
    origin = "the mean of " + ", ".join(member.origin for member in members)
    model = graph.ensemble([member.model for member in members])
    held_out = held_out_of_all([member.card for member in members], first.card.dataset)
    card = replace(first.card, held_out=held_out)
    return replace(first, model=model, card=card, name=f"{first.name}-ensemble{len(members)}", origin=origin)


def shipped(data_dir: str | os.PathLike | None) -> tuple[str, str]:
    """Variant and weights that an export without a model starts from.

    Args:
        data_dir: folder that may hold CIFAR's files.

    Returns:
        ResNet-20 for CIFAR-10 where the images are there to calibrate and verify with, else the digits' net.
    """
    return _PHOTOS if SOURCES["cifar10"].at_hand(data_dir) else _SMALL


def _dataset(runner: KerasRunner, name: Any, data_dir: Any, how: Mapping[str, Any]) -> Dataset | None:
    """The data that were named, or those that the model was trained on, where they are here."""
    if isinstance(name, Dataset):
        return name
    folder = None if data_dir is None else Path(data_dir)
    if name is not None:
        return dataset_for(runner, name, folder, **how)
    own = runner.card.dataset or ""
    row = SOURCES.get(own)
    if (row and row.at_hand(data_dir)) or (own and not row and (Path(own).is_absolute() or Path(own).exists())):
        return dataset_for(runner, own, folder, **how)
    return None


def float32_twin(model: keras.Model) -> keras.Model:
    """The same network with every layer in float32: converters mishandle mixed precision.

    Args:
        model: functional.

    Returns:
        `model` itself if it is float32 throughout, else a copy with the same weights.
    """
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model

    def in_float32(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    with deep_graphs():
        twin = keras.models.clone_model(model, clone_function=in_float32)
    twin.set_weights(model.get_weights())
    return twin
