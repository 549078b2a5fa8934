"""A task and a signal of nothing but a test module are trained, evaluated and predict; `tests/newcomers.py` has both.

What is exported of them: `tests/export/test_other_tasks.py`.
"""

import dataclasses
import json
import re
from pathlib import Path

import newcomers
import numpy as np
import pytest

from keras_resnet import InputError, cli, load_model, open_runner
from keras_resnet.evaluation import Views
from keras_resnet.evaluation.assessment import Member, assess
from keras_resnet.evaluation.corruptions import corrupt
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import TASKS, get_task
from keras_resnet.training import train
from keras_resnet.training.recipes import RECIPES, override

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def registered(monkeypatch, mini_spec):
    newcomers.register(monkeypatch, mini_spec)


@pytest.fixture
def run(request, made_once, registered):
    """The run directory of a recipe, trained by the command."""
    name = request.param
    return made_once(
        f"newcomer-{name}", lambda folder: _ok(cli.main(["train", "--recipe", name, "--output", str(folder)]))
    )


def _ok(status):
    assert status == 0


@pytest.mark.slow
@pytest.mark.parametrize("run", ["bright"], indirect=True)
def test_a_task_of_its_own_is_trained_evaluated_and_predicts(run, digits, tmp_path, capsys):
    from PIL import Image

    model, card = load_model(run / "model.keras")
    assert (card.task, card.signal, card.facts, card.labels) == ("glow", "image", {"unit": "grey"}, ())
    assert model.output_shape == (None, 1)
    result = json.loads((run / "result.json").read_text())
    assert "validation_accuracy" not in result
    assert 0 < result["validation_mean_absolute_error"] < 0.2
    watched = json.loads((run / "environment.json").read_text())["watched"]
    assert watched == {
        "watch": "mean_absolute_error", "larger_is_better": False, "form": "{:.4f}", "as_error": False
    }  # fmt: skip
    arguments = ["evaluate", "--model", str(run / "model.keras"), "--data", "bright-digits", "--json", "e.json"]
    assert cli.main(arguments) == 0
    assert "1 - mean |error|" in capsys.readouterr().out
    found = json.loads(Path("e.json").read_text())
    pixels = digits.test.images
    truth = pixels.mean(axis=(1, 2, 3)) / 255
    said = model.predict(card.preprocess(pixels), verbose=0)[:, 0]
    assert found["closeness"] == pytest.approx(1 - np.abs(said - truth).mean(), abs=1e-5)
    Image.fromarray(pixels[0]).save("digit.png")
    assert cli.main(["predict", "--model", str(run / "model.keras"), "digit.png", "--json", "p.json"]) == 0
    assert json.loads(Path("p.json").read_text())[0]["value"] == pytest.approx(float(said[0]), abs=1e-4)
    assert cli.main(["report", str(run), "-o", "r.html"]) == 0
    best = f"mean_absolute_error {result['validation_mean_absolute_error']:.4f}"
    assert best in Path("r.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("run", ["bright"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["explain", "digit.png", "-o", "why.png"], "task glow does not support explain"),
        (["evaluate", "--data", "bright-digits", "--flip"], "task glow does not support views"),
        (["evaluate", "--data", "bright-digits", "--corruptions", "jpeg"], "does not support corruptions"),
    ],
)
def test_what_the_task_does_not_support_is_refused_in_one_line(run, arguments, said, capsys):
    assert cli.main([arguments[0], "--model", str(run / "model.keras"), *arguments[1:]]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert said in error


def test_settings_that_the_task_does_not_support_are_refused():
    for setting, capability in (("mixup=0.2", "mixing"), ("distillation=0.5", "distillation")):
        with pytest.raises(InputError, match=f"task glow does not support {capability}"):
            train(override(RECIPES["bright"], [setting]), run_dir="run", verbose=False)
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("run", ["rows"], indirect=True)
def test_a_signal_of_its_own_is_trained_evaluated_and_predicts(run, tmp_path, capsys):
    model, card = load_model(run / "model.keras")
    assert (card.task, card.signal) == ("classification", "rows")
    assert model.input_shape == (None, 8, 8)
    options = ["--data", "digit-rows", "--per-class", "--json", "e.json"]
    assert cli.main(["evaluate", "--model", str(run / "model.keras"), *options]) == 0
    assert json.loads(Path("e.json").read_text())["top1"] > 0.5  # one in ten by chance
    test = newcomers.ROWS.load("digit-rows", None, (8, 8), 1.0).test
    np.save("digit.npy", test.images[3])
    assert cli.main(["predict", "--model", str(run / "model.keras"), "digit.npy", "--json", "p.json"]) == 0
    expected = model.predict(test.images[3:4], verbose=0)[0]
    best = json.loads(Path("p.json").read_text())[0]["top"][0]
    assert (best["label"], best["probability"]) == (
        str(expected.argmax()),
        pytest.approx(float(expected.max()), abs=1e-4),
    )
    assert cli.main(["explain", "--model", str(run / "model.keras"), "digit.npy", "-o", "why.png"]) == 2
    assert "signal rows does not support explain" in capsys.readouterr().err


class Fetched:
    """A split whose truth is known of what was fetched only, as with masks in files."""

    key, truth = "image", {}

    def __init__(self, arrays):
        self._arrays = arrays

    def __len__(self):
        return len(self._arrays["image"])

    def fetch(self, indices):
        return {name: values[np.asarray(indices)] for name, values in self._arrays.items()}

    def take(self, indices):
        return Fetched(self.fetch(indices))


def _mean(answers, weights=None, average="probabilities"):
    return {"glow": np.average([each["glow"] for each in answers], axis=0, weights=weights)}


@pytest.fixture
def merging(monkeypatch):
    """The task with views, ensembles and corruptions."""
    row = dataclasses.replace(newcomers.TASK, supports=frozenset({"views", "ensemble", "corruptions"}))
    monkeypatch.setitem(TASKS, "glow", row)
    monkeypatch.setattr(newcomers, "merge", _mean, raising=False)
    monkeypatch.setattr(newcomers, "check_weights", lambda count, weights: None, raising=False)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["bright"], indirect=True)
