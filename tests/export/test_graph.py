"""What is put in front of a net and behind it: preprocessing, class activation maps, feature maps, ensembles."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from export import load_source, program
from export.formats.artifacts import artifact
from export.model import graph
from export.targets.making import make_bundle
from keras_resnet import InputError, ModelCard, build, open_runner, save_model
from keras_resnet.nets.fusion import scales_otherwise, unfolded_norms
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.signals.conventions import PREPROCESS, Preprocess
from keras_resnet.signals.image import resized
from keras_resnet.tasks import sole


@pytest.fixture(scope="module")
def model():
    """With statistics and biases that are not the initial ones."""
    keras.utils.set_random_seed(1)
    net = build("resnet8", input_shape=(16, 16, 3), classes=5)
    rng = np.random.default_rng(1)
    for weight in net.weights:
        weight.assign(weight.numpy() + 0.1 * rng.random(weight.shape) * (len(weight.shape) == 1))
    return net


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", PREPROCESS)
def test_raw_input_equals_the_training_pipelines_preprocessing(model, pixels, name):
    prepared = graph.prepare(model, ModelCard(preprocess=PREPROCESS[name]), artifact("tflite:float32", input="raw"))
    received = KerasRunner(prepared)(pixels.astype("f"))["probabilities"]
    np.testing.assert_allclose(received, model.predict_on_batch(PREPROCESS[name](pixels)), atol=1e-5)


@pytest.mark.slow
def test_raw_input_of_one_and_four_channels():
    for channels in (1, 4):
        net = build("resnet8", input_shape=(8, 8, channels), classes=3)
        images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, channels), np.uint8)
        prepared = graph.prepare(net, ModelCard(preprocess=PREPROCESS["caffe"]), artifact("onnx:float32", input="raw"))
        convention = PREPROCESS["caffe"].for_channels(channels)
        received = KerasRunner(prepared)(images.astype("f"))["probabilities"]
        np.testing.assert_allclose(received, net.predict_on_batch(convention(images)), atol=1e-5)


def test_the_class_activation_map_is_the_classifier_at_every_position(model, pixels):
    """Against NumPy; and its mean is what the net answers."""
    prepared = graph.prepare(model, ModelCard(preprocess=PREPROCESS["none"]), artifact("onnx:float32", cam=True))
    received = KerasRunner(prepared).run(pixels / np.float32(255))
    features = keras.Model(model.input, model.get_layer("avg_pool").input).predict_on_batch(pixels / np.float32(255))
    kernel, bias = model.get_layer("predictions").get_weights()
    np.testing.assert_allclose(received["cam"], np.einsum("nhwc,ck->nhwk", features, kernel) + bias, atol=1e-4)
    logits = received["cam"].mean(axis=(1, 2))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(received["probabilities"], softmax, atol=1e-5)
    np.testing.assert_allclose(received["probabilities"], model.predict_on_batch(pixels / np.float32(255)), atol=1e-5)


def test_feature_maps_are_the_builders(model, pixels):
    prepared = graph.prepare(model, ModelCard(preprocess=PREPROCESS["none"]), artifact("onnx:float32", features=(1, 4)))
    received = KerasRunner(prepared).run(pixels.astype("f"))
    backbone = build("resnet8", input_shape=(16, 16, 3), features=(1, 4))
    backbone.set_weights(model.get_weights()[: len(backbone.weights)])
    expected = backbone.predict_on_batch(pixels.astype("f"))
    for stride in (1, 4):
        np.testing.assert_allclose(received[f"features_{stride}"], expected[stride], rtol=1e-4, atol=1e-4)


def test_nets_without_such_outputs_are_refused(model):
    headless = build("resnet8", input_shape=(16, 16, 3), include_top=False)
    with pytest.raises(InputError, match="expected a net that ends in global average pooling"):
        graph.prepare(headless, ModelCard(preprocess=PREPROCESS["none"]), artifact("onnx:float32", cam=True))
    with pytest.raises(InputError, match="maps at strides 1, 2, 4"):
        graph.prepare(model, ModelCard(preprocess=PREPROCESS["none"]), artifact("onnx:float32", features=(32,)))


def test_norms_that_cannot_be_folded_are_those_behind_additions(model):
    assert unfolded_norms(model, "tflite") == []
    found = unfolded_norms(build("resnetv2_20_cifar"), "tflite")
    # The first norm of nine blocks and the last one; the stem's convolution has two readers, or none of its own norm.
    assert len(found) == 10
    assert not any(name.endswith("_2_bn") for name in found)
    assert not scales_otherwise(model)
    assert scales_otherwise(build("resnet8", norm="group"))


@pytest.mark.proof
def test_an_ensemble_is_exported_as_one_file(mini_spec, tmp_path, capfd):
    card = ModelCard(preprocess=Preprocess(mean=(127.5,), std=(127.5,)))
    models = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        models.append(build(mini_spec))
        save_model(models[-1], tmp_path / f"m{seed}.keras", card)
    arguments = ["--model", "m1.keras", "--model", "m2.keras", "--data", "digits", "-o", "m.tflite", "--int8"]
    assert program.alone("export tflite", [*arguments, "--json", "r.json"]) == 0
    assert "the mean of m1.keras, m2.keras" in capfd.readouterr().out
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    expected = sum(m.predict_on_batch(card.preprocess(pixels)) for m in models) / 2
    runner = open_runner("m.tflite")
    np.testing.assert_allclose(runner(runner.card.preprocess(pixels))["probabilities"], expected, atol=0.03)
    save_model(models[0], tmp_path / "m3.keras", ModelCard())
    assert program.alone("export tflite", ["--model", "m1.keras", "--model", "m3.keras", "-o", "n.tflite"]) == 2
    assert "no ensemble" in capfd.readouterr().err


OPTIONS = [
    ("tflite", ["--int8", "--io", "uint8", "--engine", "reference"]),
    ("tflite", ["--int8", "--quantizer", "litert", "--io", "float32", "--with-cam", "--features", "2,4"]),
    ("tflite", ["--weight-only-int8"]),
    ("onnx", ["--int8", "--layout", "nchw", "--with-cam", "--input", "normalized"]),
    ("saved_model", ["--features", "4", "--input", "raw"]),
    ("keras", ["--with-cam", "--input", "raw"]),
]
EVERY_DAY = (OPTIONS[0], OPTIONS[3])  # one of a format; what the others have is a case of its own elsewhere


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "options"),
    [pytest.param(*row, marks=() if row in EVERY_DAY else pytest.mark.proof) for row in OPTIONS],
    ids=lambda value: "".join(value),
)
def test_files_take_raw_pixels_as_they_say_and_answer_like_the_training_pipeline(form, options, source, digits, capfd):
    arguments = ["--model", "resnet8", "--weights", "digits", *options, "--limit", "60", "--json", "r.json"]
    assert program.alone(f"export {form}", arguments) == 0
    (row,) = json.loads(Path("r.json").read_text())
    assert row["io"] == (options[options.index("--io") + 1] if "--io" in options else row["io"])
    runner = open_runner(row["file"], trusted=True)
    outputs = runner.run(runner.card.preprocess(digits.test.images))
    reference = sole(KerasRunner(source.model)(source.card.preprocess(digits.test.images)), "probabilities")
    assert (outputs["probabilities"].argmax(1) == reference.argmax(1)).mean() > 0.98
    assert np.abs(outputs["probabilities"] - reference).max() < 0.5
    wanted = {"cam"} if "--with-cam" in options else set()
    wanted |= (
        {f"features_{s}" for s in options[options.index("--features") + 1].split(",")}
        if "--features" in options
        else set()
    )
    assert set(outputs) == {"probabilities", *wanted}
    if form in ("tflite", "onnx"):
        assert program.alone("verify", [row["file"], *arguments[:4], "--limit", "60"]) == 0
        assert "passed" in capfd.readouterr().out


def test_sources_of_one_model_in_a_list():
    assert load_source(["resnet8"], weights="digits").name == load_source("resnet8", weights="digits").name


@pytest.mark.parametrize(
    ("layer", "operation"),
    [
        (lambda: keras.layers.Resizing(20, 20, interpolation="bicubic"), "ResizeBicubic"),
        (lambda: keras.layers.Lambda(lambda x: tf.image.rgb_to_hsv(x)), "RGBToHSV"),
    ],
)
def test_what_only_flex_has_is_named_before_a_conversion(layer, operation):
    image = keras.Input((16, 16, 3))
    found = graph.flex_operations(keras.Model(image, layer()(image)))
    assert operation in found


@pytest.mark.slow
def test_plain_and_bilinear_nets_need_no_flex():
    image = keras.Input((16, 16, 3))
    resized = keras.layers.Resizing(20, 20)(image)
    assert graph.flex_operations(keras.Model(image, resized)) == {}
    assert graph.flex_operations(build("seresnet50", input_shape=(32, 32, 3))) == {}


def test_a_target_refuses_flex_before_converting(tmp_path, source):
    image = keras.Input((32, 32, 3))
    x = keras.layers.Resizing(40, 40, interpolation="bicubic")(image)
    x = keras.layers.Dense(10, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    with pytest.raises(InputError, match="ResizeBicubic: use interpolation='bilinear'"):
        make_bundle(dataclasses.replace(source, model=keras.Model(image, x)), "mediapipe", tmp_path / "b")
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [PREPROCESS["none"], PREPROCESS["caffe"], PREPROCESS["cifar10"]])
def test_pixels_from_minus_one_to_one_give_the_same_answer(model, pixels, wanted):
    prepared = graph.prepare(model, ModelCard(preprocess=wanted), artifact("tflite:float32", input="tf"))
    ours = prepared.predict(PREPROCESS["tf"](pixels), verbose=0)["probabilities"]
    np.testing.assert_allclose(ours, model.predict(wanted(pixels), verbose=0), atol=1e-5)


def test_an_input_of_an_odd_multiple_is_resized_back_exactly(model, pixels):
    card = ModelCard(preprocess=PREPROCESS["cifar10"])
    prepared = graph.prepare(model, card, artifact("tflite:float32", input="raw", size=48))
    large = resized(pixels, (48, 48))  # three times as large: every third pixel is one of the original
    assert prepared.input_shape == (None, 48, 48, 3)
    ours = prepared.predict(large.astype(np.float32), verbose=0)["probabilities"]
    np.testing.assert_allclose(ours, model.predict(PREPROCESS["cifar10"](pixels), verbose=0), atol=1e-5)
