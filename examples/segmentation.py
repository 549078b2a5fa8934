#!/usr/bin/env python3
"""From pictures and masks to a verified file: a U-Net finds blue and orange digits on a canvas.

Run it: python examples/segmentation.py [SCENES]        (a minute; a folder of your own has images/ and masks/)
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import export
import keras_resnet

COLOURS = np.array([(0, 0, 0), (0, 128, 255), (255, 128, 0)], np.uint8)


def scenes(folder: Path, count: int = 240) -> Path:
    """Writes canvases with four of the digits that ship with the package, and the class of every pixel."""
    digits, rng = keras_resnet.load_dataset("digits").train, np.random.default_rng(0)
    for number in range(count):
        canvas, mask = rng.integers(20, 60, (64, 64, 3)).astype(np.uint8), np.zeros((64, 64), np.uint8)
        for index in rng.integers(0, len(digits), 4):
            row, column = rng.integers(0, 33, 2)
            part, shown = np.s_[row : row + 32, column : column + 32], digits.images[index]
            which, ink = rng.integers(1, 3), shown[..., 0] > 127
            mask[part][ink] = which
            canvas[part][ink] = COLOURS[which] // 2 + shown[ink] // 4
        for kind, values in (("images", canvas), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(folder / kind / f"{number:03}.png")
    (folder / "classes.txt").write_text("canvas\nblue\norange\n")
    return folder


def main(data: Path, epochs: int = 8) -> None:
    """Trains, evaluates, predicts, exports to 8 bits and verifies."""
    settings = {"width": 32, "image_size": 64, "learning_rate": 0.01, "augmentation": "crop-flip"}
    run = keras_resnet.train(data, model="resnet8", weights="none", epochs=epochs, settings=settings)
    scores = keras_resnet.evaluate(run, data)
    print(f"mean IoU {scores.miou:.1%}, {', '.join(f'{name} {iou:.1%}' for name, iou in scores.iou.items())}")
    for mask in keras_resnet.predict(run, sorted((data / "images").iterdir())[:2]):
        print(mask.image, {name: f"{share:.1%}" for name, share in mask.shares.items()})
    source = export.load_source(run, dataset=data)
    target = Path("exports") / "segmentation-int8.tflite"
    export.export(source, [(export.artifact("tflite:int8"), target)], overwrite=True).print()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else scenes(Path("scenes")))
