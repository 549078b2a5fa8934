"""What `predict` gives of objects: tables, YOLO's text, pictures and pages, in pixels of the whole picture."""

import csv
import io
import json
import re
from pathlib import Path

import coloured
import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import InputError, ModelCard, cli
from keras_resnet.cluster.predicting import Kept
from keras_resnet.evaluation.answered import Page
from keras_resnet.evaluation.records import brief, records
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.tasks import detection, localization

CELLS = {(1, 2): 0, (3, 0): 1}
SCALE = (4, 3)  # pictures of 128 x 144
BOXES = [[48, 32, 72, 64], [0, 96, 24, 128]]


@pytest.fixture(scope="module")
def model(made_once):
    """The net's file."""
    return str(made_once("coloured", lambda folder: coloured.saved(folder / "net.keras")) / "net.keras")


def _folder(path):
    path.mkdir()
    Image.fromarray(coloured.picture(CELLS, SCALE)).save(path / "a.png")
    Image.fromarray(coloured.picture({}, SCALE)).save(path / "b.png")
    return path


def test_a_table_has_a_row_for_each_object_and_one_for_a_picture_without():
    runner = KerasRunner(coloured.net(), coloured.card())
    found = keras_resnet.predict(runner, [coloured.picture(CELLS, SCALE), coloured.picture({}, SCALE)])
    rows = found.records()
    assert [list(row) for row in rows] == [["file", "class", "score", "x1", "y1", "x2", "y2"]] * 3
    assert sorted(row["class"] for row in rows[:2]) == sorted(coloured.NAMES)
    by_name = {row["class"]: [row[side] for side in ("x1", "y1", "x2", "y2")] for row in rows[:2]}
    np.testing.assert_allclose([by_name[name] for name in coloured.NAMES], BOXES, atol=0.01)
    assert min(row["score"] for row in rows[:2]) > 0.99
    assert rows[2] == {"file": "1", **dict.fromkeys(("class", "score", "x1", "y1", "x2", "y2"))}
    assert "<b>green" not in found._repr_html_() and "&lt;b&gt;green" in found._repr_html_()


@pytest.mark.parametrize("keep", ["pad", "crop"])
def test_boxes_lie_in_the_whole_picture_whatever_of_it_the_net_saw(keep):
    """A high picture: padded, the net sees it in a third of its width; cut out, rows 24 to 120 of it."""
    runner = KerasRunner(coloured.net(), coloured.card(keep))
    wide, high = (72, 144) if keep == "crop" else (48, 96)
    pixels = np.full((high, wide, 3), 40, np.uint8)
    there = {"pad": (48, 0, 72, 24), "crop": (24, 60, 36, 72)}[keep]
    pixels[there[1] : there[3], there[0] : there[2]] = 0
    x1, y1, x2, y2 = {"pad": (0, 0, 24, 24), "crop": (24, 60, 36, 72)}[keep]
    pixels[y1:y2, x1:x2] = coloured.PURE[0]
    (found,) = keras_resnet.predict(runner, [pixels])
    assert found.size == (high, wide) and len(found) == 1
    np.testing.assert_allclose(found.boxes, [[x1, y1, x2, y2]], atol=0.01)


def test_a_threshold_takes_the_place_of_the_cards():
    runner = KerasRunner(coloured.net(), coloured.card())
    pixels = coloured.picture(CELLS)
    pixels[8:16, 16:24, 0] = 170  # a score of one half, and of the card's threshold
    counts = [len(keras_resnet.predict(runner, [pixels], threshold=t)[0]) for t in (0.0, 0.2, 0.999)]
    assert counts[0] == 48 and counts[1] == 2 and counts[2] == 1
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="expected a score from 0 to 1"):
            keras_resnet.predict(runner, [pixels], threshold=wrong)
    with pytest.raises(InputError, match="goes with the task detection; this is classification"):
        keras_resnet.predict(keras_resnet.build("resnet8", weights="digits"), [pixels], threshold=0.5)


def test_yolo_s_text_is_its_formula():
    boxes, scores = np.float32([[10, 20, 30, 60], [0, 0, 100, 50]]), np.float32([0.75, 0.5])
    found = detection.Detections("x", ("b", "a"), scores, boxes, np.array([1, 0]), (200, 100))
    lines = [list(map(float, line.split())) for line in detection.yolo_lines(found)]
    np.testing.assert_allclose(lines, [[1, 0.2, 0.2, 0.2, 0.2, 0.75], [0, 0.5, 0.125, 1, 0.25, 0.5]], atol=1e-6)


