"""Models from elsewhere: every one is opened by every command, or refused in one line."""

import dataclasses
import re
import warnings
from pathlib import Path

import foreign as models
import keras
import numpy as np
import pytest
from PIL import Image

from export import artifact, load_source, program
from export.formats import onnx
from export.model import conventions
from keras_resnet import (
    InputError,
    ModelCard,
    build,
    cli,
    load_dataset,
    load_model,
    open_runner,
    save_model,
    weights_card,
)
from keras_resnet.explain.net import Net
from keras_resnet.nets.functional import functional, scales_itself
from keras_resnet.runtime import foreign
from keras_resnet.runtime.opening import open_named
from keras_resnet.signals.conventions import PREPROCESS, Preprocess, parse_preprocess
from keras_resnet.tasks.classification import predictions

L = keras.layers


def _saved(name, folder="."):
    """The file of a row, and the options with which it is opened."""
    keras.utils.set_random_seed(1)
    row, path = models.ROWS[name], Path(folder, "m.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, about a model that was never built
        row.make().save(path)
    options = list(row.options)
    if row.code:
        Path("theirs.py").write_text(row.code)
        options += ["--import", "theirs.py"]
    return path, options


@pytest.fixture
def _own_objects():
    """What a test's `--import` registers is gone after it."""
    before = dict(keras.saving.get_custom_objects())
    yield
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(before)


def _photos(folder, classes, count):
    """Noise whose brightness tells the class."""
    rng = np.random.default_rng(0)
    for number in range(classes):
        (folder / f"class{number}").mkdir(parents=True)
        for each in range(count):
            pixels = rng.integers(0, 80, (64, 64, 3)) + number * (160 // classes)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"class{number}" / f"{each}.png")
    return folder


# ---- the steps that failed (findings.md), each by itself


def _opened(name, hints=None):
    path, _ = _saved(name)
    model = foreign.load(path, None, hints or foreign.Hints(preprocess=PREPROCESS["0..1"]))[0]
    assert model.count_params() < 2000
    return model


@pytest.mark.parametrize("name", ["sequential", "sequential, built", "sequential in sequential"])
def test_b1_sequential_models_are_opened(name):
    model, pixels = _opened(name), np.random.default_rng(0).uniform(size=(2, 32, 32, 3)).astype("f")
    again = keras.saving.load_model("m.keras")
    np.testing.assert_allclose(model.predict_on_batch(pixels), again.predict_on_batch(pixels), atol=1e-6)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)  # of models inside it only the layers


def test_m5_a_list_of_one_output_is_one_output():
    assert isinstance(_opened("list output").output, keras.KerasTensor)


@pytest.mark.slow
def test_m6_constants_from_outside_stay_constants_in_onnx(tmp_path):
    start = keras.Input((4, 4, 3), name="image")
    model = keras.Model(start, {"x": L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0] * 3)(start)})
    onnx.convert(model, artifact("onnx:float32"), None, tmp_path / "m.onnx")
    pixels = np.random.default_rng(0).uniform(size=(2, 4, 4, 3)).astype("f")
    np.testing.assert_allclose(open_runner(tmp_path / "m.onnx")(pixels)["x"], (pixels - [1, 2, 3]) / 2, atol=1e-6)


def test_m12_logits_are_never_per_cent(caplog):
    model = _opened("logits")
    assert "m.keras ends in logits" in caplog.text
    found = model.predict_on_batch(np.ones((2, 32, 32, 3), "f"))
    logits = keras.saving.load_model("m.keras").predict_on_batch(np.ones((2, 32, 32, 3), "f"))
    np.testing.assert_allclose(found, keras.activations.softmax(logits), atol=1e-6)
    # Of files for phones only values tell.
    (answer,) = predictions.decode({"x": np.float32([[79.8, -27.6, 3.0]])}, ModelCard())
    assert 0 <= answer.top[0][1] <= 1
    zeros = np.zeros((1, 1000), np.float32)  # a thousand classes in eight bits
    assert predictions.likely(zeros) is zeros


@pytest.mark.parametrize(("name", "logits"), [("one sigmoid", False), ("one logit", True)])
def test_m13_one_output_is_two_classes(name, logits):
    model = _opened(name, foreign.Hints(logits=logits))
    pixels = np.random.default_rng(0).uniform(size=(3, 32, 32, 3)).astype("f")
    one = keras.saving.load_model("m.keras").predict_on_batch(pixels)
    second = 1 / (1 + np.exp(-one)) if logits else one
    np.testing.assert_allclose(model.predict_on_batch(pixels), np.concatenate([1 - second, second], 1), atol=1e-6)
    np.testing.assert_allclose(predictions.likely(one), np.concatenate([1 - second, second], 1), atol=1e-6)


