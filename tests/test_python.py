"""What a notebook has: models in memory, runs, files, names; paths, PIL images, arrays, folders, tf.data."""

import csv
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_resnet as kr
from export import artifact, export, load_source
from keras_resnet import GateError, InputError
from keras_resnet.evaluation.prediction import flat
from keras_resnet.runtime.anything import model_of, runner_of


@pytest.fixture(scope="module")
def net():
    """The digits net in memory, as `build` gives it."""
    return kr.build("resnet8", weights="digits")


@pytest.fixture(scope="module")
def test_part(digits):
    return digits.test.fetch(np.arange(40))


def _photo(pixels, path=None):
    image = Image.fromarray(pixels)
    if path:
        image.save(path)
    return image


@pytest.mark.slow
def test_every_form_of_an_example_is_the_same_example(net, test_part):
    pixels = test_part["image"][0]
    picture = _photo(pixels, "a.png")
    ways = [pixels, picture, "a.png", Path("a.png"), [pixels], ["a.png"], test_part["image"][:1], ".", "*.png"]
    answers = [kr.predict(net, way, top=3) for way in ways]
    for each in answers:
        assert len(each) == 1
        assert each[0].top == answers[0][0].top
    assert answers[0][0].top[0][0] == str(test_part["label"][0])
    several = kr.predict(net, ["a.png", picture, pixels], top=1)
    assert [each.image for each in several] == ["a.png", "1", "2"]
    assert kr.predict(net, Image.open("a.png"))[0].image == "a.png"
    turned = Image.open("a.png").convert("L")
    assert len(kr.predict(net, [turned, np.asarray(turned), np.asarray(turned)[..., None]])) == 3


def test_more_examples_than_a_batch_keep_their_order(net, digits):
    pixels = digits.test.fetch(np.arange(70))["image"]
    found = kr.predict(net, pixels, top=1)
    assert [each.image for each in found] == [str(number) for number in range(70)]
    outputs = net.predict((pixels.astype("f") - 127.5) / 127.5, verbose=0)
    assert [int(each.top[0][0]) for each in found] == outputs.argmax(1).tolist()


def test_predictions_are_tables(net, test_part, monkeypatch):
    found = kr.predict(net, test_part["image"][:2], top=2, labels=["<b>zero</b>", *"123456789"])
    record = found.records()[0]
    assert list(record) == ["file", "label", "probability", "label_2", "probability_2"]
    assert record["file"] == "0" and record["probability"] > record["probability_2"]
    html = found._repr_html_()
    assert html.count("<tr>") == 3
    assert "<b>" not in html
    assert json.loads(json.dumps(found.to_json()))[0]["image"] == "0"
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        found.to_pandas()

    class Other:
        image = "x.png"

        def to_json(self):
            return {"image": "x.png", "tags": ["a", "b"], "values": {"red": 2.0}, "count": 3}

    assert flat(Other()) == {"file": "x.png", "tags": "a|b", "values:red": 2.0, "count": 3}


@pytest.mark.slow
def test_every_form_of_a_model_is_the_same_model(net, short_run, digits):
    path = short_run / "model.keras"
    model, card = kr.load_model(path)
    run = kr.training.Result(
        run_dir=short_run, best_epoch=1, metric="accuracy", validation=0.5, seconds=1.0, images_per_second=1.0,
        waiting_share=0.0, precision="float32", interrupted=False,
    )  # fmt: skip
    forms = [path, str(path), short_run, run, run.model, model, (model, card), kr.open_runner(path)]
    values = [kr.evaluate(form, digits).value for form in forms]
    assert values == [values[0]] * len(forms)
    assert runner_of("resnet8", "digits").card.dataset == "digits"
    assert runner_of(net).card.labels == tuple("0123456789")  # what it was built with
    assert "data:image/png;base64," in run._repr_html_()
    assert set(run.history) >= {"epoch", "val_accuracy"} and run.path == short_run


