"""Cross-validation, labels that are probably wrong, and the examples that a page shows."""

import dataclasses
import json
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet import InputError, cli, console
from keras_resnet.card import ModelCard
from keras_resnet.data import load_dataset
from keras_resnet.data.dataset import ArraySplit, Dataset, EncodedSplit, Files
from keras_resnet.evaluation import folds, pages
from keras_resnet.evaluation.assessment import Member, assess
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.tasks.classification.remarkable import remarkable, suspects
from keras_resnet.training.recipes import RECIPES

COLOURS = ("red", "green", "<b>blue</b>")


class Colours(Runner):
    """Says which of three colours a picture has, a little less surely where it is dark."""

    card = ModelCard(labels=COLOURS)
    input = Tensor("image", (None, 8, 8, 3), "float32")
    outputs = (Tensor("probabilities", (None, 3), "float32"),)

    def run(self, examples):
        values = examples.mean((1, 2)).astype("f") + 1
        return {"probabilities": values / values.sum(1, keepdims=True)}


@pytest.fixture
def painted(tmp_path):
    """Sixty pictures in three colours, of which four lie in the folder of another colour."""
    rng = np.random.default_rng(0)
    wrong = set()
    for number in range(60):
        colour = number % 3
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[..., colour] = rng.integers(120, 250)
        pixels += rng.integers(0, 5, pixels.shape, np.uint8)
        place = (colour + 1) % 3 if number in (3, 22, 41, 59) else colour
        path = tmp_path / "painted" / "abc"[place] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        if place != colour:
            wrong.add(str(path))
    return tmp_path / "painted", wrong


def test_folds_are_disjoint_whole_and_even():
    labels = np.repeat([0, 1, 2], [50, 31, 9])
    found = folds.divided(ArraySplit(np.zeros((90, 2, 2, 1), "u1"), labels), 4)
    assert sorted(np.concatenate(found)) == list(range(90))
    for number in range(3):
        counts = [np.count_nonzero(labels[each] == number) for each in found]
        assert max(counts) - min(counts) <= 1
    again = folds.divided(ArraySplit(np.zeros((90, 2, 2, 1), "u1"), labels), 4)
    assert all(np.array_equal(one, two) for one, two in zip(found, again, strict=True))


@pytest.mark.parametrize(("count", "message"), [(1, "expected a number from 2"), (3, "class 1 has 2 examples")])
def test_too_many_or_too_few_folds_are_refused(count, message):
    with pytest.raises(InputError, match=message):
        folds.divided(ArraySplit(np.zeros((12, 2, 2, 1), "u1"), np.repeat([0, 1], [10, 2])), count)


def test_flipped_labels_are_suspected_and_right_ones_are_not():
    rng = np.random.default_rng(3)
    true = rng.integers(0, 5, 2000)
    probabilities = rng.dirichlet(np.full(5, 0.3), 2000) * 0.35
    probabilities[np.arange(2000), true] += 0.65
    given = true.copy()
    flipped = rng.choice(2000, 100, replace=False)
    given[flipped] = (true[flipped] + rng.integers(1, 5, 100)) % 5
    found = [each.index for each in suspects({"probabilities": probabilities}, {"label": given})]
    assert len(set(found) & set(flipped)) >= 40 and len(set(found) - set(flipped)) <= 3
    assert set(found[:40]) <= set(flipped)
    assert not suspects({"probabilities": probabilities}, {"label": true})
    unsure = np.full((30, 3), 1 / 3)
    assert not suspects({"probabilities": unsure}, {"label": np.arange(30) % 3})


def test_sure_mistakes_and_unsure_answers_come_first():
    probabilities = np.array([[0.9, 0.1], [0.99, 0.01], [0.52, 0.48], [0.2, 0.8], [0.6, 0.4]])
    found = remarkable({"probabilities": probabilities}, {"label": np.array([0, 1, 0, 0, 1])}, ["cat", "dog"])
    mistakes, unsure = found.values()
    assert [index for index, _ in mistakes] == [1, 3, 4]
    assert mistakes[0][1] == "dog, called cat (99.0%)"
    assert [index for index, _ in unsure] == [2, 4, 3, 0, 1]


