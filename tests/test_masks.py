"""Pictures with masks: what their values mean, where their folders have them, and what is refused by name."""

import dataclasses
import itertools
from functools import partial

import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import InputError
from keras_resnet.data import batches, masked, masks, training_batches
from keras_resnet.data import truth as truths
from keras_resnet.data.augment import AUGMENTATIONS, ELASTIC, elastic, get_augmentation, in_turn, turn_flip
from keras_resnet.data.legends import Legend, Reading, read_legend
from keras_resnet.data.masks import decoded
from keras_resnet.data.sources import find_source, truth_of
from keras_resnet.signals.fits import GREY
from keras_resnet.signals.placement import Placement

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def _write(path, values, mode="L", palette=COLOURS):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values, mode="L" if mode in "LP" else None)
    if mode == "P":
        picture.putpalette([number for colour in palette for number in colour])
        assert picture.mode == "P"
    picture.save(path)


def scene(number, height=30, width=44):
    """A picture whose red says the class, in three vertical bands, and its mask; a stripe of it is void."""
    rng = np.random.default_rng(number)
    first, second = sorted(rng.integers(5, width - 5, 2))
    mask = np.zeros((height, width), np.uint8)
    mask[:, first:second], mask[:, second:] = 1, 2
    pixels = np.stack([100 * mask, rng.integers(0, 60, mask.shape), np.full_like(mask, 80)], -1).astype(np.uint8)
    mask[:2] = 255
    return pixels, mask


def folder(root, parts=("train", "val", "test"), count=8, mode="L"):
    """A folder of pictures and masks."""
    for part, number in itertools.product(parts, range(count)):
        pixels, mask = scene(number + 1000 * parts.index(part))
        Image.fromarray(pixels).save(_made(root / part / "images" / f"{number}.png"))
        _write(root / part / "masks" / f"{number}.png", np.where(mask == 255, 3, mask).astype("u1"), mode)
    (root / "classes.txt").write_text("left\nmiddle\nright\nvoid\n")
    return root


def _made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_test_part_alone_can_be_evaluated_and_not_learned(tmp_path):
    root = folder(tmp_path, ("test",))
    with pytest.raises(InputError, match="no pictures with masks for training"):
        keras_resnet.load_dataset(root, image_shape=(30, 44, 3))
    found = keras_resnet.load_dataset(root, image_shape=(30, 44, 3), test_only=True)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [0, 0, 8]


def test_values_palettes_and_colours_mean_the_same(tmp_path):
    values = np.array([[0, 1, 2], [2, 2, 255]], np.uint8)
    _write(tmp_path / "grey.png", values)
    _write(tmp_path / "palette.png", np.where(values == 255, 3, values).astype("u1"), "P", (*COLOURS, (9, 9, 9)))
    colours = np.array([*COLOURS, (9, 9, 9)], np.uint8)[np.where(values == 255, 3, values)]
    Image.fromarray(colours).save(tmp_path / "colours.png")
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.repeat(values[..., None], 3, -1)).save(tmp_path / "grey-as-colours.png")
    plain, of_palette = Legend(("a", "b", "c")), Legend(("a", "b", "c"), void=(3,))
    of_colours = Legend(("a", "b", "c"), COLOURS, void_colours=((9, 9, 9),), by_colour=True)
    for name, legend in (
        ("grey.png", plain),
        ("palette.png", of_palette),
        ("colours.png", of_colours),
        ("deep.png", plain),
        ("grey-as-colours.png", plain),
    ):
        np.testing.assert_array_equal(decoded(tmp_path / name, legend), values, err_msg=name)


