"""Loggers of other projects, a row each: they get the recipe at the beginning and the metrics of every epoch.

Nothing leaves the machine unless the user's environment says where to: `wandb` logs into the run directory (change:
`WANDB_MODE`), `mlflow` into a file there (`MLFLOW_TRACKING_URI`), and what both report to their makers is off.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_resnet import extras
from keras_resnet.errors import unknown_name
from keras_resnet.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Logger:
    """One logger.

    Attributes:
        name: row's name.
        package: what must be installed.
        make: from the recipe and the run directory to a Keras callback; None for the one that every run has anyway.
    """

    name: str
    package: str
    make: Callable[[Recipe, Path], keras.callbacks.Callback] | None


class _Epochs(keras.callbacks.Callback):
    """Hands over the metrics of every epoch."""

    def __init__(self, log: Callable[[Mapping[str, float], int], object], end: Callable[[], object]):
        super().__init__()
        self._log, self._end = log, end

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._log({name: float(value) for name, value in (logs or {}).items()}, epoch + 1)

    def on_train_end(self, logs: dict | None = None) -> None:
        self._end()


def _wandb(recipe: Recipe, path: Path) -> keras.callbacks.Callback:
    os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    wandb: Any = extras.imported("wandb")
    started = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "keras-resnet"),
        name=path.name,
        dir=str(path),
        config=recipe.to_json(),
        settings=wandb.Settings(console="off", disable_git=True, x_disable_meta=True),
    )
    return _Epochs(lambda values, epoch: started.log({**values, "epoch": epoch}), started.finish)


def _mlflow(recipe: Recipe, path: Path) -> keras.callbacks.Callback:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow: Any = extras.imported("mlflow")
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(f"sqlite:///{(path / 'mlflow.db').resolve()}")
    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "keras-resnet"))
    mlflow.start_run(run_name=path.name)
    mlflow.log_params({key: str(value)[:250] for key, value in recipe.to_json().items()})
    return _Epochs(lambda values, epoch: mlflow.log_metrics(dict(values), step=epoch), mlflow.end_run)


LOGGERS: dict[str, Logger] = {
    row.name: row
    for row in (
        Logger(name="tensorboard", package="tensorboard", make=None),
        Logger(name="wandb", package="wandb", make=_wandb),
        Logger(name="mlflow", package="mlflow", make=_mlflow),
    )
}


def require(names: Sequence[str]) -> None:
    """Refuses loggers that do not exist or are not installed, before the work.

    Args:
        names: rows of `LOGGERS`.

    Raises:
        InputError: no such row, or its package is missing.
    """
    for name in names:
        if name not in LOGGERS:
            raise unknown_name("logger", name, LOGGERS)
        extras.require(LOGGERS[name].package, for_what=f"logger {name}")


def made(names: Sequence[str], recipe: Recipe, path: Path) -> list[keras.callbacks.Callback]:
    """The callbacks of some loggers.

    Args:
        names: rows of `LOGGERS`.
        recipe: recipe of the run.
        path: run directory.
    """
    rows = [LOGGERS[name] for name in dict.fromkeys(names)]
    return [row.make(recipe, path) for row in rows if row.make is not None]
