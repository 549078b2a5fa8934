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
    return ModelCard(
        task="detection", facts={**listed, "names": NAMES, **facts}, labels=tuple(NAMES), preprocess=PREPROCESS["none"]
    )


def plain(name="realtime", size=SIZE, classes=3):
    """A net of one layer for every raw output, which is made in a moment.

    Args:
        name: row of `DETECTORS`.
        size: height and width of the input.
        classes: number of classes.
    """
    keras.utils.set_random_seed(0)
    head, start, outputs = get_detector(name).head, keras.Input((*size, 3), name="image"), {}
    kinds = {"scores": classes, "boxes": 4, **({"centerness": 1} if head.centerness else {})}
    for stride in STRIDES:
        pooled = keras.layers.AveragePooling2D(min(stride, 8), stride)(start)
        for kind, numbers in kinds.items():
            how = "relu" if kind == "boxes" and head.coder == "distances" else None
            layer = keras.layers.Conv2D(head.priors * numbers, 1, activation=how, name=f"{kind}_{stride}")
            outputs[layer.name] = layer(pooled)
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel / 40, bias])
    return keras.Model(start, outputs, name=f"plain_{name}")


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
    raw = {key: np.asarray(values) for key, values in made(images(4, size).astype("f"), training=False).items()}
    distance = 2.0 if row.head.coder == "distances" else 0.0
    for layer in made.layers:
        kind, _, rest = layer.name.partition("_")
        if rest.endswith("conv") and "tower" not in rest and kind in ("scores", "boxes", "centerness"):
            own = [
                each for key, each in raw.items() if key.startswith(kind) and rest[:-5] in ("", key[len(kind) + 1 :])
            ]
            values = np.concatenate([each.ravel() for each in own])
            kernel, bias = layer.get_weights()
            wide, middle = {"scores": (1.5, -2.0), "centerness": (1.0, 1.0)}.get(kind, (0.3, distance))
            gain = wide / max(float(values.std()), 1e-6)
            layer.set_weights([kernel * gain, bias * 0 + middle - gain * (float(values.mean()) - float(bias.mean()))])
    return made


def images(count, size=SIZE):
    """Images of coloured squares of 8 pixels, uint8.

    Args:
        count: number of images.
        size: height and width.
    """
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, size[0] // 8, size[1] // 8, 3), "uint8").repeat(8, axis=1).repeat(8, axis=2)


def source(name="realtime", count=12, size=SIZE):
    """What an export starts from: a net, and images with the boxes of its surest answers.

    Args:
        name: row of `DETECTORS`.
        count: number of images of each part.
        size: height and width of the images.
    """
    own, model, pixels = card(name), net(name, size), images(3 * count, size)
    raw = {key: np.asarray(values) for key, values in model(pixels.astype("f"), training=False).items()}
    found = answers(raw, own, 0.5)
    rows = np.full((len(pixels), max(len(each) for each in found), 7), -1, "f")
    for row, each in zip(rows, found, strict=True):
        row[: len(each), :4], row[: len(each), 4] = each.boxes, each.classes
        row[: len(each), 5], row[: len(each), 6] = 0, np.prod(each.boxes[:, 2:] - each.boxes[:, :2], axis=1)
    frames = np.tile(np.float32(size), (len(pixels), 1))
    parts = [
        ArraySplit({"image": pixels[part::3], "boxes": rows[part::3], "frame": frames[part::3]}) for part in range(3)
    ]
    data = Dataset(f"boxes of {name}", tuple(NAMES), (*size, 3), *parts, truth="boxes")
    return Source(model, own, f"tiny-{name}", "a net that nobody trained", data)
