"""The engines of the targets themselves; `make check-NAME` fetches one and runs the tests with its name in theirs.

With real CIFAR-10 (`CIFAR10_DIR`, or ../shared) the figures are those of 500 test images of the shipped ResNet-8; else
of the digits. Under `make check-NAME` a missing engine is a failure, elsewhere a skip.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from export import artifact
from export.making.pipeline import export
from export.model.source import load_source
from export.targets import android, web
from export.targets.making import make_bundle
from export.targets.table import TARGETS
from keras_resnet.errors import InputError
from keras_resnet.runtime import outside
from keras_resnet.runtime.opening import open_runner

pytestmark = pytest.mark.check
_READY = {
    **{name: row.find for name, row in outside.OUTSIDE.items()},
    "android": lambda: android.jars(),
    "web": web.is_ready,
}


def _require(name):
    if _READY[name]():
        return
    reason = f"no engine for {name} here: make check-{name} fetches it"
    if os.environ.get("KERAS_RESNET_CHECK") == name:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def trained(request):
    """ResNet-8 on CIFAR-10 where its images are, else on digits."""
    try:
        folder = request.getfixturevalue("cifar_dir")
        return load_source("resnet8", weights="cifar10", dataset="cifar10", data_dir=folder)
    except pytest.skip.Exception:
        return load_source("resnet8", weights="digits")


def _made(trained, name, folder, **choices):
    result = make_bundle(trained, name, folder, limit=500, **choices)
    result.print()
    assert result.passed, [check for check in result.checks if check.passed is False]
    return result, {check.name: check for check in result.checks}


# ---- mediapipe


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_mediapipe_classifies_like_our_own_runner(trained, tmp_path, precision):
    _require("mediapipe")
    _, checks = _made(trained, "mediapipe", tmp_path / "b", precision=precision)
    assert checks["MediaPipe's ImageClassifier"].passed is True
    assert checks["labels as the task reports them"].passed is True


def test_mediapipe_refuses_what_our_contract_refuses(trained, tmp_path):
    """The contract is MediaPipe's own: int8 input, and no metadata with float input, are errors there."""
    _require("mediapipe")
    for name, made, said in (
        ("int8", artifact("tflite:int8", io="int8", labels_file="labels.txt"), "INT8"),
        ("bare", artifact("tflite:float32", input="raw"), "NormalizationOptions|metadata"),
    ):
        path = tmp_path / f"{name}.tflite"
        export(trained, [(made, path)], limit=20, samples=20)
        with pytest.raises(InputError, match=f"engine mediapipe refuses.*({said})"):
            open_runner(path, engine="mediapipe")(np.zeros((1, 32, 32, 3), np.float32))


# ---- tflm


@pytest.mark.parametrize(("precision", "flash", "ram"), [("int8", 98_496, 56 * 1024), ("int8x4", 56_000, 58 * 1024)])
def test_tflm_answers_within_the_golden_vectors_tolerance(trained, tmp_path, precision, flash, ram):
    _require("tflm")
    options = {"flash": flash, "ram": ram}
    gates = {"agreement": 0.8} if precision == "int8x4" else {}  # the net was not trained for it
    result, checks = _made(trained, "tflm", tmp_path / "b", precision=precision, options=options, gates=gates)
    for name in ("golden vectors on TFLite Micro", "TFLite Micro", "arena: activations", "fits the board"):
        assert checks[name].passed is True, checks[name]
    fit = json.loads((result.folder / "fit.json").read_text())
    assert fit["measured_arena"] <= ram
    assert fit["measured_arena"] == pytest.approx(fit["arena"], rel=0.01)


def test_tflm_answers_something_else_for_a_damaged_file(trained, tmp_path):
    """The control: with a kernel scrambled, the golden vectors do not hold."""
    _require("tflm")
    from ai_edge_litert.tools import flatbuffer_utils

    path = tmp_path / "m.tflite"
    export(trained, [(artifact("tflite:int8"), path)], limit=20, samples=20)
    runner = open_runner(path, engine="tflm")
    pixels = trained.evidence(20).pixels
    right = runner(runner.card.preprocess(pixels))["probabilities"]
    lite = flatbuffer_utils.read_model(str(path))
    largest = max((buffer for buffer in lite.buffers if buffer.data is not None), key=lambda buffer: len(buffer.data))
    largest.data = largest.data[::-1].copy()
    flatbuffer_utils.write_model(lite, str(path))
    wrong = open_runner(path, engine="tflm")(pixels.astype(np.float32))["probabilities"]
    assert np.abs(wrong - right).max() > 0.2


