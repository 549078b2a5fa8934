"""Answers for many files: order, bad files, tables, and equality with the net asked directly."""

import csv
import io
import json
import threading
import types

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from keras_resnet import InputError, cli, console, extras
from keras_resnet.card import ModelCard
from keras_resnet.evaluation import bulk, predict, written
from keras_resnet.runtime.interface import Runner, Tensor

MODEL = ["predict", "--model", "resnet8", "--weights", "digits"]


class Brightness(Runner):
    """Says how bright a picture is; notes how many it was given at once."""

    card = ModelCard(labels=("dark", "bright"))
    input = Tensor("image", (None, 8, 8, 3), "float32")
    outputs = (Tensor("probabilities", (None, 2), "float32"),)

    def __init__(self):
        self.given = []

    def run(self, examples):
        self.given.append(len(examples))
        bright = examples.mean((1, 2, 3)).astype("f") / 255
        return {"probabilities": np.stack([1 - bright, bright], 1)}


@pytest.fixture
def album(tmp_path):
    """Forty grey pictures, each of another brightness, in three folders; names are not in the order of brightness."""
    for number in range(40):
        path = tmp_path / "album" / "abc"[number % 3] / f"{(7 * number) % 40:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (5 * number,) * 3).save(path)
    return tmp_path / "album"


def brightness(path):
    return float(np.asarray(Image.open(path)).mean()) / 255


@pytest.mark.slow
def test_many_files_are_answered_in_their_order_and_bad_ones_between_them(album):
    paths = sorted(album.rglob("*.png"))
    paths[0].write_bytes(b"no picture")
    paths[17].write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    paths[-1].unlink()
    model = Brightness()
    found = list(bulk.answers(model, paths, model.card, 2))
    bad = [number for number, each in enumerate(found) if isinstance(each, bulk.Unreadable)]
    assert bad == [0, 17, 39]
    assert "cannot be decoded" in found[17].reason and "is no file" in found[39].reason
    for number in set(range(40)) - set(bad):
        assert found[number].image == str(paths[number])
        np.testing.assert_allclose(dict(found[number].top)["bright"], brightness(paths[number]), atol=1e-6)
    assert max(model.given) <= model.bulk and len(model.given) <= 3


def test_few_and_many_files_give_the_same_bits(album):
    model = Brightness()
    paths = sorted(album.rglob("*.png"))
    Image.effect_noise((23, 37), 90).save(paths[3])
    many = list(bulk.answers(model, paths, model.card, 2))
    few = [each for start in range(0, 40, 10) for each in bulk.answers(model, paths[start : start + 10], model.card, 2)]
    assert many == few == list(predict(model, album, top=2))


