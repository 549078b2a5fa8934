"""Checkpoints: everything that a run needs to go on as if it had never stopped.

A checkpoint is one safetensors file: the variables of the net, of the optimizer and of the metrics, and in its header
the position in the run, the callbacks' state and a checksum. It is written beside its name, brought to the disk and
renamed; the one before it is deleted after that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from keras_resnet import files, processes, untrusted
from keras_resnet.errors import GateError, InputError, Stopped

FOLDER = "checkpoints"
_PATTERN = "epoch-*-step-*.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Contents of a checkpoint file.

    Attributes:
        path: path of the file.
        epoch: epoch that the run was in, from 0.
        step: next batch of that epoch, from 0.
        state: state of the callbacks, `{name: {attribute: value}}`.
        tensors: arrays by variable name.
    """

    path: Path
    epoch: int
    step: int
    state: Mapping[str, Mapping[str, object]]
    tensors: Mapping[str, np.ndarray]


def _groups(model: keras.Model) -> dict[str, list[keras.Variable]]:
    return {"model": model.variables, "optimizer": model.optimizer.variables, "metrics": model.metrics_variables}


def _digest(tensors: Mapping[str, np.ndarray], facts: str) -> str:
    sha = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(tensors[name]).tobytes())
    return sha.hexdigest()


def write(folder: Path, model: keras.Model, epoch: int, step: int, state: Mapping[str, object]) -> Path:
    """Writes a checkpoint.

    Args:
        folder: folder of the run's checkpoints.
        model: compiled model.
        epoch: number of the epoch, from 0.
        step: next batch of that epoch, from 0.
        state: state of the callbacks, JSON types.

    Returns:
        Path of the file.

    Raises:
        InputError: the disk is full, or the folder cannot be written; older checkpoints are untouched.
        GateError: a weight is not finite.
    """
    if hasattr(model, "jax_state_sync"):  # JAX's `fit` keeps the values elsewhere
        model.jax_state_sync()
    tensors = {
        f"{group}/{number:05}": np.asarray(keras.ops.convert_to_numpy(variable))
        for group, variables in _groups(model).items()
        if group != "metrics" or step  # they start every epoch at zero
        for number, variable in enumerate(variables)
    }
    if not all(np.isfinite(value).all() for value in tensors.values() if value.dtype.kind == "f"):
        raise GateError(f"weights are not finite in epoch {epoch + 1}, step {step}: no checkpoint was written")
    facts = json.dumps({"epoch": epoch, "step": step, "state": state}, sort_keys=True)
    path = folder / f"epoch-{epoch:05}-step-{step:07}.safetensors"
    with files.writing(path, overwrite=True) as temporary:
        save_file(tensors, temporary, {"facts": facts, "sha256": _digest(tensors, facts)})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
    return path


def read(path: Path) -> Checkpoint:
    """Reads a checkpoint and compares its checksum.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
        facts = header["facts"]
        if header["sha256"] != _digest(tensors, facts):
            raise InputError(f"{path} is damaged: its checksum does not fit")
        position = untrusted.parse(facts)
        return Checkpoint(path, int(position["epoch"]), int(position["step"]), dict(position["state"]), tensors)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged: {error}") from error


def all_of(folder: Path) -> list[Path]:
    """A run's checkpoints, the oldest first."""
    return sorted(folder.glob(_PATTERN))


def newest(folder: Path) -> Checkpoint | None:
    """The last checkpoint that can be read; None where there is none. What is damaged is named on stderr.

    Raises:
        InputError: there are checkpoints, and all are damaged.
    """
    paths = all_of(folder)
    for path in reversed(paths):
        try:
            return read(path)
        except InputError as error:
            print(f"note: {error}; taking the one before it", file=sys.stderr)
    if paths:
        raise InputError(f"all {len(paths)} checkpoints in {folder} are damaged: start a new run")
    return None


def restore(model: keras.Model, checkpoint: Checkpoint, groups: tuple[str, ...]) -> None:
    """Gives a model's variables the values of a checkpoint.

    Args:
        model: compiled model, its optimizer and metrics built.
        checkpoint: checkpoint of a run of the same recipe.
        groups: some of `"model"`, `"optimizer"`, `"metrics"`.

    Raises:
        InputError: the checkpoint is of another net or another optimizer.
    """
    for group in groups:
        variables = _groups(model)[group]
        values = [checkpoint.tensors[name] for name in sorted(checkpoint.tensors) if name.startswith(f"{group}/")]
        if [tuple(v.shape) for v in variables] != [v.shape for v in values]:
            raise InputError(f"{checkpoint.path} is of another {group}: it has {len(values)} variables of other shapes")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


