"""Which images a temperature is fitted on: never on those that the weights were trained on. And how a card knows."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import keras_resnet
from export.model import source as source_lib
from export.proof.gates import identity_gates
from keras_resnet import InputError, ModelCard, cli
from keras_resnet.card import held_out_of_all
from keras_resnet.compression.nets import Compressed
from keras_resnet.compression.settings import Settings
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.evaluation import Member, assess, pages
from keras_resnet.runtime import Runner, Tensor
from keras_resnet.tasks.classification.reliability import cross_fitted, fit_temperature, folds, tempered
from keras_resnet.training import RECIPES, finetune_recipe, loop
from keras_resnet.training.nets import FromRecipe
from keras_resnet.weights import WEIGHT_SETS, registry, weights_card

COUNT, CLASSES, SHARPER = 3000, 6, 2.5
TRAINED = Path(__file__).resolve().parents[1] / "benchmarks" / "trained"


class _Table(Runner):
    """Gives the row of a table that an image's pixels name."""

    def __init__(self, table):
        self.table, self.card = table.astype(np.float32), ModelCard(dataset="mine")
        self.input = Tensor("image", (None, 1, 1, 3), "float32")
        self.outputs = (Tensor("probabilities", (None, CLASSES), "float32"),)

    def run(self, examples):
        places = (examples[:, 0, 0].astype(int) @ [65536, 256, 1]).astype(int)
        return {"probabilities": self.table[places]}


