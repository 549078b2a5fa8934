"""The run directory: model.keras, recipe.json, metrics.csv, curves.png, environment.json, result.json, tensorboard/."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet import extras, files, machine, processes, untrusted
from keras_resnet.errors import InputError
from keras_resnet.training import recipes
from keras_resnet.training.recipe import DESCRIPTION
from keras_resnet.training.recipes import Recipe

if TYPE_CHECKING:
    from keras_resnet.tasks import Objectives

RUNS = Path("runs")
MODEL, RECIPE, METRICS, CURVES, ENVIRONMENT, RESULT = (
    "model.keras",
    "recipe.json",
    "metrics.csv",
    "curves.png",
    "environment.json",
    "result.json",
)
TENSORBOARD = "tensorboard"  # a folder
_PACKAGES = ("keras-resnet-toolkit", "keras", "tensorflow", "numpy")
_WATCHED, _DETERMINISTIC = "watched", "deterministic"  # keys in environment.json
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"  # to XLA: the same sums in the same order every time
_FORM = re.compile(r"\{:,?(\.\d{1,2})?[efg%]\}[^{}]{0,12}")  # a run may be a stranger's: no wide fields, no attributes


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The watched metric of a run, as environment.json has it; the defaults are that of runs older than the entry.

    Attributes:
        watch: name of the metric, without `val_`.
        larger_is_better: direction of the metric.
        form: format of the value, like `"{:.2%}"` or `"{:.1f} dB"`.
        as_error: whether charts show 1 - value, in per cent.
    """

    watch: str = "accuracy"
    larger_is_better: bool = True
    form: str = "{:.2%}"
    as_error: bool = True

    def __post_init__(self) -> None:
        """Refuses what is no name or no plain format of a number.

        Raises:
            ValueError: a field is damaged.
        """
        if not (isinstance(self.watch, str) and isinstance(self.form, str) and _FORM.fullmatch(self.form)):
            found = f"{self.watch!r:.80} and {self.form!r:.80}"
            raise ValueError(f"watched: expected a name and a form like {{:.2%}}, received {found}")
        if not (isinstance(self.larger_is_better, bool) and isinstance(self.as_error, bool)):
            found = f"{self.larger_is_better!r:.80} and {self.as_error!r:.80}"
            raise ValueError(f"watched: larger_is_better and as_error are true or false, received {found}")

    def text(self, value: float) -> str:
        """The value as people read it."""
        return self.form.format(value)


def default(recipe: Recipe) -> Path:
    """The directory of a run that was given none: `runs/RECIPE-DATE-TIME`."""
    return RUNS / f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def create(recipe: Recipe, path: Path) -> None:
    """Makes an empty run directory, with recipe and environment.

    Raises:
        InputError: the directory holds a run already, or cannot be made.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} exists and is not empty: choose another -o RUN, or --resume it")
    for name, text in ((RECIPE, recipe.dumps()), (ENVIRONMENT, json.dumps(environment(recipe.seed), indent=2))):
        with files.writing(path / name) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def is_one(path: Path) -> bool:
    """True where a directory holds anything, so that a run there is resumed, not begun."""
    return path.is_dir() and any(path.iterdir())


def reopen(recipe: Recipe | None, path: Path) -> Recipe:
    """Opens the directory of a run to go on with it.

    Args:
        recipe: recipe that the run must have, but for its description, given by who holds the directory: what a killed
            write left is removed; None for any.
        path: the run directory.

    Returns:
        The run's recipe.

    Raises:
        InputError: no run directory, or one of another recipe: the differences are listed.
    """
    if not (path / RECIPE).is_file():
        raise InputError(f"{path} has no {RECIPE}: expected the directory of a run to resume")
    known = recipes.loads(untrusted.content(path / RECIPE), str(path / RECIPE))
    if recipe is not None:
        there, here = ({k: v for k, v in r.to_json().items() if k not in DESCRIPTION} for r in (known, recipe))
        if there != here:
            differing = [key for key in here if there[key] != here[key]]
            apart = "; ".join(f"{key} is {there[key]} there, {here[key]} here" for key in differing)
            raise InputError(f"{path} is a run of another recipe: {apart}")
        for leftover in [*path.glob(".*.partial*"), *path.glob("*/.*.partial*")]:  # of a write that was killed
            leftover.unlink()
    return known


def cut_metrics(path: Path, epochs: int) -> None:
    """Takes the rows of later epochs out of metrics.csv, and one that was half written."""
    if not path.exists():
        return
    header, *rows = path.read_text(encoding="utf-8").splitlines() or [""]
    first = header.split(",").index("epoch") if "epoch" in header.split(",") else 0

    def is_kept(row: str) -> bool:
        cells = row.split(",")
        return len(cells) == len(header.split(",")) and cells[first].isdigit() and int(cells[first]) < epochs

    with files.writing(path, overwrite=True) as temporary:
        lines = [header, *filter(is_kept, rows)]
        temporary.write_bytes("".join(f"{line}\r\n" for line in lines).encode())  # as Keras' logger ends them
    if not any(map(is_kept, rows)):
        path.unlink()  # Keras' logger writes the header again


def versions() -> dict[str, str]:
    """Versions of the packages that a run's result depends on, by name."""
    import keras  # late: commands look into run directories before TensorFlow is quiet

    backend = () if keras.backend.backend() == "tensorflow" else (keras.backend.backend(),)
    return {name: version or "unknown" for name, version in extras.versions((*_PACKAGES, *backend)).items()}


