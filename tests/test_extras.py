"""What is missing is noticed first, with the line that installs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keras_resnet import InputError, __version__, cli, console, extras

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def without(monkeypatch):
    """Hides packages of extras, and fails where TensorFlow or a net is asked for."""

    def hide(*names):
        there = extras.is_there
        monkeypatch.setattr(extras, "is_there", lambda module: module not in names and there(module))
        monkeypatch.setattr(console, "import_tensorflow", lambda *_: pytest.fail("the work began"))

    return hide


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [
        ("ai_edge_litert", "export", ["evaluate", "--model", "m.tflite", "--data", "digits"]),
        ("onnxruntime", "export", ["evaluate", "--ensemble", "m.keras", "m.onnx", "--data", "digits"]),
        ("ai_edge_litert", "export", ["predict", "--model", "m.tflite", "x.png"]),
        ("onnxruntime", "export", ["explain", "--model", "m.onnx", "x.png", "-o", "x.png"]),
        ("huggingface_hub", "hub", ["predict", "--model", "resnet18", "--weights", "hf://timm/x", "x.png"]),
        ("huggingface_hub", "hub", ["train", "--model", "resnet18", "--weights", "hf://timm/x", "--data", "digits"]),
        ("huggingface_hub", "hub", ["train", "--recipe", "digits-resnet8", "--set", "weights=hf://timm/x"]),
        ("tensorflow_datasets", "datasets", ["train", "--recipe", "fast", "--set", "dataset=tfds:imagenette"]),
        ("tensorflow_datasets", "datasets", ["prepare", "--data", "tfds:imagenette", "-o", "folder"]),
    ],
)
def test_what_is_missing_is_asked_for_before_tensorflow(module, extra, arguments, without, capfd):
    without(module)
    assert cli.main(arguments) == 2
    err = capfd.readouterr().err
    assert f"needs {module}, which is not installed: pip install 'keras-resnet-toolkit[{extra}]'" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "command", "arguments"),
    [
        ("ai_edge_litert", "export tflite", ["--int8"]),
        ("litert_quantizer", "export tflite", ["--weight-only-int8", "--quantizer", "litert"]),
        ("flatbuffers", "export tflite", ["--metadata"]),
        ("tf2onnx", "export onnx", []),
        ("onnxruntime", "export onnx", ["--float16"]),
        ("tf2onnx", "export", ["--all"]),
        ("onnxruntime", "export", ["--place", "onnxruntime"]),
        ("ai_edge_litert", "compress", ["--method", "qat"]),
        ("tensorflow_model_optimization", "compress", ["--method", "qat", "--engine", "tfmot"]),
        ("ai_edge_litert", "verify", ["m.tflite"]),
        ("ai_edge_litert", "debug", ["m.tflite"]),
        ("ai_edge_litert", "fit", ["m.tflite"]),
    ],
)
def test_exports_ask_for_their_packages_before_tensorflow(module, command, arguments, without, capfd):
    from export import program

    Path("m.tflite").write_bytes(b"x")
    without(module)
    status = program.alone(command, arguments)
    err = capfd.readouterr().err
    assert (status, len(err.splitlines())) == (2, 1)
    assert f"{module}" in err
    assert "pip install 'keras-resnet-toolkit[export]'" in err


def test_functions_ask_for_their_packages_before_the_work(monkeypatch):
    from export import artifact, export
    from keras_resnet import RECIPES, train
    from keras_resnet.training import inputs
    from keras_resnet.training.recipes import override

    monkeypatch.setattr(extras, "is_there", lambda module: False)
    monkeypatch.setattr(inputs, "load", lambda *_: pytest.fail("data was loaded"))
    with pytest.raises(InputError, match="tflite:float32 needs ai_edge_litert"):
        export(None, [(artifact("tflite:float32"), Path("m.tflite"))])
    with pytest.raises(InputError, match="tfds:x needs tensorflow_datasets"):
        train(override(RECIPES["digits-resnet8"], ["dataset=tfds:x"]))


@pytest.mark.slow
def test_a_training_without_tensorboard_says_so_at_the_start(short_recipe, monkeypatch, tmp_path, capfd):
    from keras_resnet import train
    from keras_resnet.training import session

    def stopped(self, callbacks):
        raise KeyboardInterrupt

    there = extras.is_there
    monkeypatch.setattr(extras, "is_there", lambda module: module != "tensorboard" and there(module))
    monkeypatch.setattr(session.Session, "_learn", stopped)
    train(short_recipe, run_dir=tmp_path / "run")
    assert capfd.readouterr().err.startswith("note: no logs for TensorBoard; with them: pip install 'keras-resnet-")
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_packages_are_found_as_they_are_imported(monkeypatch):
    assert extras.is_there("numpy")
    assert not extras.is_there("no_such_package")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert not extras.is_there("onnxruntime")
    with pytest.raises(InputError, match="onnxruntime is not installed: pip install"):
        extras.imported("onnxruntime")


def test_every_extra_is_one_of_the_distribution():
    text = (ROOT / "setup.py").read_text()
    assert all(f'"{extra}": ' in text for extra in extras.EXTRAS.values())


def test_our_version_is_that_of_the_sources(monkeypatch):
    import importlib.metadata

    import keras_resnet

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    found = extras.versions((extras.DISTRIBUTION, "numpy", "no-such-thing"))
    assert found == {extras.DISTRIBUTION: keras_resnet.__version__, "numpy": np_version(), "no-such-thing": None}


def np_version():
    import numpy as np

    return np.__version__


@pytest.mark.cold_start
@pytest.mark.proof
def test_a_clone_that_is_not_installed_trains_and_exports(tmp_path):
    """As in Colab: the sources in PYTHONPATH, no metadata of the distribution."""
    site, clone = tmp_path / "site", tmp_path / "clone"
    site.mkdir()
    for entry in Path(extras.importlib.util.find_spec("numpy").origin).parents[1].iterdir():
        if "keras_resnet" not in entry.name and entry.suffix != ".pth":
            (site / entry.name).symlink_to(entry)
    for name in ("keras_resnet", "export"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": f"{clone}{os.pathsep}{site}", "PYTHONNOUSERSITE": "1"}
    # -S does not reach the children that convert and try files, a base interpreter without our packages does.
    python = os.path.realpath(sys.executable)

    def run(*arguments):
        return subprocess.run([python, *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path)

    code = "import importlib.metadata, keras_resnet; print(keras_resnet.__file__)\n"
    asked = run("-c", f"{code}importlib.metadata.version('keras-resnet-toolkit')")
    assert asked.stdout.startswith(str(clone))
    assert "PackageNotFoundError" in asked.stderr
    few = ("--set", "epochs=1", "--set", "subset=64", "--set", "warmup_epochs=0", "--output", "run")
    trained = run("-m", "keras_resnet", "train", "--recipe", "digits-resnet8", *few)
    assert (trained.returncode, trained.stderr) == (0, "")
    made = run("-m", "export.tflite", "--model", "run/model.keras", "-o", "m.tflite", "--limit", "20")
    assert made.returncode == 0, made.stderr
    manifest = (tmp_path / "m.tflite.manifest.json").read_text()
    assert f'"keras-resnet-toolkit": "{__version__}"' in manifest


@pytest.mark.cold_start
@pytest.mark.slow
def test_onnx_runtime_reports_to_nobody(tmp_path, monkeypatch):
    """Nothing of its telemetry is written by an import through us, nor by children."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    del environment["ORT_DISABLE_TELEMETRY"]
    code = (
        "from keras_resnet import extras, processes; extras.imported('onnxruntime'); import sys;"
        "sys.exit(processes.run([sys.executable, '-c', 'import onnxruntime']).status)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not list(tmp_path.rglob("*"))


def test_every_import_of_onnx_runtime_is_silenced():
    """Whoever imports it, or tf2onnx, which may, silences it before; a person's own script in a bundle too."""
    for package in ("keras_resnet", "export"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            places = [text.find(f"{word} onnxruntime\n") for word in ("import",)]
            if max(places) >= 0:
                assert 0 <= text.find("ORT_DISABLE_TELEMETRY") < max(places), path
            if "from onnxruntime" in text:
                assert "extras.silence()" in text, path
