"""One program, one name for each option: the table in docs/commands.md, old spellings, folders with a user's files."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export import program as programs
from export.commands import table
from keras_resnet import cli, flags, processes, program
from keras_resnet.data import load_dataset
from keras_resnet.data.sources import Named, locate
from keras_resnet.errors import InputError
from keras_resnet.parsing import Parser

ROOT = Path(__file__).resolve().parents[1]
CALLED = Path(sys.executable).with_name("keras-resnet")
ROWS = {row.name: row for row in programs.COMMANDS}


def _options(row):
    parser = Parser(prog=row.name)
    row.fill(parser)
    return parser, {name: each for each in parser._actions for name in each.option_strings}


@pytest.mark.parametrize("name", ROWS)
def test_options_have_their_one_name(name):
    parser, options = _options(ROWS[name])
    shown = {option for option, each in options.items() if each.help != argparse.SUPPRESS}
    assert not shown & {"--dataset", "--data-dir", "--labels", "--out", "--run-dir", "--target"}
    assert "--json" in shown
    assert set(parser.former.values()) <= shown
    if "-o" in shown:
        assert options["-o"].option_strings == ["-o", "--output"]
    if "--classes" in shown:
        assert options["--classes"].metavar == "FILE|a,b,c"


def test_one_option_means_one_thing():
    """The same words wherever an option of everybody's stands, but for what follows its default."""
    meanings = {}
    for row in ROWS.values():
        for option in ("--epochs", "--batch-size", "--learning-rate", "--seed", "--set", "--classes", "--weights"):
            found = _options(row)[1].get(option)
            if found is not None and row.name not in ("train", "explain", "finetune"):
                meanings.setdefault(option, set()).add(found.help)
    assert {option: len(words) for option, words in meanings.items()} == dict.fromkeys(meanings, 1)


@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("evaluate", ["--dataset", "digits"], ("data", "digits")),
        ("export tflite", ["--labels=a.txt"], ("classes", "a.txt")),
        ("train", ["--run-dir", "r"], ("output", Path("r"))),
        ("lab", ["--out", "x"], ("output", Path("x"))),
        ("export bundle", ["--target", "tflm"], ("place", "tflm")),
        ("fit", ["--classes", "7"], ("class_count", 7)),
    ],
)
def test_old_spellings_work_and_say_so(name, given, found, capsys):
    parser, _ = _options(ROWS[name])
    args = parser.parse_args(given)
    assert getattr(args, found[0]) == found[1]
    note = capsys.readouterr().err
    assert note.startswith(f"note: {given[0].partition('=')[0]} is written --")
    assert len(note.splitlines()) == 1


def test_the_folder_of_old_is_part_of_the_name_now(fake_cifar_folder, capsys):
    parser, _ = _options(ROWS["evaluate"])
    args = parser.parse_args(["--dataset", "cifar10", "--data-dir", str(fake_cifar_folder)])
    assert flags.data_of(args) == Named("cifar10", fake_cifar_folder)
    assert "note: --data-dir DIR is written --data cifar10:DIR now" in capsys.readouterr().err


@pytest.fixture
def fake_cifar_folder(tmp_path):
    folder = tmp_path / "c" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "test_batch.bin").write_bytes(b"")
    return tmp_path / "c"


def test_data_are_a_name_a_folder_or_both(fake_cifar_folder, image_folder):
    assert locate("digits") == Named("digits")
    assert locate("cifar10:/x y/z") == Named("cifar10", Path("/x y/z"))
    assert locate("tfds:beans:/d") == Named("tfds:beans", Path("/d"))
    assert locate("tfds:beans") == Named("tfds:beans")
    assert locate(fake_cifar_folder) == Named("cifar10", fake_cifar_folder)  # its content tells
    assert locate(image_folder) == Named(str(image_folder))
    assert locate(image_folder, "imagenet") == Named("imagenet", image_folder)  # the recipe tells
    assert str(locate("cifar10:/d")) == "cifar10:/d"
    with pytest.raises(InputError, match="expected a folder behind the colon"):
        locate("cifar10:")
    with pytest.raises(InputError, match="did you mean digits"):
        locate("digit")
    assert load_dataset("digits").name == "digits"


