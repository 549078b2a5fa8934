"""Nets of tags and of values become files with gates of their own; what is damaged fails them."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import squares
from PIL import Image
from tiers import in_proof

from export import artifact, export, load_source, program
from export.proof import gates
from export.proof.comparison import compare
from export.targets import description
from keras_resnet import cli, load_dataset, load_model, open_runner, save_model
from keras_resnet.runtime.outside import OUTSIDE
from keras_resnet.tasks import get_task
from keras_resnet.tasks.results import Numbers

TASKS = ("multilabel", "regression")
OUTPUT = {"multilabel": "probabilities", "regression": "values"}


@pytest.fixture
def options(request, made_once, mini_spec, monkeypatch):
    """Options that name the trained net of a task and its data."""
    from keras_resnet.nets.specs import SPECS

    monkeypatch.setitem(SPECS, "mini", mini_spec)
    folder, path = squares.trained(made_once, mini_spec, request.param)
    return ["--model", str(path / "model.keras"), "--data", str(folder / squares.TABLES[request.param])]


ARTIFACTS = (  # not dynamic_int8: TFLite leaves kernels below 1,024 values as they are, and this net has no others
    *("tflite:float32", "tflite:float16", "tflite:int8", "tflite:int8@litert", "tflite:int16x8"),
    *("onnx:float32", "onnx:int8", "keras:float32", "saved_model:float32"),
)
EVERYDAY = (("onnx:float32", "multilabel"), ("tflite:int8", "regression"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *EVERYDAY,
        *(in_proof(name, task) for name in ARTIFACTS for task in TASKS if (name, task) not in EVERYDAY),
    ],
    indirect=["options"],
)
def test_they_become_files_that_are_proven(options, name, request):
    task = request.node.callspec.params["options"]
    key, output = get_task(task).score.key, OUTPUT[task]
    assert program.alone("export", [*options, "--artifact", name, "-o", "out"]) == 0
    (row,) = json.loads(Path("out/report.json").read_text())
    assert (row["task"], list(row["outputs"])) == (task, [output])
    assert row["drop"] == pytest.approx(100 * (row[f"{key}_reference"] - row[key]), abs=1e-6)
    assert row["drop_error"] is not None
    runner = open_runner(row["file"], trusted=True)
    model, card = load_model(options[1])
    assert (runner.card.task, runner.card.facts, runner.output.name) == (task, card.facts, output)
    test = load_dataset(options[3], image_shape=(16, 16, 3)).test
    images = test.fetch(range(8))[test.key]
    span = np.ptp(model.predict(card.preprocess(test.fetch(range(len(test)))[test.key]), verbose=0))
    apart = np.abs(runner(runner.card.preprocess(images))[output] - model.predict(card.preprocess(images), verbose=0))
    assert apart.max() < 0.1 * span  # in the net's own units, whatever the file computes in


@pytest.mark.proof
@pytest.mark.parametrize("options", TASKS, indirect=True)
def test_their_files_are_verified_and_evaluated_like_the_net(options, request):
    key = get_task(request.node.callspec.params["options"]).score.key
    assert (
        program.alone("export", [*options, "--artifact", "tflite:int8", "--artifact", "onnx:float32", "-o", "out"]) == 0
    )
    for row in json.loads(Path("out/report.json").read_text()):
        assert program.alone("verify", [row["file"], *options]) == 0
        assert cli.main(["evaluate", "--model", row["file"], *options[2:], "--json", "e.json"]) == 0
        assert json.loads(Path("e.json").read_text())[key] == pytest.approx(row[key], abs=1e-6)


def _damaged(options, change, folder):
    """The model file with other weights under the old card, and its float32 ONNX file."""
    model, card = load_model(options[1])
    change(model)
    save_model(model, folder / "damaged.keras", card)
    made = [(artifact("onnx:float32"), folder / "damaged.onnx")]
    assert export(load_source(folder / "damaged.keras", dataset=options[3]), made).passed
    return str(folder / "damaged.onnx")


def _shuffled(model):
    """The last layer's kernel with its rows in another order."""
    head = model.get_layer("predictions")
    kernel, bias = head.get_weights()
    head.set_weights([np.random.default_rng(1).permutation(kernel) * -2, bias])


def _wrong_scale(model):
    model.get_layer("values").scale *= 1.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "change"),
    [in_proof("multilabel", _shuffled), in_proof("regression", _shuffled), ("regression", _wrong_scale)],
    indirect=["options"],
)
def test_damaged_files_fail_the_gates_of_their_task(options, change, tmp_path, capfd):
    """A control of every gate: the file says that it is the model's, and answers otherwise."""
    file = _damaged(options, change, tmp_path)
    capfd.readouterr()
    assert program.alone("verify", [file, *options, "--json", "v.json"]) == 1
    failed = {gate["name"] for gate in json.loads(Path("v.json").read_text())[0]["gates"] if not gate["passed"]}
    assert {"agreement", "drop"} <= failed


