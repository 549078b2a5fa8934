"""Tables of labels: what people write becomes splits with their truth, and what cannot be right is one line."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GroupKFold

from export.making import representative
from keras_resnet import InputError, ModelCard, load_dataset
from keras_resnet.data import batches, prepare, tables
from keras_resnet.data.dataset import names_of
from keras_resnet.data.parts import complete
from keras_resnet.data.sources import find_source, truth_of
from keras_resnet.data.splits import grouped
from keras_resnet.data.tables import parse_columns
from keras_resnet.data.truth import strata
from keras_resnet.evaluation.examples import dataset_for
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.tasks.table import task_of

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Forty images below `photos/`; every file's grey value is its number."""
    root = tmp_path_factory.mktemp("tables")
    (root / "photos").mkdir()
    for number in range(40):
        Image.new("RGB", (12, 8), (number * 5,) * 3).save(root / f"photos/{number:02}.png")
    return root


def _write(root, name, rows, header=None):
    """A table as Python's csv module or json writes it."""
    path = root / name
    header = header or list(rows[0])
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, header, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def _rows(count=40, **more):
    """Files with a label of two, and columns made by functions of the number."""
    made = {"file": lambda n: f"photos/{n:02}.png", "label": lambda n: "ab"[n % 2], **more}
    return [{name: make(number) for name, make in made.items() if make} for number in range(count)]


def _refused(table, **options):
    with pytest.raises(InputError) as caught:
        load_dataset(table, image_shape=SHAPE, **options)
    said = str(caught.value)
    assert "\n" not in said and "\x1b" not in said, said
    return said


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_every_form_gives_the_same_splits(photos, suffix):
    found = load_dataset(_write(photos, f"one{suffix}", _rows()), image_shape=SHAPE)
    assert (found.classes, found.truth, found.signal) == (("a", "b"), "label", "image")
    parts = found.train, found.validation, found.test
    assert [len(part) for part in parts] == [32, 4, 4]
    files = [name for part in parts for name in names_of(part)]
    assert sorted(files) == sorted(map(str, (photos / "photos").glob("*.png")))
    for part in parts:
        assert Counter(part.labels.tolist()) == {0: len(part) // 2, 1: len(part) // 2}  # stratified
        (batch,) = batches(part, 64)
        numbers = batch["image"].numpy()[:, 0, 0, 0] // 5
        np.testing.assert_array_equal(batch["label"].numpy(), numbers % 2)  # a label stays with its file
        assert [int(name[-6:-4]) for name in names_of(part)] == numbers.tolist()
    reference = load_dataset(_write(photos, "other.csv", _rows()), image_shape=SHAPE)
    assert names_of(reference.test) == names_of(found.test)


class Frame:
    """What is asked of pandas' DataFrame; pandas itself is not needed."""

    def __init__(self, rows):
        self.columns, self._rows = tuple(rows[0]), rows

    def to_dict(self):
        raise NotImplementedError

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, name):
        return np.array([row[name] for row in self._rows] + [None], object)[:-1]


def test_a_dataframe_is_a_table(photos, monkeypatch):
    monkeypatch.chdir(photos)
    some = (["a", "b"], ["b"], None, float("nan"))
    frame = Frame(_rows(12, label=None, labels=lambda n: some[n % 4], split=lambda n: ("train", "test")[n > 8]))
    assert truth_of(frame) == "tags"
    found = load_dataset(frame, image_shape=SHAPE)
    assert (found.name, found.truth, found.classes) == ("DataFrame", "tags", ("a", "b"))
    assert names_of(found.test) == tuple(f"photos/{n:02}.png" for n in (9, 10, 11))
    assert found.test.truth["tags"].tolist() == [[0, 1], [0, 0], [0, 0]]
    elsewhere = load_dataset(frame, photos, SHAPE)
    assert names_of(elsewhere.test)[0] == str(photos / "photos/09.png")
    numbers = Frame(_rows(value=lambda n: None if n == 3 else np.float32(n), label=None))
    assert "row 3: 1 cells of value are no finite number (nothing)" in _refused(numbers)


