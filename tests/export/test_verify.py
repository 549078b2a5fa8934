"""Every gate holds for what is right and fails for what is wrong."""

import dataclasses
import json
import types
from collections import Counter

import numpy as np
import pytest
import scipy.stats

from export.formats.artifacts import artifact
from export.formats.precisions import PRECISIONS
from export.formats.table import Contents
from export.proof import comparison, golden, verification
from export.proof.comparison import Comparison, compare
from export.proof.gates import check, identity_gates, interface_errors, limit_of
from export.proof.report import Report, Row
from keras_resnet import InputError, ModelCard
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.signals.table import SIGNALS
from keras_resnet.tasks import TASKS, Output, Score, get_task

CLASSES = 10


class FakeRunner(Runner):
    """Declares an interface."""

    def __init__(self, made, **changes):
        fields = {"name": "image", "shape": (made.format.batch, 4, 4, 3), "dtype": made.io, **changes}
        self.card = ModelCard()
        self.input = Tensor(**fields)
        self.outputs = (Tensor("probabilities", (made.format.batch, CLASSES), made.io),)


SHAPES = {"image": (None, 4, 4, 3), "probabilities": (None, CLASSES)}
LABELS = np.arange(1000) % CLASSES
TOLERANCES = {precision: limit_of(precision, "classification", {}) for precision in PRECISIONS}


@pytest.fixture
def reference():
    """1,000 confident rows, every class in turn."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((1000, CLASSES)) + 12 * np.eye(CLASSES)[LABELS]
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype("f")


def _compare(reference, outputs, labels=LABELS):
    return _compare_all({"probabilities": reference}, {"probabilities": outputs}, labels)


def _compare_all(reference, outputs, labels):
    truth = None if labels is None else {"label": labels}
    return compare(reference, outputs, truth, ModelCard(), ["probabilities"])


def _failed(reference, outputs, precision, limits=None, **contents):
    gates = check(_compare(reference, outputs), Contents(Counter(), precision, **contents), limits or {})
    return [gate.name for gate in gates if not gate.passed]


def _name(limit, precision):
    """Of the gate."""
    return "max_abs of 99.9 %" if limit == "max_abs" and TOLERANCES[precision].outliers else limit


@pytest.mark.parametrize("precision", TOLERANCES)
def test_equal_outputs_pass(reference, precision):
    assert _failed(reference, reference.copy(), precision) == []


@pytest.mark.parametrize("precision", TOLERANCES)
def test_one_output_just_outside_the_tolerance_fails(reference, precision):
    tolerance = TOLERANCES[precision]
    name = _name("max_abs", precision)
    outputs = reference.copy()
    outputs[0, 1] += tolerance.max_abs * 1.1
    assert (name in _failed(reference, outputs, precision)) != tolerance.outliers  # one of a thousand images
    outputs[1, 1] += tolerance.max_abs * 1.1
    assert name in _failed(reference, outputs, precision)
    few = _compare(reference[:999], outputs[:999], None).first
    assert few.max_abs_of_most == few.max_abs


@pytest.mark.parametrize("precision", TOLERANCES)
def test_blurred_outputs_fail_the_cosine_and_the_noise_ratio(reference, precision):
    tolerance = TOLERANCES[precision]
    strength = 0.8 if tolerance.cosine < 0.95 else 0.3 if tolerance.cosine < 0.999 else 0.03
    outputs = (1 - strength) * reference + strength / CLASSES * 4
    assert {"cosine", "sqnr"} <= set(_failed(reference, outputs, precision))


@pytest.mark.parametrize("precision", TOLERANCES)
def test_other_classes_fail_agreement_and_drop(reference, precision):
    outputs = reference.copy()
    outputs[:120] = np.roll(outputs[:120], 1, axis=1)
    assert {"agreement", "drop"} <= set(_failed(reference, outputs, precision))


@pytest.mark.parametrize("precision", TOLERANCES)
def test_accuracy_alone_is_lost(reference, precision):
    """The images that change were right before: agreement may hold while the drop is too large."""
    most = round(TOLERANCES[precision].drop * 10)  # of 1,000 images
    outputs = reference.copy()
    outputs[: most + 1] = np.roll(outputs[: most + 1], 1, axis=1)
    assert "drop" in _failed(reference, outputs, precision)
    outputs = reference.copy()
    outputs[:most] = np.roll(outputs[:most], 1, axis=1)
    assert "drop" not in _failed(reference, outputs, precision)


@pytest.mark.parametrize(
    ("name", "limit"), [("drop", 0.3), ("agreement", 0.997), ("cosine", 0.999), ("sqnr", 30), ("max_abs", 0.01)]
)
def test_every_limit_can_be_set(reference, name, limit):
    """Four of a thousand images answered otherwise: within the table's limits for int8 but for the asked ones."""
    outputs = reference.copy()
    outputs[:4] = 0.5 * outputs[:4] + 0.5 * np.roll(outputs[:4], 1, axis=1) + 1e-3 * np.eye(CLASSES)[LABELS[:4] + 1]
    assert _failed(reference, outputs, "int8") == []
    assert _failed(reference, outputs, "int8", {name: limit}) == [_name(name, "int8")]


