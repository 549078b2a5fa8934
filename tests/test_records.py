"""TFRecord files: read as others write them, and written by `prepare`."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet import InputError, cli, console, load_dataset
from keras_resnet.data import batches, joined, prepare, records, training_batches
from keras_resnet.data.augment import get_augmentation


def _feature(value):
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _write(path, rows):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            features = tf.train.Features(feature={name: _feature(value) for name, value in row.items()})
            writer.write(tf.train.Example(features=features).SerializeToString())


def _grey(level, size=(8, 6)):
    return tf.io.encode_png(np.full((*size, 3), level, np.uint8)).numpy()


def _imagenet(level, label, text=b""):
    row = {"image/encoded": _grey(level), "image/class/label": label, "image/filename": b"x.png"}
    return row | ({"image/class/text": text} if text else {})


@pytest.fixture
def folder(tmp_path):
    """Two training shards and one for validation, labels 1 and 2, every image of a grey level of its own."""
    for shard in range(2):
        rows = [_imagenet(10 * shard + i, 1 + i % 2, (b"cat", b"dog")[i % 2]) for i in range(10)]
        _write(tmp_path / f"train-{shard:05}-of-00002", rows)
    _write(tmp_path / "validation-00000-of-00001", [_imagenet(100 + i, 1 + i % 2) for i in range(6)])
    return tmp_path


def _levels(split):
    pixels = np.concatenate([batch["image"].numpy() for batch in batches(split, 4)])
    assert (pixels == pixels[:, :1, :1, :1]).all()
    return pixels[:, 0, 0, 0]


@pytest.mark.slow
def test_records_are_read_at_any_place(folder):
    dataset = load_dataset(folder, image_shape=(4, 4, 3))
    assert dataset.classes == ("cat", "dog")
    # ImageNet's validation images are what figures are of; those to choose on are taken from the training images.
    np.testing.assert_array_equal(_levels(dataset.test), np.arange(100, 106))
    np.testing.assert_array_equal(dataset.test.labels, [0, 1] * 3)
    whole = joined(dataset.train, dataset.validation)
    assert sorted(_levels(whole)) == list(range(20))
    np.testing.assert_array_equal(_levels(whole) % 2, whole.labels)
    picked = whole.fetch([7, 0, 7])["image"][:, 0, 0, 0]
    np.testing.assert_array_equal(picked, _levels(whole)[[7, 0, 7]])


def test_the_index_is_kept_and_made_anew_when_a_shard_changes(folder, monkeypatch):
    load_dataset(folder)
    assert (folder / records.INDEX).is_file()
    scan = records._scan
    monkeypatch.setattr(records, "_scan", None)
    load_dataset(folder)
    monkeypatch.setattr(records, "_scan", scan)
    _write(folder / "validation-00000-of-00001", [_imagenet(200, 1)])
    assert len(load_dataset(folder).test.labels) == 1
    (folder / records.INDEX).write_bytes(b"PK damaged")
    with pytest.raises(InputError, match="delete it"):
        load_dataset(folder)


def test_names_come_from_labels_txt_and_labels_may_start_at_0(folder):
    _write(folder / "train-00000-of-00002", [_imagenet(i, i % 2) for i in range(10)])
    (folder / "labels.txt").write_text("a\nb\nc\n")
    dataset = load_dataset(folder)
    assert dataset.classes == ("a", "b", "c")
    assert set(dataset.test.labels) == {1, 2}
    (folder / "labels.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="label 2 has no name: expected 0 to 1"):
        load_dataset(folder)


def test_numbers_serve_as_names_where_there_are_none(tmp_path):
    _write(tmp_path / "train.tfrecord", [{"image": _grey(i), "label": i % 2} for i in range(12)])
    dataset = load_dataset(tmp_path)
    assert dataset.classes == ("0", "1")
    assert [len(part.labels) for part in (dataset.train, dataset.validation, dataset.test)] == [8, 2, 2]


def test_records_that_cannot_be_decoded_are_left_out_and_named(folder):
    rows = [_imagenet(i, 1 + i % 2) for i in range(10)]
    rows[3]["image/encoded"] = b"no image"
    _write(folder / "train-00001-of-00002", rows)
    dataset = load_dataset(folder)
    assert len(dataset.train.labels) + len(dataset.validation.labels) == 19
    assert "train-00001-of-00002@" in str(dataset.unreadable[0])


@pytest.mark.parametrize("damage", ["flip", "cut", "foreign", "gzip"])
def test_damaged_files_are_named(folder, damage):
    path = folder / "train-00001-of-00002"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 4
    elif damage == "cut":
        content = content[:-5]
    elif damage == "foreign":
        content = b"hello"
    else:
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            writer.write(b"x")
        content = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(InputError, match="train-00001-of-00002 is damaged"):
        load_dataset(folder)


def test_other_features_missing_shards_and_empty_files(folder):
    (folder / "train-00001-of-00002").unlink()
    with pytest.raises(InputError, match="1 of the 2 files"):
        load_dataset(folder)
    for path in folder.iterdir():
        path.unlink()
    _write(folder / "train.tfrecord", [{"x": 1}])
    with pytest.raises(InputError, match="expected the features image/encoded and image/class/label or .* received x"):
        load_dataset(folder)
    _write(folder / "train.tfrecord", [])
    with pytest.raises(InputError, match="no records"):
        load_dataset(folder)
    _write(folder / "train.tfrecord", [_imagenet(1, 1), _imagenet(2, 2), _imagenet(2, 2), _imagenet(2, 2)])
    with pytest.raises(InputError, match="class 0 has 1 training images: expected at least 3"):
        load_dataset(folder)


def test_prepare_keeps_the_bytes_and_the_splits(image_folder, tmp_path):
    before = load_dataset(image_folder, image_shape=(12, 16, 3))
    written = prepare(before, tmp_path / "out", shards=3)
    assert written.images == {"train": 32, "validation": 4, "test": 4}
    assert written.shards == {"train": 3, "validation": 1, "test": 1}
    after = load_dataset(tmp_path / "out", image_shape=(12, 16, 3))
    assert after.classes == before.classes
    for part in ("train", "validation", "test"):
        old, new = getattr(before, part), getattr(after, part)
        everything = np.arange(len(old))
        pairs = [sorted(zip(split.contents.read(everything), split.labels, strict=True)) for split in (old, new)]
        assert pairs[0] == pairs[1]
    record = next(tf.data.TFRecordDataset(str(tmp_path / "out" / "test-00000-of-00001")).as_numpy_iterator())
    features = tf.train.Example.FromString(record).features.feature
    assert features["image/height"].int64_list.value == [12]
    assert features["image/width"].int64_list.value == [16]
    assert features["image/class/text"].bytes_list.value[0] in (b"red", b"blue")
    with pytest.raises(InputError, match="exists"):
        prepare(before, tmp_path / "out")


def test_prepare_reduces_large_images(tmp_path):
    for number in range(12):
        folder = tmp_path / "in" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.full((40, 60, 3), 20 * number, np.uint8)
        (folder / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    prepare(load_dataset(tmp_path / "in"), tmp_path / "out", shorter_side=20)
    split = load_dataset(tmp_path / "out").train
    assert {tf.io.decode_image(x).shape.as_list()[:2] == [20, 30] for x in split.contents.read(range(4))} == {True}


def test_an_interrupted_preparation_leaves_nothing(digits, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_resnet.data.preparation.example", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(digits, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.proof
def test_arrays_are_prepared_as_png(digits, tmp_path):
    prepare(digits, tmp_path / "digits", shards=2)
    again = load_dataset(tmp_path / "digits", image_shape=(32, 32, 3))
    batch = next(iter(batches(again.test, 360)))
    sums = sorted(zip(batch["image"].numpy().sum((1, 2, 3)), batch["label"].numpy(), strict=True))
    assert sums == sorted(zip(digits.test.images.sum((1, 2, 3), dtype=int), digits.test.labels, strict=True))


def test_random_parts_of_records(folder):
    split = load_dataset(folder, image_shape=(4, 4, 3)).train
    pipeline = training_batches(split, 4, seed=1, augment=get_augmentation("resized-crop", "image"))
    batch = next(iter(pipeline))
    np.testing.assert_array_equal(batch["image"].numpy()[:, 0, 0, 0] % 2, batch["label"].numpy())


def test_the_command_prepares_and_says_how_to_go_on(image_folder, tmp_path, capsys):
    status = cli.main(["prepare", str(image_folder), str(tmp_path / "out"), "--json", str(tmp_path / "x.json")])
    assert status == 0
    assert "keras-resnet train --data " in capsys.readouterr().out
    assert json.loads((tmp_path / "x.json").read_text())["images"]["train"] == 32
    assert cli.main(["prepare", str(image_folder), str(tmp_path / "out")]) == 2


def test_imagenet_is_a_folder_with_a_name(folder):
    dataset = load_dataset("imagenet", folder, (4, 4, 3))
    assert dataset.name == "imagenet"
    assert len(dataset.test.labels) == 6
    with pytest.raises(InputError, match="needs its f(iles|older): --data "):
        load_dataset("imagenet")


@pytest.mark.slow
def test_sets_of_tensorflow_datasets(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed: extra 'datasets'")

    class GreyLevels(tfds.core.GeneratorBasedBuilder):
        pkg_dir_path = tmp_path  # a test is no package
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["even", "odd"]),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(0, 40), "test": self._generate_examples(100, 110)}

        def _generate_examples(self, first, last):
            for level in range(first, last):
                yield level, {"image": np.full((5, 7, 3), level, np.uint8), "label": level % 2}

    dataset = load_dataset("tfds:grey_levels", tmp_path, (4, 4, 3))
    assert dataset.classes == ("even", "odd")
    assert dataset.name == "tfds:grey_levels"
    assert sorted(_levels(dataset.test)) == list(range(100, 110))
    whole = joined(dataset.train, dataset.validation)
    assert sorted(_levels(whole)) == list(range(40))
    np.testing.assert_array_equal(_levels(whole) % 2, whole.labels)
    with pytest.raises(InputError, match="cannot open no_such_set"):
        load_dataset("tfds:no_such_set", tmp_path)


@pytest.mark.slow
def test_a_record_that_is_damaged_after_its_index_was_made_is_one_line(folder, capsys):
    records.load(folder, (8, 6, 3))
    path = folder / "validation-00000-of-00001"
    sound = path.read_bytes()
    for old, new in ((b"image/encoded", b"image/enc\x89ded"), (b"PNG", b"P\x80G")):
        path.write_bytes(sound.replace(old, new))

        def work():
            data = records.load(folder, (8, 6, 3))
            for split in (data.train, data.validation, data.test):
                list(batches(split, 4))

        assert console.run(work) == 2
        assert "its file has changed or is damaged" in capsys.readouterr().err
    (folder / records.LABELS).write_bytes(b"caf\xe9\n")
    with pytest.raises(InputError, match="a name per line in UTF-8"):
        records.load(folder, (8, 6, 3))


def test_an_index_whose_records_lie_outside_of_their_files_is_refused(folder):
    records.load(folder, (8, 6, 3))
    index = folder / records.INDEX
    table = dict(np.load(index))
    for name, value in (("length", 1 << 40), ("offset", -5), ("shard", 99)):
        np.savez(index, **{**table, name: np.full_like(table[name], value)})
        with pytest.raises(InputError, match="is damaged .*its records lie"):
            records.load(folder, (8, 6, 3))
    for content in (b"PK damaged", (folder / "train-00000-of-00002").read_bytes()):
        index.write_bytes(content)
        with pytest.raises(InputError, match="delete it, it will be made anew"):
            records.load(folder, (8, 6, 3))


def test_class_names_keep_other_separators_than_line_ends(tmp_path):
    from PIL import Image

    names = ("gr\u2028een", "r\u0085ed")
    for name in names:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(8):
            picture = Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8))
            picture.save(tmp_path / "photos" / name / f"{number}.png")
    prepare(load_dataset(tmp_path / "photos"), tmp_path / "records", shards=1)
    assert load_dataset(tmp_path / "records", image_shape=(8, 8, 3)).classes == names
    (tmp_path / "photos" / names[0]).rename(tmp_path / "photos" / "a\nb")
    with pytest.raises(InputError, match="without line ends"):
        prepare(load_dataset(tmp_path / "photos"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_class_folder_in_another_encoding_is_refused_in_one_line(tmp_path):
    for name in (b"ok", b"r\xffd"):
        folder = os.fsencode(tmp_path) + b"/" + name
        os.mkdir(folder)
        with open(folder + b"/0.png", "wb") as file:
            file.write(b"x")
    with pytest.raises(InputError, match=r"class folder .* is not UTF-8: rename it"):
        load_dataset(tmp_path)
