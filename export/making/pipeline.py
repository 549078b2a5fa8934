"""The steps of an export: load, calibrate, convert, verify, report."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from export import memory
from export.formats.table import CALIBRATED, ENGINES, OUTSIDE, SAMPLES, Artifact, format_of
from export.making import manifest, metadata, placement, representative, worker
from export.making.representative import Samples
from export.model import graph
from export.model.source import Evidence, Source, resized
from export.proof import golden
from export.proof.gates import tolerance
from export.proof.report import Report, Row
from export.proof.verification import FEW, Proof
from keras_resnet import files
from keras_resnet.card import ModelCard
from keras_resnet.compression.rewriting import is_quantized
from keras_resnet.errors import GateError, InputError, unknown_name
from keras_resnet.saving import save_model, weights_sha256


def export(
    source: Source,
    targets: Sequence[tuple[Artifact, Path]],
    *,
    overwrite: bool = False,
    samples: int = SAMPLES,
    calibrate_with: Path | None = None,
    limit: int | None = None,
    gates: Mapping[str, float] | None = None,
    engine: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Makes files and verifies each of them.

    Beside every file lie its manifest and its golden vectors. A file that fails a gate stays on disk as
    `NAME.failed.SUFFIX`; nothing gets the name asked for then, and what had it before is untouched.

    Args:
        source: the model and its data.
        targets: what to make, and under which name.
        overwrite: replace existing files.
        samples: images to calibrate with, from the training split.
        calibrate_with: a folder of images in place of these.
        limit: test images to verify with at most; all by default.
        gates: limits that replace those of `verify.TOLERANCES`, by name.
        engine: of `formats.ENGINES`, that runs TFLite files.
        say: told what is being done.

    Returns:
        One row per target, failed or not.

    Raises:
        InputError: a name is taken, the data to calibrate with is missing or holds test images, or the converter
            refuses the model. Nothing was written then under the names not yet reported.

    Example:
        >>> from export import artifact, export, load_source  # doctest: +SKIP
        >>> export(load_source("model.keras"), [(artifact("tflite:int8"), Path("m.tflite"))])  # doctest: +SKIP
    """
    for made, path in targets:
        placement.check_target(source, made, path, overwrite, calibrate_with)
    if any(made.format.name == "tflite" for made, _ in targets):
        refuse_flex(source.model)
    _check_proof(gates or {}, engine)
    say(f"model: {source.origin}")
    proof = Proof(source, source.evidence(limit), gates or {}, engine)
    drawn = _calibration(source, targets, samples, calibrate_with, proof.evidence)
    facts = {"model": source.origin, "weights_sha256": weights_sha256(source.model)}
    facts["verified_on"] = proof.evidence.origin
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for number, (made, path) in enumerate(targets, 1):
            count = f"[{number}/{len(targets)}] " if len(targets) > 1 else ""
            say(f"{count}{made.name}: converting")
            file = Path(folder, f"made{made.format.suffix}")
            card = _convert(source, made, drawn, Path(folder), file)
            say(f"{count}{made.name}: verifying on {proof.evidence.origin}")
            row, contents = proof.verified(file, path, made)
            used = drawn if made.precision in CALIBRATED else None
            sha256 = None if file.is_dir() else hashlib.sha256(file.read_bytes()).hexdigest()
            placed = placement.name(path, row)
            row = row.renamed(str(placed))
            beside = (golden.beside(placed), manifest.beside(placed))
            # All three are on the disk before the first gets its name: no file without its vectors and manifest.
            with files.writing(beside[0], overwrite=True) as vectors, files.writing(beside[1], overwrite=True) as text:
                _write_golden(file, vectors, placed, made, card, proof)
                manifest.write(
                    text,
                    artifact=made,
                    row=row,
                    contents=contents,
                    card=card,
                    source=facts,
                    calibration=used,
                    sha256=sha256 or card.sha256,
                )
                placement.place(file, placed, overwrite or not row.passed)
            rows.append(row)
    return Report(tuple(rows), source.origin, proof.evidence.origin)


def refuse_flex(model: keras.Model) -> None:
    """Refuses what TFLite could run with its Flex library only, which no target here brings along.

    Raises:
        InputError: the operations, and what would do in their place.
    """
    found = graph.flex_operations(model)
    if found:
        advice = "; ".join(f"{operation}: {instead}" for operation, instead in found.items())
        raise InputError(f"TFLite has no operator (but Flex) for what the model computes: {advice}; or export to ONNX")


