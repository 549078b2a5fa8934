"""Pictures with boxes in the forms that people and published sets have, and what is refused or left out of them."""

import csv
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter

import numpy as np
import pytest
from bands import named, picture, sizes
from PIL import Image, ImageOps
from tiers import SHARED

import keras_resnet
from keras_resnet import InputError, cli
from keras_resnet.data import boxed, coco, digit_scenes, folder, objects
from keras_resnet.data.sources import SOURCES, find_source, truth_of
from keras_resnet.looking.findings import look

SIZE = (24, 40)  # height and width of a picture


def load(root, **how):
    return keras_resnet.load_dataset(root, image_shape=(*SIZE, 3), **{"truth": "boxes", **how})


def rows(split, number=0):
    """The boxes of a picture as lists, those that are some."""
    found = split.truth["boxes"][number]
    return found[found[:, 4] >= 0].tolist()


def every(dataset):
    """The boxes of all parts, `(k, 7)`."""
    found = np.concatenate([part.truth["boxes"].reshape(-1, 7) for part in parts(dataset)])
    return found[found[:, 4] >= 0]


def parts(dataset):
    return dataset.train, dataset.validation, dataset.test


def pictures(folder, names, size=SIZE):
    for name in names:
        picture(folder / f"{name}.png", size)


def xml(path, *things, size=SIZE, head=""):
    """A file as Pascal VOC has it; a thing is a name and four numbers, then more elements."""
    path.parent.mkdir(parents=True, exist_ok=True)
    items = "".join(
        f"<object><name>{name}</name>{more}<bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
        "</bndbox></object>"
        for name, a, b, c, d, *rest in things
        for more in ["".join(rest)]
    )
    area = f"<size><width>{size[1]}</width><height>{size[0]}</height></size>"
    path.write_text(f"{head}<annotation>{area}{items}</annotation>")


def beside(root, count=12, **changes):
    """Pictures with .xml files beside them, a cat each; `changes` are the things of some."""
    pictures(root, range(count))
    for number in range(count):
        xml(root / f"{number}.xml", *changes.get(f"n{number}", [("cat", 3, 5, 20, 18)]))
    return root


# --- Real sets of ../shared


def unpacked(name, tmp_path, member=None):
    archive = SHARED / name / f"{name}.zip"
    if not archive.is_file():
        pytest.skip(f"no ../shared/data/{name}")
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    return tmp_path / member if member else tmp_path


@pytest.mark.slow
def test_bccd_has_the_boxes_of_its_readme_but_two_without_area(tmp_path, caplog):
    root = unpacked("bccd", tmp_path, "BCCD")
    with folder.unchecked():
        found = load(root)
    assert (found.classes, found.truth, sizes(found)) == (("Platelets", "RBC", "WBC"), "boxes", [205, 87, 72])
    counts = [np.bincount(part.truth["boxes"][..., 4].astype(int).ravel() + 1)[1:].tolist() for part in parts(found)]
    assert counts == [[209, 2382 - 1, 214], [83, 968 - 1, 87], [69, 805, 71]]  # README: with those two
    said = [record.getMessage() for record in caplog.records]
    assert said[0].endswith("2 dropped of 4,888 boxes") and len(said) == 3
    assert "BloodImage_00343.xml, object 4 (RBC): the box 181, 329, 181, 329 has no area" in said[1]
    assert "BloodImage_00338.xml, object 13 (RBC): the box 504, 337, 504, 337 has no area" in said[2]
    with folder.unchecked(), objects.strictly(), pytest.raises(InputError, match="2 dropped of 4,888 boxes"):
        load(root)


