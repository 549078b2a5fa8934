"""Forms of a detector's file: the same objects as the Keras model's, boxes in float32 whatever the precision is."""

import dataclasses
import json

import boxed
import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from ai_edge_litert.tools import flatbuffer_utils
from tiers import in_proof

from export import artifact, export, load_source
from export.formats import floats
from export.formats import onnx as onnx_format
from export.formats import tflite as tflite_format
from export.making import pipeline
from export.model import graph
from export.proof import golden
from export.proof.comparison import Comparison
from export.proof.gates import check
from keras_resnet import InputError, open_runner
from keras_resnet.nets.suppressing import Suppression
from keras_resnet.tasks import detection
from keras_resnet.tasks.detection.predictions import answers


def _of_form(card, form):
    return dataclasses.replace(card, facts={**card.facts, "form": form, "size": list(boxed.SIZE)})


def _values(model, images):
    """What a model gives, without the time of a trace."""
    return {name: np.asarray(values) for name, values in model(images, training=False).items()}


@pytest.mark.parametrize("name", ["realtime", "retinanet", "fcos"])
def test_the_graph_makes_the_boxes_that_numpy_makes(name):
    card, images, net = boxed.card(name), boxed.images(3).astype("f"), boxed.plain(name)
    raw, found = _values(net, images), {}
    for form in detection.settings.FORMS:
        made, own = detection.formed(net, card, form)
        assert own.facts["form"] == form and own.facts["size"] == list(boxed.SIZE)
        found[form] = _values(made, images)
        assert set(found[form]) == {output.name for output in detection.outputs(detection.Facts(**own.facts))}
        for key, values in detection.as_form(raw, own).items():
            np.testing.assert_allclose(found[form][key], values, atol=1e-5 if form != "raw" else 1e-3)
    boxes, scores = found["decoded"]["boxes"], found["decoded"]["scores"]
    assert boxes.min() >= 0 and boxes.max() <= 1 and scores.std() > 0.1
    own = answers(found["decoded"], _of_form(card, "decoded"))
    for each, image in zip(own, answers(raw, card), strict=True):  # torchvision's way, map by map, in pixels
        assert len(each) > 20 and each.classes.tolist() == image.classes.tolist()
        np.testing.assert_allclose(each.boxes, image.boxes, atol=1e-3)
    facts = card.facts
    areas = (boxes[..., 2:] > boxes[..., :2]).all(axis=-1, keepdims=True)
    theirs = tf.image.combined_non_max_suppression(
        boxes[:, :, None], scores * areas, facts["most"], facts["most"], facts["overlap"], facts["floor"]
    )
    expected = detection.as_form(raw, _of_form(card, "nms"))
    for key, values in zip(("boxes", "scores", "classes", "count"), theirs, strict=True):
        np.testing.assert_allclose(expected[key], values, atol=1e-5)


@pytest.mark.parametrize("classes", [1, 3])
def test_one_operator_suppresses_all_classes(classes):
    """TensorFlow's own suppression of classes is for batches; a batch of one has one operator, as TFLite knows it."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 0.8, (1, 200, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.05, 0.2, (1, 200, 2))], axis=2).astype("f")
    scores = rng.uniform(0, 1, (1, 200, classes)).astype("f")
    layer = Suppression(overlap=0.3, threshold=0.2, candidates=10_000, most=40)
    one = layer(boxes, scores)
    many = layer(boxes.repeat(2, axis=0), scores.repeat(2, axis=0))
    assert int(one["count"][0]) == 40
    for key in one:
        np.testing.assert_allclose(one[key][0], many[key][1], atol=1e-6)
    few = Suppression(overlap=0.3, threshold=0.95, candidates=10_000, most=40)(boxes, scores)
    count = int(few["count"][0])
    assert 0 < count < 40 and not np.any(few["boxes"][0, count:]) and not np.any(few["scores"][0, count:])


def test_a_form_is_asked_for_once():
    net, card = boxed.plain(), boxed.card()
    made, own = detection.formed(net, card, "decoded")
    with pytest.raises(InputError, match="the model gives decoded already"):
        detection.formed(made, own, "nms")
    body, tail = floats.parted(graph.prepare(made, own, artifact("tflite:float32")))
    assert set(body.output) == set(net.output) == set(tail.input) and set(tail.output) == {"boxes", "scores"}
    whole = graph.prepare(net, card, artifact("tflite:float32"))
    assert floats.parted(whole) == (whole, None)


def _made(module, name, form, path, count=40):
    """A file and what it gives for a few images, in the order of `detection.as_form` of Keras' own answers."""
    source = boxed.source(count=4).in_form(form)
    made = artifact(name, input="normalized")
    samples = boxed.images(count).astype("f")
    module.convert(graph.prepare(source.model, source.card, made), made, samples if made.calibrated else None, path)
    module.add_card(path, source.card)
    images = samples[:4]
    raw = _values(boxed.net(), images)
    found = open_runner(path).run(images)
    return detection.agreement(detection.as_form(raw, source.card), found, source.card).mean(), found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # the converter's, of its own ranges
