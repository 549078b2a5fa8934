#!/usr/bin/env python3
"""Bulk prediction against the bare net: photos a second of `predict` on files, and of the same runner fed from memory.

Run it: python benchmarks/prediction.py --folder PHOTOS [--files 2000] [--model resnet50] [--least 0.85]   (ten minutes)

Without --folder the photos are made here (500 x 375 JPEG). Both run in turn in this process with the same threads, on
an int8 TFLite file and on the Keras model in float32; a figure is the median of the rounds. The answers of both must be
equal. --memory N answers for N files, and prints the highest resident memory; it fails above 1.2 GB. Exit status 1 if
a part fails.
"""

import argparse
import contextlib
import itertools
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from keras_resnet import console

console.import_tensorflow()

import numpy as np  # noqa: E402
from input_pipeline import make_folder  # noqa: E402

sys.path.pop(0)  # this folder, in which export.py would be found as `export`

import keras_resnet  # noqa: E402
from export import export  # noqa: E402
from keras_resnet.errors import GateError  # noqa: E402
from keras_resnet.evaluation import bulk  # noqa: E402
from keras_resnet.runtime.interface import Runner  # noqa: E402
from keras_resnet.runtime.keras import KerasRunner  # noqa: E402

LIMIT = 1.2e9  # bytes
TOLERANCE = 1e-6
KINDS = ("float32", "int8")


def repeated(folder: Path, count: int) -> list[Path]:
    """Pictures of a folder, over and over."""
    return list(itertools.islice(itertools.cycle(sorted(folder.rglob("*.jpg"))), count))


def from_files(runner: Runner, paths: list[Path]) -> list:
    """Answers as the command gives them."""
    return list(bulk.answers(runner, paths, runner.card, 5))


def from_memory(runner: Runner, batches: list[np.ndarray]) -> list[np.ndarray]:
    """The net alone, on prepared pixels."""
    return [runner(batch)[runner.output.name] for batch in batches]


def rates(runner: Runner, paths: list[Path], rounds: int) -> tuple[float, float, float, float]:
    """Photos a second from files and from memory, ratio of CPU seconds, and the largest difference of a probability."""
    shape = runner.example_shape
    once = list(dict.fromkeys(paths))[: 4 * runner.bulk]
    signal = bulk.get_signal("image").code
    pixels = np.stack([signal.load(path, shape, runner.card.crop) for path in once])
    prepared = np.asarray(runner.card.preprocess(pixels))
    chunks = [prepared[start : start + runner.bulk] for start in range(0, len(prepared), runner.bulk)]
    batches = list(itertools.islice(itertools.cycle(chunks), max(1, len(paths) // runner.bulk)))
    expected = np.concatenate(from_memory(runner, chunks)).max(1)
    given = np.array([answer.top[0][1] for answer in from_files(runner, once)])
    fed = sum(map(len, batches))
    seconds: dict[str, list[float]] = {"files": [], "memory": []}
    cpu: dict[str, list[float]] = {"files": [], "memory": []}
    for _ in range(rounds):
        for name in seconds:
            start, used = time.perf_counter(), time.process_time()
            from_files(runner, paths) if name == "files" else from_memory(runner, batches)
            seconds[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - used)
    work = (statistics.median(cpu["memory"]) / fed) / (statistics.median(cpu["files"]) / len(paths))
    rate = len(paths) / statistics.median(seconds["files"])
    return rate, fed / statistics.median(seconds["memory"]), work, float(np.abs(expected - given).max())


def memory(runner: Runner, paths: list[Path]) -> float:
    """Bytes that were resident at most while files were answered for."""
    for _ in bulk.answers(runner, paths, runner.card, 5):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def runners(model: str, kinds: list[str], folder: Path, scratch: Path) -> dict[str, Runner]:
    """An int8 file and the net itself; random weights, as speed does not depend on them."""
    found: dict[str, Runner] = {}
    net = keras_resnet.build(model, weights=None)
    if "float32" in kinds:
        found["Keras float32"] = KerasRunner(net)
    if "int8" in kinds:
        signal = bulk.get_signal("image").code
        samples = np.stack([signal.load(path, net.input_shape[1:]) for path in repeated(folder, 16)])
        with contextlib.suppress(GateError):  # values without a meaning do not pass
            export(net, scratch / "int8.tflite", precision="int8", samples=samples)
        found["TFLite int8"] = keras_resnet.open_runner(next(scratch.glob("int8*.tflite")), trusted=True)
    return found


def main() -> int:
    """Prints a table; 0 if every part holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="JPEG files of your own, in any folders below")
    parser.add_argument("--files", type=int, default=2000, help="photos of a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--kinds", default=",".join(KINDS), help="rows of the table (%(default)s)")
    parser.add_argument("--least", type=float, default=0.85, help="of the bare net's rate (%(default)s)")
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="files to measure memory with, no rates")
    args = parser.parse_args()
    if unknown := set(args.kinds.split(",")) - set(KINDS):
        parser.error(f"--kinds {args.kinds}: expected {' and '.join(KINDS)}, received {', '.join(sorted(unknown))}")
    rows, failed = [], False
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or make_folder(Path(scratch) / "photos")
        for name, runner in runners(args.model, args.kinds.split(","), folder, Path(scratch)).items():
            if args.memory:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
                peak = memory(runner, repeated(folder, args.memory))
                held = peak < LIMIT
                rows.append((name, f"{before / 1e6:,.0f}", f"{peak / 1e6:,.0f}", "held" if held else "NOT HELD"))
                failed |= not held
                continue
            ours, bare, work, apart = rates(runner, repeated(folder, args.files), args.rounds)
            held = ours >= args.least * bare and apart <= TOLERANCE
            failed |= not held
            figures = (f"{ours:.1f}", f"{bare:.1f}", f"{ours / bare:.2f}", f"{work:.2f}", f"{apart:.1e}")
            rows.append((name, *figures, "held" if held else "NOT HELD"))
    if args.memory:
        header = ("net", "MB before", "MB at most", "below 1,200 MB")
        console.print_table(f"{args.model}, {args.memory:,} files", header, rows)
    else:
        header = (
            "net",
            "files/s",
            "bare net/s",
            "ratio",
            "of CPU seconds",
            "largest difference",
            f"at least {args.least}",
        )
        console.print_table(f"{args.model}, rounds of {args.files:,} files", header, rows)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
