"""wandb and mlflow themselves log a training, offline; `make check-loggers` fetches both.

They have an environment of their own. Under `make check-loggers` a missing environment is a failure, elsewhere a skip.
"""

import csv
import json
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.check, pytest.mark.cold_start]
ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-loggers" / "bin" / "python"
# Reads an offline run: a log as LevelDB has it (blocks of 32 kB, records in pieces) of wandb's own messages.
READER = """
import json, pathlib, struct, sys
from wandb.proto import wandb_internal_pb2
data, place, whole, rows, config = pathlib.Path(sys.argv[1]).read_bytes(), 7, b"", [], {}
while place + 7 <= len(data):
    left = 32768 - place % 32768
    if left < 7:
        place += left
        continue
    _, length, piece = struct.unpack_from("<IHB", data, place)
    whole += data[place + 7 : place + 7 + length]
    place += 7 + length
    if piece in (1, 4):  # all of a record, or its last piece
        record, whole = wandb_internal_pb2.Record.FromString(whole), b""
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({(item.key or "/".join(item.nested_key)): json.loads(item.value_json) for item in items})
        if record.WhichOneof("record_type") == "run":
            config |= {item.key: item.value_json for item in record.run.config.update}
print(json.dumps([rows, config]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    if not (ROOT / ".venv-loggers" / "complete").exists():
        reason = "no wandb and mlflow here: make check-loggers fetches them"
        if os.environ.get("KERAS_RESNET_CHECK") == "loggers":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("logged")
    command = ["-m", "keras_resnet", "train", "--recipe", "digits-resnet8", "--epochs", "2", "-o", "run"]
    command += ["--set", "subset=256", "--set", "warmup_epochs=0", "--logger", "wandb", "--logger", "mlflow"]
    own = ("WANDB", "MLFLOW")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    clean |= {"HOME": str(folder), "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    ended = subprocess.run([PYTHON, *command], cwd=folder, env=clean, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder / "run"


@pytest.fixture(scope="module")
def epochs(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_loggers_mlflow_has_every_epoch_and_the_recipe(run, epochs):
    with sqlite3.connect(run / "mlflow.db") as base:
        metrics = base.execute("select step, key, value from metrics").fetchall()
        params = dict(base.execute("select key, value from params"))
        (status,) = base.execute("select status from runs").fetchone()
    assert len(epochs) == 2 and status == "FINISHED"
    for number, row in enumerate(epochs, 1):
        logged = {key: value for step, key, value in metrics if step == number}
        assert {"loss", "val_accuracy"} <= logged.keys()
        for key, value in logged.items():
            assert value == pytest.approx(row[key], rel=1e-6), key
    assert params["model"] == "resnet8" and params["epochs"] == "2"


def test_loggers_wandb_has_every_epoch_and_the_recipe(run, epochs):
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    read = subprocess.run([PYTHON, "-c", READER, file], capture_output=True, text=True, timeout=120)
    assert read.returncode == 0, read.stderr[-2000:]
    rows, config = json.loads(read.stdout.splitlines()[-1])
    assert [row["epoch"] for row in rows] == [1, 2]
    for logged, row in zip(rows, epochs, strict=True):
        assert logged["loss"] == pytest.approx(row["loss"], rel=1e-6)
        assert logged["val_accuracy"] == pytest.approx(row["val_accuracy"], rel=1e-6)
    assert config["model"] == '"resnet8"'


def test_loggers_leave_nothing_beside_the_run(run):
    assert [path.name for path in run.parent.iterdir() if not path.name.startswith(".")] == ["run"]
