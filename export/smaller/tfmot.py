"""The engine tfmot: tensorflow-model-optimization on a tf_keras twin, in a process of its own.

The twin comes from the same table and the same builder; weights move by their names, there and back. What tfmot
learns about ranges goes into the same Keras 3 layers that the native engine trains: the export knows no difference.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np

from export.model.source import Source
from keras_resnet import console, processes
from keras_resnet.builder import build
from keras_resnet.compression import folding, methods, rewriting
from keras_resnet.compression.settings import Settings
from keras_resnet.errors import GateError, InputError
from keras_resnet.nets.compressed import FakeQuantize
from keras_resnet.nets.fusion import unfolded_norms
from keras_resnet.nets.specs import SPECS
from keras_resnet.saving import save_model
from keras_resnet.tasks.table import DEFAULT
from keras_resnet.training import run
from keras_resnet.training.inputs import estimate_statistics
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import RECIPES
from keras_resnet.training.strategy import Devices

JOB, WEIGHTS, TEACHER, TRAINED = "job.json", "weights.npz", "teacher.keras", "trained.npz"
# Settings of a recipe that the twin's training honours; the others must be as in `compress`.
_HONOURED = {
    *("name", "model", "dataset", "preprocess", "augmentation", "repeats", "epochs", "batch_size", "learning_rate"),
    *("schedule", "milestones", "warmup_epochs", "momentum", "nesterov", "weight_decay", "decay_all"),
    *("label_smoothing", "distillation", "mixup", "cutmix", "precise_bn", "hold_out", "max_unreadable", "crop", "fit"),
    *("seed", "precision"),
    *("expected", "hardware", "wall_time", "command"),
}


def refuse(source: Source, settings: Settings, recipe: Recipe, devices: Devices) -> None:
    """Refuses what tfmot, or the twin, cannot do.

    Args:
        source: the model.
        settings: what shall be done to it.
        recipe: recipe of the training.
        devices: devices of the training.

    Raises:
        InputError: says what, and names the layers.
    """
    if source.card.task != DEFAULT:
        raise InputError(f"engine tfmot knows classification alone, not {source.card.task}: use --engine native")
    methods.refuse(source.model, settings)
    if not devices.is_one:
        raise InputError("engine tfmot trains on one device: --strategy goes with --engine native")
    if settings.channels or settings.weight_bits != 8:
        raise InputError(f"tensorflow-model-optimization has no {settings.name}: use --engine native")
    plain = RECIPES["compress"]
    other = [
        name
        for name, value in recipe.settings().items()
        if name not in _HONOURED and value != plain.settings().get(name)
    ]
    other += ["schedule"] * (recipe.schedule == "plateau")
    if other:
        raise InputError(
            f"recipe {recipe.name}: engine tfmot does not know {', '.join(other)}; leave them as in recipe "
            f"{plain.name}, or use --engine native"
        )
    unfolded = sorted(unfolded_norms(source.model, "keras"))
    if settings.method == "qat" and unfolded:
        names = ", ".join(unfolded)
        raise InputError(
            f"layers that tensorflow-model-optimization cannot quantize: {names} (batch normalisation that "
            "no convolution precedes, as in pre-activation nets); use --engine native"
        )
    _spec(source)


def _spec(source: Source):
    """The variant, after a comparison of every variable.

    Raises:
        InputError: the model is not one of the table, or has other layers than its row.
    """
    spec = SPECS.get(source.card.spec or "")
    if spec is None:
        raise InputError(
            f"engine tfmot builds a twin of a variant of the table, and {source.origin} names none; use --engine native"
        )
    row = build(spec, input_shape=source.shape, classes=source.model.output_shape[-1])
    expected = {weight.path: tuple(weight.shape) for weight in row.weights}
    found = {weight.path: tuple(weight.shape) for weight in source.model.weights}
    apart = sorted(key for key in expected | found if expected.get(key) != found.get(key))
    if apart:
        raise InputError(
            f"the layers of the twin ({spec.name}) do not match those of {source.origin}: {', '.join(apart[:3])}"
            f"{', ...' if len(apart) > 3 else ''}; use --engine native"
        )
    return spec


def train(
    source: Source, settings: Settings, recipe: Recipe, folder: Path, *, teacher, answers, data_dir, say
) -> float:
    """Trains the twin in a child process, and writes `folder/model.keras`.

    An interrupted training goes on behind its last whole epoch; a finished one is not repeated.

    Args:
        source: the model.
        settings: what is done to it.
        recipe: recipe of the training.
        folder: folder of the run.
        teacher: Keras model that a recipe's `distillation` asks.
        answers: folder that keeps what the teacher says, or None.
        data_dir: folder of the data.
        say: function that is told what is being done.

    Returns:
        Seconds of the training.

    Raises:
        GateError: the training diverged.
        InputError: the child failed otherwise; its last words are in the message.
    """
    start, checkpoints, result = source.model, (folder / "checkpoints").absolute(), folder / run.RESULT
    if result.is_file():
        return json.loads(result.read_text(encoding="utf-8"))["seconds"]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        np.savez(place / WEIGHTS, **{w.path: keras.ops.convert_to_numpy(w) for w in start.weights})
        if recipe.distillation:
            save_model(folding.folded_if_possible(teacher), place / TEACHER)
        job = {
            "spec": _spec(source).name,
            "image_shape": source.shape,
            "classes": source.model.output_shape[-1],
            "settings": settings.to_json(),
            "recipe": json.loads(recipe.dumps()),
            "data_dir": str(data_dir) if data_dir else None,
            "answers": str(answers) if answers else None,
            "checkpoints": str(checkpoints),
        }
        (place / JOB).write_text(json.dumps(job), encoding="utf-8")
        say(f"{settings.name} of a tf_keras twin")
        _run(place)
        with np.load(place / TRAINED, allow_pickle=False) as file:
            values = {name: file[name] for name in file.files}
    seconds = float(values.pop("seconds"))
    model = _moved_back(start, settings, values)
    if recipe.precise_bn:
        estimate_statistics(model, source.dataset, recipe, source.card.preprocess)
    held_out = source.card.held_out_after(source.dataset.name, recipe.hold_out)
    save_model(model, folder / "model.keras", dataclasses.replace(source.card, held_out=held_out), overwrite=True)
    console.write_json(result, {"seconds": seconds})
    shutil.rmtree(checkpoints)
    return seconds


def _run(place: Path) -> None:
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    child = processes.run_python("export.smaller.tfmot_child", place, environment=environment, shown=True)
    if child.status == 0:
        return
    last = ([line for line in child.lines if not line.startswith("WARNING")] or ["no message"])[-1]
    by_us = last.startswith("error: ")  # by `console.run`: a traceback ends with the same status
    if child.status == console.FAILED and by_us:
        raise GateError(last.removeprefix("error: "))
    died = f"died of signal {-child.status}" if child.status < 0 else "failed"
    raise InputError(f"the training by tensorflow-model-optimization {died}: {last[:500]}")


def _moved_back(start: keras.Model, settings: Settings, values: dict[str, np.ndarray]) -> keras.Model:
    """A Keras 3 model with what the twin has learnt."""
    plain = rewriting.cloned(start, lambda layer: type(layer).from_config(layer.get_config()))
    missing = [weight.path for weight in plain.weights if weight.path not in values]
    if missing:
        raise InputError(f"the layers of the twin do not match: it has no {', '.join(missing[:3])}")
    for weight in plain.weights:
        weight.assign(values[weight.path] + 0.0)  # tfmot's zeros are products with a mask, and half of them negative
    if settings.method != "qat":
        return plain
    model = methods.forms(plain, plain, settings).model  # whose masks and centroids are those of the weights
    for layer in model.layers:
        if isinstance(layer, FakeQuantize):
            name = layer.name.removesuffix("_range")
            try:
                layer.low.assign(values[f"{name}/low"])
                layer.high.assign(values[f"{name}/high"])
            except KeyError:
                raise InputError(f"the layers of the twin do not match: it has no range for {name}") from None
            layer.seen.assign(1.0)
    return model