def test_coco_mini_keeps_ids_crowds_areas_and_empty_pictures(tmp_path, caplog):
    root = unpacked("coco-mini", tmp_path)
    assert (truth_of(root), truth_of(root, truth="boxes")) == ("mask", "boxes")
    with folder.unchecked():
        found = load(root)
    assert sizes(found) == [12, 1, 20]  # the val of two parts is the test
    raw = {name: json.loads((root / f"annotations/instances_{name}2017.json").read_text()) for name in ("train", "val")}
    assert found.ids == tuple(each["id"] for each in raw["val"]["categories"])
    assert max(found.ids) == 90 and len(found.classes) == 80
    file_of = {each["id"]: each["file_name"] for each in raw["val"]["images"]}
    there = {each.name for each in (root / "val2017").iterdir()}
    wanted = {file: [] for file in file_of.values() if file in there}
    for each in raw["val"]["annotations"]:
        if file_of[each["image_id"]] in there:
            x, y, w, h = each["bbox"]
            box = [x, y, x + w, y + h, found.ids.index(each["category_id"]), each["iscrowd"], each["area"]]
            wanted[file_of[each["image_id"]]].append(box)
    assert sum(map(len, wanted.values())) == 110  # README
    assert any(not each for each in wanted.values()) and sum(box[5] for each in wanted.values() for box in each) == 1
    for number, path in enumerate(found.test.names):
        expected = np.array(wanted[os.path.basename(path)], np.float32).reshape(-1, 7)
        np.testing.assert_allclose(np.reshape(rows(found.test, number), (-1, 7)), expected, rtol=1e-6, atol=1e-3)
    assert "30 of 50 pictures are not there" in caplog.text and "272 annotations" in caplog.text


