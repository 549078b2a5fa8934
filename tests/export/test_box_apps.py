"""The page and the app that find objects: their own code beside Python, and faults in it that are noticed."""

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import boxed
import numpy as np
import pytest
from test_mask_places import _damage, _need_android, _need_web

from export import make_bundle
from export.proof import golden
from export.targets import android, assets, description
from export.targets.table import TARGETS
from keras_resnet.tasks.detection.predictions import answers, moved_back

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="no Node.js here")
LIMITS = {"threshold": 0.3, "floor": 0.05, "overlap": 0.6, "candidates": 400, "most": 30}


def _source(fit="crop", **facts):
    made = boxed.source(count=4)
    return dataclasses.replace(made, card=dataclasses.replace(made.card, fit=fit, facts={**made.card.facts, **facts}))


def _verdicts(result):
    return [check.passed for check in result.checks]


def _said(script, folder):
    code = json.dumps((assets.folder("web") / "detection.js").as_uri())
    imported = f"import {{answer, chosen, mapped}} from {code}; import {{readFileSync}} from 'node:fs';"
    command = ["node", "--input-type=module", "-e", f"{imported} {script}"]
    return json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)


def _many(decimals):
    """Boxes that overlap; with few decimals many scores are equal."""
    rng = np.random.default_rng(0)
    corner = rng.random((500, 2), "f") * 0.7
    boxes = np.concatenate([corner, corner + 0.05 + 0.25 * rng.random((500, 2), "f")], axis=1)
    return {"boxes": boxes[None], "scores": rng.random((1, 500, 3), "f").round(decimals)}


def _rows(scores, classes, boxes):
    listed = (np.asarray(each).tolist() for each in (scores, classes, boxes))
    return sorted((-score, kind, *box) for score, kind, box in zip(*listed, strict=True))


@needs_node
@pytest.mark.parametrize(("decimals", "candidates", "most"), [(2, 1000, 30), (9, 20, 30)])
def test_the_page_suppresses_as_python_does(tmp_path, decimals, candidates, most):
    outputs, limits = _many(decimals), {**LIMITS, "candidates": candidates, "most": most}
    for name, values in outputs.items():
        (tmp_path / name).write_bytes(values.astype("<f4").tobytes())
    model = {"form": "decoded", "colours": [[0, 0, 0]] * 3, **limits}
    found = _said(
        f"""const read = (name) => new Float32Array(Uint8Array.from(readFileSync(name)).buffer);
        const [boxes, scores] = [read('boxes'), read('scores')];
        console.log(JSON.stringify(answer({{boxes, scores}}, {json.dumps(model)})));""",
        tmp_path,
    )
    (ours,) = answers(outputs, boxed.card(form="decoded", size=[1, 1], **limits))
    assert len(ours) == min(candidates, most) or 5 < len(ours) < candidates
    assert (len(set(ours.scores.tolist())) < len(ours)) == (decimals == 2)  # equal scores, in their order
    theirs = _rows(*([each[key] for each in found] for key in ("score", "index", "box")))
    np.testing.assert_allclose(theirs, _rows(ours.scores, ours.classes, ours.boxes), atol=1e-6)


def test_the_best_candidates_alone_are_suppressed():
    outputs = _many(9)
    card = boxed.card(form="decoded", size=[1, 1], **{**LIMITS, "candidates": 20, "most": 100, "overlap": 1.0})
    (found,) = answers(outputs, card)
    best = np.sort(outputs["scores"].ravel())[::-1][:20]  # none overlaps another by more than all of it
    np.testing.assert_array_equal(found.scores, best)


@needs_node
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", "own"])
def test_the_page_brings_boxes_into_the_picture(fit, tmp_path):
    boxes = np.float32([[0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1], [0.5, 0.5, 0.5, 0.75]])
    model = {"height": 32, "width": 48, "crop": 1.0, "fit": fit}
    rows = [{"index": 0, "score": 0.3, "box": box} for box in boxes.tolist()]
    given = ", ".join(map(json.dumps, (rows, {"height": 341, "width": 530}, model)))
    found = _said(f"console.log(JSON.stringify(mapped({given})))", tmp_path)
    expected = moved_back(boxes * np.float32([48, 32] * 2), 341, 530, (32, 48), 1.0 if fit == "crop" else fit)
    np.testing.assert_allclose([each["box"] for each in found], expected, atol=1e-3)
    shown = f"console.log(chosen([{{score: {float(np.float32(0.7))}}}, {{score: 0.69}}], 0.7).length)"
    assert _said(shown, tmp_path) == 1  # float32 has 0.7 a little below 0.7


@needs_node
def test_the_page_takes_boxes_that_are_decoded(tmp_path):
    for form, said in (
        ("nms", "files of the form decoded, and model.json has nms"),
        ("decoded", "2 boxes, and 3 scores"),
    ):
        model = {"form": form, "colours": [[0, 0, 0]], **LIMITS}
        script = f"try {{ answer({{boxes: new Float32Array(8), scores: new Float32Array(3)}}, {json.dumps(model)}); }}"
        assert said in _said(f"{script} catch (error) {{ console.log(JSON.stringify(error.message)); }}", tmp_path)


