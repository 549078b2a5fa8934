"""The commands of keras_resnet as a person types them."""

import json
from pathlib import Path

import pytest

from keras_resnet import RECIPES, InputError, cli, train


def _run(capfd, *arguments):
    status = cli.main([str(a) for a in arguments])
    captured = capfd.readouterr()
    return status, captured.out, captured.err


@pytest.mark.slow
def test_evaluate_prints_and_writes_the_figures(capfd):
    status, out, err = _run(
        capfd, "evaluate", "--model", "resnet8", "--weights", "digits", "--data", "digits", "--json", "e.json"
    )
    assert (status, err) == (0, "")
    scores = json.loads(Path("e.json").read_text())
    assert {"top1", "top5", "count", "loss", "top1_interval", "ece", "confusion"} <= set(scores)
    assert f"{scores['top1']:.2%}" in out
    assert scores["temperature"] is None  # every validation image is right
    assert f"{scores['ece']:.2%}" in out
    assert "calibration:" not in out


@pytest.mark.slow
def test_evaluate_on_a_folder_notes_other_labels(image_folder, capfd):
    status, _, err = _run(
        capfd, "evaluate", "--model", "resnet8", "--weights", "digits", "--data", image_folder, "--json", "e.json"
    )
    assert status == 0
    assert "labels of model and dataset differ: 0, 1, 2, ... and blue, red" in err
    assert json.loads(Path("e.json").read_text())["count"] == 4


def test_evaluate_notes_a_model_without_input_convention(capfd):
    arguments = [
        "--model",
        "resnet8",
        "--weights",
        "none",
        "--data",
        "digits",
        "--no-temperature",
        "--json",
        "e.json",
    ]
    status, _, err = _run(capfd, "evaluate", *arguments)
    assert status == 0
    assert "names no input convention" in err
    assert json.loads(Path("e.json").read_text())["temperature"] is None


def test_models_lists_and_measures(capfd):
    status, out, _ = _run(capfd, "models")
    assert status == 0
    assert "resnet1202_cifar" in out
    status, out, _ = _run(capfd, "models", "resnet8")
    assert "78,666" in out
    assert "12,501,632" in out


def test_weights_lists_the_sets_and_their_facts(capfd):
    status, out, err = _run(capfd, "weights", "resnet50v2", "--json", "w.json")
    assert (status, err) == (0, "")
    assert "75.96%" in out
    (row,) = json.loads(Path("w.json").read_text())
    assert row["url"].endswith("resnet50v2_weights_tf_dim_ordering_tf_kernels.h5")
    assert row["preprocess"]["mean"] == [127.5]
    assert row["md5"]["notop"] == "fac2f116257151a9d068a22e544a4917"
    assert _run(capfd, "weights", "resnet51")[0] == 2


@pytest.mark.proof
def test_train_says_what_comes_next(capfd):
    few = ["--set", "epochs=1", "--set", "subset=64", "--set", "warmup_epochs=0"]
    status, out, err = _run(capfd, "train", "--recipe", "digits-resnet8", *few, "--output", "run")
    assert (status, err) == (0, "")
    assert "next: keras-resnet evaluate --model run --data digits" in out
    assert Path("run/model.keras").exists()


@pytest.mark.slow
def test_a_training_says_where_it_is_and_its_table_has_no_empty_head(short_recipe, monkeypatch, capfd):
    """Also where it is stopped before a step was measured: no rate of 0."""
    from keras_resnet.training import callbacks, recipes

    def interrupted(self, epoch, logs=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(callbacks.Stopwatch, "on_epoch_begin", interrupted)
    monkeypatch.setitem(recipes.RECIPES, "short", short_recipe)
    status, out, err = _run(capfd, "train", "--recipe", "short", "--output", "run")
    assert (status, err) == (130, "error: stopped by Ctrl-C\n")
    assert out.index("run directory: run\n") < out.index("compiling the first step")
    (head,) = [line for line in out.splitlines() if line.startswith("┃")]
    assert head.replace("┃", " ").split() == ["figure", "value"]
    rows = [line.replace("│", " ").split() for line in out.splitlines() if line.startswith("│")]
    assert ["training", "steps", "–"] in rows
    assert "next: keras-resnet train --resume run" in out


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "soon"])
def test_minutes_between_checkpoints_are_not_negative(text, capfd):
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "--recipe", "digits-resnet8", "--checkpoint-minutes", text])
    assert ended.value.code == 2
    assert "--checkpoint-minutes" in capfd.readouterr().err
    with pytest.raises(InputError, match="expected minutes from 0"):
        train(RECIPES["digits-resnet8"], checkpoint_minutes=-1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--recipe", "fast", "--set", "epochs=1"], "pass --set warmup_epochs=0"),
        (["train", "--recipe", "digits-resnet"], "did you mean digits-resnet8"),
        (["train", "--recipe", "digits-resnet8", "--set", "epoch=3"], "did you mean epochs"),
        (["train", "--recipe", "he2015"], "cifar10 needs its files: --data cifar10:DIR"),
        (["evaluate", "--model", "resnet_8", "--data", "digits"], "did you mean resnet8"),
        (["evaluate", "--model", "resnet8", "--weights", "digits", "--data", "digit"], "did you mean digits"),
        (["evaluate", "--model", "m.keras", "--data", "digits"], "does not exist"),
        (["predict", "--model", "resnet8", "--weights", "digits", "no.png"], "is no file"),
        (["models", "resnet9"], "did you mean resnet"),
    ],
)
def test_mistakes_are_one_line_and_status_two(arguments, said, capfd):
    status, _, err = _run(capfd, *arguments)
    assert status == 2
    assert len(err.strip().splitlines()) == 1
    assert said in err
    assert not Path("runs").exists()
