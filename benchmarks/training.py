#!/usr/bin/env python3
"""Training steps: ours beside plain Keras 3, tf_keras and PyTorch; the same graph, batch and SGD with weight decay.

Run it: python benchmarks/training.py [--net resnet20_cifar ...] [--without pytorch]   (ten minutes for all)

Every candidate is a process of its own, and they take turns; who waits is stopped. A step's time is taken by a
callback, from the first step's start to the last one's end: what `fit` does around them is not in it, and is measured
by itself (`around`). Figures are medians over the rounds; CPU seconds stand beside them. `first` is what passes until
the first step has ended, tracing and compiling. PyTorch needs the environment of `python tools/environment.py timm`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
RATE, DECAY = 0.1, 5e-4
# net: (batch, height and width, classes, steps per round, rounds)
CASES = {
    "resnet20_cifar": (128, 32, 10, 6, 5),
    "resnet50_v1_5": (16, 224, 1000, 1, 5),
    "resnet110_cifar": (128, 32, 10, 1, 2),
}
SMALLEST = {"resnet20_cifar": (8, 32, 10, 2, 1)}
PEERS = ("keras, float32", "keras, bfloat16", "tf_keras, float32")
PYTORCH = ("pytorch, float32", "pytorch, bfloat16", "pytorch, bfloat16, compiled")
OURS = ("ours, bfloat16", "ours, float32")
# What was asked of this benchmark; peers without an entry are shown without a limit.
LIMITS = {
    ("ours, bfloat16", "keras, float32"): 1 / 1.8,
    ("ours, bfloat16", "tf_keras, float32"): 1 / 1.4,
    ("ours, float32", "keras, float32"): 1 / 1.2,
    ("ours, bfloat16", "pytorch, bfloat16, compiled"): 1.1,
}
DEEPEST = "resnet110_cifar"  # of which the start matters: the steps are those of resnet20_cifar
FIRST_STEP_LIMIT = 0.7


def ours(policy: str) -> Callable:
    """Makes the model as `train` does."""

    def make(net: str, size: int) -> Any:

        from keras_resnet import build
        from keras_resnet.nets.fused import fuse
        from keras_resnet.training import precision
        from keras_resnet.training.optimization import CoupledSGD

        with precision.policy(policy):
            model = build(net, input_shape=(size, size, 3))
        fuse(model)
        return _compiled(model, CoupledSGD(RATE, decay=DECAY, momentum=0.9, nesterov=True))

    return make


def stock(policy: str) -> Callable:
    """The same graph with nothing but Keras."""

    def make(net: str, size: int) -> Any:
        import keras

        from keras_resnet import build
        from keras_resnet.training import precision

        with precision.policy(policy):
            model = build(net, input_shape=(size, size, 3))
        return _compiled(model, keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True, weight_decay=DECAY))

    return make


def legacy(net: str, size: int) -> Any:
    """The same builder code with the layers of Keras 2."""
    import tf_keras

    from keras_resnet.builder import _backbone, _head
    from keras_resnet.nets.blocks import Primitives
    from keras_resnet.nets.conventions import CONVENTIONS
    from keras_resnet.nets.specs import get_spec

    spec = get_spec(net)
    p = Primitives(CONVENTIONS[spec.convention], tf_keras)
    image = tf_keras.Input((size, size, 3))
    output = _head(p, _backbone(p, image, spec), spec.classes, "softmax")
    optimizer = tf_keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True, weight_decay=DECAY)
    return _compiled(tf_keras.Model(image, output), optimizer)


def _compiled(model: Any, optimizer: Any) -> Any:
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


MAKERS: dict[str, Callable] = {
    "ours, bfloat16": ours("mixed_bfloat16"),
    "ours, float32": ours("float32"),
    "keras, float32": stock("float32"),
    "keras, bfloat16": stock("mixed_bfloat16"),
    "tf_keras, float32": legacy,
}


def candidate(name: str, net: str, smallest: bool) -> None:
    """Takes turns: answers every line by the seconds of a round's steps."""
    from keras_resnet import console

    console.import_tensorflow()
    import keras
    import tf_keras

    from keras_resnet.nets.graph import deep_graphs

    batch, size, classes, steps, _ = (SMALLEST if smallest else CASES)[net]
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch * steps, size, size, 3), np.float32)
    labels = rng.integers(0, classes, batch * steps)
    base = (tf_keras if name.startswith("tf_keras") else keras).callbacks.Callback

    class Clock(base):
        """Wall and CPU time at the first step's start and the last one's end."""

        def on_train_batch_begin(self, step, logs=None):
            if not step:
                self.begin = time.perf_counter(), time.process_time()

        def on_train_batch_end(self, step, logs=None):
            self.end = time.perf_counter(), time.process_time()

    start = time.perf_counter()
    with deep_graphs():
        model, clock = MAKERS[name](net, size), Clock()
        made = time.perf_counter()
        model.fit(images[:batch], labels[:batch], batch_size=batch, verbose=0, callbacks=[clock])
    first = {"build": made - start, "first": clock.end[0] - made}
    print(json.dumps({**first, "version": (tf_keras if base is tf_keras.callbacks.Callback else keras).__version__}))
    sys.stdout.flush()
    for _ in sys.stdin:
        clock, start = Clock(), time.perf_counter()
        model.fit(images, labels, batch_size=batch, verbose=0, callbacks=[clock])
        whole = time.perf_counter() - start
        wall, cpu = (end - begin for begin, end in zip(clock.begin, clock.end, strict=True))
        print(json.dumps({"step": wall / steps, "cpu": cpu / steps, "around": whole - wall}), flush=True)


