"""What an attacker's or a damaged file, text or picture may do: one line, and no more."""

import io
import json
import shutil
import sys
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet import GateError, InputError, cli, console, page, pictures
from keras_resnet.card import MEMBER, ModelCard
from keras_resnet.labels import read_labels
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.runtime.opening import SECONDS, open_runner
from keras_resnet.signals.conventions import Preprocess
from keras_resnet.training import RECIPES, comparison, run
from keras_resnet.training.result import read_result

DEEP = "[" * 100_000 + "]" * 100_000
NAMES = ("\x1b[31mred\x1b]0;x\x07", "$\\frac$", "🐞", "甲虫", "a|b<c>`", *"56789")


@pytest.fixture(scope="module")
def small(mini_spec, tmp_path_factory):
    """A small model file."""
    path = tmp_path_factory.mktemp("small") / "small.keras"
    keras_resnet.save_model(keras_resnet.build(mini_spec), path, ModelCard(labels=NAMES))
    return path


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "d.png"
    path.write_bytes(tf.io.encode_png(np.full((32, 32, 3), 90, np.uint8)).numpy())
    return str(path)


def _changed(small, path, **members):
    """The archive with other members; `config` is `config.json`, `card` the card."""
    members = {{"config": "config.json", "card": MEMBER}[name]: text for name, text in members.items()}
    with zipfile.ZipFile(small) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for each in old.infolist():
            if each.filename not in members:
                new.writestr(each.filename, old.read(each))
        for name, text in members.items():
            new.writestr(name, text)
    return path


def _card(**changes):
    return json.dumps({**json.loads(ModelCard().dumps()), **changes})


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ('{"facts": ' + DEEP + "}", "nested more than 32"),
        (_card(preprocess={"mean": [float("nan")]}), "illegal input convention"),
        (_card(preprocess={"std": [float("inf")]}), "illegal input convention"),
        (_card(preprocess={"mean": [1, 2, 3, 4, 5], "std": [1, 2, 3]}), "illegal input convention"),
        (_card(preprocess={"mean": [10**400]}), "too large"),
        (_card(labels={"a": 1}), "expected a list"),
        (_card(spec=[1]), "spec=.*expected a name"),
        (_card(crop=float("nan")), "crop"),
    ],
)
def test_a_card_that_is_none_is_refused(card, said):
    with pytest.raises(InputError, match=said):
        ModelCard.loads(card, "x.keras")


def test_a_convention_of_other_channels_is_refused(small, tmp_path):
    five = _changed(small, tmp_path / "five.keras", card=_card(preprocess={"mean": [1, 2, 3, 4, 5]}))
    with pytest.raises(InputError, match="5 values of mean, its input 3 channels"):
        open_runner(five)


def test_a_deep_network_is_refused_before_keras_reads_it(small, tmp_path):
    deep = _changed(small, tmp_path / "deep.keras", config=DEEP)
    for opened in (keras_resnet.load_model, lambda path: keras_resnet.build("resnet8", weights=path)):
        with pytest.raises(InputError, match=r"config\.json: lists or objects nested more than 200 deep"):
            opened(deep)


def test_an_input_of_ten_gigabytes_is_refused_before_it_is_made(small, tmp_path):
    with zipfile.ZipFile(small) as archive:
        config = archive.read("config.json").decode().replace("[null, 32, 32, 3]", "[null, 60000, 60000, 3]")
    with pytest.raises(InputError, match="10,800,000,000 numbers"):
        keras_resnet.load_model(_changed(small, tmp_path / "large.keras", config=config))


def test_a_network_that_opens_and_cannot_be_run_is_one_line(small, image, tmp_path, capsys):
    with zipfile.ZipFile(small) as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["name"] = "\x1b[31m"  # TensorFlow wants to make a scope of it
    odd = _changed(small, tmp_path / "odd.keras", config=json.dumps(config))
    assert cli.main(["predict", "--model", str(odd), image]) == 2
    said = capsys.readouterr().err
    assert r"cannot be run (damaged, or a layer of it fails): " in said
    assert r"'\x1b[31m' is not a valid" in said


