"""A small detector that nobody trained, and images whose objects are what it sees: pairs of them tell apart well."""

import dataclasses

import keras
import numpy as np

import keras_resnet
from export.model.source import Source
from keras_resnet import ModelCard
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.nets.detection import get_detector
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks.detection import Facts
from keras_resnet.tasks.detection.predictions import answers

NAMES = ["red", "green", "blue"]
SIZE = (64, 96)
STRIDES = (8, 16, 32)


def card(name="realtime", **facts):
    """The card of a detector of three strides.

    Args:
        name: row of `DETECTORS`.
        facts: facts that differ.
    """
    head = get_detector(name).head
    same = ("coder", "sizes", "ratios", "offset", "centerness", "overlap", "candidates", "most")
    known = Facts(strides=STRIDES, floor=head.threshold, **{each: getattr(head, each) for each in same})
    own = {each.name: getattr(known, each.name) for each in dataclasses.fields(known) if not each.metadata}
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in own.items()}
    return ModelCard(task="detection", facts={**listed, "names": NAMES, **facts}, preprocess=PREPROCESS["none"])


def net(name="realtime", size=SIZE, classes=3):
    """A detector with scores between 0 and 1 and boxes of many sizes.

    Args:
        name: row of `DETECTORS`.
        size: height and width of the input.
        classes: number of classes.
    """
    keras.utils.set_random_seed(0)
    row = get_detector(name)
    neck = dataclasses.replace(get_detector("realtime").neck, width=16)
    spec = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 1, 1, 1), width=8)
    made = keras_resnet.detector(
        dataclasses.replace(row, neck=neck), backbone=spec, classes=classes, input_shape=(*size, 3)
    )
    raw = made.predict(_images(4, size).astype("f"), verbose=0)
    for layer in made.layers:
        kind, _, rest = layer.name.partition("_")
        if rest.endswith("conv") and "tower" not in rest and kind in ("scores", "boxes", "centerness"):
            several = [values for key, values in raw.items() if key.startswith(kind) and (not rest[:-5] or key == f"{kind}_{rest[:-5]}")]
            values = np.concatenate([each.ravel() for each in several])
            kernel, bias = layer.get_weights()
            wide, middle = {"scores": (1.5, -2.0), "boxes": (0.3, 2.0 if row.head.coder == "distances" else 0.0)}.get(kind, (1, 1))
            gain = wide / max(float(values.std()), 1e-6)
            layer.set_weights([kernel * gain, bias * 0 + middle - gain * (float(values.mean()) - float(bias.mean()))])
    return made


def _images(count, size=SIZE):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, size[0] // 8, size[1] // 8, 3), "uint8").repeat(8, axis=1).repeat(8, axis=2)


def source(name="realtime", count=12, size=SIZE):
    """What an export starts from: a net, and images with the boxes of its surest answers.

    Args:
        name: row of `DETECTORS`.
        count: number of images of each part.
        size: height and width of the images.
    """
    own, model, images = card(name), net(name, size), _images(3 * count, size)
    found = answers(model.predict(images.astype("f"), verbose=0), own, 0.5)
    rows = np.full((len(images), max(len(each) for each in found), 7), -1, "f")
    for row, each in zip(rows, found, strict=True):
        row[: len(each), :4], row[: len(each), 4] = each.boxes, each.classes
        row[: len(each), 5], row[: len(each), 6] = 0, np.prod(each.boxes[:, 2:] - each.boxes[:, :2], axis=1)
    frames = np.tile(np.float32(size), (len(images), 1))
    parts = [
        ArraySplit({"image": images[part::3], "boxes": rows[part::3], "frame": frames[part::3]}) for part in range(3)
    ]
    data = Dataset(f"boxes of {name}", tuple(NAMES), (*size, 3), *parts, truth="boxes")
    return Source(model, own, f"tiny-{name}", "a net that nobody trained", data)
