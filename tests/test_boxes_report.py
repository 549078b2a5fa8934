"""The report of a detection: confusions as hotcoco counts them, curves and calibration by their formulas, its page."""

import json

import coloured
import numpy as np
import pytest
from hotcoco import COCO, COCOeval
from PIL import Image

from keras_resnet import ModelCard, cli
from keras_resnet.tasks import detection, localization
from keras_resnet.tasks.detection.answers import Boxes
from keras_resnet.tasks.detection.matches import _truth
from keras_resnet.tasks.detection.pairs import confusion, pairs
from keras_resnet.tasks.detection.reports import Detailed
from keras_resnet.tasks.plain import PlainSummary

SIZE, NAMES = (64, 96), ("a", "b", "c")


def _scene(rng, objects=5, answers=9):
    """Objects, and answers near some of them."""
    corner = rng.uniform(0, 60, (objects, 2)) * [1.0, 0.5]
    rows = np.zeros((objects, 7))
    rows[:, :4] = np.concatenate([corner, corner + rng.uniform(8, 30, (objects, 2))], axis=1)
    rows[:, 4], rows[:, 6] = rng.integers(0, 3, objects), 100
    near = rows[rng.integers(0, objects, answers), :4] + rng.normal(0, 3, (answers, 4))
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 2)
    scores = np.sort(rng.uniform(0, 1, answers))[::-1]
    return Boxes(boxes=near.astype("f"), scores=scores, classes=rng.integers(0, 3, answers)), rows


def test_confusions_are_those_of_hotcoco():
    rng = np.random.default_rng(0)
    scenes = [_scene(rng) for _ in range(60)]
    found, true = map(list, zip(*scenes, strict=True))
    expected = _hotcoco(found, true)
    own = sum(confusion(boxes, rows, 3) for boxes, rows in scenes)
    np.testing.assert_array_equal(own, expected)
    assert (own[:3, :3] > 0).all() and (own[:3, 3] > 0).all() and (own[3, :3] > 0).all()


