"""Images a second and a CPU second of an input pipeline; imports nothing but Python's own modules."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def cpu_seconds() -> float:
    """Of this process and of its children that live: Linux counts children only when they have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = own.ru_utime + own.ru_stime
    for child in Path("/proc/self/task").glob("*/children"):
        for pid in child.read_text().split():
            user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
            total += (int(user) + int(system)) / 100
    return total


def rates(make: Callable[[], Iterator[object]], batch: int, buffered: int, batches: int) -> dict[str, float]:
    """Images a CPU second (`cpu`) and a second (`wall`).

    Args:
        make: starts the pipeline.
        batch: images of a batch.
        buffered: batches that are left out: work done ahead.
        batches: batches that are timed.
    """
    source = make()
    for _ in range(buffered):
        next(source)
    start, cpu = time.perf_counter(), cpu_seconds()
    for _ in range(batches):
        next(source)
    return {"cpu": batch * batches / (cpu_seconds() - cpu), "wall": batch * batches / (time.perf_counter() - start)}
