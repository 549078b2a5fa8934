#!/usr/bin/env python3
"""Our ResNet-8 in int8 beside MLPerf Tiny's own file, on the same CIFAR-10 test images and engines.

Accuracy on the 200 images of the benchmark's performance mode (`perf_samples_idxs.npy`) and on all 10,000, on LiteRT
(XNNPACK) and on TFLite Micro itself; size; arena; latency of one thread, interleaved.

Run it: python benchmarks/mlperf_tiny.py --data-dir CIFAR --mlperf FOLDER [--limit N]
(FOLDER holds resnet8_int8.tflite and perf_samples_idxs.npy; about 8 minutes. TFLite Micro: `make check-tflm` once.)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from _measure import interleaved

sys.path.pop(0)  # this folder, in which export.py would be found as `export`

from keras_resnet import console  # noqa: E402

OFFICIAL = "resnet8_int8.tflite"
ROUNDS = 400


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
    from export.model.source import Evidence
    from keras_resnet.runtime.opening import open_runner

    runner = open_runner(file, engine=engine, trusted=True)
    found = Evidence(pixels, None, "").run(runner, runner.card.preprocess)[runner.output.name].argmax(axis=1)
    arena = getattr(runner, "facts", {}).get("arena_total")
    return found, None if arena is None else int(arena)


def latencies(files: dict[str, Path], pixels: np.ndarray) -> dict[str, float]:
    """Milliseconds of one image on one thread."""
    from keras_resnet.runtime.opening import open_runner

    runners = {name: open_runner(file, threads=1, trusted=True) for name, file in files.items()}
    image = pixels[:1].astype(np.float32)
    work = {name: lambda runner=runner: runner(runner.card.preprocess(image)) for name, runner in runners.items()}
    return {name: 1000 * seconds for name, seconds in interleaved(work, ROUNDS).items()}


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--mlperf", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--limit", type=int, default=10_000, metavar="N", help="test images (default all)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    console.import_tensorflow()
    from keras_resnet.data import load_dataset
    from keras_resnet.runtime.outside import OUTSIDE

    split = load_dataset("cifar10", args.data_dir, (32, 32, 3)).test
    chosen = np.arange(min(args.limit, len(split.labels)))
    pixels, labels = split.fetch(chosen)["image"], np.asarray(split.labels)[chosen]
    performance = np.load(args.mlperf / "perf_samples_idxs.npy", allow_pickle=False)
    performance = performance[performance < len(chosen)]
    engines = ["xnnpack"] + ["tflm"] * (OUTSIDE["tflm"].find() is not None)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = ours(Path(folder), args.data_dir) | {"MLPerf Tiny's own": args.mlperf / OFFICIAL}
        times = latencies(files, pixels)
        for name, file in files.items():
            row = {"file": name, "bytes": file.stat().st_size, "ms": round(times[name], 4)}
            for engine in engines:
                print(f"{name} on {engine} ...", flush=True)
                found, arena = answers(file, engine, pixels)
                right = found == labels
                row[f"{engine}: {len(performance)} images"] = f"{right[performance].mean():.2%}"
                row[f"{engine}: {len(chosen):,} images"] = f"{right.mean():.2%}"
                row |= {} if arena is None else {"arena": arena}
            rows.append(row)
    console.print_table("ResNet-8 in int8 on CIFAR-10", list(rows[0]), [list(row.values()) for row in rows])
    console.write_json(args.json, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
