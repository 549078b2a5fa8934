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

from keras_resnet import console

NET, BATCH, STEPS, WARM, ROUNDS, LIMIT = "resnet20_cifar", 128, 12, 4, 3, 0.8
CASES = {
    "one process, two threads": {"workers": 1, "norm": "batch"},
    "two workers, norms of their own": {"workers": 2, "norm": "batch"},
    "two workers, synchronized norms": {"workers": 2, "norm": "sync_batch"},
}


def work(workers: str, index: int, norm: str) -> dict[str, float]:
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
        model.fit(devices.distribute(batches), steps_per_epoch=WARM + STEPS, verbose=0, callbacks=[Clock()])
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoints.write(Path(folder), model, 0, 1, {})
        size = path.stat().st_size
    seconds = time.perf_counter() - start
    return {"rate": BATCH * STEPS / (times[-1] - times[WARM - 1]), "checkpoint": seconds, "bytes": size}


def run(workers: int, norm: str) -> dict[str, float]:
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
            [sys.executable, __file__, "--worker", names, str(index), norm],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for index in range(workers)
    ]
    results = [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]
    return min(results, key=lambda result: result["rate"])


def main() -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", nargs=3, metavar=("WORKERS", "INDEX", "NORM"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(work(args.worker[0], int(args.worker[1]), args.worker[2])))
        return 0
    results: dict[str, list[dict]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for name, case in CASES.items():
            results[name].append(run(**case))
    rates = {name: statistics.median(r["rate"] for r in values) for name, values in results.items()}
    first = next(iter(rates.values()))
    rows = [(name, f"{rate:,.0f}", f"{rate / first:.2f}") for name, rate in rates.items()]
    console.print_table(f"{NET}, batches of {BATCH}", ("", "images a second", "of one process"), rows)
    one = results[next(iter(CASES))]
    seconds = statistics.median(r["checkpoint"] for r in one)
    print(f"a checkpoint ({one[0]['bytes'] / 1e6:.1f} MB) takes {seconds * 1000:.0f} ms")
    return int(rates["two workers, norms of their own"] / first < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
