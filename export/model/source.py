"""Where an export starts: a Keras model in float32, its card, and data to calibrate and verify with."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from export.model import graph
from keras_resnet.card import ModelCard
from keras_resnet.data import SOURCES, Dataset, load_dataset
from keras_resnet.errors import InputError
from keras_resnet.evaluation import check_fit, image_shape
from keras_resnet.labels import read_labels
from keras_resnet.nets.graph import deep_graphs
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.saving import load_named
from keras_resnet.signals.conventions import Preprocess
from keras_resnet.training import run
from keras_resnet.weights import list_weights

_SMALL = ("resnet8", "digits")  # needs no data but what scikit-learn brings
_NOISE = 64
_EVIDENCE_BYTES = 10**9  # of pixels
_CHUNK = 256


@dataclass(frozen=True)
class Evidence:
    """Images to verify with.

    Attributes:
        pixels: uint8 `(n, H, W, C)`, RGB.
        labels: int `(n,)`; None where the images are noise.
        origin: in words.
    """

    pixels: np.ndarray
    labels: np.ndarray | None
    origin: str

    def run(self, runner: Runner, preprocess: Preprocess) -> dict[str, np.ndarray]:
        """A runner's outputs on all images, by name.

        Args:
            runner: of any file.
            preprocess: that its input needs.
        """
        size = tuple(runner.image_shape[:2])
        step = runner.chunk
        chunks = (resized(self.pixels[i : i + step], size) for i in range(0, len(self.pixels), step))
        parts = [runner.run(preprocess(chunk)) for chunk in chunks]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def resized(pixels: np.ndarray, size: tuple[int | None, ...]) -> np.ndarray:
    """Images as an app hands them to a file of another size: bilinear, rounded to whole pixel values.

    Args:
        pixels: uint8 `(n, H, W, C)`.
        size: `(height, width)`, None where any goes.

    Returns:
        uint8; `pixels` itself where the size is theirs.
    """
    if None in size or pixels.shape[1:3] == tuple(size):
        return pixels
    return np.uint8(np.clip(np.round(tf.image.resize(pixels, size).numpy()), 0, 255))


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        model: float32.
        card: travels with every file.
        name: stem of the default file names.
        origin: in words: which model this is, and why.
        dataset: None where there are no images.
        images: what its test split holds, in words.
    """

    model: keras.Model
    card: ModelCard
    name: str
    origin: str
    dataset: Dataset | None
    images: str = "test images"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        return tuple(self.model.input_shape[1:])

    def evidence(self, limit: int | None = None) -> Evidence:
        """The test images, or noise where there is no dataset.

        Args:
            limit: at most so many, spread evenly over the split; by default all that fit in 1 GB.
        """
        if self.dataset is None:
            noise = np.random.default_rng(0).integers(0, 256, (_NOISE, *self.image_shape), np.uint8)
            return Evidence(noise, None, f"{_NOISE} images of noise (accuracy unknown: no data)")
        split = self.dataset.test
        total = len(split)
        count = min(limit or _EVIDENCE_BYTES // math.prod(self.image_shape), total)
        chosen = np.linspace(0, total - 1, count, dtype=np.int64)
        parts = [split.fetch(chosen[i : i + _CHUNK])[split.key] for i in range(0, count, _CHUNK)]
        of_all = "" if count == total else f" of {total:,}"
        return Evidence(
            np.concatenate(parts), split.labels[chosen], f"{count:,}{of_all} {self.images} of {self.dataset.name}"
        )


def load_source(
    model: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    *,
    weights: str | None = None,
    dataset: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
) -> Source:
    """Opens the model to export and finds its data.

    Args:
        model: a `.keras` file or a variant's name, or several: their mean is exported as one net; by default the newest
            run under runs/, and where there is none the best model that ships with the package: on CIFAR-10 where its
            images are at hand, else on digits.
        weights: for a variant's name.
        dataset: by default the one that the model was trained on.
        data_dir: where CIFAR's official binary files are; by default Keras' cache.
        labels: file with the names of the classes (`labels.read_labels`), in place of those that the model carries.

    Returns:
        The source; its `dataset` is None where the model names none that can be opened.

    Raises:
        InputError: no such model, or the dataset that was asked for cannot be opened or does not fit.
    """
    if isinstance(model, Sequence) and not isinstance(model, str):
        if len(model) > 1:
            how = {"weights": weights, "dataset": dataset, "data_dir": data_dir, "labels": labels}
            return _ensemble([load_source(each, **how) for each in model])
        model = model[0] if model else None
    origin, name = str(model), Path(model).stem if model else ""
    if model is None and weights is not None:
        raise InputError("--weights goes with --model NAME")
    if model is None and (newest := run.newest()):
        model, origin = newest, f"{newest} (the newest run)"
        name = newest.parent.name
    elif model is None:
        model, weights = shipped(data_dir)
        name = f"{model}-{weights}"
        origin = f"{model} trained on {weights}, which ships with the package (no run under {run.RUNS}/)"
    elif name == Path(run.MODEL).stem:
        name = Path(model).resolve().parent.name
    network, card = load_named(model, weights)
    network = float32_twin(network)
    if labels is not None:
        card = replace(card, labels=read_labels(labels, network.output_shape[-1]))
    runner = KerasRunner(network, card)
    shape = image_shape(runner)
    data = _dataset(card, dataset, data_dir, shape)
    if data is not None:
        check_fit(runner, data.image_shape)
        if len(data.classes) > runner.output.shape[-1]:
            raise InputError(
                f"{data.name} has {len(data.classes)} classes, the model {runner.output.shape[-1]}: name the dataset "
                "that it was trained on"
            )
    return Source(network, card, name, origin, data)


def _ensemble(members: Sequence[Source]) -> Source:
    """Their mean, under the first one's card."""
    first = members[0]
    for other in members[1:]:
        if (other.card.labels, other.card.preprocess) != (first.card.labels, first.card.preprocess):
            raise InputError(
                f"{other.origin} and {first.origin} have other labels or another input convention: no ensemble"
            )
    origin = "the mean of " + ", ".join(member.origin for member in members)
    model = graph.ensemble([member.model for member in members])
    return replace(first, model=model, name=f"{first.name}-ensemble{len(members)}", origin=origin)


def shipped(data_dir: str | os.PathLike | None) -> tuple[str, str]:
    """Variant and weights that an export without a model starts from.

    Args:
        data_dir: where CIFAR's files may be.

    Returns:
        The most accurate of the package's own CIFAR-10 sets where the images are there to calibrate and verify with,
        else the digits set.
    """
    own = [row for row in list_weights() if row.dataset == "cifar10" and not row.md5]
    if not own or not SOURCES["cifar10"].at_hand(data_dir):
        return _SMALL
    best = max(own, key=lambda row: row.top1)
    return best.spec, best.name


def _dataset(card: ModelCard, name, data_dir, shape: tuple[int, int, int]) -> Dataset | None:
    if name is not None:
        return load_dataset(name, data_dir, shape, card.crop)
    row = SOURCES.get(card.dataset)
    if (row and row.at_hand(data_dir)) or Path(card.dataset or "").is_absolute():
        return load_dataset(card.dataset, data_dir, shape, card.crop)
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
