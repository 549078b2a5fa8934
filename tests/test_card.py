"""The card: versions, old and newer ones, damage."""

import json

import pytest

from keras_resnet import InputError, ModelCard
from keras_resnet import card as card_lib

CARD = ModelCard(task="depths", signal="sound", facts={"anchors": [1, 2]}, labels=("a", "b"), dataset="mine")


def test_a_card_comes_back_as_it_was():
    assert ModelCard.loads(CARD.dumps(), "file") == CARD
    assert json.loads(CARD.dumps())["version"] == card_lib.VERSION
    assert isinstance(hash(CARD), int)


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
        {"version": 99, "facts": 1},
    ],
)
def test_damage_is_an_error(damage):
    with pytest.raises(InputError, match="m.keras: its keras_resnet.json is damaged"):
        ModelCard.loads(json.dumps({**json.loads(CARD.dumps()), **damage}), "m.keras")