@pytest.mark.slow
def test_pets_with_a_box_are_divided_by_the_number_in_their_name(tmp_path):
    if not (SHARED / "pets3" / "unpack.py").is_file():
        pytest.skip("no ../shared/data/pets3")
    subprocess.run([sys.executable, SHARED / "pets3" / "unpack.py", tmp_path], check=True, capture_output=True)
    with folder.unchecked():
        found = load(tmp_path / "pets3")
    assert (found.classes, sizes(found)) == (("cat", "dog"), [175, 62, 59])
    with (SHARED / "pets3" / "boxes.csv").open() as file:
        known = {}
        for row in csv.DictReader(file):
            known.setdefault(row["name"], []).append(row)
    for part, fifths in zip(parts(found), ({2, 3, 4}, {1}, {0}), strict=True):
        for number, name in enumerate(named(part)):
            assert int(name.rsplit("_", 1)[1]) % 5 in fifths
            sides = [[int(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")] for row in known[name]]
            assert [row[:4] for row in rows(part, number)] == [[a - 1, b - 1, c, d] for a, b, c, d in sides]


# --- Pascal VOC and other XML


def test_voc_s_pixels_from_1_on_lists_and_difficult_objects(tmp_path):
    root = tmp_path / "VOC2007"
    names = [f"{number:06}" for number in range(10)]
    pictures(root / "JPEGImages", names)
    for name in names:
        xml(
            root / "Annotations" / f"{name}.xml", ("dog", 1, 1, 40, 24, "<difficult>1</difficult>"), ("car", 2, 3, 9, 8)
        )
    person = "<part><name>head</name><bndbox><xmin>3</xmin></bndbox></part>"  # a part of an object is none
    xml(root / "Annotations" / "000000.xml", ("person", 5, 5, 20.5, 20, person), size=(0, 0))
    for part, some in {"train": names[:6], "val": names[6:8], "test": names[8:], "dog_train": names}.items():
        (root / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets/Main" / f"{part}.txt").write_text("".join(f"{name} 1\n" for name in some))
    assert find_source(str(root)).truth == "boxes"
    found = load(root, truth=None)
    assert (found.classes, found.ids, sizes(found)) == (("car", "dog", "person"), (), [6, 2, 2])
    assert rows(found.train) == [[4, 4, 20.5, 20, 2, 0, 16.5 * 16]]
    assert rows(found.test, 1) == [[0, 0, 40, 24, 1, 2, 960], [1, 2, 9, 8, 0, 0, 48]]
    assert found.train.truth["frame"].tolist() == [[24, 40]] * 6
    assert found.test.fetch([1])["boxes"].shape == (1, 2, 7)
    (root / "ImageSets/Main/train.txt").write_text("nobody\n")
    with pytest.raises(InputError, match="nobody.jpg is not there, and .*train.txt names it"):
        load(root)


def test_pictures_of_voc_s_lists_have_any_ending(tmp_path):
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    for number in range(12):
        ending = (".JPG", ".jpeg", ".png", ".jpg")[number % 4]
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "JPEGImages" / f"{number}{ending}")
        xml(tmp_path / "Annotations" / f"{number}.xml", ("cat", 3, 3, 9, 9))
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("\n".join(map(str, range(8))))
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("\n".join(map(str, range(8, 12))))
    assert sum(sizes(load(tmp_path))) == 12


def test_pictures_with_xml_beside_them_in_folders_of_their_own_or_in_parts(tmp_path, caplog):
    one = beside(tmp_path / "beside")
    (one / "3.xml").unlink()
    assert sizes(load(one)) == [10, 1, 1]
    assert "1 pictures of" in caplog.text and "count as pictures without objects" in caplog.text
    two = tmp_path / "two"
    pictures(two / "images", range(8))
    for number in range(8):
        xml(two / "annotations" / f"{number}.xml", ("a", 2, 2, 9, 9))
    assert truth_of(two) == "boxes" and sizes(load(two)) == [6, 1, 1]
    three = tmp_path / "three"
    for part in ("train", "valid", "test"):
        beside(three / part, 3)
    assert truth_of(three) == "boxes" and sizes(load(three)) == [3, 3, 3]


def test_a_list_of_classes_gives_the_order_and_refuses_others(tmp_path):
    root = beside(tmp_path, n2=[("dog", 3, 5, 20, 18)])
    assert load(root).classes == ("cat", "dog")
    (root / "classes.txt").write_text("dog\nrat\ncat\n")
    found = load(root)
    assert found.classes == ("dog", "rat", "cat") and sorted(every(found)[:, 4].tolist()) == [0] + [2] * 11
    (root / "classes.txt").write_text("dog\nrat\n")
    with pytest.raises(InputError, match="unknown class in .*classes.txt 'cat'"):
        load(root)
    with pytest.raises(InputError, match="unknown class in .* 'dog'"):
        load(tmp_path, classes=("cat",)) if (root / "classes.txt").unlink() is None else None
    assert load(root, classes=("x", "dog", "cat")).classes == ("x", "dog", "cat")


BAD_XML = {
    "entities": ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "declares entities or a document type"),
    "a document type": (
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><annotation/>",
        "declares entities or a document type",
    ),
    "no xml": ("<annotation><object>", "is no XML"),
    "another": ("<svg/>", "has the element svg: expected annotation"),
    "no name": ("<annotation><object/></annotation>", "object 1: expected a name of its class"),
    "no box": (
        "<annotation><object><name>a</name></object></annotation>",
        "expected bndbox with xmin, ymin, xmax, ymax",
    ),
    "nan": (
        "<annotation><object><name>a</name><bndbox><xmin>nan</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
        "</object></annotation>",
        r"object 1 \(a\) has a box of something else than numbers",
    ),
    "a size": (
        "<annotation><size><width>7</width><height>9</height></size></annotation>",
        "is of a picture of 7 x 9 pixels, and .*0.png has 40 x 24",
    ),
}


@pytest.mark.parametrize("name", BAD_XML)
def test_damaged_and_hostile_xml_is_one_line(name, tmp_path):
    root = beside(tmp_path, 4)
    content, message = BAD_XML[name]
    (root / "0.xml").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        load(root)
    assert "\n" not in str(caught.value)


def test_xml_of_many_megabytes_is_not_read(tmp_path):
    root = beside(tmp_path, 4)
    with (root / "0.xml").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(InputError, match=r"0.xml has more than 16,777,216 bytes"):
        load(root)


# --- Boxes that are not as they should be


def test_boxes_without_area_turned_round_or_outside(tmp_path, caplog):
    bad = [("cat", 3, 3, 3, 9), ("cat", 20, 3, 10, 9), ("cat", 5, 5, 44, 9), ("cat", 5, 5, 42, 9), ("cat", 7, 7, 9, 9)]
    root = beside(tmp_path, 110, n7=bad)
    with pytest.raises(
        InputError, match=r"3 of 114 boxes are bad, more than 1% \(the first: .*7.xml, object 1 \(cat\)"
    ):
        load(root)
    with objects.collected() as problems:
        whole = load(root)
    assert [each.dropped for each in problems] == [True, True, True, False]
    whys = [str(each).split("): ")[1] for each in problems]
    assert whys[:2] == [
        "the box 3, 2, 3, 9 has no area",
        "the box 20, 2, 10, 9 is turned round: its ends come before its beginnings",
    ]
    assert whys[2] == "the box 4, 4, 44, 9 is outside of its picture of 40 x 24 pixels"
    assert whys[3] == "the box 4, 4, 42, 9 is 2 pixels outside of 40 x 24, clipped"
    assert len(every(whole)) == 111 and every(whole)[:, 2].max() == 40
    xml(root / "7.xml", *bad[3:], ("cat", 3, 3, 3, 9))
    assert len(every(load(root))) == 111
    said = caplog.text
    assert "1 dropped, 1 clipped of 112 boxes" in said and said.count("7.xml, object") == 2
    with objects.strictly(), pytest.raises(InputError, match="1 dropped, 1 clipped of 112 boxes"):
        load(root)
    with objects.strictly(False):
        load(root)


def test_one_bad_box_of_a_small_set_is_dropped_and_two_are_refused(tmp_path):
    root = beside(tmp_path, 10, n1=[("cat", 3, 3, 3, 9)])
    assert len(every(load(root))) == 9
    xml(root / "2.xml", ("cat", 3, 3, 3, 9))
    with pytest.raises(InputError, match="2 of 10 boxes are bad"):
        load(root)


def test_digits_of_a_file_are_no_boxes_outside(tmp_path, caplog):
    root = yolo(tmp_path, line="0 0.5 0.5 1.000001 1.000001\n")
    assert rows(load(root).test, 2)[0][:4] == [0, 0, 40, 24]
    assert "clipped" not in caplog.text


def test_more_objects_than_a_picture_can_have(tmp_path, monkeypatch):
    root = beside(tmp_path, 6, n1=[("cat", 3, 3, 9, 9)] * 8)
    monkeypatch.setattr(objects, "MOST", 7)
    with pytest.raises(InputError, match=r"1.xml has 8 objects of .*1.png: expected at most 7"):
        load(root)
    monkeypatch.setattr(objects, "MOST", 8)
    monkeypatch.setattr(objects, "_MOST_BYTES", 28 * 8 * 3)
    with pytest.raises(InputError, match="a picture has 8 boxes, and there are 6 pictures"):
        load(root)


def test_a_set_without_boxes_and_files_of_strangers(tmp_path):
    for number in range(6):
        xml(tmp_path / f"{number}.xml")
    pictures(tmp_path, range(6))
    with pytest.raises(InputError, match="its 6 pictures have no box"):
        load(tmp_path)
    xml(tmp_path / "1.xml", ("\u202ecat", 3, 3, 3, 9))
    with objects.collected() as problems, pytest.raises(InputError, match="no box"):
        load(tmp_path)
    assert "\\u202ecat" in str(problems[0]) and "\u202e" not in str(problems[0])


# --- COCO


def coco_file(path, count=12, things=None, **changes):
    """A file of pictures `0.png`, ... with a box each, without outlines."""
    things = [(number, 7, [4, 5, 10, 8]) for number in range(count)] if things is None else things
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 24, "width": 40} for n in range(count)],
        "annotations": [
            {"id": i, "image_id": n, "category_id": c, "bbox": box} for i, (n, c, box) in enumerate(things)
        ],
        "categories": [{"id": 90, "name": "dog"}, {"id": 7, "name": "cat"}],
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_coco_without_outlines_has_boxes(tmp_path):
    pictures(tmp_path / "images", range(12))
    coco_file(tmp_path / "annotations/instances_default.json", things=[(0, 90, [0, 0, 5, 5]), (1, 7, [1, 2, 3, 4])])
    assert coco.has_boxes_alone(tmp_path) and truth_of(tmp_path) == "boxes"
    found = load(tmp_path, truth=None)
    assert (found.classes, found.ids, sizes(found)) == (("cat", "dog"), (7, 90), [10, 1, 1])
    assert Counter(map(tuple, every(found)[:, :6].tolist())) == Counter([(0, 0, 5, 5, 1, 0), (1, 2, 4, 6, 0, 0)])
    outline = {"segmentation": [[0, 0, 5, 0, 5, 5]]}
    text = (tmp_path / "annotations/instances_default.json").read_text()
    content = json.loads(text)
    content["annotations"][1] |= outline
    (tmp_path / "annotations/instances_default.json").write_text(json.dumps(content, indent=1))
    assert truth_of(tmp_path) == "mask" and truth_of(tmp_path, truth="boxes") == "boxes"
    assert len(every(load(tmp_path))) == 2


