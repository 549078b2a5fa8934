"""What is printed may get lost on its way: the work is done all the same, and the exit status says what happened."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from keras_resnet import cli, console, streams
from keras_resnet.errors import DiskFullError, InputError

_WEIGHTS = f"{sys.executable} -m keras_resnet weights resnet8"  # a command without TensorFlow


def _shell(line):
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True)


@pytest.mark.slow
def test_a_reader_that_leaves_does_not_stop_the_work():
    ended = _shell(f"({_WEIGHTS} --json w.json; echo $? > status) | true")
    assert (ended.stderr, Path("status").read_text()) == ("", "0\n")
    assert json.loads(Path("w.json").read_text())


@pytest.mark.slow
def test_a_full_or_closed_stdout_does_not_stop_the_work():
    ended = _shell(f"{_WEIGHTS} --json full.json > /dev/full")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: what was printed is lost ([Errno 28]")
    assert len(ended.stderr.splitlines()) == 1
    ended = _shell(f"{_WEIGHTS} --json closed.json >&- 2>&- <&-")
    assert (ended.returncode, ended.stderr) == (0, "")
    for name in ("full", "closed"):
        assert json.loads(Path(f"{name}.json").read_text())


def test_json_on_stdout_is_alone_there(capfd):
    assert cli.main(["weights", "resnet8", "--json", "-"]) == 0
    out, err = capfd.readouterr()
    assert [row["name"] for row in json.loads(out)]
    assert "top-1" in err
    assert not Path("-").exists()


def test_children_and_libraries_do_not_print_beside_json(capfd):
    class _Options:
        json = Path("-")

    def work():
        os.write(1, b"from C\n")
        subprocess.run(["echo", "from a child"], check=True)
        print("from Python")
        console.write_json(_Options.json, {"a": 1})

    with os.fdopen(os.dup(1), "w") as out, pytest.MonkeyPatch.context() as patch:
        os.dup2(out.fileno(), 1)
        patch.setattr(sys, "stdout", os.fdopen(1, "w", closefd=False))
        assert console.run(work, _Options) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == {"a": 1}
    assert sorted(err.splitlines()) == ["from C", "from Python", "from a child"]


@pytest.mark.slow
def test_json_that_nobody_can_get_is_no_success():
    ended = _shell(f"{_WEIGHTS} --json - >&-")
    assert (ended.returncode, ended.stderr) == (2, "error: --json -: standard output is closed; name a file\n")
    ended = _shell(f"{_WEIGHTS} --json - > /dev/full")
    assert ended.returncode == 2
    assert (
        ended.stderr.splitlines()[-1] == "error: --json -: standard output cannot be written: No space left on device"
    )


def test_json_is_not_written_over_something_else(capfd):
    Path("photo.png").write_bytes(b"\x89PNG")
    assert cli.main(["weights", "resnet8", "--json", "photo.png"]) == 2
    captured = capfd.readouterr()
    assert "is no JSON" in captured.err
    assert not captured.out  # before the work
    assert Path("photo.png").read_bytes() == b"\x89PNG"


def test_text_that_cannot_be_encoded_is_no_lost_reader(tmp_path):
    with (tmp_path / "x").open("w", encoding="ascii") as file:
        stream = streams.Patient(file)
        with pytest.raises(UnicodeEncodeError):
            stream.write("─")
    stream.write("closed")
    assert isinstance(stream.lost, ValueError)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_in_order(number, capsys):
    """With no temporary folder left behind, and the status that shells know."""
    made = []

    def work():
        with tempfile.TemporaryDirectory() as folder:
            made.append(folder)
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    assert console.run(work) == 128 + number
    assert not os.path.exists(made[0])
    assert signal.getsignal(number) is before
    assert capsys.readouterr().err == f"error: stopped by {number.name}\n"


def test_nohup_holds(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert console.run(lambda: os.kill(os.getpid(), signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("wrong"), 2),
        (DiskFullError("full"), 1),
        (OSError(28, "No space left on device"), 1),
        (RuntimeError("I/O error: No space left on device (os error 28)"), 1),
    ],
)
def test_a_full_disk_is_one_line_and_status_one(error, status, capsys):
    def work():
        raise error

    assert console.run(work) == status
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--model", "m.keras", "--data", "digits", "--report", "/proc/x.html"],
        ["explain", "--model", "m.keras", "d.png", "-o", "/proc/x.png"],
        ["lab", "degradation", "--output", "/proc/lab"],
        ["train", "--recipe", "digits-resnet8", "--output", "/proc/run"],
        ["train", "--data", "digits", "--weights", "m.keras", "--output", "/proc/run"],
        ["prepare", "--data", "digits", "-o", "/proc/folder"],
        ["report", "run", "-o", "/proc/x.html"],
        ["predict", "--model", "m.keras", "d.png", "--json", "/proc/x.json"],
    ],
)
def test_places_that_take_no_files_are_found_before_the_work(arguments, capfd):
    """Before the model is looked for, even."""
    if not os.path.isdir("/proc/self"):
        pytest.skip("no /proc")
    assert cli.main(arguments) == 2
    err = capfd.readouterr().err
    assert err.startswith(f"error: cannot write {arguments[-1]}: /proc takes no new files")
    assert len(err.splitlines()) == 1


@pytest.mark.proof
@pytest.mark.parametrize(
    ("command", "made"),
    [
        ("export.tflite --model resnet8 --weights digits --limit 20 -o x.tflite", "x.tflite"),
        (
            "keras_resnet train --recipe digits-resnet8 --set epochs=1 --set warmup_epochs=0 --set subset=64 "
            "--output run",
            "run/result.json",
        ),
    ],
)
def test_success_means_that_the_file_is_there(command, made):
    ended = _shell(f"({sys.executable} -u -m {command}; echo $? > status) | head -1")
    assert len(ended.stdout.splitlines()) == 1
    assert (ended.stderr, Path("status").read_text()) == ("", "0\n")
    assert Path(made).stat().st_size


def test_a_command_says_a_note_once_and_the_next_one_says_it_again(caplog):
    def work():
        for each in ("one", "one", "other"):
            logging.getLogger("keras_resnet").warning("note: %s", each)

    for _ in range(2):
        caplog.clear()
        assert console.run(work) == 0
        assert caplog.messages == ["note: one", "note: other"]
