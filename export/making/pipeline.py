"""The steps of an export: load, calibrate, convert, verify, report."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from export import memory
from export.formats import activations
from export.formats.artifacts import SAMPLES, Artifact
from export.formats.table import ENGINES, OUTSIDE, format_of
from export.making import manifest, metadata, placement, representative, worker
from export.making.representative import Samples
from export.model import graph
from export.model.evidence import Evidence
from export.model.outputs import require_choices
from export.model.source import Source
from export.proof import golden
from export.proof.gates import check_names, limit_of
from export.proof.report import Report, Row
from export.proof.verification import FEW, Proof
from keras_resnet import extras, files
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
        samples: number of representative samples, from the training split.
        calibrate_with: folder of files in place of these samples.
        limit: number of test examples to verify with at most; all by default.
        gates: limits that replace others, by the names in `proof.gates.LIMITS`.
        engine: runtime of TFLite files, one of `ENGINES` and `OUTSIDE`.
        say: function that is told what is being done.

    Returns:
        One row per target, failed or not.

    Raises:
        InputError: a name is taken, the data to calibrate with is missing or holds test images, or the converter
            refuses the model. Nothing was written then under the names not yet reported.

    Example:
        >>> from export import artifact, export, load_source  # doctest: +SKIP
        >>> export(load_source("model.keras"), [(artifact("tflite:int8"), Path("m.tflite"))])  # doctest: +SKIP
    """
    for made, _ in targets:
        extras.require(*made.packages, for_what=made.name)
    targets = [(_for_signal(source, made), path) for made, path in targets]
    for made, path in targets:
        placement.check_target(source, made, path, overwrite, calibrate_with)
    if any(made.format.name == "tflite" for made, _ in targets):
        refuse_flex(source.model)
    for made, _ in targets:
        activations.refuse(source.model, made)
    _check_proof([made.precision for made, _ in targets], source, gates or {}, engine)
    say(f"model: {source.origin}")
    proof = Proof(source, source.evidence(limit), gates or {}, engine, latency=worker.latency_ms)
    drawn = _samples(source, targets, samples, calibrate_with, proof.evidence)
    with tempfile.TemporaryDirectory() as folder:
        making = _Making(proof, drawn, Path(folder), overwrite)
        rows = []
        for number, (made, path) in enumerate(targets, 1):
            count = f"[{number}/{len(targets)}] " if len(targets) > 1 else ""
            say(f"{count}{made.name}: converting")
            file, card = making.converted(made)
            say(f"{count}{made.name}: verifying on {proof.evidence.origin}")
            rows.append(making.placed(file, card, made, path))
    return Report(tuple(rows), source.origin, proof.evidence.origin)


@dataclass(frozen=True)
class _Making:
    """What all files of an export have in common.

    Attributes:
        proof: what files are compared with.
        drawn: representative samples, None where nothing needs them.
        folder: temporary folder.
        overwrite: replace existing files.
    """

    proof: Proof
    drawn: Samples | None
    folder: Path
    overwrite: bool

    def converted(self, made: Artifact) -> tuple[Path, ModelCard]:
        """Makes a file with its card."""
        file = self.folder / f"made{made.format.suffix}"
        wanted = functools.partial(self.proof.references.get, made)  # Keras answers on the core that is free
        return file, _convert(self.proof.source, made, self.drawn, self.folder, file, wanted)

    def placed(self, file: Path, card: ModelCard, made: Artifact, path: Path) -> Row:
        """Verifies a file and gives it its name, with manifest and golden vectors beside."""
        proof = self.proof
        row, contents = proof.verified(file, path, made)
        sha256 = None if file.is_dir() else hashlib.sha256(file.read_bytes()).hexdigest()
        placed = placement.name(path, row)
        row = row.renamed(str(placed))
        beside = (golden.beside(placed), manifest.beside(placed))
        # All three are on the disk before the first gets its name: no file without its vectors and manifest.
        with files.writing(beside[0], overwrite=True) as vectors, files.writing(beside[1], overwrite=True) as text:
            golden.write(file, vectors, placed.name, card.preprocess, proof.evidence, proof.engine, worker.answers)
            manifest.write(
                text,
                artifact=made,
                row=row,
                contents=contents,
                card=card,
                source=self._facts(),
                calibration=self.drawn if made.calibrated else None,
                sha256=sha256 or card.sha256,
            )
            placement.place(file, placed, self.overwrite or not row.passed)
        return row

    def _facts(self) -> dict[str, object]:
        source = self.proof.source
        facts = {"model": source.origin, "weights_sha256": weights_sha256(source.model)}
        return {**facts, "verified_on": self.proof.evidence.origin}


