"""Compression end to end: train in the compressed form, export, verify, and compare with what it was made from."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.formats.artifacts import artifact
from export.making import pipeline, placement
from export.model.source import Source
from export.proof.report import Report, Row
from export.smaller.adapting import adapted, check_outputs, check_part, check_teacher
from export.smaller.gates import check, limits
from export.smaller.outcome import Entry, Outcome
from export.smaller.trainers import get_trainer
from keras_resnet import console, extras, files, untrusted
from keras_resnet.compression.settings import Settings
from keras_resnet.errors import InputError
from keras_resnet.saving import load_model, weights_sha256
from keras_resnet.tasks import get_task
from keras_resnet.training import strategy as strategies
from keras_resnet.training.recipes import Recipe, loads
from keras_resnet.training.strategy import Devices

MODEL, RESULT, SETTINGS, TRAINING = "model.keras", "compression.json", "settings.json", "training"
_FLOAT, _INT8 = "tflite:float32", "tflite:int8"
_INT4 = ("tflite:weight_only_int4", "tflite:int8x4")


def compress(
    source: Source,
    settings: Settings,
    recipe: Recipe,
    folder: str | os.PathLike,
    *,
    engine: str = "native",
    teacher: Source | None = None,
    answers: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    dataset: str | None = None,
    limit: int | None = None,
    gates: Mapping[str, float] | None = None,
    resume: bool = False,
    strategy: str | Devices = "none",
    say: Callable[[str], None] = lambda text: None,
) -> Outcome | None:
    """Makes a smaller model out of a trained one, and measures what that cost.

    Args:
        source: the model and its data; `source.on_validation()` is measured on the validation images, which a recipe
            with `hold_out` keeps out of the training: to choose settings by.
        settings: what shall be done to the model (`keras_resnet.compression.settings.settings`).
        recipe: recipe of the training; model, data and input convention are the source's.
        folder: new or empty folder. It gets `model.keras`, TFLite files with manifests and golden vectors,
            `compression.json` with all figures, and the run directory `training`.
        engine: row of `export.smaller.trainers.TRAINERS`.
        teacher: a better model of the same images and classes, whose answers the recipe's `distillation` mixes into the
            targets (arXiv:1503.02531); by default the source as it is.
        answers: folder that keeps what the teacher says, for other compressions by the same recipe; by default it is
            asked anew by each.
        data_dir: folder of CIFAR's official binary files; by default Keras' cache.
        dataset: name of the data, where it is not what the model was trained on.
        limit: number of images to measure with at most; all by default.
        gates: limits that replace those of `limits`, by name.
        resume: whether to go on where an interrupted call with the same settings stopped.
        strategy: `"mirrored"` for all devices of this machine, or what `keras_resnet.training.strategy.make` made
            before the model was loaded: several machines, which all call this with the same arguments and see `folder`
            on a common disk. Native engine only.
        say: function that is told what is being done.

    Returns:
        All figures. A failed gate is in there; the model is called `model.failed.keras` then. None on other machines
        than the first, which measures.

    Raises:
        InputError: layers that cannot be compressed, no data, a folder in use, an engine that is not installed.

    Example:
        >>> from export.smaller.compression import compress  # doctest: +SKIP
        >>> compress(load_source("model.keras"), settings("qat"), RECIPES["compress"], "small")  # doctest: +SKIP
    """
    folder = Path(folder)
    get_task(source.card.task).require("compress")
    chosen = get_trainer(engine)
    chosen.ask()
    extras.require(*artifact(_FLOAT).packages, for_what="export.compress")
    allowed = limits(settings, source.card.task)
    unknown = sorted(set(gates or {}) - set(allowed))
    if unknown:
        raise InputError(f"gate {unknown[0]}: expected {' or '.join(allowed)}")
    recipe = adapted(recipe, source, settings, dataset)
    check_outputs(source, source)
    check_part(source, teacher or source, recipe)
    if teacher is not None:
        check_teacher(teacher, source, recipe)
        check_outputs(teacher, source)
    devices = strategies.make(strategy) if isinstance(strategy, str) else strategy
    chosen.refuse(source, settings, recipe, devices)
    kept = Path(answers) if answers else None
    how = {"answers": kept, "data_dir": data_dir, "resume": resume, "devices": devices, "say": say}
    asked = (teacher or source).model
    with files.held(folder, "a compression") if devices.is_chief else contextlib.nullcontext():
        if devices.is_chief:
            _open(folder, source, settings, recipe, engine, teacher, resume)
        say(f"model: {source.origin}" + (f"; teacher: {teacher.origin}" if teacher else ""))
        trained = chosen.train(source, settings, recipe, folder / TRAINING, teacher=asked, **how)
        if not devices.is_chief:
            return None
        facts = {"settings": settings, "engine": engine, "recipe": recipe, "seconds": trained}
        facts |= {"teacher": teacher.origin if teacher else "", "task": source.card.task}
        return _measured(source, folder, facts, limit, allowed | dict(gates or {}), say)


def _measured(
    source: Source,
    folder: Path,
    facts: Mapping[str, Any],
    limit: int | None,
    allowed: Mapping[str, float],
    say: Callable[[str], None],
) -> Outcome:
    """Measures the original and the compressed model, exports that, and gives it its name."""
    settings: Settings = facts["settings"]
    small, card = load_model(folder / TRAINING / MODEL)
    compressed = dataclasses.replace(source, model=small, card=card, origin=str(folder / MODEL), name="model")
    say("measuring the original")
    baseline, before = _baseline(source, limit, say)
    made = _exported(compressed, settings, folder, limit, say)
    entries = (*before, *_entries(made.rows, baseline, settings.name))
    verdict = tuple(check(source, small, settings, entries, made, allowed))
    failed = f"{Path(MODEL).stem}.failed.keras"
    name = MODEL if all(gate.passed for gate in verdict) else failed
    with files.writing(folder / name, overwrite=True) as temporary:
        temporary.write_bytes((folder / TRAINING / MODEL).read_bytes())
    if name == MODEL:
        (folder / failed).unlink(missing_ok=True)  # of a stricter gate
    outcome = Outcome(folder=folder, model=folder / name, entries=entries, gates=verdict, images=made.evidence, **facts)
    console.write_json(folder / RESULT, outcome.to_json())
    return outcome


def _open(folder: Path, source: Source, settings: Settings, recipe: Recipe, engine: str, teacher, resume: bool) -> None:
    """Makes the folder, or makes sure that it holds the same work."""
    facts = {
        "weights_sha256": weights_sha256(source.model),
        "settings": settings.to_json(),
        "engine": engine,
        "recipe": json.loads(recipe.dumps()),
        "teacher_sha256": weights_sha256(teacher.model) if teacher else None,
    }
    path = folder / SETTINGS
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not resume:
            raise InputError(f"{folder} exists and is not empty: choose another -o, or pass --resume")
        if not path.is_file():
            raise InputError(f"{folder} has no {SETTINGS}: expected the folder of an interrupted compression")
        try:
            known = untrusted.read_object(path)
        except ValueError as error:
            raise InputError(f"{path} is damaged ({error}): choose another -o") from error
        if isinstance(known.get("recipe"), dict):  # of an older version too
            known["recipe"] = json.loads(loads(json.dumps(known["recipe"]), str(path)).dumps())
        apart = [key for key in facts if known.get(key) != facts[key]]
        if apart:
            raise InputError(f"{folder} is of another compression: {', '.join(apart)} differ")
        return
    console.write_json(path, facts)


def _baseline(source: Source, limit: int | None, say) -> tuple[float, list[Entry]]:
    """The original in float32 and, after training, in int8; the files are not kept."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = [(artifact(name), Path(folder, f"{i}.tflite")) for i, name in enumerate((_FLOAT, _INT8))]
        gates = {"drop": 100.0, "agreement": 0.0}  # however much int8 loses: it is there to be compared with
        report = pipeline.export(source, wanted, limit=limit, gates=gates, say=say)
        score = report.rows[0].score_reference
        names = ("original, float32", "original, int8 after training")
        entries = [_entry(row, score, name) for row, name in zip(report.rows, names, strict=True)]
        return score, [dataclasses.replace(entry, file="") for entry in entries]


def _exported(source: Source, settings: Settings, folder: Path, limit: int | None, say) -> Report:
    """The files of a compressed model, each verified against it."""
    names = {"qat": (_INT8,) if settings.weight_bits == 8 else _INT4}.get(settings.method, (_FLOAT, _INT8))
    wanted = [artifact(name) for name in names]
    targets = [(each, each.file(folder, source.name)) for each in wanted]
    made = pipeline.export(source, targets, overwrite=True, limit=limit, say=say)
    for row in made.rows:
        if row.passed:
            placement.forget_failed(Path(row.file))  # of a stricter gate
    return made


def _entry(row: Row, baseline: float, what: str) -> Entry:
    content = Path(row.file).read_bytes()
    return Entry(
        what=what,
        file=row.file,
        score=row.score,
        drop=100 * (baseline - row.score),
        size_bytes=len(content),
        gzip_bytes=len(gzip.compress(content, 9, mtime=0)),
        latency_ms=row.latency_ms,
    )


def _entries(rows: Sequence[Row], baseline: float, name: str) -> list[Entry]:
    return [_entry(row, baseline, f"{name}, {row.precision}") for row in rows]
