"""Compression end to end: train in the compressed form, export, verify, and compare with what it was made from."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from export.formats.table import artifact
from export.making import pipeline, placement
from export.model.source import Source
from export.proof.gates import Gate
from export.proof.report import Report, Row
from export.smaller.trainers import get_trainer
from keras_resnet import console, files
from keras_resnet.compression import pruning
from keras_resnet.compression.settings import Settings
from keras_resnet.errors import GateError, InputError
from keras_resnet.nets.compressed import kernels
from keras_resnet.nets.graph import multiply_adds
from keras_resnet.saving import load_model, weights_sha256
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.training import strategy as strategies
from keras_resnet.training.recipes import OWN_AUGMENTATION, RECIPES, Recipe
from keras_resnet.training.strategy import Devices

MODEL, RESULT, SETTINGS, TRAINING = "model.keras", "compression.json", "settings.json", "training"
_FLOAT, _INT8 = "tflite:float32", "tflite:int8"
_INT4 = ("tflite:weight_only_int4", "tflite:int8x4")


def limits(settings: Settings) -> dict[str, float]:
    """What a compression may cost at most, in points of accuracy against the model that it started from.

    Args:
        settings: of the compression.

    Returns:
        `{"drop": points}`: about twice what is usual for the method, so that a training that went wrong shows.

    Example:
        >>> from export.smaller.compression import limits
        >>> from keras_resnet.compression.settings import settings
        >>> limits(settings("prune", sparsity="2:4"))
        {'drop': 0.5}
    """
    if settings.method == "qat":
        return {"drop": 0.1 if settings.weight_bits == 8 else 1.5}
    if settings.method == "cluster":
        return {"drop": 0.5}
    if settings.channels:
        return {"drop": 1.5}
    if settings.sparsity.group:
        return {"drop": 0.5}
    return {"drop": 0.3 if settings.sparsity.share <= 0.5 else 1.0}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file of the comparison.

    Attributes:
        what: it is.
        file: its name; empty where it was measured and not kept.
        top1: accuracy on the test images, a fraction.
        drop: points lost against the original in float32.
        size_bytes: of the file.
        gzip_bytes: of the file as downloads and app stores pack it.
        latency_ms: of one image on one thread.
    """

    what: str
    file: str
    top1: float
    drop: float
    size_bytes: int
    gzip_bytes: int
    latency_ms: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a compression came to.

    Attributes:
        folder: where it is.
        model: the compressed Keras model, under a name that says so if a gate failed.
        settings: what was done.
        engine: by which.
        recipe: of the training.
        seconds: of the training.
        entries: the original and the compressed files.
        gates: of the compression; those of the files are in their manifests.
        images: that it was measured on, in words.
        teacher: whose answers the recipe's `distillation` mixed into the targets, in words.
    """

    folder: Path
    model: Path
    settings: Settings
    engine: str
    recipe: Recipe
    seconds: float
    entries: tuple[Entry, ...]
    gates: tuple[Gate, ...]
    images: str
    teacher: str

    @property
    def passed(self) -> bool:
        """All gates held."""
        return all(gate.passed for gate in self.gates)

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "method": self.settings.name,
            "engine": self.engine,
            "model": str(self.model),
            "settings": self.settings.to_json(),
            "recipe": self.recipe.to_json(),
            "seconds": self.seconds,
            "images": self.images,
            "teacher": self.teacher,
            "entries": [asdict(entry) for entry in self.entries],
            "gates": [asdict(gate) for gate in self.gates],
        }

    def print(self) -> None:
        """A table of the files, and the gates."""
        columns = ("what", "top-1", "drop, points", "kB", "kB gzip", "gzip ratio", "ms")
        base = self.entries[0].gzip_bytes
        rows = [
            (
                entry.what,
                f"{entry.top1:.2%}",
                f"{entry.drop:+.2f}",
                f"{entry.size_bytes / 1000:,.1f}",
                f"{entry.gzip_bytes / 1000:,.1f}",
                f"{entry.gzip_bytes / base:.2f}",
                f"{entry.latency_ms:.3f}",
            )
            for entry in self.entries
        ]
        taught = f", taught by {self.teacher}" if self.teacher else ""
        title = f"{self.settings.name} by {self.engine}, {self.seconds:,.0f} s of training{taught}, on {self.images}"
        console.print_table(title, columns, rows)
        for gate in self.gates:
            mark = "passed" if gate.passed else "FAILED"
            print(f"{mark}: {gate.name} {_text(gate.value)}, limit {_text(gate.limit)}")

    def raise_if_failed(self) -> None:
        """Turns failed gates into an exit status.

        Raises:
            GateError: some gate did not hold.
        """
        failed = [f"{g.name} {_text(g.value)}, limit {_text(g.limit)}" for g in self.gates if not g.passed]
        if failed:
            raise GateError(f"{'; '.join(failed)}: the compressed model is kept as {self.model}")


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
        source: the model and its data.
        settings: what shall be done to it (`keras_resnet.compression.settings.settings`).
        recipe: of the training; model, data and input convention are the source's.
        folder: a new or empty one. It gets `model.keras`, TFLite files with manifests and golden vectors,
            `compression.json` with all figures, and the run directory `training`.
        engine: of `export.smaller.trainers.TRAINERS`.
        teacher: a better model of the same images and classes, whose answers the recipe's `distillation` mixes into the
            targets (arXiv:1503.02531); by default the source as it is.
        answers: folder that keeps what the teacher says, for other compressions by the same recipe; by default it is
            asked anew by each.
        data_dir: where CIFAR's official binary files are; by default Keras' cache.
        dataset: where it is not the one that the model was trained on.
        limit: test images to measure with at most; all by default.
        gates: limits that replace those of `limits`, by name.
        resume: go on where an interrupted call with the same settings stopped.
        strategy: `"mirrored"` for all devices of this machine, or what `keras_resnet.training.strategy.make` made
            before the model was loaded: several machines, which all call this with the same arguments and see `folder`
            on a common disk. Native engine only.
        say: told what is being done.

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
    chosen = get_trainer(engine)
    unknown = sorted(set(gates or {}) - set(limits(settings)))
    if unknown:
        raise InputError(f"gate {unknown[0]}: expected {' or '.join(limits(settings))}")
    recipe = adapted(recipe, source, settings, dataset)
    _check_probabilities(source, source)
    if teacher is not None:
        _check_teacher(teacher, source, recipe)
        _check_probabilities(teacher, source)
    devices = strategies.make(strategy) if isinstance(strategy, str) else strategy
    chosen.refuse(source, settings, recipe, devices)
    if devices.is_chief:
        _open(folder, source, settings, recipe, engine, teacher, resume)
    say(f"model: {source.origin}" + (f"; teacher: {teacher.origin}" if teacher else ""))
    kept = Path(answers) if answers else None
    how = {"answers": kept, "data_dir": data_dir, "resume": resume, "devices": devices, "say": say}
    asked = (teacher or source).model
    trained = chosen.train(source, settings, recipe, folder / TRAINING, teacher=asked, **how)
    if not devices.is_chief:
        return None
    small, card = load_model(folder / TRAINING / MODEL)
    compressed = dataclasses.replace(source, model=small, card=card, origin=str(folder / MODEL), name="model")
    say("measuring the original")
    baseline, before = _baseline(source, limit, say)
    made = _exported(compressed, settings, folder, limit, say)
    entries = (*before, *_entries(made.rows, baseline, settings.name))
    verdict = tuple(_gates(source, small, settings, entries, made, limits(settings) | dict(gates or {})))
    name = MODEL if all(gate.passed for gate in verdict) else f"{Path(MODEL).stem}.failed.keras"
    with files.writing(folder / name, overwrite=True) as temporary:
        temporary.write_bytes((folder / TRAINING / MODEL).read_bytes())
    if name == MODEL:
        (folder / f"{Path(MODEL).stem}.failed.keras").unlink(missing_ok=True)  # of a stricter gate
    outcome = Outcome(
        folder=folder,
        model=folder / name,
        settings=settings,
        engine=engine,
        recipe=recipe,
        seconds=trained,
        entries=entries,
        gates=verdict,
        images=made.evidence,
        teacher=teacher.origin if teacher else "",
    )
    console.write_json(folder / RESULT, outcome.to_json())
    return outcome


def adapted(recipe: Recipe, source: Source, settings: Settings, dataset: str | None = None) -> Recipe:
    """The recipe with the source's model, data and input convention.

    Args:
        recipe: any.
        source: with data.
        settings: of the compression; some leave batch normalisation to be estimated at the end.
        dataset: name, where it is not the card's.

    Raises:
        InputError: the source has no data, or a convention of its own.
    """
    if source.dataset is None:
        raise InputError(
            "a compression trains, and the model names no dataset that is here: pass --dataset digits, --dataset "
            "cifar10 --data-dir DIR, or --dataset FOLDER of class folders"
        )
    names = [name for name, row in PREPROCESS.items() if row == source.card.preprocess]
    if not names:
        raise InputError(f"{source.origin} has an input convention of its own: {source.card.preprocess.to_json()}")
    known, outputs = len(source.dataset.classes), source.model.output_shape[-1]
    if known != outputs:
        raise InputError(
            f"{source.dataset.name} has {known} classes, the model {outputs}: it cannot be trained on them"
        )
    return dataclasses.replace(
        recipe,
        model=source.card.spec or "",
        dataset=str(dataset or source.card.dataset),
        preprocess=names[0],
        crop=source.card.crop,
        augmentation=_augmentation(recipe, source),
        learning_rate=_learning_rate(recipe, source),
        own_rate=0.0,
        precise_bn=recipe.precise_bn if settings.norms_move else 0,
    )


def _augmentation(recipe: Recipe, source: Source) -> str:
    """Digits must not be mirrored, photos may: the model's own training knew."""
    if recipe.augmentation != OWN_AUGMENTATION:
        return recipe.augmentation
    own = RECIPES.get(source.card.recipe or "")
    return own.augmentation if own else "none"


