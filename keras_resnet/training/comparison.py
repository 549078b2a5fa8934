"""Runs side by side: `keras-resnet report RUN...`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet import files, pictures, untrusted
from keras_resnet.errors import InputError
from keras_resnet.page import render, table
from keras_resnet.training import run
from keras_resnet.training.recipe import ADDED, DESCRIPTION, renamed
from keras_resnet.training.result import validation_in

COLUMNS = ("run", "model", "data", "epochs", "best epoch", "validation", "seconds", "images/s", "waiting", "precision")
_BEFORE = {key: value for added in ADDED.values() for key, value in added.items()}  # in files older than a setting


@dataclass(frozen=True)
class Run:
    """Contents of a run directory.

    Attributes:
        name: shortest path that tells it from the others.
        recipe: fields of recipe.json.
        environment: fields of environment.json.
        metrics: columns of metrics.csv, one value per epoch; empty if none was finished.
        result: fields of result.json; empty while the run goes on or where it broke off.
        watched: the watched metric.
    """

    name: str
    recipe: dict[str, object]
    environment: dict[str, Any]
    metrics: dict[str, list[float]]
    result: dict[str, Any]
    watched: run.Watched

    @property
    def task(self) -> object:
        """Name of the task."""
        return {**_BEFORE, **self.recipe}["task"]

    def best(self) -> float | None:
        """The watched metric of the best epoch; None where nothing was validated."""
        best = validation_in(self.result, self.watched.watch)
        if best is not None:
            return best
        choose = max if self.watched.larger_is_better else min
        return choose(self.metrics.get(f"val_{self.watched.watch}", ()), default=None)

    def check(self) -> None:
        """Refuses what cannot be shown: the files of a run may be a stranger's.

        Raises:
            ValueError, TypeError, AttributeError: a value of another type than its kind.
        """
        numbers = [self.result[key] for key in ("seconds", "images_per_second", "waiting_share") if key in self.result]
        numbers += [value for value in (self.best(), self.result.get("best_epoch")) if value is not None]
        if not all(isinstance(value, int | float) for value in numbers):
            raise TypeError(f"expected numbers, received {numbers!r:.80}")
        if self.metrics and "epoch" not in self.metrics:
            raise ValueError("metrics.csv has no column epoch")
        if not isinstance(self.task, str):
            raise TypeError(f"task={self.task!r:.80}, expected a name")
        dict(self.environment.get("packages", {})).items()
        self.cells()

    def cells(self, *, named: bool = False) -> list[object]:
        """The figures in the order of `COLUMNS`.

        Args:
            named: put the metric's name before its value, as is always done where its chart bears that name.
        """
        best, prefix = self.best(), f"{self.watched.watch} " if named or not self.watched.as_error else ""

        def figure(key: str, form: str) -> str | None:
            return format(self.result[key], form) if key in self.result else None

        return [
            self.name,
            self.recipe.get("model"),
            self.recipe.get("dataset"),
            f"{len(self.metrics.get('loss', ()))} of {self.recipe.get('epochs')}",
            self.result.get("best_epoch"),
            None if best is None else prefix + self.watched.text(best),
            figure("seconds", ",.0f"),
            figure("images_per_second", ",.0f"),
            figure("waiting_share", ".1%"),
            self.result.get("precision"),
        ]


def read(directories: Sequence[Path]) -> list[Run]:
    """Reads run directories.

    Raises:
        InputError: one is none, or its files are damaged.
    """
    names = [path.name if len({p.name for p in directories}) == len(directories) else str(path) for path in directories]
    return [_read(path, name) for path, name in zip(directories, names, strict=True)]


def _read(path: Path, name: str) -> Run:
    if not (path / run.RECIPE).is_file():
        raise InputError(f"{path} is no run directory: it has no {run.RECIPE}")
    try:
        recipe, environment, result = (
            untrusted.read_object(path / file) if (path / file).is_file() else {}
            for file in (run.RECIPE, run.ENVIRONMENT, run.RESULT)
        )
        metrics = run.read_metrics(path / run.METRICS) if (path / run.METRICS).is_file() else {}
        watched = run.watched_in(environment)
        recipe = renamed(recipe, int(recipe.get("version", 1)))
        found = Run(name, recipe, environment, metrics, result, watched)
        found.check()
        return found
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        raise InputError(f"{path}: its files are damaged ({error})") from error


def rows(runs: Sequence[Run]) -> list[list[object]]:
    """The figures of all runs, in the order of `COLUMNS`."""
    named = len({each.watched.watch for each in runs}) > 1
    return [each.cells(named=named) for each in runs]


def differing_settings(runs: Sequence[Run]) -> dict[str, list[object]]:
    """Settings of the recipes that are not the same in all runs, with their values."""
    recipes = [{**_BEFORE, **each.recipe} for each in runs]
    names = dict.fromkeys(name for each in recipes for name in each)  # in the order of the files, the first one first
    keys = [key for key in names if key not in (*DESCRIPTION, "version")]
    values = {key: [each.get(key) for each in recipes] for key in keys}
    return {key: found for key, found in values.items() if any(value != found[0] for value in found)}


def write_html(runs: Sequence[Run], path: Path, *, overwrite: bool = False) -> None:
    """Writes a page with the table of results, the curves, what differs, and the commands and machines.

    Args:
        runs: runs that were read.
        path: file of the page.
        overwrite: replace an existing file.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    different = differing_settings(runs)
    header, settings = ("setting", *(each.name for each in runs)), [(key, *found) for key, found in different.items()]
    text = render(
        "keras_resnet/comparison.html",
        title="Training report",
        results=table("Results", COLUMNS, rows(runs)),
        curves=_curves(runs),
        different=table("Settings that differ", header, settings) if settings else "",
        origins=[(each.name, _origin(each)) for each in runs],
    )
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _origin(each: Run) -> dict[str, object]:
    environment = each.environment
    return {
        "command": each.recipe.get("command"),
        "seed": environment.get("seed"),
        "commit": environment.get("git_commit"),
        "date": environment.get("date"),
        "processor": f"{environment.get('processor')}, {environment.get('cores')} cores",
        "packages": ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items()),
    }