@pytest.mark.parametrize("name", ["tflite:int8", in_proof("tflite:int8@litert")])
def test_what_makes_boxes_stays_in_float(name, tmp_path, monkeypatch):
    share, found = _made(tflite_format, name, "nms", path := tmp_path / "m.tflite")
    kinds = tflite_format.describe(path)
    assert kinds.precision == "int8" and kinds.forbidden == () and kinds.operators["NON_MAX_SUPPRESSION_V4"] == 1
    assert kinds.operators["DEQUANTIZE"] == 6 and "QUANTIZE" not in kinds.operators  # once for every raw output
    assert all(values.dtype == np.float32 for values in found.values())
    if name != "tflite:int8":
        return
    monkeypatch.setattr(floats, "parted", lambda model: (model, None))  # what the converter does by itself
    assert _made(tflite_format, name, "nms", path)[0] < share - 0.1


@pytest.mark.proof
def test_onnx_quantizes_nothing_that_makes_boxes(tmp_path, monkeypatch):
    share, _ = _made(onnx_format, "onnx:int8", "decoded", path := tmp_path / "m.onnx")
    assert onnx_format.describe(path).unfolded == 0
    monkeypatch.setattr(onnx_format, "_in_floats", lambda graph: [])
    assert _made(onnx_format, "onnx:int8", "decoded", path)[0] < share - 0.1


@pytest.mark.slow
def test_onnx_takes_the_nearest_pixel_as_keras_does(tmp_path):
    """Sizes that do not divide each other: what a mode of today's operators has to say."""
    start = keras.Input((13, 7, 2), name="image")
    net = keras.Model(start, {"maps": keras.layers.Resizing(25, 20, interpolation="nearest")(start)})
    path = tmp_path / "m.onnx"
    onnx_format.convert(net, artifact("onnx:float32"), None, path)
    values = np.random.default_rng(0).normal(size=(2, 13, 7, 2)).astype("f")
    np.testing.assert_array_equal(open_runner(path).run(values)["maps"], net.predict(values, verbose=0)["maps"])
    (node,) = [each for each in onnx.load(path).graph.node if each.op_type == "Resize"]
    modes = {each.name: each.s for each in node.attribute}
    assert modes["coordinate_transformation_mode"] == b"half_pixel"


def _suppressed_by_tflite(boxes, scores, candidates=10, most=6):
    """Answers of a TFLite file that is a suppression alone."""
    from ai_edge_litert.interpreter import Interpreter

    layer = Suppression(overlap=0.5, threshold=0.1, candidates=candidates, most=most)
    names = ("boxes", "scores")
    specs = [tf.TensorSpec(each.shape, tf.float32, name) for name, each in zip(names, (boxes, scores), strict=True)]
    content = tflite_format._of_constants(lambda b, s: layer(b, s), *specs).convert()
    engine = Interpreter(model_content=content)
    engine.allocate_tensors()
    for details in engine.get_input_details():
        engine.set_tensor(details["index"], boxes if details["shape"][-1] == 4 else scores)
    engine.invoke()
    return [engine.get_tensor(each["index"]) for each in engine.get_output_details()]


