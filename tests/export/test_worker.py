"""The process that converts: kept for the next job, and nothing that happens to it is the last word."""

import os
import signal
import sys

import numpy as np
import pytest

from export import artifact, export
from export.formats.table import FORMATS
from export.making import worker, worker_child
from keras_resnet.runtime.opening import open_runner

pytestmark = pytest.mark.skipif(not worker_child.FORKS, reason="processes are not forked here: one does one job")


def _network(source, folder, name="tflite:float32"):
    report = export(source, [(artifact(name), folder / "m.tflite")], limit=20, overwrite=True)
    assert report.rows[0].passed
    return FORMATS["tflite"].module.fingerprint(folder / "m.tflite")


@pytest.mark.proof
def test_conversions_share_a_process_until_it_leaves(source, tmp_path, monkeypatch):
    first = _network(source, tmp_path)
    child = worker._SERVER._child
    assert _network(source, tmp_path) == first
    assert worker._SERVER._child is child
    child.send_signal(signal.SIGALRM)  # it has been idle for long, and leaves at the moment when it is asked
    child.wait()
    alive = iter([None])
    monkeypatch.setattr(child, "poll", lambda: next(alive, child.returncode))
    assert _network(source, tmp_path) == first
    assert worker._SERVER._child is not child


@pytest.mark.slow
def test_ctrl_c_ends_it(source, tmp_path, monkeypatch):
    started = []

    def interrupted(line, log):
        worker._SERVER._start(log)
        started.append(worker._SERVER._child.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(worker._SERVER, "_asked", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _network(source, tmp_path)
    assert worker._SERVER._child is None
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
    assert not list(tmp_path.iterdir())


def _raises(job):
    print("something")
    raise ValueError("not this model")


@pytest.mark.parametrize(
    ("does", "status", "said"),
    [
        (lambda job: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL, ""),
        (_raises, 1, "not this model"),
        (lambda job: os.write(1, b"of a library in C"), 0, "in C"),
    ],
)
def test_a_job_that_breaks_breaks_no_other(does, status, said, tmp_path, monkeypatch):
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setattr(worker_child, "convert", does)
    monkeypatch.setattr(sys, "stderr", os.fdopen(2, "w", closefd=False))  # not pytest's
    assert worker_child._apart({"log": str(log)}) == status
    assert said in log.read_text()


@pytest.mark.slow
def test_an_engine_that_dies_takes_nobody_along(everything, tmp_path, monkeypatch):
    """LiteRT's reference kernels abort on the int8 MobileNetV2 of tests/foreign.py; here another file stands for it."""
    file = next(everything.glob("*-int8.tflite"))
    examples = np.zeros((2, 32, 32, 3), np.float32)
    there, here = worker.answers(file, examples, "reference"), open_runner(file, engine="reference").run(examples)
    assert all(np.array_equal(there[name], here[name]) for name in here)
    (tmp_path / "x.tflite").write_bytes(file.read_bytes()[:2000])
    assert worker.answers(tmp_path / "x.tflite", examples, "reference") is None