def _check_proof(gates: Mapping[str, float], engine: str | None) -> None:
    tolerance("float32", gates)
    if engine is not None and engine not in (*ENGINES, *OUTSIDE):
        raise unknown_name("engine", engine, (*ENGINES, *OUTSIDE))


def _calibration(source: Source, targets, count: int, folder: Path | None, evidence: Evidence) -> Samples | None:
    if not any(made.precision in CALIBRATED for made, _ in targets) or is_quantized(source.model):
        return None
    if folder is not None:
        return representative.read_folder(folder, source.image_shape, evidence.pixels, source.card.crop)
    return representative.draw(source.dataset.train, evidence.pixels, count)


def _convert(source: Source, made: Artifact, drawn: Samples | None, folder: Path, file: Path) -> ModelCard:
    """Makes the file with its card."""
    network = folder / "network.keras"
    prepared = graph.prepare(source.model, source.card.preprocess, made)
    save_model(prepared, network, overwrite=True)
    samples = None
    preprocess = made.convention(source.card.preprocess)
    if made.precision in CALIBRATED and drawn is not None:
        samples = folder / "samples.npy"
        np.save(samples, preprocess(resized(drawn.pixels, made.size_of(source.image_shape))))
    worker.convert_in_child(network, made, samples, file)
    module = made.format.module
    if made.plan_arena:
        memory.write_plan(file)
    if made.labels_file:
        metadata.add(file, source.card, preprocess, made.labels_file)
    card = dataclasses.replace(source.card, preprocess=preprocess, sha256=module.fingerprint(file))
    module.add_card(file, card)
    return card


def float_file(source: Source, made: Artifact, folder: Path) -> tuple[Path, np.ndarray]:
    """The float32 TFLite file that LiteRT Quantizer starts from, and the samples that calibrate it.

    Args:
        source: the model and its data.
        made: what the file will become.
        folder: for the file.
    """
    drawn = representative.draw(source.dataset.train, source.evidence(FEW).pixels)
    file = folder / "float.tflite"
    plain = dataclasses.replace(made, precision="float32", quantizer="", io="float32", keep_float=())
    _convert(source, plain, None, folder, file)
    return file, made.convention(source.card.preprocess)(drawn.pixels)


def _write_golden(file: Path, vectors: Path, placed: Path, made: Artifact, card: ModelCard, proof: Proof) -> None:
    labels = proof.evidence.labels
    pixels = resized(proof.evidence.pixels[: golden.COUNT], made.size_of(proof.source.image_shape))
    golden.write(file, vectors, placed.name, card.preprocess, pixels, labels, proof.engine)


def verify(
    path: str | os.PathLike,
    source: Source,
    *,
    limit: int | None = None,
    gates: Mapping[str, float] | None = None,
    engine: str | None = None,
) -> Report:
    """Verifies a file that exists already; it is not changed.

    Args:
        path: of any format.
        source: the Keras model that it should equal.
        limit: test images to use at most.
        gates: limits that replace those of `verify.TOLERANCES`, by name.
        engine: of `formats.ENGINES`, that runs TFLite files.

    Returns:
        A report of one row.

    Raises:
        InputError: the file is missing or cannot be run.
    """
    path = Path(path)
    form = format_of(path)
    if not (path.is_dir() and form.suffix == ".savedmodel"):
        files.existing_file(path)
    _check_proof(gates or {}, engine)
    proof = Proof(source, source.evidence(limit), gates or {}, engine)
    row, _ = proof.verified(path, path, None)
    return Report((row,), source.origin, proof.evidence.origin)


def raise_if_failed(report: Report) -> None:
    """Turns failed gates into an exit status.

    Raises:
        GateError: some file did not pass.
    """
    failed = [row for row in report.rows if not row.passed]
    if failed:
        parts = [f"{row.file} ({failures(row)})" for row in failed]
        raise GateError(f"{len(failed)} of {len(report.rows)} files failed verification: {', '.join(parts)}")


def failures(row: Row) -> str:
    """The gates that did not hold, with what was found."""
    gates = [gate for gate in row.gates if not gate.passed]
    return "; ".join(f"{gate.name} {_short(gate.value)}, limit {_short(gate.limit)}" for gate in gates)


def _short(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
