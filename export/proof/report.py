"""What an export found: a table for the terminal, JSON for machines, one HTML page for people."""

from __future__ import annotations

import dataclasses
import html
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from export.proof.gates import Gate
from keras_resnet import console, files
from keras_resnet.page import page


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file and what was found out about it.

    Attributes:
        file: its name.
        format: row of `FORMATS`.
        precision: row of `TOLERANCES`.
        quantizer: that made it; empty where none did or nobody knows.
        input: of `formats.INPUTS`.
        io: dtype of the input.
        engine: that ran it.
        size_bytes: of the file.
        operators: how many of each.
        unfolded: batch normalisations that are operators of their own; None where that cannot be counted.
        notes: what a person should know.
        max_abs: largest difference of a probability from Keras.
        cosine: mean cosine similarity of output rows.
        sqnr: signal to noise in dB, by output.
        agreement: share of images with Keras' top-1 class.
        top1: accuracy, None without labelled images.
        top1_reference: Keras' accuracy on the same images.
        drop: Keras' accuracy less the file's, in points.
        drop_error: half the width of the drop's 95 % confidence interval (paired).
        latency_ms: median of repeated runs, one image, one thread.
        gates: the checks.
    """

    file: str
    format: str
    precision: str
    quantizer: str
    input: str
    io: str
    engine: str
    size_bytes: int
    operators: dict[str, int]
    unfolded: int | None
    notes: tuple[str, ...]
    max_abs: float | None
    cosine: float | None
    sqnr: dict[str, float]
    agreement: float | None
    top1: float | None
    top1_reference: float | None
    drop: float | None
    drop_error: float | None
    latency_ms: float | None
    gates: tuple[Gate, ...]

    @property
    def kind(self) -> str:
        """`int8`, or `int8 (litert)`."""
        return f"{self.precision} (litert)" if self.quantizer == "litert" else self.precision

    @property
    def passed(self) -> bool:
        """All gates held."""
        return all(gate.passed for gate in self.gates)

    @property
    def verdict(self) -> str:
        """`passed`, or the gates that did not hold."""
        failed = [gate.name for gate in self.gates if not gate.passed]
        return f"FAILED: {', '.join(failed)}" if failed else f"passed ({len(self.gates)})"

    def renamed(self, file: str) -> Row:
        """The same row for the name that the file got."""
        return dataclasses.replace(self, file=file)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "gates": [gate.to_json() for gate in self.gates]}


@dataclass(frozen=True)
class Report:
    """The files of one export, and what they were compared with.

    Attributes:
        rows: one per file.
        model: which model was exported, in words.
        evidence: which images were used, in words.
    """

    rows: tuple[Row, ...]
    model: str
    evidence: str

    @property
    def passed(self) -> bool:
        """All gates of all files held."""
        return all(row.passed for row in self.rows)

    def to_json(self) -> list[dict[str, object]]:
        """One object per file."""
        return [row.to_json() for row in self.rows]

    def print(self) -> None:
        """Prints the table."""
        columns = ("file", "precision", "input", *_FIGURES, "gates")
        several = len(self.rows) > 1
        rows = [
            [Path(row.file).name if several else row.file, row.kind, _input(row), *_cells(row), row.verdict]
            for row in self.rows
        ]
        place = f", in {Path(self.rows[0].file).parent}" if several else ""
        console.print_table(f"{self.model}, verified on {self.evidence}{place}", columns, rows)
        for note, files_ in self._notes().items():
            print(f"note: {', '.join(files_)}: {note}")

    def _notes(self) -> dict[str, list[str]]:
        """The files' precisions by note; a note that is every file's is said of all."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            for note in row.notes:
                found.setdefault(note, []).append(f"{row.format} {row.kind}")
        everywhere = {note for note, kinds in found.items() if len(kinds) == len(self.rows) > 1}
        return {note: ["all"] if note in everywhere else kinds for note, kinds in found.items()}

    def write_html(self, path: Path, *, overwrite: bool = False) -> None:
        """Writes a page that needs nothing but itself."""
        body = Template(_BODY).substitute(
            model=html.escape(self.model),
            evidence=html.escape(self.evidence),
            date=time.strftime("%Y-%m-%d %H:%M"),
            verdict="All files passed their gates." if self.passed else "Some files FAILED their gates.",
            verdict_class="good" if self.passed else "bad",
            figures="".join(f'<th scope="col" class="number">{name}</th>' for name in _FIGURES),
            charts="".join(_chart(self.rows, *chart) for chart in _CHARTS),
            rows="".join(_table_row(row) for row in self.rows),
            details="".join(_details(row) for row in self.rows),
        )
        with files.writing(path, overwrite=overwrite) as temporary:
            temporary.write_text(page("Export report", body), encoding="utf-8")