def command(name: str, net: str, smallest: bool) -> list[str]:
    """How a candidate is started.

    Raises:
        FileNotFoundError: PyTorch is not here.
    """
    from _waiting import pytorch

    if name in PYTORCH:
        batch, size, classes, steps, _ = (SMALLEST if smallest else CASES)[net]
        return [pytorch(), str(HERE / "_pytorch_training.py"), name, net, *map(str, (batch, size, classes, steps))]
    return [sys.executable, __file__, "--candidate", name, "--net", net, *(["--smallest"] if smallest else [])]


def measure(net: str, args: argparse.Namespace, figures: Any) -> None:
    """One net's figures."""
    from _waiting import Candidate

    *_, rounds = (SMALLEST if args.smallest else CASES)[net]
    if args.smallest or net == DEEPEST:
        names = [OURS[1], PEERS[0]]
    else:
        names = [*OURS, *PEERS, *(() if args.without == "pytorch" else PYTORCH)]
    threads = {"OMP_NUM_THREADS": str(os.cpu_count())}
    running: dict[str, Candidate] = {}
    times: dict[str, list[dict]] = {name: [] for name in names}
    try:
        for name in names:
            running[name] = Candidate(command(name, net, args.smallest), threads)
        for _ in range(rounds):
            for name, child in running.items():
                times[name].append(child.ask())
        first = {name: child.ready for name, child in running.items()}
    finally:
        for child in running.values():
            child.close()
    found = {}
    for name, answers in times.items():
        found[name] = {
            **{key: round(value, 3) if isinstance(value, float) else value for key, value in first[name].items()},
            **{key: round(statistics.median(each[key] for each in answers), 4) for key in answers[0]},
        }
        step = found[name]
        print(f"{net:16} {name:28} {1000 * step['step']:8.0f} ms a step, {step['cpu']:6.2f} CPU s", flush=True)
    figures[net] = found
    if net == DEEPEST or args.smallest:
        mine, theirs = (found[name]["first"] for name in (OURS[1], PEERS[0]))
        figures.ratio(f"{net}, first step", mine, theirs, PEERS[0], FIRST_STEP_LIMIT)
        return
    for mine in OURS:
        for peer in names:
            if peer not in OURS:
                limit = LIMITS.get((mine, peer))
                figures.ratio(f"{net}, {mine}", found[mine]["step"], found[peer]["step"], peer, limit)


def main() -> int:
    """Measures the nets that were asked for."""
    from _measure import Figures, parser

    made = parser(__doc__)
    made.add_argument("--net", action="append", choices=CASES, help="only this one; repeatable")
    made.add_argument("--without", choices=("pytorch",), help="leave out a peer that is not here")
    made.add_argument("--candidate", help=argparse.SUPPRESS)
    args = made.parse_args()
    if args.candidate:
        candidate(args.candidate, args.net[0], args.smallest)
        return 0
    figures = Figures("training", args)
    for net in args.net or (SMALLEST if args.smallest else CASES):
        measure(net, args, figures)
    return figures.finish()


if __name__ == "__main__":
    from _measure import run

    run(main)