def environment(seed: int | None) -> dict[str, object]:
    """Versions, commit, machine and seed, for environment.json."""
    import keras

    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "packages": versions(),
        "backend": keras.backend.backend(),
        "git_commit": _git_commit(),
        "platform": platform.platform(),
        "processor": machine.processor(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "cores": os.cpu_count(),
        "seed": seed,
        _DETERMINISTIC: DETERMINISTIC in os.environ.get("XLA_FLAGS", ""),
    }


def was_deterministic(path: Path) -> bool:
    """Whether a run was begun with `--deterministic`.

    Args:
        path: run directory, or where one will be.

    Raises:
        InputError: environment.json is damaged.
    """
    return _known_environment(path).get(_DETERMINISTIC) is True


def note_watched(path: Path, objectives: Objectives) -> None:
    """Writes into environment.json which metric a run watches.

    Args:
        path: run directory.
        objectives: objectives of the task.
    """
    known = _known_environment(path)
    noted = Watched(**{field.name: getattr(objectives, field.name) for field in fields(Watched)})
    if known.get(_WATCHED) != asdict(noted):
        with files.writing(path / ENVIRONMENT, overwrite=True) as temporary:
            temporary.write_text(json.dumps({**known, _WATCHED: asdict(noted)}, indent=2) + "\n", encoding="utf-8")


def watched_in(environment: dict[str, Any]) -> Watched:
    """The watched metric in the contents of an environment.json.

    Raises:
        ValueError, TypeError: the entry is damaged.
    """
    noted = environment.get(_WATCHED, {})
    if not isinstance(noted, dict):
        raise TypeError(f"{_WATCHED}={noted!r:.80}, expected an object")
    return Watched(**{field.name: noted[field.name] for field in fields(Watched) if field.name in noted})


def read_watched(path: Path) -> Watched:
    """The watched metric of a run.

    Args:
        path: run directory.

    Raises:
        InputError: environment.json is damaged.
    """
    known = _known_environment(path)
    try:
        return watched_in(known)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path / ENVIRONMENT} is damaged ({error})") from error


def _known_environment(path: Path) -> dict[str, Any]:
    """The contents of environment.json; empty where a run was killed before it was written.

    Raises:
        InputError: the file is damaged.
    """
    if not (path / ENVIRONMENT).is_file():
        return {}
    try:
        return untrusted.read_object(path / ENVIRONMENT)
    except ValueError as error:
        raise InputError(f"{path / ENVIRONMENT} is damaged ({error})") from error


def _git_commit() -> str | None:
    """The commit of this source tree, with `+changes` where it was modified; None outside a checkout."""
    here = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        ended = processes.run(["git", "-C", here, *arguments], seconds=10)
        if ended.status:
            raise OSError(ended.last_words())
        return ended.out.strip()

    try:
        if not Path(git("rev-parse", "--show-toplevel"), here.name).samefile(here):
            return None  # installed inside somebody else's repository
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except OSError:  # no git, no checkout, no answer in time
        return None


def newest(root: Path = RUNS) -> Path | None:
    """The model of the newest run below `root` that has one."""
    models = sorted(root.glob(f"*/{MODEL}"), key=lambda path: path.stat().st_mtime) if root.is_dir() else []
    return models[-1] if models else None


def read_metrics(path: Path) -> dict[str, list[float]]:
    """The columns of a metrics.csv."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Keras' CSVLogger writes columns of NA where nothing was validated.
    known = [key for key in (rows[0] if rows else ()) if any(row[key] != "NA" for row in rows)]
    return {key: [float(row[key]) for row in rows] for key in known}


def draw_curves(run_dir: Path) -> None:
    """Draws loss and watched metric over the epochs of metrics.csv into curves.png."""
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    columns, watched = read_metrics(run_dir / METRICS), read_watched(run_dir)
    panels = [name for name in dict.fromkeys(("loss", watched.watch)) if name in columns]
    if not panels:
        return
    figure = Figure(figsize=(4.5 * len(panels), 3.6), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        epochs = [epoch + 1 for epoch in columns["epoch"]]
        axes.plot(epochs, columns[metric], label="training (augmented)", color="#1f77b4", marker=".")
        if f"val_{metric}" in columns:
            axes.plot(epochs, columns[f"val_{metric}"], label="validation", color="#d95f02", marker=".")
        axes.set(title=metric.capitalize(), xlabel="epoch", yscale="log" if metric == "loss" else "linear")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        rises = watched.larger_is_better and metric != "loss"
        axes.legend(loc="lower right" if rises else "upper right")
    with files.writing(run_dir / CURVES, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=120)
