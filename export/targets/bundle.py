"""One folder that works at its target unchanged: the file, its description, code, and what was checked."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from string import Template

import numpy as np

from export import golden, manifest
from export.formats import LABELS, SAMPLES, Artifact
from export.pipeline import export, failures, refuse_flex
from export.proof import FEW
from export.report import Report
from export.source import Evidence, Source
from export.targets import description
from export.targets.table import Target, get_target
from keras_resnet import console
from keras_resnet.builder import multiply_adds
from keras_resnet.engines import Runner
from keras_resnet.errors import GateError, InputError
from keras_resnet.outside import OUTSIDE
from keras_resnet.runners import open_runner

REPORT, README = "report.json", "README.md"
_BUDGET = 60.0  # seconds of a slow engine
AGREEMENT = 0.995  # of another engine's top-1 with our own runner's


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for.

    Attributes:
        source: the model and its data.
        target: where it goes.
        made: the file.
        options: of the target, by name; only those that were given.
    """

    source: Source
    target: Target
    made: Artifact
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of the file's input."""
        return (*self.made.size_of(self.source.image_shape), self.source.image_shape[-1])


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was tried at the target, or why it was not.

    Attributes:
        name: what.
        wanted: in words or figures.
        found: likewise; the reason where it was not tried.
        passed: None where it was not tried.
    """

    name: str
    wanted: str
    found: str
    passed: bool | None

    @property
    def verdict(self) -> str:
        """For people."""
        return {True: "held", False: "FAILED", None: "not run here"}[self.passed]

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return {"name": self.name, "wanted": self.wanted, "found": self.found, "passed": self.passed}


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A folder with the file and its description, which a target's module completes.

    Attributes:
        request: what was asked for.
        folder: where everything goes.
        file: the exported file.
        model: what `model.json` holds.
        runner: of the file, on our own engine.
        evidence: at most 500 test images.
        say: told what is being done.
    """

    request: Request
    folder: Path
    file: Path
    model: Mapping[str, object]
    runner: Runner
    evidence: Evidence
    say: Callable[[str], None]

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of our own engine on the evidence: `(n, classes)`."""
        return self.evidence.run(self.runner, self.runner.card.preprocess)[self.runner.output.name]

    @property
    def golden(self) -> Path:
        """The golden vectors beside the file."""
        return golden.beside(self.file)

    def add(self, name: str, text: str) -> None:
        """Writes a text file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def agreement(self, name: str, probabilities: np.ndarray, least: float = AGREEMENT) -> Check:
        """Whether another way to run the file picks our own runner's classes.

        Args:
            name: of the check.
            probabilities: `(n, classes)` of the first n images of the evidence.
            least: share of equal top-1 classes.
        """
        own = self.probabilities[: len(probabilities)]
        share = float((own.argmax(axis=1) == probabilities.argmax(axis=1)).mean())
        right = ""
        if self.evidence.labels is not None:
            labels = self.evidence.labels[: len(probabilities)]
            right = f"; top-1 {(probabilities.argmax(axis=1) == labels).mean():.2%}"
        apart = float(np.abs(own - probabilities).max())
        found = f"{share:.2%} of {len(own)} images{right}; largest difference {apart:.2g}"
        return Check(name=name, wanted=f"top-1 of our own runner on {least:.1%}", found=found, passed=share >= least)

    def affordable(self, seconds: float, most: int) -> int:
        """How many images a slow engine is asked for: what takes about a minute, and no fewer than two.

        Args:
            seconds: that it takes for a billion multiply-adds.
            most: images.
        """
        try:
            billions = multiply_adds(self.request.source.model) / 1e9
        except InputError:
            billions = 1.0
        return int(min(most, max(2, _BUDGET / (seconds * max(billions, 1e-6)))))

    def on(self, engine: str, count: int = FEW) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        """Probabilities of an outside engine on the first images, and what else it knows.

        Raises:
            InputError: the engine refuses the file.
        """
        self.say(f"{self.request.target.name}: running {count} images on {OUTSIDE[engine].summary}")
        other = open_runner(self.file, engine=engine, trusted=True)
        few = Evidence(self.evidence.pixels[:count], None, "")
        return few.run(other, other.card.preprocess)[other.output.name], other.facts


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of it.

    Attributes:
        report: the file beside Keras.
        checks: at the target; empty where the file failed already.
        folder: with everything; its name ends in `.failed` where something failed.
    """

    report: Report
    checks: tuple[Check, ...]
    folder: Path

    @property
    def passed(self) -> bool:
        """Nothing failed; what was not run did not."""
        return self.report.passed and all(check.passed is not False for check in self.checks)

    def to_json(self) -> dict[str, object]:
        """JSON types."""
        return {"file": self.report.to_json()[0], "checks": [check.to_json() for check in self.checks]}

    def print(self) -> None:
        """Prints both tables."""
        self.report.print()
        rows = [[check.name, check.wanted, check.found, check.verdict] for check in self.checks]
        if rows:
            console.print_table("at the target", ["check", "wanted", "found", "verdict"], rows)

    def raise_if_failed(self) -> None:
        """Turns what failed into an exit status.

        Raises:
            GateError: a gate of the file or a check at the target.
        """
        if not self.passed:
            found = [failures(row) for row in self.report.rows if not row.passed]
            found += [f"{check.name}: {check.found}" for check in self.checks if check.passed is False]
            raise GateError(f"{self.folder}: {'; '.join(found)}")


def refused(name: str, error: InputError) -> Check:
    """A check whose engine did not take the file."""
    return Check(name=name, wanted="answers", found=str(error)[:300], passed=False)


def not_run(name: str, why: str) -> Check:
    """A check that could not be tried."""
    return Check(name=name, wanted="", found=why, passed=None)


def make_bundle(
    source: Source,
    target: str,
    folder: Path,
    *,
    precision: str | None = None,
    io: str | None = None,
    input: str | None = None,
    quantizer: str | None = None,
    options: Mapping[str, object] | None = None,
    overwrite: bool = False,
    samples: int = SAMPLES,
    calibrate_with: Path | None = None,
    limit: int | None = None,
    gates: Mapping[str, float] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Makes the folder for a target.

    Everything is written into a hidden folder beside it, which gets its name when it is complete; where a gate or a
    check fails the name is `FOLDER.failed`, and what had the name before is untouched.

    Args:
        source: the model and its data.
        target: row of `TARGETS`.
        folder: to make.
        precision: by default the target's first.
        io: dtype of input and output; by default the target's first.
        input: of `formats.INPUTS`; by default the target's first.
        quantizer: by default the precision's first.
        options: of the target.
        overwrite: replace an existing folder that an export made.
        samples: images to calibrate with.
        calibrate_with: a folder of images in place of these.
        limit: test images to verify with at most.
        gates: limits that replace those of `verify.TOLERANCES`.
        say: told what is being done.

    Returns:
        The tables.

    Raises:
        InputError: the model cannot meet the contract, or the name is taken. Nothing was written then.

    Example:
        >>> from export import load_source, make_bundle  # doctest: +SKIP
        >>> make_bundle(load_source("model.keras"), "mediapipe", Path("for-mediapipe"))  # doctest: +SKIP
    """
    row = get_target(target)
    made = row.artifact(precision, io=io, input=input, quantizer=quantizer)
    request = Request(source=source, target=row, made=made, options=dict(options or {}))
    _refuse(request, folder, overwrite)
    with _hidden(folder) as hidden:
        report = export(
            source,
            [(made, made.file(hidden / row.place, source.name))],
            samples=samples,
            calibrate_with=calibrate_with,
            limit=limit,
            gates=gates,
            say=say,
        )
        file = Path(report.rows[0].file)
        report = Report((report.rows[0].renamed(file.name),), report.model, report.evidence)
        checks = ()
        if report.passed:
            checks = _completed(request, hidden, file, report, limit, say)
        result = Result(report=report, checks=checks, folder=folder)
        if not result.passed:
            result = Result(report=report, checks=checks, folder=folder.with_name(f"{folder.name}.failed"))
        console.write_json(hidden / REPORT, result.to_json())
        _name(hidden, result.folder)
    return result


