"""Published layouts of pictures with masks, each written as its publisher writes it, and what is said besides."""

import dataclasses
import itertools
import json
import types

import numpy as np
import pytest
from bands import SIZE, bands, load, named, picture, save, sizes, values
from test_segmentation import RECIPE

import keras_resnet
from export.model.source import load_source
from keras_resnet import InputError, cli
from keras_resnet.data import masked, published
from keras_resnet.data.legends import Legend, Reading, parse_void
from keras_resnet.data.named import Named
from keras_resnet.data.sources import find_source, truth_of
from keras_resnet.evaluation import examples
from keras_resnet.looking.findings import look
from keras_resnet.training import inputs, loop, train
from keras_resnet.training.nets import FromRecipe
from keras_resnet.training.photos import plan


def test_a_look_says_which_class_no_mask_has_and_speaks_of_no_balance(tmp_path):
    for number in range(12):
        save(tmp_path / "masks" / f"{number}.png", bands(1, 2))
        picture(tmp_path / "images" / f"{number}.png")
    said = " ".join(look(tmp_path).hints())
    assert "no mask has 0: a net cannot learn it" in said and "--reduce-zero-label" in said
    assert "uneven" not in said and "balance" not in said
    assert "no mask" not in " ".join(look(tmp_path, reduce_zero_label=True).hints())


# ---- Pascal VOC


def voc(root, parts=(("train", 12), ("val", 3)), masks=True):
    """VOCdevkit/VOC2012: masks with the palette, the outline of things 255."""
    palette = [published.voc_colour(number) for number in range(256)]
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    for part, count in parts:
        names = [f"2007_{part}{number}" for number in range(count)]
        (root / "ImageSets" / "Segmentation" / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in names:
            picture(root / "JPEGImages" / f"{name}.jpg")
            if masks or part != "test":
                save(root / "SegmentationClass" / f"{name}.png", bands(0, 15, 255, 20), palette)
    return root


def test_voc_has_its_names_colours_and_lists(tmp_path, caplog):
    root = voc(tmp_path / "VOC2012", (("train", 12), ("val", 3), ("trainval", 15), ("test", 2)), masks=False)
    assert find_source(str(root)).truth == truth_of(str(root)) == "mask"
    found = load(root)
    assert "test.txt is left out: none of its 2 pictures has a mask" in caplog.text
    assert found.classes[15] == "person" and found.classes[0] == "background" and len(found.classes) == 21
    assert named(found.test) == ["2007_val0", "2007_val1", "2007_val2"] and values(found.test) == [0, 15, 255, 20]
    assert sum(sizes(found)[:2]) == 12
    legend = found.train.maps["mask"].legend
    # From the development kit's VOClabelcolormap.
    known = {0: (0, 0, 0), 1: (128, 0, 0), 4: (0, 0, 128), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128)}
    assert {number: legend.colours[number] for number in known} == known
    assert published.voc_colour(255) == (224, 224, 192)
    with_test = load(voc(tmp_path / "VOC2007", (("trainval", 9), ("test", 2))))
    assert sizes(with_test) == [8, 1, 2]


def test_voc_lists_are_those_of_a_stranger(tmp_path):
    root = voc(tmp_path / "VOC2012")
    train = root / "ImageSets" / "Segmentation" / "train.txt"
    for text, message in (
        ("../../secret\n", r"names ../../secret.jpg, which is not within .*JPEGImages"),
        ("/etc/passwd\n", r"names /etc/passwd.jpg, which is not within"),
        ("2007_train1\n2007_train1\n", "train.txt has 2007_train1 twice"),
        ("2007_other\n", r"2007_other.jpg is not there, and .*train.txt names it"),
        ("", "has no pictures with masks for training: expected JPEGImages/"),
    ):
        train.write_text(text)
        with pytest.raises(InputError, match=message):
            masked.load(root, (*SIZE, 3))
    train.write_text("2007_train1\n")
    (root / "SegmentationClass" / "2007_train1.png").unlink()
    with pytest.raises(InputError, match=r"2007_train1.jpg has no mask: expected .*2007_train1.png, as .*train.txt"):
        masked.load(root, (*SIZE, 3))
    save(root / "SegmentationClass" / "2007_train1.png", bands(0, 21))
    with pytest.raises(InputError, match=r"2007_train1.png has the value 21, and there are 21 classes, 0 to 20"):
        masked.load(root, (*SIZE, 3))


# ---- Cityscapes


def cityscapes(root, kind, values_of, test=0):
    """leftImg8bit and gtFine; the files of instances and colours beside, as in the original."""
    for part, city in (("train", "aachen"), ("train", "bochum"), ("val", "munster"), ("test", "berlin")):
        for number in range(3):
            name = f"{city}_{number:06}_000019"
            picture(root / "leftImg8bit" / part / city / f"{name}_leftImg8bit.png")
            mask = np.full(SIZE, test) if part == "test" else bands(*values_of)
            save(root / "gtFine" / part / city / f"{name}_gtFine_{kind}.png", mask)
            save(root / "gtFine" / part / city / f"{name}_gtFine_color.png", np.zeros((*SIZE, 3)))
    return root