def test_a_model_that_was_read_and_trained_since_keeps_its_convention(short_run, tmp_path):
    model, card = kr.load_model(short_run)
    assert model_of(model)[1].held_out == card.held_out is True
    model.layers[1].set_weights([value + 1 for value in model.layers[1].get_weights()])
    moved = model_of(model)[1]
    assert (moved.preprocess, moved.labels, moved.held_out) == (card.preprocess, card.labels, None)


@pytest.mark.slow
def test_every_form_of_data_is_the_same_data(net, digits, test_part):
    x, y = test_part["image"], test_part["label"]
    pairs = tf.data.Dataset.from_tensor_slices((x, y))
    expected = kr.evaluate(net, (x, y))
    assert expected.count == 40 and expected.value > 0.9
    soft = np.clip(x + 0.25, 0, 255)  # as `tf.image.resize` leaves them
    one_hot = np.eye(10)[y]
    forms = [(x, y[:, None]), (x, one_hot), (x.astype("f"), y), (soft, y), pairs, pairs.batch(7)]
    for form in (*forms, digits.test.take(np.arange(40))):
        found = kr.evaluate(net, form)
        assert (found.value, found.count) == (expected.value, 40)
    assert kr.evaluate(net, "digits") == kr.evaluate(net, digits) == kr.evaluate("resnet8", "digits", weights="digits")
    assert kr.evaluate(net, digits, part="validation").count == len(digits.validation)


@pytest.mark.slow
def test_a_part_of_a_folder_is_taken_as_it_is(net, digits):
    """And a folder without parts is divided as for a training, whose test images it then is."""
    for part, numbers in (("train", range(300)), ("test", range(300, 340))):
        for number in numbers:
            example = digits.train.fetch([number])
            folder = Path("photos", part, str(example["label"][0]))
            folder.mkdir(parents=True, exist_ok=True)
            _photo(example["image"][0], folder / f"{number}.png")
    whole = kr.evaluate(net, "photos/test")
    assert whole.count == 40 and whole.value > 0.9
    assert kr.evaluate(net, "photos").count == 40  # of the whole, its test part
    assert kr.evaluate(net, "photos/train/").count == 300
    Path("photos/test/unknown").mkdir()
    _photo(digits.train.fetch([0])["image"][0], "photos/test/unknown/1.png")
    with pytest.raises(InputError, match="has classes that the model has not: unknown"):
        kr.evaluate(net, "photos/test")