@pytest.mark.proof
def test_the_app_asks_for_what_the_exporter_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(android, "jars", list)
    monkeypatch.setattr(description, "_MOST_BYTES", 2 * 4 * 126 * (4 + 3))  # of two examples
    result = make_bundle(_source(), "android", tmp_path / "b")
    place = result.folder / TARGETS["android"].place
    model, vectors = (json.loads((place / name).read_text()) for name in ("model.json", "golden.json"))
    kotlin = next(result.folder.rglob("Model.kt")).read_text()
    asked = set(re.findall(r'(?:getValue|text|floats|bytes|number)\("(\w+)"\)', kotlin))
    assert {"threshold", "overlap", "candidates", "most", "form", "fit"} <= asked
    assert asked <= {*model, *model["input"], *model["output"], *vectors, "model.json"}
    assert list(model["outputs"]) == ["boxes", "scores"] and {"boxes", "scores"} <= set(vectors)
    assert vectors["count"] == 2  # of eight
    _, about = golden.read(golden.beside(result.folder / model["file"]))
    assert vectors["tolerances"] == about["tolerances"] and set(about["tolerances"]) == set(model["outputs"])


@pytest.mark.check
@pytest.mark.parametrize(
    ("place", "precision", "fit"), [("onnxruntime-web", "float32", "pad"), ("litert-web", "int8", "own")]
)
def test_web_page_finds_the_objects(tmp_path, place, precision, fit):
    _need_web()
    hostile = _source(fit, names=["<b>", '"><img src=x>', "c"])
    gates = {"gates": {"drop": 100.0, "agreement": 0.0}}
    result = make_bundle(hostile, place, tmp_path / "page", precision=precision, **gates)
    assert _verdicts(result) == [True] * 3, result.checks
    assert "26 things tried" in result.checks[0].found or "24 things tried" in result.checks[0].found


@pytest.mark.check
@pytest.mark.parametrize(
    ("file", "right", "wrong", "verdicts"),
    [
        ("engines.js", "await read(name)", "await read(name === 'boxes' ? 'scores' : 'boxes')", [False]),
        ("detection.js", "(score > floor)", "(score > 0.6)", [True, False, False]),  # another threshold
        ("detection.js", "(n % 2 ?", "(n < 2 ?", [False]),  # sides in another order
        ("detection.js", "box) > limit)", "box) > 0.999)", [True, False, True]),  # unlikely ones stay
        ("detection.js", "strokeRect(left + line / 2", "strokeRect(left + 9 * line", [False]),  # beside its place
        ("camera.js", "while (this.#stream === stream)", "if (this.#stream === stream)", [False]),  # one frame
    ],
)
def test_web_page_with_a_fault_is_found(tmp_path, monkeypatch, file, right, wrong, verdicts):
    _need_web()
    _damage(monkeypatch, file, right, wrong)
    result = make_bundle(_source("pad"), "onnxruntime-web", tmp_path / "page")
    assert _verdicts(result) == verdicts, result.checks


@pytest.mark.check
@pytest.mark.parametrize(
    ("precision", "fit"), [("int8", "crop"), ("float32", "pad"), ("float32", "own"), ("float32", "stretch")]
)
def test_android_finds_the_objects_on_a_jvm(tmp_path, precision, fit):
    _need_android()
    gates = {"gates": {"drop": 100.0, "agreement": 0.0}}
    result = make_bundle(_source(fit), "android", tmp_path / "app", precision=precision, **gates)
    assert result.checks[0].passed is True and "10 things tried" in result.checks[0].found, result.checks


@pytest.mark.check
@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        ("Detector.kt", "limits.threshold - EQUAL", "0.6f", "objects:"),
        ("Detector.kt", "boxes[start], boxes[start + 1]", "boxes[start + 1], boxes[start]", "objects:"),
        ("Detector.kt", "> limits.overlap", "> 0.999f", "objects:"),
        ("Detector.kt", "(part.left + part.width * side)", "(width * side)", "objects in the photo's own pixels"),
        ("Detector.kt", "columns.last - x < line", "false", "boxes over the photo"),
        ("Net.kt", "engine.getFloat(n)", "engine.getFloat(1 - n)", "outputs become the golden"),
        ("Frames.kt", "argb[x * width + width - 1 - y]", "argb[(height - 1 - x) * width + y]", "frames stand upright"),
        ("Frames.kt", "y * rowStride", "y * width * BYTES", "channels of a frame"),
    ],
)
def test_android_with_a_fault_is_found(tmp_path, monkeypatch, file, right, wrong, said):
    _need_android()
    _damage(monkeypatch, file, right, wrong)
    (check, *_) = make_bundle(_source("own"), "android", tmp_path / "app").checks
    assert check.passed is False and said in check.found, check.found
    assert not Path(tmp_path / "app").exists()
