"""Everything that a test split says about a model, or an ensemble: figures of the task, robustness, speed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from keras_resnet import console, machine
from keras_resnet.data import Split, batches, sampled
from keras_resnet.data.dataset import ArraySplit, end_to_end
from keras_resnet.data.splits import at_once
from keras_resnet.errors import InputError
from keras_resnet.evaluation import corruptions
from keras_resnet.evaluation.running import chunks, collected, outputs
from keras_resnet.evaluation.views import ONE, Views
from keras_resnet.evaluation.views import check as check_views
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import Task, get_task
from keras_resnet.tasks.plain import PlainSummary
from keras_resnet.tasks.results import Reporter, Scores, Summary

_WARM_UP = 64  # examples
_OTHER_EXAMPLES = "the members of an ensemble need the same test images"
Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Assessment:
    """Result of an assessment; figures of the task (`interval`, `confusion`, ...) can be read here too.

    Attributes:
        task: task of the models.
        summary: figures of the task.
        images_per_second: examples per second, with decoding and preprocessing.
        robustness: headline score by corruption, at the five strengths; empty if it was not asked for.
        members: names and scores of an ensemble's members; empty for one model.
        views: views of each example.
        processor: processor that ran the models.
        remarkable: positions of examples to look at, each with a few words, by what is remarkable about them; empty
            where the task has no such.
        reporter: what a report needs beside the summary; None where none was asked for, or the task has none.
    """

    task: Task
    summary: Summary
    images_per_second: float
    robustness: dict[str, tuple[float, ...]] = field(default_factory=dict)
    members: tuple[tuple[str, Scores], ...] = ()
    views: Views = ONE
    processor: str = field(default_factory=machine.processor)
    remarkable: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    reporter: Reporter | None = None

    def __getattr__(self, name: str) -> Any:
        """A figure of the task."""
        if name.startswith("_") or "summary" not in vars(self):
            raise AttributeError(name)
        return getattr(self.summary, name)

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types; the scores at the top."""
        return {
            **self.summary.to_json(),
            "views": str(self.views),
            "average": self.views.average,
            "images_per_second": self.images_per_second,
            "processor": self.processor,
            "robustness": {kind: list(values) for kind, values in self.robustness.items()},
            "members": [{"model": name, **scores.to_json()} for name, scores in self.members],
        }


@dataclass(frozen=True)
class Member:
    """One model with the examples that it takes.

    Attributes:
        name: words for people.
        runner: model of any file.
        test: examples to judge on.
        validation: examples to fit a temperature on, where the task has one; None for none, and for no temperature.
        held_out: whether these stayed out of the model's training (`ModelCard.held_out_of`); unless they did, the
            temperature is cross-fitted on the test examples: on images that it was trained on a model is too sure.
    """

    name: str
    runner: Runner
    test: Split
    validation: Split | None = None
    held_out: bool | None = None


