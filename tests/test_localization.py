"""Localization: losses and figures beside their formulas, and the head that reads a place off a map."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit

import keras_resnet
from keras_resnet import InputError, ModelCard
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.tasks import localization
from keras_resnet.tasks.facts import understood
from keras_resnet.tasks.localization.losses import BoxLoss, ClassLoss, largest
from keras_resnet.training import RECIPES
from keras_resnet.training.inferred import task_for

SIZE = (60, 80)


def _truth():
    """Two objects, a crowd that is larger than the object, none."""
    found = np.full((3, 2, 7), -1, "f")
    found[0, 0] = [0, 0, 20, 20, 1, 0, 400]
    found[0, 1] = [20, 15, 60, 45, 2, 0, 1200]
    found[1, 0] = [0, 0, 80, 60, 0, 1, 4800]
    found[1, 1] = [40, 30, 60, 40, 0, 0, 200]
    return found


def _card(**changes):
    facts = {"names": ["a", "b", "c"], "size": list(SIZE)}
    return ModelCard(task="localization", facts=facts, fit="stretch", **changes)


def _outputs(boxes, labels):
    """What a net says that is sure of classes and boxes in pixels of its input."""
    boxes = np.asarray(boxes, "f") / np.array([SIZE[1], SIZE[0]] * 2, "f")
    box = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
    return {"logits": 8 * np.eye(3, dtype="f")[labels], "box": box}


def test_the_largest_object_is_learned_and_crowds_are_not():
    wanted, there = map(ops.convert_to_numpy, largest(_truth()))
    np.testing.assert_array_equal(wanted[:2, :5], [[20, 15, 60, 45, 2], [40, 30, 60, 40, 0]])
    assert there.tolist() == [True, True, False]


def test_the_loss_of_the_class_is_keras_of_the_examples_with_an_object():
    logits = np.random.default_rng(0).normal(size=(3, 3)).astype("f")
    for smoothing in (0.0, 0.1):
        known = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        found = float(ClassLoss(3, smoothing)(_truth(), logits))
        assert found == pytest.approx(float(known(np.eye(3, dtype="f")[[2, 0]], logits[:2])), rel=1e-5)


def test_the_loss_of_the_box_is_its_formula():
    given = np.float32([[0.45, 0.5, 0.4, 0.6], [0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.3, 0.4]])
    known = []
    for (x, y, w, h), (x1, y1, x2, y2) in zip(given[:2], [(20, 15, 60, 45), (40, 30, 60, 40)], strict=True):
        true = np.array([(x1 + x2) / 160, (y1 + y2) / 120, (x2 - x1) / 80, (y2 - y1) / 60])
        apart = np.abs(true - [x, y, w, h])
        smooth = np.where(apart < 0.05, apart**2 / 0.1, apart - 0.025).sum()
        a = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        b = np.array([x1 / 80, y1 / 60, x2 / 80, y2 / 60])
        shared = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
        union = w * h + (b[2:] - b[:2]).prod() - shared
        around = (np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2])).prod()
        known.append(smooth + 1 - shared / union + (around - union) / around)
    assert float(BoxLoss(SIZE)(_truth(), given)) == pytest.approx(np.mean(known), rel=1e-5)


def test_an_answer_is_right_with_the_class_and_half_of_any_such_object():
    truth = np.full((6, 2, 7), -1, "f")
    truth[:5, 0] = [20, 10, 60, 50, 0, 0, 1600]
    truth[4, 1] = [0, 0, 10, 10, 1, 0, 100]
    boxes = [[20, 10, 60, 50], [20, 10, 60, 50], [20, 10, 40.1, 50], [20, 10, 39.9, 50], [0, 0, 10, 10], [0, 0, 9, 9]]
    scorer = localization.scorer(_card())
    outputs = _outputs(boxes, [0, 1, 0, 0, 1, 0])
    for part in (slice(0, 2), slice(2, 6)):
        scorer.update({name: each[part] for name, each in outputs.items()}, {"boxes": truth[part]})
    assert scorer.examples.tolist() == [1, 0, 1, 0, 1]
    found = scorer.result()
    assert (found.localized, found.error) == pytest.approx((0.6, 0.4))
    assert (found.class_error, found.box_error) == pytest.approx((0.2, 0.2))
    assert (found.count, found.without) == (5, 1)
    assert found.median_error == pytest.approx(0.0)
    assert found.interval[0] < 0.6 < found.interval[1]
    assert scorer.drawn(np.array([0, 0, 2])) == 1.0
    json.dumps(found.to_json())


def test_the_median_box_is_what_a_net_must_beat():
    truth = np.full((4, 1, 7), -1, "f")
    truth[:, 0] = [[0, 0, 20, 20, 0, 0, 1], [2, 2, 22, 22, 0, 0, 1], [1, 1, 21, 21, 0, 0, 1], [60, 40, 80, 60, 0, 0, 1]]
    split = ArraySplit({"image": np.zeros((4, *SIZE, 3), "uint8"), "boxes": truth})
    facts = localization.facts(Dataset("s", ("a",), (*SIZE, 3), split, split, split, truth="boxes"), None)
    np.testing.assert_allclose(facts.median, (11.5 / 80, 11.5 / 60, 20 / 80, 20 / 60), rtol=1e-5)
    scorer = localization.scorer(_card())
    scorer.update(_outputs(truth[:, 0, :4], [0] * 4), {"boxes": truth})
    assert scorer.result().median_error == 0.25


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_answers_are_in_pixels_of_the_whole_picture(fit):
    from keras_resnet.signals import plain

    card = dataclasses.replace(_card(), fit=fit)
    _, matrix = plain.placed(300, 200, SIZE, fit)
    there = np.array([[100, 90, 1], [160, 240, 1]]) - [0.5, 0.5, 0]
    inside = (np.linalg.inv(matrix) @ there.T).T[:, :2] + 0.5
    (answer,) = localization.decode(_outputs(inside.reshape(1, 4), [2]), card, names=["x.jpg"])
    placed = localization.within(answer, 300, 200, card)
    np.testing.assert_allclose(placed.box, [100, 90, 160, 240], atol=0.01)
    said = placed.to_json()
    assert (said["height"], said["width"], next(iter(said["scores"]))) == (300, 200, "c")
    assert localization.draw([np.zeros((300, 200, 3), np.uint8)], [placed], card).axes


def test_agreement_is_the_overlap_where_classes_agree():
    one = _outputs([[0, 0, 40, 40], [0, 0, 40, 40], [0, 0, 40, 40]], [0, 1, 2])
    other = _outputs([[0, 0, 40, 40], [0, 0, 40, 20], [0, 0, 40, 40]], [0, 1, 0])
    np.testing.assert_allclose(localization.agreement(one, other, _card()), [1, 0.5, 0], atol=1e-6)


def test_the_place_is_where_the_map_has_its_weight():
    net = keras_resnet.localizer("resnet10t", classes=3, input_shape=(64, 96, 3))
    assert net.output["logits"].shape == (None, 3)
    flat = net.get_layer("box_center")
    weights = np.zeros((2, 6), "f")
    weights[0, 5], weights[1, [0, 2]] = 1, 0.5  # the last of 2 x 3 places; the first and third
    np.testing.assert_allclose(flat(weights), [[5 / 6, 3 / 4], [3 / 6, 1 / 4]], atol=1e-6)
    assert not net.get_layer("box_center").trainable
    pooled = keras_resnet.localizer("resnet10t", classes=3, input_shape=(64, 96, 3), place="pooled")
    assert pooled.get_layer("box").count_params() == 4 * 513


def test_a_size_is_read_off_the_features_where_the_object_is():
    keras.utils.set_random_seed(0)
    net = keras_resnet.localizer("resnet8", classes=2, input_shape=(32, 48, 3))
    names = ("box_place", "box_attended", "box_size")
    features = net.get_layer("box_attended_parts").input[0]
    inner = keras.Model(net.input, [features, *(net.get_layer(name).output for name in names)])
    examples = np.random.default_rng(0).normal(0, 5, (3, 32, 48, 3)).astype("f")
    maps, weights, attended, size = map(np.asarray, inner(examples))
    expected = np.einsum("np,npc->nc", weights, maps.reshape(3, -1, maps.shape[-1]))
    assert weights.max() > 1.2 * weights.mean()  # not the mean over all places
    np.testing.assert_allclose(attended, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())
    kernel, bias = net.get_layer("box_size").get_weights()
    np.testing.assert_allclose(size, expit(expected @ kernel + bias), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"classes": 0}, "classes=0: expected a whole number"),
        ({"place": "corner"}, "unknown place 'corner'"),
        ({"input_shape": (None, 64, 3)}, r"expected \(height, width, channels\)"),
    ],
)
def test_what_no_localizer_can_be_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        keras_resnet.localizer("resnet10t", **{"classes": 2, "input_shape": (64, 64, 3), **arguments})


@pytest.mark.parametrize(
    "facts", [{"size": [3]}, {"size": [0, 5]}, {"names": "ab"}, {"names": ["a"], "ids": []} | {"ids": [1, 2]}]
)
def test_facts_that_cannot_be_are_refused_in_one_line(facts):
    card = ModelCard.loads(json.dumps({"task": "localization", "facts": facts}), "m.keras")
    with pytest.raises(InputError, match="the card's facts are not those of task localization"):
        understood(card, "m.keras")


def test_a_recipe_s_own_task_wins_where_the_data_are_for_it():
    assert RECIPES["pet-heads"].task == "localization"
    assert task_for("digits-scenes", usual="localization") == "localization"
    assert task_for("digits-scenes") == "detection"
    assert task_for("digits", usual="localization") == "classification"
    assert task_for("digits-scenes", task="detection", usual="localization") == "detection"


def test_weights_that_torchvision_has_no_names_for_are_refused(tmp_path):
    nets = (
        keras_resnet.localizer("resnet18", classes=3, input_shape=(64, 64, 3)),
        keras_resnet.detector("realtime", backbone="resnet18", classes=3, input_shape=(64, 64, 3)),
    )
    for net in nets:
        with pytest.raises(InputError, match="takes any"):
            keras_resnet.export_weights(net, tmp_path / "a.safetensors", layout="torchvision", spec="resnet18")
