#!/usr/bin/env python3
"""Two workers on two cores beside one process with two threads; what synchronized norms and checkpoints cost.

Run it: python benchmarks/distributed.py   (six minutes)

ResNet-20 on noise of CIFAR's size, a global batch of 128, default precision. Every round starts the candidates anew,
one after another; a figure is the median over the rounds of images per second over STEPS steps behind the first ones.
Exit status 1 if two workers, each with norms of its own part of the batch, are below 0.8 of the one process.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import Figures, parser, run

from keras_resnet import console

NET, BATCH, STEPS, WARM, ROUNDS, LIMIT = "resnet20_cifar", 128, 12, 4, 3, 0.8
CASES = {
    "one process, two threads": {"workers": 1, "norm": "batch"},
    "two workers, norms of their own": {"workers": 2, "norm": "batch"},
    "two workers, synchronized norms": {"workers": 2, "norm": "sync_batch"},
}


def work(workers: str, index: int, norm: str, steps: int) -> dict[str, float]:
    """Trains; one of the processes."""
    console.import_tensorflow()
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_resnet import build
    from keras_resnet.nets.fused import fuse
    from keras_resnet.training import checkpoints, precision, strategy

    devices = strategy.make("multiworker", workers.split(","), index) if workers else strategy.make("none")
    with devices.strategy.scope(), precision.policy(precision.resolve("auto")):
        model = build(NET, norm=norm)
        fuse(model)
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
        model.compile(optimizer=optimizer, loss="categorical_crossentropy", jit_compile=False)
    own = BATCH // devices.replicas
    images = np.random.default_rng(0).normal(size=(own, 32, 32, 3)).astype("f")
    targets = np.eye(10, dtype="f")[np.arange(own) % 10]
    times = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            times.append(time.perf_counter())

    def batches(piece):
        return tf.data.Dataset.from_tensors((images, targets)).repeat()

    with devices.fitting(model, (tf.TensorSpec(images.shape), tf.TensorSpec(targets.shape))):
        model.fit(devices.distribute(batches), steps_per_epoch=WARM + steps, verbose=0, callbacks=[Clock()])
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoints.write(Path(folder), model, 0, 1, {})
        size = path.stat().st_size
    seconds = time.perf_counter() - start
    return {"rate": BATCH * steps / (times[-1] - times[WARM - 1]), "checkpoint": seconds, "bytes": size}


def started(workers: int, norm: str, steps: int) -> dict[str, float]:
    """Starts the processes of one candidate; the slowest rate counts."""
    names = ""
    if workers > 1:
        sockets = [socket.socket() for _ in range(workers)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        names = ",".join(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
        for one in sockets:
            one.close()
    threads = str((os.cpu_count() or 1) // workers or 1)
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    children = [
        subprocess.Popen(
            [sys.executable, __file__, "--worker", names, str(index), norm, str(steps)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for index in range(workers)
    ]
    said = [child.communicate()[0] for child in children]
    if any(child.returncode for child in children):
        raise RuntimeError(f"a worker ended with status {[child.returncode for child in children]}")
    results = [json.loads(text.splitlines()[-1]) for text in said]
    return min(results, key=lambda result: result["rate"])


def main() -> int:
    """Measures."""
    made = parser(__doc__)
    made.add_argument("--worker", nargs=4, metavar=("WORKERS", "INDEX", "NORM", "STEPS"), help=argparse.SUPPRESS)
    args = made.parse_args()
    if args.worker:
        workers, index, norm, steps = args.worker
        print(json.dumps(work(workers, int(index), norm, int(steps))))
        return 0
    figures = Figures("distributed", args)
    steps, rounds = (2, 1) if args.smallest else (STEPS, ROUNDS)
    results: dict[str, list[dict]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, case in CASES.items():
            results[name].append(started(**case, steps=steps))
    rates = {name: statistics.median(r["rate"] for r in values) for name, values in results.items()}
    first, *others = rates
    for name in others:
        limit = 1 / LIMIT if name == "two workers, norms of their own" else None
        figures.ratio(name, 1 / rates[name], 1 / rates[first], first, limit, "s an image")
    figures["images a second"] = {name: round(rate, 1) for name, rate in rates.items()}
    one = results[first]
    figures["checkpoint"] = {"seconds": round(statistics.median(r["checkpoint"] for r in one), 4)} | {
        "bytes": one[0]["bytes"]
    }
    return figures.finish()


if __name__ == "__main__":
    run(main)
