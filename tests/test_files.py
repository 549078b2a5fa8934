"""Writing beside and renaming: nothing lost, nothing half-written."""

import errno
import os

import pytest

from keras_resnet import InputError
from keras_resnet.files import existing_file, writing


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
