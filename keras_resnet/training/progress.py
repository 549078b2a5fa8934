"""Progress that a person sees: speed, the watched metric and the time that is left of the whole run.

Keras' own bar starts anew with every epoch and tells the time to its end only.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import keras


class Progress(keras.callbacks.Callback):
    """A bar for the run on a terminal, a line after every epoch everywhere."""

    def __init__(
        self,
        epochs: int,
        steps: int,
        batch_size: int,
        first: tuple[int, int] = (0, 0),
        live: bool | None = None,
        *,
        metric: str,
        plural: str,
    ):
        """Takes the size of the run.

        Args:
            epochs: number of epochs in all.
            steps: number of steps per epoch.
            batch_size: number of examples per step.
            first: epoch and step where a resumed run goes on.
            live: whether the bar is shown; by default where a terminal watches.
            metric: name of the metric that is shown beside the loss.
            plural: word for several examples, like `"images"`.
        """
        super().__init__()
        self.epochs, self.steps, self.batch_size, self.plural = epochs, steps, batch_size, plural
        self.metric, self.shown = metric, dict.fromkeys((metric, "loss", f"val_{metric}", "val_loss"))
        self.live = sys.stdout.isatty() if live is None else live
        self.epoch, self.first = first[0], first[0] * steps + first[1]
        self.done = self.first
        self._compiled: tuple[int, float] | None = None  # steps that were done, and when, after the first call
        self._bar: Any = None
        self._task: Any = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock and the bar."""
        self._start = time.monotonic()
        if not self.live:
            print("compiling the first step ...", flush=True)
            return
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(self.epochs)),
            BarColumn(),
            TextColumn("{task.percentage:.0f}%  {task.fields[state]}"),
            transient=True,
        )
        self._task = self._bar.add_task(
            "", total=self.epochs * self.steps, completed=self.done, epoch=self.epoch + 1, state="compiling"
        )
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Notes the time."""
        self.epoch, self._epoch_start = epoch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Moves the bar; `batch` is the last of those that one call executed."""
        self.done = max(self.first, self.epoch * self.steps + batch + 1)
        if self.done == self.first:
            return  # done before the run was interrupted
        if self._compiled is None:
            self._compiled = self.done, time.monotonic()
        if self._bar:
            metric = f"{self.metric} {logs[self.metric]:.4f}  " if logs and self.metric in logs else ""
            seconds = time.monotonic() - self._epoch_start
            steps = self.done - max(self.first, self.epoch * self.steps)
            left = f"{self._left()} left" if self.done > self._compiled[0] else ""
            state = f"{self.batch_size * steps / seconds:,.0f} {self.plural}/s  {metric}{left}"
            self._bar.update(self._task, completed=self.done, epoch=self.epoch + 1, state=state)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Prints the epoch's line."""
        seconds = time.monotonic() - self._epoch_start
        logs = logs or {}
        values = "  ".join(f"{name} {logs[name]:.4f}" for name in self.shown if name in logs)
        line = f"Epoch {epoch + 1}/{self.epochs}  {seconds:.0f} s  {values}"
        if epoch + 1 < self.epochs:
            line += f"  {self._left()} left"
        self._bar.console.print(line, highlight=False, soft_wrap=True) if self._bar else print(line, flush=True)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Takes the bar away."""
        self.close()

    def close(self) -> None:
        """Takes the bar away when the run ends early."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _left(self) -> str:
        """Time that is left at the average rate so far, with validation; without compilation, where more was done."""
        done, since = self._compiled or (self.first, self._start)
        if self.done <= done:
            done, since = self.first, self._start
        seconds = (time.monotonic() - since) / max(self.done - done, 1) * (self.epochs * self.steps - self.done)
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
