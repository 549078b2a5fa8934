"""Training on Keras' JAX backend: one process, whose devices share every batch (`keras.distribution.DataParallel`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet.errors import InputError
from keras_resnet.training.devices import Devices

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class DataParallel(Devices):
    """JAX's devices.

    The program is written for the whole batch and JAX cuts it up: batch normalisation sees all of it in any case, so
    the result is one device's without a synchronized kind of layer (which Keras does not have there).

    Attributes:
        distribution: distribution of Keras.
    """

    distribution: keras.distribution.DataParallel = field(kw_only=True)
    strategy: Any = None

    @property
    def replicas(self) -> int:
        """Devices that share a batch."""
        return self.distribution.num_model_replicas

    def scope(self) -> contextlib.AbstractContextManager:
        """Variables that are made while it is open lie on all devices."""
        return self.distribution.scope()

    def norm(self, synchronized: bool) -> str:
        """The option `norm` of `build`.

        Raises:
            InputError: statistics of every device's own share are wanted.
        """
        if self.replicas > 1 and not synchronized:
            raise InputError("sync_bn=false: on JAX, batch normalisation sees the whole batch; set sync_bn=true")
        return super().norm(synchronized)

    def distribute(self, make: Callable[[tuple[int, int]], tf.data.Dataset]) -> tf.data.Dataset:
        """The whole batches: Keras cuts them up."""
        return make((0, 1))

    def layouts(self) -> dict[str, Any]:
        """Where a batch and what all devices have as a whole lie, for `resident.Resident`."""
        if self.replicas == 1:
            return {}
        from jax.sharding import NamedSharding, PartitionSpec

        def of_batch(shape: tuple[int, ...]) -> Any:
            return self.distribution.get_data_layout(shape).backend_layout

        return {"layout": of_batch, "everywhere": NamedSharding(of_batch((1,)).mesh, PartitionSpec())}

    @contextlib.contextmanager
    def fitting(self, model: keras.Model, batch: Sequence[keras.KerasTensor]) -> Iterator[None]:
        """Keras' `fit` uses the devices while the block runs; see `Devices`."""
        with self.distribution.scope():
            model._symbolic_build(data_batch=tuple(batch))  # the metrics too, which a checkpoint may fill
            yield


def make(name: str) -> DataParallel:
    """Chooses the devices of a run on JAX.

    Args:
        name: one of `strategy.STRATEGIES`: `"none"` for the first device, `"mirrored"` for all.

    Raises:
        InputError: another strategy, which JAX does not have here.
    """
    if name not in ("none", "mirrored"):
        raise InputError(
            f"--strategy {name} is TensorFlow's: on Keras' JAX backend expected none or mirrored (all of JAX's "
            "devices, TPUs included), or unset KERAS_BACKEND"
        )
    devices = keras.distribution.list_devices()
    devices = devices if name == "mirrored" else devices[:1]
    return DataParallel(distribution=keras.distribution.DataParallel(devices=devices))