def assess(
    members: Sequence[Member],
    *,
    labels: Sequence[str] = (),
    views: Views = ONE,
    weights: Sequence[float] | None = None,
    corrupted: Sequence[str] = (),
    reported: bool = False,
    progress: bool = False,
) -> Assessment:
    """Judges a model, or several as an ensemble.

    Args:
        members: one model, or those of an ensemble; the same test examples in the same order.
        labels: class names.
        views: views of each example; their answers are averaged, as are those of the members, by `views.average`.
        weights: one weight per member; by default all alike.
        corrupted: rows of `corruptions.CORRUPTIONS`, each in five strengths; one view then.
        reported: whether figures that only a report shows are taken too, where the task has such.
        progress: whether bars are shown on stderr.

    Returns:
        The figures.

    Raises:
        InputError: models that do not fit each other or the examples, or what their task does not support.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.evaluation.assessment import Member, assess
        >>> digits = keras_resnet.load_dataset("digits")
        >>> runner = keras_resnet.open_runner("runs/mine/model.keras")  # doctest: +SKIP
        >>> held_out = runner.card.held_out_of("digits")  # doctest: +SKIP
        >>> assess([Member("mine", runner, digits.test, digits.validation, held_out)]).interval  # doctest: +SKIP
        (0.967, 0.995)
    """
    task = _task(members, views, weights, corrupted)
    known = [member.test.truth for member in members]
    if any(not _same(truth, known[0]) for truth in known):
        raise InputError(_OTHER_EXAMPLES)  # before any work
    # A runtime's first call prepares it, and shows what it gives.
    few = at_once(members[0].test, _WARM_UP)
    first = [outputs(member.runner, sampled(member.test, few)) for member in members]
    watching = (
        _Watching(task.capable.reporter(members[0].runner.card))
        if reported and hasattr(task.code, "reporter")
        else None
    )
    asked = _Asked(task, members, views, weights, progress, watching)
    tests = [member.test for member in members]
    remarkable: dict[str, list[tuple[int, str]]] = {}
    begin = time.perf_counter()
    if hasattr(task.code, "summary"):
        each, truth = _answers(asked, tests)
        seconds = time.perf_counter() - begin
        summary, alone = _in_detail(asked, each, truth, labels, first)
        if (find := getattr(task.code, "remarkable", None)) is not None:
            remarkable = find(asked.merged(each), truth, labels)
    else:
        scores, alone = _scored(asked, tests)
        seconds = time.perf_counter() - begin - (watching.seconds if watching else 0)
        summary = watching.reporter.summary(scores) if watching else PlainSummary(scores)
        remarkable = watching.reporter.remarkable() if watching else {}

    def score(kind: str, strength: int) -> float:
        splits = [_corrupted(member.test, kind, strength) for member in members]
        return _scored(replace(asked, views=ONE, watching=None), splits)[0].value

    names = [member.name for member in members]
    return Assessment(
        task=task,
        summary=summary,
        images_per_second=len(members[0].test) / seconds,
        robustness={kind: tuple(score(kind, s) for s in corruptions.STRENGTHS) for kind in corrupted},
        members=tuple(zip(names, alone, strict=True)) if len(members) > 1 else (),
        views=views,
        remarkable=remarkable,
        reporter=watching.reporter if watching else None,
    )


@dataclass
class _Watching:
    """A reporter, and the time that it took, which is not the net's."""

    reporter: Reporter
    seconds: float = 0.0

    def update(self, found: Outputs, truth: Outputs) -> None:
        begin = time.perf_counter()
        self.reporter.update(found, truth)
        self.seconds += time.perf_counter() - begin


@dataclass(frozen=True)
class _Asked:
    """Arguments of an assessment."""

    task: Task
    members: Sequence[Member]
    views: Views
    weights: Sequence[float] | None
    progress: bool
    watching: _Watching | None = None

    def merged(self, found: Sequence[Outputs]) -> Outputs:
        """One answer of the members' answers."""
        if hasattr(self.task.code, "merge"):  # of a single member too: logits become probabilities
            return self.task.capable.merge(found, self.weights, self.views.average)
        return found[0]


def _task(members: Sequence[Member], views: Views, weights: Sequence[float] | None, corrupted: Sequence[str]) -> Task:
    """The task of all members, which must support what was asked for, as must their signal."""
    names = {member.runner.card.task for member in members}
    if len(names) > 1:
        raise InputError(f"the members have the tasks {' and '.join(sorted(names))}: expected one")
    task = get_task(names.pop())
    several = len(members) > 1 or weights is not None
    for capability, wanted in {"ensemble": several, "corruptions": bool(corrupted)}.items():
        if wanted:
            task.require(capability)
    for member in members:
        check_views(member.runner.card, views)
        if corrupted:
            get_signal(member.runner.card.signal).require("corruptions")
    if several:
        task.capable.check_weights(len(members), weights)
    return task


def _in_detail(
    asked: _Asked, each: Sequence[Outputs], truth: Outputs, labels: Sequence[str], first: Sequence[Outputs]
) -> tuple[Summary, list[Scores]]:
    """The task's own figures, from all outputs at once, and the scores of each member."""
    task, members = asked.task, asked.members
    fitted_on, cross_fit = None, ""
    validation = [member.validation for member in members if member.validation is not None and len(member.validation)]
    if len(validation) == len(members):
        cross_fit = _unusable([member.held_out for member in members])
        if not cross_fit:
            held, true = _answers(asked, validation)
            fitted_on = asked.merged(held), true
    logits = hasattr(task.code, "gives_logits") and any(map(task.capable.gives_logits, first))
    how: dict[str, Any] = {"labels": labels, "fitted_on": fitted_on, "logits": logits, "cross_fit": cross_fit}
    how["card"] = members[0].runner.card
    summary = task.capable.summary(asked.merged(each), truth, **how)
    alone = []
    for member, found in zip(members, each, strict=True) if len(members) > 1 else ():
        scorer = task.code.scorer(member.runner.card)
        scorer.update(replace(asked, weights=None).merged([found]), truth)
        alone.append(scorer.result())
    return summary, alone