def test_unknown_gates_are_named():
    with pytest.raises(InputError, match="did you mean agreement"):
        limit_of("int8", "classification", {"agrement": 0.9})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_fail(reference, value):
    outputs = reference.copy()
    outputs[5] = value
    assert {"max_abs of 99.9 %", "sqnr"} <= set(_failed(reference, outputs, "int8"))


@pytest.mark.parametrize(
    "changes", [{"name": "input_1"}, {"shape": (None, 4, 4, 3)}, {"shape": (1, 4, 4, 1)}, {"dtype": "uint8"}]
)
def test_other_names_shapes_and_dtypes_are_errors(changes):
    made = artifact("tflite:int8")
    assert interface_errors(FakeRunner(made), made, SHAPES) == []
    assert len(interface_errors(FakeRunner(made, **changes), made, SHAPES)) == 1
    gates = check(Comparison(interface=("x",)), Contents(Counter(), "int8"), {})
    assert [gate.name for gate in gates if not gate.passed] == ["interface"]


def test_interface_errors_say_what_was_expected():
    made = artifact("onnx:float32")
    assert interface_errors(FakeRunner(made, name="x"), made, SHAPES) == ["input name x, expected image"]
    made = artifact("onnx:float32", layout="nchw", cam=True)
    errors = interface_errors(FakeRunner(made), made, {**SHAPES, "cam": (None, 2, 2, CLASSES)})
    assert errors[0] == "input shape (None, 4, 4, 3), expected (None, 3, 4, 4)"
    assert errors[1] == "output name missing, expected cam"


def test_forbidden_operators_and_unfolded_norms_fail(reference):
    assert _failed(reference, reference, "float32", forbidden=("FlexErf",)) == ["forbidden operators"]
    assert _failed(reference, reference, "float32", unfolded=1) == ["unfolded batch norms"]
    gates = check(_compare(reference, reference), Contents(Counter(), "float32", unfolded=1), {}, ["bn"])
    assert all(gate.passed for gate in gates)


def test_every_output_has_a_noise_ratio(reference):
    maps = np.random.default_rng(0).standard_normal((1000, 2, 2, 3)).astype("f")
    both = {"probabilities": reference, "cam": maps}
    found = _compare_all(both, {**both, "cam": maps + 0.1}, None)
    assert found.sqnr["probabilities"] == 200.0
    assert found.sqnr["cam"] == pytest.approx(20, abs=0.1)  # a tenth of the signal is 20 dB
    failed = [gate.name for gate in check(found, Contents(Counter(), "float32"), {}) if not gate.passed]
    assert failed == ["sqnr of cam"]


