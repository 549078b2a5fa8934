"""The processor's name, which reports state as figures of 8 bits depend on it; and what `verify` says of others."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from export.making import manifest, pipeline
from export.proof import golden
from export.proof.report import Report, Row
from export.smaller.outcome import Outcome
from export.targets import readme
from keras_resnet import ModelCard, machine
from keras_resnet.compression.settings import Settings
from keras_resnet.evaluation import Member, assess, pages
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.signals.table import SIGNALS
from keras_resnet.training import RECIPES, run

THIS = machine.processor()  # really
HERE, ELSEWHERE, IMAGES = "Z80 (none)", "EPYC (AVX-512 VNNI)", "10,000 test images of cifar10"


@pytest.fixture
def row(monkeypatch):
    """A file of 8 bits, verified on a processor of this test."""
    monkeypatch.setattr(machine, "processor", lambda: HERE)
    unknown = ("unfolded", "max_abs", "cosine", "drop", "drop_error", "latency_ms")
    return Row(
        file="m.tflite", format="tflite", precision="int8", quantizer="", input="raw", io="int8", engine="xnnpack",
        size_bytes=1, operators={}, notes=(), sqnr={}, agreement=1.0, score=0.9198, score_reference=0.9210, gates=(),
        processor=machine.processor(), **dict.fromkeys(unknown),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model name\t: Xeon 4\nflags\t: avx2 avx512bw avx512_vnni amx_int8\n\nmodel name : other", "Xeon 4 (AMX)"),
        ("model name : EPYC\nflags : avx2 avx512bw avx512_vnni", ELSEWHERE),
        ("model name : EPYC 7003\nflags : sse2 avx2", "EPYC 7003 (AVX2)"),
        ("model name : old\nflags : sse2", "old"),
        ("processor : 0\nFeatures : fp asimd asimddp", f"{machine.platform.machine()} (dot products)"),
        ("", ""),
    ],
)
def test_a_processor_is_named_with_the_unit_that_multiplies_integers(text, expected):
    assert machine.described(text) == expected


def test_every_report_states_it(row, tmp_path, capsys, digits, digits_runner):
    assert run.environment(0)["processor"] == HERE
    report, said = Report((row,), "m", IMAGES), f"processor: {HERE}; accuracy in 8 bits may differ by 0.1 points on"
    report.print()
    assert said in capsys.readouterr().out
    report.write_html(tmp_path / "r.html")
    assert said in (tmp_path / "r.html").read_text()
    assert report.to_json()[0]["processor"] == HERE
    assert f"run by xnnpack on {HERE}" in readme._figures(row)
    assert Report((dataclasses.replace(row, precision="float32"),), "m", IMAGES).processor == HERE
    Report((dataclasses.replace(row, processor=""),), "m", IMAGES).print()  # of a report of before
    assert "processor" not in capsys.readouterr().out
    outcome = Outcome(
        folder=tmp_path, model=tmp_path, settings=Settings(method="qat"), engine="native", recipe=RECIPES["compress"],
        seconds=1.0, entries=(), gates=(), images="10 images", teacher="",
    )  # fmt: skip
    assert outcome.to_json()["processor"] == THIS
    found = assess([Member("m", digits_runner, digits.test.take(np.arange(64)))])
    assert found.to_json()["processor"] == THIS
    pages.write_html(found, "t", "c", tmp_path / "e.html")
    assert f"<td>{THIS}</td>" in (tmp_path / "e.html").read_text()


# ---- what was recorded on another processor


def _manifest(tmp_path, score=0.9206, images=IMAGES, precision="int8", processor=ELSEWHERE):
    """The manifest beside `m.tflite`; those of before have the processor in their environment alone."""
    verification = {"top1": score, "engine": "xnnpack", "precision": precision}
    value = {"verification": verification, "source": {"verified_on": images}, "environment": {"processor": processor}}
    (tmp_path / "m.tflite.manifest.json").write_text(json.dumps(value))
    return tmp_path / "m.tflite"


@pytest.mark.parametrize(
    ("score", "said"),
    [(0.9206, "-0.08 points here"), (0.9208, "-0.10 points here"), (0.9189, "+0.09 points here")]
    + [
        (0.9209, "-0.11 points here, more than the 0.1 points of other kernels"),
        (0.91, "+0.98 points here, more than"),
    ],
)
def test_a_score_of_another_processor_is_compared_where_the_images_are_the_same(row, tmp_path, score, said):
    (found,) = manifest.remark(_manifest(tmp_path, score), row, IMAGES)
    assert found.startswith(f"its manifest has top-1 {score:.2%} by xnnpack on {ELSEWHERE}: {said}")
    assert ("more than" in found) == ("more than" in said)
    assert manifest.remark(_manifest(tmp_path, score, images="500 test images"), row, IMAGES) == ()
    assert manifest.remark(_manifest(tmp_path, row.score), row, IMAGES) == ()


def test_in_float_every_processor_answers_alike(row, tmp_path):
    path, plain = _manifest(tmp_path), dataclasses.replace(row, precision="float32")
    assert manifest.remark(path, plain, IMAGES)[0].endswith("-0.08 points here, where it should be the same")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"verification": 1}', '{"verification": {"top1": "x"}, "source": {}}']
)
def test_a_manifest_that_is_none_says_nothing(row, tmp_path, text):
    (tmp_path / "m.tflite.manifest.json").write_text(text)
    assert manifest.remark(tmp_path / "m.tflite", row, IMAGES) == manifest.remark(tmp_path / "n.tflite", row, IMAGES)
    assert manifest.remark(tmp_path / "m.tflite", row, IMAGES) == ()


def test_verify_accepts_a_file_of_another_processor_and_says_how_far_it_is(row, tmp_path, monkeypatch):
    path = _manifest(tmp_path)
    path.write_bytes(b"TFL3")
    proof = SimpleNamespace(evidence=SimpleNamespace(origin=IMAGES), verified=lambda *_: (row, None))
    monkeypatch.setattr(pipeline, "Proof", lambda *_: proof)
    report = pipeline.verify(path, SimpleNamespace(evidence=lambda limit: None, origin="m"))
    assert report.passed
    assert report.rows[0].notes == (f"its manifest has top-1 92.06% by xnnpack on {ELSEWHERE}: -0.08 points here",)


class _Quantized(Runner):
    """Probabilities in steps of 1/256."""

    def __init__(self, steps=0):
        self.card, self.steps = ModelCard(preprocess=PREPROCESS["none"]), steps
        self.input = Tensor("image", (1, 2, 2, 3), "int8")
        self.outputs = (Tensor("probabilities", (1, 4), "int8"),)

    def run(self, examples):
        return {"probabilities": np.full((len(examples), 4), (64 + self.steps) / 256, np.float32)}


class _Examples:
    signal = SIGNALS["image"]

    def fetch(self, start, stop):
        return np.zeros((stop - start, 2, 2, 3), np.uint8), {}


@pytest.mark.parametrize(("steps", "passes"), [(0, True), (1, True), (-4, True), (5, False), (-5, False)])
def test_golden_vectors_of_8_bits_allow_four_steps_and_no_more(tmp_path, monkeypatch, steps, passes):
    """Kernels of processors round sums apart by one or two steps of an output (an emulated Neoverse N1: by one)."""
    model, none = tmp_path / "m.tflite", PREPROCESS["none"]
    model.write_bytes(b"TFL3")
    monkeypatch.setattr(machine, "processor", lambda: ELSEWHERE)
    monkeypatch.setattr(golden, "open_runner", lambda *_, **__: _Quantized())
    plain = golden.vectors
    monkeypatch.setattr(golden, "vectors", lambda *how: {**plain(*how), "probabilities_raw": np.zeros((8, 4), np.int8)})
    golden.write(model, golden.beside(model), "m.tflite", none, _Examples(), None)
    assert golden.read(golden.beside(model))[1]["processor"] == ELSEWHERE
    apart, most = golden.difference(golden.beside(model), _Quantized(steps), none)
    assert (apart <= most) is passes
