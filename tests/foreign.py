"""Forty models as other people make them: the tutorials' nets, odd ones, and keras.applications' families.

Each is small and, where it says so, of a size or kind that is refused. `ROWS` maps a name to how it is made and saved,
what a person must say of it, and what is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import keras
import numpy as np

L = keras.layers
SHAPE = (32, 32, 3)
FILES = tuple(f"{form}:{precision}" for form in ("tflite", "onnx") for precision in ("float32", "int8"))


@dataclass(frozen=True)
class Row:
    """A model from elsewhere.

    Attributes:
        make: function that makes it.
        options: options of every command that opens it.
        refused: regular expression of the one line that refuses it everywhere; empty where it is opened.
        failing: messages by what fails: `"tflite:int8"`, `"explain"`, ...
        code: content of the Python file that `--import` gets; empty for none.
    """

    make: Callable[[], keras.Model]
    options: tuple[str, ...] = ("--preprocess", "0..1")
    refused: str = ""
    failing: Mapping[str, str] = field(default_factory=dict)
    code: str = ""


def _body(x, width=4):
    x = L.Conv2D(width, 3, activation="relu")(x)
    x = L.MaxPooling2D()(x)
    return L.GlobalAveragePooling2D()(L.Conv2D(2 * width, 3, activation="relu")(x))


def _layers(*last, first=()):
    return [*first, L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(8), L.Flatten(), *last]


def _ten(activation="softmax"):
    return L.Dense(10, activation=activation)


def _functional(*before, activation="softmax", shape=SHAPE, classes=10, outputs=lambda y: y, body=_body):
    start = x = keras.Input(shape)
    for layer in before:
        x = layer(x)
    return keras.Model(start, outputs(L.Dense(classes, activation=activation)(body(x))))


def _sequential(*layers, build=None, fit=False):
    model = keras.Sequential([*layers])
    if build:
        model.build(build)
    if fit:
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(np.zeros((4, *SHAPE), "f"), np.zeros(4), verbose=0)
    return model


def _adapted():
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (8, *SHAPE)).astype("f"))
    return layer


def _nested():
    start = keras.Input(SHAPE)
    inner_start = keras.Input(SHAPE)
    inner = keras.Model(inner_start, _body(inner_start))
    return keras.Model(start, _ten()(inner(start)))


def _transformer():
    start = keras.Input(SHAPE)
    x = L.Reshape((16, 8))(L.Conv2D(8, 8, strides=8)(start))
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x))
    return keras.Model(start, _ten()(L.GlobalAveragePooling1D()(x)))


def _mixed(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        start = keras.Input(SHAPE)
        return keras.Model(start, L.Activation("softmax", dtype="float32")(_ten(None)(_body(start))))
    finally:
        keras.config.set_dtype_policy(before)


def _two_inputs():
    first, second = keras.Input(SHAPE), keras.Input(SHAPE)
    return keras.Model([first, second], _ten()(_body(L.Add()([first, second]))))


def _two_outputs():
    start = keras.Input(SHAPE)
    x = _body(start)
    return keras.Model(start, [_ten()(x), L.Dense(3)(x)])


def _segmentation():
    start = keras.Input(SHAPE)
    return keras.Model(start, L.Conv2D(5, 1, activation="softmax")(L.Conv2D(4, 3, padding="same")(start)))


CUSTOM = """
import keras


class Doubling(keras.layers.Layer):
    def call(self, x):
        return x * 2.0