@pytest.mark.slow
def test_every_example_is_judged_by_the_net_that_has_not_seen_it(painted, tmp_path, monkeypatch):
    root, wrong = painted
    seen = []

    def train(recipe, *, run_dir, resume, verbose):
        data = load_dataset(recipe.dataset)
        parts = [set(split.contents.paths) for split in (data.train, data.validation, data.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 60 and parts[1]
        seen.append(parts[2])
        return types.SimpleNamespace(interrupted=False, run_dir=Path(run_dir))

    monkeypatch.setattr(folds, "train", train)
    monkeypatch.setattr(folds, "open_named", lambda path: Colours())
    recipe = RECIPES["digits-resnet8"]
    found = folds.cross_validate(recipe, load_dataset(root), 4, tmp_path / "runs", verbose=False)
    assert len(seen) == 4 and len(set.union(*seen)) == sum(map(len, seen)) == 60
    assert set(found.names) == wrong and len(found.names) == 4
    np.testing.assert_allclose(found.mean, 56 / 60, atol=1e-9)
    np.testing.assert_allclose(found.deviation, np.std(found.values, ddof=1), atol=1e-12)
    folds.write_html(found, "<i>", "command", tmp_path / "folds.html")
    page = (tmp_path / "folds.html").read_text()
    assert page.count("<img") == 4 and "<i>" not in page


def test_a_stopped_cross_validation_says_how_it_goes_on(painted, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folds, "train", lambda *args, **how: types.SimpleNamespace(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        folds.cross_validate(RECIPES["digits-resnet8"], load_dataset(painted[0]), 2, tmp_path / "mine")
    assert f"-o {tmp_path / 'mine'}" in capsys.readouterr().out


@pytest.mark.slow
def test_the_report_shows_files_that_were_mistaken(painted, tmp_path):
    root, wrong = painted
    data = load_dataset(root, None, (8, 8, 3))
    test = folds.joined(data.train, data.test)
    found = assess([Member("colours", Colours(), test)], labels=COLOURS)
    pages.write_html(found, "t", "c", tmp_path / "with.html", examples=test)
    page = (tmp_path / "with.html").read_text()
    mistaken = [path for path in map(str, test.contents.paths) if path in wrong]
    assert mistaken and page.count("<img") == len(mistaken) + 12
    assert "The most confident mistakes" in page and "The least sure predictions" in page
    assert all(Path(path).name in page for path in mistaken)
    assert "<b>blue" not in page and "&lt;b&gt;blue" in page
    pages.write_html(found, "t", "c", tmp_path / "without.html")
    assert "<img" not in (tmp_path / "without.html").read_text()


def test_arrays_are_shown_by_number(tmp_path):
    split = ArraySplit(np.full((3, 8, 8, 3), (200, 0, 0), "u1"), np.array([0, 1, 2]))
    found = assess([Member("colours", Colours(), split)], labels=COLOURS)
    pages.write_html(found, "t", "c", tmp_path / "a.html", examples=split)
    assert "number 1" in (tmp_path / "a.html").read_text()


@pytest.mark.slow
def test_the_command_trains_tests_and_goes_on(short_run, short_recipe, tmp_path, capsys, monkeypatch):
    few = load_dataset("digits").train
    few = few.take(np.arange(400))
    small = Dataset("small", tuple("0123456789"), (32, 32, 3), few.take(np.arange(300)), few, few.take(np.arange(2)))
    small = dataclasses.replace(small, validation=few.take(np.arange(300, 390)), test=few.take(np.arange(390, 400)))
    monkeypatch.setattr("keras_resnet.data.load_dataset", lambda *place, **how: small)
    arguments = ["evaluate", "--folds", "2", "--model", str(short_run), "--data", "digits", "-o", "mine"]
    arguments += ["--json", "f.json", "--set", "subset=64", "--set", "epochs=1"]
    assert cli.main([*arguments, "--report", "f.html"]) == console.OK
    out = capsys.readouterr().out
    found = json.loads((tmp_path / "f.json").read_text())
    assert found["score"] == "top1" and len(found["values"]) == 2 and found["examples"] == 400
    assert found["runs"] == ["mine/fold-1", "mine/fold-2"] and "standard deviation" in out
    models = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("mine/fold-*/model.keras"))]
    assert len(models) == 2
    monkeypatch.setattr("keras_resnet.data.memory._KEPT", {})  # as in a new process
    assert cli.main(arguments) == console.OK
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("mine/fold-*/model.keras"))] == models
    assert json.loads((tmp_path / "f.json").read_text()) == found
    small = dataclasses.replace(small, test=few.take(np.arange(391, 400)))
    assert cli.main(arguments) == console.WRONG
    assert "a run of another recipe" in capsys.readouterr().err


def test_what_does_not_go_together_is_refused(capsys):
    assert cli.main(["evaluate", "--folds", "2", "--data", "digits"]) == console.WRONG
    assert "expected --model RUN" in capsys.readouterr().err
    assert cli.main(["evaluate", "--model", "x", "--data", "digits", "--recipe", "fast"]) == console.WRONG
    assert "--folds N" in capsys.readouterr().err
    assert cli.main(["evaluate", "--folds", "2", "--model", "gone", "--data", "digits"]) == console.WRONG
    assert cli.main(["evaluate", "--folds", "2", "--model", "x", "--data", "digits", "--limit", "9"]) == console.WRONG
    assert "alone" in capsys.readouterr().err


def test_runs_of_other_files_are_not_taken_for_these(tmp_path):
    def names(folder):
        split = EncodedSplit(Files((folder / "a.png", folder / "b.png")), {"label": np.array([0, 1])}, (8, 8, 3))
        return folds._fingerprint(Dataset("d", ("a", "b"), (8, 8, 3), split, split, split), split)

    assert names(tmp_path / "one") == names(tmp_path / "one") != names(tmp_path / "two")
