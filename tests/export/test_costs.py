"""What an export costs: how often the net is made, run and opened, how many copies of its weights there are, and where
a file's latency is measured. Seconds are for `benchmarks/export.py`.
"""

import argparse
import signal
import tempfile
import types
from pathlib import Path

import keras
import numpy as np
import pytest

from export import artifact, export
from export.commands import many_files, one_file, verify
from export.formats.table import FORMATS
from export.making import pipeline, server, worker, worker_child
from export.model import graph
from export.proof import timing, verification
from keras_resnet import InputError
from keras_resnet.runtime import opening
from keras_resnet.runtime.interface import at_once

DENSE = 512


@pytest.fixture
def dense():
    """Half a megabyte of weights times two, in no time."""
    start = keras.Input((DENSE,), name="image")
    x = keras.layers.Dense(DENSE, "relu", name="one")(start)
    return keras.Model(start, {"probabilities": keras.layers.Dense(DENSE, "softmax", name="two")(x)})


def _bytes(model):
    return sum(4 * int(np.prod(weight.shape)) for weight in model.weights)


@pytest.mark.slow
def test_tf2onnx_gets_no_kernels(dense, tmp_path, monkeypatch):
    import onnx
    import tf2onnx

    original, made = tf2onnx.convert.from_function, []

    def seen(*arguments, **options):
        proto, rest = original(*arguments, **options)
        made.append(proto.ByteSize())
        return proto, rest

    monkeypatch.setattr(tf2onnx.convert, "from_function", seen)
    FORMATS["onnx"].module.convert(dense, artifact("onnx:float32"), None, tmp_path / "m.onnx")
    assert made[0] < _bytes(dense) / 20
    proto = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in proto.graph.initializer)
    assert proto.ByteSize() > 0.99 * _bytes(dense)
    assert [entry.name for entry in proto.graph.input] == ["image"]
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.slow
def test_tensorflow_freezes_nothing(dense, tmp_path, monkeypatch):
    from tensorflow.lite.python import lite

    def refused(*arguments, **options):
        raise AssertionError("it freezes")

    monkeypatch.setattr(lite._convert_to_constants, "convert_variables_to_constants_v2_as_graph", refused)
    FORMATS["tflite"].module.convert(dense, artifact("tflite:float32"), None, tmp_path / "m.tflite")
    x = np.random.default_rng(0).standard_normal((1, DENSE)).astype("f")
    found = opening.open_runner(tmp_path / "m.tflite", trusted=True).run(x)["probabilities"]
    assert np.abs(found - dense(x)["probabilities"].numpy()).max() < 1e-6


@keras.saving.register_keras_serializable("tests")
class _Hidden(keras.layers.Layer):
    """Keeps a weight where Keras does not know it."""

    def build(self, shape):
        import tensorflow as tf

        self.factors = [tf.Variable(np.full(shape[-1], 3.0, np.float32))]

    def call(self, x):
        return x * self.factors[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_weights_that_keras_does_not_know(name, tmp_path):
    start = keras.Input((4,), name="image")
    net = keras.Model(start, {"probabilities": _Hidden()(start)})
    made = artifact(f"{name}:float32")
    file = tmp_path / f"m{made.format.suffix}"
    made.format.module.convert(net, made, None, file)
    x = np.arange(4, dtype=np.float32)[None]
    assert np.array_equal(opening.open_runner(file, trusted=True).run(x)["probabilities"], 3 * x)


@pytest.mark.slow
@pytest.mark.skipif(not worker_child.FORKS, reason="processes are not forked here")
def test_an_export_makes_the_net_once_and_does_two_jobs(source, tmp_path, monkeypatch):
    events = []

    def noted(owner, name, what):
        original = getattr(owner, name)

        def call(*arguments, **options):
            events.append(what(*arguments, **options))
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    monkeypatch.setattr(opening, "_try_in_child", lambda *arguments: events.append("tried in a process of its own"))
    noted(pipeline, "save_model", lambda *arguments, **options: "saved")
    noted(graph, "prepare", lambda *arguments: "prepared")
    noted(verification, "KerasRunner", lambda *arguments: "Keras runs")
    noted(verification, "open_runner", lambda *arguments, **options: "file opened")
    noted(server.SERVER, "_asked", lambda line, *_: "converting" if '"model"' in line else "taking the time")
    report = export(source, [(artifact("onnx:float32"), tmp_path / "m.onnx")], limit=20)
    assert report.rows[0].passed and report.rows[0].latency_ms > 0
    assert events == ["prepared", "saved", "converting", "Keras runs", "taking the time", "file opened"]


def test_what_is_done_meanwhile_lies_between_question_and_answer(monkeypatch):
    asked, events = types.SimpleNamespace(), []
    asked.poll = lambda: None
    asked.stdin = types.SimpleNamespace(write=events.append, flush=lambda: None, close=lambda: None)
    asked.stdout = types.SimpleNamespace(readline=lambda: events.append("answer") or "0", close=lambda: None)
    monkeypatch.setattr(server.processes, "stop", lambda child: events.append("stopped"))
    serving = server.Server()
    serving._child = asked
    assert serving.run({"log": ""}, lambda: events.append("meanwhile")) == 0
    assert events == ['{"log": ""}', "\n", "meanwhile", "answer"]

    def fails():
        raise InputError("this net cannot be run")

    with pytest.raises(InputError, match="cannot be run"):
        serving.run({"log": ""}, fails)
    assert events[-1] == "stopped" and serving._child is None


@pytest.mark.slow
@pytest.mark.skipif(not worker_child.FORKS, reason="processes are not forked here")
def test_the_time_of_a_file_is_taken_in_another_process(everything, tmp_path, monkeypatch):
    def here(*arguments):
        raise AssertionError("in this process")

    monkeypatch.setattr(timing, "median_ms", here)
    file = next(everything.glob("*-float32.onnx"))
    assert worker.latency_ms(file, np.zeros((1, 32, 32, 3), np.float32), None) > 0
    assert worker.latency_ms(file, np.zeros((1, 16, 16, 3), np.float32), None) is None
    half = tmp_path / "half.onnx"
    half.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match="half.onnx cannot be run as ONNX"):
        worker.latency_ms(half, np.zeros((1, 32, 32, 3), np.float32), None)
    monkeypatch.setattr(server.SERVER, "run", lambda job: -signal.SIGSEGV)
    with pytest.raises(InputError, match="crashes its engine .signal 11.; it is damaged"):
        worker.latency_ms(half, np.zeros((1, 32, 32, 3), np.float32), None)