def test_without_arguments_the_commands_are_listed(capsys):
    for main in (programs.main, cli.main):
        assert main([]) == 0
        out = capsys.readouterr().out.splitlines()
        assert [line for line in out if line.startswith("  train ")]
        assert not [line for line in out if "finetune" in line]
        assert all(len(line) < 100 for line in out)
    assert programs.main(["export"]) == 0
    out = capsys.readouterr().out
    assert "export tflite" in out and "export bundle" in out and "train" not in out.partition("options of")[0]


def test_a_command_of_export_is_one_of_the_program_and_one_alone():
    for row in table.COMMANDS:
        alone = program.alone(row, "x")
        whole = _options(row)[0]
        assert alone.format_usage().split()[2:] == whole.format_usage().split()[2 + len(row.name.split()) - 1 :]


def test_a_wrong_command_gets_the_nearest_and_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        programs.main(["trian"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[0] == "error: there is no command trian: did you mean train?"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command(shell, capsys):
    assert programs.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for row in ROWS.values():
        if not row.former:
            assert row.name.split()[-1] in script
    assert "--checkpoint-minutes" in script.replace("\\", "") or "checkpoint-minutes" in script
    if shell == "bash" and shutil.which("bash"):
        Path("c.sh").write_text(script)
        code = (
            "source c.sh; COMP_WORDS=(keras-resnet export tf); COMP_CWORD=2; _shtab_keras_resnet; "
            "echo ${COMPREPLY[@]}; COMP_WORDS=(keras-resnet train --recipe he); COMP_CWORD=3; _shtab_keras_resnet; "
            "echo ${COMPREPLY[@]}"
        )
        ended = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        assert ended.stdout.split() == ["tflite", "he2015"]


# ---- folders with a user's own export.py, keras.py, ...


@pytest.fixture
def own_files(tmp_path):
    """A folder whose files would end every import of a package of their name."""
    for name in ("export", "keras", "keras_resnet", "tensorflow", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the script of the user was imported')\n")
    return tmp_path


@pytest.mark.cold_start
def test_children_do_not_import_from_the_working_folder(own_files):
    command = processes.python("keras_resnet.errors")
    ended = subprocess.run(command, capture_output=True, text=True, cwd=own_files, env={"PATH": os.environ["PATH"]})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    naive = subprocess.run([sys.executable, "-m", "keras_resnet.errors"], capture_output=True, text=True, cwd=own_files)
    assert "the script of the user was imported" in naive.stderr  # the control


@pytest.mark.cold_start
@pytest.mark.skipif(not CALLED.exists(), reason="keras-resnet is not installed beside this Python")
def test_the_program_lists_and_helps_in_such_a_folder(own_files):
    for arguments in ([], ["export", "tflite", "--help"], ["train", "--help"], ["recipes"]):
        ended = subprocess.run([CALLED, *arguments], capture_output=True, text=True, cwd=own_files)
        assert (ended.returncode, ended.stderr) == (0, ""), arguments


SHIPPED = ["--model", "resnet8", "--weights", "digits"]
FEW = ["--set", "subset=64", "--gate", "drop=100"]
LINES = {
    "train": ["train", "--recipe", "digits-resnet8", "--epochs", "1", "--set", "warmup_epochs=0", "-o", "run"],
    "evaluate": ["evaluate", *SHIPPED, "--data", "digits", "--limit", "20"],
    "predict": ["predict", *SHIPPED, "d.png"],
    "explain": ["explain", *SHIPPED, "d.png", "-o", "why.png"],
    "report": ["report", "run"],
    "prepare": ["prepare", "--data", "digits", "-o", "records"],
    "recipes": ["recipes", "fast"],
    "models": ["models", "resnet8"],
    "weights": ["weights"],
    "lab": ["lab"],
    "completion": ["completion", "bash"],
    "data": ["data", "digits"],
    "export tflite": ["export", "tflite", "--int8", *SHIPPED, "--limit", "50", "-o", "d.tflite"],
    "export onnx": ["export", "onnx", *SHIPPED, "--limit", "50"],
    "export saved_model": ["export", "saved_model", *SHIPPED, "--limit", "50"],
    "export keras": ["export", "keras", *SHIPPED, "--limit", "50"],
    "export all": ["export", "all", "--artifact", "tflite:float16", *SHIPPED, "--limit", "50"],
    "export bundle": ["export", "bundle", "--place", "onnxruntime", *SHIPPED, "--limit", "50"],
    "verify": ["verify", "d.tflite", *SHIPPED, "--limit", "50"],
    "debug": ["debug", "d.tflite", *SHIPPED, "--limit", "20"],
    "fit": ["fit", "d.tflite"],
    "compress": [
        "compress",
        "--method",
        "qat",
        *SHIPPED,
        "--epochs",
        "1",
        "--batch-size",
        "16",
        "--set",
        "subset=64",
        "--gate",
        "drop=100",
    ],
}


# Commands of a group use what those before them have made.
GROUPS = (
    ("train", "report", "evaluate", "predict", "explain"),
    ("prepare", "recipes", "models", "weights", "lab", "completion", "data"),
    ("export tflite", "verify", "debug", "fit"),
    ("export onnx", "export saved_model", "export keras"),
    ("export all", "export bundle"),
    ("compress",),
)


def test_every_command_is_in_a_group():
    assert sorted(name for group in GROUPS for name in group) == sorted(set(ROWS) - {"finetune"}) == sorted(LINES)


@pytest.mark.proof
@pytest.mark.cold_start
@pytest.mark.skipif(not CALLED.exists(), reason="keras-resnet is not installed beside this Python")
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0])
def test_every_command_works_in_such_a_folder(group, own_files, digits):
    from PIL import Image

    pixels = digits.test.images[0]
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(own_files / "d.png")
    for name in group:
        ended = subprocess.run([CALLED, *LINES[name]], capture_output=True, text=True, cwd=own_files)
        assert ended.returncode in (0, 1), (name, ended.stderr)
        assert "the script of the user" not in ended.stdout + ended.stderr, name
        assert "Traceback" not in ended.stderr, name


@pytest.mark.proof
def test_a_repeated_command_picks_a_new_name(tmp_path, capfd):
    line = ["export", "onnx", *SHIPPED, "--limit", "50"]
    assert programs.main(line) == programs.main(line) == 0
    assert len(list((tmp_path / "exports").glob("resnet8-float32*.onnx"))) == 2
    assert programs.main([*line, "-o", str(next(iter((tmp_path / "exports").glob("*.onnx"))))]) == 2
    assert "exists: choose another name or pass --overwrite" in capfd.readouterr().err


def test_an_unused_name_has_the_time_in_it(tmp_path):
    assert flags.unused(tmp_path / "a.onnx") == tmp_path / "a.onnx"
    (tmp_path / "a.onnx").touch()
    second = flags.unused(tmp_path / "a.onnx")
    second.touch()
    third = flags.unused(tmp_path / "a.onnx")
    assert len({second, third, tmp_path / "a.onnx"}) == 3
    assert all(each.suffix == ".onnx" and each.stem.startswith("a-2") for each in (second, third))


# ---- recipes, models, weights


def test_recipes_shows_every_setting_with_value_range_and_meaning(capsys):
    import json

    from keras_resnet.training.describe import described
    from keras_resnet.training.recipes import RECIPES

    assert programs.main(["recipes", "rsb-a2", "--json", "r.json"]) == 0
    rows = {each["name"]: each for each in json.loads(Path("r.json").read_text())["settings"]}
    assert set(rows) == {"task", "model", *RECIPES["rsb-a2"].settings()}
    assert rows["mixup"]["value"] == 0.1
    assert rows["schedule"]["range"] == "constant, cosine, one-cycle, plateau, poly, steps"
    assert rows["momentum"]["range"] == "0 up to below 1"
    assert [name for name, row in rows.items() if not row["meaning"]] == []
    assert "keras-resnet train --recipe rsb-a2 --set" in capsys.readouterr().out
    for recipe in RECIPES.values():
        assert all(each.meaning for each in described(recipe))
    assert programs.main(["recipes", "fats"]) == 2
    assert "did you mean fast" in capsys.readouterr().err


def test_models_and_weights_list_what_can_be_had(capsys):
    import json

    assert programs.main(["models", "resnet5*", "--pretrained", "--json", "m.json"]) == 0
    names = [each["name"] for each in json.loads(Path("m.json").read_text())]
    assert names == ["resnet50", "resnet50_v1_5", "resnet50d", "resnet50v2", "resnet56_cifar"]
    assert programs.main(["weights", "resnet18", "--json", "w.json"]) == 0
    (row,) = json.loads(Path("w.json").read_text())
    assert row["address"] == "hf://timm/resnet18.a1_in1k" and row["download"] is True
    assert "download" in capsys.readouterr().out
