"""The steps of an export: load, calibrate, convert, verify, report."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from export import calibration, golden, graph, manifest, worker
from export.calibration import Calibration
from export.formats import CALIBRATED, CAM, INPUT, SAMPLES, Artifact, Contents, artifact, format_of
from export.report import Report, Row
from export.source import Evidence, Source
from export.verify import Comparison, Gate, check, compare, identity_gates, interface_errors, latency_ms, tolerance
from keras_resnet import files
from keras_resnet.card import ModelCard
from keras_resnet.errors import GateError, InputError
from keras_resnet.preprocessing import PREPROCESS, Preprocess
from keras_resnet.runners import ENGINES, KerasRunner, Runner, open_runner
from keras_resnet.saving import save_model


@dataclass
class _Proof:
    """What files are compared with; Keras runs once for every set of outputs."""

    source: Source
    evidence: Evidence
    limits: Mapping[str, float]
    engine: str | None
    references: dict[tuple, dict[str, np.ndarray]] = field(default_factory=dict)

    def reference(self, made: Artifact) -> dict[str, np.ndarray]:
        """Keras' outputs by name."""
        key = (made.features, made.cam)
        if key not in self.references:
            plain = dataclasses.replace(made, input="normalized")
            model = graph.prepare(self.source.model, self.source.card.preprocess, plain)
            outputs = self.evidence.run(KerasRunner(model), self.source.card.preprocess)
            self.references[key] = {name: outputs[name] for name in made.outputs}
        return self.references[key]

    def shapes(self, made: Artifact) -> dict[str, tuple]:
        """Of the image and the outputs."""
        outputs = {name: values.shape for name, values in self.reference(made).items()}
        return {INPUT: self.source.model.input_shape, **outputs}

    def preprocess(self, runner: Runner) -> Preprocess:
        """Of a file; one that lost its card is taken for what the source is."""
        return self.source.card.preprocess if runner.card == ModelCard() else runner.card.preprocess

    def compare(self, runner: Runner, made: Artifact) -> Comparison:
        """Interface first, then values."""
        errors = interface_errors(runner, made, self.shapes(made))
        known = {tensor.name for tensor in runner.outputs}
        if any("shape" in error for error in errors) or not set(made.outputs) <= known:
            return Comparison(interface=tuple(errors))
        outputs = self.evidence.run(runner, self.preprocess(runner))
        comparison = compare(self.reference(made), outputs, self.evidence.labels)
        return dataclasses.replace(comparison, interface=tuple(errors))


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
        engine: of `runners.ENGINES`, that runs TFLite files.
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
        _check_target(source, made, path, overwrite, calibrate_with)
    _check_proof(gates or {}, engine)
    say(f"model: {source.origin}")
    proof = _Proof(source, source.evidence(limit), gates or {}, engine)
    drawn = _calibration(source, targets, samples, calibrate_with, proof.evidence)
    facts = {"model": source.origin, "weights_sha256": manifest.weights_sha256(source.model)}
    facts["verified_on"] = proof.evidence.origin
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for number, (made, path) in enumerate(targets, 1):
            count = f"[{number}/{len(targets)}] " if len(targets) > 1 else ""
            say(f"{count}{made.name}: converting")
            file = Path(folder, f"made{made.format.suffix}")
            card = _convert(source, made, drawn, Path(folder), file)
            say(f"{count}{made.name}: verifying on {proof.evidence.origin}")
            row, contents = _verified(file, path, made, proof)
            used = drawn if made.precision in CALIBRATED else None
            sha256 = None if file.is_dir() else hashlib.sha256(file.read_bytes()).hexdigest()
            row, placed = _place(file, path, row, overwrite)
            _write_golden(placed, card, proof)
            manifest.write(
                manifest.beside(placed),
                artifact=made,
                row=row,
                contents=contents,
                card=card,
                source=facts,
                calibration=used,
                sha256=sha256 or card.sha256,
            )
            rows.append(row)
    return Report(tuple(rows), source.origin, proof.evidence.origin)


