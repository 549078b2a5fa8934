"""The benchmarks: each runs in its smallest form, fails when what it measures fails, and knows the code it measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))
sys.path.append(str(ROOT / "tools"))

import figures  # noqa: E402
import measured  # noqa: E402
import results  # noqa: E402
from table import BENCHMARKS, Benchmark, hashed  # noqa: E402

from keras_resnet import RECIPES, list_weights  # noqa: E402
from keras_resnet.weights.registry import find  # noqa: E402

_FACTS = {"benchmark", "form", "command", "date", "processor", "cores", "load", "versions", "code", "found", "ratios"}


def run(name, *arguments, **environment):
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | environment)


@pytest.mark.slow
def test_every_script_has_a_row():
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if not path.stem.startswith("_")}
    assert scripts - {"table", "accelerator"} == set(BENCHMARKS)  # the latter is for a GPU, and has no figures yet
    for row in BENCHMARKS.values():
        assert len(row.code()) == 64


@pytest.mark.proof
@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_smallest_form_measures_and_writes(name, tmp_path, monkeypatch):
    row, arguments = BENCHMARKS[name], list(BENCHMARKS[name].smallest)
    folders = {"RUNS_DIR": str(tmp_path / "runs")} | ({"MLPERF_DIR": mlperf} if (mlperf := mlperf_folder()) else {})
    for key, value in folders.items():
        monkeypatch.setenv(key, value)
    try:
        arguments += [each for each in figures.options(row) if each != "--test"]
    except KeyError as missing:
        if name != "tasks":  # whose smallest form makes its images
            pytest.skip(f"set {missing.args[0]} to run this benchmark")
    found = run(name, "--smallest", "--json", tmp_path / "found.json", *arguments)
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-3000:]
    content = json.loads((tmp_path / "found.json").read_text())
    assert content.keys() >= _FACTS
    assert content["form"] == "smallest" and content["code"] == row.code()
    assert content["found"] or content["ratios"]


def mlperf_folder():
    folder = ROOT.parent / "shared" / "data" / "mlperf-tiny"
    return os.environ.get("MLPERF_DIR") or (str(folder) if folder.is_dir() else "")


@pytest.mark.slow
def test_a_process_that_fails_is_an_error(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from _processes import measured
    from _waiting import Candidate

    with pytest.raises(RuntimeError, match=r"ended with status 3: .*no model"):
        measured([sys.executable, "-c", "print('no model'); raise SystemExit(3)"])
    found = measured([sys.executable, "-c", "x = bytearray(300_000_000); import time; time.sleep(0.4)"])
    assert found["gigabytes"] > 0.3
    with pytest.raises(RuntimeError, match="ended with status 4"):
        Candidate([sys.executable, "-c", "raise SystemExit(4)"])


def test_an_engine_that_is_not_here_is_an_error(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import _waiting
    import training

    monkeypatch.setattr(_waiting, "TORCH", tmp_path / "python")
    with pytest.raises(FileNotFoundError, match="tools/environment.py timm, or --without pytorch"):
        training.command("pytorch, float32", "resnet20_cifar", False)


@pytest.mark.slow
def test_a_file_that_was_not_made_is_an_error(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import conversions

    monkeypatch.setattr(conversions, "command", lambda name, folder: ([sys.executable, "-c", ""], folder / "a.tflite"))
    with pytest.raises(FileNotFoundError, match=r"a\.tflite was not made"):
        conversions.conversions(["tflite --float32"], tmp_path, 1)


def test_a_limit_that_is_missed_is_said_and_written(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from _measure import Figures, parser

    made = Figures("startup", parser("").parse_args(["--json", str(tmp_path / "f.json")]))
    made.ratio("a", 1.0, 2.0, "b", 0.6)
    assert made.finish() == 0
    made.ratio("c", 3.0, 2.0, "d", 1.2)
    assert made.finish() == 1
    assert "missed: c" in capsys.readouterr().out
    written = json.loads((tmp_path / "f.json").read_text())
    assert [each["held"] for each in written["ratios"]] == [True, False]
    assert list(tmp_path.iterdir()) == [tmp_path / "f.json"]


@pytest.mark.slow
def test_a_benchmark_that_fails_is_no_limit_that_was_missed(tmp_path):
    found = run("files", "--smallest", "--data", tmp_path, "--json", tmp_path / "found.json")
    assert found.returncode == 2 and "Traceback" in found.stderr
    assert not (tmp_path / "found.json").exists()


def test_the_hash_is_of_what_is_executed(tmp_path):
    path = tmp_path / "m.py"
    path.write_text('"""Says."""\n\nX = 1\n\n\ndef f():\n    """Gives."""\n    return X\n')
    first = hashed([path])
    path.write_text('"""Says\n\nmore."""\n# why\nX = 1\n\ndef f():\n    """Returns."""\n    return X\n')
    assert hashed([path]) == first
    path.write_text('"""Says."""\n\nX = 2\n\n\ndef f():\n    """Gives."""\n    return X\n')
    assert hashed([path]) != first


def test_a_table_older_than_its_code_says_so(monkeypatch):
    assert results.STALE not in Stale.said(monkeypatch, older=False)
    assert results.STALE in Stale.said(monkeypatch, older=True)


class Stale:
    """The line above a table, with code that has changed or not."""

    @staticmethod
    def said(monkeypatch, older):
        file = {"command": "python benchmarks/startup.py", "processor": "P", "cores": 2, "date": "2026-11-27"}
        monkeypatch.setattr(results, "content", lambda name: file)
        monkeypatch.setattr(Benchmark, "is_older_than_the_code", lambda self: older)
        return results.source("startup")


def test_every_figure_of_a_full_run_says_where_it_is_from():
    for row in BENCHMARKS.values():
        content = row.found()
        if content is not None:
            assert content.keys() >= _FACTS, row.name
            assert content["form"] == "full", row.name


def test_a_recipe_promises_what_a_file_holds():
    held = results.content("recipes-kept")["recipes"]
    own = {row.name: row for row in RECIPES.values() if row.expected and "published" not in row.hardware}
    assert held.keys() == own.keys()
    for name, row in own.items():
        figures = {"top1": list(row.expected), "hardware": row.hardware, "wall_time": row.wall_time}
        assert held[name] == figures | {"command": row.command}
    shipped = results.found("evaluation")["alone"]
    assert shipped["resnet20_cifar"]["top1"] == own["fast"].expected[0]
    assert shipped["resnet8"]["top1"] == own["fast-resnet8"].expected[0]


def test_what_was_measured_is_a_benchmark_or_kept():
    names = {path.stem for path in results.RESULTS.glob("*.json")}
    assert {name.removesuffix("-kept") for name in names} <= {*BENCHMARKS, "photos", "trained"}


def test_every_table_of_the_page_is_made_from_a_file():
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    outside = page
    for name in measured.TABLES:
        before, _, rest = outside.partition(f"<!-- {name} -->")
        outside = before + rest.partition(f"<!-- /{name} -->")[2]
    assert "| ---" not in outside and "|---" not in outside


def test_shipped_weights_say_the_accuracy_that_was_measured():
    for net, alone in results.found("evaluation")["alone"].items():
        assert find(net, "cifar10").top1 == pytest.approx(alone["top1"], abs=5e-5), net
    for row in results.found("files")["rows"]:
        assert find(row["net"], "cifar10").top1 == pytest.approx(row["keras"], abs=5e-5), row["net"]


def test_every_shipped_cifar_net_has_its_int8_files_measured():
    rows = results.found("files")["rows"]
    nets = [row.spec for row in list_weights() if row.dataset == "cifar10"]
    for name in ("tflite:int8", "tflite:int8@litert", "onnx:int8"):
        assert {row["net"] for row in rows if row["file"] == name} == set(nets), name
    trained = {row["net"]: row["right"] / row["of"] for row in results.content("trained")["rows"] if row["paper"]}
    for name, right in trained.items():  # judged in float32; the shipped file holds float16
        net = next(net for net in nets if results.NAMES[net] == name)
        assert find(net, "cifar10").top1 == pytest.approx(right, abs=3e-4), name
