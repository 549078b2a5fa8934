"""What a file is compared with, and the row of figures and gates that comes of it."""

from __future__ import annotations

import dataclasses
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.artifacts import CAM, Artifact, artifact
from export.formats.table import ENGINES, OUTSIDE, Contents, format_of
from export.model import graph, outputs
from export.model.evidence import Evidence
from export.model.source import Source
from export.proof import golden, timing
from export.proof.comparison import Comparer, Comparison
from export.proof.gates import Gate, check, identity_gates, interface_errors
from export.proof.report import Row
from keras_resnet import machine
from keras_resnet.card import ModelCard
from keras_resnet.nets import fusion
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.runtime.opening import open_runner
from keras_resnet.signals.conventions import PREPROCESS, Preprocess
from keras_resnet.tasks import get_task

FEW = 500  # examples that a verdict should rest on
_IN_MEMORY = 256_000_000  # bytes of an output of Keras; beyond that it is kept on the disk


class References:
    """Keras' outputs on all examples: computed once for every set of outputs, in memory or in files."""

    def __init__(self, source: Source, evidence: Evidence):
        """Computes nothing yet.

        Args:
            source: Keras model.
            evidence: examples.
        """
        self._source, self._evidence = source, evidence
        self._known: dict[str, np.ndarray] = {}

    def get(self, made: Artifact) -> dict[str, np.ndarray]:
        """Float32 arrays by output name, those of the task first: the model's own, before anything was put around it.

        Args:
            made: says which other outputs are wanted.
        """
        card = self._source.card
        answers = [output.name for output in outputs.of_task(card)]
        if not set(answers) <= set(self._known):
            own = KerasRunner(self._source.model)
            parts = self._evidence.outputs(own, card.preprocess)
            self._keep(outputs.by_task(part, card) for part, _ in parts)
        lacking = set(made.more_outputs) - set(self._known)
        if lacking:
            more = graph.prepare(self._source.model, card, dataclasses.replace(made, input="normalized"))
            parts = self._evidence.outputs(KerasRunner(more), card.preprocess)
            self._keep({name: part[name] for name in lacking} for part, _ in parts)
        return {name: self._known[name] for name in (*answers, *made.more_outputs)}

    def _keep(self, parts: Iterator[Mapping[str, np.ndarray]]) -> None:
        start = 0
        for part in parts:
            for name, values in part.items():
                if start == 0:
                    self._known[name] = self._room(values)
                self._known[name][start : start + len(values)] = values
            start += len(values)

    def _room(self, values: np.ndarray) -> np.ndarray:
        shape = (len(self._evidence), *values.shape[1:])
        if values.nbytes // len(values) * len(self._evidence) <= _IN_MEMORY:
            return np.empty(shape, np.float32)
        with tempfile.TemporaryFile() as file:  # without a name: it is gone with the array
            return np.memmap(file, np.float32, "w+", shape=shape)