def _check_target(source: Source, made: Artifact, path: Path, overwrite: bool, calibrate_with: Path | None) -> None:
    if path.is_dir() and (path / "saved_model.pb").exists() and path.suffix == made.format.suffix:
        if not overwrite:
            raise InputError(f"{path} exists: choose another name or pass --overwrite")
    else:
        files.refuse_existing(path, overwrite)
    for each in (golden.beside(path), manifest.beside(path)):
        files.refuse_existing(each, overwrite)
    if path.suffix != made.format.suffix:
        raise InputError(f"{path}: expected a name that ends in {made.format.suffix}")
    if made.precision in CALIBRATED and source.dataset is None and calibrate_with is None:
        raise InputError(
            f"{made.name} needs images to calibrate with, and the model names no dataset that is here: pass "
            "--dataset digits, --dataset cifar10 --data-dir DIR, --dataset FOLDER of class folders, or "
            "--calibration FOLDER of images"
        )


def _check_proof(gates: Mapping[str, float], engine: str | None) -> None:
    tolerance("float32", gates)
    if engine is not None and engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}: expected {' or '.join(ENGINES)}")


def _calibration(source: Source, targets, count: int, folder: Path | None, evidence: Evidence) -> Calibration | None:
    if not any(made.precision in CALIBRATED for made, _ in targets):
        return None
    if folder is not None:
        return calibration.read_folder(folder, source.image_shape, evidence.pixels, source.card.crop)
    return calibration.sample(source.dataset.train, evidence.pixels, count)


def _convert(source: Source, made: Artifact, drawn: Calibration | None, folder: Path, file: Path) -> ModelCard:
    """Makes the file with its card."""
    network = folder / "network.keras"
    prepared = graph.prepare(source.model, source.card.preprocess, made)
    save_model(prepared, network, overwrite=True)
    samples = None
    raw = PREPROCESS["none"]
    preprocess = raw if made.input == "raw" else source.card.preprocess
    if made.precision in CALIBRATED:
        samples = folder / "samples.npy"
        np.save(samples, preprocess(drawn.pixels))
    worker.convert_in_child(network, made, samples, file)
    module = made.format.module
    card = dataclasses.replace(source.card, preprocess=preprocess, sha256=module.fingerprint(file))
    module.add_card(file, card)
    return card


RAW = PREPROCESS["none"]


def float_file(source: Source, made: Artifact, folder: Path) -> tuple[Path, np.ndarray]:
    """The float32 TFLite file that LiteRT Quantizer starts from, and the samples that calibrate it.

    Args:
        source: the model and its data.
        made: what the file will become.
        folder: for the file.
    """
    drawn = calibration.sample(source.dataset.train, source.evidence(_FEW).pixels)
    file = folder / "float.tflite"
    plain = dataclasses.replace(made, precision="float32", quantizer="", io="float32", keep_float=())
    _convert(source, plain, None, folder, file)
    return file, (RAW if made.input == "raw" else source.card.preprocess)(drawn.pixels)


def _verified(file: Path, name: Path, made: Artifact | None, proof: _Proof) -> tuple[Row, Contents]:
    """Runs a file and compares it with Keras; the row bears `name`. `made` is what was asked for, if known."""
    form = format_of(file)
    runner = open_runner(file, engine=proof.engine)
    contents = form.module.describe(file)
    wanted = made or _inferred(runner, contents, file)
    comparison = proof.compare(runner, wanted)
    unfoldable = graph.unfoldable(proof.source.model) if contents.unfolded is not None else []
    gates = check(comparison, contents, proof.limits, unfoldable)
    identity = identity_gates(runner.card, proof.source.card, form.module.fingerprint(file))
    gates = [*identity, *_golden_gate(name, runner, proof, comparison, made), *gates]
    if made is not None:
        gates.insert(0, Gate("precision", made.precision, contents.precision, contents.precision == made.precision))
    one = proof.preprocess(runner)(proof.evidence.pixels[:1])
    row = Row(
        file=str(name),
        format=form.name,
        precision=contents.precision,
        quantizer=made.quantizer if made else "",
        input="raw" if proof.preprocess(runner) == PREPROCESS["none"] else "normalized",
        io=runner.input.dtype,
        engine=(proof.engine or ENGINES[0]) if form.name == "tflite" else "cpu",
        size_bytes=_size(file),
        operators=dict(contents.operators.most_common()),
        unfolded=contents.unfolded,
        notes=tuple(_notes(wanted, contents, unfoldable, proof)),
        max_abs=comparison.max_abs,
        cosine=comparison.cosine,
        sqnr=dict(comparison.sqnr),
        agreement=comparison.agreement,
        top1=comparison.top1,
        top1_reference=comparison.top1_reference,
        drop=comparison.drop,
        drop_error=comparison.drop_error,
        latency_ms=None if comparison.interface else latency_ms(file, one, proof.engine),
        gates=tuple(gates),
    )
    return row, contents


