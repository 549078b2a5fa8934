#!/usr/bin/env python3
"""ResNet-50 to TFLite and ONNX beside the usual ways: wall time, peak memory, size, latency; ratios of medians.

Ours is the command, from typing it to the report: conversion, verification, golden vectors, manifest. A peer is the
bare converter, from starting Python to the file. All start from the same `.keras` file with random weights, and int8 is
calibrated with the same number of images. Memory is that of all processes of a command together. Latencies are of one
thread, interleaved; those of the reports stand beside them.

Run it: python benchmarks/conversions.py [--rounds 3]        (about 12 minutes)
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _measure import Figures, parser, run
from _processes import measured
from PIL import Image

from keras_resnet import console

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
    "tflite --float32": "keras.Model.export, tflite float32",
    "tflite --float16": None,
    "tflite --int8": "plain TFLiteConverter, tflite int8",
    "tflite --int8 --quantizer litert": "plain TFLiteConverter, tflite int8",
    "onnx --float32": "tf2onnx alone, onnx float32",
    "onnx --float16": None,
    "onnx --int8": None,
}
SMALLEST = ("tflite --float32", "onnx --float32")
TIME, GIGABYTES, REPORTED = 1.3, 2.5, 1.1
# Random weights give each of a thousand classes a thousandth, which eight bits round to zero: nothing to compare.
GATES = ("--gate", "agreement=0", "--gate", "sqnr=0", "--gate", "max_abs=1", "--gate", "cosine=0")


def prepared(folder: Path, net: str) -> None:
    """Writes the model and the images to calibrate with, as files for ours and as an array for the peers."""
    from keras_resnet import PREPROCESS, build, save_model
    from keras_resnet.card import ModelCard

    model = build(net)
    save_model(model, folder / "plain.keras", ModelCard(preprocess=PREPROCESS["torch"], spec=net))
    rng = np.random.default_rng(0)
    (folder / "calibration").mkdir()
    coarse = rng.integers(0, 256, (IMAGES, 8, 8, 3), np.uint8)
    images = [Image.fromarray(each).resize(model.input_shape[1:3], Image.Resampling.BICUBIC) for each in coarse]
    for number, image in enumerate(images):
        image.save(folder / "calibration" / f"{number:03}.png")
    pixels = np.stack([np.asarray(image, np.float32) for image in images])
    np.save(folder / "samples.npy", np.asarray(PREPROCESS["torch"](pixels), np.float32))


def command(name: str, folder: Path) -> tuple[list[str], Path]:
    """How a row is made, and its file."""
    python = [sys.executable, "-P"]
    if name in PEERS:
        file = folder / f"peer-{name.split()[-2]}-{name.split()[-1]}.{'onnx' if 'onnx' in name else 'tflite'}"
        return [*python, "-c", PEERS[name], *(str(folder / f) for f in ("plain.keras", file.name, "samples.npy"))], file
    form, *options = name.split()
    file = folder / f"ours-{'-'.join((form, *(o.strip('-') for o in options)))}.{form}"
    made = [*python, "-m", f"export.{form}", "--model", str(folder / "plain.keras"), *options, "-o", str(file)]
    made += ["--overwrite", "--json", str(file) + ".json", *GATES]
    if "--int8" in options:
        made += ["--calibration", str(folder / "calibration"), "--samples", str(IMAGES)]
    return made, file


def conversions(names: Sequence[str], folder: Path, rounds: int) -> dict[str, dict]:
    """Medians by name; the files are left in the folder."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            line, file = command(name, folder)
            found[name].append(measured(line))
            if not file.is_file():
                raise FileNotFoundError(f"{name}: {file.name} was not made")
            print(f"round {number + 1}: {name}: {found[name][-1]['seconds']:.1f} s", flush=True)
    rows = {}
    for name, values in found.items():
        file = command(name, folder)[1]
        medians = {key: round(statistics.median(each[key] for each in values), 3) for key in values[0]}
        rows[name] = {**medians, "file": file.name, "bytes": file.stat().st_size}
        if name in OURS:
            (row,) = json.loads(Path(f"{file}.json").read_text(encoding="utf-8"))
            rows[name]["reported_ms"] = round(row["latency_ms"], 3)
    return rows


def latencies(files: Sequence[Path], rounds: int) -> dict[str, float]:
    """Median milliseconds of one image on one thread, the files in turn."""
    from keras_resnet.runtime.opening import open_runner

    runners = {file.name: open_runner(file, threads=1, trusted=True) for file in files}
    image = np.random.default_rng(0).uniform(-1, 1, (1, *next(iter(runners.values())).example_shape)).astype("f")
    times: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(rounds + 2):
        for name, runner in runners.items():
            start = time.perf_counter()
            runner(image)
            if number > 1:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> int:
    """Measures."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=3)
    args = made.parse_args()
    figures = Figures("conversions", args)
    console.import_tensorflow()
    ours = SMALLEST if args.smallest else tuple(OURS)
    names = [*dict.fromkeys(peer for name in ours if (peer := OURS[name])), *ours]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepared(folder, "resnet8" if args.smallest else "resnet50")
        rows = conversions(names, folder, 1 if args.smallest else args.rounds)
        speed = latencies([folder / row["file"] for row in rows.values()], 3 if args.smallest else 15)
        for row in rows.values():
            row["ms"] = round(speed[row["file"]], 3)
        figures["files"] = rows
        nodes = _nodes(folder / rows["onnx --float32"]["file"])
    for name in ours:
        row, peer = rows[name], OURS[name]
        if peer:
            figures.ratio(f"{name}, to the report", row["seconds"], rows[peer]["seconds"], peer, TIME)
        figures.limit(f"{name}, memory", row["gigabytes"], GIGABYTES, "GB")
        figures.ratio(f"{name}, latency in the report", row["reported_ms"], row["ms"], "measured alone", REPORTED, "ms")
    if not args.smallest:
        for form, limit in (("tflite", 0.35), ("onnx", 0.6)):
            less, more = rows[f"{form} --int8"]["ms"], rows[f"{form} --float32"]["ms"]
            figures.ratio(f"{form} int8, latency", less, more, "float32", limit, "ms")
        figures.limit("tflite --int8, size", rows["tflite --int8"]["bytes"] / 1e6, 26.4, "MB")
    figures.limit("onnx --float32, transpositions", nodes["Transpose"], 1)
    return figures.finish()


def _nodes(file: Path) -> Counter[str]:
    import onnx

    return Counter(node.op_type for node in onnx.load(str(file)).graph.node)


if __name__ == "__main__":
    run(main)
