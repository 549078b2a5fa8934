#!/usr/bin/env python3
"""Our ResNet-8 in int8 beside MLPerf Tiny's own file, on the same CIFAR-10 test images and engines.

Accuracy on the 200 images of the benchmark's performance mode (`perf_samples_idxs.npy`) and on all 10,000, on LiteRT
(XNNPACK) and on TFLite Micro itself; size; arena, also of the other shipped nets; latency of one thread, interleaved.

Run it: python benchmarks/mlperf_tiny.py --data CIFAR --mlperf FOLDER        (about 8 minutes)
FOLDER holds resnet8_int8.tflite and perf_samples_idxs.npy. TFLite Micro: `python tools/environment.py tflm` once.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from _measure import Figures, cifar_option, interleaved, parser, run

from keras_resnet import console

OFFICIAL, THEIRS = "resnet8_int8.tflite", "MLPerf Tiny's own"
ROUNDS = 400
NETS = ("resnet8", "resnet20_cifar", "resnetv2_20_cifar")


def ours(folder: Path, data_dir: Path) -> dict[str, Path]:
    """Our files by name."""
    from export import artifact
    from export.making.pipeline import export
    from export.model.source import load_source

    source = load_source("resnet8", weights="cifar10", dataset="cifar10", data_dir=data_dir)
    made = {
        "ours, pixels in": artifact("tflite:int8"),
        "ours, normalized in": artifact("tflite:int8", input="normalized"),
    }
    files = {name: folder / f"{choice.input}.tflite" for name, choice in made.items()}
    export(source, [(made[name], files[name]) for name in made], limit=200)
    return files


def answers(file: Path, engine: str, pixels: np.ndarray) -> tuple[np.ndarray, int | None]:
    """Classes of all images, and the arena where the engine knows it."""
    from export.model.evidence import Evidence
    from keras_resnet.runtime.opening import open_runner

    runner = open_runner(file, engine=engine, trusted=True)
    found = Evidence.of_array(pixels).run(runner, runner.card.preprocess)[runner.output.name].argmax(axis=1)
    arena = getattr(runner, "facts", {}).get("arena_total")
    return found, None if arena is None else int(arena)


def latencies(files: dict[str, Path], pixels: np.ndarray, rounds: int) -> dict[str, float]:
    """Milliseconds of one image on one thread."""
    from keras_resnet.runtime.opening import open_runner

    runners = {name: open_runner(file, threads=1, trusted=True) for name, file in files.items()}
    image = pixels[:1].astype(np.float32)
    work = {name: lambda runner=runner: runner(runner.card.preprocess(image)) for name, runner in runners.items()}
    return {name: 1000 * seconds for name, seconds in interleaved(work, rounds).items()}


def main() -> int:
    """Measures."""
    made = parser(__doc__)
    cifar_option(made)
    made.add_argument("--mlperf", type=Path, required=True, metavar="FOLDER", help="folder with MLPerf Tiny's files")
    made.add_argument("--without", choices=("tflm",), help="leave out an engine that is not here")
    args = made.parse_args()
    figures = Figures("mlperf_tiny", args)
    console.import_tensorflow()
    from keras_resnet.data import load_dataset
    from keras_resnet.runtime.outside import OUTSIDE

    if args.without != "tflm" and OUTSIDE["tflm"].find() is None:
        raise FileNotFoundError("TFLite Micro is not here: python tools/environment.py tflm, or --without tflm")
    split = load_dataset("cifar10", args.data, (32, 32, 3)).test
    performance = np.load(args.mlperf / "perf_samples_idxs.npy", allow_pickle=False)
    chosen = np.sort(performance)[:64] if args.smallest else np.arange(len(split.labels))
    pixels, labels = split.fetch(chosen)["image"], np.asarray(split.labels)[chosen]
    subset = np.isin(chosen, performance)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = ours(Path(folder), args.data) | {THEIRS: args.mlperf / OFFICIAL}
        times = latencies(files, pixels, 20 if args.smallest else ROUNDS)
        for name, file in files.items():
            row: dict[str, object] = {"file": name, "bytes": file.stat().st_size, "ms": round(times[name], 4)}
            for engine in ("xnnpack", *(() if args.without == "tflm" else ("tflm",))):
                print(f"{name} on {engine} ...", flush=True)
                found, arena = answers(file, engine, pixels)
                right = found == labels
                row[engine] = {"performance": float(right[subset].mean()), "all": float(right.mean())}
                row |= {} if arena is None else {"arena": arena}
            rows.append(row)
        if args.without != "tflm":
            figures["arenas"] = arenas(Path(folder), args.data, args.smallest)
    figures["files"], figures["performance images"] = rows, int(subset.sum())
    plain, _, theirs = rows
    figures.ratio("bytes", plain["bytes"], theirs["bytes"], THEIRS, 1.0, "")
    figures.ratio("latency", plain["ms"], theirs["ms"], THEIRS, 1.1, "ms")
    errors = (1 - row["xnnpack"]["all"] for row in (plain, theirs))
    figures.ratio("error", *errors, THEIRS, 1.0, "")
    return figures.finish()


def arenas(folder: Path, data_dir: Path, smallest: bool) -> dict[str, dict[str, int]]:
    """Bytes of TFLite Micro's arena, by its own planner and with the plan that our files for it carry."""
    from export import artifact, export, load_source
    from keras_resnet.runtime.opening import open_runner

    found: dict[str, dict[str, int]] = {}
    for net in NETS[:1] if smallest else NETS:
        source = load_source(net, weights="cifar10", dataset="cifar10", data_dir=data_dir)
        for name, planned in (("its own planner", False), ("our plan", True)):
            made = dataclasses.replace(artifact("tflite:int8"), plan_arena=planned)
            file = folder / f"{net}-{planned}.tflite"
            export(source, [(made, file)], limit=200)
            runner = open_runner(file, engine="tflm", trusted=True)
            runner(np.zeros((1, *source.shape), np.float32))
            found.setdefault(net, {})[name] = int(runner.facts["arena_total"])
    return found


if __name__ == "__main__":
    run(main)