BAD_COCO = {
    "a category without a name": (
        {"things": [(0, 3, [0, 0, 5, 5])]},
        "the category 3, which is not among the categories",
    ),
    "a picture that is none": ({"things": [(99, 7, [0, 0, 5, 5])]}, "the picture 99, which is not among the images"),
    "three numbers": ({"things": [(0, 7, [0, 0, 5])]}, r"annotations\[0\]: expected a box of four numbers"),
    "nan": (
        {"things": [(0, 7, [0, 0, float("nan"), 5])]},
        r"annotations\[0\] has a box of something else than numbers",
    ),
    "a text": ({"things": [(0, 7, [0, 0, True, 5])]}, r"annotations\[0\] has a box of something else than numbers"),
    "no categories": ({"categories": []}, "has 0 categories"),
    "a place elsewhere": (
        {"images": [{"id": 0, "file_name": "../x.png", "height": 2, "width": 2}]},
        "which is not within",
    ),
}


@pytest.mark.parametrize("name", BAD_COCO)
def test_damaged_coco_is_one_line(name, tmp_path):
    changes, message = BAD_COCO[name]
    pictures(tmp_path / "images", range(12))
    coco_file(tmp_path / "annotations/instances_default.json", **changes)
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_json_of_a_gigabyte_is_not_read(tmp_path):
    pictures(tmp_path, range(2))
    with (tmp_path / "_annotations.coco.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(InputError, match="has 1,073,741,824 bytes: expected at most 536,870,912"):
        boxed.load(tmp_path, (*SIZE, 3))


# --- YOLO


def yolo(root, names="names: [dog, cat]", line="0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.5 0.5\n"):
    for part, count in {"train": 6, "val": 3}.items():
        pictures(root / "images" / part, range(count))
        (root / "labels" / part).mkdir(parents=True, exist_ok=True)
        for number in range(1, count):
            (root / "labels" / part / f"{number}.txt").write_text("" if number == 1 else line)
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\n{names}\n")
    return root


def test_yolo_s_shares_and_pictures_without_objects(tmp_path):
    root = yolo(tmp_path)
    assert truth_of(root) == "boxes"
    found = load(root, truth=None)
    assert (found.classes, sizes(found)) == (("dog", "cat"), [5, 1, 3])
    assert rows(found.test, 0) == rows(found.test, 1) == []  # no file, and an empty one
    assert rows(found.test, 2) == [[15, 6, 25, 18, 0, 0, 120], [0, 0, 20, 12, 1, 0, 240]]


def turned_by_exif(path, orientation, box):
    """Writes a picture with a white rectangle, x1, y1, x2, y2 of the pixels that lie, which EXIF turns."""
    held = Image.Exif()
    held[0x0112] = orientation
    pixels = np.zeros((*SIZE, 3), np.uint8)
    x1, y1, x2, y2 = box
    pixels[y1:y2, x1:x2] = 255
    Image.fromarray(pixels).save(path, exif=held, quality=100, subsampling=0)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))  # Pillow's own turning
    rows, columns = np.nonzero(shown.max(-1) > 128)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], shown.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_pixels_that_lie_are_turned_as_exif_turns_the_picture(tmp_path, orientation):
    pictures(tmp_path / "images", range(12))
    lying = (8, 0, 24, 8)  # whole blocks of JPEG, which are exact
    (tmp_path / "images" / "0.png").unlink()
    upright, size = turned_by_exif(tmp_path / "images" / "0.jpg", orientation, lying)
    things = [(0, 7, [8, 0, 16, 8]), *((number, 7, [4, 5, 10, 8]) for number in range(1, 12))]
    images = [{"id": n, "file_name": f"{n}.{'png' if n else 'jpg'}", "height": 24, "width": 40} for n in range(12)]
    coco_file(tmp_path / "annotations" / "instances_train.json", things=things, images=images)
    found = load(tmp_path)
    split, place = next(
        (split, place)
        for split in (found.train, found.validation, found.test)
        for place, file in enumerate(split.contents.paths)
        if file.name == "0.jpg"
    )
    assert rows(split, place)[0][:4] == upright and split.truth["frame"][place].tolist() == list(size)
    shown = split.fetch([place])["image"][0]  # what a net sees, stretched to its size
    wide, high = SIZE[1] / size[1], SIZE[0] / size[0]
    x1, y1, x2, y2 = upright[0] * wide, upright[1] * high, upright[2] * wide, upright[3] * high
    middle = shown[round(y1) + 1 : round(y2) - 1, round(x1) + 1 : round(x2) - 1]
    assert middle.size and middle.min() > 200