def _refuse(request: Request, folder: Path, overwrite: bool) -> None:
    """What no target can meet."""
    if folder.exists() and not overwrite:
        raise InputError(f"{folder} exists: choose another name or pass --overwrite")
    if folder.exists() and not (folder / REPORT).exists():
        raise InputError(f"{folder} was not made by an export (it has no {REPORT}): choose another name")
    unknown = set(request.options) - set(request.target.options)
    if unknown:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(unknown))
        raise InputError(f"--target {request.target.name} has no {names}")
    if request.source.image_shape[-1] != 3:
        raise InputError(
            f"--target {request.target.name} hands over RGB images, and the model takes "
            f"{request.source.image_shape[-1]} channels: load its weights into a net of three "
            "(weights_match='adapt', input_shape=(height, width, 3))"
        )
    if request.made.format.name == "tflite":
        refuse_flex(request.source.model)
    request.target.code.refuse(request)


def _completed(request: Request, folder: Path, file: Path, report: Report, limit: int | None, say) -> tuple[Check, ...]:
    """Description, the target's own files, README."""
    runner = open_runner(file, threads=1, trusted=True)
    contents = request.made.format.module.describe(file)
    model = description.describe(runner, request.made, contents, file)
    description.write(file.parent, model, runner.card)
    bundle = Bundle(
        request=request,
        folder=folder,
        file=file,
        model=model,
        runner=runner,
        evidence=request.source.evidence(min(limit or FEW, FEW)),
        say=say,
    )
    checks = tuple(request.target.code.write(bundle))
    bundle.add(README, _readme(bundle, report, checks))
    return checks


