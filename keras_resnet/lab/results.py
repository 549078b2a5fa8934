"""Results of an experiment: results.json and a page."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_resnet import files, pictures
from keras_resnet.lab.setup import Setup
from keras_resnet.page import render
from keras_resnet.page import table as html_table

RESULTS, PAGE = "results.json", "index.html"


@dataclass(frozen=True)
class Table:
    """A table of results.

    Attributes:
        caption: words above the table.
        columns: names of the columns; the first one names the rows.
        rows: cells; None is shown as a dash.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True)
class Chart:
    """A picture with its words.

    Attributes:
        figure: figure of matplotlib.
        alternative: description for people who cannot see the picture.
        data: numbers of the picture, shown as a table below; None where a table of the findings has them.
    """

    figure: Any
    alternative: str
    data: Table | None = None


@dataclass(frozen=True)
class Findings:
    """Findings of an experiment.

    Attributes:
        summary: a sentence or two, with the figures.
        tables: tables of the page; the first one is printed too.
        charts: pictures of the page.
        values: all figures, JSON types.
        passed: whether what the papers say was seen; None where there is nothing to pass.
    """

    summary: str
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    passed: bool | None = None


def write(name: str, title: str, question: str, findings: Findings, setup: Setup, seconds: float) -> Path:
    """Writes both files into `folder_of(name, setup)`, in place of those of an earlier run of that size.

    Args:
        name: name of the experiment.
        title: title of the page.
        question: question that the experiment asks, and its publication.
        findings: findings of the experiment.
        setup: size, data, seeds and folders of the run.
        seconds: seconds of this run, without trainings of earlier ones.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written.
    """
    from keras_resnet.training.run import environment

    folder = folder_of(name, setup)
    recipe = setup.recipe()
    facts = {
        "experiment": name,
        "size": setup.size,
        "command": setup.command,
        "seeds": list(setup.seeds),
        "recipe": json.loads(recipe.dumps()),
        "seconds": round(seconds, 1),
        "environment": environment(None),
    }
    content = {**facts, "summary": findings.summary, "passed": findings.passed, "results": findings.values}
    content["tables"] = [vars(each) for each in findings.tables]
    with files.writing(folder / RESULTS, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    with files.writing(folder / PAGE, overwrite=True) as temporary:
        temporary.write_text(_page(title, question, findings, facts), encoding="utf-8")
    return folder / PAGE


def folder_of(name: str, setup: Setup) -> Path:
    """Folder of an experiment's page: sizes and data sets do not replace each other.

    Args:
        name: name of the experiment.
        setup: size, data, seeds and folders of the run.
    """
    return setup.out / f"{name}-{setup.size}"


def _page(title: str, question: str, findings: Findings, facts: Mapping[str, Any]) -> str:
    machine = facts["environment"]
    made = {
        "command": facts["command"],
        "size": facts["size"],
        "seeds": ", ".join(map(str, facts["seeds"])),
        "time": f"{facts['seconds']:,.0f} s (finished trainings are not repeated)",
        "machine": f"{machine['processor']}, {machine['cores']} cores; Python {machine['python']}",
        "packages": ", ".join(f"{package} {version}" for package, version in machine["packages"].items()),
        "commit": machine["git_commit"],
        "date": machine["date"],
    }
    return render(
        "keras_resnet/experiment.html",
        title=title,
        question=question,
        summary=findings.summary,
        passed=findings.passed,
        tables=[_table(each) for each in findings.tables],
        charts=[
            (pictures.svg(chart.figure, chart.alternative), _table(chart.data) if chart.data else "")
            for chart in findings.charts
        ],
        made=made,
        settings=", ".join(f"{k}={v}" for k, v in facts["recipe"].items() if v not in ("", [], 0, False)),
    )


def _table(each: Table) -> str:
    return html_table(each.caption, each.columns, each.rows)


def print_findings(findings: Findings, written: Path, seconds: float) -> None:
    """Prints the first table, the summary and the path of the page.

    Args:
        findings: findings of the experiment.
        written: path of the page.
        seconds: seconds of this run.
    """
    from keras_resnet import console

    first = findings.tables[0]
    console.print_table(first.caption, first.columns, first.rows)
    print(findings.summary)
    print(f"{written} ({time.strftime('%H:%M:%S', time.gmtime(seconds))} of work)")


def difference(measured: float, published: float | None) -> str | None:
    """Difference in points, with its sign; None where nothing was published.

    Args:
        measured: measured error, a fraction.
        published: published error, in per cent.
    """
    return None if published is None else f"{100 * measured - published:+.2f}"


def error_table(caption: str, rows: Sequence[tuple[str, Sequence, float | None]]) -> Table:
    """Makes a table of training, validation and test errors beside the papers'.

    Args:
        caption: words above the table.
        rows: name, curves (one per seed), published test error in per cent.
    """
    from keras_resnet.lab.setup import mean_and_deviation, percent

    cells = [
        (
            name,
            percent([each.train[-1] for each in curves]),
            percent([each.validation[-1] for each in curves]) if curves[0].validation else None,
            percent([each.test for each in curves]),
            None if published is None else f"{published:.2f}",
            difference(mean_and_deviation([each.test for each in curves])[0], published),
            f"{sum(each.seconds for each in curves):,.0f}",
        )
        for name, curves, published in rows
    ]
    columns = ("net", "training error %", "validation %", "test %", "paper's test %", "difference", "seconds")
    shown = [i for i in range(len(columns)) if any(row[i] is not None for row in cells)]
    return Table(caption, tuple(columns[i] for i in shown), tuple(tuple(row[i] for i in shown) for row in cells))


def error_charts(curves: Mapping[str, Sequence], title: str) -> tuple[Chart, ...]:
    """Draws training and validation error over the epochs: mean over the seeds, with a band of one deviation.

    Args:
        curves: curves by name of the net, one per seed.
        title: title of the charts.
    """
    import numpy as np

    charts = []
    for what, key in (("training error", "train"), ("validation error", "validation")):
        lines, bands, rows = {}, {}, []
        for name, seeds in curves.items():
            values = 100 * np.array([getattr(each, key) for each in seeds])
            if not values.size:
                continue
            epochs = range(1, values.shape[1] + 1)
            lines[name] = (list(epochs), values.mean(axis=0))
            if len(values) > 1:
                bands[name] = values.std(axis=0, ddof=1)
            rows.append((name, *(f"{value:.1f}" for value in values.mean(axis=0)[_ticks(values.shape[1])])))
        if not lines:
            continue
        count = max(len(places) for places, _ in lines.values())
        header = ("net", *(f"epoch {epoch + 1}" for epoch in _ticks(count)))
        made = pictures.lines(f"{title}: {what}", lines, "epoch", "error in %", bands=bands)
        charts.append(Chart(made, f"{what} of {', '.join(lines)} over the epochs", Table(what, header, tuple(rows))))
    return tuple(charts)


def _ticks(count: int, most: int = 12) -> list[int]:
    """Places of at most so many epochs, the last one among them."""
    step = -(-count // most)
    return sorted({*range(step - 1, count, step), count - 1})
