#!/usr/bin/env python3
"""Bulk prediction against the bare net: photos a second of `predict` on files, and of the same runner fed from memory.

Run it: python benchmarks/prediction.py [--folder PHOTOS] [--files 500] [--model resnet50]   (ten minutes)

Without --folder the photos are made here (500 x 375 JPEG). Both run in turn in this process with the same threads, on
an int8 TFLite file and on the Keras model in float32; a figure is the median of the rounds. What reading a photo costs
is measured apart: its decoding by libjpeg, and the whole way to the net's pixels. The answers of both must be equal.
The memory that the command takes at most for N files (`--memory N`) stays below 1.2 GB. Exit status 1 if a part fails.
"""

import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

from _measure import Figures, interleaved, parser, run
from _processes import measured

from keras_resnet import console

console.import_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from input_pipeline import make_folder  # noqa: E402

import keras_resnet  # noqa: E402
from export import export  # noqa: E402
from keras_resnet.card import ModelCard  # noqa: E402
from keras_resnet.errors import GateError  # noqa: E402
from keras_resnet.evaluation import bulk  # noqa: E402
from keras_resnet.runtime.interface import Runner  # noqa: E402

LIMIT = 1.2  # GB
TOLERANCE = 1e-6
KINDS = ("float32", "int8")
NAMES = {"float32": "Keras float32", "int8": "TFLite int8"}


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


def reading(folder: Path, shape: tuple[int, ...], rounds: int) -> dict[str, float]:
    """Median CPU milliseconds to decode a photo, and to have it cut out and resized as well."""
    photos = [path.read_bytes() for path in repeated(folder, 64)]
    decoded = tf.function(bulk.get_signal("image").code.decoded)
    ways = {
        "a photo decoded, CPU ms": lambda: [tf.io.decode_jpeg(photo, channels=3) for photo in photos],
        "and resized, CPU ms": lambda: [decoded(tf.constant([photo]), shape) for photo in photos],
    }
    decoded(tf.constant(photos[:1]), shape)  # traced
    found = interleaved(ways, rounds, clock=time.process_time)
    return {name: round(1000 * seconds / len(photos), 2) for name, seconds in found.items()}


def copies(folder: Path, count: int, target: Path) -> Path:
    """A folder with many names of the same pictures."""
    target.mkdir()
    for number, path in enumerate(repeated(folder, count)):
        (target / f"{number:05}.jpg").hardlink_to(path)
    return target


def files(model: str, kinds: list[str], folder: Path, scratch: Path) -> dict[str, Path]:
    """The net and an int8 file; random weights, as speed does not depend on them."""
    net = keras_resnet.build(model, weights=None)
    found = {"float32": scratch / "net.keras"}
    card = ModelCard(preprocess=keras_resnet.PREPROCESS["torch"], labels=tuple(map(str, range(1000))))
    keras_resnet.save_model(net, found["float32"], card)
    if "int8" in kinds:
        signal = bulk.get_signal("image").code
        samples = np.stack([signal.load(path, net.input_shape[1:]) for path in repeated(folder, 16)])
        with contextlib.suppress(GateError):  # values without a meaning do not pass
            export(found["float32"], scratch / "int8.tflite", precision="int8", samples=samples)
        (found["int8"],) = scratch.glob("int8*.tflite")
    return {kind: found[kind] for kind in kinds}


def main() -> int:
    """Measures; 1 if a part does not hold."""
    made = parser(__doc__)
    made.add_argument("--folder", type=Path, help="JPEG files of your own, in any folders below")
    made.add_argument("--files", type=int, default=500, help="photos of a round (%(default)s)")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--model", default="resnet50")
    made.add_argument("--kinds", default=",".join(KINDS), help="rows of the table (%(default)s)")
    made.add_argument("--least", type=float, default=0.85, help="of the bare net's rate (%(default)s)")
    made.add_argument(
        "--memory", type=int, default=2000, metavar="N", help="files to measure memory with (%(default)s)"
    )
    args = made.parse_args()
    if unknown := set(args.kinds.split(",")) - set(KINDS):
        made.error(f"--kinds {args.kinds}: expected {' and '.join(KINDS)}, received {', '.join(sorted(unknown))}")
    if args.smallest:
        args.files, args.rounds, args.model, args.memory = 64, 1, "resnet10t", 64
    kinds = args.kinds.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or make_folder(Path(scratch) / "photos", 32 if args.smallest else 256)
        figures = Figures("prediction", args)
        figures["reading"] = reading(folder, keras_resnet.model_info(args.model)["input_shape"], 1 + 4 * args.rounds)
        scratch = Path(scratch)
        many = copies(folder, args.memory, scratch / "many")
        for kind, file in files(args.model, kinds, folder, scratch).items():
            runner, name = keras_resnet.open_runner(file, trusted=True), NAMES[kind]
            ours, bare, work, apart = rates(runner, repeated(folder, args.files), args.rounds)
            figures[name] = {"files a second": round(ours, 1), "bare net": round(bare, 1), "CPU ratio": round(work, 3)}
            figures.ratio(f"{name}, from files", 1 / ours, 1 / bare, "the bare net", 1 / args.least, "s a photo")
            figures.limit(f"{name}, largest difference", apart, TOLERANCE)
            command = [sys.executable, "-m", "keras_resnet", "predict", "--model", str(file), str(many)]
            used = measured([*command, "-o", str(scratch / f"{kind}.csv")])["gigabytes"]
            figures.limit(f"{name}, memory of the command with {args.memory:,} files", used, LIMIT, "GB")
    return figures.finish()


if __name__ == "__main__":
    run(main)