@pytest.mark.parametrize(
    ("columns", "truth", "task", "names"),
    [
        ({"label": lambda n: n % 3}, "label", "classification", ("0", "1", "2")),  # integers are names of classes
        ({"label": lambda n: n % 11}, "label", "classification", tuple(map(str, range(11)))),  # 10 after 9
        ({"label": None, "labels": lambda n: ("red | blue", "", "blue")[n % 3]}, "tags", "multilabel", ("blue", "red")),
        ({"label": None, "value": lambda n: n % 3}, "values", "regression", ("value",)),
        ({"label": None, "value:kg": lambda n: n, "value:cm": lambda n: -n}, "values", "regression", ("kg", "cm")),
    ],
)
def test_the_name_of_the_column_decides_the_task(photos, columns, truth, task, names):
    path = _write(photos, "kinds.csv", _rows(**columns))
    assert (truth_of(path), task_of(truth_of(path)).name) == (truth, task)
    found = load_dataset(path, image_shape=SHAPE)
    assert (found.truth, found.classes) == (truth, names)
    for part in (found.train, found.validation, found.test):
        numbers = np.array([int(name[-6:-4]) for name in names_of(part)])
        own = part.truth[truth]
        if truth == "tags":
            assert own.dtype == np.uint8
            np.testing.assert_array_equal(own, np.array([[1, 1], [0, 0], [1, 0]])[numbers % 3])
        if names == ("kg", "cm"):
            assert own.dtype == np.float32
            np.testing.assert_array_equal(own, np.stack([numbers, -numbers], axis=1))
        np.testing.assert_array_equal(part.fetch([0])[truth], own[:1])


def test_two_kinds_need_a_word_and_another_kind_can_be_asked_for(photos):
    path = _write(photos, "both.csv", _rows(value=lambda n: n))
    assert "both.csv has the columns label and value: say what to learn with --task classification or" in _refused(path)
    assert load_dataset(path, image_shape=SHAPE, truth="values").truth == "values"
    counts = _write(photos, "counts.csv", _rows(label=lambda n: n % 4))
    found = load_dataset(counts, image_shape=SHAPE, truth="values")
    assert (found.classes, sorted(set(found.train.truth["values"][:, 0]))) == (("label",), [0, 1, 2, 3])
    assert "has no column value, which task regression needs" in _refused(
        _write(photos, "tags.csv", _rows(label=None, labels=None)), truth="values"
    )


def test_columns_are_renamed_by_what_a_person_says(photos):
    rows = [{"photo": row["file"], "breed": row["label"], "label": "x"} for row in _rows()]
    path = _write(photos, "own.csv", rows)
    found = load_dataset(path, image_shape=SHAPE, columns=parse_columns("file=photo, label=breed"))
    assert found.classes == ("a", "b")
    weights = [{"file": row["file"], "kilos": n} for n, row in enumerate(_rows())]
    found = load_dataset(_write(photos, "kilos.csv", weights), image_shape=SHAPE, columns={"value": "kilos"})
    assert found.classes == ("kilos",)
    assert "unknown column of " in (said := _refused(path, columns={"file": "phot"})) and "did you mean photo?" in said
    for text, said in (
        ("file", "--columns file: expected pairs like file=photo"),
        ("file=a,file=b", "file is there twice"),
        ("fil=a", "unknown meaning of a column 'fil': did you mean file"),
        ("value:=a", "unknown meaning of a column 'value:'"),
    ):
        with pytest.raises(InputError, match=said):
            parse_columns(text)
    with pytest.raises(InputError, match="--columns goes with a table"):
        load_dataset("digits", columns={"file": "photo"})
    with pytest.raises(InputError, match="fold 1 goes with a table"):
        load_dataset("digits", fold="1")


def test_splits_of_the_table_are_kept_and_missing_ones_are_taken_from_training(photos):
    whole = _write(photos, "s.csv", _rows(split=lambda n: ("train", "val", "Test")[(n > 29) + (n > 34)]))
    found = load_dataset(whole, image_shape=SHAPE)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [30, 5, 5]
    assert names_of(found.test)[0].endswith("35.png")
    partly = _write(photos, "p.csv", _rows(split=lambda n: ("train", "test")[n > 34]))
    found = load_dataset(partly, image_shape=SHAPE)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [31, 4, 5]
    assert set(names_of(found.test)) == {str(photos / f"photos/{n}.png") for n in range(35, 40)}


