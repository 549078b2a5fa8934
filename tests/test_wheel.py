"""What people install: the wheel, outside of the clone, by each of its entry points."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.proof, pytest.mark.cold_start]
FEW = ["--set", "epochs=1", "--set", "subset=64", "--set", "warmup_epochs=0"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A folder with `bin/python`: it has the wheel, and the packages of the present environment but not the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):  # a build leaves folders beside the sources
        (folder / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / "clone" / name)
    build = [sys.executable, "-m", "build", "--no-isolation", "-o", str(folder / "dist"), str(folder / "clone")]
    subprocess.run(build, check=True, capture_output=True, text=True)
    made = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(made / "bin" / "python"),
        "install",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True, text=True)
    (packages,) = made.glob("lib/python*/site-packages")
    # A line of a .pth file is a folder for sys.path; the .pth files in that folder, the clone's, are not read.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


@pytest.fixture
def run(environment, tmp_path):
    """A function that runs a program of the environment in an empty folder and gives what it prints."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(program, *arguments):
        command = [str(environment / "bin" / program), *arguments]
        child = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)
        assert child.returncode == 0, child.stdout[-2000:] + child.stderr[-2000:]
        return child.stdout

    return run


def test_it_is_the_wheel_that_runs(run, environment):
    said = run("python", "-c", "import export, keras_resnet; print(keras_resnet.__file__, export.__file__)")
    assert all(Path(path).is_relative_to(environment) for path in said.split())


def test_a_person_trains_and_exports(run, tmp_path):
    assert "next: keras-resnet evaluate" in run(
        "keras-resnet", "train", "--recipe", "digits-resnet8", *FEW, "--output", "run"
    )
    arguments = ["--model", "run/model.keras", "-o", "m.tflite", "--limit", "40", "--gate", "drop=100"]
    run("python", "-m", "export.tflite", "--int8", *arguments, "--gate", "agreement=0", "--json", "rows.json")
    assert json.loads((tmp_path / "rows.json").read_text())[0]["precision"] == "int8"
    assert (tmp_path / "m.tflite").exists()


def test_a_page_for_browsers_is_complete(run, tmp_path):
    """Its files are no modules: the wheel must bring them."""
    run("python", "-m", "export", "--place", "litert-web", "--model", "resnet8", "--weights", "digits", "-o", "web")
    assert {"index.html", "README.md", "model.json"} <= {path.name for path in (tmp_path / "web").iterdir()}
