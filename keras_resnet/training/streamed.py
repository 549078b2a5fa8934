"""Training on JAX with more examples than the device holds: grain reads and decodes them on the host, ahead of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np

from keras_resnet.arrays import in_32_bits
from keras_resnet.data.loading import loaded
from keras_resnet.signals.crops import Box
from keras_resnet.training.resident import Resident


@dataclass
class Streamed(Resident):
    """The examples of a run, a batch at a time; those to validate on lie on the device.

    Attributes:
        box: chooses random parts of encoded examples; None for their central parts.
    """

    box: Box | None = None

    _is_there: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Sends the examples to validate on to the device."""
        super().__post_init__()
        self._batches: Iterator[dict[str, jax.Array]] | None = None

    def _fed(self, epoch: int, first: int) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """Examples of one step, the plan of its epoch; steps are asked for one after another."""
        if self._batches is None:
            self._batches = loaded(
                self.train, self.epochs, self.batch_size, box=self.box, first=(epoch, first), send=self._sent_batch
            )
        return next(self._batches), self._planned_for(epoch)

    def _chosen(self, arrays: dict[str, jax.Array], places: Any) -> dict[str, Any]:
        return dict(arrays)

    def _sent_batch(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """A batch on its way to the device, or shared by several."""
        where = {name: self.layout(values.shape) if self.layout else None for name, values in batch.items()}
        return {name: jax.device_put(in_32_bits(values), where[name]) for name, values in batch.items()}

    def close(self) -> None:
        """Ends what works ahead."""
        super().close()
        self._batches = None