def _colour(number: int) -> str:
    return pictures.COLOURS[number % len(pictures.COLOURS)]


@dataclass(frozen=True)
class _Panel:
    """One chart of the page: one metric of the runs that have it.

    Attributes:
        title: words above the chart.
        metric: column of metrics.csv.
        as_error: whether 1 - value is shown, in per cent.
        is_log: scale of the axis.
    """

    title: str
    metric: str
    as_error: bool = False
    is_log: bool = True

    def values(self, each: Run, key: str) -> list[float]:
        """The values of a column as they are drawn."""
        return [100 * (1 - value) for value in each.metrics[key]] if self.as_error else each.metrics[key]


def _panels(runs: Sequence[Run]) -> dict[_Panel, list[int]]:
    """The charts with the numbers of their runs: a loss for every task, then every watched metric."""
    several = len({each.task for each in runs}) > 1
    errors = {each.watched.watch for each in runs if each.watched.as_error}
    panels: dict[_Panel, list[int]] = {}
    for number, each in enumerate(runs):
        panels.setdefault(_Panel(f"Loss ({each.task})" if several else "Loss", "loss"), []).append(number)
    for number, each in enumerate(runs):
        name, as_error = each.watched.watch, each.watched.as_error
        if name != "loss":
            title = name.capitalize() if not as_error else f"Error ({name})" if len(errors) > 1 else "Error"
            panel = _Panel(title, name, as_error, as_error or not each.watched.larger_is_better)
            panels.setdefault(panel, []).append(number)
    return panels


def _scale(axes, panel: _Panel) -> None:
    """A logarithmic axis where the panel has one; below the least value above 0 a linear part, for an error of 0."""
    if not panel.is_log:
        return
    values = [float(value) for line in axes.lines for value in line.get_ydata()]
    above = [value for value in values if value > 0]
    if len(above) == len(values) or not above:
        axes.set_yscale("log" if above else "linear")
        return
    axes.set_yscale("symlog", linthresh=min(above), linscale=0.3)
    axes.set_ylim(bottom=0)


def _curves(runs: Sequence[Run]) -> str:
    """Losses and watched metrics over the epochs: training dashed, validation solid, a colour per run."""
    panels = _panels(runs)
    figure = pictures.figure(5.5 * len(panels), 4.2)
    for axes, (panel, numbers) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for number in numbers:
            each = runs[number]
            for key, style in ((panel.metric, "--"), (f"val_{panel.metric}", "-")):
                if key in each.metrics:
                    epochs = [epoch + 1 for epoch in each.metrics["epoch"]]
                    axes.plot(epochs, panel.values(each, key), style, color=_colour(number), linewidth=1.4)
        axes.set(title=panel.title, xlabel="epoch", ylabel="%" if panel.as_error else "")
        _scale(axes, panel)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3, which="both")
    lines = [axes.plot([], [], color=_colour(number), label=each.name)[0] for number, each in enumerate(runs)]
    lines += [axes.plot([], [], style, color="#555", label=label)[0] for style, label in _STYLES]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(4, len(lines)), frameon=False)
    shown = " and ".join(panel.title for panel in panels).capitalize()
    return pictures.svg(figure, f"{shown} over the epochs of each run; metrics.csv of the run has the numbers.")


_STYLES = (("--", "training (augmented)"), ("-", "validation"))