def test_cityscapes_by_label_ids_and_by_train_ids(tmp_path, caplog):
    # labels.py of cityscapesScripts: road 7 -> 0, sidewalk 8 -> 1, building 11 -> 2, bicycle 33 -> 18; unlabelled 0,
    # ego vehicle 1, parking 9, bridge 15 and trailer 30 mean nothing.
    ids = (7, 8, 11, 33, 0, 1, 9, 15)
    found = load(cityscapes(tmp_path / "ids", "labelIds", ids))
    assert values(found.test) == [0, 1, 2, 18, 255]
    assert found.classes[:3] == ("road", "sidewalk", "building") and found.classes[13:] == (
        *("car", "truck", "bus", "train", "motorcycle", "bicycle"),
    )
    assert "the test part is left out: its 3 masks are void" in caplog.text
    assert sizes(found)[2] == 3 and all("munster" in name for name in named(found.test))
    legend = found.train.maps["mask"].legend
    assert dict(zip(legend.names, legend.colours, strict=True))["bicycle"] == (119, 11, 32)
    trained = load(cityscapes(tmp_path / "trained", "labelTrainIds", (0, 1, 2, 18, 255, 255, 3, 255), test=255))
    assert values(trained.test) == [0, 1, 2, 18, 255, 3, 255]
    kept = load(cityscapes(tmp_path / "own", "labelTrainIds", (0, 1), test=1))  # who has true masks keeps them
    assert sizes(kept) == [6, 3, 3] and "berlin" in kept.test.names[0]


def test_cityscapes_what_cannot_be_right_is_named(tmp_path):
    root = cityscapes(tmp_path, "labelIds", (7, 8))
    one = root / "gtFine" / "train" / "bochum" / "bochum_000001_000019_gtFine_labelIds.png"
    save(one, bands(7, 34))
    with pytest.raises(InputError, match=r"bochum_000001_000019_gtFine_labelIds.png has the value 34, which means no"):
        load(root)
    one.unlink()
    with pytest.raises(InputError, match=r"bochum_000001_000019_leftImg8bit.png has no mask: expected .*labelIds.\*"):
        load(root)


# ---- ADE20K


def ade20k(root, values_of=(0, 1, 150), names=True):
    """ADEChallengeData2016."""
    for part, number in itertools.product(("training", "validation"), range(4)):
        picture(root / "images" / part / f"ADE_{part}_{number:08}.jpg")
        save(root / "annotations" / part / f"ADE_{part}_{number:08}.png", bands(*values_of))
    if names:
        rows = [f"{n}\t0.1\t{n}\t{n}\t0\tthing {n}, other word {n}" for n in range(1, 151)]
        text = "\n".join(["Idx\tRatio\tTrain\tVal\tStuff\tName", *rows, ""])
        (root / "objectInfo150.txt").write_text(text)
    return root


def test_ade20k_begins_at_one(tmp_path):
    found = load(ade20k(tmp_path / "named"))
    assert found.classes == tuple(f"thing {n}" for n in range(1, 151))
    assert values(found.train) == [255, 0, 149] and sizes(found) == [3, 1, 4]
    assert load(ade20k(tmp_path / "bare", names=False)).classes == tuple(map(str, range(1, 151)))
    with pytest.raises(InputError, match="reduce_zero_label: the values begin at 1 here already"):
        load(tmp_path / "bare", reduce_zero_label=True)
    (tmp_path / "named" / "objectInfo150.txt").write_text("1\ta\n3\tb\n")
    with pytest.raises(InputError, match=r"objectInfo150.txt: expected the numbers 1 to 150 with names"):
        load(tmp_path / "named")
    save(tmp_path / "bare" / "annotations" / "training" / "ADE_training_00000002.png", bands(1, 151))
    with pytest.raises(
        InputError, match="ADE_training_00000002.png has the value 151, which means nothing: expected 1 to"
    ):
        load(tmp_path / "bare")


# ---- Oxford-IIIT pets


def pets(root, trainval=20, test=4):
    """images, annotations/trimaps and lists with class, species and breed; a trimap that no list has."""
    for part, count in (("trainval", trainval), ("test", test)):
        names = [f"{part}_{number}" for number in range(count)]
        (root / "annotations" / "trimaps").mkdir(parents=True, exist_ok=True)
        (root / "annotations" / f"{part}.txt").write_text("".join(f"{name} 1 1 1\n" for name in names))
        for name in names:
            picture(root / "images" / f"{name}.jpg")
            save(root / "annotations" / "trimaps" / f"{name}.png", bands(2, 3, 1, 3))
    (root / "annotations" / "trimaps" / "._trainval_0.png").write_bytes(b"a Mac's")
    return root


