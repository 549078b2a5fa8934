"""The proof: names, shapes and dtypes first, then values, then accuracy; and `python -m export.verify`."""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.formats import INPUT, OUTPUT, Contents, Format
from keras_resnet.card import ModelCard
from keras_resnet.runners import Runner, Tensor, open_runner

if TYPE_CHECKING:  # importing it needs TensorFlow, and --help must not
    from export.source import Evidence


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a file may be from Keras.

    Attributes:
        max_abs: largest difference of an output, relative to the largest output where that is above one (logits).
        cosine: smallest mean cosine similarity of output rows.
        agreement: smallest share of images with the same top-1 class.
        drop: largest loss of top-1 accuracy, a fraction.
        reason: for these figures.
    """

    max_abs: float
    cosine: float
    agreement: float
    drop: float
    reason: str


TOLERANCES: dict[str, Tolerance] = {
    "float32": Tolerance(
        max_abs=1e-4,
        cosine=0.999999,
        agreement=0.999,
        drop=0.001,
        reason="the same arithmetic in another order; batch normalisation folded into the kernels (seen: below 1e-5)",
    ),
    "float16": Tolerance(
        max_abs=0.02,
        cosine=0.9999,
        agreement=0.995,
        drop=0.003,
        reason="weights rounded to 11 bits, arithmetic in float32",
    ),
    "dynamic_int8": Tolerance(
        max_abs=0.35,
        cosine=0.995,
        agreement=0.98,
        drop=0.01,
        reason="weights in 8 bits, activations in 8 bits with a range per image; single uncertain images may move",
    ),
    "int8": Tolerance(
        max_abs=0.6,
        cosine=0.99,
        agreement=0.97,
        drop=0.01,
        reason="8 bits everywhere, a softmax in steps of 1/256: judged by agreement and accuracy, not by one image",
    ),
    "int16x8": Tolerance(
        max_abs=0.35,
        cosine=0.995,
        agreement=0.98,
        drop=0.01,
        reason="weights in 8 bits, activations in 16",
    ),
}


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
        max_abs: largest difference of an output; nan where an output is not finite.
        cosine: mean cosine similarity of output rows.
        agreement: share of images with the same top-1 class.
        scale: largest absolute output of Keras, at least one.
        top1: accuracy of the file, None without labels.
        top1_reference: accuracy of Keras, None without labels.
        interface: what is wrong with names, shapes and dtypes; values are not compared then.
    """

    max_abs: float | None = None
    cosine: float | None = None
    agreement: float | None = None
    scale: float = 1.0
    top1: float | None = None
    top1_reference: float | None = None
    interface: tuple[str, ...] = ()


def compare(reference: np.ndarray, outputs: np.ndarray, labels: np.ndarray | None) -> Comparison:
    """Compares outputs over the same images.

    Args:
        reference: Keras' float32 `(n, classes)`.
        outputs: the file's, likewise.
        labels: int `(n,)`, or None.

    Returns:
        The figures.
    """
    with np.errstate(invalid="ignore"):  # outputs that are not finite give nan, which no gate lets pass
        norms = np.linalg.norm(reference, axis=1) * np.linalg.norm(outputs, axis=1)
        cosine = (reference * outputs).sum(axis=1) / np.maximum(norms, 1e-30)
    return Comparison(
        max_abs=float(np.abs(reference - outputs).max()),
        cosine=float(cosine.mean()),
        agreement=float((reference.argmax(axis=1) == outputs.argmax(axis=1)).mean()),
        scale=max(1.0, float(np.abs(reference).max())),
        top1=None if labels is None else float((outputs.argmax(axis=1) == labels).mean()),
        top1_reference=None if labels is None else float((reference.argmax(axis=1) == labels).mean()),
    )


