"""Cross-validation of a recipe: every example is judged by a net that has not seen it."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from keras_resnet import files
from keras_resnet.data import Dataset, Split, load_dataset, memory
from keras_resnet.data.dataset import end_to_end, joined
from keras_resnet.data.parts import complete
from keras_resnet.data.truth import strata
from keras_resnet.errors import InputError
from keras_resnet.evaluation.running import collected, image_shape
from keras_resnet.evaluation.shown import name_of, pictured
from keras_resnet.page import render, table
from keras_resnet.runtime.opening import open_named
from keras_resnet.tasks import Task, get_task
from keras_resnet.training.loop import train
from keras_resnet.training.recipes import Recipe
from keras_resnet.training.result import Result

_SEED = 2015
_PICTURES, _LINES = 24, 200  # suspects on a page


@dataclass(frozen=True)
class Folds:
    """Result of a cross-validation.

    Attributes:
        task: task of the nets.
        values: headline score of every fold, as fractions.
        runs: run directories.
        whole: all examples, in the order of the positions of `suspects`.
        suspects: labels that are probably wrong, worst first; empty where the task cannot tell.
        names: name of each suspect.
    """

    task: Task
    values: tuple[float, ...]
    runs: tuple[Path, ...]
    whole: Split
    suspects: tuple[Any, ...]
    names: tuple[str, ...]

    @property
    def mean(self) -> float:
        """Mean of the scores."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float:
        """Standard deviation of the scores (of a sample: divided by one less than their number)."""
        return statistics.stdev(self.values)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return {
            "score": self.task.score.key,
            "examples": len(self.whole),
            "values": list(self.values),
            "mean": self.mean,
            "deviation": self.deviation,
            "runs": list(map(str, self.runs)),
            "suspected_labels": [
                {"example": name, **asdict(each)} for name, each in zip(self.names, self.suspects, strict=True)
            ],
        }

    def rows(self) -> list[tuple[str, str | None]]:
        """Figures for a table: each fold, mean, deviation."""
        text = self.task.score.text
        each = [(f"fold {number}", text(value)) for number, value in enumerate(self.values, 1)]
        return [*each, ("mean", text(self.mean)), ("standard deviation", text(self.deviation))]

    def suspect_rows(self) -> list[tuple[str, str, str, str, str]]:
        """Suspected labels for a table: example, its label, that class's probability, the other class, its own."""
        return [
            (name, each.given, f"{each.probability:.1%}", each.other, f"{each.other_probability:.1%}")
            for name, each in zip(self.names, self.suspects, strict=True)
        ]


SUSPECTS = ("example", "label", "probability", "rather", "probability of that")


def divided(split: Split, count: int) -> list[np.ndarray]:
    """Positions of the examples that each fold is tested on: seeded, every class in proportion.

    Args:
        split: all examples.
        count: number of folds.

    Raises:
        InputError: fewer than two folds, or a class with fewer examples than folds.
    """
    if not 2 <= count <= len(split):
        raise InputError(f"--folds {count}: expected a number from 2 to that of the examples, {len(split):,}")
    classes = strata(split.truth)
    if classes is None:
        parts = KFold(count, shuffle=True, random_state=_SEED).split(np.zeros(len(split)))
    else:
        numbers, sizes = np.unique(classes, return_counts=True)
        if sizes.min() < count:
            raise InputError(
                f"--folds {count}: class {numbers[sizes.argmin()]} has {sizes.min()} examples: expected at least "
                "as many as folds in every class"
            )
        parts = StratifiedKFold(count, shuffle=True, random_state=_SEED).split(np.zeros(len(split)), classes)
    return [np.sort(tested) for _, tested in parts]