def test_pets_have_a_border_or_leave_it_out(tmp_path):
    root = pets(tmp_path)
    found = load(root)
    assert found.classes == ("pet", "background", "border") and sizes(found) == [16, 4, 4]
    assert values(found.train) == [1, 2, 0, 2]
    everything = sorted(f"trainval_{number}" for number in range(20))
    assert named(found.validation) == everything[4::5] and not set(named(found.train)) & set(everything[4::5])
    two = load(root, void=[3])
    assert two.classes == ("pet", "background") and values(two.train) == [1, 255, 0, 255]
    (root / "classes.txt").write_text("cat or dog\nrest\nedge\n")
    assert load(root).classes == ("cat or dog", "rest", "edge") and values(load(root).train) == [1, 2, 0, 2]
    (root / "classes.txt").write_text("cat or dog\nrest\n")
    with pytest.raises(InputError, match="classes.txt names 2 classes, and the folder's layout has 3"):
        load(root)


# ---- what is said besides


def plain(root, *bands_of, classes=""):
    """images and masks."""
    for number in range(12):
        picture(root / "images" / f"{number}.png")
        save(root / "masks" / f"{number}.png", bands(*bands_of))
    if classes:
        (root / "classes.txt").write_text(classes)
    return root


def test_values_that_mean_nothing_leave_and_the_others_move_up(tmp_path):
    without = plain(tmp_path / "without", 0, 1, 2, 3)
    assert load(without, void=[1]).classes == ("0", "2", "3") and values(load(without, void=[1]).train) == [
        0,
        255,
        1,
        2,
    ]
    shifted = load(without, reduce_zero_label=True)
    assert shifted.classes == ("1", "2", "3") and values(shifted.train) == [255, 0, 1, 2]
    listed = plain(tmp_path / "listed", 0, 1, 2, 3, classes="road\ncar\ntree\nvoid\n")
    assert values(load(listed).train) == [0, 1, 2, 255]
    assert load(listed, void=[0]).classes == ("car", "tree") and values(load(listed, void=[0]).train) == [
        255,
        0,
        1,
        255,
    ]
    (listed / "classes.txt").write_text("road\ncar\ntree\n")
    names = load(listed, reduce_zero_label=True)
    assert names.classes == ("road", "car", "tree") and values(names.train) == [255, 0, 1, 2]
    assert load(listed, void=[3], reduce_zero_label=True).classes == ("road", "car")


def test_what_is_said_besides_must_fit(tmp_path):
    root = plain(tmp_path / "two", 0, 1, classes="a 255 0 0\nb 0 255 0\n")
    with pytest.raises(InputError, match="void leaves 1 of 2 classes: expected 2 or more"):
        load(root, void=[1])
    with pytest.raises(InputError, match=r"void \(256,\): expected whole numbers from 0 to 255"):
        load(root, void=[256])
    for text in ("1.5", "-1", "a", "0;1", "1000"):
        with pytest.raises(InputError):
            parse_void(text)
    assert parse_void("0, 11") == (0, 11) and parse_void("none") == parse_void("") == ()
    with pytest.raises(InputError, match="void and reduce_zero_label go with masks: the data are digits"):
        keras_resnet.load_dataset("digits", void=[0])
    coloured = np.uint8([[[255, 0, 0], [0, 255, 0]]]).repeat(SIZE[1] // 2, 1).repeat(SIZE[0], 0)
    for path in (root / "masks").iterdir():
        save(path, coloured)
    assert values(load(root).train) == [0, 1]
    with pytest.raises(InputError, match="reduce_zero_label moves values, and these masks have colours"):
        load(root, reduce_zero_label=True)
    three = Reading((1,)).of(Legend(("a", "b", "c"), ((1, 1, 1), (2, 2, 2), (3, 3, 3))))
    assert (three.names, three.values, three.void_colours) == (("a", "c"), (0, 2), ((2, 2, 2),))


def test_the_command_shows_what_it_is_told(tmp_path, capsys):
    root = pets(tmp_path / "pets")
    assert cli.main(["data", str(root), "--void", "3"]) == 0
    shown = capsys.readouterr().out
    assert "background" in shown and "border" not in shown and f"next: keras-resnet train {root} --void 3" in shown
    assert cli.main(["data", str(root)]) == 0 and "border" in capsys.readouterr().out
    assert cli.main(["data", str(root), "--void", "x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_sets_of_tensorflow_datasets_with_masks(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed: extra 'datasets'")

    class Trimaps(tfds.core.GeneratorBasedBuilder):
        pkg_dir_path = tmp_path  # a test is no package
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("one", "two")]

        def _info(self):
            masks = {
                f"mask_{n}": tfds.features.Image(shape=(None, None, 1)) for n in range(1 + (self.name_of == "two"))
            }
            features = {"image": tfds.features.Image(shape=(None, None, 3)), "file_name": tfds.features.Text(), **masks}
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        @property
        def name_of(self):
            return self.builder_config.name

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(12), "test": self._generate_examples(3)}

        def _generate_examples(self, count):
            for number in range(count):
                mask = bands(1, 3, 2)[..., None]
                masks = {f"mask_{n}": mask for n in range(1 + (self.name_of == "two"))}
                yield number, {"image": np.repeat(mask, 3, -1) * 50, "file_name": str(number), **masks}

    name = f"tfds-masks:trimaps/one:{tmp_path}"
    assert truth_of("tfds-masks:trimaps/one") == "mask"
    found = load(name)
    assert (
        found.name == "tfds-masks:trimaps/one" and found.classes == ("0", "1", "2", "3") and sizes(found) == [11, 1, 3]
    )
    fetched = found.test.fetch([0, 2])
    np.testing.assert_array_equal(fetched["mask"][1], bands(1, 3, 2))
    np.testing.assert_array_equal(fetched["image"][..., 0], 50 * fetched["mask"])
    again = load(name, reduce_zero_label=True, void=[3])  # by the index that is there now
    assert again.classes == ("1", "2") and values(again.train) == [0, 255, 1]
    with pytest.raises(InputError, match="trimaps/two: expected the feature image and one mask"):
        load(f"tfds-masks:trimaps/two:{tmp_path}")


