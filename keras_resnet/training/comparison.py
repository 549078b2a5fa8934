"""Runs side by side: `python -m keras_resnet report RUN...`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet import files, pictures
from keras_resnet.errors import InputError
from keras_resnet.page import render, table
from keras_resnet.training import run
from keras_resnet.training.recipe import ADDED, DESCRIPTION
from keras_resnet.training.result import validation_of

COLUMNS = ("run", "model", "data", "epochs", "best epoch", "validation", "seconds", "images/s", "waiting", "precision")


@dataclass(frozen=True)
class Run:
    """Contents of a run directory.

    Attributes:
        name: shortest path that tells it from the others.
        recipe: fields of recipe.json.
        environment: fields of environment.json.
        metrics: columns of metrics.csv, one value per epoch; empty if none was finished.
        result: fields of result.json; empty while the run goes on or where it broke off.
    """

    name: str
    recipe: dict[str, object]
    environment: dict[str, Any]
    metrics: dict[str, list[float]]
    result: dict[str, object]

    def cells(self) -> list[object]:
        """The figures in the order of `COLUMNS`."""
        metric, best = validation_of(dict(self.result)) if self.result else (run.metric_of(self.metrics), None)
        if best is None:
            best = max(self.metrics.get(f"val_{metric}", ()), default=None)

        def figure(key: str, form: str) -> str | None:
            return format(self.result[key], form) if key in self.result else None

        return [
            self.name,
            self.recipe.get("model"),
            self.recipe.get("dataset"),
            f"{len(self.metrics.get('loss', ()))} of {self.recipe.get('epochs')}",
            self.result.get("best_epoch"),
            None if best is None else f"{best:.2%}" if metric == "accuracy" else f"{metric} {best:.4g}",
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
            json.loads((path / file).read_text(encoding="utf-8")) if (path / file).is_file() else {}
            for file in (run.RECIPE, run.ENVIRONMENT, run.RESULT)
        )
        metrics = run.read_metrics(path / run.METRICS) if (path / run.METRICS).is_file() else {}
        return Run(name, dict(recipe), dict(environment), metrics, dict(result))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: its files are damaged ({error})") from error


def differing_settings(runs: Sequence[Run]) -> dict[str, list[object]]:
    """Settings of the recipes that are not the same in all runs, with their values."""
    before = {key: value for added in ADDED.values() for key, value in added.items()}  # in files older than a setting
    recipes = [{**before, **each.recipe} for each in runs]
    keys = [key for key in recipes[0] if key not in (*DESCRIPTION, "version")]
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
    header, rows = ("setting", *(each.name for each in runs)), [(key, *values) for key, values in different.items()]
    text = render(
        "keras_resnet/comparison.html",
        title="Training report",
        results=table("Results", COLUMNS, [each.cells() for each in runs]),
        curves=_curves(runs),
        different=table("Settings that differ", header, rows) if rows else "",
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


def _curves(runs: Sequence[Run]) -> str:
    """Loss and error, or another metric, over the epochs: training dashed, validation solid, a colour per run."""
    figure = pictures.figure(11, 4.2)
    beside = run.metric_of([name for each in runs for name in each.metrics])
    second = "Error" if beside == "accuracy" else beside.capitalize()
    for axes, metric, title in zip(figure.subplots(1, 2), ("loss", beside), ("Loss", second), strict=True):
        for number, each in enumerate(runs):
            for key, style in ((metric, "--"), (f"val_{metric}", "-")):
                if key in each.metrics:
                    own = each.metrics[key]
                    values = [100 * (1 - v) for v in own] if metric == "accuracy" else own
                    epochs = [epoch + 1 for epoch in each.metrics["epoch"]]
                    axes.plot(
                        epochs, values, style, color=pictures.COLOURS[number % len(pictures.COLOURS)], linewidth=1.4
                    )
        axes.set(title=title, xlabel="epoch", ylabel="%" if metric == "accuracy" else "", yscale="log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3, which="both")
    lines = [
        axes.plot([], [], color=pictures.COLOURS[n % len(pictures.COLOURS)], label=each.name)[0]
        for n, each in enumerate(runs)
    ]
    lines += [axes.plot([], [], style, color="#555", label=label)[0] for style, label in _STYLES]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(4, len(lines)), frameon=False)
    return pictures.svg(figure, "Loss and error over the epochs of each run; metrics.csv of the run has the numbers.")


_STYLES = (("--", "training (augmented)"), ("-", "validation"))
