"""A task and a signal that no file of the packages knows: rows and modules of the tests' own.

The task answers with one number, how bright an image is; the signal is a digit's eight rows as a series of eight steps
with eight channels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from keras_resnet import ranges
from keras_resnet.data import Dataset, Source, digits
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.data.truth import Kind
from keras_resnet.errors import InputError
from keras_resnet.signals.table import Signal
from keras_resnet.tasks import Limits, Objectives, Output, Score, Task, sole

# ---- the task

TASK = Task(
    name="glow",
    summary="how bright an image is",
    truth="value",
    score=Score("1 - mean |error|", "closeness", "{:.4f}"),
    module=__name__,
)
KIND = Kind(name="value", summary="a number: float32 (n,)")
LIMITS = {name: Limits(agreement=0.97, drop=1.0, reason="as a test has it") for name in ("float32", "int8")}


@dataclass(frozen=True, kw_only=True)
class Settings:
    scale: float = ranges.positive(1.0)


@dataclass(frozen=True, kw_only=True)
class Facts:
    unit: str = "grey"


@dataclass(frozen=True)
class Scores:
    closeness: float
    count: int

    @property
    def value(self):
        return self.closeness

    def figures(self):
        return {TASK.score.name: f"{self.closeness:.4f}"}

    def to_json(self):
        return asdict(self)


@dataclass(frozen=True)
class Said:
    name: str
    value: float

    def to_json(self):
        return {"image": self.name, "value": self.value}

    @property
    def image(self):
        return self.name

    def rows(self):
        return ("glow",), [(f"{self.value:.3f}",)]


class Scorer:
    def __init__(self):
        self.examples = np.empty(0)

    def update(self, outputs, truth):
        apart = np.abs(sole(outputs, "glow")[:, 0] - truth["value"])
        self.examples = np.concatenate([self.examples, 1 - apart.astype(np.float64)])

    def result(self):
        return Scores(float(self.examples.mean()), len(self.examples))


def facts(dataset, settings):
    return Facts()


def attach(backbone, facts, settings, *, training):
    import keras

    x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(1, name="glow", dtype="float32")(x), name=backbone.name)


def outputs(facts):
    return (Output("glow", ("n", "1")),)


def encode(truth, facts, settings):
    return truth["value"][:, None] * settings.scale


def objectives(facts, settings):
    return Objectives(loss="mean_squared_error", metrics=["mean_absolute_error"], watch="mean_absolute_error")


def decode(outputs, card, *, limit=5, names=None):
    values = sole(outputs, "glow")[:, 0]
    return [Said(name, float(value)) for name, value in zip(names or map(str, range(len(values))), values, strict=True)]


def scorer(card):
    return Scorer()


def agreement(reference, outputs, card, truth=None):
    return (np.abs(sole(reference, "glow") - sole(outputs, "glow"))[:, 0] < 0.05).astype(np.float64)


def _bright(split):
    pixels = split.images
    return ArraySplit({"image": pixels, "value": np.float32(pixels.mean(axis=(1, 2, 3)) / 255)})


def _load_bright(name, data_dir, shape, keep):
    known = digits.load()
    parts = {part: _bright(getattr(known, part)) for part in ("train", "validation", "test")}
    return Dataset(name, (), known.shape, **parts, truth="value")


BRIGHT = Source(name="bright-digits", summary="digits", load=_load_bright, at_hand=lambda _: True, truth="value")

# ---- the signal

SIGNAL = Signal(
    name="rows",
    summary="a digit, row by row",
    key="rows",
    rank=1,
    plural="rows",
    channels=8,
    suffixes=(".npy",),
    values=(0.0, 16.0),
    module=__name__,
)


def load(path, shape, keep=1.0):
    found = np.load(path, allow_pickle=False)
    if found.shape != tuple(shape):
        raise InputError(f"{path} has shape {found.shape}: expected {shape}")
    return found


def noise(shape, count, rng):
    return rng.uniform(0, 16, (count, *shape)).astype(np.float32)


def resized(examples, shape):
    return examples


def _rows(split):
    grey = split.images[:, ::4, ::4, 0].astype(np.float32) / 16
    return ArraySplit({"rows": grey, "label": split.labels})


def _load_rows(name, data_dir, shape, keep):
    known = digits.load()
    parts = {part: _rows(getattr(known, part)) for part in ("train", "validation", "test")}
    return Dataset(name, known.classes, (8, 8), **parts, signal="rows")


ROWS = Source(name="digit-rows", summary="digits", load=_load_rows, at_hand=lambda _: True, signal="rows")


def register(monkeypatch, mini_spec):
    """Adds the rows, and a recipe for each."""
    from keras_resnet.data.sources import SOURCES
    from keras_resnet.data.truth import KINDS
    from keras_resnet.nets.specs import SPECS
    from keras_resnet.signals.table import SIGNALS
    from keras_resnet.tasks import TASKS
    from keras_resnet.training.recipe import Recipe
    from keras_resnet.training.recipes import RECIPES

    for table, row in ((SOURCES, BRIGHT), (SOURCES, ROWS), (KINDS, KIND), (SIGNALS, SIGNAL), (TASKS, TASK)):
        monkeypatch.setitem(table, row.name, row)
    monkeypatch.setitem(SPECS, "mini", mini_spec)
    common = {"model": "mini", "preprocess": "tf", "epochs": 4, "batch_size": 32, "learning_rate": 0.02, "keep": "best"}
    for row in (
        # A low rate: a net of few steps at a high one has ranges that 8 bits hold or not by the processor's rounding.
        Recipe(
            name="bright",
            task="glow",
            dataset="bright-digits",
            subset=512,
            precise_bn=512,
            **{**common, "learning_rate": 0.005},
        ),
        Recipe(name="rows", dataset="digit-rows", **{**common, "preprocess": "none", "precise_bn": 512}),
    ):
        monkeypatch.setitem(RECIPES, row.name, row)
