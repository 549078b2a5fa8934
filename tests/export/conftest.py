"""One export of everything, shared by the tests that look at its parts; latencies that take no time."""

import json

import pytest


@pytest.fixture(autouse=True)
def _latency_of_one_run(monkeypatch):
    """Nothing here is about how fast this machine is; `test_verify.py` tests the loop with a clock of its own."""
    from export.proof import timing

    for name, value in (("_WARM_UP", 0), ("_LEAST", 1), ("_SECONDS", 0.0)):
        monkeypatch.setattr(timing, name, value)


@pytest.fixture(scope="session")
def source():
    """The shipped model; sessions have no runs/."""
    from export.model.source import load_source

    return load_source("resnet8", weights="digits")


@pytest.fixture(scope="session")
def everything(made_once):
    """The folder that `python -m export --all` writes; made once for all of pytest's processes."""
    return made_once("all", _export_everything)


def _export_everything(folder):
    from export import program
    from export.proof import timing

    arguments = ["--model", "resnet8", "--weights", "digits", "--all", "-o", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "_SECONDS", 0.0)
        assert program.alone("export", [*arguments, "--json", str(folder / "j.json")]) == 0


@pytest.fixture(scope="session")
def rows(everything):
    """report.json by format and precision."""
    table = json.loads((everything / "report.json").read_text())
    return {(row["format"], row["precision"]): row for row in table}
