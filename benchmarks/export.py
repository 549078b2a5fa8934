#!/usr/bin/env python3
"""ResNet-50 to TFLite and ONNX beside the usual ways: wall time, peak memory, size, latency; ratios of medians.

Every conversion is a process of its own, from starting Python to the file, ours and the peers' alike; both start from a
`.keras` file with random weights. Latencies are of one thread, interleaved. The accuracies (`--data-dir`) are of the
shipped weights on CIFAR-10's test images, with MLPerf Tiny's own int8 file in the last row (`--mlperf FILE`).

Run it: python benchmarks/export.py [--rounds 3] [--data-dir CIFAR] [--mlperf pretrainedResnet_quant.tflite]
(about 15 minutes)
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from _measure import print_ratio

sys.path.pop(0)  # this folder, in which this file would be found as `export`

from keras_resnet import console  # noqa: E402

IMAGES = 100  # to calibrate with
PEERS = {
    "keras.Model.export, tflite float32": """
import sys, keras
model = keras.saving.load_model(sys.argv[1], compile=False)
model.export(sys.argv[2], format="litert", verbose=False)
""",
    "plain TFLiteConverter, tflite int8": """
import sys, keras, numpy as np, tensorflow as tf
model = keras.saving.load_model(sys.argv[1], compile=False)
converter = tf.lite.TFLiteConverter.from_keras_model(model)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: ([image[None]] for image in np.load(sys.argv[3]))
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = converter.inference_output_type = tf.int8
open(sys.argv[2], "wb").write(converter.convert())
""",
    "tf2onnx alone, onnx float32": """
import sys, keras, tensorflow as tf, tf2onnx
model = keras.saving.load_model(sys.argv[1], compile=False)
spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="image")
tf2onnx.convert.from_function(tf.function(model), input_signature=[spec], opset=18, output_path=sys.argv[2])
""",
}
OURS = {  # the same work, and what is beyond it
    "tflite:float32": "keras.Model.export, tflite float32",
    "tflite:int8": "plain TFLiteConverter, tflite int8",
    "tflite:int8@litert": "plain TFLiteConverter, tflite int8",
    "onnx:float32": "tf2onnx alone, onnx float32",
    "onnx:int8": None,
}


def measured(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak gigabytes of a process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(error.decode()[-2000:])
    return time.perf_counter() - start, usage.ru_maxrss / 1e6


def conversions(folder: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Medians by name; the files are left in the folder."""
    from export.formats.artifacts import artifact
    from export.model import graph
    from keras_resnet import build, save_model
    from keras_resnet.card import ModelCard

    model = build("resnet50")
    save_model(model, folder / "plain.keras")
    rng = np.random.default_rng(0)
    np.save(folder / "samples.npy", rng.uniform(-1, 1, (IMAGES, 224, 224, 3)).astype("f"))
    commands = {}
    for name, code in PEERS.items():
        suffix = ".onnx" if "onnx" in name else ".tflite"
        file = folder / f"peer-{name.split()[-1]}{suffix}"
        commands[name] = [
            sys.executable,
            "-c",
            code,
            str(folder / "plain.keras"),
            str(file),
            str(folder / "samples.npy"),
        ]
    for name in OURS:
        made = artifact(name, input="normalized")
        prepared = folder / "prepared.keras"
        if not prepared.exists():
            save_model(graph.prepare(model, ModelCard(), made), prepared)
        job = {
            "model": str(prepared),
            "artifact": {**dataclasses.asdict(made), "format": made.format.name},
            "samples": str(folder / "samples.npy"),
            "path": str(folder / f"ours-{name.replace(':', '-')}{made.format.suffix}"),
        }
        code = "import json, sys; from export.making.worker_child import convert; convert(json.loads(sys.argv[1]))"
        commands[name] = [sys.executable, "-c", code, json.dumps(job)]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            found[name].append(measured(command))
            print(f"round {number + 1}: {name}: {found[name][-1][0]:.1f} s", flush=True)
    return {name: tuple(map(statistics.median, zip(*values, strict=True))) for name, values in found.items()}


