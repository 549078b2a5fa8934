"""The proof: names, shapes and dtypes first, then values, then accuracy; and `python -m export.verify`."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from export.formats.table import INPUT, OUTPUT, Artifact, Contents
from keras_resnet.card import ModelCard
from keras_resnet.errors import unknown_name
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.runtime.opening import open_runner
from keras_resnet.signals.conventions import PREPROCESS


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a file may be from Keras.

    Attributes:
        max_abs: largest difference of a probability, relative to the largest output where that is above one (logits).
        cosine: smallest mean cosine similarity of output rows.
        sqnr: smallest ratio of signal to quantization noise, of every output, in dB.
        agreement: smallest share of images with the same top-1 class.
        drop: largest loss of top-1 accuracy, in points of a hundred.
        reason: for these figures.
        outliers: whether `max_abs` leaves the worst thousandth of the images out. Of 10,000 images some few lie where
            rounding, or a range that saturates, decides; what is wrong with a file shows in more of them.
    """

    max_abs: float
    cosine: float
    sqnr: float
    agreement: float
    drop: float
    reason: str
    outliers: bool = False


TOLERANCES: dict[str, Tolerance] = {
    "float32": Tolerance(
        max_abs=1e-4,
        cosine=0.999999,
        sqnr=80,
        agreement=0.999,
        drop=0.1,
        reason="the same arithmetic in another order; batch normalisation folded into the kernels (seen: below 1e-5)",
    ),
    "float16": Tolerance(
        max_abs=0.03,
        cosine=0.9999,
        sqnr=40,
        agreement=0.995,
        drop=0.3,
        reason="weights rounded to 11 bits, arithmetic in float32 (ONNX: in 11 bits as well)",
    ),
    "dynamic_int8": Tolerance(
        max_abs=0.6,
        cosine=0.99,
        sqnr=15,
        agreement=0.97,
        drop=1.0,
        reason="weights in 8 bits, activations in 8 bits with a range per image; single uncertain images may move",
        outliers=True,
    ),
    "int8": Tolerance(
        max_abs=0.6,
        cosine=0.99,
        sqnr=12,
        agreement=0.97,
        drop=1.0,
        reason="8 bits everywhere, a softmax in steps of 1/256: judged by agreement and accuracy, not by one image",
        outliers=True,
    ),
    "int16x8": Tolerance(
        max_abs=0.35,
        cosine=0.995,
        sqnr=18,
        agreement=0.98,
        drop=1.0,
        reason="weights in 8 bits, activations in 16",
        outliers=True,
    ),
    "int8x4": Tolerance(
        max_abs=1.0,
        cosine=0.9,
        sqnr=3,
        agreement=0.9,
        drop=5.0,
        reason="15 values a weight, 8 bits for activations: a net holds it that was trained with weights of 4 bits",
        outliers=True,
    ),
    "weight_only_int8": Tolerance(
        max_abs=0.35,
        cosine=0.995,
        sqnr=18,
        agreement=0.98,
        drop=1.0,
        reason="weights in 8 bits, activations in float32",
        outliers=True,
    ),
    "weight_only_int4": Tolerance(
        max_abs=1.0,
        cosine=0.9,
        sqnr=3,
        agreement=0.9,
        drop=5.0,
        reason="15 values a weight; nets as small as ResNet-8 may not hold it",
        outliers=True,
    ),
}


def tolerance(precision: str, limits: Mapping[str, float]) -> Tolerance:
    """The precision's row with some limits replaced.

    Args:
        precision: row of `TOLERANCES`.
        limits: by the names of `Tolerance`.

    Raises:
        InputError: unknown name.
    """
    known = [each.name for each in dataclasses.fields(Tolerance) if each.name not in ("reason", "outliers")]
    for name in limits:
        if name not in known:
            raise unknown_name("gate", name, known)
    return dataclasses.replace(TOLERANCES[precision], **limits)


@dataclass(frozen=True)
class Gate:
    """One check: the value found, the limit, and whether it held."""

    name: str
    limit: float | str
    value: float | str
    passed: bool

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return {"name": self.name, "limit": self.limit, "value": self.value, "passed": self.passed}