def test_boxes_that_were_drawn_on_upright_pictures_stay(tmp_path, caplog):
    root = yolo(tmp_path)
    for number in range(4):
        path = root / "images" / "train" / f"{number}.png"
        turned_by_exif(path.with_suffix(".jpg"), 6, (4, 2, 12, 9))
        path.unlink()
    found = load(root)
    assert "EXIF turns 4 pictures" in caplog.text and "the boxes of 0 of them" in caplog.text
    place = next(place for place, file in enumerate(found.train.contents.paths) if file.name in ("2.jpg", "3.jpg"))
    height, width = SIZE[::-1]
    assert found.train.truth["frame"][place].tolist() == [height, width]
    assert rows(found.train, place)[0][:4] == [0.375 * width, 0.25 * height, 0.625 * width, 0.75 * height]
    hints = " ".join(look(root).hints())
    assert "4 pictures are turned" in hints and "turns them upright, and their boxes" in hints


def test_a_size_of_neither_way_is_refused(tmp_path):
    pictures(tmp_path / "images", range(12))
    turned_by_exif(tmp_path / "images" / "0.jpg", 6, (0, 0, 4, 4))
    images = [{"id": n, "file_name": f"{n}.{'png' if n else 'jpg'}", "height": 24, "width": 40} for n in range(12)]
    images[0]["width"] += 1
    coco_file(tmp_path / "annotations" / "instances_train.json", images=images)
    with pytest.raises(InputError, match="expected the same size"):
        load(tmp_path)


