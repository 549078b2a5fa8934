"""Work on a cluster without one: places, shards, rounds, and workers called as Ray calls them.

Ray itself: test_check_ray.py.
"""

import contextlib
import json
import os
import sys
import types

import numpy as np
import pytest
from PIL import Image

from keras_resnet import __version__, cli
from keras_resnet.cluster import jobs, models, places, predicting, preparing, session
from keras_resnet.cluster.shards import Shards
from keras_resnet.data import load_dataset, prepare
from keras_resnet.errors import GateError, InputError
from keras_resnet.evaluation import bulk
from keras_resnet.runtime.foreign import NO_HINTS
from keras_resnet.runtime.opening import open_named

pytest.importorskip("pyarrow", reason="extra parquet is not installed")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster") / "photos"
    rng = np.random.default_rng(0)
    for number in range(40):
        path = folder / ("cat", "dog")[number % 2] / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(path)
    (folder / "cat" / "bad.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture
def ray(monkeypatch):
    """A module in the place of Ray, for workers."""
    module = types.ModuleType("ray")
    module.get = lambda reference: reference
    monkeypatch.setitem(sys.modules, "ray", module)


def here(job, rows):
    """A job in this process, by the functions that Ray calls."""
    worker = job.worker(__version__, job.what)
    for row in rows:
        yield worker(jobs._with_contents({"shard": row["shard"], "row": json.dumps(row)}))


@pytest.mark.slow
@pytest.mark.parametrize("address", ["", "file://"])
def test_answers_are_those_of_the_plain_command(photos, tmp_path, monkeypatch, ray, address):
    monkeypatch.setattr(jobs, "_streamed", here)
    monkeypatch.setattr(session, "connected", lambda address: contextlib.nullcontext())
    monkeypatch.setattr(places, "_SHARD_FILES", 18)
    texts = [f"{address}{photos}", f"{address}{photos}/none.jpg"]
    files = predicting.expanded(texts, [".jpg"])
    packed = models.packed("resnet8", "digits", NO_HINTS)
    found = list(predicting.answers("local", files, packed, None, 3, tmp_path / "a.csv"))
    runner = open_named("resnet8", "digits")
    paths = bulk.listed([str(photos), f"{photos}/none.jpg"], [".jpg"])
    expected = list(bulk.answers(runner, paths, runner.card, 3))
    assert [each.name for each in files] == [f"{address}{path}" for path in paths]
    for each, plain in zip(found, expected, strict=True):
        if isinstance(plain, bulk.Unreadable):
            assert each.reason == plain.reason.replace(str(photos), address + str(photos))
        else:
            own, fields = each.to_json(), plain.to_json()
            assert own["image"] == address + fields["image"]
            for one, other in zip(own["top"], fields["top"], strict=True):  # batches of other sizes may round otherwise
                assert one == {**other, "probability": pytest.approx(other["probability"], rel=1e-4)}
            assert json.loads(json.dumps(plain.rows())) == list(each.rows())
    assert len(list((tmp_path / "a.csv.shards").glob("*.jsonl"))) == 3
    predicting.forget(tmp_path / "a.csv")
    assert not list(tmp_path.glob("a.csv*"))


def test_prepared_files_are_those_of_the_plain_command(photos, tmp_path, monkeypatch, ray):
    monkeypatch.setattr(jobs, "_streamed", here)
    monkeypatch.setattr(session, "connected", lambda address: contextlib.nullcontext())
    plain = prepare(load_dataset(photos), tmp_path / "plain", shards=2, shorter_side=20)
    with preparing.source(f"file://{photos}") as given:
        found = preparing.prepare("local", given, load_dataset, tmp_path / "b", shards=2, shorter_side=20)
    assert found.to_json() == {**plain.to_json(), "folder": str(tmp_path / "b")}
    names = sorted(path.name for path in plain.folder.iterdir())
    assert names == sorted(path.name for path in found.folder.iterdir())
    for name in names:
        assert (plain.folder / name).read_bytes() == (found.folder / name).read_bytes(), name


def failing(times, final=False):
    """A stream in which the first row fails so often."""
    calls = []

    def streamed(job, rows):
        calls.append([row["shard"] for row in rows])
        for row in rows:
            bad = row["shard"] == 0 and len(calls) <= times
            if not bad or job.what != "lost":
                error = "ValueError: broken" if bad else ""
                yield {"shard": row["shard"], "result": b"x", "error": error, "final": final and bad}

    return calls, streamed


ROWS = [{"shard": number, "addresses": [("", f"{number}.jpg")]} for number in range(3)]


@pytest.mark.parametrize("what", ["error", "lost"])
def test_what_fails_is_done_again_and_only_that(monkeypatch, what):
    calls, streamed = failing(2)
    monkeypatch.setattr(jobs, "_streamed", streamed)
    job = jobs.Job(worker=jobs.Worker, what=what, here=True, title="t")
    assert sorted(jobs.finished(job, ROWS)) == [(0, b"x"), (1, b"x"), (2, b"x")]
    assert calls == [[0, 1, 2], [0], [0]]


@pytest.mark.parametrize(
    ("what", "final", "count", "said"),
    [
        ("error", False, 3, "1 shards were not done in 3 rounds; number 0, 0.jpg to 0.jpg: ValueError: broken"),
        ("lost", False, 3, "no worker gave an answer: each was lost"),
        ("error", True, 1, "ValueError: broken"),
    ],
)
def test_what_always_fails_ends_the_job_and_keeps_the_rest(monkeypatch, what, final, count, said):
    calls, streamed = failing(9, final)
    monkeypatch.setattr(jobs, "_streamed", streamed)
    job = jobs.Job(worker=jobs.Worker, what=what, here=True, title="t")
    kept = []
    with pytest.raises(GateError, match=said):
        kept.extend(jobs.finished(job, ROWS))
    assert len(calls) == count


def test_another_version_at_a_worker_is_said(ray):
    row = jobs._with_contents({"shard": 0, "row": json.dumps({"shard": 0, "addresses": []})})
    answer = jobs.Worker("0.0.1", None)(row)
    assert answer["final"] and "the command 0.0.1: install the same" in answer["error"]


def test_contents_keep_their_zeros_and_names_their_bytes(tmp_path):
    name = os.fsdecode(b"\xff.jpg")
    (tmp_path / name).write_bytes(b"a\0\0")
    addresses = [("", str(tmp_path / name)), ("", str(tmp_path / "none")), ("", str(tmp_path / name))]
    row = jobs._with_contents({"shard": 0, "row": json.dumps({"addresses": addresses})})
    first, missing, last = jobs._apart(row["contents"], json.loads(row["read"]))
    assert first == last == b"a\0\0"
    assert missing.endswith("none cannot be read: No such file or directory")


def test_a_file_elsewhere_is_asked_for_three_times(monkeypatch):
    calls = []

    class System:
        def open_input_stream(self, path):
            calls.append(path)
            raise OSError("503 slow down")

    monkeypatch.setattr(places, "_opened", lambda address: (System(), "x"))
    monkeypatch.setattr(places, "_PAUSE", 0)
    with pytest.raises(InputError, match=r"^s3://bucket/x.jpg cannot be read: 503 slow down$"):
        places.read(places.Address("s3://user:secret@bucket/x.jpg?endpoint_override=http"))
    assert len(calls) == 3


def test_shards_of_another_call_are_refused(tmp_path):
    folder = tmp_path / "a.shards"
    Shards(folder, {"top": 5}).put("0", b"x")
    assert Shards(folder, {"top": 5}).has("0") and not Shards(folder, {"top": 5}).has("1")
    with pytest.raises(InputError, match="another top: repeat that call, remove the folder"):
        Shards(folder, {"top": 4})
    (folder / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match="another top and version"):
        Shards(folder, {"top": 5})
    (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match="has no manifest"):
        Shards(folder, {"top": 5})


def test_the_digest_of_a_model_tells_models_apart_and_not_places(tmp_path, monkeypatch):
    for name, contents in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.tflite").write_bytes(contents)
    one, same, other = (models.packed(str(tmp_path / name / "m.tflite"), None, NO_HINTS).digest() for name in "abc")
    assert one == same != other
    assert models.packed("resnet8", "digits", NO_HINTS).digest() != models.packed("resnet8", "none", NO_HINTS).digest()


def test_names_in_a_listing_stay_inside(monkeypatch):
    fs = pytest.importorskip("pyarrow.fs")

    class Info:
        size, mtime_ns, type = 1, 1, fs.FileType.File

        def __init__(self, path, kind=fs.FileType.File):
            self.path, self.type = path, kind

    class System:
        def get_file_info(self, what):
            return (
                Info("b", fs.FileType.Directory)
                if isinstance(what, str)
                else [Info("b/../../x.jpg"), Info("b/a/x.jpg"), Info("b/.git/x.jpg")]
            )

    monkeypatch.setattr(places, "_opened", lambda address: (System(), "b"))
    expected = places.Place("s3://b/a/x.jpg", places.Address("s3://b?q=1", "b/a/x.jpg"), "1:1")
    assert places.listed("s3://b?q=1") == [expected]
    assert expected.facts() == ("s3://b/a/x.jpg", "s3://b", "q=1", "1:1")


def test_names_of_a_listing_are_kept_as_they_are(tmp_path):
    """Marks that mean something in an address, and nothing in a name."""
    names = ["a#1.png", "a#2.png", "p%41.png", "q?x.png", "ü 1.png"]
    (tmp_path / "odd").mkdir()
    for name in names:
        (tmp_path / "odd" / name).write_bytes(name.encode())
    found = places.listed(f"file://{tmp_path}/odd")
    assert [each.name for each in found] == [f"file://{tmp_path}/odd/{name}" for name in names]
    assert list(places.read_all([each.address for each in found])) == [name.encode() for name in names]


@pytest.mark.parametrize(("name", "said"), [(b"\n..", "control characters"), (b"\xff.png", "not UTF-8")])
def test_names_of_a_listing_that_mislead_are_refused(tmp_path, name, said):
    folder = os.fsencode(tmp_path) + b"/odd/" + name
    os.makedirs(folder)
    with open(folder + b"/x.csv", "wb") as file:
        file.write(b"attack")
    with pytest.raises(InputError, match=said), preparing.source(f"file://{tmp_path}/odd"):
        pass


def test_a_table_elsewhere_names_files_beside_it(photos, tmp_path, monkeypatch, ray):
    monkeypatch.setattr(jobs, "_streamed", here)
    monkeypatch.setattr(session, "connected", lambda address: contextlib.nullcontext())
    table = photos.parent / "table.csv"
    table.write_text("file,label\n" + "".join(f"{p},{p.parent.name}\n" for p in photos.rglob("[0-9]*.jpg")))
    with preparing.source(f"file://{table}") as given, pytest.raises(InputError, match="is no file below file:///"):
        preparing.prepare("local", given, load_dataset, tmp_path / "b")
    with pytest.raises(InputError, match="cannot be read: No such file"), preparing.source(f"file://{table}.csv"):
        pass


def test_shards_are_cut_by_files_and_by_bytes():
    sizes = [1] * 300 + [40_000_000, 40_000_000, 100_000_000, 1]
    given = [places.Place(str(n), places.Address("", str(n)), f"{size}:0") for n, size in enumerate(sizes)]
    cuts = places.cut(given)
    assert [(each.start, each.stop) for each in cuts] == [(0, 256), (256, 301), (301, 302), (302, 303), (303, 304)]
    assert places.cut([]) == []


def test_a_file_that_was_repaired_is_looked_at_again(tmp_path, monkeypatch, ray, photos, capsys):
    """One bad file leaves no shard; one without a table's other files is asked for its time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "_streamed", here)
    monkeypatch.setattr(session, "connected", lambda address: contextlib.nullcontext())
    monkeypatch.setattr(session, "check", lambda address: None)
    (tmp_path / "one.png").write_bytes(b"bad")
    model = ["predict", "--model", "resnet8", "--weights", "digits", "-o", "a.csv", "--ray", "local"]
    assert cli.main([*model, f"file://{tmp_path}/one.png"]) == 2
    (tmp_path / "one.png").write_bytes((photos / "cat" / "00.jpg").read_bytes())
    assert cli.main([*model, f"file://{tmp_path}/one.png"]) == 0, capsys.readouterr().err
    assert not (tmp_path / "a.csv.shards").exists()


@pytest.mark.parametrize("name", ["./m.keras", "sub//m.keras"])
def test_a_model_is_packed_by_any_spelling_of_its_path(tmp_path, monkeypatch, name):
    from keras_resnet import build, save_model

    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "resnet8").mkdir()  # a folder that has the name of a row
    save_model(build("resnet8", weights="digits"), name)
    (tmp_path / "at-the-worker").mkdir()
    packed = models.packed(name, None, NO_HINTS)
    assert packed.opened(str(tmp_path / "at-the-worker")).card.spec == "resnet8"
    assert not models.packed("resnet8", "digits", NO_HINTS).files


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ["predict", "--model", "m.keras", "x.jpg", "-o", "a.csv", "--ray", "ray://h:1"],
            "expected HOST:PORT",
        ),
        (["predict", "--model", "m.keras", "x.jpg", "-o", "a.csv", "--ray", "local"], "toolkit[ray]"),
        (["prepare", "--data", "s3://b/x", "-o", "d", "--ray", "auto"], "toolkit[ray]"),
        (["prepare", "--data", "s3://b/x", "-o", "d"], "--ray"),
        (["predict", "--model", "m.keras", "x.jpg", "-o", "a.csv", "--ray", ""], "expected HOST:PORT"),
        (["predict", "--model", "resnet8", "--weights", "digits", "s3://b/x.jpg"], "read it through Ray, --ray local"),
    ],
)
def test_what_is_missing_is_said_in_a_line(command, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keras_resnet.extras.is_there", lambda module: module != "ray")
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