def test_a_box_without_area_is_no_answer(monkeypatch):
    """LiteRT's operator takes one again and again, and the boxes behind it are lost."""
    boxes = np.float32([[[0, 0, 0.1, 0.1], [0.2, 0.2, 0.3, 0.3], [0.4, 0.4, 0.4, 0.5], [0.6, 0.6, 0.7, 0.7]]])
    scores = np.float32([[[0.9], [0.8], [0.7], [0.6]]])
    found, _, count, values = _suppressed_by_tflite(boxes, scores)
    assert count == 3
    np.testing.assert_allclose(values, [[0.9, 0.8, 0.6, 0, 0, 0]])
    np.testing.assert_array_equal(found[0, :3], boxes[0, [0, 1, 3]])
    monkeypatch.setattr(Suppression, "_with_area", staticmethod(lambda boxes: tf.ones(boxes.shape[:-1])))
    wrong = _suppressed_by_tflite(boxes, scores)[3]
    np.testing.assert_allclose(wrong, [[0.9, 0.8, 0.7, 0.7, 0, 0]])  # as many as there are


def test_of_equal_scores_the_first_one_stays():
    """As in NumPy: scores of 8 bits are often equal, and operators of engines take one or another of them first."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 0.7, (300, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.1, 0.3, (300, 2))], axis=1).astype("f")
    scores = np.round(rng.random(300), 1).astype("f")  # eleven of them
    kept = detection.suppressed(boxes[scores > 0.1], scores[scores > 0.1], np.zeros((scores > 0.1).sum()), overlap=0.5)
    expected = boxes[scores > 0.1][kept]
    found, _, count, values = _suppressed_by_tflite(boxes[None], scores[None, :, None], candidates=300, most=200)
    assert 20 < count[0] == len(expected) < 200
    np.testing.assert_array_equal(found[0, : len(expected)], expected)
    np.testing.assert_array_equal(values[0, : len(expected)], scores[scores > 0.1][kept])


def _outputs(boxes, scores, classes):
    """Of the form `nms`, of one image of 96 x 64 pixels."""
    filled = {"boxes": (9, 4), "scores": (9,), "classes": (9,)}
    made = {name: np.zeros((1, *shape), "f") for name, shape in filled.items()}
    for name, values in (("boxes", boxes), ("scores", scores), ("classes", classes)):
        made[name][0, : len(values)] = values
    return {**made, "count": np.float32([len(scores)])}


BOXES = np.float32([[0, 0, 0.5, 0.5], [0.25, 0.25, 0.75, 0.75], [0.5, 0.5, 0.5, 0.9]])


def test_agreement_is_the_share_of_objects_that_both_find():
    card = _of_form(boxed.card(), "nms")
    one = _outputs(BOXES, [0.9, 0.6, 0.5], [0, 1, 0])

    def share(boxes, scores, classes):
        return detection.agreement(one, _outputs(boxes, scores, classes), card).tolist()

    assert share(BOXES, [0.9, 0.6, 0.5], [0, 1, 0]) == [1.0]  # what has no area counts in neither
    assert share(BOXES[::-1], [0.9, 0.6, 0.5], [0, 1, 0]) == [1.0]  # in another order
    assert share(BOXES, [0.9, 0.6, 0.5], [0, 2, 0]) == [0.5]  # of another class
    assert share(BOXES, [0.9, 0.04, 0.01], [0, 1, 0]) == pytest.approx([2 / 3])  # below the least score
    assert share(BOXES[:1], [0.9], [0]) == share(BOXES[[0, 1, 1, 1]], [0.9, 0.6, 0.5, 0.4], [0, 1, 1, 1]) == [2 / 3]
    for width, same in ((0.459, True), (0.449, False)):  # 0.9 of 0.5 is 0.45
        moved = BOXES.copy()
        moved[0, 2] = width
        assert share(moved, [0.9, 0.6, 0.5], [0, 1, 0]) == [1.0 if same else 0.5]
    moved = BOXES.copy()
    moved[0, 2] = 0.4  # 0.8 of it
    found = detection.shares(one, _outputs(moved, [0.9, 0.25, 0.2], [0, 1, 0]), card)
    assert {name: each.tolist() for name, each in found.items()} == {
        "objects found again at IoU 0.75": [1.0],
        "objects found again at IoU 0.9 of score 0.3": [0.0],
        "objects found again at IoU 0.75 of score 0.3": [pytest.approx(2 / 3)],
    }
    nothing = _outputs(BOXES[:0], [], [])
    assert detection.agreement(nothing, nothing, card).tolist() == []  # no image has a share that shows no object
    assert detection.agreement(one, nothing, card).tolist() == [0.0]


def test_objects_are_counted_without_crowds():
    rows = np.full((2, 3, 7), -1, "f")
    rows[0, :, 4:6] = [(0, 0), (1, 1), (2, 2)]  # usual, a crowd, difficult
    rows[1, 0, 4:6] = (2, 0)
    assert detection.counted({"boxes": rows}) == 2


@pytest.mark.parametrize(
    ("drop", "interval", "counted", "verdict"),
    [
        (0.4, (-1, 2), "472 objects", (True, "")),
        (0.6, (0.4, 2), "472 objects", (True, "not decided by 472 objects")),
        (0.6, (0.51, 2), "472 objects", (False, "")),
        (0.6, (0.4, 2), "", (False, "")),  # a thousand decide
        (float("nan"), (float("nan"), float("nan")), "472 objects", (False, "")),
    ],
)
def test_few_objects_decide_only_by_their_interval(drop, interval, counted, verdict):
    from export.formats.table import Contents

    found = Comparison(
        task="detection", agreement=1.0, drop=drop, drop_interval=interval, count=1_500, noun="images", too_few=counted
    )
    (gate,) = [each for each in check(found, Contents({}, "int8", ()), {}) if each.name == "drop"]
    assert (gate.passed, gate.undecided) == verdict


def test_golden_answers_may_change_places(tmp_path):
    """Of ranked answers a value in twenty may be another one; the distance between two says nothing."""
    card = _of_form(boxed.card(), "nms")
    runner = type("Fixed", (), {})()
    runner.card, runner.example_shape = card, (16, 32, 3)
    right = np.linspace(1, 0, 100, dtype="f")[None]
    runner.run = lambda _: {"scores": right}
    about = {"tolerance": 0.05, "tolerances": {"scores": 0.05}, "ranked": ["scores"]}
    path = tmp_path / "x.golden.npz"
    for wrong, held in ((4, True), (6, False)):
        stored = right.copy()
        stored[0, :wrong] += 0.5
        np.savez(path, about=np.array(json.dumps(about)), pixels=np.zeros((1, 16, 32, 3), "uint8"), scores=stored)
        apart, most = golden.difference(path, runner, card.preprocess)
        assert (apart <= most, apart) == (held, pytest.approx(wrong / 100))


@pytest.mark.proof
def test_a_file_of_answers_is_proven(tmp_path):
    """One whose boxes were moved by a tenth fails, and so does one that lost its card."""
    source = boxed.source(count=6)
    made = artifact("tflite:float32", form="nms")
    (row,) = export(source, [(made, tmp_path / "m.tflite")]).rows
    assert row.passed and row.agreement == 1.0 and row.outputs == {} and row.drop == 0
    assert row.notes[0].startswith("objects found again at IoU 0.75: 100.0%")
    _, about = golden.read(golden.beside(tmp_path / "m.tflite"))
    assert about["ranked"] == ["boxes", "classes", "scores", "count"] and about["tolerances"]["boxes"] == 0.05
    path = tmp_path / "m.tflite"
    lite = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    content = bytes(flatbuffer_utils.convert_object_to_bytearray(lite))  # without the card
    # Half of what boxes are multiplied with: the sides' distances from the centre.
    sizes = np.float32([8 / 96, 8 / 64])
    assert content.count(sizes.tobytes()) > 10
    card = open_runner(path).card
    path.write_bytes(content.replace(sizes.tobytes(), (sizes / 2).tobytes()))
    tflite_format.add_card(path, dataclasses.replace(card, sha256=tflite_format.fingerprint(path)))
    failed = {gate.name for gate in pipeline.verify(path, source).rows[0].gates if not gate.passed}
    assert {"agreement", "drop", "golden vectors"} <= failed


@pytest.mark.slow
def test_raw_outputs_are_judged_one_by_one(tmp_path):
    source = boxed.source(count=6)
    (row,) = export(source, [(artifact("onnx:float32"), tmp_path / "m.onnx")]).rows
    assert row.passed, row.verdict
    assert set(row.outputs) == set(source.model.output) and min(row.sqnr.values()) > 80
    assert {"sqnr", "sqnr of boxes_8", "max_abs of scores_32"} <= {gate.name for gate in row.gates}
    same = load_source((source.model, source.card), dataset=source.dataset)
    assert pipeline.verify(tmp_path / "m.onnx", same).passed
