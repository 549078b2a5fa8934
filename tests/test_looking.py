"""A look at data: what is there, what cannot be read, what is there twice, and its page."""

import io
import itertools
import json
import random

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

from keras_resnet import InputError, cli, console
from keras_resnet.looking import duplicates
from keras_resnet.looking.facts import THUMB, Facts
from keras_resnet.looking.findings import look

CHINA, FLOWER = (Image.fromarray(pixels) for pixels in load_sample_images().images)


def photos(count, seed=0):
    """Parts of two photographs, none of them a neighbour of another."""
    places = [(x, y) for x in range(0, 520, 104) for y in range(0, 318, 106)]
    found = [whole.crop((x, y, x + 104, y + 106)) for x, y in places for whole in (CHINA, FLOWER)]
    random.Random(seed).shuffle(found)
    return found[:count]


def save(image, path, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **how)


@pytest.fixture(scope="module")
def mess(tmp_path_factory):
    """Photos with all that can be wrong with them."""
    root = tmp_path_factory.mktemp("data") / "mess"
    pictures = photos(24)
    for number, image in enumerate(pictures):
        part, name = ("train", "test")[number > 19], ("cat", "dog")[number % 4 == 0]
        save(image, root / part / name / f"{number:02}.png")
    save(pictures[20].resize((60, 61)), root / "train" / "cat" / "small.jpg", quality=60)
    save(ImageEnhance.Brightness(pictures[1]).enhance(1.15), root / "train" / "dog" / "brighter.jpg", quality=85)
    (root / "train" / "cat" / "copy.png").write_bytes((root / "train" / "cat" / "02.png").read_bytes())
    (root / "train" / "cat" / "empty.jpg").write_bytes(b"")
    (root / "train" / "cat" / "text.jpg").write_text("no picture")
    whole = io.BytesIO()
    CHINA.save(whole, "JPEG")
    cut_off = root / "train" / "dog" / "<script>alert(1)<%script>\x1b[31m.jpg"
    cut_off.write_bytes(whole.getvalue()[:9000])
    (root / "train" / "cat" / "._02.png").write_bytes(b"macOS")
    (root / "train" / "notes" / "none").mkdir(parents=True)
    (root / "train" / "cat" / "notes.txt").write_text("mine")
    exif = Image.Exif()
    exif[0x0112] = 6
    odd = root / "train" / "odd<b>"
    save(FLOWER.resize((64, 48)), odd / "turned.jpg", exif=exif)
    save(CHINA.resize((90, 70)).convert("CMYK"), odd / "print.jpg")
    save(FLOWER.resize((80, 70)), odd / "named.png", format="JPEG")
    save(Image.new("RGB", (20, 400), "green"), odd / "long.bmp")
    save(CHINA.resize((99, 66)).convert("RGBA"), odd / "glass.png")
    frames = [CHINA.crop((n, 0, n + 200, 200)) for n in (300, 400)]
    frames[0].save(odd / "moves.gif", save_all=True, append_images=frames[1:])
    return root


def test_everything_odd_is_named(mess):
    found = look(mess).to_json()
    assert found["parts"] == {"train": 32, "test": 4}
    assert found["classes"] == {
        "cat": {"train": 19, "test": 3},
        "dog": {"train": 7, "test": 1},
        "odd<b>": {"train": 6, "test": 0},
    }
    assert {name.split("/")[-1]: why for name, why in found["unreadable"].items()} == {
        "empty.jpg": "it is empty",
        "text.jpg": "it is no picture of a known format",
        "<script>alert(1)<%script>\x1b[31m.jpg": found["unreadable"]["train/dog/<script>alert(1)<%script>\x1b[31m.jpg"],
    }
    assert "truncated" in next(why for name, why in found["unreadable"].items() if "script" in name)
    assert {what: [name.split("/")[-1] for name in names] for what, names in found["odd"].items()} == {
        "smaller than 32 pixels": ["long.bmp"],
        "longer than 4 to 1": ["long.bmp"],
        "of one colour": ["long.bmp"],
        "in colours for printing (CMYK)": ["print.jpg"],
        "transparent": ["glass.png"],
        "animated, or of several pages": ["moves.gif"],
        "JPEG by its content, .png by its name": ["named.png"],
        "turned by EXIF": ["turned.jpg"],
    }
    assert found["no_pictures"] == [str(mess / "train" / "cat" / "notes.txt")]
    assert found["empty_folders"] == ["train/notes"]
    assert found["sizes"]["longer to shorter side"][2] == 20.0
    assert found["sizes"]["width"][0] == 20 and found["sizes"]["height"][2] == 400
    assert found["formats"] == {"PNG": 26, "JPEG": 5, "BMP": 1, "GIF": 1}


