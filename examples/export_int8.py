"""Quantizes a trained model to 8 bits for a phone or microcontroller, verifies the file, and runs it.

Run it: python examples/export_int8.py [MODEL.keras]     (the digits model that ships with the package by default)
"""

import sys
from pathlib import Path

import export
import keras_resnet


def main(model: str | None) -> None:
    """Exports, verifies, predicts."""
    source = export.load_source(model) if model else export.load_source("resnet8", weights="digits")
    target = Path("exports") / f"{source.name}-int8.tflite"
    report = export.export(source, [(export.artifact("tflite:int8"), target)], overwrite=True, say=print)
    report.print()

    # The file alone is enough from here on: its labels and its input convention are inside.
    runner = keras_resnet.open_runner(report.rows[0].file)
    digits = keras_resnet.load_dataset("digits").test
    answers = runner(runner.card.preprocess(digits.images[:8]))["probabilities"].argmax(axis=1)
    print("answers:", [runner.card.labels[answer] for answer in answers], "labels:", digits.labels[:8].tolist())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