# ---- arm64


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_arm64_agrees_with_this_processor(trained, tmp_path, precision):
    _require("arm64")
    path = tmp_path / "m.tflite"
    export(trained, [(artifact(f"tflite:{precision}", input="raw"), path)], limit=100, samples=100)
    pixels = trained.evidence(100).pixels.astype(np.float32)
    own, other = open_runner(path)(pixels)["probabilities"], open_runner(path, engine="arm64")
    found = other(pixels)["probabilities"]
    assert str(other.facts["machine"]) == "aarch64"
    print(android.difference(own, found, 1 / 256 if precision == "int8" else None))
    assert (own.argmax(axis=1) == found.argmax(axis=1)).mean() >= 0.99
    assert np.abs(own - found).max() <= (8 / 256 if precision == "int8" else 1e-5)


# ---- android


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_android_reads_the_folder_on_a_jvm(trained, tmp_path, precision):
    _require("android")
    _, checks = _made(trained, "android", tmp_path / "b", precision=precision)
    assert checks["the app's Kotlin on a JVM, reading this folder"].passed is True


def test_android_finds_other_numbers_than_the_exporters(trained, tmp_path):
    """The control: another mean in model.json, or a label too few, and the app's own check fails."""
    _require("android")
    import subprocess

    result, _ = _made(trained, "android", tmp_path / "b", precision="int8")
    place = result.folder / TARGETS["android"].place
    classes = tmp_path / "classes"
    sources = [result.folder / "app/src/main/java", android.assets.folder("android") / "check"]
    assert android.compiled(sources, classes) == ""
    path = ":".join(map(str, [classes, *android.jars()]))

    def check():
        return subprocess.run(["java", "-cp", path, "CheckKt", str(place)], capture_output=True, text=True)

    assert check().returncode == 0
    text = (place / "model.json").read_text()
    model = json.loads(text)
    model["input"]["mean"] = [9.0, 9.0, 9.0]
    (place / "model.json").write_text(json.dumps(model))
    assert "FAILED pixels become the golden input" in check().stdout
    (place / "model.json").write_text(text)
    (place / "labels.txt").write_text("one\n")
    assert "1 labels for 10 classes" in check().stderr


def test_android_kotlin_that_does_not_compile_is_found(tmp_path):
    _require("android")
    (tmp_path / "A.kt").write_text('fun a(): Int = "text"\n')
    assert "A.kt" in android.compiled([tmp_path / "A.kt"], tmp_path / "classes")


# ---- web


@pytest.mark.parametrize(("name", "precision"), [("onnxruntime-web", "float32"), ("litert-web", "int8")])
def test_web_page_answers_like_our_own_runner(trained, tmp_path, name, precision):
    _require("web")
    _, checks = _made(trained, name, tmp_path / "b", precision=precision)
    assert checks["the page in headless Chromium, desktop and phone"].passed is True
    assert checks["the page's probabilities"].passed is True


def test_web_page_with_other_numbers_fails_its_self_test(trained, tmp_path):
    """The control: another mean, and the page says that it cannot be trusted."""
    _require("web")
    import subprocess

    result, _ = _made(trained, "onnxruntime-web", tmp_path / "b")
    file = result.folder / "model.json"
    file.write_text(re.sub(r'"mean": \[\s*[-0-9.]+', '"mean": [\n 77.0', file.read_text()))
    script = Path(web.assets.folder("web"), "test.js")
    environment = {**os.environ, "CHROMIUM": web.browser()}
    child = subprocess.run(["node", str(script), str(result.folder)], capture_output=True, text=True, env=environment)
    assert child.returncode == 1
    assert re.search(r"FAILED desktop: self-test: Self-test FAILED", child.stdout)
