#!/usr/bin/env python3
"""What the files of the shipped CIFAR-10 nets lose on the test images: int8 of all, every precision of ResNet-8.

Run it: python benchmarks/files.py --data CIFAR        (about 15 minutes)

Nothing is chosen by these figures. A drop has the 95 % interval of the paired differences.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from _measure import Figures, cifar_option, parser, run

from keras_resnet import console

NETS = {  # points that TensorFlow's int8 may lose
    "resnet8": 0.3,
    "resnet20_cifar": 0.3,
    "resnet32_cifar": 0.3,
    "resnet44_cifar": 0.3,
    "resnet56_cifar": 0.3,
    "resnet110_cifar": 0.3,
    "resnetv2_20_cifar": 0.6,
    "resnetv2_164_cifar": 0.6,
}
MOST_BYTES, MOST_ERROR = 98_496, 0.121  # the bytes of MLPerf Tiny's own file; 87.9 % right
INT8 = ("tflite:int8", "tflite:int8@litert", "onnx:int8")
PRECISIONS = (
    *("tflite:float32", "tflite:float16", "tflite:dynamic_int8", "tflite:int16x8", "tflite:weight_only_int8"),
    *("tflite:weight_only_int4", "tflite:int8x4", "onnx:float32", "onnx:dynamic_int8"),
)
NO_GATES = {
    "drop": 100.0,
    "agreement": 0.0,
    "sqnr": 0.0,
    "cosine": 0.0,
    "max_abs": 1.0,
}  # a file that is bad counts too


def main() -> int:
    """Measures."""
    made = parser(__doc__)
    cifar_option(made)
    args = made.parse_args()
    figures = Figures("files", args)
    console.import_tensorflow()
    from export import artifact, export, load_source

    rows = []
    for net, limit in NETS.items():
        names = (*INT8, *(PRECISIONS if net == "resnet8" else ()))
        if args.smallest:
            names = names[:1] if net == "resnet8" else ()
        if not names:
            continue
        source = load_source(net, weights="cifar10", data_dir=args.data)
        with tempfile.TemporaryDirectory() as folder:
            targets = [(artifact(name), artifact(name).file(Path(folder), net)) for name in names]
            images = 64 if args.smallest else None
            report = export(source, targets, limit=images, gates=NO_GATES, say=lambda text: print(text, flush=True))
        for name, row in zip(names, report.rows, strict=True):
            rows.append(
                {
                    "net": net,
                    "file": name,
                    "keras": row.score_reference,
                    "top1": row.score,
                    "drop": round(row.drop, 3),
                    "drop_error": round(row.drop_error, 3),
                    "bytes": row.size_bytes,
                }
            )
            if name == INT8[0]:
                figures.limit(f"{net}, {name}, points lost", row.drop, limit)
            if name == INT8[0] and net == "resnet8":
                figures.limit(f"{net}, {name}, bytes", row.size_bytes, MOST_BYTES)
                figures.limit(f"{net}, {name}, error", 1 - row.score, MOST_ERROR)
    figures["rows"] = rows
    figures["images"] = report.evidence
    return figures.finish()


if __name__ == "__main__":
    run(main)
