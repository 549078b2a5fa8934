"""Training on several devices and machines: the run's devices by name, and who is in a cluster."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections.abc import Mapping, Sequence

import keras

from keras_resnet import untrusted
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.lazily import tf
from keras_resnet.training import data_parallel
from keras_resnet.training.devices import Devices

__all__ = ["STRATEGIES", "Devices", "cluster", "make"]

_TF_CONFIG = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
STRATEGIES = ("none", "mirrored", "multiworker", "tpu", "parameter-server")


def make(name: str, workers: Sequence[str] = (), worker_index: int | None = None) -> Devices:
    """The devices of a run.

    Args:
        name: row of `STRATEGIES`.
        workers: `host:port` of every worker, for `"multiworker"`; else TF_CONFIG says, or SLURM's environment.
        worker_index: number of this process among the workers, from 0.

    Returns:
        The devices; with `"multiworker"` this process listens at its port from now on.

    Raises:
        InputError: unknown or impossible strategy, workers that are described badly, a port in use.
    """
    if name not in STRATEGIES:
        raise unknown_name("strategy", name, STRATEGIES)
    if keras.backend.backend() == "jax":
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
        workers: `host:port` of every worker, as the user gave them.
        index: number of this worker, as the user gave it.

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
        config = untrusted.parse(text)
        if not isinstance(config, dict):
            raise InputError(f"TF_CONFIG is no object, received {text[:80]}: expected {_TF_CONFIG}")
        jobs, task = config["cluster"], config["task"]
        if set(jobs) - {"chief", "worker"} or task["type"] not in jobs:
            raise InputError(
                f"TF_CONFIG: expected a cluster of chief and worker with this task's type in it, received "
                f"{', '.join(jobs)} and the task {task['type']}"
            )
        workers = [*jobs.get("chief", []), *jobs.get("worker", [])]
        index = task["index"] + (len(jobs.get("chief", [])) if task["type"] == "worker" else 0)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"TF_CONFIG is no JSON ({error}): {text[:80]}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"TF_CONFIG {'lacks' if isinstance(error, KeyError) else 'is of another form:'} {error}: expected "
            f"{_TF_CONFIG}"
        ) from error
    return workers, index


def _from_slurm() -> tuple[list[str], int]:
    """Reads SLURM's variables by TensorFlow's own reader; every task of the step is a worker."""
    try:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=1, gpus_per_task=1, auto_set_gpu=False
        )
        workers = resolver.cluster_spec().as_dict()["worker"]
        return workers, resolver.get_task_info()[1]
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise InputError(f"SLURM's environment does not describe the job: {error}") from error
