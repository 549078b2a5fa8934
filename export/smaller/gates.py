"""Gates of a compression: what was asked for is there, and it cost no more than allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from export.model.source import Source
from export.proof.gates import Gate
from export.proof.report import Report
from export.smaller.outcome import Entry
from keras_resnet.compression import pruning
from keras_resnet.compression.settings import Settings
from keras_resnet.nets.compressed import kernels
from keras_resnet.nets.graph import multiply_adds
from keras_resnet.tasks import get_task
from keras_resnet.tasks.table import DEFAULT

# Points of the headline score by task and kind of compression, about twice what is usual, so that a training that went
# wrong shows. Those of masks and boxes are what the files of these precisions may lose; see the tasks' `limits`.
_MOST: dict[str, dict[str, float]] = {
    "classification": {
        "int8": 0.1,
        "int4": 1.5,
        "clusters": 0.5,
        "channels": 1.5,
        "pattern": 0.5,
        "half": 0.3,
        "more": 1.0,
    },
    "segmentation": {
        "int8": 0.5,
        "int4": 3.0,
        "clusters": 1.0,
        "channels": 3.0,
        "pattern": 1.0,
        "half": 1.0,
        "more": 2.0,
    },
    "detection": {
        "int8": 0.5,
        "int4": 3.0,
        "clusters": 1.0,
        "channels": 3.0,
        "pattern": 1.0,
        "half": 1.0,
        "more": 2.0,
    },
}
_BELOW_INT8 = {"classification": 0.0, "segmentation": 0.005, "detection": 0.005}  # what an int8 file may lose


def limits(settings: Settings, task: str = DEFAULT) -> dict[str, float]:
    """Points of the task's score that a compression may cost at most, against the model that it started from.

    Args:
        settings: what is done.
        task: row of `TASKS` that supports compression.

    Returns:
        `{"drop": points}`.

    Example:
        >>> from export.smaller.gates import limits
        >>> from keras_resnet.compression.settings import settings
        >>> limits(settings("prune", sparsity="2:4"))
        {'drop': 0.5}
    """
    return {"drop": _MOST[task][_kind(settings)]}


def _kind(settings: Settings) -> str:
    if settings.method == "qat":
        return "int8" if settings.weight_bits == 8 else "int4"
    if settings.method == "cluster":
        return "clusters"
    if settings.channels:
        return "channels"
    sparsity = settings.sparsity
    if sparsity is None or sparsity.group:
        return "pattern"
    return "half" if sparsity.share <= 0.5 else "more"


def check(
    source: Source,
    small: keras.Model,
    settings: Settings,
    entries: Sequence[Entry],
    made: Report,
    allowed: Mapping[str, float],
) -> list[Gate]:
    """The gates of a compression.

    Args:
        source: model that it started from.
        small: compressed model.
        settings: what was done.
        entries: figures of the original, of the original in int8, and of the compressed files.
        made: report of the compressed files.
        allowed: limits by name, as `limits` gives them.
    """
    gates = [structure(source, small, settings)] if settings.method != "qat" or settings.preserve else []
    gates += [
        Gate(f"{Path(row.file).name} verified", "passed", row.verdict, row.passed)
        for row in made.rows
        if not row.passed
    ]
    original, after_training, first, *_ = entries
    gates.append(Gate("drop", allowed["drop"], round(first.drop, 4), first.drop <= allowed["drop"] + 1e-9))
    if settings.method == "qat" and settings.weight_bits == 8:
        least = after_training.score - _BELOW_INT8[source.card.task]
        words = "accuracy" if source.card.task == DEFAULT else get_task(source.card.task).score.name
        gates.append(Gate(f"{words} of int8 after training", least, first.score, first.score >= least))
    return gates


def structure(source: Source, small: keras.Model, settings: Settings) -> Gate:
    """The gate of what a method promises: multiply-adds, values of a kernel, or zeros.

    Args:
        source: model that it started from, for methods that compare with it.
        small: compressed model.
        settings: what was done.
    """
    if settings.channels:
        share = multiply_adds(small) / multiply_adds(source.model)
        return Gate("share of multiply-adds", settings.channels, share, share <= settings.channels)
    found = kernels(small)
    if settings.method == "cluster" or settings.preserve == "clusters":
        most = settings.clusters or max(_values(kernel) for kernel in kernels(source.model).values())
        most += settings.preserve == "sparsity"  # zero is one more
        if settings.method == "qat":  # every output channel is rounded with a scale of its own
            values = max(_values(channel) for k in found.values() for channel in k.reshape(-1, k.shape[-1]).T)
            return Gate("values in a channel's kernel", most, values, values <= most)
        values = max(map(_values, found.values()))
        return Gate("values in a kernel", most, values, values <= most)
    arrays = list(found.values())
    wanted = pruning.attainable(arrays, settings.sparsity) if settings.sparsity else pruning.sparsity_of(source.model)
    least = wanted - len(arrays) / sum(map(np.size, arrays))  # a weight per kernel, where each is rounded by itself
    share = pruning.sparsity_of(small)
    return Gate("share of zeros", least, share, share >= least)


def _values(kernel: np.ndarray) -> int:
    return len(np.unique(kernel))
