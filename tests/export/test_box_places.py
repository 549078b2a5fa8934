"""Places that find objects: each runs the file there and compares objects, and notices what is wrong."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import boxed
import flatbuffers
import keras
import numpy as np
import pytest
from PIL import Image
from test_metadata import Reader

import keras_resnet
from export import artifact, make_bundle
from export.making import metadata
from export.model.outputs import require_choices
from export.model.source import Source
from export.targets import boxes, onnxruntime
from export.targets.table import TARGETS
from keras_resnet import InputError, ModelCard, pictures
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.runtime.outside import OUTSIDE
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks import detection, localization
from keras_resnet.tasks.detection.answers import Boxes

OUTPUTS = ("boxes", "classes", "count", "scores")
LENIENT = {"gates": {"drop": 100.0, "agreement": 0.0}}  # the place is judged here, not the precision


def test_metadata_make_a_detector_of_it():
    content = metadata._content(flatbuffers.Builder(64), boxed.card(), PREPROCESS["none"], "labels.txt", OUTPUTS)
    root = Reader.root(content)
    (subgraph,) = root.children(3)
    found = subgraph.children(3)
    assert root.text(0) == "object detector"
    assert [each.text(0) for each in found] == ["location", "category", "number of detections", "score"]
    box = found[0].child(3)  # ContentProperties: the union's type, then its value
    assert [each.child(3).byte(0) for each in found] == [3, 1, 1, 1]
    start, count = box.child(1)._vector(0)
    assert np.frombuffer(bytes(box.table.Bytes[start : start + 4 * count]), "<u4").tolist() == [0, 1, 2, 3]
    assert box.child(1).byte(1) == 1 and not box.child(1)._field(2)  # BOUNDARIES, in shares of the image
    (labels,) = found[1].children(6)
    assert labels.text(0) == "labels.txt" and labels.byte(2) == 3  # TENSOR_VALUE_LABELS
    assert not found[0]._field(6) and not found[3]._field(6) and not subgraph._field(9)


def test_metadata_go_with_answers_that_stay():
    for form in ("", "raw", "decoded"):
        with pytest.raises(InputError, match="takes answers that stay: give --form nms"):
            require_choices(boxed.card(), artifact("tflite:float32", labels_file="labels.txt", form=form))
    require_choices(boxed.card(), artifact("tflite:float32", labels_file="labels.txt", form="nms"))


def test_an_app_knows_what_makes_answers():
    known = detection.numbers(dataclasses.replace(boxed.card(threshold=0.4), labels=()), 0)
    assert known.names == ("red", "green", "blue") and known.output == "boxes"
    assert known.facts == {
        "form": "", "threshold": 0.4, "floor": 0.05, "overlap": 0.6, "candidates": 1000, "most": 100,
        "colours": pictures.hues(3).tolist(),
    }  # fmt: skip


def _of(*rows):
    values = np.float32(rows).reshape(-1, 6)
    return Boxes(boxes=values[:, :4], scores=values[:, 4], classes=values[:, 5].astype(int))


def test_objects_are_the_same_in_any_order_and_in_nothing_else():
    ours = [_of((0, 0, 9, 9, 0.9, 1), (20, 20, 30, 30, 0.8, 0))]

    def passed(*rows):
        return boxes.same("x", [_of(*rows)], ours).passed

    assert passed((21, 20, 30, 29, 0.81, 0), (0, 0, 9, 9, 0.9, 1))
    assert not passed((20, 20, 30, 30, 0.8, 1), (0, 0, 9, 9, 0.9, 1))  # of another class
    assert not passed((20, 20, 30, 33, 0.8, 0), (0, 0, 9, 9, 0.9, 1))  # three pixels longer
    assert not passed((20, 20, 30, 30, 0.77, 0), (0, 0, 9, 9, 0.9, 1))  # less sure
    assert not passed((0, 0, 9, 9, 0.9, 1))  # one is missing
    assert not passed((0, 0, 9, 9, 0.9, 1), (0, 0, 9, 9, 0.9, 1), (20, 20, 30, 30, 0.8, 0))  # one is there twice
    assert not boxes.same("x", [_of()], [_of()]).passed  # nothing is proven by images without objects


def test_places_that_have_no_boxes_are_told_apart():
    lacking = [name for name, row in TARGETS.items() if "detection" not in row.tasks]
    assert lacking == ["litert-sample", "tflm"]


@pytest.mark.parametrize("place", ["tflm", "litert-sample"])
def test_a_place_without_boxes_says_so(place, tmp_path):
    with pytest.raises(InputError, match=f"--place {place} goes with task classification.*: the model's is detection"):
        make_bundle(boxed.source(count=1), place, tmp_path / "b")


_SCRIPT = "detect.py in a process of its own, from PNG files"


@pytest.mark.proof
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", "own"])
def test_a_server_finds_the_objects(tmp_path, fit, monkeypatch):
    source = boxed.source(count=4)
    source = dataclasses.replace(source, card=dataclasses.replace(source.card, fit=fit))
    result = make_bundle(source, "onnxruntime", tmp_path / "server")
    assert {check.name: check.passed for check in result.checks} == {_SCRIPT: True, f"{_SCRIPT}, of other sizes": True}
    about = json.loads((tmp_path / "server/model.json").read_text())
    assert about["form"] == "decoded" and about["outputs"]["scores"]["shape"] == [1, 126, 3]
    picture = np.concatenate([boxed.images(1)[0]] * 2, axis=1)
    Image.fromarray(picture).save(tmp_path / "x.png")
    command = [sys.executable, "-I", tmp_path / "server/detect.py", "-o", tmp_path, tmp_path / "x.png"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "green" in said
    with Image.open(tmp_path / "x.png.drawn.png") as drawn:
        assert drawn.size == (192, 64) and (np.asarray(drawn) != picture).any()
    if fit == "pad":
        wrong = onnxruntime._ANSWERS["detection"].replace(
            "boxes * np.float32([across, down] * 2)", "boxes * np.float32([96, 64] * 2)"
        )
        monkeypatch.setitem(onnxruntime._ANSWERS, "detection", wrong)
        assert [check.passed for check in make_bundle(source, "onnxruntime", tmp_path / "wrong").checks] == [
            True,
            False,
        ]


def _located(fit, count=3):
    """A net of one object that nobody trained, and images with an object each."""
    size, pixels = boxed.SIZE, boxed.images(3 * count)
    keras.utils.set_random_seed(0)
    spec = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 1), width=8)
    model = keras_resnet.localizer(spec, classes=3, input_shape=(*size, 3))
    rows = np.full((len(pixels), 1, 7), -1, "f")
    rows[:, 0] = [20, 10, 60, 50, 1, 0, 1600]
    frames = np.tile(np.float32(size), (len(pixels), 1))
    parts = [
        ArraySplit({"image": pixels[part::3], "boxes": rows[part::3], "frame": frames[part::3]}) for part in range(3)
    ]
    facts = {"names": boxed.NAMES, "size": list(size)}
    own = ModelCard(task="localization", facts=facts, labels=tuple(boxed.NAMES), preprocess=PREPROCESS["none"], fit=fit)
    data = Dataset("one object", tuple(boxed.NAMES), (*size, 3), *parts, truth="boxes")
    return Source(model, own, "tiny", "a net that nobody trained", data)


@pytest.mark.proof
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_server_finds_the_one_object(tmp_path, fit, monkeypatch):
    name = "locate.py in a process of its own, from PNG files"
    result = make_bundle(_located(fit), "onnxruntime", tmp_path / "server", **LENIENT)
    assert {check.name: check.passed for check in result.checks} == {name: True, f"{name}, of other sizes": True}
    Image.fromarray(boxed.images(1)[0]).save(tmp_path / "x.png")
    command = [sys.executable, "-I", tmp_path / "server/locate.py", "-o", tmp_path, tmp_path / "x.png"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split()[2] in boxed.NAMES and len(said.splitlines()) == 1
    assert (tmp_path / "x.png.drawn.png").exists()
    for right, wrong, verdicts in (
        ("half = box[:, 2:] / 2", "half = box[:, 2:]", [False, False]),
        ("float32([across, down] * 2)", "float32([96, 64] * 2)", [True, False]),
    ):
        assert right in onnxruntime._ANSWERS["localization"]
        fault = onnxruntime._ANSWERS["localization"].replace(right, wrong)
        with monkeypatch.context() as patch:
            patch.setitem(onnxruntime._ANSWERS, "localization", fault)
            made = make_bundle(_located(fit), "onnxruntime", tmp_path / "wrong", **LENIENT)
        assert [check.passed for check in made.checks] == verdicts
        shutil.rmtree(tmp_path / "wrong.failed")


def test_places_of_one_object():
    assert [name for name, row in TARGETS.items() if "localization" in row.tasks] == ["tflm", "onnxruntime"]
    known = localization.numbers(ModelCard(task="localization", facts={"names": ["a", "b"]}), 2)
    assert known.names == ("a", "b") and known.facts == {"colours": pictures.hues(2).tolist()}


def _need_mediapipe():
    if OUTSIDE["mediapipe"].find() is None:
        if os.environ.get("KERAS_RESNET_CHECK") == "mediapipe":
            pytest.fail(OUTSIDE["mediapipe"].missing)
        pytest.skip(OUTSIDE["mediapipe"].missing)
    return OUTSIDE["mediapipe"].find()


@pytest.mark.check
@pytest.mark.parametrize(
    ("precision", "io"), [("int8", "uint8"), ("int8", "float32"), ("float32", "float32"), ("float16", "float32")]
)
def test_mediapipe_itself_finds_the_objects(tmp_path, precision, io):
    python = _need_mediapipe()
    source = boxed.source(count=10)
    result = make_bundle(source, "mediapipe", tmp_path / "phone", precision=precision, io=io, **LENIENT)
    assert [check.passed for check in result.checks] == [None, True, True], result.checks  # fit=crop is not stretched
    assert "fit=crop: pictures of another aspect are distorted there" in result.checks[0].found
    Image.fromarray(boxed.images(1)[0]).save(tmp_path / "x.png")
    command = [python, tmp_path / "phone/detect.py", tmp_path / "x.png"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert {line.split()[2] for line in said.splitlines()} <= set(boxed.NAMES) and len(said.splitlines()) > 3
    assert (tmp_path / "x.png.drawn.png").exists()


@pytest.mark.check
def test_mediapipe_notices_swapped_labels_and_swapped_axes(tmp_path, monkeypatch):
    _need_mediapipe()
    source = boxed.source(count=4)
    source = dataclasses.replace(source, card=dataclasses.replace(source.card, fit="stretch"))
    swapped = metadata.labels_text
    monkeypatch.setattr(metadata, "labels_text", lambda labels: swapped(labels[::-1]))
    found = make_bundle(source, "mediapipe", tmp_path / "swapped", precision="float32").checks
    assert [check.passed for check in found] == [True, True, False]
    monkeypatch.undo()
    monkeypatch.setitem(metadata.DETECTED, "boxes", "score")
    monkeypatch.setitem(metadata.DETECTED, "scores", "location")
    found = make_bundle(source, "mediapipe", tmp_path / "turned", precision="float32").checks
    assert found[1].passed is False
