"""Truncated, flipped and foreign files: an error in our words or an answer, never another exception, never a crash."""

import shutil

import numpy as np
import pytest

from export import program
from export.proof.golden import read
from keras_resnet import InputError, build, load_model, load_weights, open_runner, save_weights

TRIES = 5


@pytest.fixture(scope="module")
def originals(everything, source, tmp_path_factory):
    """One small file of every kind that we read."""
    folder = tmp_path_factory.mktemp("originals")
    save_weights(source.model, folder / "m.safetensors")
    for suffix in (".keras", ".tflite", ".onnx", ".tflite.golden.npz"):
        shutil.copyfile(everything / f"resnet8-float32{suffix}", folder / f"m{suffix}")
    shutil.copytree(everything / "resnet8-float32.savedmodel", folder / "m.savedmodel")
    return folder, build("resnet8")  # one of its own: damaged weights are read into it


def _damaged(content: bytes, rng) -> bytes:
    """Cut off somewhere, or with 40 bits flipped (half the time near the start), or with a piece overwritten."""
    kind = rng.integers(3)
    data = bytearray(content)
    if kind == 0:
        return bytes(data[: rng.integers(1, len(data))])
    if kind == 1:
        for place in rng.integers(0, len(data) if rng.integers(2) else min(len(data), 4096), 40):
            data[place] ^= 1 << int(rng.integers(8))
    else:
        start = int(rng.integers(0, max(1, len(data) - 64)))
        data[start : start + 64] = rng.bytes(64)
    return bytes(data)


def _read(path, model):
    if path.suffix == ".safetensors":
        load_weights(model, path)
    elif path.suffix == ".keras":
        load_model(path)
    elif path.suffix == ".npz":
        read(path)
    else:
        runner = open_runner(path)
        runner(np.zeros((1, 32, 32, 3), np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m.tflite", "m.onnx", "m.keras", "m.safetensors", "m.tflite.golden.npz"])
def test_damaged_files(originals, name, tmp_path):
    folder, model = originals
    content = (folder / name).read_bytes()
    _read(folder / name, model)  # the control
    rng = np.random.default_rng(sum(name.encode()))
    refused = 0
    for _ in range(TRIES if name in ("m.tflite", "m.onnx") else 4 * TRIES):
        path = tmp_path / name
        path.write_bytes(_damaged(content, rng))
        try:
            _read(path, model)
        except InputError as error:
            refused += 1
            assert str(error)
    assert refused


@pytest.mark.slow
def test_saved_models_are_verified_where_they_are_trusted_and_commands_printed_say_so(rows, capsys):
    file = rows["saved_model", "float32"]["file"]
    arguments = [file, "--model", "resnet8", "--weights", "digits", "--limit", "10"]
    assert program.alone("verify", arguments) == 2
    assert "which can run any operation" in capsys.readouterr().err
    assert program.alone("verify", [*arguments, "--trust"]) == 0
    assert f"next: keras-resnet predict --model {file} --trust IMAGE.png" in capsys.readouterr().out


@pytest.mark.slow
def test_damaged_folders(originals, tmp_path):
    folder, _ = originals
    shutil.copytree(folder / "m.savedmodel", tmp_path / "m.savedmodel")
    graph = tmp_path / "m.savedmodel" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be run as"):
        open_runner(tmp_path / "m.savedmodel", trusted=True)
    shutil.rmtree(tmp_path / "m.savedmodel" / "variables")
    with pytest.raises(InputError, match="cannot be run as"):
        open_runner(tmp_path / "m.savedmodel", trusted=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs"), [("m.onnx", ".tflite"), ("m.tflite", ".onnx"), ("m.safetensors", ".keras")]
)
def test_files_of_another_kind(originals, ours, theirs, tmp_path):
    folder, model = originals
    path = tmp_path / f"m{theirs}"
    shutil.copy(folder / ours, path)
    with pytest.raises(InputError):
        _read(path, model)
