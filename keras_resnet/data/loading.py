"""Batches of a training without TensorFlow: read and decoded by grain on the host's cores, ahead of who asks for them.

They are those of `data.pipeline`, from the same orders and draws, before what is changed in whole batches.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_resnet import extras, machine
from keras_resnet.data.dataset import EncodedSplit, Split, names_of
from keras_resnet.data.epochs import Epochs
from keras_resnet.data.truth import moved
from keras_resnet.errors import InputError
from keras_resnet.signals.crops import Box
from keras_resnet.signals.placement import Placement
from keras_resnet.signals.table import get_signal

_AHEAD = 2  # batches that are ready, besides the one that is made


def require_grain() -> None:
    """Asks for grain; the extra `jax` would install TensorFlow as well, which whoever needs it does without.

    Raises:
        InputError: it is not installed.
    """
    if not extras.is_there("grain"):
        raise InputError(
            "without TensorFlow, examples that the device does not hold are read by grain, which is not installed: "
            "pip install 'grain>=0.2.18,<0.3'"
        )


def loaded(
    split: Split,
    run: Epochs,
    batch_size: int,
    *,
    box: Box | None = None,
    first: tuple[int, int] = (0, 0),
    send: Callable[[dict[str, np.ndarray]], Any] = lambda batch: batch,
) -> Iterator[Any]:
    """Endless batches of examples with their truth, as dicts of arrays; what is left over of an epoch is dropped.

    Args:
        split: examples to learn from.
        run: orders and draws.
        batch_size: examples of a batch.
        box: chooses random parts of the examples of an `EncodedSplit`; None for their central parts.
        first: epoch and batch in it to begin with, both from 0.
        send: function of a batch that is called ahead, in a thread of its own, such as the way to a device.

    Raises:
        InputError: grain is not installed; a file cannot be decoded.
    """
    require_grain()
    import grain
    from grain import experimental

    steps, names = len(split) // batch_size, names_of(split)
    size = steps * batch_size  # examples of an epoch

    @functools.lru_cache(maxsize=2)  # threads work on two epochs where one ends
    def planned(epoch: int) -> tuple[np.ndarray, np.ndarray]:
        return run.places(epoch), run.draws(epoch)

    first_of_all = threading.Lock()  # or each thread would make the plan of an epoch that begins

    def example(number: int) -> dict[str, np.ndarray]:
        epoch, place = divmod(int(number), size)
        with first_of_all:
            places, draws = planned(epoch)
        own, drawn = int(places[place]) % run.count, draws[places[place], run.own :]
        try:
            found = _one(split, own, drawn, box)
        except InputError as error:
            name = names[own] if names else f"example {own}"
            raise InputError(f"{name}: {error}") from error
        return {name: values[0] for name, values in found.items()}

    begin = (first[0] * steps + first[1]) * batch_size
    cores = machine.cores()
    reading = grain.ReadOptions(num_threads=cores, prefetch_buffer_size=max(2 * cores, batch_size))
    examples = grain.MapDataset.range(begin, sys.maxsize).map(example).to_iter_dataset(reading)
    batches = examples.batch(batch_size, drop_remainder=True).map(send)
    yield from experimental.ThreadPrefetchIterDataset(batches, prefetch_buffer_size=_AHEAD)


def _one(split: Split, place: int, draws: np.ndarray, box: Box | None) -> dict[str, np.ndarray]:
    """An example and its truth as a batch of one; a random part of it where there is a `box`."""
    if box is None:
        return split.fetch([place])
    if not isinstance(split, EncodedSplit):
        raise TypeError(f"random parts are cut out of the examples of an EncodedSplit, received {type(split).__name__}")
    contents = np.array(split.contents.read(np.array([place])), object)
    examples, matrices = get_signal(split.signal).code.parts(contents, split.shape, draws[None], box, split.upright)
    truth = {name: values[[place]] for name, values in split.truth.items()}
    placement = Placement(matrices, split.shape[:-1])
    return {split.key: examples, **moved(truth, placement), **split.mapped(np.array([place]), placement)}