def test_what_is_none_of_it_is_refused_in_one_line(net, test_part):
    x, y = test_part["image"], test_part["label"]
    wrong = [
        (lambda: kr.predict(7, "a.png"), "model: expected a keras.Model, a run"),
        (lambda: kr.predict(net, 7), "expected paths, folders, patterns"),
        (lambda: kr.predict(net, [None]), "received NoneType at position 0"),
        (lambda: kr.predict(net, "nowhere.png"), "nowhere.png is no file"),
        (lambda: kr.predict(net, "*.jpg"), "no file matches the pattern"),
        (lambda: kr.predict(net, Path("empty")), "empty holds no .png"),
        (lambda: kr.predict(net, np.zeros((3, 3, 3))), "expected uint8"),
        (lambda: kr.predict(net, np.zeros((3, 3, 2), np.uint8)), "expected uint8"),
        (lambda: kr.evaluate(net, 7), "data: expected a folder"),
        (lambda: kr.evaluate(net, (x / 255, y)), "x: expected pixels 0..255, received float64"),
        (lambda: kr.evaluate(net, (x, y[:3])), "a truth for each"),
        (lambda: kr.evaluate(net, (x[:0], y[:0])), "a truth for each"),
        (lambda: kr.evaluate(net, (x, y + 0.7)), "y: expected whole numbers"),
        (lambda: kr.evaluate(net, (x, y * np.nan)), "received NaN"),
        (lambda: kr.evaluate(net, (x, y.astype(str))), "y: expected numbers"),
        (lambda: kr.evaluate(net, "digits", part="tset"), "expected test, validation or train"),
        (lambda: kr.predict(net, x, top=0), "top=0: expected a whole number from 1"),
        (lambda: kr.predict(net, x, labels=["a"]), "expected 10 names"),
        (lambda: kr.predict(net, "a" * 300), "longer than a name can be"),
        (lambda: kr.train("a" * 300), "is no name and no path"),
        (lambda: kr.train("photos"), "unknown dataset 'photos'"),
        (lambda: kr.train("digits", epochs="ten"), "epochs=ten"),
        (lambda: kr.train("digits", minutes="30"), "minutes='30': expected a number"),
        (lambda: kr.train("digits", minutes=float("nan")), "expected a number above 0"),
        (lambda: kr.train("digits", weights=3), "weights: expected a name or a path"),
        (lambda: kr.train("digits", columns=["file"]), "columns: expected a dict"),
        (lambda: kr.train("digits", settings="epochs=3"), "settings: expected a dict"),
        (lambda: kr.train("digits", loggers="wandb"), "loggers: expected a list"),
        (lambda: kr.train("fast", offline=True), "offline goes with your own data"),
        (lambda: export(net, "a.tflite", data=(x, y, y)), "expected (x, y)"),
        (lambda: export(net, 3), "targets: expected a file's name"),
        (lambda: export(net, "a.tflite", layuot="nchw"), "did you mean layout"),
        (lambda: kr.evaluate(net, tf.data.Dataset.from_tensor_slices(x)), "expected pairs"),
        (lambda: kr.evaluate(net, tf.data.Dataset.from_tensor_slices((x, y)).take(0)), "it is empty"),
        (lambda: kr.train("digits-resnet8", recipe="fast"), "the recipe is given twice"),
        (lambda: kr.train("photos/", data="more/"), "the data is given twice"),
        (lambda: kr.train(), "expected a recipe or data"),
        (lambda: kr.train(7), "data: expected a folder"),
        (lambda: kr.train("digits", recipe="nope"), "unknown recipe 'nope'"),
        (lambda: kr.RECIPES["fats"], "did you mean fast"),
        (lambda: kr.train("digits-resnet8", minutes=3), "minutes goes with your own data"),
        (lambda: kr.train("digits-resnet8", config="a.toml"), "give one"),
        (lambda: export(7, "a.tflite"), "model: expected a keras.Model"),
        (lambda: export(net, "a.xyz"), "a.xyz"),
        (lambda: export(net, "a.tflite", precision="int7"), "precision of tflite"),
        (lambda: export(net, "a.tflite", samples=x[:3]), "at least 8 uint8 images"),
        (lambda: export(net, "a.tflite", samples=x, data="digits"), "give one of them"),
        (lambda: kr.build("resnet8", input_shape=224), "input_shape=(224,): expected (height, width, channels)"),
        (lambda: kr.list_models(7), "expected a pattern"),
    ]  # fmt: skip
    Path("empty").mkdir()
    for call, said in wrong:
        with pytest.raises(InputError) as refused:
            call()
        assert said in str(refused.value) and "\n" not in str(refused.value), said
    with pytest.raises(KeyError):
        kr.RECIPES["nope"]
    with pytest.raises(AttributeError, match="did you mean ResNet"):
        kr.ResNet20  # noqa: B018
    assert kr.build("ResNet8").name == kr.build("resnet8").name


@pytest.mark.slow
def test_training_takes_a_recipe_data_or_both(short_recipe, digits, tmp_path):
    x, y = (digits.train.fetch(np.arange(120))[key] for key in ("image", "label"))
    seen = []
    own = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    how = {"model": "resnet8", "epochs": 1, "batch_size": 16, "verbose": False, "callbacks": [own]}
    run = kr.train((x, y), **how, output=tmp_path / "a")
    recipe = json.loads((run.path / "recipe.json").read_text())
    assert (recipe["name"], recipe["model"], recipe["batch_size"], recipe["epochs"]) == ("photos", "resnet8", 16, 1)
    assert seen == [0] and run.model.output_shape == (None, 10)
    assert kr.evaluate(run, (x, y)).count == 120
    other = kr.train(short_recipe, data=(x, y), epochs=1, settings={"subset": 0}, verbose=False, output=tmp_path / "b")
    assert json.loads((other.path / "recipe.json").read_text())["name"] == "digits-resnet8"