_FIGURES = ("kB", "max abs", "SQNR dB", "agree", "top-1", "drop, points", "ms")


def _input(row: Row) -> str:
    return f"{row.input} {row.io}"


def _cells(row: Row) -> list[str | None]:
    """The figures of a row as text, in the order of `_FIGURES`."""

    def text(value: float | None, form: str) -> str | None:
        return None if value is None else format(value, form)

    return [
        f"{row.size_bytes / 1000:,.1f}",
        text(row.max_abs, ".2g"),
        text(row.sqnr.get("probabilities"), ".1f"),
        text(row.agreement, ".2%"),
        text(row.top1, ".2%"),
        None if row.drop is None else f"{row.drop:.2f} ± {row.drop_error:.2f}",
        text(row.latency_ms, ".3g"),
    ]


_CHARTS: tuple[tuple[str, str, Callable[[Row], float | None], Callable[[float], str]], ...] = (
    ("Size", "kB, smaller is better", lambda row: row.size_bytes / 1000, lambda v: f"{v:,.1f} kB"),
    ("Latency", "ms for one image on one thread, median", lambda row: row.latency_ms, lambda v: f"{v:.3g} ms"),
    ("Accuracy", "top-1 on the images named above", lambda row: row.top1, lambda v: f"{v:.2%}"),
)


def _name(row: Row) -> str:
    return html.escape(f"{row.format} {row.kind}")


def _chart(rows, title: str, unit: str, value: Callable[[Row], float | None], text: Callable[[float], str]) -> str:
    values = [value(row) for row in rows]
    largest = max((v for v in values if v is not None), default=0) or 1
    bars = "".join(
        f'<tr><th scope="row">{_name(row)}</th><td class="track"><span class="bar {row.format}" '
        f'style="width:{100 * v / largest:.1f}%"></span></td><td class="number">{text(v)}</td></tr>'
        if v is not None
        else f'<tr><th scope="row">{_name(row)}</th><td class="track"></td><td class="number">not known</td></tr>'
        for row, v in zip(rows, values, strict=True)
    )
    return f'<section><h2>{title}</h2><table class="chart"><caption>{unit}</caption>{bars}</table></section>'


def _table_row(row: Row) -> str:
    cells = "".join(f'<td class="number">{"–" if cell is None else html.escape(cell)}</td>' for cell in _cells(row))
    verdict = f'<td class="{"good" if row.passed else "bad"}">{html.escape(row.verdict)}</td>'
    words = "".join(f"<td>{html.escape(text)}</td>" for text in (row.kind, _input(row)))
    return f'<tr><th scope="row">{html.escape(Path(row.file).name)}</th>{words}{cells}{verdict}</tr>'


def _details(row: Row) -> str:
    operators = ", ".join(f"{count} {name}" for name, count in row.operators.items())
    gates = "".join(
        f'<li class="{"good" if gate.passed else "bad"}">{"held" if gate.passed else "FAILED"}: '
        f"{html.escape(gate.name)} {_figure(gate.value)} (limit {_figure(gate.limit)})</li>"
        for gate in row.gates
    )
    notes = "".join(f"<p>Note: {html.escape(note)}.</p>" for note in row.notes)
    noise = ", ".join(f"{name} {value:.1f} dB" for name, value in row.sqnr.items())
    return (
        f"<details><summary>{html.escape(row.file)}</summary>{notes}<p>Operators: {html.escape(operators)}</p>"
        f"<p>Engine: {row.engine}. Signal to quantization noise: {html.escape(noise)}</p><ul>{gates}</ul></details>"
    )


def _figure(value: float | str) -> str:
    return html.escape(f"{value:.6g}" if isinstance(value, float) else str(value))


_BODY = """<h1>Export report</h1>
<p>$model<br>verified on $evidence, $date</p>
<p class="$verdict_class">$verdict</p>
<div class="scroll"><table class="list">
<caption>Every file, compared with the Keras model it was made from</caption>
<thead><tr><th scope="col">file</th><th scope="col">precision</th><th scope="col">input</th>$figures
<th scope="col">gates</th></tr></thead>
<tbody>$rows</tbody>
</table></div>
$charts
<section><h2>Gates and operators</h2>$details</section>
"""