def test_coco_s_validation_alone_can_be_evaluated_and_not_learned(tmp_path):
    pictures(tmp_path / "val2017", range(12))
    coco_file(tmp_path / "annotations" / "instances_val2017.json")
    with pytest.raises(InputError, match="no pictures with boxes for training"):
        load(tmp_path)
    found = load(tmp_path, test_only=True)
    assert sizes(found) == [0, 0, 12] and len(every(found)) == 12
    assert load(tmp_path, test_only=True, classes=["dog", "cat"]).test.truth["boxes"][0, 0, 4] == 1  # a model's order


def test_polygons_of_yolo_have_boxes_around_them_where_they_are_asked_for(tmp_path):
    root = yolo(tmp_path, line="1 0.25 0.5 0.75 0.25 0.5 1\n")
    assert truth_of(root) == "mask"
    assert rows(load(root).test, 2) == [[10, 6, 30, 24, 1, 0, 360]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.5 0.5", "line 1 has the class 2: expected a number from 0 to 1"),
        ("-1 0.5 0.5 0.5 0.5", "line 1 has the class -1"),
        ("0 0.5 nan 0.5 0.5", "line 1 has a box of something else than numbers"),
        ("0 0.5 0.5 0.5", "line 1 has a polygon of 3 numbers"),
        ("0 0.5 0.5 0.5 0.5 0.9", "line 1 has a polygon of 5 numbers"),
    ],
)
def test_damaged_lines_of_yolo_are_named(line, message, tmp_path):
    with pytest.raises(InputError, match=message):
        load(yolo(tmp_path, line=line))


# --- Tables


def table(path, text, count=10):
    pictures(path.parent, range(count))
    path.write_text(text)
    return path


CORNERS = "".join(f"{number}.png,2,3,12,13,{'cat' if number % 2 else 'dog'}\n" for number in range(8))
SIZED = "".join(f"{number}.png,2,3,10,10,cat\n" for number in range(8))


def test_tables_of_corners_and_of_widths(tmp_path, caplog):
    one = table(
        tmp_path / "one" / "boxes.csv", f"image,xmin,ymin,xmax,ymax,class\n{CORNERS}0.png,0,0,40,24,cat\n9.png,,,,,\n"
    )
    assert truth_of(one) == truth_of(one.parent) == "boxes"
    found = load(one.parent, truth=None)
    assert (found.classes, sizes(found), len(every(found))) == (("cat", "dog"), [8, 1, 1], 9)
    assert sorted(every(found)[:, :4].tolist())[0] == [0, 0, 40, 24] and len({*named(found.train)}) == 8
    assert "1 pictures have no row: they count as without objects" in caplog.text  # 8.png; 9.png has an empty box
    two = table(tmp_path / "two" / "b.csv", f"file,x,y,w,h,label\n{SIZED}")
    assert every(load(two))[0].tolist() == [2, 3, 12, 13, 0, 0, 100]
    other = f"picture,x1,y1,x2,y2,kind\n{CORNERS}"
    three = table(tmp_path / "three" / "b.csv", other)
    assert load(three, columns={"file": "picture", "label": "kind"}).classes == ("cat", "dog")
    with pytest.raises(InputError, match="expected the columns file, label and x1"):
        load(three)