def test_labels_and_files_of_a_run_are_parsed_within_limits(tmp_path):
    (tmp_path / "labels.json").write_text(DEEP)
    with pytest.raises(InputError, match="nested more than 32"):
        read_labels("labels.json", 10)
    sound = {"recipe.json": RECIPES["digits-resnet8"].dumps(), "environment.json": "{}", "result.json": "{}"}
    for name, text, said in (
        ("recipe.json", DEEP, "nested more than 32"),
        ("recipe.json", b'{"name": "\xff"}', "codec"),
        ("recipe.json", sound["recipe.json"].replace('"epochs": ', '"epochs": "x", "was": '), "settings|expected"),
        ("recipe.json", sound["recipe.json"].replace('"dataset": "digits"', '"dataset": {}'), "dataset={}"),
        ("environment.json", '"x"', "expected an object"),
        ("environment.json", '{"watched": 3}', "expected an object"),
        ("environment.json", '{"packages": 3}', "damaged"),
        ("result.json", "[1]", "expected an object"),
        ("result.json", '{"seconds": "x", "interrupted": false}', "damaged"),
        ("metrics.csv", "loss\nx\n", "damaged"),
    ):
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for each, content in {**sound, name: text}.items():
            (folder / each).write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(InputError, match=said):
            run.reopen(None, folder)
            comparison.read([folder])
        if name == "result.json":
            with pytest.raises(InputError, match="damaged"):
                read_result(folder)


def test_weight_files_with_faults_inside_are_one_line(tmp_path, monkeypatch):
    model = keras_resnet.build("resnet8")

    def fails(*arguments, **options):
        raise RuntimeError("Unable to synchronously get link: bad local heap")

    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv1_conv"]
    with monkeypatch.context() as patch:
        patch.setattr(h5py.Group, "__contains__", fails)
        patch.setattr(h5py.AttributeManager, "__contains__", fails)
        with pytest.raises(InputError, match="no readable HDF5 file"):
            keras_resnet.load_weights(model, tmp_path / "w.h5")
    packed = io.BytesIO()
    np.lib.format.write_array_header_1_0(packed, {"descr": "<f4", "fortran_order": False, "shape": (10**7, 10**7)})
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("conv1_conv/kernel.npy", packed.getvalue() + bytes(16))
    with pytest.raises(InputError, match="claims 400,000,000,000,000 bytes"):
        keras_resnet.load_weights(model, tmp_path / "w.npz")


# ---- engines


def _onnx(path, nodes, *constants):
    """A file whose input is an image and whose output is `y`."""
    from onnx import TensorProto, helper, save

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(nodes, "g", [value("x", [1, 32, 32, 3])], [value("y", None)], constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def _endless(path):
    from onnx import TensorProto, helper

    def value(name, kind, shape=()):
        return helper.make_tensor_value_info(name, kind, shape)

    inside = [helper.make_node("Identity", [a], [b]) for a, b in (("c", "again"), ("v", "same"))]
    given = [value("i", TensorProto.INT64), value("c", TensorProto.BOOL), value("v", TensorProto.FLOAT, None)]
    body = helper.make_graph(
        inside, "b", given, [value("again", TensorProto.BOOL), value("same", TensorProto.FLOAT, None)]
    )
    loop = helper.make_node("Loop", ["", "t", "x"], ["y"], body=body)
    return _onnx(path, [loop], helper.make_tensor("t", TensorProto.BOOL, [], [True]))


@pytest.mark.slow
def test_an_engine_that_computes_for_ever_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv(SECONDS, "1")
    with pytest.raises(InputError, match="did not answer within 1 s"):
        open_runner(_endless(tmp_path / "loop.onnx"))
    monkeypatch.setenv(SECONDS, "soon")
    with pytest.raises(InputError, match=f"{SECONDS}=soon: expected seconds"):
        open_runner(tmp_path / "loop.onnx")


@pytest.mark.slow
def test_an_engine_that_wants_ten_gigabytes_gets_none(tmp_path):
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["z"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])),
        helper.make_node("ReduceSum", ["z"], ["r"], keepdims=0),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    large = _onnx(tmp_path / "large.onnx", nodes, helper.make_tensor("s", TensorProto.INT64, [1], [2_500_000_000]))
    with pytest.raises(InputError, match=r"large\.onnx (cannot be run|crashes its engine)"):
        open_runner(large)