@pytest.mark.slow
def test_a_table_is_learned_by_its_columns(image_folder, tmp_path):
    with (image_folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["photo", "colour"])
        rows.writerows(
            [path.relative_to(image_folder), path.parent.name] for path in sorted(image_folder.rglob("*.*g"))
        )
    columns = {"file": "photo", "label": "colour"}
    how = {"columns": columns, "model": "resnet8", "epochs": 2, "image_size": 32, "weights": "none", "verbose": False}
    run = kr.train(image_folder / "labels.csv", **how, output=tmp_path / "run")
    recipe = json.loads((run.path / "recipe.json").read_text())
    assert (recipe["task"], recipe["columns"]) == ("classification", "file=photo,label=colour")
    assert kr.evaluate(run, image_folder / "labels.csv").count > 0  # by the columns of its card
    assert len(load_source(run).dataset.test) > 0
    (image_folder / "labels.csv").unlink()


# ---- one file of a model in memory


@pytest.mark.slow
def test_export_of_a_model_in_memory_with_samples(digits):
    """No card, no data set: a Sequential that scales its pixels itself, and images of which nothing is known."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    images = np.random.default_rng(0).integers(0, 255, (40, 16, 16, 3), "uint8")
    report = export(model, "own.tflite", precision="int8", samples=images, gates={"agreement": 0.5})
    assert Path("own.tflite").exists() and report.passed
    (row,) = report.table
    assert row["file"] == "own.tflite" and row["gates"].startswith("passed")
    assert "<table>" in report._repr_html_()
    with pytest.raises(InputError, match="exists"):
        export(model, "own.tflite", precision="int8", samples=images)
    with pytest.raises(GateError, match="own2.failed.tflite"):
        export(model, "own2.tflite", precision="int8", samples=images, gates={"sqnr": 200})
    silent = keras.Sequential([keras.Input((16, 16, 3)), *model.layers[1:]])
    with pytest.raises(InputError, match=r"does not say what its input looks like.*MEAN/STD$"):
        export(silent, "own3.tflite", precision="int8", samples=images)


@pytest.mark.slow
def test_export_of_a_run_finds_its_data_and_the_list_form_stays(short_run):
    report = export(short_run, "m.onnx", limit=40)
    assert report.evidence == "40 of 360 test images of digits"
    made = artifact("onnx:float32")
    listed = export(load_source(short_run), [(made, Path("l.onnx"))], limit=40)
    assert listed.rows[0].agreement == report.rows[0].agreement == 1.0
    with pytest.warns(DeprecationWarning, match="labels is called classes"):
        load_source(short_run, labels=_names())


def _names():
    Path("names.txt").write_text("\n".join(f"n{number}" for number in range(10)))
    return "names.txt"


# ---- .h5 models


def test_models_in_hdf5_are_opened_without_running_code(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    model.save("a.h5")
    opened, _ = kr.load_model("a.h5")
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("f")
    np.testing.assert_array_equal(opened(images), model(images))
    assert len(kr.predict("a.h5", np.zeros((2, 8, 8, 3), "uint8"))) == 2
    lambdas = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()])
    lambdas.save("l.h5")
    with pytest.raises(InputError, match="l.h5 cannot be read as a Keras model"):
        kr.load_model("l.h5")
    model.save_weights("w.weights.h5")
    with pytest.raises(InputError, match="weights without a net"):
        kr.load_model("w.weights.h5")


@pytest.mark.parametrize("damage", ["truncated", "deep", "huge"])
def test_hostile_hdf5_models_are_refused(damage):
    import h5py

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.save("a.h5")
    if damage == "truncated":
        Path("a.h5").write_bytes(Path("a.h5").read_bytes()[:3000])
    else:
        with h5py.File("a.h5", "r+") as file:
            if damage == "deep":
                file.attrs["model_config"] = "[" * 50_000
            else:
                shape = (1 << 40,)
                file.create_dataset("model_weights/bomb", shape, "f4", chunks=(1 << 20,), compression="gzip")
    with pytest.raises(InputError, match="a.h5 cannot be read as a Keras model"):
        kr.load_model("a.h5")
