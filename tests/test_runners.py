"""One interface over all files; figures against NumPy and scikit-learn; hostile files."""

import zipfile

import keras
import numpy as np
import pytest
from sklearn import metrics

import keras_resnet
from keras_resnet import InputError, ModelCard, build, evaluate, load_model, open_runner, predict, save_model
from keras_resnet.evaluation import score
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.runtime.opening import open_named
from keras_resnet.runtime.tflite import dequantize, looked_up, quantize
from keras_resnet.signals.conventions import PREPROCESS, Preprocess
from keras_resnet.tasks import sole


def test_scores_against_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(8), 200).astype("f")
    labels = rng.integers(0, 8, 200)
    scores = score(probabilities, labels)
    assert scores.top1 == pytest.approx(metrics.accuracy_score(labels, probabilities.argmax(1)))
    assert scores.top5 == pytest.approx(metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=range(8)))
    assert scores.loss == pytest.approx(metrics.log_loss(labels, probabilities, labels=range(8)), rel=1e-5)
    assert scores.count == 200


def test_scores_with_fewer_than_five_classes_and_exact_zeros():
    scores = score(np.array([[1.0, 0.0], [1.0, 0.0]], "f"), np.array([0, 1]))
    assert (scores.top1, scores.top5) == (0.5, 1.0)
    assert np.isfinite(scores.loss)


def test_labels_outside_the_model():
    with pytest.raises(InputError, match="do not belong together"):
        score(np.ones((1, 2), "f"), np.array([2]))


def test_quantization_rounds_and_clips():
    details = {"quantization": (0.5, -10), "dtype": np.int8}
    values = np.array([-1000, -0.26, 0.0, 0.24, 0.26, 1000], "f")
    np.testing.assert_array_equal(quantize(values, details), np.array([-128, -11, -10, -10, -9, 127], "i1"))
    np.testing.assert_allclose(dequantize(np.array([-10, 127], "i1"), details), [0.0, 68.5])
    plain = {"quantization": (0.0, 0), "dtype": np.float32}
    np.testing.assert_array_equal(quantize(values, plain), values)


@pytest.mark.parametrize("convention", [*PREPROCESS.values(), Preprocess(std=(9,), channels="bgr")])
def test_looked_up_pixels_are_those_that_are_prepared_and_quantized(convention):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 5, 3), np.uint8)
    details = {"quantization": (0.013, -7), "dtype": np.int8}
    every = np.arange(256, dtype="u1")[None, :, None].repeat(3, -1)
    tables = quantize(convention(every), details)[0]
    found = looked_up(pixels, tables, convention.order(3))
    np.testing.assert_array_equal(found, quantize(convention(pixels), details))


def test_keras_runner_equals_the_model_over_several_batches(mini_spec):
    model = build(mini_spec)
    images = np.random.default_rng(0).standard_normal((130, 32, 32, 3)).astype("f")
    found = sole(KerasRunner(model)(images), "probabilities")
    np.testing.assert_allclose(found, model.predict(images, verbose=0), atol=1e-6)


def _several(kind):
    """A net with a mask, a number that two layers make, and what `kind` puts around them."""
    image = keras.Input((8, 8, 3))
    mask = keras.layers.Conv2D(2, 1, name="mask")(image)
    mean = keras.layers.GlobalAveragePooling2D(name="mean")(mask)
    return keras.Model(image, kind(mask, mean))


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (lambda mask, mean: {"probabilities": mean, "area": mask}, ["probabilities", "area"]),
        (lambda mask, mean: {"z": mean, "area": mask}, ["area", "z"]),
        (lambda mask, mean: [mask, mean], ["mask", "mean"]),
        (lambda mask, mean: (mask, mean, mean), ["mask", "mean", "mean:1"]),
    ],
)
def test_any_set_of_outputs_has_names(kind, names):
    model = _several(kind)
    images = np.random.default_rng(0).standard_normal((70, 8, 8, 3)).astype("f")
    runner = KerasRunner(model)
    found = runner(images)
    assert [tensor.name for tensor in runner.outputs] == list(found) == names
    expected = model(images, training=False)
    expected = expected if isinstance(expected, dict) else dict(zip(names, expected, strict=True))
    for name, tensor in zip(names, runner.outputs, strict=True):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)
        assert (found[name].dtype, found[name].shape[1:]) == (np.float32, tensor.shape[1:])


def test_one_answer_is_asked_for_by_name():
    found = KerasRunner(_several(lambda mask, mean: [mask, mean]))(np.zeros((1, 8, 8, 3), "f"))
    assert sole(found, "mean").shape == (1, 2)
    with pytest.raises(InputError, match="the outputs mask, mean: expected one, or one that is called probabilities"):
        sole(found, "probabilities")