def _split(places, labels):
    pixels = np.stack([places // 65536, places // 256 % 256, places % 256], axis=-1).astype(np.uint8)
    return ArraySplit(pixels[:, None, None], labels)


def _sure(logits, labels):
    """Too sure by a known temperature."""
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return tempered(honest, 1 / SHARPER), labels


@pytest.fixture(scope="module")
def answers():
    """Probabilities and labels of test images, and of validation images that are held out or learned by heart."""
    rng = np.random.default_rng(0)

    def draw():
        logits = rng.normal(scale=2, size=(COUNT, CLASSES))
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return _sure(logits, np.array([rng.choice(CLASSES, p=row) for row in chances]))

    test, (held, labels) = draw(), draw()
    by_heart = held.copy()
    by_heart[:] = held * 0.2
    by_heart[np.arange(COUNT), np.where(rng.random(COUNT) < 0.99, labels, 0)] += 0.8  # right nearly always
    return {"test": test, "held": (held, labels), "by heart": (by_heart, labels)}


def _assess(answers, validation, held_out):
    """One model, asked about both splits."""
    (test, known), (other, others) = answers["test"], answers[validation]
    runner = _Table(np.concatenate([test, other]))
    places = np.arange(COUNT)
    return assess([Member("m", runner, _split(places, known), _split(COUNT + places, others), held_out)])


@pytest.mark.parametrize("held_out", [False, None])
def test_a_model_that_knows_the_validation_images_gets_no_worse(answers, held_out):
    """The control: fitted on them, as it was done before, the temperature makes it surer still."""
    found = _assess(answers, "by heart", held_out)
    before = _assess(answers, "by heart", True)
    assert before.tempered.ece > found.reliability.ece > 0.1
    assert found.tempered.ece < 0.03
    assert found.temperature == pytest.approx(SHARPER, rel=0.1)
    reason = "the validation images were trained on"
    reason = reason if held_out is False else "nothing says that the validation images were not trained on"
    assert found.to_json()["temperature_fitted"] == f"cross-fitted on the test images in 5 parts, as {reason}"
    assert next(found.summary.notes()).endswith(f"parts, as {reason}")


def test_images_that_were_held_out_are_fitted_on(answers, tmp_path):
    found = _assess(answers, "held", True)
    assert found.temperature == pytest.approx(fit_temperature(*answers["held"]), rel=1e-4)
    assert found.tempered.ece < 0.03
    words = "fitted on the validation images, which stayed out of the training"
    assert found.to_json()["temperature_fitted"] == words
    pages.write_html(found, "t", "c", tmp_path / "held.html")
    pages.write_html(_assess(answers, "by heart", False), "t", "c", tmp_path / "heart.html")
    assert f"with temperature {found.temperature:.2f}, {words}." in (tmp_path / "held.html").read_text()
    assert "cross-fitted on the test images in 5 parts" in (tmp_path / "heart.html").read_text()


def test_an_ensemble_is_what_its_members_are(answers):
    (test, known), (other, others) = answers["test"], answers["by heart"]
    runner, places = _Table(np.concatenate([test, other])), np.arange(COUNT)
    splits = _split(places, known), _split(COUNT + places, others)
    for states, part in (((True, True), "stayed out"), ((True, None), "nothing says"), ((None, False), "trained on")):
        found = assess([Member(str(state), runner, *splits, state) for state in states])
        assert part in found.to_json()["temperature_fitted"]
    cards = [ModelCard(dataset="a", held_out=state) for state in (True, None, False)]
    assert [held_out_of_all(cards[:n], "a") for n in (1, 2, 3)] == [True, None, False]
    assert held_out_of_all(cards[:1], "b") is None


def test_no_example_has_a_part_in_its_own_temperature(answers):
    probabilities, labels = answers["test"]
    part = folds(labels, 5)
    counts = np.array([np.bincount(part[labels == label], minlength=5) for label in range(CLASSES)])
    assert np.ptp(counts, axis=1).max() <= 1
    np.testing.assert_array_equal(part, folds(labels, 5))
    mean, found = cross_fitted(probabilities, labels)
    values = [fit_temperature(probabilities[part != number], labels[part != number]) for number in range(5)]
    assert mean == pytest.approx(np.mean(values))
    for number, value in enumerate(values):
        np.testing.assert_allclose(found[part == number], tempered(probabilities[part == number], value), rtol=1e-6)
    assert cross_fitted(probabilities[:1], labels[:1]) is None
    assert cross_fitted(probabilities, probabilities.argmax(1)) is None


@pytest.mark.slow
def test_the_command_asks_the_card(tmp_path, monkeypatch):
    """The digits' own net was never trained on the validation images; under a card of before nobody knows."""
    row = WEIGHT_SETS["resnet8", "digits"]
    command = ["evaluate", "--model", "resnet8", "--weights", "digits", "--data", "digits", "--json"]
    assert cli.main([*command, "known.json"]) == 0
    monkeypatch.setitem(registry.WEIGHT_SETS, ("resnet8", "digits"), dataclasses.replace(row, held_out=None))
    assert cli.main([*command, "unknown.json"]) == 0
    assert cli.main([*command, "none.json", "--no-temperature"]) == 0
    known, unknown, none = (json.loads(Path(f"{n}.json").read_text()) for n in ("known", "unknown", "none"))
    assert known["temperature"] is known["temperature_fitted"] is None  # every validation image is right
    assert "nothing says" in unknown["temperature_fitted"]
    assert none["temperature"] is none["temperature_fitted"] is None


# ---- what cards know


@pytest.mark.parametrize("row", WEIGHT_SETS.values(), ids=lambda row: f"{row.spec} {row.name}")
def test_shipped_weights_say_what_their_recipe_did(row):
    """keras.applications trained on all of ImageNet's `train`, of which our validation images are a part."""
    assert row.card.held_out is row.held_out
    if row.md5:
        assert row.held_out is False
        return
    path = row.fetch(include_top=True)
    assert weights_card(path, row.spec).held_out is row.held_out is ("hold_out=false" not in row.source)


@pytest.mark.parametrize("path", sorted(TRAINED.glob("*.safetensors")), ids=lambda path: path.stem)
def test_nets_of_the_gpu_say_it_too(path):
    assert weights_card(path, path.name.split("-")[0]).held_out is path.stem.endswith("-45k")


def test_a_training_knows_what_it_held_out(digits):
    def card(recipe, nets=None):
        return loop._card(recipe, nets or FromRecipe(), digits)

    row = RECIPES["digits-resnet8"]
    everything = dataclasses.replace(row, hold_out=False)
    assert (card(row).held_out, card(everything).held_out) == (True, False)
    tuned = finetune_recipe("digits", "digits", "resnet8")
    assert (card(tuned).held_out, card(dataclasses.replace(tuned, hold_out=False)).held_out) == (True, False)
    # CIFAR's net has seen CIFAR's validation images, none of the digits.
    assert card(finetune_recipe("cifar10", "digits", "resnet8")).held_out is True
    model = keras_resnet.build("resnet8", weights="digits")
    for before in (True, False, None):
        start = ModelCard(spec="resnet8", dataset="digits", held_out=before)
        small = Compressed(model, start, Settings(method="qat"))
        assert card(row, small).held_out is before
        assert card(everything, small).held_out is False
    assert ModelCard(held_out=True).held_out_after("digits", hold_out=True) is None  # of data without a name


def test_a_card_that_does_not_know_says_so():
    known = ModelCard(dataset="a", held_out=True)
    assert (known.held_out_of("a"), known.held_out_of("b"), known.held_out_of(None)) == (True, None, None)
    assert ModelCard.loads(known.dumps(), "m").held_out is True
    before = {key: value for key, value in json.loads(known.dumps()).items() if key != "held_out"}
    assert ModelCard.loads(json.dumps({**before, "version": 2}), "m").held_out is None
    with pytest.raises(InputError, match="held_out='yes', expected true, false or null"):
        ModelCard.loads(json.dumps({**before, "held_out": "yes"}), "m")


def test_files_of_before_are_still_their_models():
    """Exported before cards knew; the control is a file that says something else."""
    model = ModelCard(dataset="digits", held_out=True)
    for found, passed in ((True, True), (None, True), (False, False)):
        file = dataclasses.replace(model, held_out=found, sha256="1" * 64)
        assert identity_gates(file, model, "1" * 64)[0].passed is passed
    assert identity_gates(ModelCard(sha256="1" * 64), model, "1" * 64)[0].value == "none"


def test_the_mean_of_nets_knows_what_its_members_know():
    one = source_lib.load_source("resnet8", weights="digits")
    for known in (True, None, False):
        other = dataclasses.replace(one, card=dataclasses.replace(one.card, held_out=known))
        assert source_lib._ensemble([one, other]).card.held_out is known
