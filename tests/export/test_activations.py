"""Activations of any kind, in every place where a Keras model has one."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from export import export, load_source, program
from export.formats import activations, onnx, tflite
from export.formats.artifacts import artifact
from keras_resnet import InputError, ModelCard, build, save_model

L = keras.layers
FOURTEEN = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "tanh"),
    *("sigmoid", "hard_silu"),
)


@pytest.mark.parametrize("name", activations.WRITTEN)
def test_what_is_written_anew_is_keras_own(name):
    x = np.concatenate([np.linspace(-100, 100, 4001), np.linspace(-1, 1, 401)]).astype("f")
    expected = getattr(keras.activations, name)(x)
    np.testing.assert_allclose(activations.WRITTEN[name](x), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", ["elu", "celu"])
def test_alpha_is_kept(name):
    x = np.linspace(-5, 5, 101).astype("f")
    expected = getattr(keras.activations, name)(x, alpha=0.3)
    np.testing.assert_allclose(activations.WRITTEN[name](x, alpha=0.3), expected, rtol=2e-6, atol=2e-6)


def _everywhere():
    """Six activations as layers, as arguments of layers, as operations, and in a model in the model."""
    start = keras.Input((4, 4, 2))
    inner = keras.Input((4, 4, 2))
    nested = keras.Model(inner, L.Activation("softplus", name="deep")(inner))
    x = L.Conv2D(2, 1, activation="selu", name="c")(start)
    x = nested(L.Activation("mish")(x))
    x = keras.ops.celu(L.ELU(0.5)(x - 1.0), 0.7) - 1.0
    x = keras.ops.log_sigmoid(keras.ops.elu(x))
    return keras.Model(start, {"x": L.Activation("gelu")(x)})


def test_an_activation_is_found_wherever_it_stands():
    names = [activations.name_of(each) for each in activations.operations(_everywhere())]
    assert sorted(filter(None, names)) == ["celu", "elu", "elu", "gelu", "log_sigmoid", "mish", "selu", "softplus"]


def test_a_function_of_the_users_that_is_called_like_keras_is_left_alone():
    def elu(x):
        return x * 2.0

    image = keras.Input((4, 4, 2))
    model = keras.Model(image, L.Activation(elu)(image))
    activations.rewrite(model)
    assert model.layers[-1].activation is elu


@pytest.mark.slow
def test_tflite_computes_them(tmp_path):
    model = _everywhere()
    x = 60 * np.random.default_rng(0).standard_normal((1, 4, 4, 2)).astype("f")
    expected = model.predict_on_batch(x)["x"]
    tflite.convert(model, artifact("tflite:float32"), None, tmp_path / "m.tflite")
    engine = Interpreter(str(tmp_path / "m.tflite"))
    run = engine.get_signature_runner()
    np.testing.assert_allclose(run(**{model.inputs[0].name: x})["x"], expected, atol=1e-5)


@pytest.mark.slow
def test_onnx_has_grouped_convolutions_and_what_tf2onnx_has_not(tmp_path):
    """Keras compiles the former by XLA (tf2onnx#2099); Erfc and Expm1 are none of ONNX' operators."""
    import onnxruntime

    start = keras.Input((5, 5, 8), name="image")
    x = L.Conv2D(8, 3, groups=4, activation="gelu")(start)
    x = L.Activation("celu")(L.Conv2D(4, 1, groups=2)(x))
    model = keras.Model(start, {"x": x})
    pixels = np.random.default_rng(0).standard_normal((3, 5, 5, 8)).astype("f")
    for layout in ("nhwc", "nchw"):
        onnx.convert(model, artifact("onnx:float32", layout=layout), None, tmp_path / "m.onnx")
        given = pixels if layout == "nhwc" else pixels.transpose(0, 3, 1, 2)
        (found,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(["x"], {"image": given})
        np.testing.assert_allclose(found, model.predict_on_batch(pixels)["x"], atol=1e-5)


def test_what_integers_cannot_compute_is_named_before_the_conversion():
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, L.Activation("softsign", name="a")(L.Conv2D(2, 1, activation="hard_shrink")(image)))
    with pytest.raises(InputError, match=r"tflite:int8: TFLite cannot compute hard_shrink \(layer .*softsign"):
        activations.refuse(model, artifact("tflite:int8"))
    for name in ("tflite:float32", "tflite:dynamic_int8", "onnx:int8"):
        activations.refuse(model, artifact(name))


@pytest.fixture(scope="module")
def sources(tmp_path_factory, mini_spec):
    """The net of 1,000 parameters with each activation, for digits."""
    folder = tmp_path_factory.mktemp("activations")

    def make(name):
        keras.utils.set_random_seed(1)
        model = build(mini_spec, activation=name, input_shape=(32, 32, 3))
        card = ModelCard(dataset="digits", labels=tuple("0123456789"))
        save_model(model, folder / f"{name}.keras", card, overwrite=True)
        return load_source(folder / f"{name}.keras")

    return make


@pytest.mark.proof
@pytest.mark.parametrize("name", FOURTEEN)
def test_fourteen_activations_become_files_that_compute_the_same(name, sources, tmp_path):
    """To every gate's satisfaction, or refused by name: softsign with integers."""
    source = sources(name)
    for kind in ("tflite:float32", "tflite:int8", "onnx:float32", "onnx:int8"):
        made = artifact(kind)
        path = made.file(tmp_path, name)
        if kind == "tflite:int8" and name in activations.NOT_IN_INT8:
            with pytest.raises(InputError, match=name):
                export(source, [(made, path)], limit=100, samples=50)
            continue
        (row,) = export(source, [(made, path)], limit=100, samples=50).rows
        assert row.passed, [gate for gate in row.gates if not gate.passed]


@pytest.mark.proof
@pytest.mark.parametrize("name", ["hard_shrink", "soft_shrink", "sparse_plus"])
def test_what_is_refused_would_have_been_wrong(name, sources, tmp_path, monkeypatch):
    """The control: where TFLite learns them, the list gets shorter."""
    monkeypatch.setattr(activations, "NOT_IN_INT8", ())
    (row,) = export(sources(name), [(artifact("tflite:int8"), tmp_path / "m.tflite")], limit=100, samples=50).rows
    assert not row.passed


@pytest.mark.proof
def test_all_leaves_out_what_is_refused_and_says_so(sources, tmp_path, capsys):
    model = sources("softsign").origin
    program.alone("export", ["--all", "--model", model, "-o", "made", "--limit", "40"])  # 1: too small for dynamic_int8
    said = capsys.readouterr()
    assert "note: left out: tflite:int8: TFLite cannot compute softsign" in said.err
    assert not list((tmp_path / "made").glob("*-int8.tflite"))
    assert list((tmp_path / "made").glob("*-float16.tflite"))