@contextlib.contextmanager
def _hidden(folder: Path) -> Iterator[Path]:
    """A folder beside; gone where the block fails."""
    hidden = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        hidden.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}; choose another place") from error
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _name(hidden: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    hidden.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


_README = """# $name for $target

$summary

| | |
| --- | --- |
| file | `$file`, $size |
| network | $spec, $precision |
| input | `$input_name` $input_shape $input_dtype: $input_words |
| output | `$output_name` $output_shape $output_dtype |
| classes | $classes ($labels) |
| beside Keras | $figures |

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
    LABELS: "names of the classes, one per line",
    REPORT: "all figures and gates, for machines",
}


def _readme(bundle: Bundle, report: Report, checks: tuple[Check, ...]) -> str:
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
    words, steps = facts(bundle), Path(__file__).with_name("readme") / f"{target.name}.md"
    return Template(_README).substitute(
        words,
        target=target.name,
        summary=f"For {target.summary}; made by `python -m export --target {target.name}`.",
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


def facts(bundle: Bundle) -> dict[str, str]:
    """What templates of code and text may use."""
    model = bundle.model
    image, output = model["input"], model["output"]
    mean, std = image["mean"], image["std"]
    order = image["channels"].upper()
    words = f"{order} pixels 0..255" if set(mean) == {0.0} and set(std) == {1.0} else f"({order} - {mean}) / {std}"
    if image["scale"]:
        words += f", quantized: round(value / {image['scale']:.9g}) + {image['zero_point']}"
    return {
        "name": bundle.request.source.name,
        "file": bundle.file.name,
        "spec": str(model["spec"] or bundle.request.source.name),
        "height": str(image["height"]),
        "width": str(image["width"]),
        "input_name": image["name"],
        "input_shape": "x".join(map(str, image["shape"])),
        "input_dtype": image["dtype"],
        "input_words": words,
        "output_name": output["name"],
        "output_shape": "x".join(map(str, output["shape"])),
        "output_dtype": output["dtype"],
        "classes": str(output["shape"][-1]),
        "labels": ", ".join(bundle.runner.card.labels[:4]) + (", ..." if len(bundle.runner.card.labels) > 4 else ""),
    }


def _figures(row) -> str:
    words = [f"top-1 agreement {row.agreement:.2%}"]
    if row.top1 is not None:
        words.append(f"accuracy {row.top1:.2%} (Keras {row.top1_reference:.2%})")
    if row.latency_ms is not None:
        words.append(f"{row.latency_ms:.3g} ms an image on one thread of this machine")
    return ", ".join(words)


def _short(value: str) -> str:
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return value
