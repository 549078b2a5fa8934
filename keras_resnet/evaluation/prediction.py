"""Predictions for what a person named, or has in memory."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.evaluation import bulk
from keras_resnet.evaluation.examples import loaded, named, within
from keras_resnet.evaluation.records import flat, records
from keras_resnet.evaluation.running import answered
from keras_resnet.runtime import foreign
from keras_resnet.runtime.anything import runner_of
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import get_task
from keras_resnet.tasks.classification.predictions import Answer
from keras_resnet.tasks.results import Prediction

__all__ = ["Answer", "Predictions", "flat", "predict"]
_BATCH = 32  # examples in memory at once
_FILES = 4096  # of which few are in memory at once


class Predictions(list[Prediction]):
    """Predictions in the order of their examples, with tables for notebooks."""

    def to_json(self) -> list[dict[str, Any]]:
        """One object for each example."""
        return [each.to_json() for each in self]

    def records(self) -> list[dict[str, Any]]:
        """A flat record for each example: its name, the best answer, the others behind it; or one for each object."""
        return [record for each in self for record in records(each)]

    def to_pandas(self) -> Any:
        """A pandas DataFrame of `records`.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError("to_pandas needs pandas, which is not installed: pip install pandas") from error
        return pandas.DataFrame(self.records())

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from html import escape

        records = self.records()
        columns = list(dict.fromkeys(itertools.chain.from_iterable(records)))
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        lines = "".join(
            "<tr>" + "".join(f"<td>{escape(_cell(record.get(name)))}</td>" for name in columns) + "</tr>"
            for record in records
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def predict(
    model: Any,
    examples: Any,
    top: int = 5,
    labels: Sequence[str] | None = None,
    *,
    weights: str | None = None,
    hints: foreign.Hints = foreign.NO_HINTS,
    threshold: float | None = None,
) -> Predictions:
    """Says what a model sees.

    Args:
        model: `keras.Model`, a run, a file of any format, the name of a net with `weights`, or a runner.
        examples: one or several of: paths, folders, patterns, PIL images, uint8 arrays. Each is cut to the model's
            aspect (and to the card's `crop`) and resized.
        top: number of answers per example at most: of classes, for a classifier.
        labels: class names in place of those of the card.
        weights: for the name of a net: registered name, weight file, or `"none"`.
        hints: what a person says of a model that does not tell itself.
        threshold: score from which an object is an answer, of a detector; None for that of the card.

    Returns:
        One prediction per example, in their order; for a classifier an `Answer`, whose classes without a name are
        called `class_N`.

    Raises:
        InputError: no model, an example that cannot be read.
        GateError: the model answers NaN or infinity.

    Example:
        >>> import numpy as np, keras_resnet
        >>> net = keras_resnet.build("resnet8", weights="digits")
        >>> len(keras_resnet.predict(net, [np.zeros((32, 32, 3), "uint8")], top=3)[0].top)
        3
    """
    if not isinstance(top, int) or top < 1:
        raise InputError(f"top={top!r}: expected a whole number from 1")
    runner = runner_of(model, weights, hints)
    count = class_count(runner)
    if labels is not None and count not in (None, 1, len(labels)):
        raise InputError(f"labels: expected {count} names, one for every class, received {len(labels)}")
    card = runner.card if labels is None else renamed(runner.card, labels)
    card = card if threshold is None else at_threshold(card, threshold)
    found = Predictions()
    todo = named(examples, get_signal(runner.card.signal).suffixes)
    for of_files, group in itertools.groupby(todo, lambda pair: isinstance(pair[1], Path)):
        while some := list(itertools.islice(group, _FILES if of_files else _BATCH)):
            if of_files:
                found += _of_files(runner, [path for _, path in some], card, top)
                continue
            pixels = np.stack([loaded(source, runner) for _, source in some])
            seen = answered(runner, pixels, [name for name, _ in some], card, top)
            found += [within(each, source, runner, card, top) for each, (_, source) in zip(seen, some, strict=True)]
    return found


def class_count(runner: Runner) -> int | None:
    """Number of a model's classes: that of the names among its facts, as numbers of boxes are no classes.

    Args:
        runner: model.
    """
    return len(runner.card.facts.get("names") or ()) or runner.output.shape[-1]


def renamed(card: ModelCard, names: Sequence[str]) -> ModelCard:
    """A card with other names of its classes, one for each: tasks with boxes or masks keep them among their facts.

    Args:
        card: card of a model.
        names: names in the order of the classes.
    """
    own = {**card.facts, "names": list(names)} if card.facts.get("names") else card.facts
    return dataclasses.replace(card, labels=tuple(names), facts=own)


def at_threshold(card: ModelCard, threshold: float) -> ModelCard:
    """A card with another score from which there is an answer.

    Args:
        card: card of a detector.
        threshold: score, 0 to 1.

    Raises:
        InputError: another task, or no such number.
    """
    change = getattr(get_task(card.task).code, "at_threshold", None)
    if change is None:
        raise InputError(f"threshold={threshold}: goes with the task detection; this is {card.task}")
    return change(card, threshold)


def _of_files(runner: Runner, paths: Sequence[Path], card: ModelCard, top: int) -> Iterator[Prediction]:
    for each in bulk.answers(runner, paths, card, top):
        if isinstance(each, bulk.Unreadable):
            raise InputError(each.reason)
        yield each
