"""Losses of a classifier beside their formulas, weights of classes, and facts that stay off the card."""

import dataclasses
import json

import numpy as np
import pytest

from keras_resnet import InputError, ModelCard
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.tasks import classification
from keras_resnet.tasks.cards import card_facts
from keras_resnet.tasks.classification.settings import Facts, Settings
from keras_resnet.tasks.facts import understood
from keras_resnet.training import RECIPES
from keras_resnet.training.changes import override


@pytest.mark.parametrize("loss", ["cross-entropy", "focal"])
@pytest.mark.parametrize("weights", [(), (0.5, 2.0, 4.0)])
def test_losses_are_their_formulas(loss, weights):
    rng = np.random.default_rng(0)
    targets = np.eye(3, dtype="f")[rng.integers(0, 3, 8)]
    targets[:2] = (0.3, 0.7, 0)  # mixed
    logits = rng.normal(size=(8, 3))
    p = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype("f")
    settings = Settings(loss=loss, label_smoothing=0.1, focal_gamma=1.5 if loss == "focal" else 2.0)
    found = np.mean(classification.objectives(Facts(classes=3, weights=weights), settings).loss(targets, p))
    each = -(targets * 0.9 + 0.1 / 3) * np.log(p) * ((1 - p) ** 1.5 if loss == "focal" else 1)
    expected = each.sum(axis=1) * ((targets * weights).sum(axis=1) if weights else 1)
    assert found == pytest.approx(expected.mean(), rel=1e-5)


def test_rare_classes_weigh_as_much_as_frequent_ones():
    labels = np.repeat([0, 1, 2], [90, 9, 1])
    split = ArraySplit(np.zeros((100, 2, 2, 3), np.uint8), labels)
    dataset = Dataset("some", ("a", "b", "c"), (2, 2, 3), split, split, split)
    found = classification.facts(dataset, Settings(class_weights=True))
    np.testing.assert_allclose(found.weights, (100 / 270, 100 / 27, 20.0))  # the last one is cut
    assert card_facts(found) == {"classes": 3} == card_facts(classification.facts(dataset, Settings()))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["focal_gamma=1"], "focal_gamma goes with loss=focal, not cross-entropy"),
        (["loss=binary", "class_weights=true"], "class_weights goes with loss=cross-entropy or focal"),
        (["focal_gamma=-1", "loss=focal"], "focal_gamma=-1.0, expected at least 0"),
    ],
)
def test_settings_are_checked(settings, said):
    with pytest.raises(InputError, match=said):
        override(RECIPES["digits-resnet8"], settings)


@pytest.mark.parametrize(
    ("task", "facts"),
    [
        ("multilabel", {"classes": 2, "thresholds": ["a", "b"]}),
        ("multilabel", {"classes": 2, "thresholds": [0.5]}),
        ("multilabel", {"classes": 2, "thresholds": [0.5, float("nan")]}),
        ("multilabel", {"classes": "\x1b"}),
        ("regression", {"names": ["x"], "low": [0.0], "high": [1e400]}),
        ("regression", {"names": ["x"], "mean": 3}),
        ("regression", {"names": [1]}),
        ("regression", {"unit": "kg"}),
    ],
)
def test_facts_that_cannot_be_are_refused_in_one_line(task, facts):
    card = ModelCard.loads(json.dumps({"task": task, "facts": facts}), "m.keras")
    with pytest.raises(InputError, match=f"the card's facts are not those of task {task}") as caught:
        understood(card, "m.keras")
    assert "\x1b" not in str(caught.value)


def test_facts_of_a_trained_model_are_understood():
    facts = {"names": ["x"], "mean": [1.0], "scale": [2], "low": [-3.0], "high": [4.0]}
    for task, known in (
        ("regression", facts),
        ("multilabel", {"classes": 2, "thresholds": [0.1, 1]}),
        ("multilabel", {}),
    ):
        assert understood(ModelCard(task=task, facts=known), "m").facts == known
    assert dataclasses.asdict(Facts(classes=3))["weights"] == ()
