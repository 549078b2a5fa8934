"""The table of trainers of compressed nets: a trainer is a row, and two functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keras_resnet import extras
from keras_resnet.errors import unknown_name


@dataclass(frozen=True)
class Trainer:
    """A back end that trains compressed nets.

    Attributes:
        name: value of `--engine`.
        ask: raises InputError where a package is not installed; before TensorFlow is imported.
        refuse: `(source, settings, recipe, devices)`; raises InputError for what this trainer cannot do.
        train: `(source, settings, recipe, folder, *, teacher, answers, data_dir, resume, devices, say)`; writes
            `folder/model.keras` and returns the seconds of the training.
    """

    name: str
    ask: Callable[[], None]
    refuse: Callable
    train: Callable


def _refuse_native(source, settings, recipe, devices) -> None:
    from keras_resnet.compression import methods

    methods.refuse(source.model, settings)


def _train_native(source, settings, recipe, folder: Path, *, teacher, answers, data_dir, resume, devices, say) -> float:
    from keras_resnet.compression.nets import Compressed
    from keras_resnet.training import train

    if settings.channels:
        say("choosing channels, and fitting the kernels behind them (a minute)")
    nets = Compressed(source.model, source.card, settings, teacher, answers)
    # An interrupted call may have stopped before the run began.
    result = train(recipe, nets=nets, data_dir=data_dir, run_dir=folder, resume=resume, strategy=devices)
    if result.interrupted:
        raise KeyboardInterrupt
    return result.seconds


def _ask_native() -> None:
    """Keras is there."""


def _ask_tfmot() -> None:
    extras.require("tensorflow_model_optimization", for_what="engine tfmot (--engine native needs no extra)")


def _refuse_tfmot(source, settings, recipe, devices) -> None:
    _ask_tfmot()
    from export.smaller import tfmot

    tfmot.refuse(source, settings, recipe, devices)


def _train_tfmot(source, settings, recipe, folder: Path, *, teacher, answers, data_dir, resume, devices, say) -> float:
    from export.smaller import tfmot

    how = {"teacher": teacher, "answers": answers, "data_dir": data_dir, "say": say}
    return tfmot.train(source, settings, recipe, folder, **how)


TRAINERS: dict[str, Trainer] = {
    row.name: row
    for row in (
        Trainer("native", _ask_native, _refuse_native, _train_native),
        Trainer("tfmot", _ask_tfmot, _refuse_tfmot, _train_tfmot),
    )
}


def get_trainer(name: str) -> Trainer:
    """The row of that name.

    Raises:
        InputError: there is none.
    """
    if name not in TRAINERS:
        raise unknown_name("engine", name, TRAINERS)
    return TRAINERS[name]
