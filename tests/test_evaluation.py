"""Views, ensembles, intervals, calibration and corruptions against NumPy, scikit-learn, SciPy and the papers' text."""

import json
import re
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from sklearn import metrics

import keras_resnet
from keras_resnet import InputError, cli, evaluate, evaluation
from keras_resnet.card import UNKNOWN
from keras_resnet.data.dataset import ArraySplit, sampled
from keras_resnet.evaluation import Member, Views, assess
from keras_resnet.evaluation.command import note_missing_card
from keras_resnet.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from keras_resnet.evaluation.views import ten_crops
from keras_resnet.runtime.interface import Tensor
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.tasks import results, sole
from keras_resnet.tasks.classification.ensembles import combine
from keras_resnet.tasks.classification.reliability import fit_temperature, reliability, tempered
from keras_resnet.tasks.classification.summaries import confusions, wilson


def outputs(*args, **how):
    return sole(evaluation.outputs(*args, **how), "probabilities")


@pytest.fixture(scope="module")
def few(digits):
    return sampled(digits.test, 60)


def test_ten_crops_are_corners_centre_and_their_mirror_images():
    images = np.arange(6 * 7).reshape(1, 6, 7, 1)
    crops = ten_crops(images, (4, 4))
    assert [int(crop[0, 0, 0, 0]) for crop in crops] == [0, 3, 14, 17, 8, 3, 6, 17, 20, 11]
    for crop, mirrored in zip(crops[:5], crops[5:], strict=True):
        np.testing.assert_array_equal(crop[:, :, ::-1], mirrored)


@pytest.mark.slow
def test_ten_crops_against_numpy(digits_runner, few):
    """Padding, cutting, preprocessing and averaging written out."""
    padded = np.pad(few.images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    model, total = digits_runner.model, 0
    for top, left in ((0, 0), (0, 8), (8, 0), (8, 8), (4, 4)):
        part = (padded[:, top : top + 32, left : left + 32].astype("f") - 127.5) / 127.5
        for view in (part, part[:, :, ::-1]):
            total = total + model.predict(view, verbose=0)
    found = outputs(digits_runner, few, views=Views(crops=10))
    np.testing.assert_allclose(found, total / 10, atol=1e-5)
    assert np.abs(found - outputs(digits_runner, few)).max() > 0.01  # it is another answer


def test_ten_crops_of_files_are_cut_out_of_a_larger_square(image_folder):
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Rescaling(1 / 100), keras.layers.Softmax()]
    model = keras.Sequential([keras.Input((14, 14, 3)), *layers])
    dataset = keras_resnet.load_dataset(image_folder, None, (14, 14, 3))
    one = sampled(dataset.test, 1)
    whole = tf.io.decode_image(one.contents.read(tf.constant([0]))[0]).numpy()  # (12, 16, 3)
    square = tf.image.resize(whole[:, 2:14], (16, 16), antialias=True).numpy()  # 14 / 0.875
    means = np.array([part[0].mean(axis=(0, 1)) / 100 for part in ten_crops(np.rint(square)[None], (14, 14))])
    expected = (np.exp(means) / np.exp(means).sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(outputs(KerasRunner(model), one, views=Views(crops=10))[0], expected, atol=1e-3)


@pytest.mark.slow
def test_scales_pool_over_the_whole_image(digits_runner, few):
    found = outputs(digits_runner, few, views=Views(scales=(32, 48), flip=True))
    twin = keras.models.clone_model(digits_runner.model, input_tensors=keras.Input((None, None, 3)))
    twin.set_weights(digits_runner.model.get_weights())
    total = 0
    for size in (32, 48):
        pixels = np.rint(tf.image.resize(few.images, (size, size), antialias=True).numpy())
        for view in (pixels, pixels[:, :, ::-1]):
            total = total + twin.predict((view - 127.5) / 127.5, verbose=0)
    np.testing.assert_allclose(found, total / 4, atol=1e-5)


class Aspect(keras.layers.Layer):
    """Width divided by height."""

    def call(self, image):
        shape = keras.ops.shape(image)
        return keras.ops.cast(shape[2], "float32") / keras.ops.cast(shape[1], "float32")

    def compute_output_spec(self, image):
        return keras.KerasTensor((), "float32")


def test_scales_keep_the_aspect_of_files(image_folder):
    """A net that answers with its input's size: no two images of a folder need the same."""
    image = keras.Input((None, None, 3))
    ones = keras.layers.GlobalAveragePooling2D()(image) * 0
    runner = KerasRunner(keras.Model(image, ones + Aspect()(image)))
    dataset = keras_resnet.load_dataset(image_folder, None, (8, 8, 3))
    found = outputs(runner, sampled(dataset.test, 2), views=Views(scales=(24,)))
    np.testing.assert_allclose(found, 16 / 12, rtol=1e-6)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"crops": 5}, "expected 1 or 10"),
        ({"crops": 10, "flip": True}, "mirror images already"),
        ({"crops": 10, "scales": (32,)}, "one of them"),
        ({"scales": (4,)}, "from 8"),
        ({"average": "mean"}, "probabilities"),
    ],
)
def test_views_that_cannot_be(how, message):
    with pytest.raises(InputError, match=message):
        Views(**how)


