"""Polygons and run lengths: COCO's and YOLO's files, drawn to the pixel, and strangers' files refused by name."""

import json
import math

import numpy as np
import pytest
from bands import SIZE, load, named, picture, sizes

from keras_resnet import InputError, cli
from keras_resnet.data import masked, outlines
from keras_resnet.data.outlines import Scene, Shape, corners, filled, filled_runs, run_lengths
from keras_resnet.data.sources import find_source

# Drawn and compressed by pycocotools 2.0.11, in pictures of 6 x 8 pixels.
DRAWN = [
    (
        [1, 1, 6, 1, 6, 4, 1, 4],
        "7330000000;",
        ("........", ".#####..", ".#####..", ".#####..", "........", "........"),
    ),
    (
        [0.3, 0.2, 7.6, 2.4, 3.1, 5.9],
        "7152N2NO2N1O5",
        ("........", ".####...", "..#####.", "..####..", "...##...", "...#...."),
    ),
    (
        [2, 0, 7.5, 3, 0.5, 3.2, 6, 5.8, 4, 0.4],
        "9150M0010OO12ON11O7",
        ("...#....", "....#...", ".....##.", ".####...", "...###..", ".....#.."),
    ),
]


@pytest.mark.parametrize(("numbers", "text", "rows"), DRAWN)
def test_pixels_are_those_of_coco(numbers, text, rows):
    expected = np.array([[character == "#" for character in row] for row in rows])
    np.testing.assert_array_equal(filled(corners(numbers, "x"), 6, 8), expected)
    runs = run_lengths({"size": [6, 8], "counts": text}, (6, 8), "x")
    np.testing.assert_array_equal(filled_runs(runs, 6, 8), expected)


def test_run_lengths_go_down_the_columns_and_begin_outside():
    # The example of COCO's own page: [0 0 1 1 1 0 1] has the counts [2 3 1 1], and [1 1 1 1 1 1 0] has [0 6 1].
    for counts, pixels in (([2, 3, 1, 1], [0, 0, 1, 1, 1, 0, 1]), ([0, 6, 1], [1, 1, 1, 1, 1, 1, 0])):
        runs = run_lengths({"size": [7, 1], "counts": counts}, (7, 1), "x")
        assert filled_runs(runs, 7, 1)[:, 0].astype(int).tolist() == pixels
    block = np.zeros((40, 50), bool)
    block[3:37, 5:45], block[10, 10] = True, False
    counts = np.diff(np.flatnonzero(np.diff(np.r_[0, block.T.ravel(), 2])), prepend=0).tolist()
    runs = run_lengths({"size": [40, 50], "counts": counts}, (40, 50), "x")
    np.testing.assert_array_equal(filled_runs(runs, 40, 50), block)


def box(left, top, right, bottom):
    """A rectangle as a polygon."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)


def test_the_smaller_thing_is_seen_and_crowds_lie_below():
    large, small = Shape(1, 36, (box(0, 0, 6, 6),)), Shape(2, 4, (box(2, 2, 4, 4),))
    crowd = Shape(255, 1, (box(0, 0, 8, 1),))
    for shapes in ((large, small, crowd), (crowd, small, large)):
        drawn = Scene("x", shapes, (6, 8)).draw()
        assert drawn[0].tolist() == [1, 1, 1, 1, 1, 1, 255, 255] and drawn[3].tolist() == [1, 1, 2, 2, 1, 1, 0, 0]
    later = Scene("x", (Shape(1, 4, (box(0, 0, 2, 2),)), Shape(2, 4, (box(1, 0, 3, 2),))), (6, 8)).draw()
    assert later[0].tolist() == [1, 2, 2, 0, 0, 0, 0, 0]
    parts = Scene("x", (Shape(3, 2, (box(0, 0, 1, 1), box(7, 5, 8, 6))),), (6, 8)).draw()
    assert parts[0, 0] == parts[5, 7] == 3 and (parts != 0).sum() == 2


def _whole(polygon, height, width):
    """pycocotools' `rleFrPoly`, loop by loop, with one run length after the other over all of the picture."""
    scaled, u, v = [(int(5 * x + 0.5), int(5 * y + 0.5)) for x, y in polygon.tolist()], [], []
    for (xs, ys), (xe, ye) in zip(scaled, [*scaled[1:], scaled[0]], strict=True):
        dx, dy = abs(xe - xs), abs(ys - ye)
        flip = (dx >= dy and xs > xe) or (dx < dy and ys > ye)
        if flip:
            xs, xe, ys, ye = xe, xs, ye, ys
        slope = ((ye - ys) / dx if dx >= dy else (xe - xs) / dy) if dx or dy else 0.0
        for d in range(max(dx, dy) + 1):
            t = max(dx, dy) - d if flip else d
            u.append(t + xs if dx >= dy else int(xs + slope * t + 0.5))
            v.append(int(ys + slope * t + 0.5) if dx >= dy else t + ys)
    turns = np.zeros(height * width + 1, int)
    for j in range(1, len(u)):
        if u[j] != u[j - 1]:
            x = ((u[j] if u[j] < u[j - 1] else u[j] - 1) + 0.5) / 5 - 0.5
            if math.floor(x) == x and 0 <= x <= width - 1:
                y = (min(v[j], v[j - 1]) + 0.5) / 5 - 0.5
                turns[int(x) * height + math.ceil(min(max(y, 0), height))] += 1
    return (np.cumsum(turns[:-1]) % 2 == 1).reshape(width, height).T