def _inferred(runner: Runner, contents: Contents, file: Path) -> Artifact:
    """What a file seems to have been made as."""
    form = format_of(file)
    offer = form.offers.get(contents.precision, form.offers["float32"])
    names = [tensor.name for tensor in runner.outputs]
    strides = [int(found[1]) for name in names if (found := re.fullmatch(r"features_(\d+)", name))]
    return artifact(
        f"{form.name}:{contents.precision if contents.precision in form.offers else 'float32'}",
        io=runner.input.dtype if runner.input.dtype in offer.io else None,
        layout=runner.layout if runner.layout in form.layouts else "nhwc",
        features=tuple(strides),
        cam=CAM in names,
    )


def _golden_gate(
    name: Path, runner: Runner, proof: _Proof, comparison: Comparison, made: Artifact | None
) -> list[Gate]:
    """For a file that has vectors already."""
    path = golden.beside(name)
    if made is not None or comparison.interface or not path.exists():
        return []
    apart, most = golden.difference(path, runner, proof.preprocess(runner))
    return [Gate("golden vectors", most, apart, apart <= most)]


def _write_golden(placed: Path, card: ModelCard, proof: _Proof) -> None:
    labels = proof.evidence.labels
    golden.write(placed, golden.beside(placed), card.preprocess, proof.evidence.pixels, labels, proof.engine)


def _notes(made: Artifact, contents: Contents, unfoldable: Sequence[str], proof: _Proof) -> list[str]:
    """What a person should know about the file."""
    notes = [made.offer.note] if made.offer.note else []
    if contents.unfolded and unfoldable:
        layers = {layer.name: layer for layer in proof.source.model.layers}
        cost = sum(int(np.prod(layers[name].output.shape[1:])) for name in unfoldable if name in layers)
        notes.append(
            f"{contents.unfolded} batch normalisations stay operators of their own, since they follow an addition or a "
            f"pooling ({', '.join(unfoldable[:3])}, ...): {cost / 1e6:.2f} million multiply-adds an image"
        )
    if proof.evidence.labels is not None and len(proof.evidence.pixels) < _FEW:
        notes.append(f"judged on {len(proof.evidence.pixels)} images only: expected {_FEW} or more")
    return notes


_FEW = 500


def _size(file: Path) -> int:
    if file.is_dir():
        return sum(each.stat().st_size for each in file.rglob("*") if each.is_file())
    return file.stat().st_size


def _place(made: Path, path: Path, row: Row, overwrite: bool) -> tuple[Row, Path]:
    """Gives the file its name, or one that says that it failed."""
    if not row.passed:
        path, overwrite = path.with_suffix(f".failed{path.suffix}"), True
    if made.is_dir():
        _place_folder(made, path, overwrite)
    else:
        with files.writing(path, overwrite=overwrite) as temporary:
            temporary.write_bytes(made.read_bytes())
        made.unlink()
    return row.renamed(str(path)), path


def _place_folder(made: Path, path: Path, overwrite: bool) -> None:
    """Copied beside its name, which it gets when it is complete; an old one goes last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial")
    old = path.with_name(f".{path.name}.old")
    for leftover in (beside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(made, beside)
    if path.exists():
        os.rename(path, old)
    os.rename(beside, path)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(made)


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
        engine: of `runners.ENGINES`, that runs TFLite files.

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
    proof = _Proof(source, source.evidence(limit), gates or {}, engine)
    row, _ = _verified(path, path, None, proof)
    return Report((row,), source.origin, proof.evidence.origin)


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
    return f"{value:.6g}" if isinstance(value, float) else str(value)