def test_a_list_of_classes_has_names_perhaps_colours_and_void(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("# my classes\nroad 128 64 128\ntraffic sign 1,2,3\nvoid 0 0 0\n\n")
    legend = read_legend(path)
    assert legend.names == ("road", "traffic sign")
    assert legend.colours == ((128, 64, 128), (1, 2, 3)) and legend.void_colours == ((0, 0, 0),) and not legend.void
    path.write_text("road\ncar\nvoid\n")
    assert read_legend(path) == Legend(("road", "car"), void=(2,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected 1 to 255 classes"),
        ("a\nb\na\n", "line 3: the class a is there twice"),
        ("a 1 2 3\nb\n", "1 of 2 classes have colours"),
        ("a 1 2 3\nb 1 2 3\n", "two classes have the same colour"),
        ("a 1 2 300\n", "three numbers from 0 to 255, received 1 2 300"),
        ("void\na\n", "void behind them where it has no colour"),
    ],
)
def test_a_list_of_classes_that_cannot_be_right_is_refused(text, message, tmp_path):
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_legend(tmp_path / "classes.txt")


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_folder_is_a_data_set(mode, tmp_path):
    root = folder(tmp_path / "scenes", mode=mode)
    assert find_source(str(root)).truth == truth_of(str(root)) == "mask"
    found = keras_resnet.load_dataset(root, image_shape=(30, 44, 3))
    assert found.classes == ("left", "middle", "right") and found.truth == "mask"
    assert [len(part) for part in (found.train, found.validation, found.test)] == [8, 8, 8]
    fetched = found.train.fetch([3, 5])
    for place, number in enumerate((3, 5)):
        pixels, mask = scene(number)
        np.testing.assert_array_equal(fetched["image"][place], pixels)
        np.testing.assert_array_equal(fetched["mask"][place], mask)
    (batch,) = batches(found.train.take(np.array([3, 5])), 2).as_numpy_iterator()
    np.testing.assert_array_equal(batch["mask"], fetched["mask"])
    both = found.train.take(np.array([1])).joined(found.test.take(np.array([2])))
    np.testing.assert_array_equal(both.fetch([1])["mask"][0], scene(2002)[1])
    colours = found.train.maps["mask"].legend.colours
    assert colours == (COLOURS if mode == "P" else ())


# The cuts of scenes, without the change of colours, by which this test knows a class.
CUTS = {name: dataclasses.replace(AUGMENTATIONS[name], batch=None, draws=0) for name in ("scene", "scene-own")}
CUTS["sample"] = dataclasses.replace(
    AUGMENTATIONS["sample"], batch=in_turn((turn_flip, 3), (partial(elastic, degrees=30, pixels=6), ELASTIC))
)


@pytest.mark.parametrize("name", ["none", "affine", "crop-flip", "resized-crop", "turn-flip", *CUTS])
def test_masks_follow_the_pixels_through_augmentation(name, tmp_path):
    split = keras_resnet.load_dataset(folder(tmp_path, ("train",)), image_shape=(28, 40, 3)).train
    augment = CUTS.get(name) or get_augmentation(name, "image")
    pipeline = training_batches(split, 4, seed=3, augment=augment, first_epoch=1)
    seen = 0.0
    for batch in pipeline.take(2).as_numpy_iterator():
        known = batch["mask"] != 255
        assert batch["mask"].dtype == np.uint8 and batch["mask"].shape == batch["image"].shape[:-1]
        classes = np.round(batch["image"][..., 0] / 100)
        assert (classes == batch["mask"])[known].mean() > 0.94  # colours between two bands are those of neither
        # Nothing is known of what is black or grey, though the file goes on beyond a part that is moved later.
        blank = (batch["image"] == 0).all(-1) | (batch["image"] == GREY).all(-1)
        assert not known[blank].any()
        seen += known.mean() / 2
    assert (0.3 if name.startswith("s") else 0.6) < seen < 1  # at half the scale three quarters are outside


def test_other_layouts(tmp_path):
    for part, number in itertools.product(("train", "val", "test"), range(3)):
        pixels, mask = scene(number)
        Image.fromarray(pixels).save(_made(tmp_path / "camvid" / part / f"{number}.png"))
        _write(tmp_path / "camvid" / f"{part}annot" / f"{number}.png", np.where(mask == 255, 11, mask).astype("u1"))
        Image.fromarray(pixels).save(_made(tmp_path / "inside" / "images" / part / f"{number}.png"))
        _write(tmp_path / "inside" / "masks" / part / f"{number}.png", mask)
    camvid = keras_resnet.load_dataset(tmp_path / "camvid", image_shape=(30, 44, 3))
    assert camvid.classes[:2] == ("sky", "building") and len(camvid.classes) == 11
    np.testing.assert_array_equal(camvid.test.fetch([1])["mask"][0], scene(1)[1])
    inside = keras_resnet.load_dataset(tmp_path / "inside", image_shape=(30, 44, 3))
    assert inside.classes == ("0", "1", "2") and len(inside.validation) == 3


def test_a_list_says_which_part_a_picture_belongs_to(tmp_path):
    for number in range(4):
        pixels, mask = scene(number)
        Image.fromarray(pixels).save(_made(tmp_path / "images" / f"{number}.png"))
        _write(tmp_path / "masks" / f"{number}.png", mask)
    listed = tmp_path / "images.csv"
    listed.write_text("id,kind,split\n0,a,train\n1,a,test\n2,b,train\n3,b,val\n")
    found = keras_resnet.load_dataset(tmp_path, image_shape=(30, 44, 3))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [2, 1, 1]
    np.testing.assert_array_equal(found.test.fetch([0])["mask"][0], scene(1)[1])
    listed.write_text("file,split\n0.png,train\n1.png,test\n2.png,train\n")
    with pytest.raises(InputError, match="3.png is not in .*images.csv"):
        keras_resnet.load_dataset(tmp_path, image_shape=(30, 44, 3))
    listed.write_text("file,split\n0.png,train\n1.png,test\n2.png,train\n3.png,lost\n")
    with pytest.raises(InputError, match="3.png has a split that is none"):
        keras_resnet.load_dataset(tmp_path, image_shape=(30, 44, 3))


def test_a_list_of_parts_tells_names_with_dots_and_folders_apart(tmp_path):
    for number, name in enumerate(("a.1", "a.2", "left/b", "right/b")):
        pixels, mask = scene(number)
        Image.fromarray(pixels).save(_made(tmp_path / "images" / f"{name}.png"))
        _write(tmp_path / "masks" / f"{name}.png", mask)
    listed = tmp_path / "images.csv"
    for ending in ("", ".png"):  # of the names in the list
        rows = [("a.1", "train"), ("a.2", "test"), ("left/b", "train"), ("right/b", "val")]
        listed.write_text("id,split\n" + "".join(f"{name}{ending},{part}\n" for name, part in rows))
        found = keras_resnet.load_dataset(tmp_path, image_shape=(30, 44, 3))
        assert [len(part) for part in (found.train, found.validation, found.test)] == [2, 1, 1]
        for part, number in ((found.test, 1), (found.validation, 3)):
            np.testing.assert_array_equal(part.fetch([0])["mask"][0], scene(number)[1])
    listed.write_text("id,split\na.1,train\na.2,test\nb,train\nb,val\n")
    with pytest.raises(InputError, match="images.csv has b twice, with different splits"):
        keras_resnet.load_dataset(tmp_path, image_shape=(30, 44, 3))


def test_a_folder_that_is_not_divided_is_divided(tmp_path):
    for number in range(30):
        pixels, mask = scene(number)
        Image.fromarray(pixels).save(_made(tmp_path / "images" / f"{number}.png"))
        _write(tmp_path / "masks" / f"{number}.png", mask)
    found = keras_resnet.load_dataset(tmp_path, image_shape=(30, 44, 3))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [24, 3, 3]


def test_masks_that_were_read_are_not_read_again_unless_they_change(tmp_path, monkeypatch):
    root = folder(tmp_path / "scenes")
    read, stored = [], masks.stored
    monkeypatch.setattr(masks, "stored", lambda path: [read.append(path), stored(path)][1])
    first = masked.load(root, (30, 44, 3))
    assert set(read) == {path for path in root.rglob("*.png") if "masks" in path.parts}
    read.clear()
    assert masked.load(root, (15, 22, 3)).classes == first.classes and not read
    masked.load(root, (30, 44, 3), reading=Reading((1,)))
    assert read
    changed = read[0]
    read.clear()
    values = stored(changed)[0].copy()
    values[0, 0] = 9
    _write(changed, values)
    with pytest.raises(InputError, match="has the value 9"):
        masked.load(root, (30, 44, 3))


def _spoiled(tmp_path, spoil):
    root = folder(tmp_path / "scenes")
    spoil(root)
    with pytest.raises(InputError) as error:
        masked.load(root, (30, 44, 3))
    return str(error.value).replace(str(root), "ROOT")


def _all_void(root):
    for path in root.rglob("masks/*.png"):
        _write(path, np.full((30, 44), 255, np.uint8))


def test_what_cannot_be_right_is_named(tmp_path):
    one = "train/masks/4.png"
    coloured = np.zeros((30, 44, 3), np.uint8) + np.uint8([7, 8, 9])
    cases = {
        "ROOT/train/images/4.png has no mask: expected ROOT/train/masks/4.*": lambda root: (root / one).unlink(),
        "ROOT/train/masks/4.png has no picture": lambda root: (root / "train/images/4.png").unlink(),
        "4.png is 9 x 8 pixels and its picture 44 x 30": lambda root: _write(root / one, np.zeros((8, 9), np.uint8)),
        "4.png has the value 7, and there are 3 classes, 0 to 2": lambda root: _write(
            root / one, np.full((30, 44), 7, np.uint8)
        ),
        "4.png has colours: expected values of classes": lambda root: Image.fromarray(coloured).save(root / one),
        "4.png cannot be decoded as a mask": lambda root: (root / one).write_bytes(b"no picture"),
        "all of the 24 masks are void": _all_void,
        "has no pictures with masks for training: expected images/ and masks/": lambda root: (root / "train").rename(
            root / "other"
        ),
    }
    for number, (message, spoil) in enumerate(cases.items()):
        assert message in _spoiled(tmp_path / str(number), spoil)


def test_a_colour_without_a_class_is_named(tmp_path):
    Image.fromarray(np.uint8([[[255, 0, 0], [7, 8, 9]]])).save(tmp_path / "m.png")
    with pytest.raises(InputError, match=r"m.png has the colour 7 8 9, which classes.txt has not"):
        decoded(tmp_path / "m.png", Legend(("a",), ((255, 0, 0),), by_colour=True))


def _set(root, masks, classes=""):
    """A folder of masks, which are PIL images by name, and what they are read as."""
    for name, mask in masks.items():
        picture = Image.fromarray(np.zeros((*mask.size[::-1], 3), np.uint8))
        picture.save(_made(root / "images" / f"{name.split('.')[0]}.png"))
        mask.save(_made(root / "masks" / name))
    if classes:
        (root / "classes.txt").write_text(classes)
    pairs = masked.paired(root / "images", root / "masks")
    legend = masked.checked(root, pairs, read_legend(root / "classes.txt") if classes else Legend())
    return legend, [decoded(mask, legend) for _, mask in pairs]


def test_a_set_is_read_by_colours_or_by_values_as_a_whole(tmp_path):
    """A mask of one grey colour among coloured ones; a palette in its own order; values beside colours for people."""
    road = "road 128 64 128\nsky 128 128 128\nvoid 0 0 0\n"
    colours = np.uint8([[[128, 64, 128], [128, 128, 128]]])
    grey = {"a.png": Image.fromarray(colours), "b.png": Image.fromarray(np.full((1, 2, 3), 128, np.uint8)),
            "c.png": Image.fromarray(np.zeros((1, 2, 3), np.uint8))}  # fmt: skip
    legend, read = _set(tmp_path / "grey", grey, road)
    assert legend.by_colour
    np.testing.assert_array_equal(np.concatenate(read), [[0, 1], [1, 1], [255, 255]])
    renumbered = Image.fromarray(np.uint8([[0, 1]]), mode="P")
    renumbered.putpalette([128, 128, 128, 128, 64, 128])
    _, (only,) = _set(tmp_path / "palette", {"a.gif": renumbered}, road)
    np.testing.assert_array_equal(only, [[1, 0]])
    legend, (only,) = _set(tmp_path / "values", {"a.png": Image.fromarray(np.uint8([[0, 1, 255]]))}, road)
    assert not legend.by_colour and only.tolist() == [[0, 1, 255]]
    binary = Image.fromarray(np.uint8([[0, 255]]))
    for number, classes in enumerate(("", "background 0 0 0\nobject 255 255 255\n")):
        legend, (only,) = _set(tmp_path / str(number), {"a.png": binary}, classes)
        assert legend.names == ("background", "object") and only.tolist() == [[0, 1]]


def test_masks_that_teach_nothing_and_folders_that_say_two_things_are_refused(tmp_path, caplog):
    with pytest.raises(InputError, match="all masks have the class 1 alone, and void"):
        _set(tmp_path / "one", {"a.png": Image.fromarray(np.uint8([[1, 255]]))})
    _set(tmp_path / "absent", {"a.png": Image.fromarray(np.uint8([[0, 1]]))}, "left\nright\nu\x1bp\n")
    assert "no mask has u\\x1bp" in caplog.text
    Image.fromarray(np.float32([[300.0]])).save(tmp_path / "f.tif")
    with pytest.raises(InputError, match="mode F: expected grey values"):
        decoded(tmp_path / "f.tif", Legend())
    root = folder(tmp_path / "twice", ("train",))
    Image.fromarray(scene(0)[0]).save(root / "train/images/0.bmp")
    with pytest.raises(InputError, match=r"0.png and .*0.bmp have one name"):
        masked.load(root, (30, 44, 3))
    (root / "train/images/0.bmp").unlink()
    for name in ("val", "valid"):
        (root / name).mkdir()
    with pytest.raises(InputError, match="has val and valid, which are both the validation part"):
        masked.load(root, (30, 44, 3))
    for name in ("images", "imagesannot"):
        (tmp_path / "boxes" / name).mkdir(parents=True)
    assert not masked.is_one(tmp_path / "boxes") and masked.is_one(root)


def test_a_mask_of_many_pixels_is_moved_to_the_pixel():
    mask = np.zeros((1, 4100, 4100), np.uint8)
    mask[0, 4090, 1::2] = 7
    shift = np.float32([[[1, 0, 2000], [0, 1, 4085], [0, 0, 1]]])
    found = np.asarray(truths.moved({"mask": mask}, Placement(shift, (20, 2200)))["mask"])[0]
    expected = np.full((20, 2200), 255, np.uint8)
    expected[:15, :2100] = mask[0, 4085:, 2000:]
    np.testing.assert_array_equal(found, expected)