def test_a_table_s_column_split_says_the_parts(tmp_path, caplog):
    lines = "".join(
        f"{n}.png,2,3,12,13,a,{'train' if n < 5 else 'val' if n < 7 else 'test'},{n % 2}\n" for n in range(9)
    )
    path = table(tmp_path / "b.csv", f"file,x1,y1,x2,y2,label,split,difficult\n{lines}")
    found = load(path)
    assert sizes(found) == [5, 2, 2] and rows(found.test) == [[2, 3, 12, 13, 0, 2, 100]]
    assert "1 pictures beside its own (9.png, ...) have no row and so no split" in caplog.text
    path.write_text(path.read_text() + "0.png,2,3,12,13,a,test,0\n")
    with pytest.raises(InputError, match="line 11: 0.png is in train and in test"):
        load(path)
    assert sizes(
        load(table(tmp_path / "t" / "b.csv", "file,x1,y1,x2,y2,label,split\n0.png,2,3,12,13,a,test\n"), test_only=True)
    ) == [0, 0, 1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.png,2,3,12,x,a", "line 10 has a box of something else than numbers"),
        ("0.png,2,3,12,,a", "line 10: expected a class and four sides"),
        ("0.png,2,3,12,13,", "line 10: expected a class and four sides"),
        ("77.png,2,3,12,13,a", "1 of 9 files are not there"),
    ],
)
def test_damaged_rows_are_named(row, message, tmp_path):
    path = table(tmp_path / "b.csv", f"file,x1,y1,x2,y2,label\n{CORNERS}{row}\n")
    with pytest.raises(InputError, match=message):
        load(path)


def test_boxes_of_a_data_frame(tmp_path):
    class Frame:  # what of pandas is used
        columns = ("file", "x1", "y1", "x2", "y2", "label")
        own = [(f"{n}.png", 1, 2, 8.5, 9, "cat") for n in range(8)]

        def __getitem__(self, name):
            values = [row[self.columns.index(name)] for row in self.own]
            return type("Column", (), {"tolist": lambda _: values})()

        def __len__(self):
            return len(self.own)

        def to_dict(self):
            raise NotImplementedError

    pictures(tmp_path, range(8))
    found = load(Frame(), data_dir=tmp_path)
    assert every(found)[0].tolist() == [1, 2, 8.5, 9, 0, 0, 52.5]


# --- Scenes of digits


@pytest.mark.slow
def test_scenes_of_digits_have_a_box_for_each_digit_by_construction():
    found = keras_resnet.load_dataset("digits-scenes")
    assert (found.truth, found.classes, sizes(found)) == ("boxes", tuple("0123456789"), [1000, 200, 200])
    again = digit_scenes.load()
    for part, other in zip(parts(found), parts(again), strict=True):
        np.testing.assert_array_equal(part.images, other.images)
        boxes = part.truth["boxes"]
        there = boxes[..., 4] >= 0
        assert set(np.unique(boxes[~there])) == {-1} and np.bincount(boxes[there][:, 4].astype(int)).min() > 20
        assert 0.02 < (~there.any(axis=1)).mean() < 0.12 and part.truth["frame"].tolist() == [[96, 96]] * len(part)
        edges, lighter = [], []
        for image, own in zip(part.images[:100], boxes[:100], strict=True):
            light = np.pad(image.max(axis=-1).astype(float), 2)
            for x1, y1, x2, y2 in own[own[:, 4] >= 0][:, :4].astype(int) + 2:
                assert 14 <= y2 - y1 <= 40
                inside, around = light[y1:y2, x1:x2], light[y1 - 2 : y2 + 2, x1 - 2 : x2 + 2]
                lighter.append(inside.mean() > around.mean())
                lines = ((inside[0], around[1]), (inside[-1], around[-2]), (inside.T[0], around.T[1]))
                edges.append([within.max() - beyond.max() for within, beyond in lines])
        assert np.mean(lighter) > 0.98 and np.mean(edges, axis=0).min() > 30  # ink up to the edges, and none beyond


