"""A run on TensorFlow's devices: variables, batches and `fit` under `tf.distribute`. JAX's are in data_parallel.py."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_resnet.errors import GateError, InputError
from keras_resnet.lazily import tf

_FACTS_BYTES = 16_384  # what workers tell each other before they begin


@dataclass(frozen=True)
class Devices:
    """Devices that a run computes on.

    Attributes:
        strategy: distribution strategy of TensorFlow.
        workers: `host:port` of all workers; empty on one machine.
        index: number of this worker, from 0.
    """

    strategy: tf.distribute.Strategy = field(default_factory=lambda: tf.distribute.get_strategy())
    workers: tuple[str, ...] = ()
    index: int = 0

    @property
    def replicas(self) -> int:
        """Copies of the net, over all workers."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_one(self) -> bool:
        """True for one device of one machine, as without a strategy."""
        return not self.workers and self.strategy is tf.distribute.get_strategy()

    @property
    def is_chief(self) -> bool:
        """True for the worker that writes the run directory."""
        return self.index == 0

    def scope(self) -> contextlib.AbstractContextManager:
        """A context; variables that are made in it belong to all devices."""
        return self.strategy.scope()

    def norm(self, synchronized: bool) -> str:
        """The option `norm` of `build`: with statistics of the whole batch, or of a replica's share."""
        return "sync_batch" if self.replicas > 1 and synchronized else "batch"

    def check_batch(self, batch_size: int) -> None:
        """Refuses a global batch that the replicas cannot share.

        Raises:
            InputError: the batch does not divide.
        """
        if batch_size % self.replicas:
            near = batch_size - batch_size % self.replicas or self.replicas
            raise InputError(
                f"batch_size={batch_size} does not divide over {self.replicas} replicas: it is the global one; pass "
                f"--set batch_size={near}, say"
            )

    def distribute(self, make: Callable[[tuple[int, int]], tf.data.Dataset]):
        """Makes the training batches of every replica.

        Args:
            make: function of a worker's `(number, count)`; gives its part of every global batch: pairs of inputs and
                targets, tensors or dicts of them.

        Returns:
            The batches as `fit` takes them.
        """
        if self.replicas == 1 and not self.workers:
            return make((0, 1))

        def for_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            count = context.num_replicas_in_sync // context.num_input_pipelines
            batches = make((context.input_pipeline_id, context.num_input_pipelines))

            def divided(x: tf.Tensor) -> tf.Tensor:
                return tf.reshape(x, [count, x.shape[0] // count, *x.shape[1:]])

            def shared(*batch):
                return tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(divided, batch))

            return batches if count == 1 else batches.flat_map(shared)

        return self.strategy.distribute_datasets_from_function(for_worker)

    def layouts(self) -> dict[str, Any]:
        """Nothing: see `DataParallel`."""
        return {}

    def padded(self, batches: tf.data.Dataset, batch_size: int, count: int) -> tf.data.Dataset:
        """Evaluation batches that the replicas can share: an empty share would break some kernels.

        Every batch gets `batch_size` examples, those that were added with weight 0. Keras divides the loss by the
        number of examples, so the others get the weight that makes up for it; then loss and weighted metrics are those
        of every example counted once.

        Args:
            batches: pairs of inputs and targets: tensors `(n, ...)`, or dicts of them.
            batch_size: examples of every batch but the last, which may have fewer.
            count: number of examples in all.

        Returns:
            Inputs, targets and weights, float32 `(batch_size,)`; on one device `batches` itself.
        """
        if self.replicas == 1:
            return batches
        weight = -(-count // batch_size) * batch_size / count

        def pad(*batch):
            missing = batch_size - tf.shape(tf.nest.flatten(batch)[0])[0]

            def padded(x: tf.Tensor) -> tf.Tensor:
                full = tf.pad(x, [[0, missing]] + [[0, 0]] * (x.shape.rank - 1))
                return tf.ensure_shape(full, [batch_size, *x.shape[1:]])

            weights = weight * tf.cast(tf.range(batch_size) < batch_size - missing, tf.float32)
            return (*tf.nest.map_structure(padded, batch), weights)

        return batches.map(pad)

    def agree(self, facts: Mapping[str, object]) -> None:
        """Makes sure that all workers are about to do the same; also waits for all of them.

        Args:
            facts: JSON types, the same keys on every worker.

        Raises:
            InputError: another worker has other ones; it and the differences are named.
        """
        if not self.workers:
            return
        told = json.dumps(facts, sort_keys=True).encode()
        facts = json.loads(told)  # with lists for tuples, as the others'
        if len(told) > _FACTS_BYTES:
            raise InputError(f"the recipe is too long for other workers: {len(told)} bytes, at most {_FACTS_BYTES}")
        padded = tf.constant([list(told.ljust(_FACTS_BYTES))], tf.int32)
        with self._naming_lost_workers():
            everyone = self.strategy.gather(self.strategy.run(lambda: padded), axis=0).numpy()
        per_worker = everyone[:: len(everyone) // len(self.workers)]
        for number, row in enumerate(per_worker):
            theirs = json.loads(bytes(row.astype("uint8")))
            apart = "; ".join(
                f"{k} is {theirs.get(k)} there, {facts[k]} here" for k in facts if theirs.get(k) != facts[k]
            )
            if apart:
                raise InputError(f"worker {number} ({self.workers[number]}) differs from worker {self.index}: {apart}")

    @contextlib.contextmanager
    def fitting(self, model: keras.Model, batch: Sequence[keras.KerasTensor]) -> Iterator[None]:
        """Keras' `fit` works while the block runs, and a worker that dies ends it with a message.

        Args:
            model: built and compiled in the strategy's scope.
            batch: shapes of the inputs and of the targets of one replica: specs, or dicts of them.

        Raises:
            GateError: another worker is gone.
        """
        with _Fit(model, self.strategy, batch), self._naming_lost_workers():
            yield

    @contextlib.contextmanager
    def _naming_lost_workers(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            if not self.workers:
                raise
            others = sorted({int(n) for n in re.findall(r"task:(\d+)", str(error))} - {self.index})
            who = " and ".join(f"worker {n} ({self.workers[n]})" for n in others) or "another worker"
            raise GateError(
                f"{who} is gone, so the run stopped ({type(error).__name__}); start all workers again with --resume"
            ) from error


class _Fit:
    """Closes the two gaps of Keras 3.15's `fit` under `MultiWorkerMirroredStrategy`.

    `Trainer._maybe_symbolic_build` reduces a batch over the workers, which fails with one replica each; and it takes a
    batch out of the pipeline. Here the metrics are built from the batch's shapes. `reduce_per_replica` means scalars
    over an axis that they do not have; here the local value is taken: metrics are variables that TensorFlow adds up.
    """

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy, batch: Sequence[keras.KerasTensor]):
        from keras.src.backend.tensorflow import trainer

        self._trainer, self._reduce = trainer, trainer.reduce_per_replica
        with strategy.scope():
            model._symbolic_build(data_batch=tuple(batch))
        model._maybe_symbolic_build = lambda iterator=None, data_batch=None: None

    def _local(self, values, strategy, reduction):
        if reduction != "auto" or not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return self._reduce(values, strategy, reduction)
        return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], values)

    def __enter__(self) -> None:
        self._trainer.reduce_per_replica = self._local

    def __exit__(self, *_: object) -> None:
        self._trainer.reduce_per_replica = self._reduce