def cross_validate(recipe: Recipe, dataset: Dataset, count: int, folder: Path, *, verbose: bool = True) -> Folds:
    """Trains a recipe once for every fold, and tests each net on the examples that it has not seen.

    Args:
        recipe: recipe of the trainings; its data are replaced.
        dataset: data, all parts of which are used.
        count: number of folds.
        folder: folder of the runs, `fold-1` and so on; runs of an earlier call with the same arguments are taken.
        verbose: whether the trainings show their progress.

    Raises:
        InputError: too few examples; see `training.loop.train`.
        KeyboardInterrupt: Ctrl-C; the same call goes on.
    """
    whole = joined(joined(dataset.train, dataset.validation), dataset.test)
    tested = divided(whole, count)
    known = f"{_fingerprint(dataset, whole)}-{count}"
    names = [memory.register(_fold(dataset, whole, each), f"{known}-{n}") for n, each in enumerate(tested, 1)]
    files.check_folder(folder)
    task = get_task(recipe.task)
    values: list[float] = []
    runs: list[Path] = []
    outputs: list[dict[str, np.ndarray]] = []
    for number, name in enumerate(names, 1):
        if verbose:
            print(f"fold {number} of {count}", flush=True)
        result = _trained(
            replace(recipe, dataset=name, columns="", void="", reduce_zero_label=False),
            folder / f"fold-{number}",
            verbose,
        )
        runner = open_named(result.run_dir)
        split = load_dataset(name, None, image_shape(runner), runner.card.keep).test
        found, truth = collected(runner, split)
        scorer = task.code.scorer(runner.card)
        scorer.update(found, truth)
        values.append(scorer.result().value)
        outputs.append({**found, **{f"truth/{kind}": each for kind, each in truth.items()}})
        runs.append(result.run_dir)
    order = np.argsort(np.concatenate(tested), kind="stable")
    together = {name: each[order] for name, each in end_to_end(outputs).items()}
    suspects = _suspects(task, together, dataset.classes)
    return Folds(task, tuple(values), tuple(runs), whole, suspects, tuple(name_of(whole, s.index) for s in suspects))


def _suspects(task: Task, together: dict[str, np.ndarray], classes: Sequence[str]) -> tuple[Any, ...]:
    find = getattr(task.code, "suspects", None)
    if find is None:
        return ()
    truth = {name.removeprefix("truth/"): each for name, each in together.items() if name.startswith("truth/")}
    return tuple(find({name: each for name, each in together.items() if not name.startswith("truth/")}, truth, classes))


def _fingerprint(dataset: Dataset, whole: Split) -> str:
    """A few letters that are others for other data, so that no run of those is taken for one of these."""
    sha = hashlib.sha256("\0".join(dataset.classes).encode(errors="surrogateescape"))
    for values in whole.truth.values():
        sha.update(np.ascontiguousarray(values).tobytes())
    for index in range(len(whole)):
        sha.update(f"{name_of(whole, index)}\0".encode(errors="surrogateescape"))
    return sha.hexdigest()[:8]


def _fold(dataset: Dataset, whole: Split, tested: np.ndarray) -> Dataset:
    rest = np.setdiff1d(np.arange(len(whole)), tested)
    parts = complete({"train": whole.take(rest), "test": whole.take(tested)})
    return replace(dataset, train=parts["train"], validation=parts["validation"], test=parts["test"], unreadable=())


def _trained(recipe: Recipe, path: Path, verbose: bool) -> Result:
    result = train(recipe, run_dir=path, resume=True, verbose=verbose)
    if result.interrupted:
        print(f"next: the same command with -o {path.parent} goes on")
        raise KeyboardInterrupt
    return result


def write_html(found: Folds, title: str, command: str, path: Path, *, overwrite: bool = False) -> None:
    """Writes the page: scores, and suspected labels as pictures and as a table.

    Args:
        found: result of a cross-validation.
        title: title of the page.
        command: command line that made it.
        path: file to write.
        overwrite: replace an existing file.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    pictures = []
    if found.whole.key == "image":
        for each in found.suspects[:_PICTURES]:
            words = f"{each.given} {each.probability:.1%}, rather {each.other} {each.other_probability:.1%}"
            pictures.append(pictured(found.whole, each.index, words))
    text = render(
        "keras_resnet/folds.html",
        title=title,
        figures=table(f"{found.task.score.name.capitalize()} of every fold", ("figure", "value"), found.rows()),
        count=len(found.suspects),
        examples=len(found.whole),
        pictures=pictures,
        suspects=table("The most suspected labels", SUSPECTS, found.suspect_rows()[:_LINES]),
        command=command,
    )
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")