def test_a_fixed_net_takes_no_scales(few):
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    with pytest.raises(InputError, match="any size"):
        outputs(KerasRunner(model), few, views=Views(scales=(40,)))


def test_ensembles_against_numpy():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 20, 5))
    answers = [np.exp(each) / np.exp(each).sum(1, keepdims=True) for each in logits]
    np.testing.assert_allclose(combine(answers), np.mean(answers, 0), rtol=1e-6)
    weighted = (answers[0] + 2 * answers[1] + 3 * answers[2]) / 6
    np.testing.assert_allclose(combine(answers, [1, 2, 3]), weighted, rtol=1e-6)
    mean = np.tensordot([0.5, 0.25, 0.25], logits, 1)  # of the logits themselves, which `combine` never saw
    expected = np.exp(mean) / np.exp(mean).sum(1, keepdims=True)
    np.testing.assert_allclose(combine(answers, [2, 1, 1], "logits"), expected, rtol=1e-5)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")]])
def test_weights_that_are_none(weights):
    with pytest.raises(InputError):
        combine([np.ones((1, 2)), np.ones((1, 2))], weights)


def test_answers_of_different_shapes():
    with pytest.raises(InputError, match="one shape"):
        combine([np.ones((1, 2)), np.ones((1, 3))])


@pytest.mark.parametrize(("right", "count"), [(0, 10), (7, 10), (883, 1000), (10, 10)])
def test_intervals_against_scipy(right, count):
    expected = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert wilson(right, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_confusions_against_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(4), 300), rng.integers(0, 4, 300)
    expected = metrics.confusion_matrix(labels, probabilities.argmax(1))
    np.testing.assert_array_equal(confusions(probabilities, labels), expected)


def test_calibration_error_of_a_known_case():
    probabilities = np.array([[0.95, 0.05]] * 10 + [[0.62, 0.38]] * 10)
    labels = np.array([0] * 9 + [1] + [0] * 5 + [1] * 5)  # right: 9 of 10, 5 of 10
    found = reliability(probabilities, labels, bins=10)
    assert found.ece == pytest.approx((10 * 0.05 + 10 * 0.12) / 20)
    assert (found.counts[9], found.counts[6]) == (10, 10)


def test_temperature_finds_what_was_done_to_the_logits():
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(4000, 6))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(6, p=row) for row in honest])
    sharp = tempered(honest, 1 / 2.5)
    assert fit_temperature(sharp, labels) == pytest.approx(2.5, rel=0.05)
    assert reliability(sharp, labels).ece > 0.1
    assert reliability(tempered(sharp, 2.5), labels).ece < 0.03
    assert fit_temperature(sharp, sharp.argmax(1)) is None  # whatever was done: the lower, the better


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corruptions_grow_and_repeat(kind, digits):
    images = digits.test.images[:8]
    distances = [np.abs(corrupt(images, kind, s).astype(float) - images).mean() for s in STRENGTHS]
    assert distances == sorted(distances)
    assert 0 < distances[0] < distances[-1]
    alone = corrupt(images[5:6], kind, 3, first=5)
    np.testing.assert_array_equal(alone[0], corrupt(images, kind, 3)[5])  # whatever goes with it


def test_noise_has_the_strength_of_the_paper():
    grey = np.full((4, 64, 64, 3), 128, np.uint8)
    large = np.full((1, 256, 256, 3), 128, np.uint8)
    assert corrupt(grey, "gaussian-noise", 5).std() / 255 == pytest.approx(0.10, rel=0.03)  # CIFAR-10-C
    assert corrupt(large, "gaussian-noise", 1).std() / 255 == pytest.approx(0.08, rel=0.03)  # ImageNet-C
    hit = corrupt(grey, "impulse-noise", 5) != 128
    assert hit.mean() == pytest.approx(0.07, rel=0.1)


@pytest.mark.proof
def test_assessment_of_an_ensemble(digits, digits_runner, few):
    noisy = keras.models.clone_model(digits_runner.model)
    rng = np.random.default_rng(0)
    noisy.set_weights([w + rng.normal(scale=0.05, size=w.shape) for w in digits_runner.model.get_weights()])
    other = KerasRunner(noisy, digits_runner.card)
    runners = {"a": digits_runner, "b": other}
    members = [Member(name, runner, few, digits.validation, held_out=True) for name, runner in runners.items()]
    found = assess(members, labels=digits.classes, corrupted=["contrast"])
    together = (outputs(digits_runner, few) + outputs(other, few)) / 2
    assert found.scores.top1 == (together.argmax(1) == few.labels).mean()
    assert [scores for _, scores in found.members] == [evaluate(digits_runner, few), evaluate(other, few)]
    assert np.sum(found.confusion) == 60
    assert sum(each.count for each in found.classes) == 60
    assert len(found.robustness["contrast"]) == 5
    assert found.tempered is not None
    assert not found.logits
    json.dumps(found.to_json())


