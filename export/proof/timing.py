"""How long a file takes for one example."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

from keras_resnet.runtime.opening import open_runner

_WARM_UP, _LEAST, _SECONDS = 3, 10, 1.0


def latency_ms(path: Path, example: np.ndarray, engine: str | None = None) -> float:
    """Median time of one example on one thread, the first runs left out.

    Args:
        path: file.
        example: float32 `(1, ..., channels)`, prepared.
        engine: one of `ENGINES`, for a TFLite file.

    Returns:
        Milliseconds, quantization of the input and dequantization of the output included.
    """
    runner = open_runner(path, threads=1, engine=engine, trusted=True)
    for _ in range(_WARM_UP):
        runner(example)
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < _LEAST or time.perf_counter() - start < _SECONDS:
        begin = time.perf_counter()
        runner(example)
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000
