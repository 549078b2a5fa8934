"""Tables in terminals of 80 columns: no word is broken."""

import re
import sys

import pytest

from keras_resnet import console

COLUMNS = ("file", "precision", "input", "kB", "max abs", "SQNR dB", "agree", "top-1", "in Keras", "drop, points", "ms")
ROWS = [
    [f"digits-resnet8-20261126-105848-{name}.tflite", name, "normalized float32", "315.8", "1e-06", 129.1, "100.00%"]
    + ["98.61%", "98.61%", "0.00 ± 0.00", 0.22]
    for name in ("float32", "dynamic_int8")
]


def _printed(width, monkeypatch, capsys, columns=COLUMNS, rows=ROWS):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    console.print_table("Files", columns, rows)
    return re.sub("\x1b.*?m", "", capsys.readouterr().out)  # bold


@pytest.mark.parametrize("width", [40, 60, 80, 99, 100, 140, 250])
def test_m4_no_word_is_broken(width, monkeypatch, capsys):
    said = _printed(width, monkeypatch, capsys)
    for row in ROWS:
        for cell in map(str, row):
            assert all(word in said for word in cell.split())
    for name in COLUMNS[1:]:
        assert all(word in said for word in name.split())
    longest = max(len(word) for row in ROWS for cell in row for word in str(cell).split())
    assert max(map(len, said.splitlines())) <= max(width, longest)


def test_a_block_a_file_below_a_hundred_columns(monkeypatch, capsys):
    lines = _printed(80, monkeypatch, capsys).splitlines()
    assert lines[1] == ROWS[0][0]
    assert "  precision     float32" in lines
    assert lines.count("  drop, points  0.00 ± 0.00") == 2
    wide = _printed(250, monkeypatch, capsys)
    assert "│" in wide or "|" in wide


def test_a_small_table_stays_one(monkeypatch, capsys):
    assert "┃" in _printed(40, monkeypatch, capsys, ("class", "probability"), [["cat", "98.1%"]])


def test_a_pipe_has_no_width(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    console.print_table("Files", COLUMNS, ROWS)
    assert "┃" in capsys.readouterr().out