@pytest.mark.parametrize(("name", "late"), [("SIGXCPU", True), ("SIGALRM", True), ("SIGABRT", False)])
def test_signals_that_end_a_trial(name, late):
    said = str(opening.ended_by_signal(Path("m.onnx"), getattr(signal, name), 30))
    assert ("did not answer within 30 s" in said) == late
    assert ("crashes its engine" in said) != late


@pytest.mark.parametrize(
    ("work", "module"),
    [
        (lambda args: one_file.work("keras", args), one_file),
        (many_files.work_all, many_files),
        (verify.work, verify),
    ],
)
def test_commands_start_the_child_before_they_open_the_model(work, module, tmp_path, monkeypatch):
    events = []

    def no_model(args):
        events.append("model")
        raise InputError("no model")

    monkeypatch.setattr(server.SERVER, "start", lambda: events.append("child"))
    monkeypatch.setattr(module, "open_source", no_model)
    (tmp_path / "m.keras").write_bytes(b"something")
    args = argparse.Namespace(precision="float32", quantizer=None, output=None, file=tmp_path / "m.keras")
    args.__dict__.update(artifact=["keras:float32"], input=None, io=None, layout="nhwc", features=(), with_cam=False)
    args.__dict__.update(input_size=None, image_size=None, metadata=False, overwrite=False, form=None)
    with pytest.raises(InputError, match="no model"):
        work(args)
    assert events == ["child", "model"]


@pytest.mark.proof
@pytest.mark.skipif(not worker_child.FORKS, reason="processes are not forked here")
def test_a_child_that_dies_before_its_first_job_is_started_again(everything, monkeypatch):
    server.SERVER.stop()
    server.SERVER.start()
    child = server.SERVER._child
    child.kill()
    child.wait()
    alive = iter([None])
    monkeypatch.setattr(child, "poll", lambda: next(alive, child.returncode))
    file = next(everything.glob("*-float32.onnx"))
    assert worker.latency_ms(file, np.zeros((1, 32, 32, 3), np.float32), None) > 0
    assert server.SERVER._child is not child


@pytest.mark.parametrize(
    ("shape", "most", "count"),
    [((100, 32, 32, 3), 64, 64), ((100, 224, 224, 3), 64, 8), ((2, 2000, 2000, 3), 64, 8), ((0, 4), 64, 64)],
)
def test_photos_go_through_engines_by_eight(shape, most, count):
    assert at_once(np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), shape, [0] * len(shape)), most) == count


# ---- memory

TIMES = {"float32": 6, "float16": 12, "dynamic_int8": 12, "int8": 12}  # its weights, at the peak of a conversion


@pytest.mark.proof
@pytest.mark.skipif(not worker_child.FORKS, reason="processes are not forked here")
@pytest.mark.parametrize("precision", TIMES)
def test_onnx_is_made_in_a_few_times_the_memory_of_the_weights(precision):
    """By tf2onnx alone it is 60 times."""
    start = keras.Input((64, 64, 3), name="image")
    x = start
    for number, width in enumerate((64, 512, 1024, 1024)):
        x = keras.layers.Conv2D(width, 3, strides=2, use_bias=False, name=f"conv{number}")(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(name=f"bn{number}")(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    net = keras.Model(start, {"probabilities": keras.layers.Dense(10, "softmax")(x)})
    weights = _bytes(net)
    assert weights > 50e6
    samples = np.zeros((2, 64, 64, 3), np.float32) if precision == "int8" else None
    import onnxruntime.quantization  # noqa: F401  what is imported is not the weights' doing
    import tf2onnx  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        log, peak = Path(folder, "log"), Path(folder, "peak")
        log.touch()

        def measured(job):
            before = _memory("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from now
            made = artifact(f"onnx:{precision}")
            FORMATS["onnx"].module.convert(net, made, samples, Path(folder, "m.onnx"))
            peak.write_text(str(_memory("VmHWM") - before))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker_child, "convert", measured)
            assert worker_child._apart({"log": str(log)}) == 0, log.read_text()
        assert int(peak.read_text()) < TIMES[precision] * weights


def _memory(field):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])