def _hotcoco(found, true):
    data = COCO(_truth(true, [SIZE] * len(true), 3))
    results = [
        {"image_id": n + 1, "category_id": int(c) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": float(score)}
        for n, each in enumerate(found)
        for (x1, y1, x2, y2), score, c in zip(each.boxes.tolist(), each.scores, each.classes, strict=True)
    ]
    return COCOeval(data, data.load_res(results), "bbox").confusion_matrix(iou_thr=0.5)["matrix"]


def test_answers_in_a_crowd_count_neither_for_nor_against():
    rows = np.array([[0, 0, 40, 40, 0, 1, 1600], [50, 0, 60, 10, 1, 0, 100.0]])
    boxes = np.float32([[0, 0, 10, 10], [35, 0, 60, 10], [50, 0, 60, 10], [50, 0, 60, 10], [0, 0, 10, 10]])
    found = Boxes(boxes=boxes, scores=np.float32([0.9, 0.8, 0.7, 0.6, 0.5]), classes=np.array([0, 0, 1, 1, 2]))
    met = pairs(found, rows)
    assert met.objects.tolist() == [-1, -1, 1, -1, -1]
    assert met.aside.tolist() == [True, False, False, False, False]
    assert met.wrong.tolist() == [False, True, False, True, True] and not met.missed.any()
    assert pairs(found, rows, by_class=False).aside[4] and not pairs(found, rows, by_class=False).wrong[4]
    none = Boxes(boxes=np.zeros((0, 4), "f"), scores=np.zeros(0), classes=np.zeros(0, int))
    assert pairs(none, rows).missed.tolist() == [False, True] and confusion(none, rows, 3).sum() == 1
    assert confusion(found, np.zeros((0, 7)), 3)[3].tolist() == [2, 2, 1, 0]


def _card(**facts):
    return coloured.card(**facts)


def _batch():
    """Four scenes: all found; a red one missed and a green one false; nothing there and nothing said; a false one."""
    cells = [{(1, 2): 0}, {(0, 0): 1}, {}, {(2, 3): 0, (0, 5): 1}]
    pixels = np.stack([coloured.picture(each) for each in cells])
    outputs = {name: np.asarray(each) for name, each in coloured.net()(pixels.astype("f")).items()}
    truth = np.full((4, 2, 7), -1, "f")
    truth[0, 0], truth[1, 0] = [16, 8, 24, 16, 0, 0, 64], [40, 24, 48, 32, 0, 0, 64]
    truth[3, 0] = [24, 16, 32, 24, 0, 0, 64]
    return pixels, outputs, {"boxes": truth, "frame": np.float32([[320, 480]] * 4)}


def _reported():
    pixels, outputs, truth = _batch()
    card = _card()
    scorer, reporter = detection.scorer(card), detection.reporter(card)
    for part in (slice(0, 1), slice(1, 4)):
        chunk = {name: each[part] for name, each in outputs.items()}, {name: each[part] for name, each in truth.items()}
        scorer.update(*chunk)
        reporter.update(*chunk)
    return pixels, reporter, reporter.summary(scorer.result())


def test_a_report_has_what_its_formulas_say():
    _, _, found = _reported()
    assert found.confusion == ((2, 0, 1), (0, 0, 0), (0, 2, 0)) and found.names == [*coloured.NAMES, "nothing"]
    assert list(found.curves) == ["red"]  # no green object is there
    expected = (np.arange(101) <= 66).astype(float)  # two of three, both above what is false
    for curve in found.curves["red"]:
        np.testing.assert_allclose(curve, expected, atol=1e-9)
    last = found.calibration[-1]
    assert last.count == 4 and last.right == 0.5 and last.score > 0.99
    assert sum(each.count for each in found.calibration) == 4 and found.calibration[0].right is None
    assert found.sizes == {"small": 3, "medium": 0, "large": 0}
    said = json.loads(json.dumps(found.to_json()))
    assert said["confusion"] == [list(row) for row in found.confusion] and said["ap"] == found.scores.ap


def test_the_worst_images_come_first_with_what_is_wrong_in_its_colours():
    pixels, reporter, _ = _reported()
    (chosen,) = reporter.remarkable().values()
    assert chosen == [(1, "0 of 1 found, 1 false"), (3, "1 of 1 found, 1 false")]
    drawn = reporter.over(1, pixels[1])
    assert list(drawn) == ["truth", "answer"]
    high = drawn["truth"].shape[0] // 32
    colours = {name: value for name, value in reporter.legend()}
    assert tuple(drawn["truth"][24 * high + 4, 40 * high]) == colours["missed"]
    assert tuple(drawn["answer"][24 * high + 4, 40 * high]) == colours["missed"]
    assert tuple(drawn["answer"][8 * high - 1, 4]) == colours["false"]
    right = reporter.over(3, pixels[3])["answer"]
    assert tuple(right[20 * high, 24 * high]) == colours["right, and what was found"]


def test_no_more_than_eight_images_are_kept():
    _, outputs, truth = _batch()
    reporter = detection.reporter(_card())
    for _ in range(9):
        reporter.update(outputs, truth)
    (chosen,) = reporter.remarkable().values()
    assert [index for index, _ in chosen] == [4 * n + 1 for n in range(8)]


@pytest.mark.parametrize("many", [False, True])
def test_sections_escape_names_and_have_every_chart_s_numbers(many):
    _, _, found = _reported()
    if many:
        names = [f"<i>{n}" for n in range(60)]
        classes = {name: next(iter(found.scores.classes.values())) for name in names}
        scores = type(found.scores)(**{**vars(found.scores), "classes": classes})
        counts = np.eye(61, dtype=int) * 3 + (np.arange(61) == 5)
        curves = {name: found.curves["red"] for name in names}
        found = Detailed(scores, curves, tuple(map(tuple, counts.tolist())), found.calibration, found.sizes, 0.3)
    page = detection.sections(found)
    assert "<b>green" not in page and "<i>" not in page
    assert page.count("<svg") == (3 if many else 4) and page.count("<details>") == page.count("<svg")
    assert "The most frequent confusions" in page
    plain = detection.sections(PlainSummary(found.scores))
    assert "Sizes and definitions" in plain and "<svg" not in plain


def test_a_localization_is_reported_by_class_with_its_worst_images():
    card = ModelCard(task="localization", facts={"names": ["a", "<b>"], "size": [32, 32]}, fit="stretch")
    truth = np.full((4, 1, 7), -1, "f")
    truth[0, 0], truth[1, 0], truth[2, 0] = [0, 0, 16, 16, 0, 0, 1], [0, 0, 16, 16, 1, 0, 1], [0, 0, 16, 16, 0, 0, 1]
    box = np.float32([[0.25, 0.25, 0.5, 0.5]] * 2 + [[0.75, 0.75, 0.5, 0.5]] * 2)
    outputs, truth = {"logits": np.float32([[3, 0]] * 4), "box": box}, {"boxes": truth}
    scorer, reporter = localization.scorer(card), localization.reporter(card)
    scorer.update(outputs, truth)
    reporter.update(outputs, truth)
    found = reporter.summary(scorer.result())
    assert {name: (each.count, each.localized, each.overlap) for name, each in found.classes.items()} == {
        "a": (2, 0.5, 0.5),
        "<b>": (1, 0.0, 1.0),
    }
    (chosen,) = reporter.remarkable().values()
    assert chosen == [(1, "<b> called a; overlap 100.0%"), (2, "a is right; overlap 0.0%")]
    drawn = reporter.over(2, np.zeros((32, 32, 1), np.uint8))
    assert all(each.shape == (320, 320, 3) for each in drawn.values())
    assert not drawn["truth"][170:, 170:].any() and drawn["answer"][200, 160].any()
    json.dumps(found.to_json())


@pytest.mark.slow
def test_evaluate_writes_the_page(tmp_path, capsys):
    model = coloured.saved(tmp_path / "net.keras")
    data = tmp_path / "data"
    (data / "photos").mkdir(parents=True)
    rows = ["file,label,x1,y1,x2,y2,split"]
    for number in range(6):
        cells = {(number % 4, number % 5): number % 2}
        Image.fromarray(coloured.picture(cells, (4, 4))).save(data / "photos" / f"{number}.png")
        (y, x), label = next(iter(cells)), coloured.NAMES[number % 2]
        x += number == 3  # what is true of one picture lies beside what is seen
        rows.append(f"photos/{number}.png,{label},{32 * x},{32 * y},{32 * x + 32},{32 * y + 32},test")
    (data / "boxes.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    command = [
        "evaluate",
        "--model",
        model,
        "--data",
        str(data / "boxes.csv"),
        "--report",
        "page.html",
        "--json",
        "f.json",
    ]
    assert cli.main(command) == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<img") == 2 and "photos/<wbr>3" in page and "0 of 1 found, 1 false" in page
    assert "<b>green" not in page
    figures = json.loads((tmp_path / "f.json").read_text("utf-8"))
    assert figures["confusion"] == [[3, 0, 0], [0, 2, 1], [0, 1, 0]] and figures["objects"] == 6


@pytest.mark.slow
def test_evaluate_in_another_geometry(tmp_path, capsys):
    """High pictures, whose cells a net sees as such where they are stretched; padded they are a third as wide."""
    model, photos = coloured.saved(tmp_path / "net.keras", "pad"), tmp_path / "photos"
    photos.mkdir()
    rows = ["file,label,x1,y1,x2,y2,split"]
    for number in range(4):
        row, column = number, number + 1
        Image.fromarray(coloured.picture({(row, column): 0}, (9, 2))).save(photos / f"{number}.png")
        rows.append(f"photos/{number}.png,red,{16 * column},{72 * row},{16 * column + 16},{72 * row + 72},test")
    rows.append(f"photos/0.png,{coloured.NAMES[1]},80,216,96,288,test")  # is not there
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = {}
    for fit in ("", "stretch"):
        command = [
            "evaluate",
            "--model",
            model,
            "--data",
            "boxes.csv",
            "--json",
            "f.json",
            *(["--fit", fit] if fit else []),
        ]
        assert cli.main(command) == 0
        figures = json.loads((tmp_path / "f.json").read_text("utf-8"))
        found[figures["fit"]] = figures["classes"]["red"]["ap"]
    assert found == {"pad": pytest.approx(0.0), "stretch": pytest.approx(1.0)}
    assert "fit stretch" in capsys.readouterr().out