def _for_signal(source: Source, made: Artifact) -> Artifact:
    """The artifact with the range of the values that its signal has; refuses choices that its task has not."""
    require_choices(source.card, made)
    return dataclasses.replace(made, input_range=source.signal.values)


def refuse_flex(model: keras.Model) -> None:
    """Refuses what TFLite could run with its Flex library only, which no target here brings along.

    Raises:
        InputError: the operations, and what would do in their place.
    """
    found = graph.flex_operations(model)
    if found:
        advice = "; ".join(f"{operation}: {instead}" for operation, instead in found.items())
        raise InputError(f"TFLite has no operator (but Flex) for what the model computes: {advice}; or export to ONNX")


def _check_proof(precisions: Iterable[str], source: Source, gates: Mapping[str, float], engine: str | None) -> None:
    check_names(gates)
    for precision in precisions:
        limit_of(precision, source.card.task, gates)
    if engine is not None and engine not in (*ENGINES, *OUTSIDE):
        raise unknown_name("engine", engine, (*ENGINES, *OUTSIDE))


def _samples(source: Source, targets, count: int, folder: Path | None, evidence: Evidence) -> Samples | None:
    if not any(made.calibrated for made, _ in targets) or is_quantized(source.model):
        return None
    if folder is not None:
        known, crop = evidence.digests(), source.card.keep
        return representative.read_folder(folder, source.shape, known, crop, source.signal, source.noun)
    assert source.dataset is not None  # `check_target` has refused it
    return representative.draw(source.dataset.train, evidence.digests(), count, source.noun)


def _convert(
    source: Source,
    made: Artifact,
    drawn: Samples | None,
    folder: Path,
    file: Path,
    meanwhile: Callable[[], object] = lambda: None,
) -> ModelCard:
    """Makes the file with its card; `meanwhile` is called while the child converts."""
    network = folder / "network.keras"
    source = source.in_form(made.form)
    prepared = graph.prepare(source.model, source.card, made)
    save_model(prepared, network, overwrite=True)
    samples = None
    preprocess = made.convention(source.card.preprocess)
    if made.calibrated and drawn is not None:
        samples = folder / "samples.npy"
        np.save(samples, preprocess(source.signal.code.resized(drawn.pixels, made.shape_of(source.shape))))
    worker.convert_in_child(network, made, samples, file, meanwhile)
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
        folder: folder of the file.
    """
    made = _for_signal(source, made)
    assert source.dataset is not None  # `export` has refused it
    drawn = representative.draw(source.dataset.train, source.evidence(FEW).digests(), noun=source.noun)
    file = folder / "float.tflite"
    plain = dataclasses.replace(made, precision="float32", quantizer="", io="float32", keep_float=())
    _convert(source, plain, None, folder, file)
    return file, made.convention(source.card.preprocess)(drawn.pixels)


def verify(
    path: str | os.PathLike,
    source: Source,
    *,
    limit: int | None = None,
    gates: Mapping[str, float] | None = None,
    engine: str | None = None,
    trust: bool = False,
) -> Report:
    """Verifies a file that exists already; it is not changed.

    Args:
        path: file of any format.
        source: the Keras model that it should equal.
        limit: number of test examples to use at most.
        gates: limits that replace others, by the names in `proof.gates.LIMITS`.
        engine: runtime of TFLite files, one of `ENGINES` and `OUTSIDE`.
        trust: whether a SavedModel is from somebody whose code may run here; others are refused.

    Returns:
        A report of one row.

    Raises:
        InputError: the file is missing or cannot be run.
    """
    path = Path(path)
    form = format_of(path)
    if not (path.is_dir() and form.suffix == ".savedmodel"):
        files.existing_file(path)
    extras.require(*form.packages, for_what=str(path))
    _check_proof([], source, gates or {}, engine)
    proof = Proof(source, source.evidence(limit), gates or {}, engine, trust, worker.latency_ms)
    row, _ = proof.verified(path, path, None)
    notes = (*row.notes, *manifest.remark(path, row, proof.evidence.origin))
    return Report((dataclasses.replace(row, notes=notes),), source.origin, proof.evidence.origin)


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
    return "; ".join(
        "agreement: neither the model nor the file answers anything, so there is nothing to compare: train it longer"
        if gate.name == "agreement" and gate.value != gate.value  # nan
        else f"{gate.name} {_short(gate.value)}, limit {_short(gate.limit)}"
        for gate in gates
    )


def _short(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
