"""Gates of a file: names, shapes and dtypes first, then operators, then values, then what the answers are worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.formats.artifacts import Artifact
from export.formats.precisions import PRECISIONS
from export.formats.table import Contents
from export.proof.comparison import DECISIVE, Comparison, Figures
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks import get_task

LIMITS = ("max_abs", "cosine", "sqnr", "agreement", "drop")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How far a file may be from Keras; see `formats.Tolerance` and `tasks.Limits`.

    Attributes:
        max_abs: largest difference of a value, relative to the largest output where that is above one.
        cosine: smallest mean cosine similarity of an example's outputs.
        sqnr: smallest ratio of signal to quantization noise of an output, in dB.
        outliers: whether `max_abs` leaves the worst thousandth of the examples out.
        agreement: smallest mean agreement of the answers, 0 to 1.
        drop: largest loss of the headline score, in points of a hundred.
    """

    max_abs: float
    cosine: float
    sqnr: float
    outliers: bool
    agreement: float
    drop: float


def check_names(limits: Mapping[str, float]) -> None:
    """Refuses limits that do not exist.

    Args:
        limits: values by name.

    Raises:
        InputError: unknown name.
    """
    for name in limits:
        if name not in LIMITS:
            raise unknown_name("gate", name, LIMITS)


def limit_of(precision: str, task: str, limits: Mapping[str, float]) -> Limit:
    """The limits of a precision and of a task, with some replaced.

    Args:
        precision: row of `PRECISIONS`.
        task: row of `TASKS`.
        limits: limits that replace others, by their names in `LIMITS`.

    Raises:
        InputError: unknown name, or the task has no limits for that precision.
    """
    check_names(limits)
    values, answers = PRECISIONS[precision].tolerance, get_task(task).code.LIMITS.get(precision)
    if answers is None and not {"agreement", "drop"} <= set(limits):
        raise InputError(f"task {task} has no limits for {precision}: give --gate agreement=... and --gate drop=...")
    own = {"agreement": answers.agreement, "drop": answers.drop} if answers else {}
    known = {"max_abs": values.max_abs, "cosine": values.cosine, "sqnr": values.sqnr, **own, **limits}
    return Limit(outliers=values.outliers, **known)


@dataclass(frozen=True)
class Gate:
    """One check.

    Attributes:
        name: what was checked.
        limit: limit of the value.
        value: what was found.
        passed: whether it held.
        undecided: why a value beyond its limit did not fail the file; empty where it is not.
    """

    name: str
    limit: float | str
    value: float | str
    passed: bool
    undecided: str = ""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types; `undecided` where it is."""
        found: dict[str, object] = {"name": self.name, "limit": self.limit, "value": self.value, "passed": self.passed}
        return {**found, "undecided": self.undecided} if self.undecided else found


def interface_errors(
    runner: Runner, artifact: Artifact, shapes: Mapping[str, tuple], dtypes: Mapping[str, str] | None = None
) -> list[str]:
    """Differences of names, shapes and dtypes from what an artifact must have.

    Args:
        runner: file.
        artifact: what was to be made.
        shapes: shape of the input, then of every output in Keras, by name; the batch is the format's.
        dtypes: dtypes of outputs that have one of their own in every file.

    Returns:
        One sentence per difference.
    """
    wanted = {name: Tensor(name, (artifact.format.batch, *shape[1:]), artifact.io) for name, shape in shapes.items()}
    wanted |= {name: dataclasses.replace(wanted[name], dtype=dtype) for name, dtype in (dtypes or {}).items()}
    start, *outputs = wanted.values()
    if artifact.layout == "nchw":
        batch, *size, channels = start.shape
        start = dataclasses.replace(start, shape=(batch, channels, *size))
    pairs = [("input", start, runner.input)]
    received = {tensor.name: tensor for tensor in runner.outputs}
    single = len(runner.outputs) == len(outputs) == 1
    for tensor in outputs:
        found = runner.output if single else received.get(tensor.name, Tensor("missing", (), ""))
        pairs.append(("output", tensor, found))
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
        comparison: figures beside Keras.
        contents: operators and precision of the file.
        limits: limits that replace others, by their names in `LIMITS`.
        unfoldable: batch normalisations that may be operators of their own.

    Returns:
        Interface first, then operators, then values.
    """
    gates = [_interface_gate(comparison.interface), _operator_gate(contents)]
    if contents.unfolded is not None:
        most = len(unfoldable)
        gates.append(Gate("unfolded batch norms", most, contents.unfolded, contents.unfolded <= most))
    if comparison.agreement is None:
        return gates
    limit = limit_of(contents.precision, comparison.task, limits)
    return [*gates, *_value_gates(comparison, limit), *_answer_gates(comparison, limit)]


