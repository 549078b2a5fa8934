"""Runs side by side: the table, the page, and what is no run."""

import contextlib
import json

import pytest

from keras_resnet import InputError, cli, pictures
from keras_resnet.training import comparison
from keras_resnet.training import run as training_run


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
    page = (tmp_path / "r.html").read_text().replace("<wbr>", "")
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


def test_settings_that_only_later_runs_have_are_listed(tmp_path):
    paths = [_run(tmp_path / "one", last=1), _run(tmp_path / "two", own=3, zoom=2, last=1), _run(tmp_path / "three")]
    assert comparison.differing_settings(comparison.read(paths)) == {
        "last": [1, 1, None], "own": [None, 3, None], "zoom": [None, 2, None]
    }  # fmt: skip
    assert list(comparison.differing_settings(comparison.read(paths))) == ["last", "own", "zoom"]


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


def _watching_form(path, form):
    (path / "environment.json").write_text(json.dumps({"watched": {"form": form}}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: (path / "recipe.json").unlink(), "is no run directory"),
        (lambda path: (path / "recipe.json").write_text("{"), "its files are damaged"),
        (lambda path: (path / "metrics.csv").write_text("epoch,loss\n0,x\n"), "its files are damaged"),
        (lambda path: (path / "environment.json").write_text('{"watched": {"form": "{:q}"}}'), "its files are damaged"),
        (lambda path: (path / "environment.json").write_text('{"watched": 3}'), "its files are damaged"),
        # Formats that Python takes, and that no stranger's run may have: attributes, fields of any width.
        *(
            (lambda path, form=form: _watching_form(path, form), "its files are damaged")
            for form in ("{0.__class__}", "{:>99999}", "{0:.2%}{0:.2%}", "{:.2%} and a text of any length")
        ),
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


_METRICS = (
    "epoch,amount_mae,loss,mask_pixels,val_amount_mae,val_loss,val_mask_pixels\n0,5,2,0.5,9,3,0.4\n1,4,1,0.7,8,2,0.3\n"
)


def _watching(path, watch, larger_is_better, **changes):
    """A run with several outputs that is still going on."""
    _run(path, task=changes.pop("task", "ink"))
    watched = {"watch": watch, "larger_is_better": larger_is_better, "form": "{:.3f}", "as_error": False, **changes}
    (path / "environment.json").write_text(json.dumps({"watched": watched}))
    (path / "metrics.csv").write_text(_METRICS)
    (path / "result.json").unlink()
    return path


def test_the_best_value_is_that_of_the_watched_metric_in_its_direction(tmp_path):
    runs = comparison.read(
        [_watching(tmp_path / "one", "mask_pixels", True), _watching(tmp_path / "two", "amount_mae", False)]
    )
    assert [run.best() for run in runs] == [0.4, 8.0]
    assert [row[5] for row in comparison.rows(runs)] == ["mask_pixels 0.400", "amount_mae 8.000"]
    assert runs[0].cells()[5] == "mask_pixels 0.400"


def test_a_metric_is_named_where_runs_watch_different_ones(tmp_path):
    runs = comparison.read([_run(tmp_path / "one"), _watching(tmp_path / "two", "mask_pixels", True)])
    assert [row[5] for row in comparison.rows(runs)] == ["accuracy 60.00%", "mask_pixels 0.400"]
    assert [row[5] for row in comparison.rows(runs[:1])] == ["60.00%"]


def test_every_metric_has_a_chart_of_its_own(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(comparison.pictures, "svg", lambda figure, words: drawn.append((figure, words)) or "")
    paths = [_run(tmp_path / "one"), _watching(tmp_path / "two", "mask_pixels", True), _run(tmp_path / "three")]
    comparison.write_html(comparison.read(paths), tmp_path / "r.html")
    ((figure, words),) = drawn
    charts = {axes.get_title(): [list(line.get_ydata()) for line in axes.lines] for axes in figure.axes}
    error = [pytest.approx([50, 30]), pytest.approx([60, 40])]
    assert charts["Loss (classification)"] == [[1.0, 0.8], [1.2, 0.9]] * 2
    assert charts["Loss (ink)"] == [[2, 1], [3, 2]]
    assert charts["Error"] == error * 2
    assert charts["Mask_pixels"][:2] == [[0.5, 0.7], [0.4, 0.3]]
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log", "log", "linear"]
    assert "mask_pixels" in words
    comparison.write_html(comparison.read(paths[:1]), tmp_path / "alone.html")
    assert [axes.get_title() for axes in drawn[1][0].axes] == ["Loss", "Error"]
    assert drawn[1][1].startswith("Loss and error over the epochs of each run;")


def test_curves_show_the_watched_metric(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **kwargs: drawn.append(figure))
    monkeypatch.setattr(training_run.files, "writing", lambda path, **kwargs: contextlib.nullcontext(path))
    for path in (_watching(tmp_path / "one", "mask_pixels", True), _run(tmp_path / "two")):
        training_run.draw_curves(path)
    titles = [[axes.get_title() for axes in figure.axes] for figure in drawn]
    assert titles == [["Loss", "Mask_pixels"], ["Loss", "Accuracy"]]
    training_run.draw_curves(_watching(tmp_path / "three", "loss", False))
    assert [axes.get_title() for axes in drawn[2].axes] == ["Loss"]


def test_a_resumed_run_of_before_notes_what_it_watches(tmp_path):
    from keras_resnet.tasks import Objectives

    path = _run(tmp_path / "one")
    objectives = Objectives(loss=None, watch="mask_pixels", larger_is_better=True)
    for _ in range(2):
        training_run.note_watched(path, objectives)
        assert training_run.read_watched(path).text(0.5) == "0.5000"
    assert json.loads((path / "environment.json").read_text())["git_commit"] == "abc"  # what there was stays
    (path / "environment.json").unlink()  # killed after recipe.json was written
    training_run.note_watched(path, objectives)
    assert training_run.read_watched(path).watch == "mask_pixels"
    (path / "environment.json").write_text("{")
    with pytest.raises(InputError, match=r"environment\.json is damaged"):
        training_run.read_watched(path)


def test_a_name_that_meant_something_else_is_told_from_todays(tmp_path):
    old, new = _run(tmp_path / "old", optimizer="lamb"), _run(tmp_path / "new", optimizer="lamb", version=3)
    assert comparison.differing_settings(comparison.read([old, new])) == {"optimizer": ["keras-lamb", "lamb"]}


@pytest.mark.parametrize(("values", "scale"), [([0.5, 0.1], "log"), ([0.5, 0.0], "symlog"), ([0.0, 0.0], "linear")])
def test_p23_an_error_of_zero_stays_on_the_chart(values, scale):
    axes = pictures.figure().subplots()
    axes.plot([1, 2], values)
    comparison._scale(axes, comparison._Panel("Error", "accuracy", as_error=True))
    assert axes.get_yscale() == scale
    low, _ = axes.get_ylim()
    assert low <= min(values)
    if scale == "symlog":
        axes.figure.canvas.draw()
        assert axes.transData.transform((2, 0))[1] == pytest.approx(axes.bbox.y0)