@keras.saving.register_keras_serializable("theirs")
class Small(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Conv2D(4, 3, strides=2, activation="relu")
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.last = keras.layers.Dense(10, activation="softmax")

    def call(self, x):
        return self.last(self.pool(self.first(x)))
"""
_theirs: dict[str, object] = {"__name__": "theirs"}


def _custom(name):
    if not _theirs.get("Small"):
        exec(compile(CUSTOM, "theirs.py", "exec"), _theirs)
    return _theirs[name]


def _subclassed():
    model = _custom("Small")()
    model(np.zeros((1, *SHAPE), "f"))
    return model


def _application(name, **how):
    shape = (*[how.pop("size", 64)] * 2, 3)
    return lambda: getattr(keras.applications, name)(weights=None, input_shape=shape, classes=10, **how)


ROWS: dict[str, Row] = {
    "functional": Row(lambda: _functional()),
    "list output": Row(lambda: _functional(outputs=lambda y: [y])),
    "dict output": Row(lambda: _functional(outputs=lambda y: {"scores": y})),
    "rescaling": Row(lambda: _functional(L.Rescaling(1 / 255)), ()),
    "augmentation": Row(lambda: _functional(L.RandomFlip(), L.RandomRotation(0.1), L.Rescaling(1 / 255)), ()),
    "augmentation in a model": Row(
        lambda: _functional(keras.Sequential([L.RandomFlip(), L.RandomZoom(0.1)]), L.Rescaling(1 / 255)), ()
    ),
    "normalization": Row(lambda: _functional(_adapted()), ()),
    "normalization with numbers": Row(lambda: _functional(L.Normalization(mean=[9.0] * 3, variance=[4.0] * 3)), ()),
    "grey": Row(lambda: _functional(shape=(28, 28, 1))),
    "48 x 64": Row(lambda: _functional(shape=(48, 64, 3))),
    "rgba": Row(
        lambda: _functional(shape=(32, 32, 4)), failing=dict.fromkeys(("evaluate", *FILES), "have 1 or 3 channels")
    ),
    "nested": Row(_nested),
    "transformer": Row(_transformer),
    "float16": Row(lambda: _mixed("mixed_float16")),
    "bfloat16": Row(lambda: _mixed("mixed_bfloat16")),
    "sequential": Row(lambda: _sequential(keras.Input(SHAPE), *_layers(_ten()))),
    "sequential, built": Row(lambda: _sequential(*_layers(_ten()), build=(None, *SHAPE))),
    "sequential, fitted": Row(lambda: _sequential(*_layers(_ten()), fit=True)),
    "sequential with a shape": Row(lambda: _sequential(*_layers(_ten(), first=[L.InputLayer(shape=SHAPE)]))),
    "sequential with rescaling": Row(
        lambda: _sequential(keras.Input(SHAPE), *_layers(_ten(), first=[L.Rescaling(1 / 255)])), ()
    ),
    "sequential in sequential": Row(
        lambda: _sequential(keras.Input(SHAPE), keras.Sequential(_layers()[:-1]), L.Flatten(), _ten())
    ),
    "sequential, never built": Row(lambda: _sequential(*_layers(_ten())), refused=r"never built.*model\.build"),
    "logits": Row(lambda: _functional(activation=None)),
    "sequential logits": Row(lambda: _sequential(keras.Input(SHAPE), *_layers(_ten(None)))),
    "logits, hidden": Row(
        lambda: _functional(activation=None, outputs=lambda y: L.Reshape((10,))(y)),
        ("--preprocess", "0..1", "--logits"),
    ),
    "softmax layer": Row(lambda: _functional(activation=None, outputs=lambda y: L.Softmax()(y))),
    "one sigmoid": Row(lambda: _functional(classes=1, activation="sigmoid")),
    "one logit": Row(lambda: _functional(classes=1, activation=None), ("--preprocess", "0..1", "--logits")),
    "one number": Row(lambda: _functional(classes=1, activation=None), refused="one output without a sigmoid"),
    "any size": Row(lambda: _functional(shape=(None, None, 3)), ("--preprocess", "0..1", "--image-size", "32")),
    "any size, not said": Row(lambda: _functional(shape=(None, None, 3)), refused="--image-size"),
    "any size, resized": Row(
        lambda: _functional(L.Resizing(32, 32), L.Rescaling(1 / 255), shape=(None, None, 3)), ("--image-size", "40")
    ),
    "gelu": Row(lambda: _functional(L.Activation("gelu"))),
    "subclassed": Row(_subclassed, code=CUSTOM),
    "own layer": Row(lambda: _functional(_custom("Doubling")()), code=CUSTOM),
    "own layer, not said": Row(lambda: _functional(_custom("Doubling")()), refused="--import FILE.py"),
    "lambda": Row(lambda: _functional(L.Lambda(lambda x: x * 2)), refused="cannot be read as a Keras model"),
    "two inputs": Row(_two_inputs, refused="2 inputs: expected one"),
    "two outputs": Row(_two_outputs, refused="has the outputs"),
    "segmentation": Row(_segmentation, refused="segmentation"),
    "not said": Row(lambda: _functional(), (), failing=dict.fromkeys(FILES, "give --preprocess")),
    "MobileNetV2": Row(_application("MobileNetV2", alpha=0.35)),
    "MobileNetV3Small": Row(_application("MobileNetV3Small", minimalistic=True), ()),
    "EfficientNetB0": Row(_application("EfficientNetB0"), ()),
    "ResNet50": Row(_application("ResNet50")),
    "DenseNet121": Row(_application("DenseNet121")),
}