@pytest.mark.slow
def test_a_saved_model_runs_only_where_it_is_trusted(image, tmp_path, capsys):
    class Evil(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 32, 32, 3), tf.float32, name="image")])
        def serve(self, x):
            tf.io.write_file(str(tmp_path / "written"), "x")
            return {"probabilities": tf.nn.softmax(tf.reshape(x, (tf.shape(x)[0], -1))[:, :10])}

    module = Evil()
    tf.saved_model.save(module, str(tmp_path / "evil.savedmodel"), signatures={"serving_default": module.serve})
    written = tmp_path / "written"
    written.unlink(missing_ok=True)
    model = ["--model", str(tmp_path / "evil.savedmodel")]
    for arguments in (
        ["predict", *model, image],
        ["evaluate", *model, "--data", "digits"],
        ["explain", *model, image, "-o", "x.png"],
    ):
        assert cli.main(arguments) == 2
        assert "--trust" in capsys.readouterr().err
    assert not written.exists()
    assert cli.main(["predict", "--trust", *model, image]) == 0
    assert written.exists()


@pytest.mark.parametrize("command", ["predict", "evaluate", "explain"])
def test_help_says_what_trust_means(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--trust open a .savedmodel folder, which can run any operation" in said
    assert SECONDS in said


# ---- texts


def test_class_names_reach_the_terminal_written_out(small, image, capsys):
    assert cli.main(["predict", "--model", str(small), image]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\x07" not in said.out
    console.print_table("a\x1b[2J", ("b",), [(NAMES[0],)])
    out = capsys.readouterr().out
    assert r"a\x1b[2J" in out
    assert r"\x1b[31mred\x1b]0;x\x07" in out
    assert console.run(lambda: (_ for _ in ()).throw(InputError("no\x1b[31m"))) == 2
    assert capsys.readouterr().err == "error: no\\x1b[31m\n"


def test_class_names_reach_pages_written_out():
    made = page.table("t", ("name",), [(NAMES[0],), ("<b>",)])
    assert r"\x1b[31mred" in made
    assert "&lt;b&gt;" in made
    assert "\x1b" not in made


def test_pictures_take_any_name_without_a_warning():
    for draw in (lambda made: pictures.svg(made, "x"), pictures.png):
        made = pictures.figure(3, 3)
        axes = made.subplots()
        axes.set(title="\n".join(NAMES[:4]), xlabel="$x", yscale="log")
        axes.plot([1, 10, 100])
        assert draw(made)


def test_c_libraries_write_nothing_about_damaged_pictures(image, tmp_path, capfd):
    broken = tmp_path / "broken.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    broken.write_bytes(tf.io.encode_jpeg(noise).numpy()[:700])
    for name in "ab":
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(4):
            shutil.copy(image, folder / f"{number}.png")
        shutil.copy(broken, folder / "broken.jpg")
    assert len(keras_resnet.load_dataset(tmp_path / "photos", image_shape=(8, 8, 3)).unreadable) == 2
    with console.without_chatter():
        print("python's own", file=sys.stderr)
    assert capfd.readouterr().err == "python's own\n"


# ---- answers and settings


def test_answers_that_are_no_numbers_end_with_status_1(small, image, digits, capsys):
    model, card = keras_resnet.load_model(small)
    model.layers[1].set_weights([np.full_like(each, np.nan) for each in model.layers[1].get_weights()])
    keras_resnet.save_model(model, "nan.keras", card)
    assert cli.main(["predict", "--model", "nan.keras", image]) == 1
    said = capsys.readouterr()
    assert "nan%" not in said.out
    assert f"answers NaN or infinity for {image}" in said.err
    runner = KerasRunner(model, card)
    with pytest.raises(GateError, match="NaN or infinity"):
        keras_resnet.evaluate(runner, keras_resnet.data.dataset.sampled(digits.test, 40))


def test_an_image_size_is_refused_where_the_data_have_one(capsys):
    command = ["train", "--recipe", "digits-resnet8", "--set", "epochs=1", "--set"]
    assert cli.main([*command, "image_size=5"]) == 2
    assert "image_size=5: the images of digits have one size, 32 x 32" in capsys.readouterr().err


def test_conventions_are_finite():
    with pytest.raises(InputError, match="illegal input convention"):
        Preprocess(mean=(float("nan"),))