def test_views_ensembles_and_corruptions_of_a_task_whose_truth_is_fetched(run, digits, merging):
    pixels = digits.test.images[:50, :, :24]
    truth = np.float32(pixels.mean(axis=(1, 2, 3)) / 255)
    pixels = np.pad(pixels, ((0, 0), (0, 0), (0, 8), (0, 0)))
    test = Fetched({"image": pixels, "value": truth})
    runner = open_runner(run / "model.keras")

    def said(images):
        return runner(runner.card.preprocess(images))["glow"][:, 0]

    def closeness(answers):
        return pytest.approx(1 - np.abs(answers - truth).mean(), abs=1e-5)

    both = (said(pixels) + said(pixels[:, :, ::-1])) / 2
    assert closeness(both) != 1 - np.abs(said(pixels) - truth).mean()  # the mirror image changes something
    found = assess([Member("a", runner, test)], views=Views(flip=True), corrupted=["contrast"])
    assert found.summary.scores.closeness == closeness(both)
    darker = corrupt(pixels, "contrast", 3)
    assert found.robustness["contrast"][2] == closeness(said(darker))
    members = [Member("a", runner, test), Member("b", Halved(runner), test)]
    found = assess(members, weights=[3, 1])
    assert found.summary.scores.closeness == closeness(said(pixels) * (3 + 0.5) / 4)
    assert [scores.closeness for _, scores in found.members] == [closeness(said(pixels)), closeness(said(pixels) / 2)]
    other = Fetched({"image": pixels, "value": truth[::-1]})
    with pytest.raises(InputError, match="the same test images"):
        assess([Member("a", runner, test), Member("b", runner, other)])


class Halved:
    """A runner that answers half."""

    def __init__(self, runner):
        self._runner = runner

    def __getattr__(self, name):
        return getattr(self._runner, name)

    def __call__(self, images):
        return {name: values / 2 for name, values in self._runner(images).items()}


@pytest.mark.slow
@pytest.mark.parametrize("run", ["rows"], indirect=True)
@pytest.mark.parametrize("option", [["--flip"], ["--crops", "10"], ["--scales", "8"], ["--corruptions", "jpeg"]])
def test_what_the_signal_does_not_support_is_refused_in_one_line(run, option, capsys):
    assert cli.main(["evaluate", "--model", str(run / "model.keras"), "--data", "digit-rows", *option]) == 2
    assert "error: signal rows does not support" in capsys.readouterr().err.splitlines()[-1]


def test_a_task_that_promises_too_much_is_refused(monkeypatch):
    row = dataclasses.replace(newcomers.TASK, supports=frozenset({"views"}))
    with pytest.raises(InputError, match="task glow is said to support views: expected merge in newcomers"):
        row.require("views")


@pytest.mark.parametrize("augmentation", ["crop-flip", "resized-crop"])
def test_augmentations_of_another_signal_are_refused_before_there_is_a_run(augmentation, capsys):
    settings = ["--set", f"augmentation={augmentation}"]
    assert cli.main(["train", "--recipe", "rows", "--output", "run", *settings]) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[-1].endswith(f"augmentation {augmentation} is for the signal image; for rows there is: none")
    assert not Path("run").exists()


@pytest.mark.slow
def test_the_closing_lines_name_the_examples(capsys):
    settings = ["--set", "epochs=1", "--set", "precise_bn=0"]
    assert cli.main(["train", "--recipe", "rows", "--output", "run", *settings]) == 0
    said = capsys.readouterr().out
    assert re.search(r"[\d,]+ rows/s \(", said)
    assert "image" not in said


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("batch_size=5000", "digit-rows has only 1257 training rows; "),
        ("test_size=16", "the rows of digit-rows have one size"),
    ],
)
def test_messages_name_the_examples(setting, said, capsys):
    assert cli.main(["train", "--recipe", "rows", "--output", "run", "--set", setting]) == 2
    assert said in capsys.readouterr().err


def test_a_source_gets_the_channels_of_its_signal(monkeypatch):
    from keras_resnet.data.sources import SOURCES
    from keras_resnet.signals.table import SIGNALS
    from keras_resnet.training import inputs
    from keras_resnet.training.nets import FromRecipe

    def load(name, data_dir, shape, keep):
        raise InputError(f"asked for {shape}")

    monkeypatch.setitem(SOURCES, "digit-rows", dataclasses.replace(newcomers.ROWS, load=load))
    for channels in (8, 1):
        monkeypatch.setitem(SIGNALS, "rows", dataclasses.replace(newcomers.SIGNAL, channels=channels))
        with pytest.raises(InputError, match=rf"asked for \(8, {channels}\)"):
            inputs.load(override(RECIPES["rows"], ["image_size=8"]), FromRecipe(), None)
    assert get_signal("image").channels == 3


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="unknown task 'glo': did you mean glow"):
        get_task("glo")
    with pytest.raises(InputError, match="unknown signal 'row': did you mean rows"):
        get_signal("row")


def test_no_file_of_the_packages_names_them():
    files = [path for name in ("keras_resnet", "export") for path in (ROOT / name).rglob("*.py")]
    assert len(files) > 200
    named = re.compile(r"\bglow|newcomers|digit-rows|bright-digits")
    assert not [path for path in files if named.search(path.read_text())]
