"""Answers for many files: they are read and decoded ahead of the net, and no more of them than that is in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.evaluation.examples import loaded, named, within
from keras_resnet.evaluation.running import answered, check_finite, image_shape
from keras_resnet.evaluation.tiles import of_file
from keras_resnet.evaluation.tiling import Tiles
from keras_resnet.extras import is_there
from keras_resnet.lazily import tf
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import get_task
from keras_resnet.tasks.results import Prediction

LIST = "-"  # in place of a file: a list of files on standard input
_FEW = 16  # files that are read one after the other: a graph is not worth its making


@dataclass(frozen=True)
class Unreadable:
    """A file without an answer.

    Attributes:
        path: file.
        reason: why, in one line, with its name.
    """

    path: Path
    reason: str


def listed(texts: Sequence[str], suffixes: Sequence[str]) -> list[Path]:
    """The files that a command line names, in its order.

    Args:
        texts: files, folders (all pictures below, by name), patterns; `-` for a list on standard input, one a line.
        suffixes: endings of the files that are taken out of folders.

    Raises:
        InputError: a folder without such files, a pattern that nothing matches, an address, nothing at all.
    """
    found: list[Path] = []
    for text in texts:
        if text == LIST:
            found += [path for line in lines() for path in members(line, suffixes, patterns=False)]
        elif "://" in text and not Path(text).exists():
            fetch = f"fetch it first, curl -O {text}, or " if text.startswith(("http:", "https:", "ftp:")) else ""
            raise InputError(f"{text}: expected a file, received an address: {fetch}read it through Ray, --ray local")
        else:
            found += members(text, suffixes)
    if not found:
        raise InputError("standard input: expected names of files, one a line; received none")
    return found


def lines() -> list[str]:
    """The names that stand on standard input, one a line."""
    each = (os.fsdecode(line.rstrip(b"\r\n")) for line in sys.stdin.buffer)
    return [line for line in each if line]


def members(text: str, suffixes: Sequence[str], *, patterns: bool = True) -> list[Path]:
    """The files that a text names: all pictures below a folder, what a pattern matches, or itself.

    Args:
        text: file, folder or pattern.
        suffixes: endings of the files that are taken out of folders.
        patterns: whether `*`, `?` and `[` are marks of patterns.
    """
    if not patterns and not Path(text).is_dir():
        return [Path(text)]
    return [path for _, path in named(text, suffixes)]


def answers(
    runner: Runner,
    paths: Sequence[Path],
    card: ModelCard,
    top: int,
    names: Sequence[str] | None = None,
    tiles: Tiles | None = None,
) -> Iterator[Prediction | Unreadable]:
    """A model's answers for files, in their order; the same as those of `predict`.

    Args:
        runner: model.
        paths: files.
        card: card with the names of the classes.
        top: number of answers per file at most.
        names: names of the files in the answers; by default their paths.
        tiles: how pictures are divided, in place of being resized; None for no tiles.

    Yields:
        What the model says of each file, or why it says nothing.

    Raises:
        GateError: the model answers NaN or infinity.
    """
    names = list(map(str, paths)) if names is None else names
    found = _answers(runner, paths, card, top, names, tiles)
    for path, answer in zip(paths, found, strict=True):
        yield answer if tiles or isinstance(answer, Unreadable) else within(answer, path, runner, card, top)


def _answers(
    runner: Runner, paths: Sequence[Path], card: ModelCard, top: int, names: Sequence[str], tiles: Tiles | None
) -> Iterator[Prediction | Unreadable]:
    """The same, over all of the net's input."""

    def one(number: int) -> Prediction | Unreadable:
        return _one(runner, paths[number], card, top, names[number], tiles)

    by_graph = is_there("tensorflow") and hasattr(get_signal(runner.card.signal).code, "decoded")
    if len(paths) <= _FEW or not by_graph or tiles:
        yield from map(one, range(len(paths)))
        return
    place = 0
    for places, examples in _decoded(paths, runner):
        found = answered(runner, examples, [names[n] for n in places], card, top)
        for number, answer in zip(places, found, strict=True):
            yield from map(one, range(place, number))
            yield answer
            place = number + 1
    yield from map(one, range(place, len(paths)))


def _one(
    runner: Runner, path: Path, card: ModelCard, top: int, name: str, tiles: Tiles | None
) -> Prediction | Unreadable:
    try:
        if tiles:
            outputs = of_file(runner, path, tiles)
            check_finite(outputs, name)
            return get_task(card.task).code.decode(outputs, card, limit=top, names=[name])[0]
        example = loaded(path, runner)
    except InputError as error:
        return Unreadable(path, str(error))
    except OSError as error:
        return Unreadable(path, f"{path} cannot be read: {error.strerror}")
    return answered(runner, example[None], [name], card, top)[0]


def _decoded(paths: Sequence[Path], runner: Runner) -> Iterator[tuple[list[int], np.ndarray]]:
    """Batches of the files that can be decoded: their positions, which ascend, and their examples."""
    code, shape, keep = get_signal(runner.card.signal).code, image_shape(runner), runner.card.keep
    there = [n for n, path in enumerate(paths) if path.is_file()]  # a pipe would be waited for
    names = np.array([os.fsencode(paths[n]) for n in there], object)

    def one(place: tf.Tensor, name: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        examples, _ = code.decoded(tf.io.read_file(name)[None], shape, keep)
        return place, examples[0]

    if not there:
        return
    options = tf.data.Options()
    options.autotune.enabled = False  # `data.pipeline.ahead` says why
    files = tf.data.Dataset.from_tensor_slices((there, names))
    files = files.map(one, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).ignore_errors()
    for places, examples in files.batch(runner.bulk).prefetch(2).with_options(options):
        yield places.numpy().tolist(), examples.numpy()