def test_a_recipe_and_a_card_say_how_masks_are_read(tmp_path, monkeypatch, capsys):
    root = pets(tmp_path / "pets", 20, 4)
    recipe = dataclasses.replace(RECIPE, dataset=str(root), void="3")
    dataset = inputs.load(recipe, FromRecipe(), None).dataset
    card = loop._card(recipe, FromRecipe(), dataset)
    assert card.reading == {"void": [3]} and card.facts["names"] == ["pet", "background"]
    monkeypatch.setattr(examples, "image_shape", lambda runner: (*SIZE, 3))
    model = types.SimpleNamespace(card=card)
    assert examples.dataset_for(model, root).classes == ("pet", "background")
    assert examples.dataset_for(model, root, void=()).classes == ("pet", "background", "border")
    assert examples.dataset_for(model, root, void=(2,)).classes == ("pet", "border")
    with pytest.raises(InputError, match="the values begin at 1 here already"):
        examples.dataset_for(model, root, reduce_zero_label=True)
    found, _ = plan(Named(str(root)), ["void=3", "model=resnet8"], weights="none")
    assert (found.task, found.void, found.reduce_zero_label) == ("segmentation", "3", False)
    with pytest.raises(InputError, match="void and reduce_zero_label go with masks"):
        plan(Named("digits"), ["void=3"], weights="none")
    assert cli.main(["train", "--resume", str(tmp_path), "--void", "3"]) == 2
    assert "leave out --void" in capsys.readouterr().err


@pytest.mark.proof
def test_a_run_remembers_what_it_was_told(tmp_path):
    root, run = pets(tmp_path / "pets", 20, 4), tmp_path / "run"
    recipe = dataclasses.replace(RECIPE, dataset=str(root), void="3", epochs=1, batch_size=8, warmup_epochs=0.0)
    train(recipe, run_dir=run, verbose=False)
    assert keras_resnet.load_model(run)[1].reading == {"void": [3]}
    assert json.loads((run / "recipe.json").read_text())["void"] == "3"
    assert cli.main(["train", "--resume", str(run)]) == 0
    assert cli.main(["evaluate", "--model", str(run), "--data", str(root), "--json", str(tmp_path / "a.json")]) == 0
    assert set(json.loads((tmp_path / "a.json").read_text())["iou"]) == {"pet", "background"}
    assert load_source(run, dataset=root).dataset.classes == ("pet", "background")
    told = load_source(run, dataset=root, reading={"void": ()})
    assert told.dataset.classes == ("pet", "background", "border")


def test_a_card_with_another_reading_is_damaged():
    text = keras_resnet.ModelCard(reading={"void": [3], "reduce_zero_label": True}).dumps()
    assert keras_resnet.ModelCard.loads(text, "x").reading == {"void": [3], "reduce_zero_label": True}
    for bad in ('{"void": "3"}', '{"void": [true]}', '{"other": 1}', '{"reduce_zero_label": 1}', "[3]"):
        with pytest.raises(InputError, match="x: its keras_resnet.json is damaged"):
            keras_resnet.ModelCard.loads('{"version": 3, "reading": ' + bad + "}", "x")
    assert "reading" not in keras_resnet.ModelCard().dumps()
