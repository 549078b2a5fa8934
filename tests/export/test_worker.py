"""The process that converts: kept for the next job, and nothing that happens to it is the last word."""

import os
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from export import artifact, export
from export.formats.table import FORMATS
from export.making import server, worker, worker_child
from keras_resnet.runtime.opening import open_runner

pytestmark = pytest.mark.skipif(not worker_child.FORKS, reason="processes are not forked here: one does one job")


def _network(source, folder, name="tflite:float32"):
    report = export(source, [(artifact(name), folder / "m.tflite")], limit=20, overwrite=True)
    assert report.rows[0].passed
    return FORMATS["tflite"].module.fingerprint(folder / "m.tflite")


@pytest.mark.proof
def test_conversions_share_a_process_until_it_leaves(source, tmp_path, monkeypatch):
    first = _network(source, tmp_path)
    child = server.SERVER._child
    assert _network(source, tmp_path) == first
    assert server.SERVER._child is child
    child.send_signal(signal.SIGALRM)  # it has been idle for long, and leaves at the moment when it is asked
    child.wait()
    alive = iter([None])
    monkeypatch.setattr(child, "poll", lambda: next(alive, child.returncode))
    assert _network(source, tmp_path) == first
    assert server.SERVER._child is not child


@pytest.mark.slow
def test_ctrl_c_ends_it(source, tmp_path, monkeypatch):
    started = []

    def interrupted(line, log, meanwhile):
        server.SERVER._start(log)
        started.append(server.SERVER._child.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(server.SERVER, "_asked", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _network(source, tmp_path)
    assert server.SERVER._child is None
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


# ---- nothing is left in the folder of temporary files


def test_temporary_files_of_a_job_are_made_in_its_folder(tmp_path, monkeypatch):
    """AutoGraph's are removed at an exit that a fork does not have; the folder is the parent's, which removes it."""
    (tmp_path / "log").touch()
    monkeypatch.setattr(worker_child, "convert", lambda job: tempfile.mkstemp("__autograph_generated_file.py"))
    monkeypatch.setattr(sys, "stderr", os.fdopen(2, "w", closefd=False))
    assert worker_child._apart({"log": str(tmp_path / "log")}) == 0
    assert len(list(tmp_path.glob("*__autograph_generated_file.py"))) == 1


def _export(folder, *arguments, **options):
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    command = [sys.executable, "-u", "-m", "export.tflite", "--model", "resnet8", "--weights", "digits", *arguments]
    return subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.cold_start
@pytest.mark.proof
@pytest.mark.parametrize("ending", ["done", "failed", "signal while verifying", "signal while converting"])
def test_no_temporary_files_are_left(ending, tmp_path):
    """AutoGraph's files, the network and the samples: after success, failure and SIGTERM."""
    gates = ["--gate", "drop=-100"] if ending == "failed" else []
    status = {"done": 0, "failed": 1}.get(ending, 128 + signal.SIGTERM)
    with _export(tmp_path, "--int8", "--limit", "20", "-o", "m.tflite", *gates) as child:
        for line in child.stdout:
            if ending.startswith("signal") and ending.removeprefix("signal while ") in line:
                child.send_signal(signal.SIGTERM)
                break
        _, errors = child.communicate(timeout=300)
    assert child.returncode == status, errors
    assert not list((tmp_path / "tmp").rglob("*"))
