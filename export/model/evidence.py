"""Examples to verify with: read chunk by chunk, and kept where there is room."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from keras_resnet.data import Split
from keras_resnet.data.dataset import ArraySplit, end_to_end
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals.conventions import Preprocess
from keras_resnet.signals.table import SIGNALS, Signal

BUDGET = 10**9  # bytes of examples that are kept
_CHUNK = 256


def digest(example: np.ndarray) -> bytes:
    """SHA-256 of an example's values."""
    return hashlib.sha256(example.tobytes()).digest()


@dataclass(frozen=True, eq=False)
class Evidence:
    """Examples to verify with.

    Attributes:
        split: examples with their truth.
        indices: positions in the split, int64 `(n,)`.
        origin: what they are, in words.
        signal: row of `SIGNALS`.
    """

    split: Split
    indices: np.ndarray
    origin: str
    signal: Signal = SIGNALS["image"]

    @classmethod
    def of_array(cls, examples: np.ndarray, origin: str = "", signal: Signal = SIGNALS["image"]) -> Evidence:
        """Examples in memory of which nothing is known.

        Args:
            examples: dtype of the signal, `(n, ..., channels)`.
            origin: what they are, in words.
            signal: row of `SIGNALS`.
        """
        return cls(ArraySplit({signal.key: examples}), np.arange(len(examples)), origin, signal)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.indices)

    @cached_property
    def _kept(self) -> dict[str, np.ndarray] | None:
        """Everything in memory, None where that is more than the budget."""
        first = self.split.fetch(self.indices[:1])[self.signal.key]
        if first.dtype.itemsize * math.prod(first.shape[1:]) * len(self) > BUDGET:
            return None
        starts = range(0, len(self), _CHUNK)
        parts = [self.split.fetch(self.indices[start : start + _CHUNK]) for start in starts]
        return end_to_end(parts)

    def fetch(self, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Examples and their truth.

        Args:
            start: first example.
            stop: first example that is left out; None for all that follow.

        Returns:
            Examples, dtype of the signal, `(n, ..., channels)`; and arrays `(n, ...)` by kind of truth, which are none
            where nothing is known.
        """
        if self._kept is not None:
            found = {name: values[start:stop] for name, values in self._kept.items()}
        else:
            found = dict(self.split.fetch(self.indices[start:stop]))
        return found.pop(self.signal.key), found

    def chunks(self, size: int) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """All examples and their truth, as `fetch` gives them.

        Args:
            size: examples of a chunk.
        """
        return (self.fetch(start, start + size) for start in range(0, len(self), size))

    @property
    def pixels(self) -> np.ndarray:
        """All examples: for images uint8 `(n, H, W, C)`."""
        return self.fetch()[0]

    @property
    def truth(self) -> Mapping[str, np.ndarray]:
        """Truth of all examples by kind."""
        return self.fetch()[1]

    def first(self, count: int) -> Evidence:
        """The first examples.

        Args:
            count: how many at most.
        """
        return replace(self, indices=self.indices[:count])

    def digests(self) -> set[bytes]:
        """Hashes of all examples."""
        return {digest(example) for examples, _ in self.chunks(_CHUNK) for example in examples}

    def outputs(
        self, runner: Runner, preprocess: Preprocess
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Outputs of a runner with the truth, chunk by chunk.

        Args:
            runner: any file.
            preprocess: input convention of the file.

        Yields:
            Float32 arrays by output name, and arrays by kind of truth.
        """
        for examples, truth in self.chunks(runner.chunk):
            yield runner.run(preprocess(self.signal.code.resized(examples, runner.example_shape))), truth

    def run(self, runner: Runner, preprocess: Preprocess) -> dict[str, np.ndarray]:
        """Outputs of a runner on all examples, in memory.

        Args:
            runner: any file.
            preprocess: input convention of the file.

        Returns:
            Float32 arrays by output name.
        """
        parts = [found for found, _ in self.outputs(runner, preprocess)]
        return end_to_end(parts)