class Signals:
    """Notes SIGINT, SIGTERM and SIGHUP, so that a run can end between two steps; a second signal ends it at once.

    Attributes:
        received: the signal's number, None so far.
    """

    def __init__(self) -> None:
        """Nothing was received."""
        self.received: int | None = None

    def _note(self, number: int, frame: object) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        with contextlib.suppress(OSError):  # the terminal may be what has gone
            print("stopping after this step; once more to stop at once", file=sys.stderr)

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """While the block runs; only in the main thread, as Python allows no handlers in others."""
        return processes.handling(self._note, (signal.SIGINT, *processes.ENDING))


class Checkpoints(keras.callbacks.Callback):
    """Writes checkpoints at the end of every epoch and every few minutes, and stops the run when it is asked to.

    This must be the last callback: what the others do at the start of an epoch belongs to the epoch before.
    """

    def __init__(
        self,
        folder: Path,
        watched: Mapping[str, tuple[object, tuple[str, ...]]],
        signals: Signals,
        *,
        start: Checkpoint | None = None,
        minutes: float = 10.0,
        keep: int = 2,
        workers: int = 1,
        writes: bool = True,
    ):
        """Takes the run's parts.

        Args:
            folder: folder for the files.
            watched: objects with the names of their attributes to keep, which hold JSON types or tuples.
            signals: signals that end the run.
            start: checkpoint that the run goes on from; None at the beginning.
            minutes: minutes between checkpoints within an epoch.
            keep: number of files that stay.
            workers: number of workers; several write between epochs only, which all of them reach alike.
            writes: whether this worker writes the files.
        """
        super().__init__()
        self.folder, self.watched, self.signals, self.start = folder, watched, signals, start
        self.minutes, self.keep, self.workers, self.writes = minutes, keep, workers, writes
        self.last: Path | None = start.path if start else None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Restores the callbacks, after their own start."""
        self._time = time.monotonic()
        state = self.start.state if self.start else {}
        for name, (owner, attributes) in self.watched.items() if state else ():
            for attribute in attributes:
                value = state[name][attribute]
                setattr(owner, attribute, tuple(value) if isinstance(value, list) else value)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """The epoch before is complete; or the metrics of this one's first part come back."""
        self.epoch = epoch
        first = self.start.epoch if self.start else 0
        if epoch > first:
            self._write(epoch, 0)
        elif self.start and self.start.step:
            restore(self.model, self.start, ("metrics",))
        self._stop()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """`batch` is the last of those that one call executed."""
        step = batch + 1
        if self.start and self.epoch == self.start.epoch and step <= self.start.step:
            return  # done before the run was interrupted
        if self.workers > 1:
            self._stop()
        elif self.signals.received is not None:
            self._write(self.epoch, step)
            self._stop()
        elif time.monotonic() - self._time > 60 * self.minutes:
            self._write(self.epoch, step)

    def _stop(self) -> None:
        if self.signals.received is not None:
            raise Stopped(self.signals.received)

    def _write(self, epoch: int, step: int) -> None:
        if not self.writes:
            return
        state = {name: {a: getattr(owner, a) for a in attributes} for name, (owner, attributes) in self.watched.items()}
        self.last = write(self.folder, self.model, epoch, step, state)
        for path in all_of(self.folder)[: -self.keep]:
            path.unlink()
        self._time = time.monotonic()


def diverged(epoch: int, batch: int, rate: float) -> str:
    """Message about a training whose loss is no number any more.

    Args:
        epoch: number of the epoch, from 0.
        batch: number of the batch in the epoch, from 0.
        rate: learning rate.
    """
    where = f"epoch {epoch + 1}, step {batch + 1}, at learning rate {rate:.3g}"
    return f"the loss was not finite in {where}: lower learning_rate or raise warmup_epochs"


class Finite(keras.callbacks.Callback):
    """Ends a run whose loss is no number any more, and says where."""

    def __init__(self, checkpoints: Checkpoints):
        """Takes the callback that knows the last good state."""
        super().__init__()
        self.checkpoints = checkpoints

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Notes the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the loss.

        Raises:
            GateError: the loss is not finite.
        """
        if logs and not np.isfinite(logs.get("loss", 0.0)):
            rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
            good = self.checkpoints.last
            raise GateError(
                f"{diverged(self.epoch, batch, rate)}; "
                + (f"the last good checkpoint is {good}" if good else "there was no checkpoint yet")
            )
