"""How long a training waits for its data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


class Clock:
    """Runs while the consumer of a dataset waits for a batch.

    Attributes:
        seconds: seconds waited so far.
    """

    def __init__(self) -> None:
        """Makes a clock that stands at zero."""
        self.seconds = 0.0
        self._asked = 0.0

    def _ask(self) -> np.int64:
        self._asked = time.monotonic()
        return np.int64(0)

    def _receive(self) -> np.int64:
        self.seconds += time.monotonic() - self._asked
        return np.int64(0)

    def timed(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """The same batches, with this clock running from asking for one to having it.

        `zip` asks its inputs in turn, in the thread of the consumer: one that starts the clock, the dataset, one that
        stops it. (TensorFlow's own time stamps are forbidden under op determinism.)

        Args:
            dataset: pipeline that ends in `prefetch`, so that asking is waiting and not working.
        """
        import tensorflow as tf

        def calling(function) -> tf.data.Dataset:
            return tf.data.Dataset.counter().map(lambda _: tf.numpy_function(function, [], tf.int64))

        options = tf.data.Options()
        # TensorFlow must not run ahead behind the clock: a buffer there would hide the waiting.
        options.experimental_optimization.inject_prefetch = False
        options.experimental_optimization.map_parallelization = False
        zipped = tf.data.Dataset.zip(calling(self._ask), dataset, calling(self._receive))
        return zipped.map(lambda _, batch, __: batch).with_options(options)
