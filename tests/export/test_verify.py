"""Every gate holds for what is right and fails for what is wrong."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from export.formats import FORMATS, Contents
from export.source import Evidence
from export.verify import TOLERANCES, check, compare, identity_gates, interface_errors
from keras_resnet import ModelCard
from keras_resnet.runners import Tensor

CLASSES = 10


class FakeRunner:
    """Answers with given outputs."""

    def __init__(self, outputs, form, precision, **changes):
        dtype = form.io.get(precision, "float32")
        fields = {"name": "image", "shape": (form.batch, 4, 4, 3), "dtype": dtype, **changes}
        self.card, self.outputs = ModelCard(), outputs
        self.input = Tensor(**fields)
        self.output = Tensor("probabilities", (form.batch, CLASSES), dtype)

    def __call__(self, images):
        return self.outputs


@pytest.fixture
def reference():
    """1,000 confident rows, every class in turn."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((1000, CLASSES)) + 12 * np.eye(CLASSES)[np.arange(1000) % CLASSES]
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype("f")


@pytest.fixture
def evidence():
    return Evidence(np.zeros((1000, 4, 4, 3), "f"), np.arange(1000) % CLASSES, "made up")


def _failed(reference, outputs, evidence, precision, form="tflite", forbidden=(), **changes):
    form = FORMATS[form]
    runner = FakeRunner(outputs, form, precision, **changes)
    contents = Contents(Counter(), precision, tuple(forbidden))
    shapes = ((None, 4, 4, 3), (None, CLASSES))
    _, gates = check(runner, shapes, reference, evidence, form, contents)
    return [gate.name for gate in gates if not gate.passed]


@pytest.mark.parametrize("precision", TOLERANCES)
def test_equal_outputs_pass(reference, evidence, precision):
    assert _failed(reference, reference.copy(), evidence, precision) == []


@pytest.mark.parametrize("precision", TOLERANCES)
def test_one_output_just_outside_the_tolerance_fails(reference, evidence, precision):
    outputs = reference.copy()
    outputs[0, 1] += TOLERANCES[precision].max_abs * 1.1
    assert "max_abs" in _failed(reference, outputs, evidence, precision)


@pytest.mark.parametrize("precision", TOLERANCES)
def test_blurred_outputs_fail_the_cosine(reference, evidence, precision):
    strength = 0.3 if TOLERANCES[precision].cosine < 0.999 else 0.03
    outputs = (1 - strength) * reference + strength / CLASSES * 4
    assert "cosine" in _failed(reference, outputs, evidence, precision)


@pytest.mark.parametrize("precision", TOLERANCES)
def test_other_classes_fail_agreement_and_drop(reference, evidence, precision):
    outputs = reference.copy()
    outputs[:40] = np.roll(outputs[:40], 1, axis=1)
    failed = _failed(reference, outputs, evidence, precision)
    assert {"agreement", "drop"} <= set(failed)


@pytest.mark.parametrize("precision", TOLERANCES)
def test_accuracy_alone_is_lost(reference, evidence, precision):
    """The images that change were right before: agreement may hold while the drop is too large."""
    tolerance = TOLERANCES[precision]
    lost = int(tolerance.drop * 1000) + 1
    outputs = reference.copy()
    outputs[:lost] = np.roll(outputs[:lost], 1, axis=1)
    assert "drop" in _failed(reference, outputs, evidence, precision)
    fewer = int(tolerance.drop * 1000)
    outputs = reference.copy()
    outputs[:fewer] = np.roll(outputs[:fewer], 1, axis=1)
    assert "drop" not in _failed(reference, outputs, evidence, precision)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_fail(reference, evidence, value):
    outputs = reference.copy()
    outputs[5] = value
    assert "max_abs" in _failed(reference, outputs, evidence, "int8")


@pytest.mark.parametrize(
    "changes", [{"name": "input_1"}, {"shape": (None, 4, 4, 3)}, {"shape": (1, 4, 4, 1)}, {"dtype": "uint8"}]
)
def test_other_names_shapes_and_dtypes_fail_before_values(reference, evidence, changes):
    assert _failed(reference, reference, evidence, "int8", **changes) == ["interface"]


def test_values_are_not_compared_where_shapes_differ(reference, evidence):
    assert _failed(reference, reference + 1, evidence, "int8", shape=(2, 4, 4, 3)) == ["interface"]


def test_interface_errors_say_what_was_expected():
    form = FORMATS["onnx"]
    errors = interface_errors(
        FakeRunner(None, form, "float32", name="x"), ((None, 4, 4, 3), (None, CLASSES)), form, "float32"
    )
    assert errors == ["input name x, expected image"]


def test_forbidden_operators_fail(reference, evidence):
    assert _failed(reference, reference, evidence, "float32", forbidden=["FlexErf"]) == ["forbidden operators"]


def test_noise_has_no_accuracy(reference):
    comparison = compare(reference, reference, None)
    assert (comparison.top1, comparison.top1_reference, comparison.agreement) == (None, None, 1.0)


def test_logits_are_judged_relative_to_their_size():
    logits = np.array([[100.0, -50.0]], "f")
    comparison = compare(logits, logits + 0.001, None)
    assert comparison.scale == 100.0
    assert comparison.max_abs == pytest.approx(0.001, rel=0.01)


def test_a_file_must_carry_its_models_card_and_its_own_checksum():
    card = ModelCard(labels=("a", "b"), spec="resnet8")

    def failed(found, fingerprint="abc"):
        return [gate.name for gate in identity_gates(found, card, fingerprint) if not gate.passed]

    stamped = dataclasses.replace(card, sha256="abc")
    assert failed(stamped) == []
    assert failed(stamped, "abd") == ["checksum"]
    assert failed(card) == ["checksum"]
    assert failed(dataclasses.replace(stamped, labels=("b", "a"))) == ["card"]
    assert failed(ModelCard()) == ["card", "checksum"]