@dataclass
class Proof:
    """What files are compared with.

    Attributes:
        source: Keras model and its data.
        evidence: examples.
        limits: limits that replace others, by the names in `gates.LIMITS`.
        engine: runtime of TFLite files, one of `ENGINES` and `OUTSIDE`; None for the first.
        trust: whether a SavedModel that this process has not made is from somebody whose code may run here.
        latency: function of a file, one prepared example and an engine, which gives milliseconds; it tries the file in
            a process of its own first, or only gets files that have been tried.
    """

    source: Source
    evidence: Evidence
    limits: Mapping[str, float]
    engine: str | None
    trust: bool = False
    latency: Callable[[Path, np.ndarray, str | None], float | None] = timing.latency_ms
    references: References = field(init=False)
    _forms: dict[str, Source] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Prepares for the outputs of Keras."""
        self.references = References(self.source, self.evidence)

    def in_form(self, form: str) -> Source:
        """The source with the outputs, and the card, of a form; its graph is built once.

        Args:
            form: one of the task's forms, or empty: the source itself.
        """
        if form not in self._forms:
            self._forms[form] = self.source.in_form(form)
        return self._forms[form]

    def shapes(self, made: Artifact) -> dict[str, tuple]:
        """Shapes of the input and then of the outputs, by name.

        Args:
            made: says which outputs.
        """
        shapes = {self.source.signal.key: (None, *made.shape_of(self.source.shape))}
        if made.form:
            source = self.in_form(made.form)
            own = {name: tuple(tensor.shape) for name, tensor in outputs.named(source.model, source.card).items()}
            return shapes | own
        return shapes | {name: values.shape for name, values in self.references.get(made).items()}

    def preprocess(self, runner: Runner) -> Preprocess:
        """Input convention of a file; one that lost its card is taken for what the source is.

        Args:
            runner: file.
        """
        return self.source.card.preprocess if runner.card == ModelCard() else runner.card.preprocess

    def compare(self, runner: Runner, made: Artifact) -> Comparison:
        """Compares interfaces first, then values.

        Args:
            runner: file.
            made: what was asked for.
        """
        card, reference = self.in_form(made.form).card, self.references.get(made)
        answers = outputs.of_task(card)
        errors = interface_errors(
            runner, made, self.shapes(made), {each.name: each.dtype for each in answers if each.dtype}
        )
        known, wanted = {tensor.name for tensor in runner.outputs}, {each.name for each in answers}
        if any("shape" in error for error in errors) or not {*wanted, *made.more_outputs} <= known:
            return Comparison(task=card.task, interface=tuple(errors))
        comparer, start = Comparer(card, answers), 0
        code = get_task(card.task).capable
        for found, truth in self.evidence.outputs(runner, self.preprocess(runner)):
            stop = start + len(next(iter(found.values())))
            part = {name: values[start:stop] for name, values in reference.items()}
            if made.form:  # what its caller does is proven with it
                part, found = code.as_form(part, card), code.restored(found, card)
            comparer.update(part, found, truth)
            start = stop
        return dataclasses.replace(comparer.result(), interface=tuple(errors))

    def verified(self, file: Path, name: Path, made: Artifact | None) -> tuple[Row, Contents]:
        """Runs a file and compares it with Keras.

        Args:
            file: file to run.
            name: name that the row bears.
            made: what was asked for, None for a file that exists.

        Returns:
            What was found out, and what is in the file.
        """
        form = format_of(file)
        latency = None
        if made is not None:  # before anything of it is opened here: the file is tried as well
            shape, convention = made.shape_of(self.source.shape), made.convention(self.source.card.preprocess)
            latency = self._latency(file, shape, convention)
        trusted = made is not None or (form.name == "saved_model" and self.trust)
        runner = open_runner(file, engine=self.engine, trusted=trusted)
        contents = form.module.describe(file)
        if fusion.scales_otherwise(self.source.model):
            contents = dataclasses.replace(contents, unfolded=None)
        wanted = made or _inferred(runner, contents, file, self.source)
        comparison = self.compare(runner, wanted)
        if made is None and not comparison.interface:
            latency = self._latency(file, runner.example_shape, self.preprocess(runner))
        unfoldable = fusion.unfolded_norms(self.source.model, form.name) if contents.unfolded is not None else []
        gates = check(comparison, contents, self.limits, unfoldable)
        expected = self.in_form(wanted.form).card
        identity = identity_gates(runner.card, expected, form.module.fingerprint(file))
        gates = [*identity, *_golden_gate(name, runner, self, comparison, made), *gates]
        if made is not None:
            gates.insert(0, Gate("precision", made.precision, contents.precision, contents.precision == made.precision))
        row = Row(
            file=str(name),
            format=form.name,
            precision=contents.precision,
            quantizer=made.quantizer if made else "",
            input=_convention(self.preprocess(runner), self.source.card.preprocess),
            io=runner.input.dtype,
            processor=machine.processor(),
            engine=(self.engine or ENGINES[0]) if form.name == "tflite" else "cpu",
            size_bytes=_size(file),
            operators=dict(contents.operators.most_common()),
            unfolded=contents.unfolded,
            notes=tuple(
                [*_notes(wanted, contents, unfoldable, self), *_of_shares(comparison), *_near_chance(comparison, self)]
            ),
            latency_ms=None if comparison.interface or self.engine in OUTSIDE else latency,
            gates=tuple(gates),
            **row_figures(comparison),
        )
        return row, contents

    def _latency(self, file: Path, shape: tuple[int | None, ...], convention: Preprocess) -> float | None:
        examples, _ = self.evidence.fetch(0, 1)
        one = self.source.signal.code.resized(examples, shape)
        return self.latency(file, convention(one), None if self.engine in OUTSIDE else self.engine)


def row_figures(comparison: Comparison) -> dict[str, Any]:
    """Fields of a `Row` that a comparison knows.

    Args:
        comparison: file beside Keras.
    """
    first = comparison.first
    return {
        "task": comparison.task,
        "max_abs": first and first.max_abs,
        "cosine": first and first.cosine,
        "sqnr": comparison.sqnr,
        "outputs": {name: dataclasses.asdict(each) for name, each in comparison.figures.items()},
        "agreement": comparison.agreement,
        "score": comparison.score,
        "score_reference": comparison.score_reference,
        "drop": comparison.drop,
        "drop_error": comparison.drop_error,
        "drop_interval": comparison.drop_interval,
    }


def _convention(found: Preprocess, weights: Preprocess) -> str:
    """One of `INPUTS`."""
    if found == PREPROCESS["none"]:
        return "raw"
    return "tf" if found == PREPROCESS["tf"] != weights else "normalized"


def _inferred(runner: Runner, contents: Contents, file: Path, source: Source) -> Artifact:
    """What a file seems to have been made as."""
    shape, said = source.shape, runner.card.facts.get("form", "")
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
        form=said if said in get_task(source.card.task).forms and not source.card.facts.get("form") else "",
        size=None if runner.example_shape[:-1] == shape[:-1] or len(shape) != 3 else runner.example_shape[0],
    )


def _golden_gate(name: Path, runner: Runner, proof: Proof, comparison: Comparison, made: Artifact | None) -> list[Gate]:
    """The gate of a file that has vectors already."""
    path = golden.beside(name)
    if made is not None or comparison.interface or not path.exists():
        return []
    apart, most = golden.difference(path, runner, proof.preprocess(runner))
    return [Gate("golden vectors", most, apart, apart <= most)]


def _notes(made: Artifact, contents: Contents, unfoldable: Sequence[str], proof: Proof) -> list[str]:
    """What a person should know about the file."""
    notes = [made.offer.note] if made.offer.note else []
    if contents.unfolded and unfoldable:
        layers = {layer.name: layer for layer in proof.source.model.layers}
        cost = sum(int(np.prod(layers[name].output.shape[1:])) for name in unfoldable if name in layers)
        notes.append(
            f"{contents.unfolded} batch normalisations stay operators of their own, since they follow an addition or a "
            f"pooling ({', '.join(unfoldable[:3])}, ...): {cost / 1e6:.2f} million multiply-adds an image"
        )
    dataset = proof.source.dataset
    if dataset is not None and len(proof.evidence) < min(FEW, len(dataset.test)):  # else there are no more
        notes.append(f"judged on {len(proof.evidence)} {proof.source.noun} only: expected {FEW} or more")
    return notes


def _of_shares(comparison: Comparison) -> list[str]:
    """What is reported beside the agreement."""
    return [", ".join(f"{name}: {value:.1%}" for name, value in comparison.shares.items())] if comparison.shares else []


def _near_chance(comparison: Comparison, proof: Proof) -> list[str]:
    """What is said of a model that answers hardly better than by guessing: it equals its file, and both are useless."""
    task, value, count = get_task(comparison.task), comparison.score_reference, len(proof.evidence)
    if value is None or not hasattr(task.code, "chance"):
        return []
    tensors = outputs.named(proof.source.model, proof.source.card)
    chance = task.capable.chance({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if value > chance + 3 * math.sqrt(chance * (1 - chance) / count):
        return []
    return [
        f"Keras' own {task.score.name} is {task.score.text(value)}, where guessing has {task.score.text(chance)}: the "
        "model is not trained, or gets another input than it was trained on (--preprocess)"
    ]


def _size(file: Path) -> int:
    if file.is_dir():
        return sum(each.stat().st_size for each in file.rglob("*") if each.is_file())
    return file.stat().st_size
