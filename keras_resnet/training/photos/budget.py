"""A budget of minutes, timed on the first steps and turned into epochs."""

from __future__ import annotations

import time
from pathlib import Path

import keras

from keras_resnet.errors import InputError
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.training import feeding, loop, precision
from keras_resnet.training import inputs as inputs_lib
from keras_resnet.training.nets import FromRecipe
from keras_resnet.training.photos.decisions import Decision
from keras_resnet.training.recipes import Recipe
from keras_resnet.training.strategy import Devices

_WARM, _STEPS, _SECONDS = 3, 20, 6.0  # steps that are not timed; most steps and seconds that are
_MARGIN = 0.95  # of the budget: an epoch's length varies, and a run ends with figures and curves
_MOST = 400  # epochs: more than that teach nothing new


def within(recipe: Recipe, minutes: float, data_dir: Path | None, devices: Devices, started: float) -> Decision:
    """Turns minutes into epochs: the recipe holds them as a number, so that a resumed run is the same run.

    Args:
        recipe: recipe in numbers but for its length.
        minutes: wall time of the whole command.
        data_dir: folder of a named source's files.
        devices: devices of the run.
        started: `time.monotonic()` at the beginning of the command.

    Returns:
        The decision, with the setting `epochs`.

    Raises:
        InputError: not one epoch fits.
    """
    if devices.workers or devices.replicas > 1:
        raise InputError("--minutes times the steps of one device: with several pass --epochs N")
    epoch, start = seconds(recipe, data_dir, devices)
    left = minutes * 60 * _MARGIN - (time.monotonic() - started) - start
    epochs = min(_MOST, int(left / epoch))
    if epochs < 1:
        need = (epoch + minutes * 60 - left) / 60
        raise InputError(
            f"--minutes {minutes:g}: an epoch takes {epoch:.1f} s here, and the start some more: expected "
            f"at least {need / _MARGIN:.1f}; or use a smaller --image-size, --model, or --set subset=N"
        )
    reason = f"{minutes:g} minutes, and an epoch takes {epoch:.1f} s here"
    option = "--minutes N or --epochs N"
    return Decision(what="epochs", value=str(epochs), reason=reason, option=option, settings={"epochs": epochs})


def seconds(recipe: Recipe, data_dir: Path | None, devices: Devices) -> tuple[float, float]:
    """Seconds of an epoch with its validation, and of what comes before the first one again in the run itself.

    Args:
        recipe: recipe of the run.
        data_dir: folder of a named source's files.
        devices: devices of the run.
    """
    nets, began = FromRecipe(), time.monotonic()
    inputs = inputs_lib.load(recipe, nets, data_dir)
    keras.utils.set_random_seed(recipe.seed)
    made = nets.make(recipe, inputs.dataset, precision.resolve(recipe.precision), devices)
    loop.compiled(made, recipe, inputs, devices)
    preprocess = PREPROCESS[recipe.preprocess]
    batches = feeding.pairs(recipe, inputs, preprocess, made, devices)
    for _ in range(_WARM):
        made.model.train_on_batch(*next(batches))
    start, tick, steps = time.monotonic() - began, time.monotonic(), 0
    while steps < _STEPS and (steps < 2 or time.monotonic() - tick < _SECONDS):
        made.model.train_on_batch(*next(batches))
        steps += 1
    step = (time.monotonic() - tick) / steps
    # A forward pass without decoding again is about a quarter of a step.
    validation = len(inputs.dataset.validation) / recipe.batch_size * step * 0.3 if recipe.hold_out else 0.0
    keras.backend.clear_session()
    return inputs.steps * step + validation, start
