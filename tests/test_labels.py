"""Class names out of files."""

import json

import pytest

from export import load_source
from keras_resnet import InputError, cli
from keras_resnet.labels import read_labels

NAMES = [f"name {n}" for n in range(10)]


def test_text_lists_and_keras_index_are_read(tmp_path):
    files = {
        "names.txt": "\ufeff" + "\r\n".join(NAMES) + "\r\n\r\n",
        "names.json": json.dumps(NAMES),
        "index.json": json.dumps({str(n): [f"n0{n}", name] for n, name in enumerate(NAMES)}),
    }
    for file, text in files.items():
        (tmp_path / file).write_text(text, encoding="utf-8", newline="")
        assert read_labels(tmp_path / file, 10) == tuple(NAMES)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a.txt", "cat\ndog\n", "expected 10 names, one for every class, received 2"),
        ("a.txt", "cat\n\n" * 5, "received 5"),
        ("a.json", "{", "expected a name per line, or JSON"),
        ("a.json", '{"1": ["n", "cat"]}', "expected a name per line, or JSON"),
        ("a.json", "3", "expected a name per line, or JSON"),
        ("a.txt", "x" * (5 << 20), "5,242,880 bytes"),
    ],
)
def test_other_files_are_refused(file, text, message, tmp_path):
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path / file, 10)


def test_a_missing_file_is_said():
    with pytest.raises(InputError, match="gone.txt: expected a name per line"):
        read_labels("gone.txt", 10)


def test_commands_use_the_names(tmp_path, image_folder, capsys):
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    assert load_source("resnet8", weights="digits", classes=tmp_path / "names.txt").card.labels == tuple(NAMES)
    arguments = ["predict", "--model", "resnet8", "--weights", "digits", "--classes", str(tmp_path / "names.txt")]
    assert cli.main([*arguments, str(image_folder / "red" / "01.png")]) == 0
    assert capsys.readouterr().out.count("name ") == 5