def test_the_drops_interval_is_that_of_paired_differences(reference):
    """Against NumPy's bootstrap of the same images."""
    rng = np.random.default_rng(0)
    outputs = reference.copy()
    outputs[:30] = np.roll(outputs[:30], 1, axis=1)
    labels = LABELS.copy()
    labels[20:25] = outputs[20:25].argmax(axis=1)  # the file is right where Keras is not
    found = _compare(reference, outputs, labels)
    assert found.drop == pytest.approx(2.0)
    lost = (reference.argmax(1) == labels).astype(int) - (outputs.argmax(1) == labels)
    means = 100 * lost[rng.integers(0, 1000, (20_000, 1000))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    assert found.drop_error == pytest.approx((high - low) / 2, rel=0.05)


def test_noise_has_no_accuracy(reference):
    found = _compare(reference, reference, None)
    assert (found.score, found.drop, found.agreement) == (None, None, 1.0)


def test_logits_are_judged_relative_to_their_size():
    logits = np.array([[100.0, -50.0]], "f")
    found = _compare(logits, logits + 0.001, None)
    assert found.first.scale == 100.0
    assert found.first.max_abs == pytest.approx(0.001, rel=0.01)


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
    normalized = dataclasses.replace(card, preprocess=PREPROCESS["tf"])
    gates = identity_gates(stamped, normalized, "abc")  # the file takes raw pixels: the convention is in its graph
    assert all(gate.passed for gate in gates)


def test_chunks_give_the_figures_of_the_whole(reference, monkeypatch):
    """Blocks of any size; the last digits of a sum of squares may differ."""
    rng = np.random.default_rng(1)
    outputs = {"probabilities": reference + rng.normal(0, 0.01, reference.shape).astype("f")}
    maps = rng.standard_normal((1000, 2, 2, 3)).astype("f")
    both = {"probabilities": reference, "cam": maps}
    outputs["cam"] = maps + 0.1
    whole = _compare_all(both, outputs, LABELS)
    monkeypatch.setattr(comparison, "_BLOCK", 5_000)
    comparer = comparison.Comparer(ModelCard(), [Output("probabilities", ("n", "classes"))])
    for start in range(0, 1000, 70):
        part = slice(start, start + 70)
        theirs, ours = ({name: each[part] for name, each in found.items()} for found in (both, outputs))
        comparer.update(theirs, ours, {"label": LABELS[part]})
        assert comparer._bytes < 5_000 + 70 * 4 * (CLASSES + 12)
    parts = comparer.result()
    assert dataclasses.replace(parts, figures={}) == dataclasses.replace(whole, figures={})
    for name in both:
        assert dataclasses.asdict(parts.figures[name]) == pytest.approx(dataclasses.asdict(whole.figures[name]))


def test_one_number_an_example_has_the_cosine_of_all_examples():
    values = np.linspace(-1, 1, 100, dtype="f")[:, None]
    outputs = np.where(np.abs(values) < 0.1, 0, values)  # as rounding to steps does
    found = _compare_all({"probabilities": values}, {"probabilities": outputs}, None).first
    assert found.cosine == pytest.approx(1, abs=1e-2)
    turned = _compare_all({"probabilities": values}, {"probabilities": -values}, None).first
    assert turned.cosine == pytest.approx(-1)


class _Half:
    """A scorer whose figure is no mean: the share of right answers, squared."""

    examples = np.empty(0)

    def __init__(self):
        self.right = np.empty(0)

    @property
    def count(self):
        return len(self.right)

    def update(self, outputs, truth):
        self.right = np.concatenate([self.right, outputs["probabilities"].argmax(axis=1) == truth["label"]])

    def drawn(self, indices):
        return self.right[indices].mean() ** 2

    def result(self):
        return type("Scores", (), {"value": self.drawn(slice(None))})


@pytest.mark.parametrize("can_be_asked", [True, False])
def test_a_score_that_is_no_mean_has_the_interval_of_a_bootstrap(reference, monkeypatch, can_be_asked):
    task = get_task("classification")
    monkeypatch.setitem(TASKS, "classification", dataclasses.replace(task, score=Score("x", "x", per_example=False)))
    monkeypatch.setattr(task.code, "scorer", lambda card: _Half(), raising=False)
    if not can_be_asked:
        monkeypatch.delattr(_Half, "drawn")
        monkeypatch.setattr(_Half, "result", lambda self: type("Scores", (), {"value": self.right.mean() ** 2}))
    outputs = reference.copy()
    outputs[:30] = np.roll(outputs[:30], 1, axis=1)
    found = _compare(reference, outputs)
    assert found.drop == pytest.approx(100 * (1 - 0.97**2))
    if not can_be_asked:
        assert found.drop_error is None
        return
    # To first order the error is that of the mean, times the slope of the square.
    assert found.drop_error == pytest.approx(2 * 0.97 * 196 * (0.03 * 0.97 / 1000) ** 0.5, rel=0.1)


def _drop_gate(found):
    (gate,) = [each for each in check(found, Contents(Counter(), "float32"), {}) if each.name == "drop"]
    return gate


@pytest.mark.parametrize(("count", "wrong", "passed"), [(40, 1, True), (40, 12, False), (99, 3, True), (100, 3, False)])
def test_few_images_fail_a_drop_only_if_their_whole_interval_does(reference, count, wrong, passed):
    outputs = reference[:count].copy()
    outputs[:wrong] = np.roll(outputs[:wrong], 1, axis=1)
    found = _compare(reference[:count], outputs, LABELS[:count])
    right = [(part.argmax(1) == LABELS[:count]).astype(float) for part in (reference[:count], outputs)]
    theirs = scipy.stats.bootstrap(
        right, lambda a, b, axis: 100 * (a - b).mean(axis=axis), paired=True, method="percentile", n_resamples=2000,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert found.drop_interval == pytest.approx((theirs.low, theirs.high), abs=0.02 * 100)
    gate = _drop_gate(found)
    assert (gate.passed, bool(gate.undecided)) == (passed, passed) and gate.value > gate.limit
    assert gate.to_json().get("undecided", "") == f"not decided by {count} images" * passed
    assert not _drop_gate(_compare(reference[:count], reference[:count], LABELS[:count])).undecided


@pytest.mark.parametrize(("count", "other", "passed"), [(6, 1, True), (6, 3, False), (99, 5, True), (100, 4, False)])
def test_few_images_fail_an_agreement_only_if_their_whole_interval_does(reference, count, other, passed):
    outputs = reference[:count].copy()
    outputs[:other] = np.roll(outputs[:other], 1, axis=1)
    found = _compare(reference[:count], outputs, LABELS[:count])
    gates = check(found, Contents(Counter(), "int8"), {"agreement": 0.97})
    (gate,) = [each for each in gates if each.name == "agreement"]
    assert gate.value == pytest.approx(1 - other / count) and gate.value < gate.limit
    assert (gate.passed, gate.undecided) == (passed, f"not decided by {count} images" * passed)
    if count < 100:
        same = np.arange(count) >= other
        theirs = scipy.stats.bootstrap(
            (same,), np.mean, method="percentile", n_resamples=2000, rng=np.random.default_rng(1)
        )
        assert found.agreement_interval == pytest.approx(theirs.confidence_interval, abs=0.17 if count == 6 else 0.02)


def test_a_report_says_what_was_not_decided(reference, tmp_path, capsys):
    outputs = reference[:40].copy()
    outputs[:1] = np.roll(outputs[:1], 1, axis=1)
    found = _compare(reference[:40], outputs, LABELS[:40])
    made = {field.name: None for field in dataclasses.fields(Row)} | verification.row_figures(found)
    made |= {"file": "a.tflite", "format": "tflite", "precision": "int8", "gates": (_drop_gate(found),)}
    made |= {"notes": (), "operators": {}, "processor": "", "size_bytes": 1, "input": "raw", "io": "int8"}
    report = Report((Row(**made),), "a net", "40 images")
    report.print()
    assert "drop not decided by 40 images" in " ".join(capsys.readouterr().out.split())
    report.write_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count("not decided by 40 images") == 2  # the table, and the gates
    assert json.loads(json.dumps(report.to_json()))[0]["drop_interval"] == list(found.drop_interval)


def test_pixels_that_are_void_do_not_agree_or_disagree():
    """A file with really wrong masks fails with 8 images too; one that is wrong where void is, does not."""
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (8, 16, 16)).astype(np.uint8)
    logits = 10 * np.eye(3, dtype="f")[masks]
    masks[:, :5] = 255
    card = ModelCard(task="segmentation", facts={"names": ["a", "b", "c"]})

    def beside(rows, axis=-1):
        other = logits.copy()
        other[:, rows] = np.roll(other[:, rows], 1, axis=axis)
        found = compare({"logits": logits}, {"logits": other}, {"mask": masks}, card, ["logits"])
        return found, {gate.name for gate in check(found, Contents(Counter(), "int8"), {}) if not gate.passed}

    found, failed = beside(slice(0, 5))
    assert (found.agreement, found.drop) == (1.0, 0.0) and not {"agreement", "drop"} & failed
    found, failed = beside(slice(5, 10))
    assert found.agreement == pytest.approx(6 / 11) and {"agreement", "drop"} <= failed
    masks[:] = 255  # nothing counts: nothing is proven
    found, failed = beside(slice(0, 0))
    assert np.isnan(found.agreement) and "agreement" in failed


class Two(Runner):
    """A detector: scores in 0..1, and boxes in pixels."""

    def __init__(self, **off):
        self.card = ModelCard(preprocess=PREPROCESS["none"])
        self.input = Tensor("image", (None, 2, 2, 3), "float32")
        self.outputs = (Tensor("scores", (None, 3), "float32"), Tensor("boxes", (None, 4), "float32"))
        self.off = off

    def run(self, examples):
        right = {"boxes": np.full((len(examples), 4), 500, "f"), "scores": np.full((len(examples), 3), 0.5, "f")}
        return {name: values + np.float32(self.off.get(name, 0)) for name, values in right.items()}


class Examples:
    signal = SIGNALS["image"]

    def fetch(self, start, stop):
        return np.zeros((stop - start, 2, 2, 3), np.uint8), {}


@pytest.fixture
def vectors(monkeypatch, tmp_path):
    monkeypatch.setattr(golden, "open_runner", lambda *_, **__: Two())
    path = tmp_path / "m.onnx.golden.npz"
    golden.write(tmp_path / "m.onnx", path, "m.onnx", PREPROCESS["none"], Examples(), None)
    return path


@pytest.mark.parametrize(
    ("off", "held"),
    [({}, True), ({"boxes": 0.4}, True), ({"scores": 4e-4}, True), ({"boxes": 0.6}, False), ({"scores": 0.3}, False)]
    + [({"scores": 2e-3, "boxes": 0.4}, False), ({"scores": np.nan}, False), ({"boxes": np.nan}, False)],
)
def test_every_output_has_a_golden_tolerance_of_its_size(vectors, off, held):
    """The control: scores that are wrong fail beside boxes whose values are large."""
    apart, most = golden.difference(vectors, Two(**off), PREPROCESS["none"])
    assert (apart <= most) is held
    about = golden.read(vectors)[1]
    assert about["tolerances"] == {"scores": pytest.approx(1e-3), "boxes": pytest.approx(0.5)}
    assert about["tolerance"] == about["tolerances"]["scores"]


def test_golden_vectors_of_the_first_release_have_one_tolerance(vectors):
    with np.load(vectors) as archive:
        arrays = {name: archive[name] for name in archive.files}
    about = json.loads(str(arrays.pop("about")))
    del about["tolerances"]
    np.savez(vectors, about=np.array(json.dumps(about)), **arrays)
    assert golden.difference(vectors, Two(boxes=0.4), PREPROCESS["none"]) == (pytest.approx(0.4, abs=1e-4), 1e-3)


def test_golden_vectors_of_other_outputs_are_of_another_model(vectors):
    fewer = Two()
    fewer.run = lambda examples: {"scores": np.full((len(examples), 3), 0.5, "f")}
    with pytest.raises(InputError, match="is of another model"):
        golden.difference(vectors, fewer, PREPROCESS["none"])


@pytest.mark.parametrize(("score", "said"), [(0.10, True), (0.147, True), (0.148, False), (0.9, False), (None, False)])
def test_m19_a_model_that_guesses_is_no_success(source, score, said):
    """Ten classes, 360 images: three standard errors above chance are 14.74 %."""
    proof = verification.Proof(source, source.evidence(), {}, None)
    compared = types.SimpleNamespace(task="classification", score_reference=score)
    notes = verification._near_chance(compared, proof)
    assert bool(notes) == said
    assert not said or "where guessing has 10.00%" in notes[0]
