"""A job of Ray Data: rows of files are read, worked on by a pool of processes, and given back as they are done."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_resnet import __version__, console, extras
from keras_resnet.cluster import places
from keras_resnet.errors import GateError, InputError

Row = dict[str, Any]
_ROUNDS = 3  # in which what a lost worker has taken along is done again
_RETRIES = 2  # by Ray, within a round
_MOST_CPUS = 4  # of one worker
_READING = 2  # shards that are read at once, for each worker


class Worker:
    """What a process of the pool does with rows; errors become rows too, as Ray would end the job with them."""

    def __init__(self, version: str, what: Any):
        """Gets ready, once in a process.

        Args:
            version: version of this package at the command.
            what: reference to what `prepare` is given.
        """
        self.failure = ""
        if version != __version__:
            self.failure = f"this worker has keras_resnet {__version__}, the command {version}: install the same"
            return
        try:
            console.import_tensorflow("jax")
            self.prepare(extras.imported("ray").get(what))
        except Exception as error:  # every kind: see the class
            self.failure = f"a worker cannot get ready: {error or type(error).__name__}"

    def prepare(self, what: Any) -> None:
        """Gets ready; `what` is the job's."""

    def work(self, row: Row, contents: Iterable[bytes | str]) -> bytes:
        """The result of a row.

        Args:
            row: row of the job.
            contents: contents of its files; in place of one that cannot be read the reason.
        """
        raise NotImplementedError

    def __call__(self, row: Row) -> Row:
        """The result of a row, or why there is none."""
        try:
            if self.failure:
                raise GateError(self.failure)
            return _row(row, result=self.work(json.loads(row["row"]), _apart(row["contents"], json.loads(row["read"]))))
        except (GateError, InputError) as error:
            return _row(row, error=str(error), final=True)
        except Exception as error:  # every kind: see the class
            return _row(row, error=f"{type(error).__name__}: {error}")


def _row(row: Row, *, result: bytes = b"", error: str = "", final: bool = False) -> Row:
    return {"shard": row["shard"], "result": result, "error": error, "final": final}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is done with rows.

    Attributes:
        worker: does the work.
        what: gets every worker ready; sent to each machine once.
        here: whether files are read on this machine and sent to the workers.
        title: of the progress.
    """

    worker: type[Worker]
    what: Any = None
    here: bool
    title: str


def finished(job: Job, rows: Sequence[Row]) -> Iterator[tuple[int, bytes]]:
    """Results of rows, as they are done, in any order; connected to Ray.

    Args:
        job: what is done.
        rows: each with its number `shard` and the `addresses` of its files, and what the worker needs to know besides.

    Yields:
        Number and result.

    Raises:
        GateError: a worker cannot do its work, a row fails in each of three rounds, or the cluster is lost.
    """
    todo = {row["shard"]: row for row in rows}
    why: dict[int, str] = {}
    for _ in range(_ROUNDS):
        for row in console.progress(_streamed(job, list(todo.values())), job.title, len(todo)):
            if row["final"]:
                raise GateError(row["error"])
            if row["error"]:
                why[row["shard"]] = row["error"]
                continue
            del todo[row["shard"]]
            yield row["shard"], row["result"]
        if not todo:
            return
    raise GateError(_said(todo, why))


def _said(todo: Mapping[int, Row], why: Mapping[int, str]) -> str:
    number, row = next(iter(todo.items()))
    names = [path or places.public(uri) for uri, path in row["addresses"]]
    between = " to ".join(names[:1] + names[-1:])
    said = why.get(number, "no worker gave an answer: each was lost, or the cluster has no place for one")
    return (
        f"{len(todo):,} shards were not done in {_ROUNDS} rounds; number {number}, {between}: {said}. The "
        "others are kept: the same command goes on from them"
    )


def _streamed(job: Job, rows: Sequence[Row]) -> Iterator[Row]:
    """One round."""
    ray: Any = extras.imported("ray")
    cpus, workers, gpus = _shares(ray)
    # As JSON: tables of Arrow take no names in other encodings, and NumPy's bytes lose their last zeros.
    items = [{"shard": row["shard"], "row": json.dumps(row)} for row in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of options of Ray's core, until 2.64: setup.py
        data = ray.data.from_items(items, override_num_blocks=len(items))
        # Reading waits for disks and networks: it takes no processor, of which this machine may offer none.
        where = {"scheduling_strategy": _here(ray)} if job.here else {}
        data = data.map(_with_contents, num_cpus=0, concurrency=_READING * workers, **where)
        data = data.map(
            job.worker,
            fn_constructor_args=(__version__, ray.put(job.what)),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=2),
            num_cpus=cpus,
            num_gpus=gpus,
            max_restarts=-1,
            max_task_retries=_RETRIES,
        )
    try:
        yield from data.iter_rows()
    except ray.exceptions.RayError as error:
        raise GateError(f"Ray ended the job: {str(error).strip().splitlines()[-1][:300]}") from error


def _shares(ray: Any) -> tuple[int, int, int]:
    """CPUs of a worker, number of workers, and GPUs of a worker; something is left to reading."""
    all_cpus = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    total, gpus = sum(all_cpus), int(ray.cluster_resources().get("GPU", 0))
    cpus = max(1, min(_MOST_CPUS, int(min(filter(None, all_cpus), default=1)) - 1))
    return cpus, gpus or max(1, int((total - 0.5) // cpus)), int(gpus > 0)


def _here(ray: Any) -> Any:
    strategy: Any = extras.imported("ray.util.scheduling_strategies")
    return strategy.NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _with_contents(row: Row) -> Row:
    """A row with the contents of its files end to end, and of each its length, or why it cannot be read."""
    found = list(places.read_all([places.Address(*each) for each in json.loads(row["row"])["addresses"]]))
    read = [len(each) if isinstance(each, bytes) else str(each) for each in found]
    contents = b"".join(each for each in found if isinstance(each, bytes))
    return {**row, "contents": contents, "read": json.dumps(read)}


def _apart(contents: bytes, read: Sequence[int | str]) -> Iterator[bytes | str]:
    start = 0
    for each in read:
        if isinstance(each, str):
            yield each
            continue
        yield contents[start : start + each]
        start += each