def test_a_polygon_is_drawn_in_its_own_columns_as_in_the_whole_picture():
    """Corners up to a pixel outside, polygons beside the picture and smaller than a pixel among them.

    Half of them have decimals that are half way between two places, which a corner that was moved rounds otherwise.
    """
    rng = np.random.default_rng(5)
    for number in range(300):
        height, width = (int(each) for each in rng.integers(1, 40, 2))
        polygon = rng.uniform(-1, (width + 1, height + 1), (rng.integers(3, 12), 2))
        if number % 3 == 1:
            polygon = np.round(polygon)
        elif number % 3 == 2:
            polygon = np.clip(polygon[0] + rng.normal(0, 2, polygon.shape), -1, (width + 1, height + 1))
        for corners_ in (polygon, np.round(polygon, 1)):
            drawn = Scene("x", (Shape(1, 1, (corners_,)),), (height, width)).draw()
            np.testing.assert_array_equal(drawn, _whole(corners_, height, width))
            np.testing.assert_array_equal(filled(corners_, height, width), drawn)
    for left in (-1.0, 8.5):
        polygon = box(left, 0, left + 0.5, 6)
        drawn = Scene("x", (Shape(1, 1, (polygon,)),), (6, 8)).draw()
        np.testing.assert_array_equal(drawn, _whole(polygon, 6, 8))


# ---- COCO


def coco(first=0, count=12, **changes):
    """The content of a file: two categories that do not begin at 1, a crowd, polygons and run lengths."""
    height, width = SIZE
    images = [
        {"id": first + n, "file_name": f"{first + n:012}.jpg", "height": height, "width": width, "license": 1}
        for n in range(count)
    ]
    runs = [0, 2 * height, height * (width - 2)]
    notes = [
        note
        for n in range(first, first + count)
        for note in (
            {"image_id": n, "category_id": 18, "segmentation": [box(4, 0, 12, 12).ravel().tolist()], "iscrowd": 0},
            {"image_id": n, "category_id": 90, "segmentation": [box(8, 0, 12, 12).ravel().tolist()], "iscrowd": 0},
            {"image_id": n, "category_id": 90, "segmentation": {"size": [height, width], "counts": runs}, "iscrowd": 1},
        )
    ]
    categories = [{"id": 90, "name": "toothbrush"}, {"id": 18, "name": "dog", "supercategory": "animal"}]
    return {"info": {}, "images": images, "annotations": notes, "categories": categories, **changes}


