"""One export of everything, shared by the tests that look at its parts."""

import json

import pytest
from filelock import FileLock

from export import cli
from export.source import load_source


@pytest.fixture(scope="session")
def source():
    """The shipped model; sessions have no runs/."""
    return load_source("resnet8", weights="digits")


@pytest.fixture(scope="session")
def everything(tmp_path_factory, worker_id):
    """The folder that `python -m export --all` writes; made once for all of pytest's processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "all"
    with FileLock(f"{folder}.lock"):
        if not (folder / "j.json").exists():
            _export_everything(folder)
    return folder


def _export_everything(folder):
    arguments = [
        "--model",
        "resnet8",
        "--weights",
        "digits",
        "--all",
        "-o",
        str(folder),
        "--json",
        str(folder / "j.json"),
    ]
    assert cli.main(arguments) == 0


@pytest.fixture(scope="session")
def rows(everything):
    """report.json by format and precision."""
    table = json.loads((everything / "report.json").read_text())
    return {(row["format"], row["precision"]): row for row in table}
