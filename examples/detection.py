#!/usr/bin/env python3
"""From pictures with boxes to a verified file: digits are found on canvases of any colours.

Run it: python examples/detection.py [DATA]        (five minutes; DATA: VOC, COCO, YOLO, or a table)
"""

import sys
from pathlib import Path

import export
import keras_resnet


def main(data: str, epochs: int = 5) -> None:
    """Trains, evaluates, predicts, exports to 8 bits and verifies."""
    run = keras_resnet.train(data, weights="none", epochs=epochs)  # digits-scenes is a recipe, and its data
    scores = keras_resnet.evaluate(run, data)
    print(f"AP {scores.ap:.1%}, at overlap 0.5 {scores.ap50:.1%}, of {scores.objects} objects")
    test = keras_resnet.load_dataset(data, truth="boxes").test
    for found in keras_resnet.predict(run, test.fetch([0, 1])["image"]):
        print(found.image, [f"{name} {score:.2f}" for name, score in zip(found.names, found.scores, strict=True)])
    source = export.load_source(run, dataset=data)
    target = Path("exports") / "detection-int8.tflite"
    export.export(source, [(export.artifact("tflite:int8"), target)], overwrite=True).print()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits-scenes")