def write_coco(root, train=None, val=None):
    """annotations/instances_train2017.json and train2017, the same for val2017; captions beside."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for name, content in (("train2017", train or coco()), ("val2017", val or coco(100, 4))):
        (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))
        for image in content["images"] if isinstance(content.get("images"), list) else ():
            if isinstance(image, dict) and str(image.get("file_name", "")).startswith("0000"):
                picture(root / name / image["file_name"])
    (root / "annotations" / "captions_train2017.json").write_text("[]")
    return root


def row_of(split):
    """The lowest row of a mask."""
    return split.maps["mask"].read(0)[-1].tolist()


EXPECTED = [255] * 2 + [0] * 2 + [1] * 4 + [2] * 4 + [0] * 12


def test_coco_as_published_and_as_exported(tmp_path):
    root = write_coco(tmp_path / "coco")
    assert find_source(str(root)).truth == "mask"
    found = load(root)
    assert found.classes == ("background", "dog", "toothbrush") and sizes(found) == [11, 1, 4]
    assert row_of(found.test) == EXPECTED and named(found.test)[0] == f"{100:012}"
    np.testing.assert_array_equal(found.test.fetch([0])["mask"][0, -1], EXPECTED)
    both = found.train.take(np.array([2])).joined(found.test.take(np.array([1])))
    assert both.maps["mask"].read(1)[-1].tolist() == EXPECTED
    roboflow = tmp_path / "roboflow"
    for part, first in (("train", 0), ("valid", 100), ("test", 200)):
        content = coco(first, 3)
        for image in content["images"]:
            picture(roboflow / part / image["file_name"])
        (roboflow / part / "_annotations.coco.json").write_text(json.dumps(content))
    assert sizes(load(roboflow)) == [3, 3, 3] and row_of(load(roboflow).validation) == EXPECTED
    cvat = tmp_path / "cvat"
    (cvat / "annotations").mkdir(parents=True)
    content = coco(0, 12, categories=[{"id": 18, "name": "background"}, {"id": 90, "name": "brush"}])
    (cvat / "annotations" / "instances_default.json").write_text(json.dumps(content))
    for image in content["images"]:
        picture(cvat / "images" / image["file_name"])
    assert load(cvat).classes == ("background", "brush") and sizes(load(cvat)) == [10, 1, 1]
    assert row_of(load(cvat).train) == [255] * 2 + [0] * 6 + [1] * 4 + [0] * 12
    three = load(root, void=[1])
    assert three.classes == ("background", "toothbrush") and row_of(three.test)[4:9] == [255] * 4 + [1]


def spoiled(key, place, **values):
    """A file with other values in one entry."""
    content = coco()
    content[key][place] = {**content[key][place], **values}
    return content


MANY = [float(n % 7) for n in range(2 * outlines.MOST_POINTS + 2)]
RUNS = {"size": list(SIZE), "counts": [0, 288]}
COCO_FAULTS = {
    "annotations[3] is of the picture 999, which is not among": spoiled("annotations", 3, image_id=999),
    "annotations[3] has the category 1, which is not among": spoiled("annotations", 3, category_id=1),
    "annotations[3]: expected image_id to be a whole number from 0, received '1'": spoiled(
        "annotations", 3, image_id="1"
    ),
    "images[1]: expected id to be a whole number from 0, received True": spoiled("images", 1, id=True),
    "images[1]: the id 0 is there twice": spoiled("images", 1, id=0),
    "images[1] names .*none.jpg, which is not there": spoiled("images", 1, file_name="none.jpg"),
    "images[1] names ../../etc/passwd, which is not within": spoiled("images", 1, file_name="../../etc/passwd"),
    r"names .*\\x1b\[31m, which is not there": spoiled("images", 1, file_name="\x1b[31m"),
    "instances_train2017.json is 20 x 12 pixels, its picture": {
        **spoiled("images", 1, width=20),
        "annotations": coco()["annotations"][:3],
    },
    "images[1]: expected height to be a whole number": spoiled("images", 1, height=10**30),
    "annotations[0] has a polygon of 4 numbers: expected x and y of three": spoiled(
        "annotations", 0, segmentation=[[0, 0, 3, 3]]
    ),
    "has a polygon with the corner 24, 40, outside of": spoiled("annotations", 0, segmentation=[[0, 0, 9, 0, 24, 40]]),
    "annotations[0] has a polygon with something else than numbers": spoiled(
        "annotations", 0, segmentation=[[0, 0, 3, 3, None, 1]]
    ),
    "annotations[0]: expected a polygon of at most 100,000 corners": spoiled("annotations", 0, segmentation=[MANY]),
    "annotations[0] has no outline: expected polygons or run lengths": spoiled("annotations", 0, segmentation=[]),
    "annotations[0] has run lengths of something else than 288 pixels": spoiled(
        "annotations", 0, segmentation={**RUNS, "counts": [0, 10**18]}
    ),
    "annotations[0] has 1,000 run lengths, more than the picture has": spoiled(
        "annotations", 0, segmentation={**RUNS, "counts": [1] * 1000}
    ),
    "annotations[0] has run lengths that cannot be decompressed": spoiled(
        "annotations", 0, segmentation={**RUNS, "counts": "o" * 100}
    ),
    "annotations[0] has run lengths that end within a number": spoiled(
        "annotations", 0, segmentation={**RUNS, "counts": "0P"}
    ),
    r"expected run lengths with counts, and the size \[12, 24\]": spoiled(
        "annotations", 0, segmentation={"size": [10**9, 10**9], "counts": [10**18]}
    ),
    "annotations[0]: expected iscrowd to be 0 or 1, received 'yes'": spoiled("annotations", 0, iscrowd="yes"),
    "categories[0]: expected name to be a text": spoiled("categories", 0, name=None),
    "has 302 categories: expected 1 to 254": coco(
        categories=[*coco()["categories"], *({"id": 1000 + n, "name": f"c{n}"} for n in range(300))]
    ),
    "instances_val2017.json, categories[0]: 90 is toothbrush, and was comb": spoiled("categories", 0, name="comb"),
    "expected a list of objects called annotations": coco(annotations=[1]),
    "all pictures have background alone, and void": coco(annotations=[]),
}


def escaped(text):
    """A pattern of a text whose brackets are brackets."""
    return text if "\\" in text else text.replace("[", r"\[").replace("]", r"\]")


@pytest.mark.parametrize("message", COCO_FAULTS)
def test_a_file_of_coco_that_cannot_be_right_is_named(message, tmp_path):
    content = COCO_FAULTS[message]
    write_coco(tmp_path, content, coco(100, 4, **({} if content["annotations"] else {"annotations": []})))
    with pytest.raises(InputError, match=escaped(message)):
        masked.load(tmp_path, (*SIZE, 3))


@pytest.mark.parametrize(("count", "pixels"), [(4000, 16_000_000), (999, 3_992_000), (212, 848_000)])
def test_a_long_outline_is_refused_before_it_is_drawn(tmp_path, count, pixels):
    """One that goes to and fro across its picture, of however few corners."""
    there_and_back = np.tile([[0.0, 0.0], [4000.0, 0.0]], (2000, 1))
    picture(tmp_path / "a.png", (8, 4000))
    scene = Scene("file.json", (Shape(1, 1, (there_and_back[:count],)),))
    with pytest.raises(
        InputError, match=f"file.json has a polygon of {count:,} corners that is {pixels:,} pixels long"
    ):
        outlines.sized([(tmp_path / "a.png", scene)])
    allowed = Scene("file.json", (Shape(1, 1, (there_and_back[:208],)),))  # 832,000 pixels
    assert outlines.sized([(tmp_path / "a.png", allowed)])[0][1].size == (8, 4000)


# ---- YOLO


def yolo(root, names="names: [dog, brush]", parts=("train", "val"), line="0 0.25 0 0.5 0 0.5 1 0.25 1\n", **keys):
    """dataset.yaml with images and labels, a picture without a file of labels among them."""
    for part in parts:
        for number in range(6):
            picture(root / "images" / part / f"{part}{number}.jpg")
            if number < 5:
                path = root / "labels" / part / f"{part}{number}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(line + "1 0.3333334 0 0.5 0 0.5 1 0.3333334 1\n\n")
    places = {**{part: f"images/{part}" for part in parts}, "path": "../datasets/mine", **keys}
    text = "".join(f"{key}: {value}\n" for key, value in places.items()) + "nc: 2\n" + names + "\n"
    (root / "data.yaml").write_text(text)
    return root


def test_yolo_as_its_programs_write_it(tmp_path):
    found = load(yolo(tmp_path / "mine"))
    assert found.classes == ("background", "dog", "brush") and sizes(found) == [5, 1, 6]
    assert row_of(found.test) == [0] * 6 + [1] * 2 + [2] * 4 + [0] * 12  # of 24 pixels: 0.25 is 6, a third 8
    assert not found.test.maps["mask"].read(5).any()
    by_number = load(yolo(tmp_path / "numbers", "names:\n  0: dog\n  1: 'brush'"))
    assert by_number.classes == found.classes
    root = tmp_path / "roboflow"
    for part in ("train", "valid"):
        picture(root / part / "images" / "a.jpg")
        picture(root / part / "images" / "b.jpg")
        picture(root / part / "images" / "c.jpg")
        (root / part / "labels").mkdir()
        (root / part / "labels" / "a.txt").write_text("0 0 0 0.5 0 0.5 1\n")
    (root / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnames: ['dog']\n")
    assert sizes(load(root)) == [2, 1, 3]
    (root / "list.txt").write_text("./train/images/a.jpg\n./train/images/b.jpg\n")
    (root / "data.yaml").write_text("train: [list.txt, train/images/../../valid/images]\nnames: ['dog']\n")
    assert sum(sizes(load(root))) == 5


YOLO_FAULTS = {
    "train0.txt, line 1 has the class 2: expected a number from 0 to 1": {"line": "2 0 0 1 0 1 1\n"},
    "line 1 has the class one: expected a number": {"line": "one 0 0 1 0 1 1\n"},
    "line 1 has the class -1: expected a number": {"line": "-1 0 0 1 0 1 1\n"},
    "line 1 has a box: expected a polygon": {"line": "0 0.5 0.5 1 1\n"},
    "line 1 has a polygon of 5 numbers": {"line": "0 0 0 1 0 1\n"},
    "line 1: expected numbers behind the class": {"line": "0 0 0 1 0 1 x\n"},
    "line 1 has a polygon with something else than numbers": {"line": "0 0 0 1 0 1 nan\n"},
    "train0.txt has a polygon with the corner 1.5, 0, outside of": {"line": "0 0 0 1.5 0 1 1\n"},
    "expected a polygon of at most 100,000 corners": {"line": "0 " + "0.5 " * 2_000_000 + "\n"},
    "data.yaml names ../../etc, which is not within": {"train": "../../etc"},
    "data.yaml names /etc, which is not within": {"train": "/etc"},
    "data.yaml names images/none: there is no such folder": {"train": "images/none"},
    "data.yaml: expected train, val and test to be folders": {"train": "{a: 1}"},
    "data.yaml: expected names to be a list of texts": {"names": "names: 3"},
    "data.yaml has the class dog twice": {"names": "names: [dog, dog]"},
    "data.yaml has the class background twice; what nothing covers is background": {"names": "names: [background]"},
    "data.yaml has 300 names: expected 1 to 254": {"names": f"names: {list(range(300))}"},
    "data.yaml is no YAML: aliases are not read": {"names": "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]"},
    "data.yaml is no YAML": {"names": "names: !!python/object/apply:os.system ['true']"},
    "data.yaml is no YAML: maximum recursion": {"names": "names: " + "[" * 5000},
    "data.yaml has more than 262,144 bytes": {"names": "#" * 300_000},
    "data.yaml: expected train to name a folder": {"train": ""},
}


@pytest.mark.parametrize("message", YOLO_FAULTS)
def test_files_of_yolo_that_cannot_be_right_are_named(message, tmp_path):
    yolo(tmp_path, **YOLO_FAULTS[message])
    with pytest.raises(InputError, match=message):
        masked.load(tmp_path, (*SIZE, 3))


@pytest.mark.parametrize("write", [write_coco, yolo])
def test_a_look_shows_a_damaged_picture_and_goes_on(write, tmp_path, capsys):
    damaged = sorted(write(tmp_path).rglob("*.jpg"))[2]
    damaged.write_bytes(b"no picture")
    assert cli.main(["data", str(tmp_path), "--json", str(tmp_path / "look.json")]) == 0
    assert damaged.name in (tmp_path / "look.json").read_text()
    assert len(load(tmp_path).unreadable) == 1


def test_labels_without_a_picture_are_named_and_a_command_says_it_in_a_line(tmp_path, capsys):
    root = yolo(tmp_path)
    (root / "images" / "train" / "train3.jpg").unlink()
    with pytest.raises(InputError, match=r"train3.txt has no picture \(1 in .*labels/train have none\)"):
        masked.load(root, (*SIZE, 3))
    assert cli.main(["data", str(root)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "train3.txt has no picture" in said