def test_m1_small_models_for_segmentation_are_refused_before_any_work():
    with pytest.raises(InputError, match=r"gives \(None, 32, 32, 5\): expected \(batch, classes\)"):
        _opened("segmentation")


@pytest.mark.usefixtures("_own_objects")
def test_m7_layers_of_ones_own_come_from_a_file():
    path, options = _saved("own layer")
    keras.saving.get_custom_objects().clear()
    with pytest.raises(InputError, match=r"a layer of its own, Doubling: give the Python file.*--import FILE\.py"):
        foreign.load(path, None)
    hints = foreign.Hints(modules=(Path(options[-1]),))
    assert foreign.load(path, None, hints)[0].count_params() < 2000
    with pytest.raises(InputError, match="nothing.py: expected a Python file"):
        foreign.import_file(Path("nothing.py"))
    Path("bad.py").write_text("1 / 0")
    with pytest.raises(InputError, match="bad.py: ZeroDivisionError"):
        foreign.import_file(Path("bad.py"))


def test_m8_any_size_becomes_the_size_that_is_said():
    model = _opened("any size", foreign.Hints(image_size=40))
    assert model.input_shape == (None, 40, 40, 3)
    pixels = np.random.default_rng(0).uniform(size=(2, 40, 40, 3)).astype("f")
    again = keras.saving.load_model("m.keras")
    np.testing.assert_allclose(model.predict_on_batch(pixels), again.predict_on_batch(pixels), atol=1e-6)


def test_explanations_look_before_a_softmax_of_its_own():
    model = _opened("softmax layer")
    pixels = np.random.default_rng(0).uniform(size=(2, 32, 32, 3)).astype("f")
    net = Net(model)
    assert net.scores == "softmax"
    scores = net.logits(pixels)
    np.testing.assert_allclose(keras.activations.softmax(scores), net.probabilities(pixels), atol=1e-6)
    assert np.abs(scores - net.probabilities(pixels)).max() > 0.01
    assert Net(_opened("one sigmoid")).scores is None


def test_the_function_that_opens_files_leaves_outputs_as_they_are():
    """Features, maps and logits are what somebody who calls it may want; commands want classes."""
    for name, shape in {"segmentation": (1, 32, 32, 5), "logits": (1, 10), "one number": (1, 1)}.items():
        path, _ = _saved(name)
        (found,) = open_runner(path)(np.ones((1, 32, 32, 3), np.float32)).values()
        expected = keras.saving.load_model(path).predict_on_batch(np.ones((1, 32, 32, 3), "f"))
        assert found.shape == shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        if name != "logits":
            with pytest.raises(InputError):
                open_named(path)


# ---- input conventions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0..1", Preprocess(std=(255.0,))),
        ("127.5/127.5", PREPROCESS["tf"]),
        ("1,2,3/4", Preprocess(mean=(1.0, 2.0, 3.0), std=(4.0,))),
        ("123.675,116.28,103.53/58.395,57.12,57.375", PREPROCESS["torch"]),
    ],
)
def test_conventions_as_people_write_them(text, expected):
    assert parse_preprocess(text) == expected


@pytest.mark.parametrize("text", ["imagenet", "1", "1/0", "1/-1", "1,2/3,4,5", "nan/1", "/", "1/2/3", ""])
def test_what_is_no_convention(text):
    with pytest.raises(InputError):
        parse_preprocess(text)


def test_the_rows_in_help_are_those_of_the_table():
    assert ", ".join(PREPROCESS) == foreign.ROWS


@pytest.mark.slow
def test_nobody_exports_a_guess():
    """A net of digits in -1..1, saved by Keras alone: what labelled images say is in the refusal."""
    build("resnet8", weights="digits").save("plain.keras")
    with pytest.raises(
        InputError, match=r"give --preprocess .*; on 180 labelled images of digits: tf (9\d\.\d+|100\.00)%, "
    ):
        load_source("plain.keras", dataset="digits")
    source = load_source("plain.keras", dataset="digits", hints=foreign.Hints(preprocess=PREPROCESS["tf"]))
    assert source.card.preprocess == PREPROCESS["tf"]
    assert source.card.known
    scores = conventions.scores(source.model, source.card, load_dataset("digits"))
    assert next(iter(scores)) == "tf"