def _learning_rate(recipe: Recipe, source: Source) -> float:
    """In proportion to the batch as well: as many images move the weights as far."""
    own = RECIPES.get(source.card.recipe or "")
    if not recipe.own_rate or own is None or (own.optimizer, recipe.optimizer) != ("sgd", "sgd"):
        return recipe.learning_rate
    return recipe.own_rate * own.learning_rate * recipe.batch_size / own.batch_size


def _check_teacher(teacher: Source, source: Source, recipe: Recipe) -> None:
    if not recipe.distillation:
        raise InputError(f"recipe {recipe.name} has distillation=0 and asks no teacher: --set distillation=0.5")
    apart = {
        "input": (teacher.model.input_shape[1:], source.model.input_shape[1:]),
        "outputs": (teacher.model.output_shape[-1], source.model.output_shape[-1]),
        "labels": (teacher.card.labels, source.card.labels),
        "input convention": (teacher.card.preprocess, source.card.preprocess),
    }
    for what, (found, expected) in apart.items():
        if found != expected and found and expected:
            facts = f"{what} {_short(found)}, expected {_short(expected)}"
            raise InputError(f"{teacher.origin} cannot teach {source.origin}: {facts}")


def _check_probabilities(model: Source, source: Source) -> None:
    """The loss and the teacher's share of the targets are made for them."""
    images = source.card.preprocess(source.evidence(4).pixels)
    answers = keras.ops.convert_to_numpy(model.model(images, training=False))
    if not np.allclose(answers.sum(axis=-1), 1, atol=1e-2) or answers.min() < 0:
        raise InputError(f"{model.origin} gives no probabilities of classes: put a softmax behind its last layer")


