"""Files and texts from elsewhere are read within limits, and shown without control characters."""

import ast
import io
import json
import zipfile

import numpy as np
import pytest

from keras_resnet import arrays, untrusted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested more than 32"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested more than 32"),
        ('"' + "x" * 100, "Unterminated"),
        (b'{"a": "\xff"}', "codec"),
        ("[1" + " " * (5 << 20) + "]", "at most 4,194,304"),
        ("9" * 5000, "digits"),
    ],
)
def test_json_of_strangers_has_limits(text, said):
    with pytest.raises(ValueError, match=said):
        untrusted.parse(text)


def test_brackets_inside_strings_are_no_nesting():
    value = {"labels": ["[" * 100, '\\"[{' * 50, "é\\"], "facts": [[[{"a": []}]]]}
    assert untrusted.parse(json.dumps(value)) == value
    assert untrusted.parse("\ufeff" + json.dumps(value, ensure_ascii=False)) == value


def test_text_of_strangers_is_shown_written_out():
    assert untrusted.visible("\x1b[31mred\x1b]0;x\x07\n") == r"\x1b[31mred\x1b]0;x\x07\n"
    assert untrusted.visible("a\nb\tc\x1b", lines=True) == "a\nb\tc\\x1b"
    assert untrusted.visible("\u202egnp.exe \udcff \x9b") == r"\u202egnp.exe \udcff \x9b"
    assert untrusted.visible("Käfer 🐞 甲虫 \\ '\"") == "Käfer 🐞 甲虫 \\ '\""


def _npz(path, header, content, compression=zipfile.ZIP_DEFLATED):
    packed = io.BytesIO()
    np.lib.format.write_array_header_1_0(packed, header)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a.npy", packed.getvalue() + content)
    return path


def test_arrays_are_those_of_numpy(tmp_path):
    given = {"a": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(6).reshape(2, 3)), "s": np.array("é")}
    given |= {"empty": np.zeros((0, 3)), "no_text": np.array([""]), "scalar": np.float32(3)}
    np.savez_compressed(tmp_path / "a.npz", **given)
    found = arrays.read(tmp_path / "a.npz")
    assert list(found) == list(given)
    for name, values in given.items():
        np.testing.assert_array_equal(found[name], values, strict=True)
        assert found[name].flags.writeable


def test_bombs_are_refused_by_their_declared_sizes(tmp_path):
    def header(*shape):
        return {"descr": "<f4", "fortran_order": False, "shape": shape}

    bomb = _npz(tmp_path / "bomb.npz", header(1000, 1000), bytes(4_000_000))
    assert bomb.stat().st_size < 10_000
    with pytest.raises(ValueError, match="4,000,128 bytes, expected at most 1,000"):
        arrays.read(bomb, most=1000)
    for shape in ((100_000_000, 1_000_000), (-1, 4), (3,)):
        with pytest.raises(ValueError, match="claims"):
            arrays.read(_npz(tmp_path / "shape.npz", header(*shape), bytes(16)))
    with pytest.raises(ValueError, match="objects of Python"):
        arrays.read(_npz(tmp_path / "o.npz", {**header(2), "descr": "|O"}, bytes(16)))
    source = _npz(tmp_path / "source.npz", header(4), bytes(16), zipfile.ZIP_STORED).read_bytes()
    with zipfile.ZipFile(tmp_path / "token.npz", "w") as archive:  # a header that Python's tokenizer refuses
        archive.writestr("a.npy", source[source.index(b"\x93NUMPY") :].replace(b"(4,), }", b"(4,),(("))
    with pytest.raises(ValueError, match="EOF|Cannot parse|multi-line"):
        arrays.read(tmp_path / "token.npz")
    (tmp_path / "other.npz").write_bytes(
        bomb.read_bytes()[:8]
        + b"\x0e"
        + bomb.read_bytes()[9:].replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x0e\x00")
    )
    with pytest.raises(ValueError):
        arrays.read(tmp_path / "other.npz")


def test_an_input_of_ten_gigabytes_is_refused():
    layer = {"class_name": "InputLayer", "config": {"batch_shape": [None, 60_000, 60_000, 3]}}
    with pytest.raises(ValueError, match=r"10,800,000,000 numbers"):
        untrusted.check_network({"config": {"layers": [layer]}})
    untrusted.check_network({"config": {"layers": [{"config": {"batch_shape": [None, None, 4000, 3]}}]}})


def test_literals_of_c_are_the_text_in_utf8():
    text = '\x1b"\\?\n %s 甲虫1'
    literal = untrusted.c_literal(text)
    assert literal.isascii() and literal.isprintable() and "?" not in literal
    assert ast.literal_eval(f"b{literal}") == text.encode()
