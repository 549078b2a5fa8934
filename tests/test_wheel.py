"""What people install: the wheel, outside of the clone, by each of its entry points."""

import email
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import keras_resnet

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import distributions  # noqa: E402

pytestmark = [pytest.mark.proof, pytest.mark.cold_start]
FEW = ["--set", "epochs=1", "--set", "subset=64", "--set", "warmup_epochs=0"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Source distribution and wheel; `distributions.make` has compared what is in them."""
    return distributions.make(tmp_path_factory.mktemp("built") / "dist")


@pytest.fixture(scope="module")
def environment(tmp_path_factory, built):
    """A folder with `bin/python`: it has the wheel, and the packages of the present environment but not the clone."""
    made = tmp_path_factory.mktemp("wheel") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
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
    subprocess.run([*install, str(built[1])], check=True, capture_output=True, text=True)
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


def test_a_reader_of_the_metadata_knows_what_it_is(built):
    sdist, wheel = built
    assert sdist.stat().st_size < 20e6 and wheel.stat().st_size < 18e6  # most of it nets
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        said = email.message_from_bytes(archive.read(name))
    assert wheel.name.split("-")[1] == said["Version"] == keras_resnet.__version__
    assert (said["License-Expression"], said.get_all("License-File")) == ("Apache-2.0", ["LICENSE"])
    assert said["Requires-Python"] and said["Keywords"] and said["Summary"] and said["Author"]
    assert "# keras_resnet" in said.get_payload()
    assert not [
        name for name in distributions.members(sdist) if ".venv" in name or "__pycache__" in name or ".gpu" in name
    ]


def test_the_tests_of_the_source_distribution_find_what_they_read(built, tmp_path):
    """Not all of them here: those that read files of every folder."""
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    few = [
        "tests/test_release.py",
        "tests/test_docs.py",
        "-k",
        "not slow and (links or workflow or version or commands)",
    ]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *few]
    child = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert child.returncode == 0, child.stdout[-3000:] + child.stderr[-1000:]
    assert int(re.search(r"(\d+) passed", child.stdout)[1]) > 50


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