def identity_gates(card: ModelCard, expected: ModelCard, fingerprint: str) -> list[Gate]:
    """Whether the file carries its model's card, and still is what the export wrote.

    Some damage does not show in values: with the weights of an unimportant layer scrambled, a net may still answer
    right on nearly every image.

    Args:
        card: card of the file.
        expected: card of the Keras model.
        fingerprint: hash of the network in the file, as it is now.

    Returns:
        The gates `card` and `checksum`.
    """
    own = dataclasses.replace(card, sha256=None)
    if None in (own.held_out, expected.held_out):  # files of before do not say it
        own, expected = (dataclasses.replace(each, held_out=None) for each in (own, expected))
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


def _value_gates(comparison: Comparison, limit: Limit) -> list[Gate]:
    """Values of the task's outputs, and the noise of all."""
    first = next(iter(comparison.figures), None)
    gates = []
    for name in filter(comparison.figures.__contains__, comparison.answers):
        of = "" if name == first else f" of {name}"
        gates += _closeness(comparison.figures[name], limit, of)
    # Written so that nan fails.
    if comparison.agreement is not None:
        least, interval = limit.agreement, comparison.agreement_interval
        within = interval is not None and interval[1] >= least
        unsure = within and comparison.count < DECISIVE and f"{comparison.count} {comparison.noun}"
        gates.append(_judged("agreement", least, comparison.agreement, comparison.agreement >= least, unsure))
    for name, value in comparison.sqnr.items():
        gates.append(Gate("sqnr" if name == first else f"sqnr of {name}", limit.sqnr, value, value >= limit.sqnr))
    return gates


def _closeness(found: Figures, limit: Limit, of: str) -> list[Gate]:
    largest = (found.max_abs_of_most if limit.outliers else found.max_abs) / found.scale
    words = "max_abs of 99.9 %" if limit.outliers else "max_abs"
    return [
        Gate(f"{words}{of}", limit.max_abs, largest, largest <= limit.max_abs),
        Gate(f"cosine{of}", limit.cosine, found.cosine, found.cosine >= limit.cosine),
    ]


def _answer_gates(comparison: Comparison, limit: Limit) -> list[Gate]:
    """The loss of the headline score."""
    if comparison.drop is None:
        return []
    most, interval = limit.drop + 1e-9, comparison.drop_interval
    within = interval is not None and interval[0] <= most
    return [_judged("drop", limit.drop, comparison.drop, comparison.drop <= most, within and comparison.too_few)]


def _judged(name: str, limit: float, value: float, held: bool, unsure: str | bool) -> Gate:
    """A gate that few examples fail only where the whole interval of the value lies beyond the limit.

    Args:
        name: what was checked.
        limit: limit of the value.
        value: what was found.
        held: whether the value itself is within the limit; nan is not.
        unsure: how many, and of what, were too few to decide; empty or false where they were not, or where no part of
            the interval is within the limit.
    """
    if held or not unsure:
        return Gate(name, limit, value, held)
    return Gate(name, limit, value, True, f"not decided by {unsure}")
