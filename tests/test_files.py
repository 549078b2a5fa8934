"""Writing beside and renaming: nothing lost, nothing half-written."""

import errno
import os
import resource
import socket
import stat
import types
from pathlib import Path

import pytest

from keras_resnet import InputError
from keras_resnet.errors import DiskFullError
from keras_resnet.files import check_place, disk_full, existing_file, is_full, refuse_no_json, writing


def test_the_name_appears_only_when_all_is_written(tmp_path):
    target = tmp_path / "new" / "x.txt"
    with writing(target) as temporary:
        temporary.write_text("all")
        assert not target.exists()
    assert target.read_text() == "all"
    assert os.listdir(target.parent) == ["x.txt"]


def test_an_error_leaves_nothing_and_the_old_file_as_it_was(tmp_path):
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), writing(target, overwrite=True) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_existing_files_are_not_overwritten_unasked(tmp_path):
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(InputError, match="--overwrite"), writing(target):
        pass
    with writing(target, overwrite=True) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("Can't synchronously write data (file write failed: errno = 28, error message = 'No space left')"),
    ],
)
def test_a_full_disk_is_said_in_words(tmp_path, error):
    with pytest.raises(InputError, match="disk full while writing .*x.txt"), writing(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"), writing(tmp_path / "file" / "x.txt") as temporary:
        temporary.write_text("")


def test_other_errors_pass(tmp_path):
    with pytest.raises(OSError, match="unplugged"), writing(tmp_path / "x.txt"):
        raise OSError(errno.EIO, "unplugged")


def test_existing_file(tmp_path):
    (tmp_path / "empty.onnx").touch()
    for path, said in ((tmp_path, "is a folder"), (tmp_path / "no.onnx", "does not exist"), ("empty.onnx", "is empty")):
        with pytest.raises(InputError, match=said):
            existing_file(path)


# ---- what is no file is written into, never over


@pytest.fixture
def null(tmp_path):
    """A copy of /dev/null."""
    path = tmp_path / "null"
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices are made by root only")
    return path


def test_a_device_stays_a_device(null):
    with writing(null) as temporary:  # without `overwrite`: it holds nothing
        temporary.write_text("gone")
    assert null.is_char_device()
    assert os.listdir(null.parent) == ["null"]


def test_a_disk_is_refused(tmp_path):
    disk = tmp_path / "disk"
    try:
        os.mknod(disk, stat.S_IFBLK | 0o600, os.makedev(240, 0))
    except PermissionError:
        pytest.skip("devices are made by root only")
    with pytest.raises(InputError, match="is a disk"):
        check_place(disk, overwrite=True)


def test_a_pipe_and_a_socket_are_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with writing(pipe) as temporary:
        temporary.write_text("through")
    assert (os.read(reader, 100), pipe.is_fifo()) == (b"through", True)
    os.close(reader)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        with writing(tmp_path / "socket") as temporary:
            temporary.write_text("through")
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(100) == b"through"
    with (
        pytest.raises(InputError, match="cannot write .*socket: Connection refused"),
        writing(tmp_path / "socket") as t,
    ):
        t.write_text("to nobody")


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_a_descriptor_is_written_into(tmp_path, name):
    with (tmp_path / "x.txt").open("w+") as file:
        file.write("before ")
        file.flush()
        path = tmp_path / "link"
        if name == "link":
            path.symlink_to(f"/dev/fd/{file.fileno()}")
        else:
            path = name.format(file.fileno())
        with writing(path) as temporary:
            temporary.write_text("after")
        assert os.path.samestat(os.fstat(file.fileno()), os.stat(tmp_path / "x.txt"))  # the same file, not a new one
    assert (tmp_path / "x.txt").read_text() == "before after"


def test_of_a_link_the_target_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("there/x.txt")  # not there yet
    for text in ("one", "two"):
        with writing(link, overwrite=True) as temporary:
            temporary.write_text(text)
        assert (link.is_symlink(), (tmp_path / "there" / "x.txt").read_text()) == (True, text)
    assert os.listdir(tmp_path / "there") == ["x.txt"]


def test_json_replaces_no_file_that_is_no_json(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "deep").write_text("[" * 100_000)
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "empty").touch()
    for name in ("photo.png", "deep"):
        with pytest.raises(InputError, match="is no JSON: it is not replaced"):
            refuse_no_json(tmp_path / name)
    for name in ("old.json", "empty", "new"):
        refuse_no_json(tmp_path / name)


# ---- places


def test_places_are_tried_without_leaving_anything(tmp_path):
    (tmp_path / "file").touch()
    check_place(tmp_path / "a" / "b" / "x.txt")
    assert os.listdir(tmp_path) == ["file"]
    for path, said in (
        (tmp_path / "file" / "x.txt", "file is a file and no folder"),
        (tmp_path / "file" / "a" / "x.txt", "file is a file and no folder"),
        (tmp_path / ("n" * 300), "File name too long"),
        (tmp_path, "is a folder"),
        (tmp_path / "file", "--overwrite"),
    ):
        with pytest.raises(InputError, match=said):
            check_place(path)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc")
def test_a_folder_that_takes_no_files_is_named():
    with pytest.raises(InputError, match="cannot write /proc/x.tflite: /proc takes no new files"):
        check_place(Path("/proc/x.tflite"))
    with pytest.raises(InputError, match="cannot write /proc/x.npz: No such file"), writing("/proc/x.npz") as temporary:
        temporary.write_text("")


def test_a_file_larger_than_the_process_may_write(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(DiskFullError, match="may not be so large"), writing(tmp_path / "x") as temporary:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
            temporary.write_bytes(b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not os.listdir(tmp_path)


def test_the_disk_that_is_full_is_named(tmp_path, monkeypatch):
    """The target's, or that of temporary files where that has less left and is another one."""
    error, target = OSError(errno.ENOSPC, "No space left on device"), tmp_path / "x.txt"
    assert f"disk full while writing {target} (" in str(disk_full(error, target))
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one disk only")
    monkeypatch.setattr("tempfile.tempdir", str(shm))
    usage = {shm: 0, tmp_path: 10**9}
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=usage[Path(path)]))
    assert "/dev/shm, the folder of temporary files, has 0.0 MB free" in str(disk_full(error, target))
    assert "TMPDIR" in str(disk_full(error))


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, ""), True),
        (OSError(errno.EDQUOT, ""), True),
        (OSError(errno.EACCES, "No"), False),
        (RuntimeError("Error while serializing: I/O error: Nothing left (os error 28)"), True),
        (RuntimeError("/a; No space left on device"), True),
        ("OSError: [Errno 28] Kein Platz", True),
        (ValueError("28"), False),
    ],
)
def test_full_disks_have_many_words(error, full):
    assert is_full(error) is full