def test_an_answer_that_was_kept_has_the_same_rows():
    found = detection.Detections("x", ("a",) * 5, np.full(5, 0.5), np.ones((5, 4)), np.zeros(5, int), (9, 9))
    kept = Kept("x", json.loads(json.dumps(found.to_json())), found.rows())
    assert records(kept) == records(found) and len(records(kept)) == 5
    assert brief(kept) == brief(found) == (("objects", "best"), (5, "a 0.50, a 0.50, a 0.50, 2 more"))
    nothing = detection.Detections("x", (), np.zeros(0), np.zeros((0, 4)), np.zeros(0, int), (9, 9))
    assert brief(nothing)[1] == (0, None)


def test_the_object_of_a_localization_is_a_row_with_its_probability():
    card = ModelCard(task="localization", facts={"names": ["a", "b"], "size": [32, 32]}, fit="stretch")
    outputs = {"logits": np.float32([[0, 3]]), "box": np.float32([[0.5, 0.5, 0.5, 0.25]])}
    (answer,) = localization.decode(outputs, card, names=["x.png"])
    placed = localization.within(answer, 64, 128, card)
    (row,) = records(placed)
    assert [row[name] for name in ("file", "class", "x1", "y1", "x2", "y2")] == ["x.png", "b", 32, 24, 96, 40]
    assert row["score"] == pytest.approx(1 / (1 + np.exp(-3))) and set(placed.to_json()["scores"]) == {"a", "b"}
    drawn = localization.painted(np.zeros((64, 128, 3), np.uint8), placed, card)
    assert (drawn[39, 40:90] > 0).any(-1).all() and not (drawn[44:, :]).any()
    strip = localization.strip(np.zeros((64, 128, 3), np.uint8), placed, card)
    assert [name for _, name, _ in strip.legend] == ["b"] and len(strip.pictures) == 2


def test_boxes_are_painted_where_they_lie_at_any_size():
    """The rim of a box alone changes, beside its words above."""
    card = coloured.card()
    found = detection.Detections(
        "x", ("red",), np.float32([0.9]), np.float32([[20, 40, 60, 80]]), np.array([0]), (100, 100)
    )
    for factor in (1, 2):
        drawn = detection.painted(np.zeros((100 * factor, 100 * factor, 3), np.uint8), found, card)
        changed = drawn.any(axis=-1)
        rim = changed[42 * factor :, :]
        rows, columns = np.nonzero(rim)
        assert rows.max() + 42 * factor == 80 * factor - 1
        assert (columns.min(), columns.max()) == (20 * factor, 60 * factor - 1)
        assert not changed[45 * factor : 75 * factor, 25 * factor : 55 * factor].any()
    grey = detection.painted(np.zeros((50, 50, 1), np.uint8), found, card)
    assert grey.shape == (50, 50, 3)


def test_a_page_of_another_task_is_refused():
    with pytest.raises(InputError, match="shows masks or boxes"):
        Page(KerasRunner(keras_resnet.build("resnet8", weights="digits")), ModelCard())


