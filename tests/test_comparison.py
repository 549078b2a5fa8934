"""Runs side by side: the table, the page, and what is no run."""

import json

import pytest

from keras_resnet import InputError, cli
from keras_resnet.training import comparison


def _run(path, **changes):
    path.mkdir(parents=True)
    recipe = {"name": "r", "model": "resnet8", "dataset": "digits", "epochs": 3, "learning_rate": 0.1, "command": "c"}
    (path / "recipe.json").write_text(json.dumps({**recipe, **changes}))
    (path / "environment.json").write_text(json.dumps({"seed": 0, "packages": {"keras": "3"}, "git_commit": "abc"}))
    (path / "metrics.csv").write_text(
        "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.5,1.0,0.4,1.2\n1,0.7,0.8,0.6,0.9\n"
    )
    (path / "result.json").write_text(
        json.dumps({"best_epoch": 2, "validation_accuracy": 0.6, "seconds": 12.4, "images_per_second": 1234.5,
                    "waiting_share": 0.021, "precision": "float32"})
    )  # fmt: skip
    return path


def test_the_table_has_the_figures_of_every_run(tmp_path, capfd):
    one, two = _run(tmp_path / "one"), _run(tmp_path / "two", learning_rate=0.2)
    assert cli.main(["report", str(one), str(two), "-o", "r.html", "--json", "r.json"]) == 0
    rows = json.loads((tmp_path / "r.json").read_text())
    assert rows[0]["epochs"] == "2 of 3"
    assert (rows[0]["validation"], rows[0]["images/s"], rows[0]["waiting"]) == ("60.00%", "1,234", "2.1%")
    page = (tmp_path / "r.html").read_text()
    assert "<svg" in page
    assert "learning_rate" in page
    assert "abc" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )  # namespaces of the pictures only: nothing is fetched
    assert "curves and settings: r.html" in capfd.readouterr().out


def test_only_settings_that_differ_are_listed(tmp_path):
    runs = comparison.read([_run(tmp_path / "one"), _run(tmp_path / "two", learning_rate=0.2, command="d")])
    assert comparison.differing_settings(runs) == {"learning_rate": [0.1, 0.2]}
    assert comparison.differing_settings(runs[:1]) == {}


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    runs = comparison.read([_run(tmp_path / "a" / "run"), _run(tmp_path / "b" / "run")])
    assert runs[0].name != runs[1].name


def test_a_run_that_goes_on_has_what_there_is(tmp_path):
    path = _run(tmp_path / "one")
    (path / "result.json").unlink()
    (run,) = comparison.read([path])
    assert run.cells()[3:7] == ["2 of 3", None, "60.00%", None]
    (path / "metrics.csv").unlink()
    comparison.write_html(comparison.read([path]), tmp_path / "r.html")


def test_names_are_escaped(tmp_path):
    runs = comparison.read([_run(tmp_path / "<b>x")])
    comparison.write_html(runs, tmp_path / "r.html")
    assert "<b>x" not in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: (path / "recipe.json").unlink(), "is no run directory"),
        (lambda path: (path / "recipe.json").write_text("{"), "its files are damaged"),
        (lambda path: (path / "metrics.csv").write_text("epoch,loss\n0,x\n"), "its files are damaged"),
    ],
)
def test_what_is_no_run(tmp_path, spoil, said):
    path = _run(tmp_path / "one")
    spoil(path)
    with pytest.raises(InputError, match=said):
        comparison.read([path])


def test_reports_overwrite_nothing(tmp_path):
    (tmp_path / "r.html").write_text("precious")
    assert cli.main(["report", str(_run(tmp_path / "one")), "-o", "r.html"]) == 2
    assert (tmp_path / "r.html").read_text() == "precious"
