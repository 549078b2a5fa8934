"""Programs in processes of their own: how they end, what is kept of them, what is left of them."""

import os
import signal
import sys
import threading
import time

import pytest

from keras_resnet import processes


def _gone(pid):
    """Whether a process ends within a moment, or is a zombie that only init has to bury."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


def test_status_output_and_last_words():
    ended = processes.run(["sh", "-c", "echo out; echo first >&2; echo ' last ' >&2; echo >&2; exit 3"])
    assert (ended.status, ended.out, ended.last_words(), ended.signal_text) == (3, "out\n", "last", "")
    assert processes.run(["true"]).last_words("silence") == "silence"


def test_a_signal_is_named():
    ended = processes.run(["sh", "-c", "kill -SEGV $$"])
    assert (ended.status, ended.signal_text) == (-signal.SIGSEGV, " (signal 11)")


def test_variables_are_added_and_modules_run(monkeypatch):
    monkeypatch.setenv("KEPT", "a")
    ended = processes.run(["sh", "-c", "echo $KEPT$ADDED"], environment={"ADDED": "b"})
    assert ended.out == "ab\n"
    assert processes.run_python("json.tool", "--no-such-option").status == 2


def _with_grandchild(tmp_path):
    """A program that starts another, writes its pid and waits."""
    code = "import pathlib, subprocess, sys\np = subprocess.Popen(['sleep', '60'])\n"
    code += "pathlib.Path(sys.argv[1], 'tmp').write_text(str(p.pid))\n"
    code += "pathlib.Path(sys.argv[1], 'tmp').rename(pathlib.Path(sys.argv[1], 'pid'))\np.wait()"
    return [sys.executable, "-c", code, tmp_path]


def test_time_out_ends_all_that_was_started(tmp_path):
    with pytest.raises(TimeoutError, match="nothing within 2 s"):
        processes.run(_with_grandchild(tmp_path), seconds=2)
    assert _gone(int((tmp_path / "pid").read_text()))


def test_ctrl_c_ends_all_that_was_started(tmp_path):
    def press():
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        processes.run(_with_grandchild(tmp_path), seconds=60)
    thread.join()
    assert _gone(int((tmp_path / "pid").read_text()))


def test_a_program_that_is_not_there_is_an_os_error():
    with pytest.raises(FileNotFoundError):
        processes.run(["/no/such/program"])
