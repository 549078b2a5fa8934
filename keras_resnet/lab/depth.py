"""Depth: every net of the table forward and backward at full size on this machine, up to 1,202 layers.

He et al. 2015, section 4.2 (ResNet-1202); He et al. 2016, table 3 (1,001 layers, pre-activation).
"""

from __future__ import annotations

import json
import math
import re
import resource
import sys
import time
from typing import Any

from keras_resnet import files, pictures, processes
from keras_resnet.errors import GateError
from keras_resnet.lab.published import DEPTHS_3, TABLE_6
from keras_resnet.lab.results import Chart, Findings, Table, error_charts, error_table
from keras_resnet.lab.setup import RUNS, Setup, train_all

NETS = (
    *(f"resnet{depth}_cifar" for depth in (20, 56, 110, 1202)),
    *("resnetv2_110_cifar", "resnetv2_164_cifar", "resnetv2_1001_cifar"),
)
_KINDS = (("original", False), ("pre-activation", True))
_BATCH = 8
_SECONDS = 3600
_FOLDER = "depth"


def measure(name: str, batch: int = _BATCH) -> dict[str, float | int | str]:
    """Builds one net, runs images forward, and forward and backward; call it in a process of its own.

    Args:
        name: name of the variant.
        batch: number of images.

    Returns:
        Sizes, seconds (the second of two passes), peak memory in bytes, and the gradient's norm.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_resnet.builder import build
    from keras_resnet.nets.graph import deep_graphs, multiply_adds

    keras.utils.set_random_seed(0)
    begin = time.perf_counter()
    model = build(name)
    built = time.perf_counter() - begin
    images = np.random.default_rng(0).normal(size=(batch, *model.input_shape[1:])).astype(np.float32)
    labels = np.arange(batch) % model.output_shape[-1]
    times: dict[str, list[float]] = {"forward": [], "step": []}
    with deep_graphs():
        for _ in range(2):
            begin = time.perf_counter()
            model(images, training=False).numpy()
            times["forward"].append(time.perf_counter() - begin)
        for _ in range(2):
            begin = time.perf_counter()
            with tf.GradientTape() as tape:
                answers = model(images, training=True)
                loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, answers))
            slopes = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
            norm = float(tf.linalg.global_norm(slopes))
            times["step"].append(time.perf_counter() - begin)
    return {
        "net": name,
        "parameters": model.count_params(),
        "multiply_adds": multiply_adds(model),
        "batch": batch,
        "build_seconds": built,
        "forward_seconds": times["forward"][-1],
        "step_seconds": times["step"][-1],
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "loss": float(loss),
        "gradient_norm": norm,
    }


def run(setup: Setup) -> Findings:
    """Measures the nets in child processes, once; with `--full` trains them too."""
    rows = []
    for number, name in enumerate(NETS, 1):
        file = setup.out / RUNS / _FOLDER / f"{name}.json"
        if not file.is_file():
            if setup.verbose:
                print(f"{number}/{len(NETS)} {name}", flush=True)
            with files.writing(file) as temporary:
                temporary.write_text(json.dumps(_in_child(name)) + "\n", encoding="utf-8")
        rows.append(json.loads(file.read_text(encoding="utf-8")))
    table = Table(
        f"Forward and backward at full size, batches of {_BATCH} images of 32 x 32, float32",
        ("net", "parameters", "multiply-adds", "built in s", "forward s", "step s", "peak GB", "loss", "gradient"),
        tuple(
            (
                row["net"],
                f"{row['parameters']:,}",
                f"{row['multiply_adds']:,}",
                f"{row['build_seconds']:.1f}",
                f"{row['forward_seconds']:.2f}",
                f"{row['step_seconds']:.2f}",
                f"{row['peak_bytes'] / 1e9:.1f}",
                f"{row['loss']:.2f}",
                f"{row['gradient_norm']:.2g}",
            )
            for row in rows
        ),
    )
    kinds = {kind: [row for row in rows if ("v2" in row["net"]) == late] for kind, late in _KINDS}
    steps = {kind: ([_layers(r["net"]) for r in of], [r["step_seconds"] for r in of]) for kind, of in kinds.items()}
    made = pictures.lines("A step over the depth", steps, "layers", f"seconds of a step of {_BATCH} images", marker="o")
    charts = [Chart(made, "Time of a training step over the layers of the net; the table has the numbers.")]
    tables = [table]
    values: dict[str, Any] = {"measured": rows}
    sound = all(math.isfinite(row["loss"]) and 0 < row["gradient_norm"] < math.inf for row in rows)
    deepest = max(rows, key=lambda row: row["multiply_adds"])
    summary = (
        f"{deepest['net']} ({deepest['multiply_adds'] / 1e9:.1f} G multiply-adds) takes "
        f"{deepest['step_seconds']:.1f} s for a step of {_BATCH} images and {deepest['peak_bytes'] / 1e9:.1f} GB; its "
        f"gradient is {'finite' if sound else 'not finite'}."
    )
    if setup.full:
        curves = train_all(setup, dict.fromkeys(NETS))
        published = TABLE_6 | DEPTHS_3
        tables.append(error_table("Trained", [(name, curves[name], published.get(name)) for name in NETS]))
        charts += error_charts(curves, "Deep nets")
        values["trained"] = {name: [vars(e) | {"run": str(e.run)} for e in curves[name]] for name in NETS}
    return Findings(summary, tuple(tables), tuple(charts), values, None if sound else False)


def _layers(name: str) -> int:
    return int(re.findall(r"\d+", name)[-1])


def _in_child(name: str) -> dict:
    """A process for each: the peak of its memory is its own, and what runs out of memory takes nothing along."""
    child = processes.run_python("keras_resnet.lab.depth", name, seconds=_SECONDS)
    if child.status:
        reason = child.last_words(f"signal {-child.status}, perhaps out of memory")
        raise GateError(f"{name} could not be run: {reason}")
    return json.loads(child.out.strip().splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