def test_card_travels_with_the_model(mini_spec, tmp_path):
    card = ModelCard(labels=tuple("abcdefghij"), preprocess=keras_resnet.PREPROCESS["caffe"], spec="mini")
    save_model(build(mini_spec), tmp_path / "m.keras", card)
    assert load_model(tmp_path / "m.keras")[1] == card
    assert open_runner(tmp_path / "m.keras").card == card


def test_models_from_elsewhere_have_an_empty_card(tmp_path):
    image = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(image)
    keras.Model(image, keras.layers.Dense(4, "softmax")(x)).save(tmp_path / "m.keras")
    assert load_model(tmp_path / "m.keras")[1] == ModelCard()


def test_saving_refuses_other_suffixes_and_existing_files(mini_spec, tmp_path):
    model = build(mini_spec)
    with pytest.raises(InputError, match="ends in .keras"):
        save_model(model, tmp_path / "m.h5")
    (tmp_path / "m.keras").touch()
    with pytest.raises(InputError, match="--overwrite"):
        save_model(model, tmp_path / "m.keras")


def test_files_with_code_in_them_are_refused(tmp_path):
    image = keras.Input((8, 8, 3))
    keras.Model(image, keras.layers.Lambda(lambda x: x + 1)(image)).save(tmp_path / "m.keras")
    with pytest.raises(InputError, match="cannot be read as a Keras model"):
        load_model(tmp_path / "m.keras")


@pytest.fixture
def good_keras_file(mini_spec, tmp_path):
    save_model(build(mini_spec), tmp_path / "good.keras", ModelCard())
    return tmp_path / "good.keras"


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_truncated_keras_files(good_keras_file, tmp_path, keep):
    content = good_keras_file.read_bytes()
    (tmp_path / "bad.keras").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match="bad.keras is no Keras 3 model"):
        load_model(tmp_path / "bad.keras")


def test_foreign_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match="cannot be read as a Keras model"):
        load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_foreign_engine_files_are_refused_from_a_child_process(tmp_path, suffix):
    (tmp_path / f"m{suffix}").write_bytes(b"TFL3" * 100)
    with pytest.raises(InputError, match=f"m{suffix} (cannot be run|crashes its engine)"):
        open_runner(tmp_path / f"m{suffix}")


def test_other_suffixes(tmp_path):
    (tmp_path / "m.pb").write_bytes(b"x")
    with pytest.raises(InputError, match="expected a .keras, .tflite, .onnx or .savedmodel"):
        open_runner(tmp_path / "m.pb")


@pytest.mark.parametrize(
    ("model", "weights", "said"),
    [
        ("resnet8", None, "needs --weights: digits"),
        ("resnet_8", "none", "did you mean resnet8"),
        ("none.keras", None, "does not exist"),
        ("none.tflite", None, "does not exist"),
        ("x.keras", "digits", "is a file and has its own"),
    ],
)
def test_what_model_and_weights_may_name(model, weights, said):
    with pytest.raises(InputError, match=said):
        open_named(model, weights)


def test_named_variants_bring_their_card(digits_runner):
    assert digits_runner.card.labels == tuple("0123456789")
    assert open_named("resnet8", "none").card == ModelCard(spec="resnet8")


def test_images_that_do_not_fit_the_model(digits):
    runner = KerasRunner(build("resnet8", input_shape=(16, 16, 3)))
    with pytest.raises(InputError, match="takes images of"):
        evaluate(runner, digits.test)


def test_predictions_name_the_labels(digits, digits_runner, tmp_path):
    import tensorflow as tf

    wrong = 0
    paths = []
    for number in range(40):
        path = tmp_path / f"{number}.png"
        path.write_bytes(tf.io.encode_png(digits.test.images[number]).numpy())
        paths.append(path)
    for answer, label in zip(predict(digits_runner, paths), digits.test.labels, strict=False):
        assert len(answer.top) == 5
        assert sum(p for _, p in answer.top) <= 1.00001
        wrong += answer.top[0][0] != str(label)
    assert wrong <= 1


def test_classes_without_labels_are_numbered(image_folder):
    runner = open_named("resnet8", "none")
    answer = predict(runner, [image_folder / "red" / "01.png"])[0]
    assert all(name.startswith("class_") for name, _ in answer.top)


def test_environments_are_looked_for_in_the_clone():
    from keras_resnet.runtime import outside

    assert (outside.ROOTS[1] / "tools" / "environment.py").is_file()