def _unusable(held_out: Sequence[bool | None]) -> str:
    """Why nothing may be fitted on the validation examples of all members; empty where it may."""
    if False in held_out:
        return "the validation images were trained on"
    return "nothing says that the validation images were not trained on" if None in held_out else ""


def _answers(asked: _Asked, splits: Sequence[Split]) -> tuple[list[Outputs], Outputs]:
    """All outputs of every member, and the truth of the examples, in memory."""
    pairs = zip(asked.members, splits, strict=True)
    each = [collected(member.runner, split, views=asked.views, progress=asked.progress) for member, split in pairs]
    truth = each[0][1]
    if any(not _same(other, truth) for _, other in each):
        raise InputError(_OTHER_EXAMPLES)
    return [found for found, _ in each], truth


def _scored(asked: _Asked, splits: Sequence[Split]) -> tuple[Scores, list[Scores]]:
    """Scores of all members together and of each, chunk by chunk: outputs may be too large to be kept."""
    cards = [member.runner.card for member in asked.members]
    together, each = asked.task.code.scorer(cards[0]), [asked.task.code.scorer(card) for card in cards]
    progress = [asked.progress, *(False for _ in cards[1:])]  # one bar: the members take turns
    steps = [
        chunks(member.runner, split, views=asked.views, progress=bar)
        for member, split, bar in zip(asked.members, splits, progress, strict=True)
    ]
    alone = replace(asked, weights=None)
    for parts in zip(*steps, strict=True):
        truth = parts[0][1]
        if any(not _same(other, truth) for _, other in parts):
            raise InputError(_OTHER_EXAMPLES)
        merged = asked.merged([found for found, _ in parts])
        together.update(merged, truth)
        if asked.watching:
            asked.watching.update(merged, truth)
        if len(parts) > 1:
            for scorer, (found, _) in zip(each, parts, strict=True):
                scorer.update(alone.merged([found]), truth)
    return together.result(), [scorer.result() for scorer in each] if len(cards) > 1 else []


def _same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(values, other[kind]) for kind, values in one.items())


def _corrupted(split: Split, kind: str, strength: int) -> ArraySplit:
    """A split in memory; a model's own test images of one size fit there."""
    parts: list[dict[str, np.ndarray]] = []
    first = 0
    for batch in batches(split, 256):
        arrays = {name: values.numpy() for name, values in batch.items()}
        arrays[split.key] = corruptions.corrupt(arrays[split.key], kind, strength, first=first)
        first += len(arrays[split.key])
        parts.append(arrays)
    return ArraySplit(end_to_end(parts))


def mean_score(robustness: dict[str, tuple[float, ...]]) -> float:
    """Mean headline score over corruptions and strengths.

    Args:
        robustness: scores of an `Assessment`; not empty.
    """
    return float(np.mean([value for values in robustness.values() for value in values]))


def show(assessment: Assessment, title: str, *, per_class: bool = False) -> None:
    """Prints the tables.

    Args:
        assessment: assessment to print.
        title: words above the first table.
        per_class: whether tables of details are shown too.
    """
    summary, score = assessment.summary, assessment.task.score
    figures = summary.figures()
    if assessment.members:
        rows = [(name, *each.figures().values()) for name, each in assessment.members]
        rows.append(("together", *summary.scores.figures().values()))
        console.print_table("Members", ("model", *summary.scores.figures()), rows)
    columns = (*figures, "images", "images/s")
    speed = f"{assessment.images_per_second:,.0f}"
    console.print_table(title, columns, [(*figures.values(), summary.scores.count, speed)])
    for table in summary.tables():
        if per_class or not table.detail:
            console.print_table(table.title, table.columns, table.rows)
    for note in summary.notes():
        print(note)
    if assessment.robustness:
        rows = [(kind, *map(str, map(score.text, values))) for kind, values in assessment.robustness.items()]
        header = ("corruption", *(f"strength {s}" for s in corruptions.STRENGTHS))
        mean = score.text(mean_score(assessment.robustness))
        console.print_table(f"{score.title} on corrupted images, mean {mean}", header, rows)
    for warning in summary.warnings():
        print(warning)