def latencies(files: list[Path], rounds: int = 15) -> dict[str, float]:
    """Median milliseconds of one image on one thread, the files in turn."""
    from keras_resnet.runtime.opening import open_runner

    image = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype("f")
    runners = {file.name: open_runner(file, threads=1, trusted=True) for file in files}
    times: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(rounds + 2):
        for name, runner in runners.items():
            start = time.perf_counter()
            runner(image)
            if number > 1:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def resnet50(rounds: int) -> list[bool]:
    """Prints the tables and ratios of ResNet-50."""
    import onnx

    held = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        medians = conversions(folder, rounds)
        rows = [(name, f"{seconds:.1f}", f"{memory:.2f}") for name, (seconds, memory) in medians.items()]
        console.print_table("ResNet-50, from starting Python to the file", ("", "seconds", "peak GB"), rows)
        files = sorted(file for file in folder.iterdir() if file.suffix in (".tflite", ".onnx"))
        speed = latencies(files)
        rows = [(file.name, f"{file.stat().st_size / 1e6:.2f}", f"{speed[file.name]:.1f}") for file in files]
        console.print_table("ResNet-50, the files", ("", "MB", "ms, one thread"), rows)
        for ours, peer in OURS.items():
            if peer:
                held.append(print_ratio(ours, medians[ours][0], medians[peer][0], peer, 1.0))
        pairs = (("tflite-int8.tflite", "tflite-float32.tflite", 0.35), ("onnx-int8.onnx", "onnx-float32.onnx", 0.6))
        for ours, peer, limit in pairs:
            held.append(
                print_ratio(f"latency {ours}", speed[f"ours-{ours}"] / 1000, speed[f"ours-{peer}"] / 1000, peer, limit)
            )
        size = (folder / "ours-tflite-int8.tflite").stat().st_size / 1e6
        nodes = Counter(node.op_type for node in onnx.load(str(folder / "ours-onnx-float32.onnx")).graph.node)
        print(f"int8 file: {size:.2f} MB (limit 26.4); ONNX float32: {nodes['Transpose']} Transpose (limit 1)")
        held += [size <= 26.4, nodes["Transpose"] <= 1]
    return held


def accuracies(data_dir: Path, mlperf: Path | None) -> list[bool]:
    """Prints what int8 loses on CIFAR-10's 10,000 test images."""
    from export import artifact, export, load_source
    from keras_resnet.evaluation import evaluate
    from keras_resnet.runtime.opening import open_runner

    limits = {"resnet8": 0.3, "resnet20_cifar": 0.3, "resnetv2_20_cifar": 0.6}
    rows, held = [], []
    with tempfile.TemporaryDirectory() as folder:
        for net, limit in limits.items():
            source = load_source(net, weights="cifar10", data_dir=data_dir)
            names = ("tflite:int8", "tflite:int8@litert", "onnx:int8")
            targets = [(artifact(name), artifact(name).file(Path(folder), net)) for name in names]
            for row in export(source, targets).rows:
                figures = (f"{row.score:.2%}", f"{row.drop:.2f} ± {row.drop_error:.2f}", f"{row.size_bytes:,}")
                rows.append((net, f"{row.format} {row.kind}", f"{row.score_reference:.2%}", *figures))
                if row.format == "tflite" and row.quantizer == "tensorflow":
                    held.append(row.drop <= limit)
                    if net == "resnet8":
                        held += [row.size_bytes <= 98_496, row.score >= 0.879]
        if mlperf:
            runner = open_runner(mlperf)
            top1 = f"{evaluate(runner, source.dataset.test).top1:.2%}"
            rows.append(("MLPerf Tiny's ResNet-8", "tflite int8", "", top1, "", f"{mlperf.stat().st_size:,}"))
    console.print_table(
        "CIFAR-10, 10,000 test images", ("net", "file", "Keras", "top-1", "drop, points", "bytes"), rows
    )
    return held


def main() -> int:
    """Prints everything; returns 0 if all is within its limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data-dir", type=Path, help="CIFAR-10's files, for the accuracies")
    parser.add_argument("--mlperf", type=Path, help="MLPerf Tiny's pretrainedResnet_quant.tflite")
    args = parser.parse_args()
    console.import_tensorflow()
    held = resnet50(args.rounds)
    if args.data_dir:
        held += accuracies(args.data_dir, args.mlperf)
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