def test_a_list_names_files_folders_and_names_in_any_encoding(album, monkeypatch):
    odd = album / "b" / "\udce4.png"
    odd.write_bytes((album / "a" / "00.png").read_bytes())
    lines = b"a/03.png\r\n\n" + bytes(odd)[len(bytes(album)) + 1 :] + b"\nb\n"
    monkeypatch.chdir(album)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    found = bulk.listed(["c/*1.png", "-", "a/00.png"], (".png",))
    names = [str(path) for path in found]
    assert names[-1] == "a/00.png" and "a/03.png" in names and "b/\udce4.png" in names
    assert names[: names.index("a/03.png")] == sorted(map(str, found[: names.index("a/03.png")])) != []
    model = Brightness()
    answers = list(bulk.answers(model, [odd] * 17, model.card, 1))
    assert [each.image for each in answers] == [str(odd)] * 17


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["https://example.com/a.jpg"], "received an address"),
        (["*.jpg"], "no file matches"),
        (["."], "holds no .png"),
        (["-"], "expected names of files, one a line; received none"),
    ],
)
def test_what_names_no_file_is_refused(texts, message, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    with pytest.raises(InputError, match=message):
        bulk.listed(texts, (".png",))


# ---- tables


ROWS = [
    {"file": 'a,"b"\n\x1b[31m.png', "label": "cat", "probability": 0.1, "n": 1},
    {"file": "\udce4.png", "label": None, "probability": 1, "more": [1, {"x": 2}]},
]


def test_tables_are_read_by_others(tmp_path):
    for ending in written.WRITERS:
        with written.writing(tmp_path / f"t{ending}") as add:
            for row in ROWS:
                add(row)
    assert [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()] == ROWS
    with (tmp_path / "t.csv").open(errors="surrogateescape", newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {**{k: str(v) for k, v in ROWS[0].items()}, "more": ""}
    assert second["file"] == "\udce4.png" and second["label"] == second["n"] == ""
    table = pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert table["probability"] == [0.1, 1.0] and table["n"] == [1, None] and table["label"] == ["cat", None]
    assert table["file"] == [ROWS[0]["file"], "\\xe4.png"] and table["more"] == [None, '[1, {"x": 2}]']


def test_a_table_appears_when_it_is_whole(tmp_path):
    with pytest.raises(KeyboardInterrupt), written.writing(tmp_path / "t.csv") as add:
        add(ROWS[0])
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    (tmp_path / "t.csv").write_text("mine")
    with pytest.raises(InputError, match="--overwrite"), written.writing(tmp_path / "t.csv"):
        pass
    assert (tmp_path / "t.csv").read_text() == "mine"


def test_a_table_of_an_unknown_kind_and_one_without_its_package_are_refused(monkeypatch, capsys):
    assert cli.main([*MODEL, "x.png", "-o", "answers.xlsx"]) == console.WRONG
    assert "expected a name with the ending .csv, .jsonl, .parquet" in capsys.readouterr().err
    monkeypatch.setattr(extras, "is_there", lambda module: module != "pyarrow")
    assert cli.main([*MODEL, "x.png", "-o", "answers.parquet"]) == console.WRONG
    assert "pip install 'keras-resnet-toolkit[parquet]'" in capsys.readouterr().err


# ---- the command


@pytest.mark.slow
def test_the_command_answers_for_a_folder_and_counts_what_it_cannot_read(
    digits, digits_runner, tmp_path, capsys, monkeypatch
):
    (tmp_path / "scans").mkdir()
    for number in range(25):
        Image.fromarray(digits.test.images[number]).save(tmp_path / "scans" / f"{number:02}.png")
    for number in range(24):
        (tmp_path / "scans" / f"bad\x1b[31m{number}.png").write_text("text")
    assert cli.main([*MODEL, "scans", "--top", "2", "-o", "answers.csv", "--json", "a.json"]) == console.FAILED
    out, err = capsys.readouterr()
    expected = digits_runner.model.predict_on_batch(
        digits_runner.card.preprocess(
            np.stack([np.asarray(Image.open(tmp_path / "scans" / f"{n:02}.png")) for n in range(25)])
        )
    )
    with open("answers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"scans/{n:02}.png" for n in range(25)]
    assert [int(row["label"]) for row in rows] == expected.argmax(1).tolist()
    np.testing.assert_allclose([float(row["probability"]) for row in rows], expected.max(1), atol=1e-6)
    assert list(rows[0]) == ["file", "label", "probability", "label_2", "probability_2"]
    assert [each["image"] for each in json.loads((tmp_path / "a.json").read_text())] == [row["file"] for row in rows]
    assert "24 of 49 files cannot be read" in err and "... and 4 more" in err and err.count("no answer:") == 20
    assert "\x1b" not in err and "... and 5 more" in out and out.count("scans/") == 20


def test_one_file_is_shown_as_before_and_a_few_in_full(tmp_path, digits, capsys):
    for number in range(2):
        Image.fromarray(digits.test.images[number]).save(tmp_path / f"{number}.png")
    assert cli.main([*MODEL, "0.png"]) == console.OK
    one = capsys.readouterr().out
    assert one.splitlines()[0] == "0.png" and one.count("%") == 5
    assert cli.main([*MODEL, "0.png", "1.png", "--top", "1"]) == console.OK
    assert capsys.readouterr().out.count("%") == 2
    assert cli.main([*MODEL, "gone.png"]) == console.WRONG
    assert "gone.png is no file" in capsys.readouterr().err
    assert cli.main([*MODEL, "gone.png", "away.png", "-o", "t.csv"]) == console.FAILED
    assert "none of the 2 files" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.proof
def test_files_of_other_engines_answer_as_in_plain_predict(mini_spec, album):
    from export import export
    from keras_resnet import build, open_runner

    model = build(mini_spec, weights=None)
    paths = sorted(album.rglob("*.png")) * 5
    samples = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    for name, precision in (("a.tflite", "float32"), ("a.onnx", "float32"), ("b.tflite", "int8")):
        export(model, name, precision=precision, samples=samples)
        runner = open_runner(name)
        found = list(bulk.answers(runner, paths, runner.card, 3))
        for answer, plain in zip(found, predict(runner, paths, top=3), strict=True):
            assert answer.image == plain.image
            np.testing.assert_allclose([p for _, p in answer.top], [p for _, p in plain.top], atol=1e-6)
        pixels = bulk.get_signal("image").code.load(paths[0], (32, 32, 3))[None]
        expected = runner(runner.card.preprocess(pixels))["probabilities"].max()
        assert found[0].top[0][1] == float(expected)


@pytest.mark.slow
def test_memory_is_bounded(album):
    """However many files wait, few of them are read ahead of the net."""
    model, seen, too_many = Brightness(), types.SimpleNamespace(read=0), threading.Event()
    paths = sorted(album.rglob("*.png")) * 50
    decoded = bulk.get_signal("image").code.decoded

    def counted(contents, *args):
        import tensorflow as tf

        def one():
            seen.read += 1
            if seen.read > 8 * model.bulk:
                too_many.set()
            return np.int64(0)

        with tf.control_dependencies([tf.numpy_function(one, [], tf.int64)]):
            return decoded(tf.identity(contents), *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk.get_signal("image").code, "decoded", counted)
        answers = bulk.answers(model, paths, model.card, 1)
        next(answers)
        assert not too_many.wait(1.5)  # seconds in which a reader without a bound is far ahead
        assert 0 < seen.read < 8 * model.bulk < len(paths)
        answers.close()


def test_a_few_answers_are_drawn(tmp_path, digits, capsys):
    for number, pixels in enumerate(digits.test.images[:25]):
        Image.fromarray(pixels.repeat(3, -1) if pixels.shape[-1] == 1 else pixels).save(tmp_path / f"{number:02}.png")
    out = tmp_path / "drawn.png"
    command = ["predict", "--model", "resnet8", "--weights", "digits", "-o", str(out)]
    assert cli.main([*command, str(tmp_path / "03.png"), str(tmp_path / "04.png")]) == 0
    assert f"picture of 2 answers: {out}" in " ".join(capsys.readouterr().out.split())
    with Image.open(out) as drawn:
        assert drawn.format == "PNG" and min(drawn.size) > 200 and len(np.unique(np.asarray(drawn))) > 50
    before = out.read_bytes()
    assert cli.main([*command, str(tmp_path / "03.png")]) == 2
    assert "drawn.png exists" in capsys.readouterr().err
    assert cli.main([*command, "--overwrite", *(str(tmp_path / f"{n:02}.png") for n in range(25))]) == 2
    assert "one picture shows 24 answers at most, and there are 25 files" in capsys.readouterr().err
    assert out.read_bytes() == before
