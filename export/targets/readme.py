"""The README of a bundle: what the file is, the steps at its target, what was checked, what the files are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from export.formats.artifacts import LABELS
from export.making import manifest
from export.proof.report import Report, Row
from export.targets import description
from export.targets.bundle import Bundle, Check
from keras_resnet.tasks import get_task
from keras_resnet.tasks.table import DEFAULT
from keras_resnet.untrusted import visible

README, REPORT = "README.md", "report.json"
_README = """# $name for $target

$summary

| | |
| --- | --- |
| file | `$file`, $size |
| network | $spec, $precision |
| input | `$input_name` $input_shape $input_dtype: $input_words |
| output | $outputs |
| $kind | $classes ($labels) |
| beside Keras | $figures |

Photographs are turned upright, as their EXIF entry says, before they are cut and resized.

## Use it

$steps

## What was checked

On $evidence, when the folder was made:

| check | wanted | found | verdict |
| --- | --- | --- | --- |
$checks

## Files

$files
"""
_FILES = {
    description.MODEL: "what an app must know of the file: shapes, dtypes, scales, mean and standard deviation",
    description.GOLDEN: "vectors for an app to test itself with: pixels, input, output",
    LABELS: "names of the classes, tags or values, one per line",
    REPORT: "all figures and gates, for machines",
}


def text(bundle: Bundle, report: Report, checks: tuple[Check, ...]) -> str:
    """The README.

    Args:
        bundle: folder with all files.
        report: figures of the file.
        checks: checks at the target.
    """
    row, target = report.rows[0], bundle.request.target
    gates = [[gate.name, str(gate.limit), str(gate.value), gate.passed] for gate in row.gates]
    verdicts = {True: "held", False: "FAILED", None: "not run here"}
    lines = [f"| {name} | {wanted} | {_short(found)} | {verdicts[passed]} |" for name, wanted, found, passed in gates]
    lines += [f"| {c.name} | {c.wanted} | {c.found} | {c.verdict} |" for c in checks]
    files = _FILES | {
        bundle.file.name: "the model",
        manifest.beside(bundle.file).name: "where it comes from: versions, hashes, calibration images, figures",
        bundle.golden.name: "the golden vectors for NumPy",
    }
    files |= getattr(target.code, "FILES", {})
    written = {path.relative_to(bundle.folder).as_posix() for path in bundle.folder.rglob("*") if path.is_file()}
    words, steps = _facts(bundle), Path(__file__).with_name("steps") / f"{target.name}-{bundle.task}.md"
    if not steps.exists():
        steps = steps.with_name(f"{target.name}.md")
    return Template(_README).substitute(
        words,
        target=target.name,
        summary=f"For {target.summary}; made by `keras-resnet export bundle --place {target.name}`.",
        size=f"{row.size_bytes:,} bytes",
        precision=row.kind,
        figures=_figures(row),
        evidence=report.evidence,
        steps=Template(steps.read_text(encoding="utf-8")).substitute(words).strip(),
        checks="\n".join(lines),
        files="\n".join(_listed(sorted({*written, REPORT}), files)),
    )


def _listed(names: list[str], files: Mapping[str, str]) -> Iterator[str]:
    """Those that have a description."""
    for name in names:
        words = files.get(name) or files.get(Path(name).name)
        if words:
            yield f"* `{name}`: {words}"


def _facts(bundle: Bundle) -> dict[str, str]:
    """What a template of steps may use."""
    model = bundle.model
    numbers = description.numbers(bundle.runner.card, model["output"]["shape"][-1])
    image, output = model["input"], model["output"]
    mean, std = image["mean"], image["std"]
    order = image["channels"].upper()
    words = f"{order} pixels 0..255" if set(mean) == {0.0} and set(std) == {1.0} else f"({order} - {mean}) / {std}"
    if image["scale"]:
        words += f", quantized: round(value / {image['scale']:.9g}) + {image['zero_point']}"
    found = {
        "name": bundle.request.source.name,
        "file": bundle.file.name,
        "spec": str(model["spec"] or bundle.request.source.name),
        "height": str(image["height"]),
        "width": str(image["width"]),
        "input_name": image["name"],
        "input_shape": "x".join(map(str, image["shape"])),
        "input_dtype": image["dtype"],
        "input_words": words,
        "output_shape": "x".join(map(str, output["shape"])),
        "classes": str(len(numbers.names)),
        "threshold": f"{bundle.runner.card.facts.get('threshold', 0.0):g}",  # of a detector
        "kind": numbers.noun,
        "labels": ", ".join(numbers.names[:4]) + (", ..." if len(numbers.names) > 4 else ""),
    }
    plain = {name: _plain(value) for name, value in found.items()}
    # Names of outputs are code, and what is in them was made plain before.
    return plain | {"outputs": ", ".join(_tensor(each) for each in model.get("outputs", {"": output}).values())}


def _tensor(tensor: Mapping[str, Any]) -> str:
    """An output: name, shape, dtype."""
    return f"`{_plain(tensor['name'])}` {'x'.join(map(str, tensor['shape']))} {tensor['dtype']}"


def _plain(text: str) -> str:
    """A text of a card as a cell of a table: nothing in it is Markdown, HTML or a control character."""
    return visible(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _figures(row: Row) -> str:
    score = get_task(row.task).score
    words = [f"{'top-1 ' if row.task == DEFAULT else ''}agreement {row.agreement:.2%}"]
    if row.score is not None and row.score_reference is not None:
        name = "accuracy" if row.task == DEFAULT else score.name
        words.append(f"{name} {score.text(row.score)} (Keras {score.text(row.score_reference)})")
    if row.latency_ms is not None:
        words.append(f"{row.latency_ms:.3g} ms an image on one thread of this machine")
    if row.processor:
        words.append(f"run by {row.engine} on {row.processor}")
    return ", ".join(words)


def _short(value: str) -> str:
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return value