PRECISIONS = ("float32", "float16", "dynamic_int8", "int8", "int16x8", "int8x4", "weight_only_int8", "weight_only_int4")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_limit_lets_a_good_answer_pass_and_a_bad_one_fail(task, precision):
    rng = np.random.default_rng(0)
    _, card = _card(task)
    if task == "multilabel":
        truth = {"tags": (rng.random((400, 3)) < 0.5).astype(np.uint8)}
        good = {"probabilities": (0.8 * truth["tags"] + 0.1 + 0.1 * rng.random((400, 3))).astype("f")}
        near = {"probabilities": (good["probabilities"] + 0.0001 * rng.normal(size=(400, 3))).astype("f")}
        flipped = rng.random((400, 3)) < 0.15
        bad = {"probabilities": np.where(flipped, 1 - good["probabilities"], good["probabilities"])}
    else:
        truth = {"values": rng.uniform(0, 100, (400, 1)).astype("f")}
        good = {"values": truth["values"] + rng.normal(size=(400, 1)).astype("f")}
        near = {"values": good["values"] + 1e-3 * rng.normal(size=(400, 1)).astype("f")}
        bad = {"values": good["values"] * 1.2}
    limit = gates.limit_of(precision, task, {})
    for answers, passes in ((near, True), (bad, False)):
        found = compare(good, answers, truth, card, tuple(good))
        assert (found.agreement >= limit.agreement, found.drop <= limit.drop) == (passes, passes)
        assert found.drop_error is not None


def _card(task):
    from keras_resnet import ModelCard

    facts = {"classes": 3} if task == "multilabel" else {"names": ["x"], "low": [0.0], "high": [100.0]}
    return None, ModelCard(task=task, facts=facts)


@pytest.mark.slow
@pytest.mark.parametrize("options", ["multilabel", in_proof("regression")], indirect=True)
def test_what_only_classifiers_have_is_refused_in_one_line(options, capfd, request):
    task = request.node.callspec.params["options"]
    for command, said in (
        (lambda: program.alone("export onnx", [*options, "--with-cam"]), "--with-cam goes with task classification"),
        (lambda: program.alone("export", [*options, "--place", "android"]), "--place android goes with task classif"),
        (lambda: program.alone("compress", [*options, "--method", "qat"]), f"task {task} does not support compress"),
    ):
        assert command() == 2
        assert said in capfd.readouterr().err.splitlines()[-1]
    assert not shutil.os.path.exists("exports")


@pytest.mark.slow
@pytest.mark.parametrize("options", ["multilabel", in_proof("regression")], indirect=True)
def test_a_server_answers_with_tags_and_values(options, tmp_path, request, monkeypatch):
    """`classify.py` of the place onnxruntime, and what its check says of a description with other thresholds."""
    task = request.node.callspec.params["options"]
    bundle = ["export bundle", [*options, "--place", "onnxruntime", "--limit", "40"]]
    assert program.alone(bundle[0], [*bundle[1], "-o", "server"]) == 0
    about = json.loads(Path("server/model.json").read_text())
    golden = json.loads(Path("server/golden.json").read_text())
    said = Path("server/README.md").read_text()
    assert about["task"] == task and "top1" not in golden and "top-1" not in said
    names = Path("server/labels.txt").read_text().split()
    if task == "multilabel":
        assert names == sorted(squares.COLOURS) and len(about["thresholds"]) == 3
        assert "| tags | 3 (blue, green, red) |" in said
    else:
        assert names == ["light"] and "| values | 1 (light) |" in said
    (check,) = [each for each in json.loads(Path("server/report.json").read_text())["checks"]]
    assert check["passed"] and "8 of 8 answers" in check["found"]

    wrong = Numbers("values", "x", ("other",) * len(names), {"thresholds": [0.0] * len(names)})
    monkeypatch.setattr(description, "numbers", lambda card, count: wrong)
    assert program.alone(bundle[0], [*bundle[1], "-o", "wrong"]) == 1
    assert Path("wrong.failed").is_dir() and not Path("wrong").exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", ["multilabel", in_proof("regression")], indirect=True)
def test_mediapipe_has_tags_and_no_values(options, capfd, request):
    command = [*options, "--place", "mediapipe", "--precision", "float32", "--limit", "40", "-o", "phone"]
    if request.node.callspec.params["options"] == "regression":
        assert program.alone("export bundle", command) == 2
        assert "--place mediapipe goes with task classification or multilabel" in capfd.readouterr().err
        return
    assert program.alone("export bundle", command) == 0
    code = Path("phone/classify.py").read_text()
    compile(code, "classify.py", "exec")
    assert "if category.score >= limits[category.index]" in code and "max_results=-1" in code


@pytest.mark.check
@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("options", ["multilabel"], indirect=True)
def test_mediapipe_itself_gives_the_tags(options, precision):
    """`classify.py` of the folder as MediaPipe's own Python runs it, and the check of the folder."""
    environment = OUTSIDE["mediapipe"]
    if environment.find() is None:
        if os.environ.get("KERAS_RESNET_CHECK") == "mediapipe":
            pytest.fail(environment.missing)
        pytest.skip(environment.missing)
    place = ["--place", "mediapipe", "--precision", precision, "--limit", "100", "-o", f"phone-{precision}"]
    assert program.alone("export bundle", [*options, *place]) == 0
    checks = json.loads(Path(f"phone-{precision}/report.json").read_text())["checks"]
    assert [check["passed"] for check in checks] == [True, True], checks
    pixels = np.full((16, 16, 3), 30, np.uint8)
    pixels[2:8, 2:8, 0] = 220
    Image.fromarray(pixels).save("red.png")
    said = subprocess.run(
        [environment.find(), f"phone-{precision}/classify.py", "red.png"], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[-1] for line in said.splitlines()] == ["red"]
