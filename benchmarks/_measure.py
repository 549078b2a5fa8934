"""Interleaved medians: this machine's neighbours make noise, ratios within one run bear it."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    repeats: int,
    prepare: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Runs all candidates in turn, `repeats` times after one round of warm-up.

    Args:
        candidates: name: what to time.
        repeats: rounds.
        prepare: called before each, not timed.
        clock: wall time by default; `time.process_time` for work of one thread on a machine with neighbours.

    Returns:
        The median seconds of each.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for round_number in range(repeats + 1):
        for name, work in candidates.items():
            prepare()
            start = clock()
            work()
            if round_number:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def print_ratio(what: str, ours: float, theirs: float, peer: str, limit: float) -> bool:
    """Prints one line; returns whether the ratio is within its limit."""
    held = ours / theirs <= limit
    print(
        f"{what:42} {ours * 1000:9.1f} ms   {peer} {theirs * 1000:9.1f} ms   ratio {ours / theirs:.2f} "
        f"(limit {limit:.2f}) {'held' if held else 'NOT HELD'}   load {os.getloadavg()[0]:.1f}"
    )
    return held
