"""A look at data with boxes: objects by class, part and size, what is wrong, and pictures with their boxes."""

import json

import numpy as np
import pytest
from PIL import Image
from test_box_sources import beside, unpacked, xml
from tiers import SHARED

from keras_resnet import cli, console
from keras_resnet.looking import boxes
from keras_resnet.looking.findings import look


@pytest.fixture
def wrong(tmp_path):
    """Twelve pictures in three parts, one of them without objects, one box without area and one that is clipped."""
    for part, count in (("train", 8), ("val", 2), ("test", 2)):
        beside(tmp_path / part, count)
    xml(tmp_path / "train" / "1.xml")
    xml(
        tmp_path / "train" / "2.xml",
        ("cat", 3, 3, 3, 9),
        ("<b>dog\x7f", 5, 5, 41, 9, "<difficult>1</difficult>".strip()),
    )
    return tmp_path


def test_objects_are_counted_by_class_part_and_size(wrong):
    (wrong / "train" / "2.xml").write_text((wrong / "train" / "2.xml").read_text().replace("<b>dog", "&lt;b&gt;dog"))
    found = look(wrong)
    assert found.counts() == {
        "<b>dog\x7f": {"train": 1, "validation": 0, "test": 0},
        "cat": {"train": 6, "validation": 2, "test": 2},
    }
    tables = {table.title: table.rows for table in found.tables()}
    assert tables["Objects of a picture"] == (
        ("train", 8, 1, "1", 1),
        ("validation", 2, 0, "1", 1),
        ("test", 2, 0, "1", 1),
    )
    assert tables["Boxes that are wrong: 2"][0][1:] == ("the box 3, 2, 3, 9 has no area", "dropped")
    assert tables["Boxes that are wrong: 2"][1][2] == "clipped"
    assert tables["Objects that count neither for nor against"] == (("crowds", 0), ("difficult", 1))
    hints = " ".join(found.hints())
    assert "1 of 12 boxes are without area" in hints and "1 of 12 boxes are outside by up to two pixels" in hints
    assert "classes without an object in validation: <b>dog" in hints and "balanced" not in hints


def test_the_command_ends_with_status_2_where_a_box_is_wrong(wrong, tmp_path, capsys):
    xml(wrong / "train" / "2.xml", ("cat", 3, 3, 3, 9), ("&lt;b&gt;", 5, 5, 41, 9))
    arguments = ["data", str(wrong), "--json", "look.json", "--report", "look.html"]
    assert cli.main(arguments) == console.WRONG
    said = capsys.readouterr()
    assert "2 boxes are wrong: status 2" in said.out and "has no area" in said.out
    written = json.loads((tmp_path / "look.json").read_text())["objects"]
    assert written["by_part"]["train"] == {"pictures": 8, "without_objects": 1, "objects": 7}
    assert written["by_size"] == {"small": 11, "medium": 0, "large": 0}
    assert [each["dropped"] for each in written["wrong_boxes"]] == [True, False]
    page = (tmp_path / "look.html").read_text()
    assert page.count("<img") >= 12 and "<b>" not in page and "&lt;b&gt;" in page
    beside(wrong / "train", 8)
    assert cli.main([*arguments, "--overwrite"]) == console.OK


def test_strict_refuses_in_any_command(wrong, tmp_path, capsys):
    xml(wrong / "train" / "2.xml", ("cat", 3, 3, 3, 9))
    arguments = ["prepare", "--data", str(wrong), "-o", str(tmp_path / "out")]
    assert cli.main([*arguments, "--strict"]) == 2
    assert "1 dropped of 11 boxes" in (said := capsys.readouterr().err) and "refused by --strict" in said
    assert cli.main(arguments) == 2  # and the next command is not strict
    assert "prepare writes image and label" in capsys.readouterr().err


def test_boxes_are_drawn_where_they_are(tmp_path):
    picture = Image.new("RGB", (64, 32))
    picture.save(tmp_path / "a.png")
    drawn = boxes.drawn(tmp_path / "a.png", np.float32([[8, 4, 40, 20, 1, 0, 0]]), ("a", "b"))
    assert drawn.shape == (128, 256, 3)
    rows, columns = np.nonzero(drawn.any(axis=-1))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (16, 80, 32, 160)
    assert not drawn[20:70, 40:150].any()  # an outline


def test_sizes_are_those_of_coco_s_own_areas(tmp_path):
    """Small, medium and large of the whole lists are in the README; here those of the pictures that are there."""
    if not (SHARED / "coco-mini").is_dir():
        pytest.skip("no ../shared/data/coco-mini")
    root = unpacked("coco-mini", tmp_path)
    expected = dict.fromkeys(boxes.SIZES, 0)
    for part in ("train2017", "val2017"):
        raw = json.loads((root / "annotations" / f"instances_{part}.json").read_text())
        there = {each["id"] for each in raw["images"] if (root / part / each["file_name"]).is_file()}
        for each in raw["annotations"]:
            if each["image_id"] in there:
                expected["small" if each["area"] < 1024 else "medium" if each["area"] < 9216 else "large"] += 1
    assert boxes.to_json(look(root, truth="boxes").data)["by_size"] == expected
    assert sum(expected.values()) == 74 + 110