def _short(value: object) -> str:
    return textwrap.shorten(str(value), 60, placeholder=" ...")


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
        known = json.loads(path.read_text(encoding="utf-8"))
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
        top1 = report.rows[0].top1_reference
        names = ("original, float32", "original, int8 after training")
        entries = [_entry(row, top1, name) for row, name in zip(report.rows, names, strict=True)]
        return top1, [dataclasses.replace(entry, file="") for entry in entries]


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
        top1=row.top1,
        drop=100 * (baseline - row.top1),
        size_bytes=len(content),
        gzip_bytes=len(gzip.compress(content, 9, mtime=0)),
        latency_ms=row.latency_ms,
    )


def _entries(rows: Sequence[Row], baseline: float, name: str) -> list[Entry]:
    return [_entry(row, baseline, f"{name}, {row.precision}") for row in rows]


def _gates(source: Source, small: keras.Model, settings: Settings, entries, made: Report, allowed) -> list[Gate]:
    """What was asked for is there, the files compute it, and it cost no more than allowed."""
    gates = [_structure(source, small, settings)] if settings.method != "qat" or settings.preserve else []
    gates += [
        Gate(f"{Path(row.file).name} verified", "passed", row.verdict, row.passed)
        for row in made.rows
        if not row.passed
    ]
    original, after_training, first, *_ = entries
    gates.append(Gate("drop", allowed["drop"], round(first.drop, 4), first.drop <= allowed["drop"] + 1e-9))
    if settings.method == "qat" and settings.weight_bits == 8:
        least = after_training.top1
        gates.append(Gate("accuracy of int8 after training", least, first.top1, first.top1 >= least))
    return gates


def _structure(source: Source, small: keras.Model, settings: Settings) -> Gate:
    if settings.channels:
        share = multiply_adds(small) / multiply_adds(source.model)
        return Gate("share of multiply-adds", settings.channels, share, share <= settings.channels)
    found = kernels(small)
    if settings.method == "cluster" or settings.preserve == "clusters":
        most = settings.clusters or max(_values(kernel) for kernel in kernels(source.model).values())
        most += settings.preserve == "sparsity"  # zero is one more
        if settings.method == "qat":  # every output channel is rounded with a scale of its own
            values = max(_values(channel) for k in found.values() for channel in k.reshape(-1, k.shape[-1]).T)
            return Gate("values in a channel's kernel", most, values, values <= most)
        values = max(map(_values, found.values()))
        return Gate("values in a kernel", most, values, values <= most)
    least = settings.sparsity.share if settings.sparsity else pruning.sparsity_of(source.model)
    share = pruning.sparsity_of(small)
    return Gate("share of zeros", least, share, share >= least - 0.005)  # kernels that fill no group, rounding


def _values(kernel: np.ndarray) -> int:
    return len(np.unique(kernel))