def test_a_group_is_never_divided(photos):
    found = load_dataset(_write(photos, "g.csv", _rows(group=lambda n: f"dog {n // 4}")), image_shape=SHAPE)
    parts = found.train, found.validation, found.test
    groups = [{int(name[-6:-4]) // 4 for name in names_of(part)} for part in parts]
    assert sum(map(len, groups)) == 10 and not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    assert [len(part) for part in parts] == [32, 4, 4]
    ungrouped = load_dataset(_write(photos, "u.csv", _rows()), image_shape=SHAPE)
    assert len({int(name[-6:-4]) // 4 for name in names_of(ungrouped.test)}) > 1  # what the groups prevent
    one = _write(photos, "g.csv", _rows(group=lambda n: "the same"))
    assert "1 groups: expected at least 3, as whole groups are taken for validation and test" in _refused(one)


def test_grouped_parts_are_those_of_scikit_learns_rules():
    groups, labels = np.repeat(np.arange(30), 5), np.tile([0, 0, 0, 1, 1], 30)
    rest, one, two = grouped(groups, labels, 15, 15)
    assert sorted([*rest, *one, *two]) == list(range(150))
    assert (len(one), len(two)) == (15, 15)
    for part in (rest, one, two):
        assert labels[part].mean() == pytest.approx(0.4)
    for test in (one, two):  # a fold that scikit-learn could have made: whole groups of that size
        assert {len(fold) for _, fold in GroupKFold(10).split(groups, groups=groups)} == {len(test)}
        assert all(np.isin(np.flatnonzero(groups == group), test).all() for group in groups[test])


def test_a_fold_can_be_the_test(photos, caplog):
    path = _write(photos, "f.csv", _rows(fold=lambda n: n % 10 // 2 + 1))
    found = load_dataset(path, image_shape=SHAPE)
    assert "fold 5 of " in caplog.text
    assert {int(name[-6:-4]) % 10 // 2 + 1 for name in names_of(found.test)} == {5}
    found = load_dataset(path, image_shape=SHAPE, fold="2")
    assert {int(name[-6:-4]) % 10 // 2 + 1 for name in names_of(found.test)} == {2}
    assert 2 not in {int(name[-6:-4]) % 10 // 2 + 1 for name in names_of(found.train) + names_of(found.validation)}
    assert "unknown fold of " in _refused(path, fold="7")
    assert "has no column fold" in _refused(_write(photos, "n.csv", _rows()), fold="7")


REFUSED = [  # columns of the table, and what is said
    ({"file": lambda n: f"photos/{n + 30}.png"}, "30 of 40 files are not there (photos/40.png, photos/41.png,"),
    ({"file": lambda n: "" if n == 3 else f"photos/{n:02}.png"}, "line 5: 1 rows name no file"),
    ({"file": lambda n: "photos/\x00.png"}, "bytes of value 0"),
    ({"label": lambda n: "" if n > 37 else "ab"[n % 2]}, "lines 40, 41: 2 rows have no label"),
    ({"label": lambda n: "rare" if n == 7 else "ab"[n % 2]}, "fewer than 3 readable training images (rare 1)"),
    ({"label": lambda n: "a"}, "has one label, a: expected two or more for task classification"),
    ({"label": None}, "has no column label, labels or value: it has file"),
    ({"label": None, "lable": lambda n: "a"}, "(did you mean that by lable?)"),
    ({"file": None, "fiel": lambda n: "a"}, "has no column file (or image, path) (did you mean that by fiel?)"),
    ({"split": lambda n: "trian"}, "40 rows have an unknown split (trian): expected train, validation"),
    ({"split": lambda n: "test"}, "has no row of the split train"),
    ({"splits": lambda n: "test"}, "has a column splits: did you mean split?"),
    ({"file": lambda n: f"photos/{n % 20:02}.png", "split": lambda n: ("train", "test")[n // 20]}, "train and in te"),
    ({"file": lambda n: f"photos/{n % 25:02}.png"}, "00.png is there twice, and not with the same label"),
    ({"group": lambda n: n % 5, "split": lambda n: ("train", "test")[n // 30]}, "group 0 is in train and in test"),
    ({"fold": lambda n: "1"}, "has one fold, 1: expected two or more"),
    ({"label": None, "value": lambda n: "nan" if n == 2 else n}, "line 4: 1 cells of value are no finite number (nan)"),
    ({"label": None, "value": lambda n: "-inf" if n == 2 else n}, "line 4: 1 cells of value are no finite number (-in"),
    ({"label": None, "value": lambda n: "1e39" if n == 2 else n}, "1 cells of value are no finite number (1e39)"),
    ({"label": None, "value": lambda n: "3,5"}, "40 cells of value are no finite number (3,5)"),
    ({"label": None, "value": lambda n: 7}, "value is the same in all training rows: nothing to learn"),
    ({"label": None, "labels": lambda n: ""}, "has no labels: expected two or more for task multilabel"),
    ({"label": lambda n: "\x1b[31m" if n == 1 else "ab"[n % 2]}, r"(\x1b[31m 1)"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "said"), REFUSED, ids=[said[:30] for _, said in REFUSED])
def test_what_cannot_be_right_is_refused_in_one_line(photos, columns, said):
    assert said in _refused(_write(photos, "wrong.csv", _rows(**columns)))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "has no rows"),
        ("t.csv", b"file,label\n", "has no rows"),
        ("t.csv", "file,label\nphotos/00.png,a\n".encode("utf-16"), "is in UTF-16: expected UTF-8"),
        ("t.csv", "file,label\nphotos/00.png,Bär\n".encode("latin-1"), "is not in UTF-8 (line 2)"),
        ("t.csv", b"file,label\nphotos/00.png\n", "line 2: 1 cells, expected 2 as in the first line"),
        ("t.csv", b"file,label,label\na,b,c\n", "has two columns label: rename one"),
        ("t.csv", b'file,label\n"photos/00.png,a\n' + b"x" * 140_000, "t.csv, after line 1: field larger"),
        (
            "t.csv",
            b",".join(b"%d" % n for n in range(1001)) + b"\n" + b"," * 1000,
            "has 1001 columns: expected at most",
        ),
        ("t.jsonl", b'{"file": "a"}\n[1]\n', "line 2: expected an object of JSON, received list"),
        ("t.jsonl", b'{"file": "a", "label": {}}\n', "received an object"),
        ("t.jsonl", b'{"file": "a\\u0000", "label": "b"}\n', "expected in file text without the character 0"),
        ("t.jsonl", b"[" * 200_000, "expected an object of JSON"),
        ("t.jsonl", b'{"file": "a", "labels": ["b|c"]}\n', "expected names without |"),
        ("gone.csv", None, "is not there: expected a table"),
    ],
)
def test_damaged_tables_are_refused_in_one_line(photos, name, content, said):
    if content is not None:
        (photos / name).write_bytes(content)
    assert said in _refused(photos / name)


def test_large_tables_are_refused_before_they_are_read(photos, monkeypatch):
    monkeypatch.setattr(tables, "_MOST_BYTES", 1 << 20)
    (photos / "large.csv").write_bytes(b"file,label\n" + b"a,b\n" * 300_000)
    assert "large.csv has more than 1 MB" in _refused(photos / "large.csv")


def test_tables_of_other_programs_are_understood(photos):
    lines = [f"photos\\{n:02}.png;{'ab'[n % 2]}" for n in range(40)]
    (photos / "excel.csv").write_bytes(("\ufeffFile;Label\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())
    assert load_dataset(photos / "excel.csv", image_shape=SHAPE).classes == ("a", "b")
    absolute = _rows(file=lambda n: str(photos / f"photos/{n:02}.png"))
    assert len(load_dataset(_write(photos, "abs.csv", absolute), image_shape=SHAPE).test) == 4
    quoted = _rows(label=lambda n: ('x, "y"', "b\nc")[n % 2])
    assert load_dataset(_write(photos, "q.csv", quoted), image_shape=SHAPE).classes == ("b\nc", 'x, "y"')


def test_pictures_none_of_which_can_be_read_are_counted_and_named(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    table = _write(tmp_path, "t.csv", _rows(4, file=lambda n: f"{n}.png", split=lambda n: "train"))
    said = _refused(table)
    assert f"none of the 4 pictures can be decoded ({tmp_path}/0.png, " in said and f"{tmp_path}/2.png, ...)" in said


class Two(Runner):
    """A model of two classes, whose card has its table's columns."""

    card = ModelCard(labels=("a", "b"), columns={"file": "photo", "label": "breed"})
    input = Tensor("image", (None, *SHAPE), "float32")
    outputs = (Tensor("probabilities", (None, 2), "float32"),)


def test_a_model_finds_the_columns_that_it_was_trained_with(photos):
    own = [{"photo": row["file"], "breed": row["label"]} for row in _rows()]
    table = _write(photos, "own.csv", own)
    assert len(dataset_for(Two(), str(table)).test) == 4
    with pytest.raises(InputError, match="unknown column of .*phot"):
        dataset_for(Two(), table, columns={"file": "phot"})
    assert len(dataset_for(Two(), _write(photos, "usual.csv", _rows())).test) == 4
    both = [{**new, "label": "ba"[number % 2]} for number, new in enumerate(own)]
    table = _write(photos, "both.csv", both)
    breeds, labels = dataset_for(Two(), table), dataset_for(Two(), table, columns={"file": "photo"})
    np.testing.assert_array_equal(breeds.test.labels, [int(name[-6:-4]) % 2 for name in names_of(breeds.test)])
    np.testing.assert_array_equal(labels.test.labels, [1 - int(name[-6:-4]) % 2 for name in names_of(labels.test)])


def test_test_rows_alone_are_enough_for_a_model(photos):
    table = _write(photos, "test.csv", _rows(9, split=lambda n: "test"))
    found = dataset_for(Two(), table)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [0, 0, 9]
    assert "has no row of the split train: expected some to learn from" in _refused(table)
    with pytest.raises(InputError, match="no training images: expected some to calibrate with"):
        representative.draw(found.train, set())
    some = _write(photos, "validation.csv", _rows(9, split=lambda n: "validation"))
    with pytest.raises(InputError, match="has no row of the split train"):
        dataset_for(Two(), some)


def test_repeated_rows_count_once_and_damaged_pictures_are_left_out(photos, caplog):
    (photos / "photos/bad.png").write_bytes(b"no picture")
    rows = [*_rows(), *_rows(2), {"file": "photos/bad.png", "label": "a"}]
    found = load_dataset(_write(photos, "r.csv", rows), image_shape=SHAPE)
    assert sum(map(len, (found.train, found.validation, found.test))) == 40
    assert found.unreadable == (photos / "photos/bad.png",)
    assert "2 rows of " in caplog.text and "1 pictures cannot be decoded" in caplog.text


def test_photographs_of_a_table_stand_upright(photos):
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = Image.fromarray(np.repeat(np.arange(16, dtype=np.uint8)[None, :, None] * 16, 8, 0).repeat(3, 2))
    for number in range(12):
        wide.save(photos / f"photos/lying{number}.jpg", exif=exif)
    rows = [{"file": f"photos/lying{n}.jpg", "label": "ab"[n % 2]} for n in range(12)]
    image = load_dataset(_write(photos, "l.csv", rows), image_shape=(16, 8, 3)).train.fetch([0])["image"][0]
    assert int(image[-2, 0, 0]) - int(image[1, 0, 0]) > 150 and np.ptp(image[8, :, 0]) < 30  # dark is up now


def test_a_folder_with_one_table_is_that_table(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(20):
        Image.new("RGB", (8, 8)).save(tmp_path / f"images/{number}.png")
    rows = [{"file": f"images/{n}.png", "label": "ab"[n % 2]} for n in range(20)]
    _write(tmp_path, "labels.csv", rows)
    assert find_source(str(tmp_path)).table
    assert load_dataset(tmp_path, image_shape=SHAPE).classes == ("a", "b")
    (tmp_path / "more").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "more/0.png")
    assert not find_source(str(tmp_path)).table  # class folders, with a table of something beside them
    (tmp_path / "more/0.png").unlink()
    _write(tmp_path, "second.csv", rows)
    assert not find_source(str(tmp_path)).table


def test_labels_of_a_model_keep_their_places(photos):
    path = _write(photos, "m.csv", _rows())
    found = load_dataset(path, image_shape=SHAPE, classes=("b", "c", "a"))
    assert found.classes == ("b", "c", "a") and set(found.train.labels.tolist()) == {0, 2}
    assert "unknown label in " in _refused(path, classes=("a", "c"))
    weights = _write(photos, "v.csv", _rows(label=None, value=lambda n: n))
    assert "has the values value: expected kg" in _refused(weights, classes=("kg",))


def test_class_folders_keep_their_paths_too(image_folder):
    found = load_dataset(image_folder, image_shape=SHAPE)
    assert len(names_of(found.train)) == len(found.train)
    assert {("blue", "red").index(name.split("/")[-2]) for name in names_of(found.test)} == {0, 1}
    assert [("blue", "red").index(name.split("/")[-2]) for name in names_of(found.test)] == found.test.labels.tolist()
    assert names_of(load_dataset("digits").test) == ()


def test_records_hold_labels_and_refuse_the_rest(photos, tmp_path):
    prepare(load_dataset(_write(photos, "rec.csv", _rows()), image_shape=SHAPE), tmp_path / "records", shards=1)
    again = load_dataset(tmp_path / "records", image_shape=SHAPE)
    assert (again.classes, len(again.train)) == (("a", "b"), 32)
    tags = load_dataset(_write(photos, "t.csv", _rows(label=None, labels=lambda n: "a" * (n % 2))), image_shape=SHAPE)
    with pytest.raises(InputError, match="has image and tags: prepare writes image and label"):
        prepare(tags, tmp_path / "tags")


def test_tags_and_values_are_divided_in_proportion():
    rng = np.random.default_rng(0)
    tags = (rng.random((400, 3)) < (0.9, 0.5, 0.05)).astype(np.uint8)
    found = strata({"tags": tags})
    rare = tags[:, 2] > 0
    assert len(set(found[rare].tolist())) == 1 and set(found[rare]).isdisjoint(found[~rare])  # the rarest tag decides
    values = rng.normal(size=(400, 2)).astype(np.float32)
    by_value = strata({"values": values})
    assert np.bincount(by_value).tolist() == [40] * 10
    assert all(values[by_value == k, 0].max() <= values[by_value == k + 1, 0].min() for k in range(9))
    assert set(strata({"values": values[:30]})) == {0}  # too few to be divided
    few = strata({"tags": tags[:12]})
    assert min(np.unique(few, return_counts=True)[1]) >= 10


def test_parts_of_tags_have_the_rare_one(photos):
    path = _write(photos, "rare.csv", _rows(label=None, labels=lambda n: "often" + "|rare" * (n % 4 == 0)))
    found = load_dataset(path, image_shape=SHAPE)
    assert [part.truth["tags"][:, 1].sum() for part in (found.train, found.validation, found.test)] == [8, 1, 1]
    assert complete({"train": found.train})["test"].truth["tags"].shape[1] == 2


def test_the_data_tell_the_task_of_a_recipe(photos, caplog):
    from keras_resnet.training import RECIPES
    from keras_resnet.training.inferred import for_task, task_for

    both = _write(photos, "both.csv", _rows(value=lambda n: n))
    assert task_for(both, task="regression") == "regression"
    assert task_for(_write(photos, "l.csv", _rows()), task="multilabel") == "multilabel"  # a label is a tag then
    assert task_for("digits") == "classification"
    with pytest.raises(InputError, match="unknown task 'regresion': did you mean regression"):
        task_for(both, task="regresion")
    recipe = RECIPES["digits-resnet8"]
    assert for_task(recipe, "classification") is recipe
    made = for_task(recipe, "multilabel")
    assert (made.task, made.epochs, made.head.loss, made.expected) == ("multilabel", recipe.epochs, "binary", ())
    assert made.label_smoothing == recipe.label_smoothing
    mixing = next(row for row in RECIPES.values() if row.mixup)
    assert for_task(mixing, "multilabel").mixup == mixing.mixup and not caplog.text
    assert for_task(mixing, "regression").mixup == 0 and "mixes images, which task regression" in caplog.text