def interface_errors(runner: Runner, expected_shapes: tuple[tuple, tuple], form: Format, precision: str) -> list[str]:
    """What of names, shapes and dtypes is not as an exported file must have it.

    Args:
        runner: of the file.
        expected_shapes: of Keras' input and output; the batch is the format's.
        form: the file's format.
        precision: the file's precision.

    Returns:
        One sentence per difference.
    """
    dtype = form.io.get(precision, "float32")
    wanted = [
        Tensor(name, (form.batch, *shape[1:]), dtype)
        for name, shape in zip((INPUT, OUTPUT), expected_shapes, strict=True)
    ]
    errors = []
    for role, expected, received in (("input", wanted[0], runner.input), ("output", wanted[1], runner.output)):
        for field in ("name", "shape", "dtype"):
            if getattr(expected, field) != getattr(received, field):
                errors.append(f"{role} {field} {getattr(received, field)}, expected {getattr(expected, field)}")
    return errors


def check(runner: Runner, keras_shapes, reference: np.ndarray, evidence: Evidence, form: Format, contents: Contents):
    """Interface first, then values.

    Args:
        runner: of the file.
        keras_shapes: of Keras' input and output.
        reference: Keras' outputs on the evidence.
        evidence: the images.
        form: of the file.
        contents: of the file.

    Returns:
        The comparison and its gates.
    """
    errors = interface_errors(runner, keras_shapes, form, contents.precision)
    shapes_fit = not any("shape" in error for error in errors)
    comparison = (
        compare(reference, runner(evidence.images), evidence.labels)
        if shapes_fit
        else Comparison(interface=tuple(errors))
    )
    return comparison, [
        _interface_gate(errors),
        _operator_gate(contents),
        *_value_gates(comparison, contents.precision),
    ]


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
    same = own == dataclasses.replace(expected, sha256=None)
    found = "the model's" if same else "none" if own == ModelCard() else "another model's"
    checksum = "missing" if card.sha256 is None else card.sha256[:12]
    return [
        Gate("card", "the model's", found, same),
        Gate("checksum", fingerprint[:12], checksum, card.sha256 == fingerprint),
    ]


def _interface_gate(errors: list[str]) -> Gate:
    return Gate("interface", "as documented", "; ".join(errors) or "as documented", not errors)


def _operator_gate(contents: Contents) -> Gate:
    found = ", ".join(contents.forbidden) or "none"
    return Gate("forbidden operators", "none", found, not contents.forbidden)


def _value_gates(comparison: Comparison, precision: str) -> list[Gate]:
    if comparison.max_abs is None:
        return []
    tolerance = TOLERANCES[precision]
    relative = comparison.max_abs / comparison.scale
    # Written so that nan fails.
    gates = [
        Gate("max_abs", tolerance.max_abs, relative, relative <= tolerance.max_abs),
        Gate("cosine", tolerance.cosine, comparison.cosine, comparison.cosine >= tolerance.cosine),
        Gate("agreement", tolerance.agreement, comparison.agreement, comparison.agreement >= tolerance.agreement),
    ]
    if comparison.top1 is not None:
        drop = comparison.top1_reference - comparison.top1
        gates.append(Gate("drop", tolerance.drop, drop, drop <= tolerance.drop + 1e-9))
    return gates


_WARM_UP, _LEAST, _SECONDS = 3, 10, 1.0


def latency_ms(path: Path, image: np.ndarray) -> float:
    """Median time of one image on one thread, the first runs left out.

    Args:
        path: of the file.
        image: float32 `(1, H, W, C)`, preprocessed.

    Returns:
        Milliseconds, quantization of the input and dequantization of the output included.
    """
    runner = open_runner(path, threads=1, trusted=True)
    for _ in range(_WARM_UP):
        runner(image)
    times, start = [], time.perf_counter()
    while len(times) < _LEAST or time.perf_counter() - start < _SECONDS:
        begin = time.perf_counter()
        runner(image)
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    from export.cli import main_of_verify

    sys.exit(main_of_verify())
