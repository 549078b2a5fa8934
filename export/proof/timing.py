"""How long a file takes for one example."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.opening import open_runner

_WARM_UP, _LEAST, _SECONDS = 3, 10, 1.0


def effort() -> tuple[int, int, float]:
    """Runs that are left out, runs that count at least, and seconds that they take at least."""
    return _WARM_UP, _LEAST, _SECONDS


def latency_ms(path: Path, example: np.ndarray, engine: str | None = None) -> float:
    """Median time of one example on one thread, the first runs left out.

    Args:
        path: file.
        example: float32 `(1, ..., channels)`, prepared.
        engine: one of `ENGINES`, for a TFLite file.

    Returns:
        Milliseconds, quantization of the input and dequantization of the output included.
    """
    return median_ms(open_runner(path, threads=1, engine=engine, trusted=True), example, *effort())


def median_ms(runner: Runner, example: np.ndarray, warm_up: int, least: int, seconds: float) -> float:
    """Median time of one example, in milliseconds.

    Args:
        runner: file, on one thread.
        example: float32 `(1, ..., channels)`, prepared.
        warm_up: runs that are left out.
        least: runs that count at least.
        seconds: that these take at least.
    """
    for _ in range(warm_up):
        runner(example)
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < least or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        runner(example)
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000
