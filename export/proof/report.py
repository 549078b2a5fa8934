"""What an export found: a table for the terminal, JSON for machines, one HTML page for people."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export.formats.precisions import PRECISIONS
from export.proof.gates import Gate
from keras_resnet import console, files, machine
from keras_resnet.page import render
from keras_resnet.tasks import Score, get_task
from keras_resnet.tasks.table import DEFAULT


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file and what was found out about it.

    Attributes:
        file: name of the file.
        format: row of `FORMATS`.
        precision: row of `PRECISIONS`.
        quantizer: program that quantized; empty where none did or nobody knows.
        input: input convention, one of `INPUTS`.
        io: dtype of the input.
        engine: runtime that ran the file.
        size_bytes: size of the file in bytes.
        operators: number of operators by name.
        unfolded: batch normalisations that are operators of their own; None where that cannot be counted.
        notes: sentences that a person should know.
        max_abs: largest difference of a value of the most important output from Keras.
        cosine: mean cosine similarity of an example's values in the most important output.
        sqnr: signal to noise in dB, by output.
        agreement: mean agreement with the answers of Keras, 0 to 1.
        score: headline figure of the task as a fraction, None without truth.
        score_reference: headline figure of Keras on the same examples.
        drop: headline figure of Keras less the file's, in points.
        drop_error: half the width of the drop's 95 % confidence interval (paired).
        drop_interval: its ends in points, over samples of the examples; None where it is not known.
        latency_ms: median of repeated runs, one example, one thread.
        gates: checks.
        task: row of `TASKS`.
        outputs: `proof.comparison.Figures` by output.
        processor: processor that ran the file; empty in rows that were read from a report of before.
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
    score: float | None
    score_reference: float | None
    drop: float | None
    drop_error: float | None
    latency_ms: float | None
    gates: tuple[Gate, ...]
    task: str = "classification"
    outputs: dict[str, dict[str, float]] = field(default_factory=dict)
    processor: str = ""
    drop_interval: tuple[float, float] | None = None

    @property
    def kind(self) -> str:
        """`int8`, or `int8 (litert)`."""
        return f"{self.precision} (litert)" if self.quantizer == "litert" else self.precision

    @property
    def file_name(self) -> str:
        """Name of the file without its folder."""
        return Path(self.file).name

    @property
    def words_of_input(self) -> str:
        """Convention and dtype of the input."""
        return f"{self.input} {self.io}"

    @property
    def passed(self) -> bool:
        """All gates held."""
        return all(gate.passed for gate in self.gates)

    @property
    def verdict(self) -> str:
        """`passed`, or the gates that did not hold; and what so few examples cannot decide."""
        failed = [gate.name for gate in self.gates if not gate.passed]
        said = f"FAILED: {', '.join(failed)}" if failed else f"passed ({len(self.gates)})"
        return "; ".join([said, *(f"{gate.name} {gate.undecided}" for gate in self.gates if gate.undecided)])

    def renamed(self, file: str) -> Row:
        """The same row for the name that the file got."""
        return dataclasses.replace(self, file=file)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        key = get_task(self.task).score.key
        names = {"score": key, "score_reference": f"{key}_reference"}
        fields = {names.get(each.name, each.name): getattr(self, each.name) for each in dataclasses.fields(self)}
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

    @property
    def table(self) -> list[dict[str, object]]:
        """A record for each file with the figures as people read them: `pandas.DataFrame(report.table)`."""
        columns = _figures(self.rows)
        return [
            {
                "file": row.file,
                "precision": row.kind,
                **dict(zip(columns, _cells(row), strict=True)),
                "gates": row.verdict,
            }
            for row in self.rows
        ]

    def _repr_html_(self) -> str:
        """The table, for notebooks."""
        from html import escape

        records = self.table
        head = "".join(f"<th>{escape(name)}</th>" for name in records[0])
        cells = ("".join(f"<td>{escape('–' if v is None else str(v))}</td>" for v in each.values()) for each in records)
        lines = "".join(f"<tr>{line}</tr>" for line in cells)
        words = escape(f"{self.model}, verified on {self.evidence}")
        return f"<table><caption>{words}</caption><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"

    @property
    def processor(self) -> str:
        """The processors that ran the files, and what that means for those in integers."""
        names = ", ".join(dict.fromkeys(row.processor for row in self.rows if row.processor))
        small = any(PRECISIONS[row.precision].tolerance.outliers for row in self.rows)
        other = f"; accuracy in 8 bits may differ by {machine.INT8_POINTS} points on another"
        return names + (other if names and small else "")

    def print(self) -> None:
        """Prints the table."""
        columns = ("file", "precision", "input", *_figures(self.rows), "gates")
        several = len(self.rows) > 1
        rows = [
            [row.file_name if several else row.file, row.kind, row.words_of_input, *_cells(row), row.verdict]
            for row in self.rows
        ]
        place = f", in {Path(self.rows[0].file).parent}" if several else ""
        console.print_table(f"{self.model}, verified on {self.evidence}{place}", columns, rows)
        if self.processor:
            print(f"processor: {self.processor}")
        for note, files_ in self._notes().items():
            print(f"note: {', '.join(files_)}: {console.visible(note)}")

    def _notes(self) -> dict[str, list[str]]:
        """The files' precisions by note; a note that is every file's is said of all."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            for note in row.notes:
                found.setdefault(note, []).append(f"{row.format} {row.kind}")
        everywhere = {note for note, kinds in found.items() if len(kinds) == len(self.rows) > 1}
        return {note: ["all"] if note in everywhere else kinds for note, kinds in found.items()}

    def write_html(self, path: Path, *, overwrite: bool = False) -> None:
        """Writes a page that needs nothing but itself.

        Args:
            path: file.
            overwrite: replace an existing file.
        """
        text = render(
            "export/report.html",
            title="Export report",
            report=self,
            date=time.strftime("%Y-%m-%d %H:%M"),
            verdict="All files passed their gates." if self.passed else "Some files FAILED their gates.",
            figures=_figures(self.rows),
            charts=[_chart(self.rows, *chart) for chart in _charts(self.rows)],
            rows=[(row, _cells(row)) for row in self.rows],
        )
        with files.writing(path, overwrite=overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _score(rows: Sequence[Row]) -> Score:
    return get_task(rows[0].task).score


def _figures(rows: Sequence[Row]) -> tuple[str, ...]:
    """Names of the columns of figures."""
    return ("kB", "max abs", "SQNR dB", "agree", _score(rows).name, "in Keras", "drop, points", "ms")


def _cells(row: Row) -> list[str | None]:
    """Figures of a row as text, in the order of `_figures`."""

    def text(value: float | None, form: str) -> str | None:
        return None if value is None else format(value, form)

    error = "" if row.drop_error is None else f" ± {row.drop_error:.2f}"
    return [
        f"{row.size_bytes / 1000:,.1f}",
        text(row.max_abs, ".2g"),
        text(next(iter(row.sqnr.values()), None), ".1f"),
        text(row.agreement, ".2%"),
        _score([row]).text(row.score),
        _score([row]).text(row.score_reference),
        None if row.drop is None else f"{row.drop:.2f}{error}",
        text(row.latency_ms, ".3g"),
    ]


def _charts(rows: Sequence[Row]):
    """Title, unit, value of a row and its text."""
    score = _score(rows)
    title, noun = ("Accuracy", "images") if rows[0].task == DEFAULT else ("Score", "examples")
    return (
        ("Size", "kB, smaller is better", lambda row: row.size_bytes / 1000, lambda v: f"{v:,.1f} kB"),
        ("Latency", "ms for one image on one thread, median", lambda row: row.latency_ms, lambda v: f"{v:.3g} ms"),
        (title, f"{score.name} on the {noun} named above", lambda row: row.score, score.text),
    )


def _chart(rows: Sequence[Row], title: str, unit: str, value: Callable, text: Callable) -> dict[str, object]:
    """Bars of a chart: row, width in percent, text; None for what is not known."""
    values = [value(row) for row in rows]
    largest = max((v for v in values if v is not None), default=0) or 1
    pairs = zip(rows, values, strict=True)
    bars = [(row, None, None) if v is None else (row, 100 * v / largest, text(v)) for row, v in pairs]
    return {"title": title, "unit": unit, "bars": bars}