def test_logits_are_said_to_be_logits(digits, few):
    model = keras_resnet.build("resnet8", weights="digits", classifier_activation=None)
    card = open_runner_card()
    found = assess([Member("logits", KerasRunner(model, card), few)])
    assert found.logits
    assert found.scores.loss < 0.5
    assert found.temperature is None


@pytest.mark.slow
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_views_of_a_net_without_softmax_are_those_of_the_net_with_it(average, digits_runner, few):
    model = keras_resnet.build("resnet8", weights="digits", classifier_activation=None)
    views = Views(flip=True, average=average)
    found = outputs(KerasRunner(model, open_runner_card()), few, views=views)
    np.testing.assert_allclose(found, outputs(digits_runner, few, views=views), atol=1e-5)


def open_runner_card():
    return keras_resnet.weights_card("digits", keras_resnet.nets.specs.get_spec("resnet8"))


def test_members_must_fit_each_other(digits, digits_runner, few):
    others = ArraySplit(few.images, (few.labels + 1) % 10)
    with pytest.raises(InputError, match="same test images"):
        assess([Member("a", digits_runner, few), Member("b", digits_runner, others)])


@pytest.mark.slow
def test_the_command_writes_figures_and_page(capsys, tmp_path):
    arguments = ["evaluate", "--ensemble", "resnet8:digits", "resnet8:digits", "--data", "digits", "--limit", "50"]
    arguments += ["--per-class", "--corruptions", "jpeg", "--json", "a.json", "--report", "a.html"]
    assert cli.main(arguments) == 0
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["count"] == 50
    assert values["top1_interval"][0] < values["top1"] <= 1
    assert len(values["robustness"]["jpeg"]) == 5
    page = (tmp_path / "a.html").read_text()
    assert set(re.findall("https?://[a-z0-9.]+", page)) <= {"http://www.w3.org"}  # names of SVG, nothing is fetched
    for part in ("Confusion matrix", "Reliability diagram", "corruption", "together"):
        assert part in page
    assert "together" in capsys.readouterr().out
    assert cli.main(arguments) == 2  # the page exists
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model M or --ensemble"),
        (["--model", "a.keras", "--ensemble", "b.keras"], "one of them"),
        (["--model", "resnet8", "--weights", "digits", "--scales", "a"], "expected numbers"),
        (["--model", "resnet8", "--weights", "digits", "--crops", "3"], "expected 1 or 10"),
        (["--model", "resnet8", "--weights", "digits", "--corruptions", "jpg"], "did you mean jpeg"),
        (["--model", "resnet8", "--weights", "digits", "--ensemble-weights", "1,2"], "expected 1 weights"),
        (["--ensemble", "resnet8:nothing"], "nothing"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    assert cli.main(["evaluate", "--data", "digits", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_a_file_for_phones_takes_no_scales(tmp_path):
    runner = object.__new__(type("Fixed", (keras_resnet.runtime.Runner,), {}))
    runner.card = keras_resnet.ModelCard()
    runner.input = keras_resnet.runtime.Tensor("image", (1, 32, 32, 3), "float32")
    with pytest.raises(InputError, match=r"give the \.keras model"):
        outputs(runner, None, views=Views(scales=(32,)))


@pytest.mark.parametrize(("dtype", "said"), [("float32", "as float32"), ("int8", "as int8, by the scale of its input")])
def test_the_note_says_what_a_file_is_fed(dtype, said, capsys):
    runner = types.SimpleNamespace(card=UNKNOWN, input=Tensor("image", (1, 8, 8, 3), dtype))
    note_missing_card("m.tflite", runner)
    assert f"it is fed RGB 0..255 {said}\n" in capsys.readouterr().err


def test_samples_are_drawn_in_parts_that_memory_holds(monkeypatch):
    values, sizes = np.arange(7.0) ** 2, []

    def often(samples):
        sizes.append(len(samples))
        return values[samples].mean(axis=1)

    one_by_one = results.redrawn(lambda places: values[places].mean(), 7, 50)
    assert (results.redrawn(None, 7, 50, often) == one_by_one).all() and sizes == [50]
    monkeypatch.setattr(results, "_AT_ONCE", 7 * 20)
    assert (results.redrawn(None, 7, 50, often) == one_by_one).all() and sizes == [50, 20, 20, 10]
