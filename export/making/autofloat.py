"""Which layers to keep in float: the fewest, so that the gates hold."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from export.formats.artifacts import Artifact, artifact
from export.making import pipeline
from export.model import outputs
from export.model.evidence import Evidence
from export.model.source import Source
from export.proof.comparison import sqnr
from export.proof.report import Report
from keras_resnet import console
from keras_resnet.compression.rewriting import is_quantized
from keras_resnet.errors import GateError, InputError
from keras_resnet.runtime.opening import open_runner

_RANKED_ON = 64  # images that rank the layers; the gates are judged on all


def auto_float(
    source: Source,
    path: Path,
    *,
    gates: Mapping[str, float] | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    io: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Report, tuple[str, ...]]:
    """Makes an int8 TFLite file in which as few layers as possible stay in float32.

    The layers are ranked by the noise at the output when each alone is quantized. Then the shortest prefix of that
    ranking whose file passes is looked for: doubled until one passes, then halved. A longer one is taken to be no
    worse. All of this happens on validation images; the file's own report is of the test images, and may fail there.

    Args:
        source: model and its data.
        path: file to write.
        gates: limits that replace others, by the names in `proof.gates.LIMITS`.
        limit: number of images to verify with at most.
        overwrite: whether existing files are replaced.
        io: dtype of input and output; by default int8.
        say: function that is told what is being done.

    Returns:
        The report of the file that was written, and the layers in float.

    Raises:
        InputError: see `pipeline.export`.
        GateError: the gates do not hold even with every layer in float.

    Example:
        >>> auto_float(load_source("v2.keras"), Path("v2.tflite"), gates={"drop": 0.1})  # doctest: +SKIP
    """
    if is_quantized(source.model):
        raise InputError("the model was trained for int8 in all layers: --auto-float is for models that were not")
    base = artifact("tflite:int8", quantizer="litert", io=io)
    choosing = source.on_validation()  # a choice must not be made on test images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def attempt(layers: tuple[str, ...]) -> bool:
            say(f"trying {len(layers)} layers in float")
            made = dataclasses.replace(base, keep_float=layers)
            tried = folder / "tried.tflite"
            report = pipeline.export(choosing, [(made, tried)], overwrite=True, limit=limit, gates=gates)
            return report.passed

        kept: tuple[str, ...] = ()
        if not attempt(kept):
            ranking = rank(choosing, base, choosing.evidence(_RANKED_ON), say)
            kept = _shortest(ranking, attempt)
    say(f"{len(kept)} layers in float: {', '.join(kept) or 'none are needed'}")
    made = dataclasses.replace(base, keep_float=kept)
    report = pipeline.export(source, [(made, path)], overwrite=overwrite, limit=limit, gates=gates)
    return report, kept


def _shortest(ranking: list[str], attempt: Callable[[tuple[str, ...]], bool]) -> tuple[str, ...]:
    """The shortest prefix that passes, if a longer one is never worse."""
    low, high = 0, 1  # `low` layers fail
    while not attempt(tuple(ranking[:high])):
        if high == len(ranking):
            raise GateError(
                f"the gates do not hold with all {high} layers in float: they ask for more than float32 has"
            )
        low, high = high, min(2 * high, len(ranking))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if attempt(tuple(ranking[:middle])) else (middle, high)
    return tuple(ranking[:high])


def rank(source: Source, base: Artifact, evidence: Evidence, say: Callable[[str], None]) -> list[str]:
    """Layers by the noise at the output when each of them alone is quantized; the noisiest first.

    The opposite, one in float among quantized ones, ranks badly: its neighbours quantize what goes in and out anyway.

    Args:
        source: model and its data.
        base: the artifact without layers in float.
        evidence: images to compare outputs on.
        say: function that is told what is being done.
    """
    from export.formats import litert

    with tempfile.TemporaryDirectory() as name:
        floating, samples = pipeline.float_file(source, base, Path(name))
        answers = [output.name for output in outputs.of_task(source.card)]  # which have the dtype that was asked for
        layers = [name for name in litert.results(floating) if name not in answers]
        say(f"ranking {len(layers)} layers on {evidence.origin}")
        content, file = floating.read_bytes(), Path(name, "one.tflite")
        convention = base.convention(source.card.preprocess)
        reference = evidence.run(open_runner(floating, trusted=True), convention)
        ranges = litert.ranges(content, samples)
        noise = {}
        for layer in layers:
            made = dataclasses.replace(base, keep_float=tuple(other for other in layers if other != layer))
            with console.silenced():  # it reports its sizes
                file.write_bytes(litert.quantized(content, made, samples, ranges))
            found = evidence.run(open_runner(file, trusted=True), convention)
            noise[layer] = min(sqnr(reference[name], found[name]) for name in answers)
    return sorted(noise, key=lambda layer: noise[layer])
