"""One export of everything, shared by the tests that look at its parts."""

import json

import pytest

from export import cli
from export.source import load_source


@pytest.fixture(scope="session")
def source():
    """The shipped model; sessions have no runs/."""
    return load_source("resnet8", weights="digits")


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    """The folder that `python -m export --all` writes."""
    folder = tmp_path_factory.mktemp("all")
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
    return folder


@pytest.fixture(scope="session")
def rows(everything):
    """report.json by format and precision."""
    table = json.loads((everything / "report.json").read_text())
    return {(row["format"], row["precision"]): row for row in table}
