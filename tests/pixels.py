"""Hashes of training batches: the pixels of a run must stay bit for bit, whatever moves in the sources.

`python tests/pixels.py` writes tests/fixtures/pixels.json; renew it only in a commit that says why. `--new` adds what
is not there yet, with the machine that it was found on.
"""

import hashlib
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
KEPT = HERE / "fixtures" / "pixels.json"
sys.path.insert(0, str(HERE / "fixtures"))

import make  # noqa: E402

# Data, augmentation, arguments of `training_batches` and of `make_mix`: every row at least once, every argument twice.
CASES = {
    "digits none": ({"batch_size": 64, "first_epoch": 1}, None),
    "digits affine": ({"batch_size": 60, "piece": (1, 3)}, (0.2, 0.0)),
    "digits crop-flip": ({"batch_size": 64, "repeats": 3, "first_epoch": 2, "first_batch": 5}, None),
    "digits crop-flip-erase": ({"batch_size": 64, "first_batch": 18}, (0.2, 1.0)),
    "digits crop-flip-rand5": ({"batch_size": 16, "first_epoch": 3}, (0.0, 1.0)),
    "digits turn-flip": ({"batch_size": 64}, None),
    "folder none": ({"batch_size": 8}, None),
    "folder affine": ({"batch_size": 8, "first_epoch": 1}, None),
    "folder crop-flip": ({"batch_size": 8, "first_batch": 3}, (0.2, 1.0)),
    "folder crop-flip-erase": ({"batch_size": 8, "repeats": 2}, None),
    "folder crop-flip-rand5": ({"batch_size": 8, "piece": (0, 2)}, None),
    "folder scale-crop": ({"batch_size": 8, "repeats": 2, "first_epoch": 1, "first_batch": 1}, None),
    "folder resized-crop": ({"batch_size": 8, "piece": (1, 2)}, (0.0, 1.0)),
    "folder resized-crop-jitter": ({"batch_size": 8, "first_epoch": 4}, None),
    "folder photo": ({"batch_size": 8, "first_epoch": 2}, None),
    "folder scene": ({"batch_size": 8}, None),
    "folder scene-own": ({"batch_size": 8, "first_epoch": 1}, None),
    "folder scene-turn": ({"batch_size": 8, "first_batch": 1}, None),
    "digits zoom-flip": ({"batch_size": 64}, None),
    "folder zoom-turn": ({"batch_size": 8, "first_epoch": 1}, None),
    "folder sample": ({"batch_size": 8, "repeats": 2}, None),
    "digits zoom": ({"batch_size": 64, "first_epoch": 2}, None),
    "scenes zoom-mosaic": ({"batch_size": 16}, None),
    "boxes zoom-flip-mosaic": ({"batch_size": 8}, None),
    "boxes zoom-turn-mosaic": ({"batch_size": 4}, None),
    "folder objects": ({"batch_size": 8}, None),
    "boxes objects-mosaic": ({"batch_size": 8, "first_batch": 1}, None),
    "folder objects-turn": ({"batch_size": 8, "first_epoch": 1}, None),
    "boxes objects-turn-mosaic": ({"batch_size": 8, "repeats": 2}, None),
    "folder resized-crop-rand6": ({"batch_size": 4}, None),
    "folder resized-crop-rand7": ({"batch_size": 4, "repeats": 2}, (0.2, 0.0)),
    "folder resized-crop-rand10": ({"batch_size": 4, "first_batch": 2}, None),
}


_NAMED = {"digits": ["digits"], "scenes": ["digits-scenes"]}


def write_folder(root):
    """Twelve images in two classes, PNG and JPEG, smooth and of several sizes."""
    import tensorflow as tf

    for number in range(24):
        height, width = 20 + 3 * (number % 5), 32 - 2 * (number % 3)
        y, x = np.mgrid[:height, :width] / 8
        waves = [np.sin(x + number), np.cos(y - number / 3), np.sin(x + y)]
        pixels = np.uint8(127 + 120 * np.stack(waves, axis=-1))
        suffix, encode = (".png", tf.io.encode_png) if number % 2 else (".jpg", tf.io.encode_jpeg)
        folder = root / ("one" if number % 4 < 2 else "two")
        folder.mkdir(exist_ok=True, parents=True)
        (folder / f"{number:02}{suffix}").write_bytes(encode(pixels).numpy())


def batches(dataset, row, arguments, mixing):
    """Two batches of a pipeline as pairs of arrays."""
    import tensorflow as tf

    from keras_resnet.data import training_batches
    from keras_resnet.data.augment import get_augmentation
    from keras_resnet.data.mixing import make_mix

    mix = make_mix(*mixing) if mixing else None
    classes = len(dataset.classes)

    def encode(truth):
        if "boxes" in truth:
            return truth["boxes"]
        return tf.one_hot(truth["label"], classes) if mix else truth["label"]

    augment = get_augmentation(row, dataset.signal)
    pipeline = training_batches(dataset.train, seed=7, augment=augment, mix=mix, encode=encode, **arguments)
    return [(pixels.numpy(), targets.numpy()) for pixels, targets in pipeline.take(2)]


def found(name, folder):
    """Hash, dtype and mean of the batches of a case."""
    import keras_resnet

    source, row = name.split()
    dataset = keras_resnet.load_dataset(*_NAMED.get(source, [folder, None, (16, 24, 3), 0.9]))
    if source == "boxes":
        boxes = np.float32([[[2, 3, 15, 14, 0, 0, 143], [9, 1, 20, 9, 1, 0, 88]]]).repeat(len(dataset.train), axis=0)
        dataset = replace(dataset, train=replace(dataset.train, truth={"boxes": boxes}))
    pairs = batches(dataset, row, *CASES[name])
    digest = hashlib.sha256()
    for pixels, targets in pairs:
        digest.update(pixels.tobytes() + targets.tobytes())
    means = [round(float(np.mean(part, dtype=np.float64)), 3) for pair in pairs for part in pair]
    return {"sha256": digest.hexdigest(), "dtype": str(pairs[0][0].dtype), "means": means}


def main():
    """Writes what is found now."""
    with tempfile.TemporaryDirectory() as root:
        write_folder(Path(root))
        if "--new" in sys.argv:
            kept = json.loads(KEPT.read_text())
            new = [name for name in CASES if name not in kept["cases"]]
            kept["cases"] |= {name: found(name, Path(root)) | {"machine": make.machine()} for name in new}
        else:
            kept = {"machine": make.machine(), "cases": {name: found(name, Path(root)) for name in CASES}}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    main()
