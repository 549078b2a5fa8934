"""Explanations of objects: slopes of one score at one place, beside a tape of our own; questions are the answers."""

import json

import coloured
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_resnet
from keras_resnet import InputError, ModelCard, cli
from keras_resnet.explain import explain
from keras_resnet.explain.net import Net
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks import detection, localization

FACTS = {
    "realtime": {"strides": [8, 16, 32], "coder": "distances", "threshold": 0.02},
    "fcos": {"strides": [8, 16, 32, 64, 128], "coder": "distances", "centerness": True, "threshold": 0.05},
}
NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module", params=["realtime", pytest.param("fcos", marks=pytest.mark.slow)])
def made(request):
    """A detector, two images, its outputs."""
    keras.utils.set_random_seed(0)
    size = 64 if request.param == "realtime" else 128
    net = keras_resnet.detector(request.param, backbone="resnet10t", classes=3, input_shape=(size, size, 3))
    facts = {"names": NAMES, **FACTS[request.param]}
    card = ModelCard(task="detection", facts=facts, fit="stretch", preprocess=PREPROCESS["tf"])
    for layer in net.layers:
        if layer.name.startswith("scores") and getattr(layer, "bias", None) is not None:
            layer.bias.assign(np.random.default_rng(0).normal(-3, 1, layer.bias.shape))
    runner = KerasRunner(net, card)
    images = np.random.default_rng(1).integers(0, 256, (2, size, size, 3)).astype(np.uint8)
    return runner, images, runner(card.preprocess(images))


def test_questions_are_the_answers_in_their_order(made):
    runner, images, outputs = made
    found = detection.decode(outputs, runner.card)
    named = detection.questions_named(outputs, None, 4, runner.card)
    assert len(named[0]) == len(named[1]) == min(4, *map(len, found)) > 1
    for rank in range(len(named[0])):
        chosen = detection.questions(outputs, [own[rank] for own in named])
        assert chosen.tolist() == [own[rank] for own in named]
        boxes, scores = detection.asked_boxes(outputs, chosen, runner.card), detection.evidence(outputs, chosen)
        for place, each in enumerate(found):
            np.testing.assert_allclose(boxes[place], each.boxes[rank], atol=1e-4)
            assert scores[place] == pytest.approx(each.scores[rank], rel=1e-5)
            assert detection.question_name(int(chosen[place]), runner.card) == each.names[rank]
    best = detection.evidence(outputs, detection.questions(outputs, None))
    np.testing.assert_allclose(best, [each.scores[0] for each in found], rtol=1e-5)


def test_a_class_stands_for_its_best_place_and_a_name_for_its_objects(made):
    runner, _, outputs = made
    for label, name in enumerate(NAMES):
        (place,) = set(detection.questions(outputs, label) % 3)
        assert NAMES[place] == name == detection.question_name(label, runner.card)
    low = ModelCard(task="detection", facts={**runner.card.facts, "threshold": 0.0}, fit="stretch")
    name = next(name for name in NAMES if all(name in each.names for each in detection.decode(outputs, low)))
    for number, own in enumerate(detection.questions_named(outputs, name, 2, low)):
        scores = [score for n, score in zip(*_named(outputs, low, number), strict=True) if n == name]
        found = [detection.evidence(outputs, np.full(2, question))[number] for question in own]
        np.testing.assert_allclose(found, scores[: len(own)], rtol=1e-5)
    high = ModelCard(task="detection", facts={**runner.card.facts, "threshold": 1.0}, fit="stretch")
    assert [len(own) for own in detection.questions_named(outputs, None, 3, high)] == [1, 1]
    with pytest.raises(InputError, match="no object of image 1 is called a: it has no object"):
        detection.questions_named(outputs, "a", 3, high)
    with pytest.raises(InputError, match="unknown class 'zebra'"):
        detection.questions_named(outputs, "zebra", 3, high)


def _named(outputs, card, number):
    each = detection.decode(outputs, card)[number]
    return each.names, each.scores


def test_the_map_is_the_product_of_maps_and_slopes_of_that_one_score(made):
    runner, images, outputs = made
    assert Net(runner).map_step().name == "conv3_block1_out"
    inner = runner.model.get_layer("conv3_block1_out")
    both = keras.Model(runner.model.input, [inner.output, runner.model.outputs and runner.model.output])
    chosen = detection.questions(outputs, None)
    found = explain(runner, images)
    with tf.GradientTape() as tape:
        maps, raw = both(tf.constant(runner.card.preprocess(images)), training=False)
        picked = [_best(raw, image, outputs) for image in range(2)]
        total = tf.add_n(picked)
    slopes = tape.gradient(total, maps)
    expected = np.maximum((maps * slopes).numpy().sum(-1), 0)
    expected = keras.ops.image.resize(expected[..., None], images.shape[1:3])[..., 0]
    np.testing.assert_array_equal(found.classes, chosen)
    np.testing.assert_allclose(found.heat, expected, atol=1e-5 * np.abs(expected).max())
    assert np.abs(expected).max() > 0
    other = explain(runner, images, method="grad-cam").heat
    assert np.abs(other - found.heat).max() > 0.01 * np.abs(found.heat).max()


