"""The commands as a person types them: exit status, messages, files left behind."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiers import in_proof

from export import program
from export.formats.artifacts import artifact
from export.formats.precisions import PRECISIONS
from export.formats.table import format_of
from export.making import pipeline
from export.model.source import float32_twin, load_source
from keras_resnet import InputError, ModelCard, build, card, open_runner, save_model
from keras_resnet import cli as main_cli

SHIPPED = ["--model", "resnet8", "--weights", "digits"]


def _error(capfd):
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.slow
def test_int8_in_a_folder_without_runs_uses_the_shipped_model_and_says_so(tmp_path):
    command = [sys.executable, "-m", "export.tflite", "--int8", "--json", "rows.json"]
    child = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (child.returncode, child.stderr) == (0, "")
    assert "ships with the package" in child.stdout
    assert "next: keras-resnet predict" in child.stdout
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert (tmp_path / row["file"]).exists()
    again = subprocess.run([*command, "-o", row["file"]], capture_output=True, text=True, cwd=tmp_path)
    assert again.returncode == 2
    assert "exists: choose another name or pass --overwrite" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.slow
def test_the_newest_run_is_taken_and_said(short_run, tmp_path, capfd):
    shutil.copytree(short_run, tmp_path / "runs" / "mine")
    status = program.alone("export onnx", ["--float32"])
    assert "runs/mine/model.keras (the newest run)" in capfd.readouterr().out
    assert status == 0
    assert (tmp_path / "exports" / "mine-float32.onnx").exists()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_verify_accepts_what_export_wrote(rows, form, capfd):
    assert program.alone("verify", [rows[form, "int8"]["file"], *SHIPPED, "--json", "v.json"]) == 0
    (row,) = json.loads(Path("v.json").read_text())
    assert row["agreement"] == rows[form, "int8"]["agreement"]
    assert "passed" in capfd.readouterr().out


@pytest.mark.slow
def test_golden_vectors_of_another_moment_fail_verification(rows, source, tmp_path):
    """The control is the file as it was exported."""
    path = shutil.copy(rows["tflite", "int8"]["file"], tmp_path)
    vectors = Path(shutil.copy(f"{rows['tflite', 'int8']['file']}.golden.npz", tmp_path))
    row = pipeline.verify(path, source, limit=60).rows[0]
    assert row.passed
    assert "golden vectors" in [gate.name for gate in row.gates]
    with np.load(vectors) as archive:
        arrays = dict(archive)
    arrays["probabilities"] = arrays["probabilities"][::-1]
    np.savez(vectors, **arrays)
    assert pipeline.verify(path, source, limit=60).rows[0].verdict == "FAILED: golden vectors"
    vectors.write_bytes(vectors.read_bytes()[:500])
    with pytest.raises(InputError, match="holds no golden vectors"):
        pipeline.verify(path, source, limit=60)


@pytest.mark.slow
def test_a_file_of_another_precision_than_asked_for_fails(source, tmp_path, monkeypatch):
    from export.making import worker

    original = worker.convert_in_child

    def other(network, made, samples, path, meanwhile):
        original(network, artifact("tflite:float32"), samples, path, meanwhile)

    monkeypatch.setattr(worker, "convert_in_child", other)
    report = pipeline.export(source, [(artifact("tflite:float16"), tmp_path / "m.tflite")], limit=60)
    assert "precision" in report.rows[0].verdict


def _weight_buffers(model):
    """Indices of the buffers that hold weights: constants of the graph with 16 numbers or more."""
    graph = model.subgraphs[0]
    return [
        t.buffer
        for t in graph.tensors
        if model.buffers[t.buffer].data is not None and t.shape is not None and np.prod(t.shape) >= 16
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "every"),
    [
        ("int8", 9),
        in_proof("int8", 1),
        in_proof("float32", 1),
    ],
)
def test_any_scrambled_weight_buffer_fails_verification(rows, source, tmp_path, precision, every, monkeypatch):
    """Written again by a tool, which drops the card, or changed in place, which leaves the old checksum."""
    from ai_edge_litert.tools import flatbuffer_utils

    from export.proof import timing

    monkeypatch.setattr(timing, "_SECONDS", 0.0)

    original = bytearray(Path(rows["tflite", precision]["file"]).read_bytes())
    buffers = _weight_buffers(flatbuffer_utils.convert_bytearray_to_object(original))
    assert len(buffers) >= 18
    rng = np.random.default_rng(0)
    for buffer in buffers[::every]:
        model = flatbuffer_utils.convert_bytearray_to_object(original)
        data = np.asarray(model.buffers[buffer].data, np.uint8)
        model.buffers[buffer].data = rng.permutation(data) if precision == "int8" else data[::-1].copy()
        (tmp_path / "bad.tflite").write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
        report = pipeline.verify(tmp_path / "bad.tflite", source, limit=60)
        assert "card" in report.rows[0].verdict, buffer
        card.append(tmp_path / "bad.tflite", card.read(Path(rows["tflite", precision]["file"])))
        report = pipeline.verify(tmp_path / "bad.tflite", source, limit=60)
        assert "checksum" in report.rows[0].verdict, buffer


@pytest.mark.slow
def test_verify_of_a_corrupted_copy_ends_with_one(rows, tmp_path, capfd):
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(rows["tflite", "int8"]["file"])
    largest = max((b for b in model.buffers if b.data is not None), key=lambda b: len(b.data))
    largest.data = np.random.default_rng(0).permutation(largest.data)
    flatbuffer_utils.write_model(model, tmp_path / "bad.tflite")
    assert program.alone("verify", [str(tmp_path / "bad.tflite"), *SHIPPED]) == 1
    captured = capfd.readouterr()
    assert "FAILED" in captured.out
    assert "failed verification" in captured.err


@pytest.mark.slow
def test_a_file_that_fails_keeps_a_name_that_says_so(source, tmp_path, monkeypatch):
    import dataclasses

    row = PRECISIONS["float16"]
    strict = dataclasses.replace(row, tolerance=dataclasses.replace(row.tolerance, max_abs=0.0))
    monkeypatch.setitem(PRECISIONS, "float16", strict)
    target = tmp_path / "m.tflite"
    target.write_text("what was there before")
    report = pipeline.export(source, [(artifact("tflite:float16"), target)], overwrite=True)
    assert not report.passed
    assert report.rows[0].verdict == "FAILED: max_abs"
    assert report.rows[0].file == str(tmp_path / "m.failed.tflite")
    assert (tmp_path / "m.failed.tflite").exists()
    assert target.read_text() == "what was there before"


@pytest.mark.proof
def test_mixed_precision_models_are_exported_in_float32(tmp_path, capfd):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build("resnet8", input_shape=(16, 16, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    save_model(model, tmp_path / "mixed.keras", ModelCard())
    arguments = ["--model", str(tmp_path / "mixed.keras"), "--json", "r.json"]
    assert program.alone("export tflite", arguments) == 0
    assert "noise (accuracy unknown: no data)" in capfd.readouterr().out
    (row,) = json.loads(Path("r.json").read_text())
    assert row["precision"] == "float32"
    assert row["top1"] is None


def test_float32_twin_computes_the_same():
    model = build("resnet8")
    assert float32_twin(model) is model
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = build("resnet8")
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(model.get_weights())
    images = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype("f")
    twin = float32_twin(mixed)
    assert {layer.compute_dtype for layer in twin.layers} == {"float32"}
    np.testing.assert_allclose(twin(images), model(images), atol=1e-6)


@pytest.mark.slow
def test_evaluate_and_predict_take_every_format_alike(rows, digits, tmp_path, capfd):
    import tensorflow as tf

    (tmp_path / "digit.png").write_bytes(tf.io.encode_png(digits.test.images[0]).numpy())
    for row in (rows["tflite", "int8"], rows["onnx", "float32"]):
        assert main_cli.main(["evaluate", "--model", row["file"], "--data", "digits", "--json", "e.json"]) == 0
        scores = json.loads(Path("e.json").read_text())
        assert scores["top1"] == pytest.approx(row["top1"])
        assert scores["count"] == 360
        assert {"top1", "top5", "loss", "top1_interval", "ece", "confusion"} <= set(scores)
        assert main_cli.main(["predict", "--model", row["file"], "digit.png", "--json", "p.json"]) == 0
        (answer,) = json.loads(Path("p.json").read_text())
        assert answer["top"][0]["label"] == str(digits.test.labels[0])


@pytest.mark.slow
def test_occlusion_explains_files_for_phones_alike(rows, digits, digits_runner, tmp_path, capfd):
    from PIL import Image

    from keras_resnet.explain import explain

    images = digits.test.images[:2]
    reference = explain(digits_runner, images, method="occlusion").heat
    for key in (("tflite", "int8"), ("onnx", "float32")):
        found = explain(open_runner(rows[key]["file"]), images, method="occlusion").heat
        assert np.corrcoef(found.ravel(), reference.ravel())[0, 1] > 0.95
    Image.fromarray(images[0]).save(tmp_path / "digit.png")
    arguments = ["explain", "--model", rows["tflite", "int8"]["file"], "digit.png"]
    assert main_cli.main([*arguments, "--method", "occlusion", "-o", "why.html"]) == 0
    capfd.readouterr()
    assert main_cli.main([*arguments, "-o", "gradient.png"]) == 2
    assert "use occlusion" in capfd.readouterr().err


@pytest.fixture
def model_without_data(mini_spec, tmp_path):
    save_model(build(mini_spec), tmp_path / "m.keras", ModelCard())
    return tmp_path / "m.keras"


def test_int8_without_data_to_calibrate_on(model_without_data, capfd):
    assert program.alone("export tflite", ["--int8", "--model", str(model_without_data)]) == 2
    assert "needs images to calibrate with" in _error(capfd)
    assert not Path("exports").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"no model", "cannot be run"), (None, "does not exist")],
)
@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_files_that_are_none(tmp_path, capfd, suffix, content, said):
    path = tmp_path / f"m{suffix}"
    if content is not None:
        path.write_bytes(content)
    for command in (
        lambda: program.alone("verify", [str(path), *SHIPPED]),
        lambda: main_cli.main(["evaluate", "--model", str(path), "--data", "digits"]),
        lambda: main_cli.main(["predict", "--model", str(path), "x.png"]),
    ):
        assert command() == 2
        assert said in _error(capfd)


@pytest.mark.slow
@pytest.mark.parametrize("key", [("tflite", "int8"), ("onnx", "float32")])
def test_truncated_files(rows, tmp_path, capfd, key):
    content = Path(rows[key]["file"]).read_bytes()
    path = tmp_path / f"m{Path(rows[key]['file']).suffix}"
    for keep in (0.2, 0.6):
        path.write_bytes(content[: int(keep * len(content))])
        assert program.alone("verify", [str(path), *SHIPPED]) == 2
        assert str(path) in _error(capfd)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "resnet_8"], "did you mean resnet8"),
        (["--model", "none.keras"], "does not exist"),
        (["--weights", "digits"], "goes with --model NAME"),
        ([*SHIPPED, "--data", "digit"], "did you mean digits"),
        ([*SHIPPED, "-o", "m.onnx"], "expected a name that ends in .tflite"),
        ([*SHIPPED, "-o", "."], "is a folder"),
        (["--model", "resnet8", "--weights", "none", "--int8"], "needs images to calibrate"),
    ],
)
def test_wrong_usage(arguments, said, capfd):
    assert program.alone("export tflite", arguments) == 2
    assert said in _error(capfd)
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tflit:int8"], "did you mean tflite"),
        (["onnx:int16x8"], "unknown precision of onnx 'int16x8'"),
        (["onnx:int8", "--io", "int8"], "onnx:int8: io 'int8' is not offered; expected float32"),
        (["tflite:int8", "--layout", "nchw"], "layout 'nchw' is not offered; expected nhwc"),
        (["tflite:int8@litert", "--io", "uint8"], "the litert quantizer has no uint8"),
        (["tflite:int8@tf"], "quantizer 'tf' is not offered; expected tensorflow, litert"),
        (["tflite:float32", "--features", "3"], "--features 3: the net has maps at strides 1, 2, 4"),
        (["tflite:float32", "--gate", "drp=1"], "did you mean drop"),
        (["tflite:int8", "--calibration", "nowhere"], "holds no images to calibrate with"),
    ],
)
def test_wrong_artifacts(arguments, said, capfd):
    assert program.alone("export", [*SHIPPED, "--artifact", *arguments]) == 2
    assert said in _error(capfd)
    assert not list(Path().rglob("*.tflite"))


def test_files_of_no_format():
    with pytest.raises(InputError, match=r"ends in .tflite or .onnx"):
        format_of(Path("m.pb"))


def test_contradictory_precisions_are_refused(capfd):
    with pytest.raises(SystemExit) as stop:
        program.alone("export tflite", ["--int8", "--float16"])
    assert stop.value.code == 2
    assert "not allowed with" in capfd.readouterr().err


def test_a_report_that_exists_is_not_overwritten(capfd):
    Path("out").mkdir()
    Path("out/report.html").write_text("mine")
    assert program.alone("export", [*SHIPPED, "--all", "-o", "out"]) == 2
    assert "report.html exists" in _error(capfd)
    assert Path("out/report.html").read_text() == "mine"


@pytest.mark.slow
def test_a_model_that_cannot_be_converted_is_said_and_leaves_nothing(tmp_path, capfd):
    image = keras.Input((8, 8, 3))
    x = keras.ops.erfinv(image * 1e-4)  # TFLite has no such operator
    x = keras.layers.GlobalAveragePooling2D()(x)
    keras.Model(image, keras.layers.Dense(3, "softmax")(x)).save(tmp_path / "m.keras")
    assert program.alone("export tflite", ["--model", "m.keras", "--preprocess", "0..1", "-o", "m.tflite"]) == 2
    assert "the conversion to tflite:float32 failed" in _error(capfd)
    assert os.listdir() == ["m.keras"]


def test_a_dataset_of_another_shape(mini_spec, tmp_path):
    save_model(build(mini_spec, input_shape=(16, 16, 3)), tmp_path / "m.keras", ModelCard())
    with pytest.raises(InputError, match="takes images of"):
        load_source(tmp_path / "m.keras", dataset="digits")


def test_evidence_is_spread_over_the_test_split(source, digits):
    few = source.evidence(limit=4)
    assert few.origin == "4 of 360 test images of digits"
    np.testing.assert_array_equal(few.truth["label"], digits.test.labels[[0, 119, 239, 359]])
    np.testing.assert_array_equal(few.pixels, digits.test.images[[0, 119, 239, 359]])
    assert source.evidence().origin == "360 test images of digits"


@pytest.mark.parametrize("found", [True, False])
def test_exports_without_a_model_start_from_a_small_shipped_net_that_has_data(monkeypatch, found):
    from export.model import source

    monkeypatch.setattr("keras_resnet.data.cifar.find", lambda *_: Path("somewhere") if found else None)
    expected = ("resnet20_cifar", "cifar10") if found else ("resnet8", "digits")
    assert source.shipped("somewhere") == expected
