"""Every writer on a disk that gets full: one line, status 1, what was there before is there."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export import program
from export.making import placement
from export.proof import golden
from keras_resnet import console
from keras_resnet.errors import DiskFullError, InputError

_MODEL = ("--model", "resnet8", "--weights", "digits")


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts a disk of so many kB; where that is not allowed, tests skip."""
    mounted = []

    def mount(kilobytes):
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder])
        if done.returncode:
            pytest.skip("no disk can be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def _left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["checkpoint", "model.keras", "export file", "golden", "page", "json", "weights"])
def test_every_writer_says_that_the_disk_is_full_and_keeps_the_old_file(writer, request, small_disk, tmp_path):
    disk = small_disk(16)
    old = disk / _NAMES.get(writer, "old")
    old.write_text("{}")
    with pytest.raises(DiskFullError, match="disk full while writing .*disk0/.*MB free"):
        _WRITERS[writer](request.getfixturevalue, old)
    assert _left(disk) == [old.name]
    assert old.read_text() == "{}"


_NAMES = {
    "model.keras": "model.keras",
    "weights": "w.safetensors",
    "checkpoint": "epoch-00001-step-0000000.safetensors",
}


def _mini(fixture):
    from keras_resnet import build

    model = build(fixture("mini_spec"))
    model.compile(optimizer="adam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def _checkpoint(fixture, path):
    from keras_resnet.training import checkpoints

    checkpoints.write(path.parent, _mini(fixture), 1, 0, {"padding": "x" * 20_000})


def _model(fixture, path):
    from keras_resnet.saving import save_model

    save_model(_mini(fixture), path, overwrite=True)


def _file(fixture, path):
    made = path.parent.with_name("made.tflite")
    made.write_bytes(b"x" * 20_000)
    placement.place(made, path, overwrite=True)


def _golden(fixture, path):
    from keras_resnet.files import writing

    (file,) = fixture("everything").glob("*-float32.tflite")
    source = fixture("source")
    with writing(path, overwrite=True) as temporary:
        golden.write(file, temporary, "m.tflite", source.card.preprocess, source.evidence(20), None)


def _page(fixture, path):
    from keras_resnet.training import comparison

    comparison.write_html(comparison.read([fixture("short_run")]), path, overwrite=True)


def _json(fixture, path):
    console.write_json(path, "x" * 20_000)


def _weights(fixture, path):
    from keras_resnet.weights.files import write_safetensors

    write_safetensors(path, {"a": np.zeros(5000, np.float32)}, card=None, metadata=None, overwrite=True)


_WRITERS = {
    "checkpoint": _checkpoint,
    "model.keras": _model,
    "export file": _file,
    "golden": _golden,
    "page": _page,
    "json": _json,
    "weights": _weights,
}


def _one_line(ended):
    assert ended.returncode == 1
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1
    assert "No space left" not in lines[0]
    return lines[0]


def _run(*arguments, **options):
    return subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True, **options)


@pytest.mark.proof
def test_a_training_whose_disk_gets_full_keeps_its_last_checkpoint(small_disk):
    from keras_resnet.training import checkpoints

    few = ("--set", "epochs=4", "--set", "subset=256", "--set", "warmup_epochs=0")
    for size in (700, 1100, 1700):  # in the first model, in a checkpoint, in a later one
        disk = small_disk(size)
        line = _one_line(_run("keras_resnet", "train", "--recipe", "digits-resnet8", *few, "--output", disk / "run"))
        assert line.startswith("error: disk full while writing")
        assert not list(disk.rglob(".*.partial*"))
        if checkpoints.all_of(disk / "run" / "checkpoints"):
            assert checkpoints.newest(disk / "run" / "checkpoints")


@pytest.mark.proof
def test_an_export_whose_disk_gets_full_leaves_nothing(small_disk):
    disk = small_disk(60)
    line = _one_line(_run("export.tflite", *_MODEL, "-o", disk / "m.tflite"))
    assert line.startswith(f"error: disk full while writing {disk}/m.tflite")
    assert not _left(disk)
    line = _one_line(_run("export.saved_model", *_MODEL, "-o", disk / "m.savedmodel"))
    assert line.startswith(f"error: disk full while writing {disk}/m.savedmodel")
    assert not _left(disk)
    line = _one_line(_run("export", *_MODEL, "--place", "onnxruntime", "-o", disk / "folder"))
    assert line.startswith(f"error: disk full while writing {disk}/")
    assert not _left(disk)


@pytest.mark.cold_start
@pytest.mark.proof
def test_a_full_folder_of_temporary_files_is_named_and_not_the_model(small_disk, short_run, tmp_path, monkeypatch):
    for size in (8, 40):  # too little to open the model; too little to convert it
        disk = small_disk(size)
        monkeypatch.setenv("TMPDIR", str(disk))
        line = _one_line(_run("export.tflite", "--model", short_run / "model.keras", "-o", tmp_path / "m.tflite"))
        assert f"{disk}, the folder of temporary files, has 0.0 MB free" in line
        assert "cannot be read" not in line


# ---- places that take no files


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (lambda a: program.alone("export tflite", a), ["--model", "no.keras", "-o", "/proc/x.tflite"]),
        (lambda argv: program.alone("export", argv), ["--all", "--model", "no.keras", "-o", "/proc/x"]),
        (lambda argv: program.alone("export", argv), ["--place", "tflm", "--model", "no.keras", "-o", "/proc/x"]),
        (lambda argv: program.alone("compress", argv), ["--method", "qat", "--model", "no.keras", "-o", "/proc/x"]),
        (lambda argv: program.alone("debug", argv), ["x.tflite", "--model", "no.keras", "-o", "/proc/x.html"]),
    ],
)
def test_places_that_take_no_files_are_found_before_the_model_is_opened(command, arguments, capfd):
    assert command(arguments) == 2
    err = capfd.readouterr().err
    assert err.startswith(f"error: cannot write {arguments[-1]}: /proc takes no new files")
    assert len(err.splitlines()) == 1


def test_names_of_an_export_that_cannot_be_written_are_found_before_the_conversion(source, tmp_path):
    from export import artifact, export

    (tmp_path / "file").touch()
    for path in ("/proc/x.tflite", tmp_path / "file" / "x.tflite"):
        with pytest.raises(InputError, match="cannot write .*x.tflite"):
            export(source, [(artifact("tflite:float32"), Path(path))], say=pytest.fail)
