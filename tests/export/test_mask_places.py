"""Places that draw masks: each runs the file there and compares pixels, and notices what is wrong."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from PIL import Image
from test_forms import CARD, NAMES, trained  # noqa: F401  # a fixture
from test_metadata import Reader

from export import artifact, load_source, make_bundle, program
from export.making import metadata
from export.model.outputs import require_choices
from export.targets import android, assets, mediapipe, onnxruntime, web
from keras_resnet import InputError
from keras_resnet.runtime.outside import OUTSIDE
from keras_resnet.signals.conventions import PREPROCESS

LABELLED = CARD.__class__(task="segmentation", facts=CARD.facts, labels=tuple(NAMES), preprocess=PREPROCESS["none"])


def test_metadata_make_a_segmenter_of_it():
    content = metadata._content(flatbuffers.Builder(64), LABELLED, PREPROCESS["none"], "labels.txt")
    (subgraph,) = Reader.root(content).children(3)
    (custom,) = subgraph.children(9)
    assert custom.text(0) == "SEGMENTER_METADATA"
    start, count = custom._vector(1)
    options = bytes(custom.table.Bytes[start : start + count])
    assert start % 16 == 0 and options[4:8] == b"V001"  # the schema's alignment, and its identifier
    assert Reader.root(options).byte(0) == 0 and Reader.root(options)._field(0)  # no activation, and said so
    (output,) = subgraph.children(3)
    (labels,) = output.children(6)
    assert labels.text(0) == "labels.txt" and labels.byte(2) == 2  # TENSOR_AXIS_LABELS
    other = metadata._content(flatbuffers.Builder(64), CARD.__class__(labels=("a",)), PREPROCESS["none"], "l")
    assert not Reader.root(other).children(3)[0]._field(9)


def test_metadata_go_with_probabilities():
    for form in ("", "logits", "classes"):
        with pytest.raises(InputError, match="give --form probabilities"):
            require_choices(LABELLED, artifact("tflite:float32", labels_file="labels.txt", form=form))
    require_choices(LABELLED, artifact("tflite:float32", labels_file="labels.txt", form="probabilities"))


@pytest.fixture
def source(trained):  # noqa: F811
    root, _ = trained
    return load_source(root / "run")


def _checks(result):
    return {check.name: check.passed for check in result.checks}


@pytest.mark.proof
def test_a_server_draws_the_masks(source, tmp_path, monkeypatch):
    result = make_bundle(source, "onnxruntime", tmp_path / "server")
    assert result.passed and list(_checks(result)) == ["segment.py in a process of its own, from PNG files"]
    about = json.loads((tmp_path / "server/model.json").read_text())
    assert about["form"] == "classes" and len(about["colours"]) == 3
    assert "| classes | 3 (left, middle, right) |" in (tmp_path / "server/README.md").read_text()
    pixels, truth = source.evidence().fetch(0, 1)
    Image.fromarray(pixels[0]).resize((64, 64), Image.Resampling.NEAREST).save(tmp_path / "x.png")
    command = [sys.executable, "-I", tmp_path / "server/segment.py", tmp_path / "x.png"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "middle" in said
    with Image.open(tmp_path / "x.png.mask.png") as mask, Image.open(tmp_path / "x.png.drawn.png") as drawn:
        found, known = np.asarray(mask), truth["mask"][0] != 255
        assert mask.mode == "P" and drawn.size == (32, 32)
    assert (found == truth["mask"][0])[known].mean() > 0.8

    wrong = onnxruntime._ANSWERS["segmentation"].replace("return outputs(images)", "return outputs(images)[:, ::-1]")
    monkeypatch.setitem(onnxruntime._ANSWERS, "segmentation", wrong)
    assert _checks(make_bundle(source, "onnxruntime", tmp_path / "wrong")) == {
        "segment.py in a process of its own, from PNG files": False
    }


@pytest.mark.proof
def test_places_that_cannot_draw_masks_say_so(trained, capfd):  # noqa: F811
    root, _ = trained
    for place in ("litert-sample",):
        command = ["--place", place, "--model", str(root / "run"), "--data", str(root / "scenes"), "-o", "x"]
        assert program.alone("export bundle", command) == 2
        assert f"--place {place} goes with task classification: the model's is seg" in capfd.readouterr().err
    assert not Path("x").exists()


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
def test_mediapipe_itself_draws_the_masks(source, tmp_path, precision, io):
    python = _need_mediapipe()
    result = make_bundle(source, "mediapipe", tmp_path / "phone", precision=precision, io=io)
    assert list(_checks(result).values()) == [True] * 3, result.checks
    pixels, truth = source.evidence().fetch(0, 1)
    Image.fromarray(pixels[0]).save(tmp_path / "x.png")
    command = [python, tmp_path / "phone/segment.py", tmp_path / "x.png"]
    subprocess.run(command, capture_output=True, text=True, check=True)
    with Image.open(tmp_path / "x.png.mask.png") as mask:
        found, known = np.asarray(mask), truth["mask"][0] != 255
    assert (found == truth["mask"][0])[known].mean() > 0.7


@pytest.mark.check
def test_mediapipe_notices_a_second_softmax_and_swapped_labels(source, tmp_path, monkeypatch):
    """The largest of twice softened probabilities is the same one: their values say it."""
    _need_mediapipe()
    monkeypatch.setattr(metadata, "_NO_ACTIVATION", 2)  # SOFTMAX
    found = _checks(make_bundle(source, "mediapipe", tmp_path / "twice", precision="float32"))
    assert found == {mediapipe._MASKS: True, f"{mediapipe._MASKS}: confidence masks": False,
                     "labels as the task reports them": True}  # fmt: skip
    monkeypatch.undo()
    swapped = metadata.labels_text
    monkeypatch.setattr(metadata, "labels_text", lambda labels: swapped(labels[::-1]))
    found = _checks(make_bundle(source, "mediapipe", tmp_path / "swapped", precision="float32"))
    assert list(found.values()) == [True, True, False]


@pytest.mark.check
def test_mediapipe_refuses_int8_input_for_masks(source, tmp_path):
    _need_mediapipe()
    from export import export
    from keras_resnet import open_runner

    path = tmp_path / "int8.tflite"
    export(source, [(artifact("tflite:int8", io="int8", form="probabilities", labels_file="labels.txt"), path)])
    with pytest.raises(InputError, match="engine mediapipe refuses.*INT8"):
        open_runner(path, engine="mediapipe")(np.zeros((1, 32, 32, 3), np.float32))


def _need_web():
    if not web.is_ready():
        if os.environ.get("KERAS_RESNET_CHECK") == "web":
            pytest.fail(web._MISSING)
        pytest.skip(web._MISSING)


def _damage(monkeypatch, file, right, wrong):
    """Bundles get a file with a fault."""
    copy = assets.copy

    def damaged(name, target, files):
        copy(name, target, files)
        (path,) = target.rglob(file)
        assert right in path.read_text()
        path.write_text(path.read_text().replace(right, wrong))

    monkeypatch.setattr(assets, "copy", damaged)


_PAGES = [("onnxruntime-web", "float32"), ("litert-web", "int8")]
_WORKS = "the page in headless Chromium, desktop and phone"


@pytest.mark.check
@pytest.mark.parametrize(("place", "precision"), _PAGES)
def test_web_page_draws_the_masks(source, tmp_path, place, precision):
    _need_web()
    hostile = dataclasses.replace(source.card, facts={**source.card.facts, "names": ["<b>", '"><img src=x>', "c"]})
    result = make_bundle(dataclasses.replace(source, card=hostile), place, tmp_path / "page", precision=precision)
    assert list(_checks(result).values()) == [True] * 3, result.checks
    assert "99.5%" in result.checks[1].wanted and " 24 images" in result.checks[1].found


@pytest.mark.check
@pytest.mark.parametrize(
    ("file", "right", "wrong", "verdicts"),
    [
        ("pixels.js", "=== 'bgr' ? [2, 1, 0]", "!== 'bgr' ? [2, 1, 0]", [False]),  # the page notices it itself
        ("pixels.js", "Math.max(1, scale)", "1", [True, True, False]),  # resized without smoothing
        ("segmentation.js", "n + 0.5 - first", "n - 1 - first", [True, True, False]),  # brought back beside its place
    ],
)
def test_web_page_with_a_fault_is_found(source, tmp_path, monkeypatch, file, right, wrong, verdicts):
    _need_web()
    _damage(monkeypatch, file, right, wrong)
    result = make_bundle(source, "litert-web", tmp_path / "page")
    assert list(_checks(result).values()) == verdicts, result.checks


def _need_android():
    if not android.jars():
        if os.environ.get("KERAS_RESNET_CHECK") == "android":
            pytest.fail("make check-android fetches Kotlin")
        pytest.skip("no Kotlin here: make check-android fetches it")


@pytest.mark.check
@pytest.mark.parametrize(
    ("precision", "fit"), [("int8", "crop"), ("float32", "pad"), ("float32", "own"), ("float32", "stretch")]
)
def test_android_draws_the_masks_on_a_jvm(source, tmp_path, precision, fit):
    _need_android()
    other = dataclasses.replace(source, card=dataclasses.replace(source.card, fit=fit))
    result = make_bundle(other, "android", tmp_path / "app", precision=precision)
    assert result.checks[0].passed is True and "11 things tried" in result.checks[0].found, result.checks


@pytest.mark.check
@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        ("Pixels.kt", "if (input.isBgr)", "if (!input.isBgr)", "pixels become the golden input"),
        ("Pixels.kt", "max(1.0, scale)", "1.0", "a photo is resized as in Python"),
        ("Segmenter.kt", "n + 0.5 - first", "n + 0.0 - first", "the mask in the photo's own pixels"),
        (
            "Segmenter.kt",
            "] > probabilities[n * count + best]",
            "] < probabilities[n * count + best]",
            "classes of pixels",
        ),
        ("Segmenter.kt", "(1 - strength) * under", "strength * under", "the mask over the photo"),
    ],
)
def test_android_with_a_fault_is_found(source, tmp_path, monkeypatch, file, right, wrong, said):
    _need_android()
    _damage(monkeypatch, file, right, wrong)
    (check, *_) = make_bundle(source, "android", tmp_path / "app").checks
    assert check.passed is False and said in check.found, check.found