@dataclass(frozen=True)
class Comparison:
    """A file beside its Keras model, over the same images.

    Attributes:
        max_abs: largest difference of a probability; nan where an output is not finite.
        max_abs_of_most: likewise, without the worst thousandth of the images (which is none of less than a thousand).
        cosine: mean cosine similarity of output rows.
        sqnr: signal to noise in dB, by output.
        agreement: share of images with the same top-1 class.
        scale: largest absolute output of Keras, at least one.
        top1: accuracy of the file, None without labels.
        top1_reference: accuracy of Keras, None without labels.
        drop: what the file loses, in points, None without labels.
        drop_error: half the width of its 95 % confidence interval, from the same images' differences.
        interface: what is wrong with names, shapes and dtypes; values are not compared then.
    """

    max_abs: float | None = None
    max_abs_of_most: float | None = None
    cosine: float | None = None
    sqnr: Mapping[str, float] = field(default_factory=dict)
    agreement: float | None = None
    scale: float = 1.0
    top1: float | None = None
    top1_reference: float | None = None
    drop: float | None = None
    drop_error: float | None = None
    interface: tuple[str, ...] = ()


_OUTLIERS = 1000  # one of so many images
_MAX_DB = 200.0  # of equal outputs, which have no noise


def sqnr(reference: np.ndarray, outputs: np.ndarray) -> float:
    """Ratio of signal to noise in dB: `10 log10(sum(reference^2) / sum((reference - outputs)^2))`, at most 200."""
    signal = float(np.square(reference, dtype=np.float64).sum())
    noise = float(np.square(reference.astype(np.float64) - outputs).sum())
    if noise == 0:
        return _MAX_DB
    with np.errstate(divide="ignore"):
        ratio = 10 * float(np.log10(max(signal, 1e-300) / noise))
    return min(ratio, _MAX_DB)  # in this order nan stays nan, which no gate lets pass


