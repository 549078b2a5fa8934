"""The same model gives the same file, to the byte: nothing of the hour, of a process or of chance is in it."""

import hashlib
import json
import os
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from export.formats import onnx as onnx_format
from keras_resnet import ModelCard, card


def _sha256(path):
    """Of a file; of a folder's files with their names."""
    path, sha = Path(path), hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            sha.update(str(file.relative_to(path)).encode() + file.read_bytes())
    return sha.hexdigest()


@pytest.mark.parametrize("suffix", [".tflite", ".keras"])
def test_a_card_has_no_time(suffix, monkeypatch):
    found = []
    for year in (2001, 2002):
        monkeypatch.setattr(time, "localtime", lambda *_, year=year: time.struct_time((year, 1, 2, 3, 4, 5, 0, 2, 0)))
        path = Path(f"{year}{suffix}")
        path.write_bytes(b"a network" if suffix == ".tflite" else b"")
        card.append(path, ModelCard(dataset="mine"))
        assert card.read(path).dataset == "mine"
        found.append(_sha256(path))
        with zipfile.ZipFile(f"{year}.zip", "w") as archive:
            archive.writestr("control", "")
    assert found[0] == found[1]
    assert _sha256("2001.zip") != _sha256("2002.zip")  # the control: Python puts the time in by itself


def _diamond(seed):
    """y = relu(x + a) + (x * b), its nodes and constants in any order that a runtime takes."""
    chance = random.Random(seed)
    first = [helper.make_node("Add", ["x", "a"], ["p"]), helper.make_node("Mul", ["x", "b"], ["q"])]
    chance.shuffle(first)
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [1], [value]) for name, value in (("a", 1.0), ("b", 2.0))]
    chance.shuffle(constants)
    nodes = [*first, helper.make_node("Relu", ["p"], ["r"]), helper.make_node("Add", ["r", "q"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in "xy")
    return helper.make_model(helper.make_graph(nodes, "diamond", [x], [y], constants))


def test_onnx_files_are_in_the_order_of_their_graph():
    raw, ordered = set(), set()
    for seed in range(8):
        onnx.save(proto := _diamond(seed), "m.onnx")
        raw.add(_sha256("m.onnx"))
        onnx_format._put_in_order(proto)
        onnx.save(proto, "m.onnx")
        onnx.checker.check_model("m.onnx")
        ordered.add(_sha256("m.onnx"))
    assert len(raw) == 4  # the control
    assert len(ordered) == 1
    assert [node.op_type for node in onnx.load("m.onnx").graph.node] == ["Add", "Relu", "Mul", "Add"]


ARTIFACTS = ("tflite:float32", "tflite:int8", "onnx:float32", "onnx:dynamic_int8", "keras:float32")
ARTIFACTS += ("saved_model:float32",)


@pytest.mark.proof
def test_two_exports_in_two_folders_are_equal_to_the_byte():
    command = [sys.executable, "-m", "export", "--model", "resnet8", "--weights", "digits", "--limit", "50"]
    named = [word for name in ARTIFACTS for word in ("--artifact", name)]
    for seed, folder in (("1", "one"), ("2", "two")):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        child = subprocess.run([*command, *named, "-o", folder], capture_output=True, text=True, env=environment)
        assert child.returncode == 0, child.stderr
    rows = json.loads(Path("one/report.json").read_text())
    names = [Path(row["file"]).name for row in rows]
    assert len(names) == len(ARTIFACTS)
    assert [name for name in names if _sha256(f"one/{name}") != _sha256(f"two/{name}")] == []
    child = subprocess.run([*command, "--artifact", "onnx:float32", "-o", "three"], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr  # alone, too
    assert _sha256("three/resnet8-float32.onnx") == _sha256("one/resnet8-float32.onnx")
