"""What `nets.fusion` says beside what the converters did: operators of small files are counted."""

import keras
import numpy as np
import pytest
from tiers import in_proof

from export import memory
from export.formats import onnx, tflite
from export.formats.table import artifact
from keras_resnet.nets.fusion import Fusion, activation_of, scales_otherwise, unfolded_norms

L = keras.layers
IMAGE, SERIES, VOLUME, ROW = (8, 8, 3), (8, 3), (4, 8, 8, 3), (6,)


def _norm(x, name="bn"):
    return L.BatchNormalization(name=name)(x)


def _conv(x, **how):
    return L.Conv2D(4, 3, name="c", **how)(x)


def _relu(x, **how):
    return L.ReLU(name="r", **how)(x)


def _both(x):
    """A convolution that two layers take."""
    c = _conv(x)
    return L.Add(name="a")([_norm(c), c])


def _sum(x):
    return L.Add(name="a")([_conv(x), L.Conv2D(4, 3, name="d")(x)])


# Layers, input, norms that stay operators in TFLite and in ONNX, TFLite's operators.
CASES = {
    "conv": (lambda x: _norm(_conv(x)), IMAGE, 0, 0, 1),
    "depthwise": (lambda x: _norm(L.DepthwiseConv2D(3)(x)), IMAGE, 0, 0, 1),
    "conv1d": (lambda x: _norm(L.Conv1D(4, 3)(x)), SERIES, 0, 1, 3),
    "conv3d": (lambda x: _norm(L.Conv3D(4, 3, use_bias=False)(x)), VOLUME, 1, 0, 3),
    "dense": (lambda x: _norm(L.Dense(4)(x)), ROW, 0, 1, 1),
    "addition": (lambda x: _norm(_sum(x)), IMAGE, 1, 1, 5),
    "two consumers": (_both, IMAGE, 1, 1, 4),
    "relu6": (lambda x: _relu(_norm(_conv(x)), max_value=6.0), IMAGE, 0, 0, 1),
    "slope": (lambda x: _relu(_norm(_conv(x)), negative_slope=0.1), IMAGE, 0, 0, 2),
    "relu between": (lambda x: _norm(_conv(x, activation="relu")), IMAGE, 1, 1, 3),
    "dropout between": (lambda x: _norm(L.Dropout(0.5)(_conv(x))), IMAGE, 0, 0, 1),
    "two norms": (lambda x: _norm(_norm(_conv(x)), "bn2"), IMAGE, 0, 0, 1),
    "padding between": (lambda x: _norm(L.ZeroPadding2D()(_conv(x))), IMAGE, 1, 1, 4),
    "separable": (lambda x: _norm(L.SeparableConv2D(4, 3)(x)), IMAGE, 0, 0, 2),
    "transposed": (lambda x: _norm(L.Conv2DTranspose(4, 3)(x)), IMAGE, 0, 1, 1),
    "separable1d": (lambda x: _norm(L.SeparableConv1D(4, 3)(x)), SERIES, 0, 1, 4),
    "norm first": (lambda x: _conv(_norm(x)), IMAGE, 1, 1, 3),
    "relu of a sum": (lambda x: _relu(_sum(x)), IMAGE, 0, 0, 3),
    "relu of a norm": (lambda x: _relu(_norm(_sum(x))), IMAGE, 1, 1, 5),
    "relu of a pool": (lambda x: _relu(L.MaxPooling2D(2)(x)), IMAGE, 0, 0, 1),
    "relu of a mean": (lambda x: _relu(L.GlobalAveragePooling2D()(x)), IMAGE, 0, 0, 2),
    "relu6 of a depthwise": (lambda x: L.Activation("relu6")(_norm(L.DepthwiseConv2D(3)(x))), IMAGE, 0, 0, 1),
    "limit": (lambda x: _relu(_conv(x), max_value=4.0), IMAGE, 0, 0, 3),
    "flat": (lambda x: L.Dense(2)(L.Flatten()(_conv(x))), IMAGE, 0, 0, 3),
}
EVERYDAY = ("conv", "depthwise", "conv1d", "conv3d", "dense", "addition", "two consumers", "relu6", "slope")
_TIERED = [name if name in EVERYDAY else in_proof(name) for name in CASES]


def _net(name):
    layers, shape, *_ = CASES[name]
    image = keras.Input(shape, name="image")
    model = keras.Model(image, {"probabilities": layers(image)})
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", _TIERED)
def test_norms_fold_as_in_the_files(name, tmp_path):
    _, _, in_tflite, in_onnx, operators = CASES[name]
    model = _net(name)
    found = {}
    for form, expected in ((tflite, in_tflite), (onnx, in_onnx)):
        kind = form.__name__.rpartition(".")[2]
        file = tmp_path / f"m.{kind}"
        form.convert(model, artifact(f"{kind}:float32"), None, file)
        found[kind] = form.describe(file)
        assert found[kind].unfolded == len(unfolded_norms(model, kind)) == expected, kind
    assert found["tflite"].operators.total() == operators
    assert not scales_otherwise(model)


@pytest.mark.parametrize("name", [n for n, (_, shape, *_) in CASES.items() if shape in (IMAGE, ROW)])
def test_what_joins_another_operator_is_what_the_file_lacks(name):
    """One operator a layer and two a norm, but for those that join and for a convolution that is two."""
    model = _net(name)
    fusion = Fusion(model, "tflite")
    own = [op for op in model.operations if not isinstance(op, L.InputLayer) and not fusion.joins(op)]
    count = sum(2 if isinstance(op, L.BatchNormalization | L.SeparableConv2D) else 1 for op in own)
    assert count + (name == "limit") == CASES[name][-1]


def test_an_output_is_needed_as_it_is():
    image = keras.Input(IMAGE)
    c = _conv(image)
    assert unfolded_norms(keras.Model(image, _norm(c)), "tflite") == []
    assert unfolded_norms(keras.Model(image, [_norm(c, "bn2"), c]), "tflite") == ["bn2"]


def test_other_models_of_the_same_layers_do_not_count():
    """A model that looks at an inner tensor takes it too, and changes nothing in the first one's file."""
    model = _net("conv")
    keras.Model(model.input, L.ReLU()(model.get_layer("c").output))
    assert unfolded_norms(model, "tflite") == []


def test_activations_have_names():
    assert activation_of(L.ReLU()) == "relu"
    assert activation_of(L.ReLU(6.0)) == activation_of(L.Activation("relu6")) == "relu6"
    assert activation_of(L.ReLU(negative_slope=0.1)) == "relu with a slope, a threshold or a limit"
    assert activation_of(L.Add()) == activation_of(L.Dense(1)) == "linear"
    assert activation_of(L.Dense(1, activation=L.LeakyReLU())) == "LeakyReLU"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
@pytest.mark.parametrize("name", ["flat", "relu6 of a depthwise"])
def test_memory_is_foretold_for_these_too(name, tmp_path):
    layers, shape, *_ = CASES[name]
    image = keras.Input(shape, name="image")
    model = keras.Model(image, layers(image))
    named = keras.Model(image, {"probabilities": model.output})
    samples = np.random.default_rng(0).random((4, *shape), np.float32)
    tflite.convert(named, artifact("tflite:int8", input="normalized"), samples, tmp_path / "m.tflite")
    found, foretold = memory.of_file(tmp_path / "m.tflite"), memory.of_model(model, raw=False, planned=False)
    assert found.activations == foretold.activations