def _best(raw, image, outputs):
    """The logit of the best score of an image, found by loops over the maps."""
    best = (-1.0, None)
    for name in (name for name in raw if name.startswith("scores")):
        logits = outputs[name][image].astype(np.float64)
        scores = 1 / (1 + np.exp(-logits))
        center = outputs.get(name.replace("scores", "centerness"))
        if center is not None:
            scores = np.sqrt(scores / (1 + np.exp(-center[image].astype(np.float64))))
        if scores.max() > best[0]:
            best = (scores.max(), raw[name][image][np.unravel_index(scores.argmax(), scores.shape)])
    return best[1]


@pytest.mark.parametrize("method", ["occlusion", "smoothgrad", "integrated-gradients"])
def test_what_speaks_for_an_object_lies_in_its_box(method):
    """A net whose score is the colour of a cell: nothing else can speak for it."""
    runner, pixels = KerasRunner(coloured.net(), coloured.card()), coloured.picture({(1, 2): 0, (3, 4): 1})[None]
    outputs = runner(runner.card.preprocess(pixels))
    for name, box in (("red", [16, 8, 24, 16]), ("1", [32, 24, 40, 32])):
        (own,) = detection.questions_named(outputs, name, 3, runner.card)
        found = explain(runner, pixels, method=method, classes=own)
        np.testing.assert_allclose(detection.asked_boxes(outputs, found.classes, runner.card), [box], atol=1e-3)
        heat = np.abs(found.heat[0])
        near = np.s_[max(0, box[1] - 6) : box[3] + 6, box[0] - 6 : box[2] + 6]  # an occlusion covers six pixels
        assert heat[near].sum() > 0.99 * heat.sum() > 0
        if method != "occlusion":
            assert heat[box[1] : box[3], box[0] : box[2]].sum() == pytest.approx(heat.sum())


def test_a_localization_is_asked_for_a_class_and_shows_its_box():
    keras.utils.set_random_seed(0)
    net = keras_resnet.localizer(backbone="resnet8", classes=3, input_shape=(32, 32, 3))
    facts = {"names": NAMES, "size": [32, 32]}
    card = ModelCard(task="localization", facts=facts, fit="stretch", labels=tuple(NAMES), preprocess=PREPROCESS["tf"])
    runner, images = KerasRunner(net, card), np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    outputs = runner(card.preprocess(images))
    named = localization.questions_named(outputs, "c", 2, card)
    assert named == [[2], [2]] and localization.question_name(2, card) == "c"
    found = explain(runner, images, classes=[2, 2])
    step = Net(runner).map_step()
    both = keras.Model(net.input, [net.get_layer(step.name).output, net.output])
    with tf.GradientTape() as tape:
        maps, raw = both(tf.constant(card.preprocess(images)), training=False)
        total = tf.reduce_sum(raw["logits"][:, 2])
    slopes = tape.gradient(total, maps).numpy().mean((1, 2), keepdims=True)
    expected = np.maximum((maps.numpy() * slopes).sum(-1), 0)
    expected = keras.ops.image.resize(expected[..., None], (32, 32))[..., 0]
    np.testing.assert_allclose(found.heat, expected, atol=1e-5 * np.abs(expected).max())
    powers = np.exp(outputs["logits"])
    np.testing.assert_allclose(found.values, powers[:, 2] / powers.sum(1), rtol=1e-4)
    boxes = localization.asked_boxes(outputs, found.classes, card)
    np.testing.assert_allclose(boxes, [each.box for each in localization.decode(outputs, card)])


def test_a_file_of_another_form_is_refused():
    with pytest.raises(InputError, match="an explanation needs raw ones"):
        detection.questions({"boxes": np.zeros((1, 3, 4)), "scores": np.zeros((1, 3, 2))}, None)
    with pytest.raises(InputError, match="expected a classifier"):
        detection.called({})


@pytest.mark.slow
def test_the_command_explains_the_object_that_was_asked_for(tmp_path, capsys):
    model = coloured.saved(tmp_path / "net.keras")
    Image.fromarray(coloured.picture({(1, 2): 0, (3, 4): 1})).save("a.png")
    command = ["explain", "--model", model, "a.png", "--method", "smoothgrad"]
    assert cli.main([*command, "-o", "all.html", "--json", "all.json"]) == 0
    page = (tmp_path / "all.html").read_text("utf-8")
    assert "<b>green" not in page and "score 1.00" in page
    assert len(json.loads((tmp_path / "all.json").read_text("utf-8"))[0]["classes"]) == 2
    assert cli.main([*command, "--class", "red", "-o", "red.png"]) == 0
    assert cli.main([*command, "--object", "2", "-o", "second.png"]) == 0
    drawn = np.asarray(Image.open("red.png").convert("RGB")).astype(int)
    assert (np.abs(drawn - [63, 208, 255]).sum(-1) < 60).sum() > 50  # the rim of its box
    capsys.readouterr()
    for more, words in (
        (["--object", "3"], "--object 3: the image has 2"),
        (["--class", "blue"], "unknown class 'blue'"),
    ):
        assert cli.main([*command, *more, "-o", "x.png"]) == 2
        assert words in capsys.readouterr().err
    other = ["explain", "--model", "resnet8", "--weights", "digits", "a.png", "--object", "1", "-o", "x.png"]
    assert cli.main(other) == 2 and "--object goes with the task detection" in capsys.readouterr().err
