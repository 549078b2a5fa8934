"""What a file is compared with, and the row of figures and gates that comes of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from export.formats.table import CAM, ENGINES, INPUT, OUTPUT, OUTSIDE, Artifact, Contents, artifact, format_of
from export.model import graph
from export.model.source import Evidence, Source, resized
from export.proof import golden
from export.proof.gates import Comparison, Gate, check, compare, identity_gates, interface_errors, latency_ms
from export.proof.report import Row
from keras_resnet.card import ModelCard
from keras_resnet.nets import fusion
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.runtime.opening import open_runner
from keras_resnet.signals.conventions import PREPROCESS, Preprocess

FEW = 500  # images that a verdict should rest on


@dataclass
class Proof:
    """What files are compared with; Keras runs once for every set of outputs."""

    source: Source
    evidence: Evidence
    limits: Mapping[str, float]
    engine: str | None
    references: dict[tuple, dict[str, np.ndarray]] = field(default_factory=dict)

    def reference(self, made: Artifact) -> dict[str, np.ndarray]:
        """Keras' outputs by name; the probabilities are the model's own, before anything was put around it."""
        key = (made.features, made.cam)
        if key not in self.references:
            preprocess = self.source.card.preprocess
            if made.outputs == (OUTPUT,):
                runner = KerasRunner(self.source.model)
                outputs = {OUTPUT: self.evidence.run(runner, preprocess)[runner.output.name]}
            else:
                more = graph.prepare(self.source.model, preprocess, dataclasses.replace(made, input="normalized"))
                own = self.reference(dataclasses.replace(made, features=(), cam=False))
                outputs = self.evidence.run(KerasRunner(more), preprocess) | own
            self.references[key] = {name: outputs[name] for name in made.outputs}
        return self.references[key]

    def shapes(self, made: Artifact) -> dict[str, tuple]:
        """Of the image and the outputs."""
        outputs = {name: values.shape for name, values in self.reference(made).items()}
        height, width, channels = self.source.image_shape
        return {INPUT: (None, *made.size_of((height, width)), channels), **outputs}

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

    def verified(self, file: Path, name: Path, made: Artifact | None) -> tuple[Row, Contents]:
        """Runs a file and compares it with Keras.

        Args:
            file: to run.
            name: that the row bears.
            made: what was asked for, None for a file that exists.
        """
        form = format_of(file)
        runner = open_runner(file, engine=self.engine)
        contents = form.module.describe(file)
        if fusion.scales_otherwise(self.source.model):
            contents = dataclasses.replace(contents, unfolded=None)
        wanted = made or _inferred(runner, contents, file, self.source.image_shape)
        comparison = self.compare(runner, wanted)
        unfoldable = fusion.unfolded_norms(self.source.model, form.name) if contents.unfolded is not None else []
        gates = check(comparison, contents, self.limits, unfoldable)
        identity = identity_gates(runner.card, self.source.card, form.module.fingerprint(file))
        gates = [*identity, *_golden_gate(name, runner, self, comparison, made), *gates]
        if made is not None:
            gates.insert(0, Gate("precision", made.precision, contents.precision, contents.precision == made.precision))
        one = self.preprocess(runner)(resized(self.evidence.pixels[:1], runner.image_shape[:2]))
        row = Row(
            file=str(name),
            format=form.name,
            precision=contents.precision,
            quantizer=made.quantizer if made else "",
            input=_convention(self.preprocess(runner), self.source.card.preprocess),
            io=runner.input.dtype,
            engine=(self.engine or ENGINES[0]) if form.name == "tflite" else "cpu",
            size_bytes=_size(file),
            operators=dict(contents.operators.most_common()),
            unfolded=contents.unfolded,
            notes=tuple(_notes(wanted, contents, unfoldable, self)),
            max_abs=comparison.max_abs,
            cosine=comparison.cosine,
            sqnr=dict(comparison.sqnr),
            agreement=comparison.agreement,
            top1=comparison.top1,
            top1_reference=comparison.top1_reference,
            drop=comparison.drop,
            drop_error=comparison.drop_error,
            latency_ms=None if comparison.interface or self.engine in OUTSIDE else latency_ms(file, one, self.engine),
            gates=tuple(gates),
        )
        return row, contents


def _convention(found: Preprocess, weights: Preprocess) -> str:
    """Of `formats.INPUTS`."""
    if found == PREPROCESS["none"]:
        return "raw"
    return "tf" if found == PREPROCESS["tf"] != weights else "normalized"


def _inferred(runner: Runner, contents: Contents, file: Path, image_shape: tuple[int, ...]) -> Artifact:
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
        size=None if runner.image_shape[:2] == tuple(image_shape[:2]) else runner.image_shape[0],
    )


def _golden_gate(name: Path, runner: Runner, proof: Proof, comparison: Comparison, made: Artifact | None) -> list[Gate]:
    """For a file that has vectors already."""
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
    if proof.evidence.labels is not None and len(proof.evidence.pixels) < FEW:
        notes.append(f"judged on {len(proof.evidence.pixels)} images only: expected {FEW} or more")
    return notes


def _size(file: Path) -> int:
    if file.is_dir():
        return sum(each.stat().st_size for each in file.rglob("*") if each.is_file())
    return file.stat().st_size
