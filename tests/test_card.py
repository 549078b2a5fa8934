"""The card: versions, old and newer ones, damage."""

import dataclasses
import json

import pytest

from export import load_source
from keras_resnet import InputError, ModelCard, build, open_runner, save_model
from keras_resnet import card as card_lib
from keras_resnet.tasks.classification.settings import Facts
from keras_resnet.tasks.facts import facts_of, understood

CARD = ModelCard(task="depths", signal="sound", facts={"anchors": [1, 2]}, labels=("a", "b"), dataset="mine")


def test_a_card_comes_back_as_it_was():
    assert ModelCard.loads(CARD.dumps(), "file") == CARD
    assert json.loads(CARD.dumps())["version"] == card_lib.VERSION
    assert isinstance(hash(CARD), int)


def test_columns_are_written_where_there_are_any():
    assert "columns" not in json.loads(CARD.dumps())
    named = dataclasses.replace(CARD, columns={"file": "photo"})
    assert ModelCard.loads(named.dumps(), "file") == named != CARD
    with pytest.raises(InputError, match="columns="):
        ModelCard.loads(json.dumps({**json.loads(CARD.dumps()), "columns": {"file": 1}}), "file")


def test_a_card_of_the_first_version_means_classification_of_images(capsys):
    card = ModelCard.loads('{"labels": ["a"], "dataset": "digits", "crop": 0.5}', "file")
    assert (card.task, card.signal, card.facts, card.labels) == ("classification", "image", {}, ("a",))
    assert capsys.readouterr().err == ""


def test_a_newer_card_is_read_as_far_as_it_is_understood(capsys):
    newer = {**json.loads(CARD.dumps()), "version": card_lib.VERSION + 1, "colour\x1b[31m": 1}
    assert ModelCard.loads(json.dumps(newer), "m.keras") == CARD
    said = capsys.readouterr().err
    assert said.startswith(f"note: m.keras has a card of version {card_lib.VERSION + 1}, newer than this package's")
    assert "\x1b" not in said
    assert "colour" in said


def test_a_newer_input_convention_is_an_error_that_says_what_to_do():
    convention = {**CARD.preprocess.to_json(), "gamma\x1b": 2.2}
    newer = {**json.loads(CARD.dumps()), "version": card_lib.VERSION + 1, "preprocess": convention}
    said = f"m.keras has a card of version {card_lib.VERSION + 1}, newer than .* input convention .*gamma.* update"
    with pytest.raises(InputError, match=said) as caught:
        ModelCard.loads(json.dumps(newer), "m.keras")
    assert "damaged" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def _of_version(version, **facts):
    text = ModelCard(facts={"classes": 3, **facts}, labels=("a", "b", "c")).dumps()
    return ModelCard.loads(json.dumps({**json.loads(text), "version": version}), "m.keras")


def test_unknown_facts_of_a_newer_card_are_left_out_with_a_note(capsys):
    card = understood(_of_version(card_lib.VERSION + 1, colours=2), "m.keras")
    assert facts_of(card) == Facts(classes=3)
    assert capsys.readouterr().err.splitlines()[-1].endswith("ignored facts of task classification: 'colours'")
    assert facts_of(understood(ModelCard.loads(card.dumps(), "again"), "again")) == Facts(classes=3)
    assert capsys.readouterr().err == ""
    for read in (facts_of, lambda card: understood(card, "m.keras")):
        with pytest.raises(InputError, match="the card's facts are not those of task classification"):
            read(_of_version(card_lib.VERSION, colours=2))


@pytest.mark.slow
def test_prediction_and_export_read_the_facts_alike(monkeypatch, tmp_path, mini_spec, capsys):
    from keras_resnet.nets.specs import SPECS

    monkeypatch.setitem(SPECS, "mini", mini_spec)
    model = build("mini", classes=3)
    for version, path in ((card_lib.VERSION + 1, tmp_path / "new.keras"), (card_lib.VERSION, tmp_path / "now.keras")):
        monkeypatch.setattr(card_lib, "VERSION", version)
        save_model(model, path, ModelCard(facts={"classes": 3, "colours": 2}, labels=("a", "b", "c")))
    assert open_runner(tmp_path / "new.keras").card.facts == {"classes": 3}
    assert "ignored facts of task classification: 'colours'" in capsys.readouterr().err
    assert load_source(tmp_path / "new.keras").card.facts == {"classes": 3}
    assert "ignored facts of task classification: 'colours'" in capsys.readouterr().err
    for read in (open_runner, load_source):
        with pytest.raises(InputError, match="the card's facts are not those of task classification"):
            read(tmp_path / "now.keras")


@pytest.mark.parametrize(
    "damage",
    [
        {"colour": 1},  # unknown in a version that is known
        {"version": "2"},
        {"version": 0},
        {"task": 3},
        {"signal": None},
        {"facts": [1]},
        {"crop": 0},
        {"preprocess": {"gamma": 2.2}},
        {"version": 99, "preprocess": [1]},
        {"version": 99, "facts": 1},
    ],
)
def test_damage_is_an_error(damage):
    with pytest.raises(InputError, match="m.keras: its keras_resnet.json is damaged"):
        ModelCard.loads(json.dumps({**json.loads(CARD.dumps()), **damage}), "m.keras")
