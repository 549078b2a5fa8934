"""A task and a signal of nothing but a test module become files that are proven; `tests/newcomers.py` has both."""

import dataclasses
import json
from pathlib import Path

import newcomers
import numpy as np
import pytest
from tiers import in_proof

from export import artifact, export, load_source, program
from export.making import pipeline
from keras_resnet import InputError, cli, open_runner


@pytest.fixture(autouse=True)
def registered(monkeypatch, mini_spec):
    newcomers.register(monkeypatch, mini_spec)


def _trained(made_once, name):
    def make(folder):
        assert cli.main(["train", "--recipe", name, "--output", str(folder)]) == 0

    return ["--model", str(made_once(f"newcomer-{name}", make) / "model.keras")]


@pytest.fixture
def bright(made_once, registered):
    """Options that name the trained net of the task."""
    return [*_trained(made_once, "bright"), "--data", "bright-digits"]


@pytest.fixture
def rows(made_once, registered):
    """Options that name the trained net of the signal."""
    return [*_trained(made_once, "rows"), "--data", "digit-rows"]


ARTIFACTS = [
    "tflite:int8",
    "onnx:float32",
    *(in_proof(name) for name in ("tflite:float32", "tflite:int8@litert", "onnx:int8", "keras:float32")),
    in_proof("saved_model:float32"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ARTIFACTS)
def test_a_task_becomes_files_with_gates_of_its_own(bright, name, capsys):
    assert program.alone("export", [*bright, "--artifact", name, "-o", "out", "--limit", "100"]) == 0
    assert "1 - mean |error|" in capsys.readouterr().out
    (row,) = json.loads(Path("out/report.json").read_text())
    assert row["task"] == "glow"
    assert row["closeness"] == pytest.approx(row["closeness_reference"], abs=0.02)
    assert row["drop"] == pytest.approx(100 * (row["closeness_reference"] - row["closeness"]), abs=1e-6)
    assert list(row["sqnr"]) == list(row["outputs"]) == ["glow"]
    assert "1 - mean |error|" in Path("out/report.html").read_text()
    runner = open_runner(row["file"], trusted=True)
    assert (runner.card.task, runner.output.name, runner.input.name) == ("glow", "glow", "image")
    assert runner(np.zeros((2, 32, 32, 3), "f"))["glow"].shape == (2, 1)
    assert cli.main(["evaluate", "--trust", "--model", row["file"], *bright[2:], "--json", "e.json"]) == 0
    assert json.loads(Path("e.json").read_text())["closeness"] == pytest.approx(row["closeness"], abs=0.01)
    if Path(row["file"]).is_file():
        with np.load(f"{row['file']}.golden.npz") as vectors:
            assert vectors["truth_value"].shape == (8,)
        assert program.alone("verify", [row["file"], *bright, "--limit", "50"]) == 0


@pytest.mark.slow
def test_its_gates_fail_what_is_wrong(bright, capfd):
    assert program.alone("export onnx", [*bright, "-o", "m.onnx", "--limit", "50", "--gate", "agreement=1.1"]) == 1
    assert "agreement" in capfd.readouterr().err
    newcomers.LIMITS.pop("int8")
    try:
        assert program.alone("export tflite", ["--int8", *bright, "-o", "m.tflite"]) == 2
        assert "task glow has no limits for int8" in capfd.readouterr().err
    finally:
        newcomers.LIMITS["int8"] = newcomers.LIMITS["float32"]
    assert program.alone("export onnx", ["--dynamic", *bright, "-o", "m.onnx"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (lambda o: program.alone("export onnx", [*o, "--with-cam"]), "--with-cam goes with task classification"),
        (lambda o: program.alone("export onnx", [*o, "--features", "4"]), "--features goes with task classification"),
        (lambda o: program.alone("export tflite", [*o, "--metadata"]), "--metadata goes with task classification"),
        (lambda o: program.alone("export", [*o, "--place", "tflm"]), "--place tflm goes with task classification"),
        (
            lambda o: program.alone("export", [*o, *o[:2], "--artifact", "onnx:float32"]),
            "task glow does not support ensemble",
        ),
        (lambda o: program.alone("compress", [*o, "--method", "qat"]), "task glow does not support compress"),
    ],
)
def test_what_only_classifiers_have_is_refused_in_one_line(bright, command, said, capfd):
    assert command(bright) == 2
    out, err = capfd.readouterr()
    assert said in err.splitlines()[-1]
    assert "converting" not in out + err


LOOSE = ["--gate", "drop=3", "--gate", "agreement=0.9"]  # of a net that was hardly trained


@pytest.mark.slow
@pytest.mark.parametrize("name", [ARTIFACTS[0], in_proof(ARTIFACTS[1]), *ARTIFACTS[2:]])
def test_a_signal_becomes_files(rows, name, capsys):
    assert program.alone("export", [*rows, "--artifact", name, "-o", "out", "--limit", "100", *LOOSE]) == 0
    assert "100 of 360 test examples of digit-rows" in capsys.readouterr().out
    (row,) = json.loads(Path("out/report.json").read_text())
    assert row["top1"] > 0.5
    runner = open_runner(row["file"], trusted=True)
    assert (runner.card.signal, runner.input.name, runner.example_shape) == ("rows", "rows", (8, 8))
    if name.startswith("tflite:int8"):
        assert row["input"] == "raw"
        manifest = json.loads(Path(f"{row['file']}.manifest.json").read_text())
        scale, zero_point = manifest["scales"]["rows"]
        assert (scale, zero_point) == (pytest.approx(16 / 255, rel=1e-3), -128)  # known before any calibration: 0 to 16
        assert manifest["calibration"]["origin"] == "training examples"
    if Path(row["file"]).is_file():
        with np.load(f"{row['file']}.golden.npz") as vectors:
            assert vectors["rows"].shape == (8, 8, 8)
        assert program.alone("verify", [row["file"], *rows, "--limit", "50", *LOOSE]) == 0


@pytest.mark.slow
def test_what_only_images_have_is_refused(rows, capfd):
    for options, said in ((["--input", "tf"], "--input tf"), (["--image-size", "16"], "--image-size")):
        assert program.alone("export onnx", [*rows, *options]) == 2
        assert f"{said} goes with signal image: the model's is rows" in capfd.readouterr().err


@pytest.mark.proof
def test_a_folder_of_its_files_calibrates(rows, capfd):
    known = newcomers.ROWS.load("digit-rows", None, (8, 8), 1.0)
    Path("few").mkdir()
    for number in range(20):
        np.save(f"few/{number}.npy", known.train.images[number])
    options = ["--int8", *rows, "--calibration", "few", "-o", "m.tflite", "--limit", "60", "--gate", "drop=20"]
    assert (
        program.alone("export tflite", [*options, "--gate", "agreement=0.5", "--gate", "sqnr=1", "--gate", "cosine=0"])
        == 0
    )
    np.save("few/taken.npy", known.test.images[0])
    assert program.alone("export tflite", [*options, "--overwrite"]) == 2
    assert "1 of the 21 examples in few are test examples (taken.npy" in capfd.readouterr().err


@pytest.mark.slow
def test_without_data_there_is_noise_of_the_signal(rows):
    source = load_source(rows[1])
    assert source.dataset is not None
    alone = dataclasses.replace(source, dataset=None)
    evidence = alone.evidence()
    assert evidence.origin == "64 examples of noise (accuracy unknown: no data)"
    assert (len(evidence), evidence.pixels.dtype, evidence.truth) == (64, np.float32, {})
    report = export(alone, [(artifact("onnx:float32"), Path("m.onnx"))])
    assert report.passed and report.rows[0].score is None
    with pytest.raises(InputError, match="needs images to calibrate with"):
        pipeline.export(alone, [(artifact("tflite:int8"), Path("m.tflite"))])