def test_duplicates_within_and_across_parts_are_found_and_nothing_else(mess):
    found = look(mess).to_json()
    assert found["exact_duplicates"] == [["train/cat/02.png", "train/cat/copy.png"]]
    near = {frozenset(name.split("/")[-1] for name in group) for group in found["near_duplicates"]}
    small = {"20.png", "small.jpg"}
    assert near == {
        frozenset({"02.png", "copy.png"}),
        frozenset({"01.png", "brighter.jpg"}),
        frozenset(small),
        frozenset({"print.jpg", "glass.png"}),
    }  # turned.jpg and named.png are the same photo, but one lies on its side
    assert [{name.split("/")[-1] for name in group} for group in found["near_duplicates_across_parts"]] == [small]
    assert [len(group) for group in found["near_duplicates_of_different_classes"]] == [2, 2]


def facts_with(hashes, thumb=b"\0\xff" * (THUMB * THUMB // 2)):
    return [Facts(phash=int(each), thumb=thumb) for each in hashes]


def test_pairs_are_those_of_a_comparison_with_all():
    """Buckets leave no pair out that differs in up to five bits, and add none."""
    rng = random.Random(1)
    hashes = [rng.getrandbits(64) for _ in range(60)]
    for base, bits in itertools.product(hashes[:12], (1, 3, 5, 6, 9)):
        hashes.append(base ^ sum(1 << n for n in rng.sample(range(64), bits)))
    joined = {n: {n} for n in range(len(hashes))}
    for one, two in itertools.combinations(range(len(hashes)), 2):
        if (hashes[one] ^ hashes[two]).bit_count() <= 5 and joined[one] is not joined[two]:
            joined[one] |= joined[two]
            for member in joined[one]:
                joined[member] = joined[one]
    expected = sorted({tuple(sorted(group)) for group in joined.values() if len(group) > 1})
    assert expected and list(map(tuple, duplicates.near(facts_with(hashes)))) == expected


def test_the_same_hash_is_not_enough():
    one, two = bytes(range(256)), bytes(reversed(range(256)))
    assert duplicates.near([*facts_with([7], one), *facts_with([7], two)]) == []
    assert duplicates.near([*facts_with([7], one), *facts_with([7], one)]) == [[0, 1]]


def test_hints_say_what_a_training_will_do(tmp_path):
    for number, image in enumerate(photos(14)):
        save(image, tmp_path / "own" / ("many" if number < 13 else "one") / f"{number}.png")
    hints = " ".join(look(tmp_path / "own").hints())
    assert "labels that occur once: one" in hints and "13.0 times" in hints and "80 %" in hints
    (tmp_path / "own" / "one" / "13.png").unlink()
    assert "there is one class" in " ".join(look(tmp_path / "own").hints())


def test_even_and_whole_data_have_no_hint_but_the_division(tmp_path):
    for number, image in enumerate(photos(12)):
        save(image, tmp_path / "own" / "ab"[number % 2] / f"{number}.png")
    assert [hint[:26] for hint in look(tmp_path / "own").hints()] == ["the data are not divided: "]


@pytest.mark.slow
def test_arrays_and_records_are_looked_at_too(tmp_path, digits):
    from keras_resnet.data import prepare

    found = look("digits").to_json()
    assert found["examples"] == 1797 and found["formats"] == {"pixels": 1797} and len(found["classes"]) == 10
    save(photos(1)[0], tmp_path / "own" / "a" / "0.png")
    for number, image in enumerate(photos(8)):
        save(image, tmp_path / "own" / "ab"[number % 2] / f"{number}.png")
    import keras_resnet

    prepare(keras_resnet.load_dataset(tmp_path / "own"), tmp_path / "records")
    again = look(tmp_path / "records").to_json()
    assert again["examples"] == 8 and again["formats"] == {"PNG": 8} and again["classes"].keys() == {"a", "b"}


def test_nothing_to_look_at_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no pictures: expected .*CLASS/\*.jpg"):
        look(tmp_path / "empty")
    assert cli.main(["data", "a", "--data", "b"]) == console.WRONG
    assert cli.main(["data", "nowhere"]) == console.WRONG


def test_command_and_page_escape_what_files_are_called(mess, tmp_path, capsys):
    arguments = ["data", str(mess), "--json", "look.json", "--report", "look.html"]
    assert cli.main(arguments) == console.OK
    out = capsys.readouterr().out
    assert "\x1b" not in out and "Cannot be read: 3" in out and "next: keras-resnet train" in out
    assert json.loads((tmp_path / "look.json").read_text())["examples"] == 36
    page = (tmp_path / "look.html").read_text() + look(mess)._repr_html_()
    assert "<script" not in page and "\x1b" not in page and "odd<b>" not in page and "odd&lt;b&gt;" in page
    assert page.count("<img") >= 16 + 2 * 4
    assert cli.main(arguments) == console.WRONG
    assert "--overwrite" in capsys.readouterr().err


def test_sheets_show_pixels_of_any_kind():
    from keras_resnet.gallery import SIDE, shown

    for source in (np.zeros((4, 2, 1), np.uint8), np.zeros((300, 90, 3), np.uint8)):
        assert f'height="{SIDE}"' in shown(source, "x").picture
    assert "<img" not in shown(b"no picture", "x").picture
    assert 'alt="&quot;&gt;&lt;b&gt;"' in shown(np.zeros((4, 4, 3), np.uint8), '"><b>').picture