def compare(
    reference: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], labels: np.ndarray | None
) -> Comparison:
    """Compares outputs over the same images.

    Args:
        reference: Keras' float32 outputs by name: `probabilities` `(n, classes)`, and others of any shape.
        outputs: the file's, likewise.
        labels: int `(n,)`, or None.

    Returns:
        The figures.
    """
    ours, theirs = outputs[OUTPUT], reference[OUTPUT]
    with np.errstate(invalid="ignore"):  # outputs that are not finite give nan, which no gate lets pass
        norms = np.linalg.norm(theirs, axis=1) * np.linalg.norm(ours, axis=1)
        cosine = (theirs * ours).sum(axis=1) / np.maximum(norms, 1e-30)
        noise = {name: sqnr(reference[name], outputs[name]) for name in reference}
    figures = {}
    if labels is not None:
        right = [(each.argmax(axis=1) == labels).astype(float) for each in (theirs, ours)]
        lost = 100 * (right[0] - right[1])
        figures = {
            "top1": float(right[1].mean()),
            "top1_reference": float(right[0].mean()),
            "drop": float(lost.mean()),
            "drop_error": float(1.96 * lost.std() / len(lost) ** 0.5),
        }
    largest = np.sort(np.abs(theirs - ours).max(axis=1))  # nan comes last
    most = largest[-1 - len(largest) // _OUTLIERS]
    return Comparison(
        max_abs=float(largest[-1]),
        max_abs_of_most=float(most if np.isfinite(largest[-1]) else largest[-1]),
        cosine=float(cosine.mean()),
        sqnr=noise,
        agreement=float((theirs.argmax(axis=1) == ours.argmax(axis=1)).mean()),
        scale=max(1.0, float(np.abs(theirs).max())),
        **figures,
    )


def interface_errors(runner: Runner, artifact: Artifact, shapes: Mapping[str, tuple]) -> list[str]:
    """What of names, shapes and dtypes is not as the artifact must have it.

    Args:
        runner: of the file.
        artifact: what was to be made.
        shapes: of the image and of every output in Keras, by name; the batch is the format's.

    Returns:
        One sentence per difference.
    """
    wanted = {name: Tensor(name, (artifact.format.batch, *shapes[name][1:]), artifact.io) for name in shapes}
    batch, *size, channels = wanted[INPUT].shape
    if artifact.layout == "nchw":
        wanted[INPUT] = dataclasses.replace(wanted[INPUT], shape=(batch, channels, *size))
    pairs = [("input", wanted[INPUT], runner.input)]
    received = {tensor.name: tensor for tensor in runner.outputs}
    single = len(runner.outputs) == len(artifact.outputs) == 1
    for name in artifact.outputs:
        found = runner.output if single else received.get(name, Tensor("missing", (), ""))
        pairs.append(("output", wanted[name], found))
    return [
        f"{role} {field} {getattr(found, field)}, expected {getattr(expected, field)}"
        for role, expected, found in pairs
        for field in ("name", "shape", "dtype")
        if getattr(expected, field) != getattr(found, field)
    ]


def check(
    comparison: Comparison, contents: Contents, limits: Mapping[str, float], unfoldable: Sequence[str] = ()
) -> list[Gate]:
    """The gates of a file.

    Args:
        comparison: with Keras.
        contents: of the file.
        limits: that replace those of `TOLERANCES`.
        unfoldable: batch normalisations that may be operators of their own.

    Returns:
        Interface first, then operators, then values.
    """
    gates = [_interface_gate(comparison.interface), _operator_gate(contents)]
    if contents.unfolded is not None:
        most = len(unfoldable)
        gates.append(Gate("unfolded batch norms", most, contents.unfolded, contents.unfolded <= most))
    return [*gates, *_value_gates(comparison, tolerance(contents.precision, limits))]


def identity_gates(card: ModelCard, expected: ModelCard, fingerprint: str) -> list[Gate]:
    """Whether the file carries its model's card, and still is what the export wrote.

    Some damage does not show in values: with the weights of an unimportant layer scrambled, a net may still answer
    right on nearly every image.

    Args:
        card: of the file.
        expected: of the Keras model.
        fingerprint: of the network in the file, as it is now.

    Returns:
        The gates `card` and `checksum`.
    """
    own = dataclasses.replace(card, sha256=None)
    # The weights' own, or one that the graph translates.
    conventions = (expected.preprocess, PREPROCESS["none"], PREPROCESS["tf"])
    same = own in [dataclasses.replace(expected, sha256=None, preprocess=each) for each in conventions]
    found = "the model's" if same else "none" if own == ModelCard() else "another model's"
    checksum = "missing" if card.sha256 is None else card.sha256[:12]
    return [
        Gate("card", "the model's", found, same),
        Gate("checksum", fingerprint[:12], checksum, card.sha256 == fingerprint),
    ]


def _interface_gate(errors: Sequence[str]) -> Gate:
    return Gate("interface", "as documented", "; ".join(errors) or "as documented", not errors)


def _operator_gate(contents: Contents) -> Gate:
    found = ", ".join(contents.forbidden) or "none"
    return Gate("forbidden operators", "none", found, not contents.forbidden)


def _value_gates(comparison: Comparison, limit: Tolerance) -> list[Gate]:
    if comparison.max_abs is None:
        return []
    relative = (comparison.max_abs_of_most if limit.outliers else comparison.max_abs) / comparison.scale
    # Written so that nan fails.
    gates = [
        Gate("max_abs of 99.9 %" if limit.outliers else "max_abs", limit.max_abs, relative, relative <= limit.max_abs),
        Gate("cosine", limit.cosine, comparison.cosine, comparison.cosine >= limit.cosine),
        Gate("agreement", limit.agreement, comparison.agreement, comparison.agreement >= limit.agreement),
    ]
    for name, value in comparison.sqnr.items():
        gates.append(Gate("sqnr" if name == OUTPUT else f"sqnr of {name}", limit.sqnr, value, value >= limit.sqnr))
    if comparison.drop is not None:
        gates.append(Gate("drop", limit.drop, comparison.drop, comparison.drop <= limit.drop + 1e-9))
    return gates


_WARM_UP, _LEAST, _SECONDS = 3, 10, 1.0


def latency_ms(path: Path, image: np.ndarray, engine: str | None = None) -> float:
    """Median time of one image on one thread, the first runs left out.

    Args:
        path: of the file.
        image: float32 `(1, H, W, C)`, preprocessed.
        engine: of `formats.ENGINES`.

    Returns:
        Milliseconds, quantization of the input and dequantization of the output included.
    """
    runner = open_runner(path, threads=1, engine=engine, trusted=True)
    for _ in range(_WARM_UP):
        runner(image)
    times, start = [], time.perf_counter()
    while len(times) < _LEAST or time.perf_counter() - start < _SECONDS:
        begin = time.perf_counter()
        runner(image)
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000