def test_a_file_of_a_built_net_has_the_card_of_its_weights_until_it_is_trained():
    net = build("resnet8", weights="digits")
    save_model(net, "digits.keras")
    assert load_model("digits.keras")[1] == weights_card("digits", "resnet8")
    net.get_layer("conv1_conv").kernel.assign_add(net.get_layer("conv1_conv").kernel * 1e-3)
    save_model(net, "trained.keras")
    assert not load_model("trained.keras")[1].known
    save_model(build("resnet8"), "random.keras")
    assert load_model("random.keras")[1] == ModelCard(spec="resnet8")
    save_model(build("resnet8", weights="digits", classes=3, weights_match="adapt"), "adapted.keras")
    assert not load_model("adapted.keras")[1].known


def test_a_card_that_says_otherwise_wins(mini_spec):
    save_model(build(mini_spec), "m.keras", ModelCard(preprocess=PREPROCESS["tf"]))
    with pytest.raises(InputError, match="the card of m.keras says.*leave the option out"):
        open_named("m.keras", hints=foreign.Hints(preprocess=PREPROCESS["caffe"]))
    assert open_named("m.keras", hints=foreign.Hints(preprocess=PREPROCESS["tf"])).card.known


_SCALING = {
    "rescaling": (lambda: [L.Rescaling(1 / 255)], True),
    "flipped first": (lambda: [L.RandomFlip(), L.Rescaling(1 / 255)], True),
    "in a model": (lambda: [keras.Sequential([L.RandomZoom(0.1), L.Normalization(mean=1.0, variance=1.0)])], True),
    "after a model": (lambda: [keras.Sequential([L.RandomFlip()]), L.Rescaling(1 / 255)], True),
    "too late": (lambda: [L.Conv2D(3, 1), L.Rescaling(1 / 255)], False),
    "nothing": (list, False),
}


@pytest.mark.parametrize("case", _SCALING)
def test_a_layer_that_scales_makes_a_convention_known(case):
    layers, known = _SCALING[case]
    start = x = keras.Input((8, 8, 3))
    for layer in layers():
        x = layer(x)
    assert scales_itself(keras.Model(start, L.Flatten()(x))) == known


def test_names_that_clash_leave_a_model_inside_the_model():
    start, inner = keras.Input((4, 4, 1)), keras.Input((4, 4, 1))
    nested = keras.Model(inner, L.Conv2D(2, 1, name="c")(inner))
    model = functional(keras.Model(start, L.Conv2D(1, 1, name="c")(nested(start))), "m")
    assert any(isinstance(layer, keras.Model) for layer in model.layers)


# ---- everything, in proof


@pytest.fixture(scope="session")
def photos(made_once):
    return made_once("photos", lambda folder: _photos(folder / "ten", 10, 14) and _photos(folder / "two", 2, 40))


@pytest.mark.proof
@pytest.mark.parametrize("name", models.ROWS)
@pytest.mark.usefixtures("_own_objects")
def test_every_model_passes_or_has_its_message(name, photos, capsys):
    row = models.ROWS[name]
    path, options = _saved(name)
    keras.saving.get_custom_objects().clear()
    data = str(photos / ("two" if name.startswith("one") else "ten"))
    image, opened = f"{data}/class1/0.png", ["--model", str(path), *options]
    # Random nets have classes that are near ties: values are what counts.
    written = ["--samples", "20", "--gate", "agreement=0", "--gate", "drop=100"]
    cells = {
        "predict": lambda: cli.main(["predict", *opened, image]),
        "evaluate": lambda: cli.main(["evaluate", *opened, "--data", data, "--no-temperature"]),
        "explain": lambda: cli.main(["explain", *opened, image, "-o", "why.png"]),
    }
    for form in ("tflite", "onnx"):
        for precision in ("float32", "int8"):
            arguments = [*opened, "--data", data, f"--{precision}", "-o", f"{precision}.{form}", *written]
            cells[f"{form}:{precision}"] = lambda form=form, arguments=arguments: program.alone(
                f"export {form}", arguments
            )
    if not row.refused and "tflite:float32" not in row.failing:
        cells["verify"] = lambda: program.alone("verify", ["float32.tflite", *opened, "--data", data])
    wrong = {}
    for cell, work in cells.items():
        status, said = work(), capsys.readouterr()
        expected = row.failing.get(cell, row.refused)
        as_expected = status in (1, 2) and re.search(expected, said.err) if expected else status == 0
        per_cent = [float(each) for each in re.findall(r"(-?\d+\.\d+)%", said.out)]
        if not as_expected or any(not 0 <= each <= 100 for each in per_cent):
            wrong[cell] = (status, said.err[-300:])
    assert not wrong


def test_rows_are_forty_or_more():
    assert len(models.ROWS) >= 40
    assert all(dataclasses.is_dataclass(row) for row in models.ROWS.values())