def test_boxes_move_to_the_pixels_of_an_input(tmp_path):
    root = beside(tmp_path, 8, n0=[("cat", 1, 1, 20, 12)])
    padded = keras_resnet.load_dataset(root, image_shape=(40, 40, 3), keep="pad", truth="boxes")
    stretched = keras_resnet.load_dataset(root, image_shape=(48, 40, 3), keep="stretch", truth="boxes")
    for dataset, expected in ((padded, [2, 4, 20, 18]), (stretched, [2, 8, 20, 36])):
        place = next(n for n, name in enumerate(named(dataset.train)) if name != "0")
        np.testing.assert_allclose(dataset.train.fetch([place])["boxes"][0, 0, :4], expected, atol=1e-4)


def test_objects_that_become_smaller_than_a_pixel_count_all_the_same(tmp_path):
    lines = "".join(f"{n}.png,cat,4,5,6,7\n{n}.png,cat,10,5,30,20\n" for n in range(10))
    path = table(tmp_path / "boxes.csv", f"file,label,x1,y1,x2,y2\n{lines}")
    dataset = boxed.load_table(path, (8, 8, 3), "stretch")
    assert (dataset.test.fetch([0])["boxes"][0, :, 2] > 0).sum() == 2


def test_rows_of_boxes_are_in_the_table_of_sources():
    found = [name for name, row in SOURCES.items() if row.truth == "boxes"]
    assert found[:2] == ["digits-scenes", "a folder of pictures and boxes"]


def test_prepare_refuses_boxes(tmp_path, capsys):
    assert cli.main(["prepare", "--data", "digits-scenes", "-o", str(tmp_path / "x")]) == 2
    assert "digits-scenes has image and boxes: prepare writes image and label" in capsys.readouterr().err


# --- tensorflow-datasets


@pytest.mark.slow
def test_sets_of_tensorflow_datasets_with_objects(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed: extra 'datasets'")

    class Cells(tfds.core.GeneratorBasedBuilder):
        pkg_dir_path = tmp_path  # a test is no package
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("boxes", "none")]

        def _info(self):
            features = {"image": tfds.features.Image(shape=(None, None, 3)), "file_name": tfds.features.Text()}
            if self.builder_config.name == "boxes":
                features["objects"] = tfds.features.Sequence(
                    {
                        "bbox": tfds.features.BBoxFeature(),
                        "label": tfds.features.ClassLabel(names=["red", "white"]),
                        "is_crowd": np.bool_,
                        "area": np.int64,
                    }
                )
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(12), "test": self._generate_examples(3)}

        def _generate_examples(self, count):
            for number in range(count):
                image = np.full((*SIZE, 3), number, np.uint8)
                box = tfds.features.BBox(ymin=0.25, xmin=0.1, ymax=0.75, xmax=0.5)
                thing = {"bbox": box, "label": number % 2, "is_crowd": number == 1, "area": 99}
                things = {"objects": [thing] * (number % 3)} if self.builder_config.name == "boxes" else {}
                yield number, {"image": image, "file_name": str(number), **things}

    name = f"tfds-boxes:cells/boxes:{tmp_path}"
    assert truth_of("tfds-boxes:cells/boxes") == "boxes"
    found = load(name, truth=None)
    assert (found.name, found.classes, sizes(found)) == ("tfds-boxes:cells/boxes", ("red", "white"), [11, 1, 3])
    assert len(every(found)) == 12 + 3
    by_value = {int(found.test.fetch([n])["image"][0, 0, 0, 0]): rows(found.test, n) for n in range(3)}
    assert by_value == {0: [], 1: [[4, 6, 20, 18, 1, 1, 99]], 2: [[4, 6, 20, 18, 0, 0, 99]] * 2}
    assert load(name, classes=("white", "x", "red")).classes == ("white", "x", "red")
    with pytest.raises(InputError, match="cells/none: expected the features image and objects with bbox and label"):
        load(f"tfds-boxes:cells/none:{tmp_path}")
