"""`keras_resnet.train`: by the name of a recipe, or with data alone. What a run is, is decided here; `loop` runs it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_resnet.data import Dataset, load_dataset, memory
from keras_resnet.data.sources import Named, locate
from keras_resnet.data.tables import is_frame
from keras_resnet.errors import InputError
from keras_resnet.training import config as configs
from keras_resnet.training import loop, run
from keras_resnet.training import strategy as strategies
from keras_resnet.training.inferred import for_task, task_for
from keras_resnet.training.nets import FromRecipe
from keras_resnet.training.photos import Decision, plan
from keras_resnet.training.photos.budget import within
from keras_resnet.training.recipes import PHOTOS, RECIPES, Recipe, get_recipe, override
from keras_resnet.training.result import Result

_DATA = "a folder, a table of labels, a name, a DataFrame, a Dataset, or images and labels: (x, y)"


def train(
    what: Any = None,
    *,
    recipe: str | Recipe | None = None,
    data: Any = None,
    model: str | None = None,
    weights: str | os.PathLike | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    image_size: int | None = None,
    seed: int | None = None,
    task: str | None = None,
    columns: Mapping[str, str] | None = None,
    minutes: float | None = None,
    offline: bool = False,
    settings: Mapping[str, Any] | Sequence[str] = (),
    config: str | os.PathLike | None = None,
    output: str | os.PathLike | None = None,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    loggers: Sequence[str] = (),
    nets: FromRecipe | None = None,
    data_dir: str | os.PathLike | None = None,
    run_dir: str | os.PathLike | None = None,
    checkpoint_minutes: float = 10.0,
    strategy: str | strategies.Devices = "none",
    workers: Sequence[str] = (),
    worker_index: int | None = None,
    verbose: bool = True,
) -> Result:
    """Trains on your own data, or by a recipe, into a run directory.

    With data alone the recipe `photos` decides net, image size, weights, batch size, balance, augmentation and length,
    and says so in a line each; whatever is given here is not decided.

    Args:
        what: a recipe or its name (`RECIPES`); anything else are the data.
        recipe: recipe or its name.
        data: folder of class folders, table of labels, name of a source (`"cifar10:DIR"`), `DataFrame`, `Dataset`, or
            `(x, y)` of uint8 images `(N, H, W, C)` and integer labels `(N,)`.
        model: name of the net (`list_models`).
        weights: weights to start from, as `load_weights` takes them; `"none"` for random values.
        epochs: passes over the training data.
        batch_size: examples per step, over all devices.
        learning_rate: highest learning rate.
        image_size: height and width of the net's input, in pixels.
        seed: seed of every random choice.
        task: row of `TASKS`, where the data do not tell.
        columns: names of a table's columns, like `{"file": "photo", "label": "breed"}`.
        minutes: budget for the whole call, timed on the first steps; for data without a recipe.
        offline: whether nothing is downloaded.
        settings: any other settings of the recipe: `{"label_smoothing": 0.1}`, or `["label_smoothing=0.1"]`.
        config: file with a recipe or settings: JSON, YAML or TOML.
        output: run directory, new or empty; `runs/RECIPE-DATE-TIME` by default.
        resume: whether to go on with the run in `output`; an empty directory begins one.
        callbacks: Keras callbacks of your own, called before a checkpoint is written.
        loggers: rows of `training.loggers.LOGGERS`.
        nets: maker of what is trained; by default of the recipe's net.
        data_dir: folder of a named source's files; `data="NAME:DIR"` says the same.
        run_dir: former name of `output`.
        checkpoint_minutes: minutes between checkpoints within an epoch.
        strategy: row of `strategy.STRATEGIES`, or devices (`loop.train`).
        workers: `host:port` of each worker, for `"multiworker"`.
        worker_index: number of this process among the workers, from 0.
        verbose: whether decisions and progress are shown.

    Returns:
        The run: where it is, how well it did, its model and its curves.

    Raises:
        InputError: data or recipe given twice or not at all, and all that `loop.train` refuses.
        GateError: see `loop.train`.

    Example:
        >>> import tempfile, keras_resnet
        >>> run = keras_resnet.train("digits-resnet8", epochs=2, output=tempfile.mkdtemp(), verbose=False)
        >>> run.model.output_shape
        (None, 10)
    """
    started = time.monotonic()
    _check_kinds(weights=weights, columns=columns, loggers=loggers)
    row, place = _asked(what, recipe, data, config, columns)
    given = _given(locals(), settings)
    devices = strategy if isinstance(strategy, strategies.Devices) else strategies.make(strategy, workers, worker_index)
    if isinstance(row, tuple):  # of a file
        row, given = row[0], [*row[1], *given]
    folder = Path(str(output or run_dir)) if output or run_dir else None
    if resume and row is None and folder is not None and run.is_one(folder):
        chosen = run.reopen(None, folder)
        place = Named(chosen.dataset, place.folder if place else None)
    elif isinstance(row, Recipe) and row is not PHOTOS or isinstance(row, str) and row != PHOTOS.name:
        if minutes is not None:
            raise InputError("minutes goes with your own data and the recipe photos: another recipe has its epochs")
        if offline:
            raise InputError("offline goes with your own data and the recipe photos: another recipe has its weights")
        chosen = by_recipe(row, place, given, task=task, weights=weights, columns=columns)
    else:
        say: Callable[[str], None] = print if verbose else _silent
        chosen = decide(place, given, devices, started, task=task, weights=weights, minutes=minutes, offline=offline,
                        columns=columns, data_dir=data_dir, say=say)  # fmt: skip
    return loop.train(
        chosen,
        nets=nets,
        data_dir=data_dir or (place.folder if place else None),
        run_dir=folder,
        resume=resume,
        checkpoint_minutes=checkpoint_minutes,
        strategy=devices,
        callbacks=callbacks,
        loggers=loggers,
        verbose=verbose,
    )


def _check_kinds(weights: Any, columns: Any, loggers: Any) -> None:
    """Refuses arguments of another kind than they are used as."""
    if not isinstance(weights, str | os.PathLike | None):
        raise InputError(f"weights: expected a name or a path, received {type(weights).__name__}")
    if not isinstance(columns, Mapping | None):
        raise InputError(f"columns: expected a dict like {{'file': 'photo'}}, received {type(columns).__name__}")
    if isinstance(loggers, str):
        raise InputError(f"loggers: expected a list like ['wandb'], received the text {loggers!r:.40}")


def _silent(text: str) -> None:
    """Says nothing."""


def _asked(what: Any, recipe: Any, data: Any, config: Any, columns: Any) -> tuple[Any, Named | None]:
    """The recipe, its name, or a file's name and settings; and where the data are.

    Raises:
        InputError: recipe or data twice, or neither.
    """
    if isinstance(what, str) and what == PHOTOS.name and data is None and recipe is None:
        what, data = None, what  # it needs data, and is what people call their folder
    if what is not None:
        is_recipe = isinstance(what, Recipe) or (isinstance(what, str) and what in RECIPES)
        if is_recipe and recipe is not None or not is_recipe and data is not None:
            kind = "recipe" if is_recipe else "data"
            raise InputError(f"the {kind} is given twice: {what!r:.60} first, and {kind}= again; give it once")
        recipe, data = (what, data) if is_recipe else (recipe, what)
    if config is not None:
        if recipe is not None:
            raise InputError("recipe and config both name the settings to start from: give one")
        recipe, data = _of_file(config, data)
    return recipe, None if data is None else _place(data, recipe, columns)


def _of_file(config: Any, data: Any) -> tuple[Any, Any]:
    """Recipe, or its name and settings, and the data that a file of settings names, unless others are given."""
    row, settings = configs.read(config)
    named = [each.partition("=")[2] for each in settings if each.startswith("dataset=")]
    rest = [each for each in settings if not each.startswith("dataset=")]
    return (row if isinstance(row, Recipe) else (row, rest)), data if data is not None else next(iter(named), None)


def _place(data: Any, recipe: Any, columns: Mapping[str, str] | None) -> Named:
    """Where data are that a program names or holds."""
    if isinstance(data, Named):
        return data
    if isinstance(data, str | os.PathLike):
        recipe = recipe[0] if isinstance(recipe, tuple) else recipe
        row = get_recipe(recipe) if isinstance(recipe, str) else recipe
        return locate(data, row.dataset if isinstance(row, Recipe) else None)
    if is_frame(data):
        data = load_dataset(data, columns=columns)
    if isinstance(data, Dataset):
        return Named(memory.register(data))
    if isinstance(data, tuple | list) and len(data) == 2:
        return Named(memory.register(memory.of_arrays(*data)))
    raise InputError(f"data: expected {_DATA}; received {type(data).__name__}")


def _given(values: Mapping[str, Any], settings: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """The settings that a call changes."""
    names = ("model", "epochs", "batch_size", "learning_rate", "image_size", "seed")
    if isinstance(settings, str):
        raise InputError(f"settings: expected a dict, or a list like ['epochs=3'], received the text {settings!r:.40}")
    more = [f"{key}={_text(value)}" for key, value in settings.items()] if isinstance(settings, Mapping) else settings
    return [*(f"{name}={values[name]}" for name in names if values[name] is not None), *more]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def by_recipe(
    row: str | Recipe,
    place: Named | None,
    given: Sequence[str],
    *,
    task: str | None = None,
    weights: Any = None,
    columns: Mapping[str, str] | None = None,
) -> Recipe:
    """A named recipe with what was given, for the task of the data.

    Args:
        row: recipe or its name.
        place: where the data are; None for those of the recipe.
        given: settings that are changed.
        task: row of `TASKS`; by default that of the data, or of the recipe.
        weights: weights to start from; `"none"` for random values.
        columns: a table's own names of columns by their meaning.

    Raises:
        InputError: unknown names, or data without what the task learns.
    """
    recipe = get_recipe(row) if isinstance(row, str) else row
    if place is not None and memory.is_name(place.name):
        columns = None  # they were read with them
    if task is not None or place is not None:
        recipe = for_task(recipe, task_for((place or Named(recipe.dataset)).name, columns, task, recipe.task))
    own = [f"dataset={place.name}"] if place else []
    if columns:
        own.append(f"columns={','.join(f'{key}={value}' for key, value in columns.items())}")
    if weights is not None:
        own.append(f"weights={'' if weights == 'none' else os.fspath(weights)}")
    return override(recipe, [*own, *given])


def decide(
    place: Named | None,
    given: Sequence[str],
    devices: strategies.Devices,
    started: float,
    *,
    say: Callable[[str], None],
    minutes: float | None = None,
    data_dir: str | os.PathLike | None = None,
    weights: Any = None,
    **how: Any,
) -> Recipe:
    """The recipe that `photos` becomes, said line by line.

    Args:
        place: where the data are.
        given: settings that are not decided.
        devices: devices of the run.
        started: `time.monotonic()` at the beginning.
        say: called with every decision.
        minutes: budget; None for none.
        data_dir: folder of a named source's files.
        weights: see `plan`.
        **how: task, offline, columns.
    """
    if place is not None and memory.is_name(place.name):
        how = {**how, "columns": None}  # they were read with them
    if place is None:
        raise InputError(f"expected a recipe or data: {_DATA}; recipes: {', '.join(RECIPES)}")
    place = Named(place.name, Path(data_dir)) if data_dir is not None else place
    text = None if weights is None else os.fspath(weights)
    recipe, decisions = plan(place, given, weights=text, say=say, **how)
    if minutes is not None:
        if not isinstance(minutes, int | float) or not 0 < minutes < math.inf:
            raise InputError(f"minutes={minutes!r}: expected a number above 0")
        if any(each.startswith("epochs=") for each in given):
            raise InputError("minutes and epochs both set the length: give one")
        length = within(recipe, minutes, place.folder, devices, started)
        recipe, decisions = _of_length(recipe, decisions, length, place, given, how)
    for each in decisions:
        say(str(each))
    return recipe


# Decisions that are others in a training of another length.
_OF_LENGTH = ("image size", "augmentation", "early stopping")


def _of_length(
    recipe: Recipe,
    decisions: Sequence[Decision],
    length: Decision,
    place: Named,
    given: Sequence[str],
    how: Mapping[str, Any],
) -> tuple[Recipe, list[Decision]]:
    """The recipe and its decisions, now that the length is known; the net and its weights stay."""
    again = [*given, f"model={recipe.model}", f"epochs={length.settings['epochs']}"]
    recipe, new = plan(place, again, weights=recipe.weights or "none", say=_silent, **how)
    changed = {each.what: each for each in new if each.what in _OF_LENGTH}
    return recipe, [*(changed.get(each.what, each) for each in decisions if each.what != "epochs"), length]


__all__ = ["Decision", "decide", "train"]
