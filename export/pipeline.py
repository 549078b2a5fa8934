"""The steps of an export: load, calibrate, convert, verify, report."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from export import calibration, worker
from export.formats import CALIBRATED, SAMPLES, Artifact, format_of
from export.report import Report, Row
from export.source import Evidence, Source
from export.verify import Gate, check, identity_gates, latency_ms
from keras_resnet import files
from keras_resnet.errors import GateError, InputError
from keras_resnet.runners import KerasRunner, open_runner
from keras_resnet.saving import save_model


def export(
    source: Source,
    targets: Sequence[tuple[Artifact, Path]],
    *,
    overwrite: bool = False,
    samples: int = SAMPLES,
    limit: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Makes files and verifies each of them.

    A file that fails a gate stays on disk as `NAME.failed.SUFFIX`; nothing gets the name asked for then, and what had
    it before is untouched.

    Args:
        source: the model and its data.
        targets: what to make, and under which name.
        overwrite: replace existing files.
        samples: images to calibrate with, from the training split.
        limit: test images to verify with at most; all by default.
        say: told what is being done.

    Returns:
        One row per target, failed or not.

    Raises:
        InputError: a name is taken, the data to calibrate with is missing, or the converter refuses the model.
            Nothing was written then under the names not yet reported.

    Example:
        >>> from export import artifact, export, load_source  # doctest: +SKIP
        >>> export(load_source("model.keras"), [(artifact("tflite:int8"), Path("m.tflite"))])  # doctest: +SKIP
    """
    for artifact, path in targets:
        _check_target(source, artifact, path, overwrite)
    say(f"model: {source.origin}")
    evidence = source.evidence(limit)
    runner = KerasRunner(source.model, source.card)
    reference = runner(evidence.images)
    with tempfile.TemporaryDirectory() as folder:
        twin = Path(folder, "twin.keras")
        save_model(source.model, twin)
        samples_file = _write_samples(source, targets, samples, Path(folder))
        rows = []
        for artifact, path in targets:
            say(f"{artifact.name}: converting")
            made = Path(folder, f"made{artifact.format.suffix}")
            worker.convert_in_child(twin, artifact, samples_file if artifact.precision in CALIBRATED else None, made)
            module = artifact.format.module
            module.add_card(made, dataclasses.replace(source.card, sha256=module.fingerprint(made)))
            say(f"{artifact.name}: verifying on {evidence.origin}")
            row = _verified(made, path, runner, reference, evidence, artifact.precision)
            rows.append(_place(made, path, row, overwrite))
            made.unlink()
    return Report(tuple(rows), source.origin, evidence.origin)


def _check_target(source: Source, artifact: Artifact, path: Path, overwrite: bool) -> None:
    files.refuse_existing(path, overwrite)
    if path.suffix != artifact.format.suffix:
        raise InputError(f"{path}: expected a name that ends in {artifact.format.suffix}")
    if artifact.precision in CALIBRATED and source.dataset is None:
        raise InputError(
            f"{artifact.name} needs images to calibrate with, and the model names no dataset that is here: pass "
            "--dataset digits, --dataset cifar10 --data-dir DIR, or --dataset FOLDER of class folders"
        )


def _write_samples(source: Source, targets, count: int, folder: Path) -> Path | None:
    if not any(artifact.precision in CALIBRATED for artifact, _ in targets):
        return None
    drawn = calibration.sample(source.dataset.train, source.card.preprocess, count)
    path = folder / "samples.npy"
    np.save(path, drawn.images)
    return path


def _verified(
    file: Path,
    name: Path,
    keras_runner: KerasRunner,
    reference: np.ndarray,
    evidence: Evidence,
    precision: str | None = None,
) -> Row:
    """Runs a file and compares it with Keras; the row bears `name`. `precision` is what was asked for, if known."""
    form = format_of(file)
    runner = open_runner(file)
    contents = form.module.describe(file)
    shapes = (keras_runner.input.shape, keras_runner.output.shape)
    comparison, gates = check(runner, shapes, reference, evidence, form, contents)
    gates = [*identity_gates(runner.card, keras_runner.card, form.module.fingerprint(file)), *gates]
    if precision is not None:
        gates.insert(0, Gate("precision", precision, contents.precision, contents.precision == precision))
    return Row(
        file=str(name),
        format=form.name,
        precision=contents.precision,
        size_bytes=file.stat().st_size,
        operators=dict(contents.operators.most_common()),
        max_abs=comparison.max_abs,
        cosine=comparison.cosine,
        agreement=comparison.agreement,
        top1=comparison.top1,
        top1_reference=comparison.top1_reference,
        latency_ms=None if comparison.interface else latency_ms(file, evidence.images[:1]),
        gates=tuple(gates),
    )


def _place(made: Path, path: Path, row: Row, overwrite: bool) -> Row:
    """Gives the file its name, or one that says that it failed."""
    if not row.passed:
        path, overwrite = path.with_suffix(f".failed{path.suffix}"), True
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(made.read_bytes())
    return row.renamed(str(path))


def verify(path: str | os.PathLike, source: Source, *, limit: int | None = None) -> Report:
    """Verifies a file that exists already; it is not changed.

    Args:
        path: a `.tflite` or `.onnx` file.
        source: the Keras model that it should equal.
        limit: test images to use at most.

    Returns:
        A report of one row.

    Raises:
        InputError: the file is missing or cannot be run.
    """
    path = files.existing_file(path)
    format_of(path)
    evidence = source.evidence(limit)
    runner = KerasRunner(source.model, source.card)
    row = _verified(path, path, runner, runner(evidence.images), evidence)
    return Report((row,), source.origin, evidence.origin)


def raise_if_failed(report: Report) -> None:
    """Turns failed gates into an exit status.

    Raises:
        GateError: some file did not pass.
    """
    failed = [row for row in report.rows if not row.passed]
    if failed:
        parts = [f"{row.file} ({_failures(row)})" for row in failed]
        raise GateError(f"{len(failed)} of {len(report.rows)} files failed verification: {', '.join(parts)}")


def _failures(row: Row) -> str:
    gates = [gate for gate in row.gates if not gate.passed]
    return "; ".join(f"{gate.name} {_short(gate.value)}, limit {_short(gate.limit)}" for gate in gates)


def _short(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else value
