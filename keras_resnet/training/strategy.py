"""Training on several devices and machines. The only file that names `tf.distribute`; JAX's are in data_parallel.py."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from keras_resnet.errors import GateError, InputError, unknown_name

STRATEGIES = ("none", "mirrored", "multiworker", "tpu", "parameter-server")
_FACTS_BYTES = 16_384  # what workers tell each other before they begin


@dataclass(frozen=True)
class Devices:
    """Where a run computes.

    Attributes:
        strategy: TensorFlow's.
        workers: `host:port` of all workers; empty on one machine.
        index: of this worker.
    """

    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)
    workers: tuple[str, ...] = ()
    index: int = 0

    @property
    def replicas(self) -> int:
        """Copies of the net, over all workers."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_one(self) -> bool:
        """Whether this is one device of one machine, as without a strategy."""
        return not self.workers and self.strategy is tf.distribute.get_strategy()

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the run directory."""
        return self.index == 0

    def scope(self) -> contextlib.AbstractContextManager:
        """Variables that are made while it is open belong to all devices."""
        return self.strategy.scope()

    def norm(self, synchronized: bool) -> str:
        """The option `norm` of `build`: with statistics of the whole batch, or of a replica's share."""
        return "sync_batch" if self.replicas > 1 and synchronized else "batch"

    def check_batch(self, batch_size: int) -> None:
        """Refuses a global batch that the replicas cannot share.

        Raises:
            InputError: it does not divide.
        """
        if batch_size % self.replicas:
            near = batch_size - batch_size % self.replicas or self.replicas
            raise InputError(
                f"batch_size={batch_size} does not divide over {self.replicas} replicas: it is the global one; pass "
                f"--set batch_size={near}, say"
            )

    def distribute(self, make: Callable[[tuple[int, int]], tf.data.Dataset]):
        """The training batches of every replica.

        Args:
            make: takes `(number, count)` of a worker and makes its part of every global batch.

        Returns:
            What `fit` takes.
        """
        if self.replicas == 1 and not self.workers:
            return make((0, 1))

        def for_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            count = context.num_replicas_in_sync // context.num_input_pipelines
            batches = make((context.input_pipeline_id, context.num_input_pipelines))

            def shared(*batch):
                parts = tuple(tf.reshape(x, [count, x.shape[0] // count, *x.shape[1:]]) for x in batch)
                return tf.data.Dataset.from_tensor_slices(parts)

            return batches if count == 1 else batches.flat_map(shared)

        return self.strategy.distribute_datasets_from_function(for_worker)

    def padded(self, batches: tf.data.Dataset, batch_size: int, count: int) -> tf.data.Dataset:
        """Evaluation batches that the replicas can share: an empty share would break some kernels.

        Every batch gets `batch_size` examples, those that were added with weight 0. Keras divides the loss by the
        number of examples, so the others get the weight that makes up for it; then loss and weighted metrics are those
        of every image counted once.

        Args:
            batches: of images and targets.
            batch_size: of all batches but the last, which may have fewer.
            count: images in all.

        Returns:
            Batches of images, targets and weights; the same ones on one device.
        """
        if self.replicas == 1:
            return batches
        weight = -(-count // batch_size) * batch_size / count

        def pad(*batch):
            missing = batch_size - tf.shape(batch[0])[0]
            full = [tf.pad(x, [[0, missing]] + [[0, 0]] * (x.shape.rank - 1)) for x in batch]
            full = [tf.ensure_shape(x, [batch_size, *x.shape[1:]]) for x in full]
            return (*full, weight * tf.cast(tf.range(batch_size) < batch_size - missing, tf.float32))

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
    def fitting(self, model: keras.Model, batch: Sequence[tf.TensorSpec]) -> Iterator[None]:
        """Keras' `fit` works while the block runs, and a worker that dies ends it with a message.

        Args:
            model: built and compiled in the strategy's scope.
            batch: images and targets of one replica.

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

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy, batch: Sequence[tf.TensorSpec]):
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


def make(name: str, workers: Sequence[str] = (), worker_index: int | None = None) -> Devices:
    """The devices of a run.

    Args:
        name: of `STRATEGIES`.
        workers: for `"multiworker"`: `host:port` of each; else TF_CONFIG says, or SLURM's environment.
        worker_index: of this process among them.

    Returns:
        The devices; with `"multiworker"` this process listens at its port from now on.

    Raises:
        InputError: unknown or impossible strategy, workers that are described badly, a port in use.
    """
    if name not in STRATEGIES:
        raise unknown_name("strategy", name, STRATEGIES)
    if keras.backend.backend() == "jax":
        from keras_resnet.training import data_parallel

        return data_parallel.make(name)
    if (workers or worker_index is not None) and name != "multiworker":
        raise InputError(f"--workers and --worker-index go with --strategy multiworker, not {name}")
    if name == "parameter-server":
        raise InputError(
            "Keras 3 cannot train under ParameterServerStrategy: its fit has no coordinator for asynchronous workers "
            "(tf_keras has); use --strategy multiworker"
        )
    if name == "none":
        return Devices()
    if name == "mirrored":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        names = [device.name for device in tf.config.list_logical_devices(kind)]
        return Devices(tf.distribute.MirroredStrategy(names))
    if name == "tpu":
        return Devices(_tpu())
    return _multiworker(list(workers), worker_index)


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, tf.errors.OpError, OSError) as error:
        raise InputError(f"no TPU was found: {str(error).splitlines()[0]}") from error


def _multiworker(workers: list[str], index: int | None) -> Devices:
    workers, index = cluster(os.environ, workers, index)
    port = workers[index].rpartition(":")[2]
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC does
        try:
            probe.bind(("", int(port)))
        except OSError as error:
            raise InputError(f"worker {index} cannot listen at {workers[index]}: {error.strerror}") from error
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})
    return Devices(tf.distribute.MultiWorkerMirroredStrategy(), tuple(workers), index)


def cluster(environment: Mapping[str, str], workers: Sequence[str], index: int | None) -> tuple[list[str], int]:
    """All workers and this one's number: as they were given, else from TF_CONFIG, else from SLURM's environment.

    Args:
        environment: `os.environ`.
        workers: `host:port` of each, as given.
        index: as given.

    Raises:
        InputError: nothing says it, or not consistently.
    """
    if workers or index is not None:
        if not workers or index is None:
            raise InputError("--workers host:port,... and --worker-index N go together")
        origin, workers = "--workers", list(workers)
    elif "TF_CONFIG" in environment:
        origin, (workers, index) = "TF_CONFIG", _from_tf_config(environment["TF_CONFIG"])
    elif "SLURM_STEP_NODELIST" in environment:
        origin, (workers, index) = "SLURM's environment", _from_slurm()
    else:
        raise InputError(
            "--strategy multiworker: expected --workers host:port,... --worker-index N, or TF_CONFIG, or a SLURM job"
        )
    for worker in workers:
        if (
            not re.fullmatch(r"[^\s:]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", worker)
            or int(worker.rpartition(":")[2]) > 65535
        ):
            raise InputError(f"{origin}: {worker!r} is no host:port")
    if len(set(workers)) != len(workers):
        raise InputError(f"{origin} names a worker twice: {', '.join(workers)}")
    if not isinstance(index, int) or not 0 <= index < len(workers):
        raise InputError(f"{origin}: worker {index} is not among the {len(workers)} workers, 0 to {len(workers) - 1}")
    return workers, index


def _from_tf_config(text: str) -> tuple[list[str], int]:
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        if set(jobs) - {"chief", "worker"} or task["type"] not in jobs:
            raise InputError(
                f"TF_CONFIG: expected a cluster of chief and worker with this task's type in it, received "
                f"{', '.join(jobs)} and the task {task['type']}"
            )
        workers = [*jobs.get("chief", []), *jobs.get("worker", [])]
        index = task["index"] + (len(jobs.get("chief", [])) if task["type"] == "worker" else 0)
    except json.JSONDecodeError as error:
        raise InputError(f"TF_CONFIG is no JSON ({error}): {text[:80]}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"TF_CONFIG lacks {error}: expected "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        ) from error
    return workers, index


def _from_slurm() -> tuple[list[str], int]:
    """By TensorFlow's own reader of SLURM's variables; every task of the step is a worker."""
    try:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=1, gpus_per_task=1, auto_set_gpu=False
        )
        workers = resolver.cluster_spec().as_dict()["worker"]
        return workers, resolver.get_task_info()[1]
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise InputError(f"SLURM's environment does not describe the job: {error}") from error
