"""Everything that a test split says about a model, or an ensemble: figures of the task, robustness, speed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_resnet import console
from keras_resnet.data import Split, batches, sampled
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.errors import InputError
from keras_resnet.evaluation import corruptions
from keras_resnet.evaluation.running import chunks, outputs
from keras_resnet.evaluation.scores import evaluate
from keras_resnet.evaluation.views import ONE, Views
from keras_resnet.runtime.interface import Runner
from keras_resnet.tasks import Task, get_task
from keras_resnet.tasks.plain import PlainSummary
from keras_resnet.tasks.results import Scores, Summary

_WARM_UP = 64  # examples


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
    """

    task: Task
    summary: Summary
    images_per_second: float
    robustness: dict[str, tuple[float, ...]] = field(default_factory=dict)
    members: tuple[tuple[str, Scores], ...] = ()
    views: Views = ONE

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
        validation: examples to fit a temperature on, where the task has one; None for none.
    """

    name: str
    runner: Runner
    test: Split
    validation: Split | None = None


def assess(
    members: Sequence[Member],
    *,
    labels: Sequence[str] = (),
    views: Views = ONE,
    weights: Sequence[float] | None = None,
    corrupted: Sequence[str] = (),
    progress: bool = False,
) -> Assessment:
    """Judges a model, or several as an ensemble.

    Args:
        members: one model, or those of an ensemble; the same test examples in the same order.
        labels: class names.
        views: views of each example; their answers are averaged, as are those of the members, by `views.average`.
        weights: one weight per member; by default all alike.
        corrupted: rows of `corruptions.CORRUPTIONS`, each in five strengths; one view then.
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
        >>> assess([Member("mine", runner, digits.test, digits.validation)]).interval  # doctest: +SKIP
        (0.967, 0.995)
    """
    task = _task(members, views, corrupted)
    if not hasattr(task.code, "merge"):
        return _plainly(members[0], task, progress)
    task.capable.check_weights(len(members), weights)  # refused before any work
    truth = members[0].test.truth
    if any(not _same(member.test.truth, truth) for member in members):
        raise InputError("the members of an ensemble need the same test images")

    def answers(splits: Sequence[Split], seen: Views) -> list[dict[str, np.ndarray]]:
        pairs = zip(members, splits, strict=True)
        return [outputs(member.runner, split, views=seen, progress=progress) for member, split in pairs]

    def merged(found: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return task.capable.merge(found, weights, views.average)

    # A runtime's first call prepares it, and shows what it gives.
    first = [outputs(member.runner, sampled(member.test, _WARM_UP)) for member in members]
    begin = time.perf_counter()
    each = answers([member.test for member in members], views)
    seconds = time.perf_counter() - begin
    together = merged(each)
    fitted_on = None
    held_out = [member.validation for member in members if member.validation is not None and len(member.validation)]
    if len(held_out) == len(members):
        fitted_on = merged(answers(held_out, views)), held_out[0].truth

    def score(kind: str, strength: int) -> float:
        found = answers([_corrupted(member.test, kind, strength) for member in members], ONE)
        return _scores(task, merged(found), truth, members[0]).value

    return Assessment(
        task=task,
        summary=task.capable.summary(
            together, truth, labels=labels, fitted_on=fitted_on, logits=any(map(task.capable.gives_logits, first))
        ),
        images_per_second=len(members[0].test) / seconds,
        robustness={kind: tuple(score(kind, s) for s in corruptions.STRENGTHS) for kind in corrupted},
        members=_alone(task, members, each, truth),
        views=views,
    )


def _task(members: Sequence[Member], views: Views, corrupted: Sequence[str]) -> Task:
    """The task of all members, which must support what was asked for."""
    names = {member.runner.card.task for member in members}
    if len(names) > 1:
        raise InputError(f"the members have the tasks {' and '.join(sorted(names))}: expected one")
    task = get_task(names.pop())
    asked = {"ensemble": len(members) > 1, "views": views != ONE, "corruptions": bool(corrupted)}
    for capability, wanted in asked.items():
        if wanted:
            task.require(capability)
    return task


def _plainly(member: Member, task: Task, progress: bool) -> Assessment:
    """Scores chunk by chunk: outputs may be too large to be kept."""
    next(iter(chunks(member.runner, sampled(member.test, _WARM_UP))))
    begin = time.perf_counter()
    scores = evaluate(member.runner, member.test, progress=progress)
    seconds = time.perf_counter() - begin
    return Assessment(task, PlainSummary(scores, task.score), len(member.test) / seconds)


def _same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(values, other[kind]) for kind, values in one.items())


def _scores(task: Task, found: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], member: Member) -> Scores:
    scorer = task.code.scorer(member.runner.card)
    scorer.update(found, truth)
    return scorer.result()


def _alone(task: Task, members: Sequence[Member], each, truth) -> tuple[tuple[str, Scores], ...]:
    """Every member's own scores; none for a single model."""
    if len(members) == 1:
        return ()
    pairs = zip(members, each, strict=True)
    return tuple((member.name, _scores(task, task.capable.merge([a]), truth, member)) for member, a in pairs)


def _corrupted(split: Split, kind: str, strength: int) -> ArraySplit:
    """A split in memory; a model's own test images of one size fit there."""
    parts, first = [], 0
    for batch in batches(split, 256):
        parts.append(corruptions.corrupt(batch[split.key].numpy(), kind, strength, first=first))
        first += len(parts[-1])
    return ArraySplit({split.key: np.concatenate(parts), **split.truth})


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
        console.print_table(f"{score.name.capitalize()} on corrupted images, mean {mean}", header, rows)
    for warning in summary.warnings():
        print(warning)
