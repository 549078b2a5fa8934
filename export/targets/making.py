"""The steps from a model to the folder of a target."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.formats.artifacts import SAMPLES
from export.making.pipeline import export, failures, refuse_flex
from export.model.outputs import require_classes
from export.model.source import Source
from export.proof.report import Report
from export.proof.verification import FEW
from export.targets import description, readme
from export.targets.bundle import Bundle, Check, Request
from export.targets.readme import README, REPORT
from export.targets.table import get_target
from keras_resnet import console, files
from keras_resnet.errors import GateError, InputError
from keras_resnet.runtime.opening import open_runner


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of it.

    Attributes:
        report: the file beside Keras.
        checks: checks at the target; empty where the file failed already.
        folder: folder with everything; the name ends in `.failed` where something failed.
    """

    report: Report
    checks: tuple[Check, ...]
    folder: Path

    @property
    def passed(self) -> bool:
        """Nothing failed; what was not run did not."""
        return self.report.passed and all(check.passed is not False for check in self.checks)

    def to_json(self) -> dict[str, Any]:
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


def make_bundle(
    source: Source,
    target: str,
    folder: Path,
    *,
    precision: str | None = None,
    io: str | None = None,
    input: str | None = None,
    quantizer: str | None = None,
    options: Mapping[str, Any] | None = None,
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
        folder: folder to make.
        precision: row of `PRECISIONS`; by default the target's first.
        io: dtype of input and output; by default the target's first.
        input: one of `INPUTS`; by default the target's first.
        quantizer: program that quantizes; by default the precision's first.
        options: options of the target by name.
        overwrite: replace an existing folder that an export made.
        samples: number of representative samples.
        calibrate_with: folder of images in place of these samples.
        limit: number of test images to verify with at most.
        gates: limits that replace others, by the names in `proof.gates.LIMITS`.
        say: function that is told what is being done.

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
    made = dataclasses.replace(made, form=row.forms.get(source.card.task, ""))
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
        checks: tuple[Check, ...] = ()
        if report.passed:
            checks = _completed(request, hidden, file, report, limit, say)
        result = Result(report=report, checks=checks, folder=folder)
        if not result.passed:
            result = Result(report=report, checks=checks, folder=_failed(folder))
        console.write_json(hidden / REPORT, result.to_json())
        _name(hidden, result.folder)
    return result


def _failed(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.failed")


def _refuse(request: Request, folder: Path, overwrite: bool) -> None:
    """What no target can meet."""
    if not folder.name:
        raise InputError(f"{folder}: expected the name of a folder to make")
    if folder.exists() and not overwrite:
        raise InputError(f"{folder} exists: choose another name or pass --overwrite")
    for each in (folder, _failed(folder)):
        if each.exists() and not (each / REPORT).exists():
            raise InputError(f"{each} was not made by an export (it has no {REPORT}): choose another name")
    fit = request.source.card.fit
    if fit not in request.target.fits:
        raise InputError(
            f"{request.target.name} cuts out the central part of a picture, and the net was trained with fit={fit}: "
            "train it with --set fit=crop, or take --place onnxruntime"
        )
    unknown = set(request.options) - set(request.target.options)
    if unknown:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(unknown))
        raise InputError(f"--place {request.target.name} has no {names}")
    require_classes(request.source.card, f"--place {request.target.name}", request.target.tasks)
    if request.source.shape[-1] != 3:
        raise InputError(
            f"--place {request.target.name} hands over RGB images, and the model takes "
            f"{request.source.shape[-1]} channels: load its weights into a net of three "
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
    bundle.add(README, readme.text(bundle, report, checks))
    return checks


@contextlib.contextmanager
def _hidden(folder: Path) -> Iterator[Path]:
    """A folder beside; gone where the block fails."""
    real = Path(os.path.realpath(folder))
    hidden = real.with_name(f".{real.name}.partial")
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        hidden.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}; choose another place") from error
    try:
        with files.told_if_full(folder):
            yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _name(hidden: Path, folder: Path) -> None:
    folder = Path(os.path.realpath(folder))  # a link stays
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    hidden.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