def test_truth_and_answer_stand_side_by_side():
    outputs = {
        name: np.asarray(each) for name, each in coloured.net()(coloured.picture(CELLS)[None].astype("f")).items()
    }
    truth = np.full((1, 2, 7), -1, "f")
    truth[0, 0] = [16, 8, 24, 16, 0, 0, 64]
    (found,) = detection.compared(coloured.picture(CELLS)[None], outputs, {"boxes": truth}, coloured.card())
    high, wide = found.shape[:2]
    assert high % 32 == 0 and (found[:, wide // 2 - 2 : wide // 2 + 2] == 255).all()
    plain = coloured.picture(CELLS, (high // 32, high // 32))
    left, right = found[:, : wide // 2 - 2], found[:, wide // 2 + 2 :]
    changed = [(half != plain).any(-1) for half in (left, right)]
    green = np.s_[-6 * (high // 32) :, : 8 * (high // 32)]  # an answer that is no object of the truth
    assert changed[0].any() and not changed[0][green].any() and changed[1][green].any()


@pytest.mark.slow
def test_predict_writes_tables_texts_pictures_and_pages(model, tmp_path, capsys):
    photos = str(_folder(tmp_path / "photos"))
    command = ["predict", "--model", model, photos]
    assert cli.main([*command, "-o", "t.csv", "--json", "t.json", "--yolo", "texts"]) == 0
    said = capsys.readouterr().out
    assert "b.png: nothing was found" in said and "objects of 2 pictures: texts" in said
    with open("t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and rows[2]["class"] == rows[2]["x1"] == "" and rows[2]["file"].endswith("b.png")
    objects = json.loads(Path("t.json").read_text("utf-8"))
    assert [len(each["objects"]) for each in objects] == [2, 0]
    np.testing.assert_allclose(sorted(each["box"] for each in objects[0]["objects"]), sorted(BOXES), atol=0.01)
    lines = [line.split() for line in Path("texts/a.txt").read_text("utf-8").splitlines()]
    assert Path("texts/b.txt").read_text("utf-8") == "" and len(lines) == 2
    for number, x, y, wide, high, _ in (map(float, line) for line in lines):
        own = np.array([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]) * [144, 128, 144, 128]
        np.testing.assert_allclose(own, BOXES[int(number)], atol=0.01)
    assert cli.main([*command, "-o", "page.html"]) == 0
    page = Path("page.html").read_text("utf-8")
    assert "<b>green" not in page and page.count("<img") == 4 and "no object" in page
    assert cli.main([*command, "-o", "drawn.png"]) == 0
    drawn = np.asarray(Image.open("drawn.png").convert("RGB"))
    assert (np.abs(drawn.astype(int) - [255, 0, 0]).sum(-1) < 60).sum() > 500  # the cell is where it was
    assert cli.main([*command, "--classes", "cell,disc", "-o", "named.csv"]) == 0
    with open("named.csv", newline="", encoding="utf-8") as file:
        named = {
            row["class"]: [float(row[each] or 0) for each in ("x1", "y1", "x2", "y2")] for row in csv.DictReader(file)
        }
    np.testing.assert_allclose([named[name] for name in ("cell", "disc")], BOXES, atol=0.01)
    found, _ = keras_resnet.predict(model, photos, labels=["cell", "disc"])
    assert set(found.names) == {"cell", "disc"}
    with pytest.raises(InputError, match="labels: expected 2 names"):
        keras_resnet.predict(model, photos, labels=["cell", "disc", "both"])
    many = [*command, *[photos] * 5]
    assert cli.main([*many, "--threshold", "0.2"]) == 0
    assert re.search(r"file +┃ objects ┃ best", capsys.readouterr().out)
    for more, words in (
        (["--threshold", "1.5"], "expected a score from 0 to 1"),
        (["--masks", "m"], "goes with the task segmentation"),
        (["--classes", "cell,disc,both"], "expected 2 different names"),
    ):
        assert cli.main([*command, *more]) == 2
        error = capsys.readouterr().err
        assert len(error.strip().splitlines()) == 1 and words in error


def test_tensorboard_shows_the_truth_beside_the_answers_of_an_epoch(tmp_path):
    """As TensorBoard reads it; the control is another weight, which answers otherwise."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from keras_resnet.data.dataset import ArraySplit, Dataset
    from keras_resnet.training import pictured
    from keras_resnet.training.nets import Nets

    truth = np.full((1, 2, 7), -1, "f")
    truth[0, 0] = [16, 8, 24, 16, 0, 0, 64]
    pixels = coloured.picture(CELLS)[None]
    split = ArraySplit({"image": pixels, "boxes": truth, "frame": np.float32([[32, 48]])})
    data = Dataset("d", tuple(coloured.NAMES), (*coloured.SIZE, 3), split, split, split)
    model = coloured.net()
    (callback,) = pictured.callbacks(Nets(model, coloured.net()), data, coloured.card(), tmp_path)
    callback.on_train_begin()
    callback.on_epoch_end(0)
    layer = model.get_layer("scores_8")
    layer.set_weights([each * 0 - 20 for each in layer.get_weights()])
    callback.on_epoch_end(1)
    callback.on_train_end()
    read = EventAccumulator(str(tmp_path / "validation"), size_guidance={"tensors": 0})
    read.Reload()
    (tag,) = (each for each in read.Tags()["tensors"] if each.startswith("image, truth, answer"))
    shown = [np.asarray(Image.open(io.BytesIO(each.tensor_proto.string_val[2]))) for each in read.Tensors(tag)]
    outputs = {name: np.asarray(each) for name, each in coloured.net()(pixels.astype("f")).items()}
    (expected,) = detection.compared(pixels, outputs, {"boxes": truth}, coloured.card())
    np.testing.assert_array_equal(shown[0], expected)
    half = shown[0].shape[1] // 2
    np.testing.assert_array_equal(shown[1][:, :half], expected[:, :half])
    assert (shown[1][:, half:] != expected[:, half:]).any()
