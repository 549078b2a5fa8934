"""What an epoch of training does, before any example is read: the order of the examples and the random numbers of each.

An epoch is a function of `(seed, epoch)`, and so is all of it on every back end: a run that starts in the middle sees
the examples that the whole one would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_resnet.data import draws
from keras_resnet.errors import InputError

_CROPS, _SHARES, _BATCHES = 1_000_003, 2_000_003, 1_000_003  # apart from each other, so that no draw is used twice


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """The epochs of a run.

    Attributes:
        seed: seed of the run.
        count: number of examples.
        own: draws of an example for its augmentation.
        crops: draws of an example for a random part of it.
        repeats: copies of an example that follow each other.
        ends: sums of the shares by which examples are drawn, `(count,)`; None where all come once an epoch.
    """

    seed: int
    count: int
    own: int
    crops: int = 0
    repeats: int = 1
    ends: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuses a seed that does not fit into 64 bits."""
        if not -(2**63) <= self.seed < 2**63:
            raise InputError(f"seed={self.seed}: expected a whole number of 64 bits")

    def places(self, epoch: int) -> np.ndarray:
        """Places of an epoch's examples in their order, int32 `(count,)`.

        A place says the example, which is the remainder by `count`, and which of its copies it is.

        Args:
            epoch: number of the epoch, from 0.
        """
        order = self._order((self.seed, epoch))
        copies = order[:, None] + self.count * np.arange(self.repeats, dtype=np.int32)
        return copies.reshape(-1)[: self.count]

    def _order(self, seeds: tuple[int, int]) -> np.ndarray:
        if self.ends is None:
            return draws.shuffled(seeds, self.count)
        wanted = draws.uniform64(_moved(seeds, _SHARES), self.count) * self.ends[-1]
        return np.minimum(np.searchsorted(self.ends, wanted, side="right"), self.count - 1).astype(np.int32)

    def draws(self, epoch: int) -> np.ndarray:
        """Random numbers of an epoch by place, uniform in [0, 1), float32 `(repeats * count, own + crops)`.

        Args:
            epoch: number of the epoch, from 0.
        """
        seeds, rows = (self.seed, epoch), self.repeats * self.count
        own = draws.uniform(seeds, (rows, self.own))
        if not self.crops:
            return own
        return np.concatenate([own, draws.uniform(_moved(seeds, _CROPS), (rows, self.crops))], axis=1)

    def batch_seed(self, epoch: int, number: int) -> np.ndarray:
        """Seed of what is drawn for a batch as a whole, int64 `(2,)`.

        Args:
            epoch: number of the epoch, from 0.
            number: number of the batch in it, from 0.
        """
        with np.errstate(over="ignore"):  # as TensorFlow's
            return np.array((self.seed, epoch), np.int64) * np.int64(_BATCHES) + np.int64(number)


def _moved(seeds: tuple[int, int], by: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array(seeds, np.int64) + np.int64(by)
