"""Recipes, optimizers, and what a run leaves behind."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_resnet import GateError, InputError, load_model, train
from keras_resnet.training import RECIPES, get_recipe, override, run
from keras_resnet.training.optimization import make_optimizer, make_schedule


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda r: r.name)
def test_rows_are_documents(recipe):
    assert get_recipe(recipe.name) is recipe
    assert recipe.name in recipe.command
    assert recipe.hardware
    assert recipe.expected[0] <= recipe.expected[-1]
    json.loads(recipe.dumps())


def test_override_checks_types():
    recipe = override(
        RECIPES["digits-resnet8"],
        ["epochs=3", "nesterov=false", "learning_rate=1e-2", "milestones=0.5,0.75", "dataset=/d"],
    )
    assert (recipe.epochs, recipe.nesterov, recipe.learning_rate) == (3, False, 0.01)
    assert (recipe.milestones, recipe.dataset) == ((0.5, 0.75), "/d")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("epoch=3", "did you mean epochs"),
        ("epochs", "expected key=value"),
        ("epochs=three", "expected a whole number"),
        ("epochs=1.5", "expected a whole number"),
        ("epochs=0", "expected more than 0"),
        ("nesterov=maybe", "expected true or false"),
        ("learning_rate=fast", "expected a number"),
        ("learning_rate=nan", "expected more than 0"),
        ("momentum=1", "below 1"),
        ("weight_decay=-1", "at least 0"),
        ("optimizer=sdg", "did you mean sgd"),
        ("schedule=cosin", "did you mean cosine"),
        ("milestones=0.9,0.5", "ascending"),
        ("warmup_epochs=24", "less than epochs"),
        ("name=x", "unknown recipe setting"),
    ],
)
def test_settings_that_are_refused(setting, said):
    with pytest.raises(InputError, match=said):
        override(RECIPES["digits-resnet8"], [setting])


def test_unknown_recipe():
    with pytest.raises(InputError, match="did you mean digits-resnet8"):
        get_recipe("digits-resnet")


def _rates(recipe, steps):
    schedule = make_schedule(recipe, steps)
    total = recipe.epochs * steps
    return [float(schedule(i)) if callable(schedule) else schedule for i in range(total)]


def test_cosine_with_warm_up_against_its_formula():
    recipe = override(RECIPES["digits-resnet8"], ["epochs=10", "warmup_epochs=2", "learning_rate=0.4"])
    expected = [0.4 * i / 20 if i < 20 else 0.2 * (1 + np.cos(np.pi * (i - 20) / 80)) for i in range(100)]
    np.testing.assert_allclose(_rates(recipe, 10), expected, atol=1e-6)


def test_steps_divide_by_ten_at_the_milestones():
    recipe = get_recipe("he2015")
    rates = _rates(dataclasses.replace(recipe, epochs=4), 10)
    np.testing.assert_allclose(rates[1:20], 0.1)
    np.testing.assert_allclose(rates[21:30], 0.01, rtol=1e-6)
    np.testing.assert_allclose(rates[31:], 0.001, rtol=1e-6)


def test_steps_with_warm_up_and_constant():
    recipe = override(RECIPES["digits-resnet8"], ["schedule=constant", "epochs=4", "warmup_epochs=2"])
    rates = _rates(recipe, 10)
    assert rates[0] < rates[10] < rates[25] == pytest.approx(0.1)
    assert set(_rates(override(recipe, ["warmup_epochs=0"]), 10)) == {0.1}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("decay_all", [False, True])
def test_decay_leaves_biases_and_norms_alone_unless_told(mini_spec, optimizer, decay_all):
    from keras_resnet import build

    model = build(dataclasses.replace(mini_spec, convention="mlperf_tiny"))
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    recipe = dataclasses.replace(
        RECIPES["digits-resnet8"],
        optimizer=optimizer,
        schedule="constant",
        warmup_epochs=0.0,
        learning_rate=0.1,
        weight_decay=0.5,
        decay_all=decay_all,
    )
    make_optimizer(recipe, 1).apply(
        [keras.ops.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables
    )
    for variable in model.trainable_variables:
        decayed = decay_all or variable.name == "kernel"
        np.testing.assert_allclose(variable.numpy(), 0.95 if decayed else 1.0, rtol=1e-6, err_msg=variable.path)


def test_run_directory_is_complete(short_run, short_recipe):
    assert {p.name for p in short_run.iterdir()} == {
        "model.keras",
        "recipe.json",
        "metrics.csv",
        "curves.png",
        "environment.json",
    }
    assert json.loads((short_run / "recipe.json").read_text())["epochs"] == short_recipe.epochs
    environment = json.loads((short_run / "environment.json").read_text())
    assert environment["seed"] == 0
    assert environment["packages"]["tensorflow"].startswith("2.21")
    metrics = run.read_metrics(short_run / "metrics.csv")
    assert {"accuracy", "loss", "val_accuracy", "val_loss"} < set(metrics)
    assert len(metrics["loss"]) == 2
    _, card = load_model(short_run / "model.keras")
    assert (card.spec, card.dataset, card.recipe) == ("resnet8", "digits", "digits-resnet8")
    assert card.labels == tuple("0123456789")


@pytest.mark.slow
def test_same_seed_same_weights_bit_for_bit(short_run, short_recipe, tmp_path):
    again = train(short_recipe, run_dir=tmp_path / "again", verbose=0)
    other = train(dataclasses.replace(short_recipe, seed=1), run_dir=tmp_path / "other", verbose=0)
    first, second, third = (
        load_model(path / "model.keras")[0].get_weights() for path in (short_run, again.run_dir, other.run_dir)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, third, strict=True))


@pytest.mark.slow
def test_digits_recipe_reaches_its_accuracy(digits, tmp_path):
    from keras_resnet import evaluate, open_runner

    recipe = RECIPES["digits-resnet8"]
    result = train(recipe, run_dir=tmp_path / "run", verbose=0)
    assert evaluate(open_runner(result.run_dir / "model.keras"), digits.test).top1 >= 0.98


def test_the_best_epoch_is_kept_and_ties_go_to_the_lower_loss(mini_spec, tmp_path):
    from keras_resnet import ModelCard, build
    from keras_resnet.training.loop import _KeepBest

    keep = _KeepBest(tmp_path / "model.keras", ModelCard())
    keep.set_model(build(mini_spec))
    saved = []
    keep.save = lambda: saved.append(keep.epoch)
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.6, 0.1), (0.7, 0.85)]):
        keep.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
    assert saved == [1, 2, 3]


@pytest.mark.slow
def test_training_on_a_folder_of_images(image_folder, short_recipe, tmp_path):
    recipe = dataclasses.replace(
        short_recipe, dataset=str(image_folder), image_size=16, batch_size=8, epochs=3, augmentation="none"
    )
    result = train(recipe, run_dir=tmp_path / "run", verbose=0)
    model, card = load_model(result.run_dir / "model.keras")
    assert card.labels == ("blue", "red")
    assert model.input_shape == (None, 16, 16, 3)
    assert model.output_shape == (None, 2)


def test_a_loss_that_explodes_is_an_error_with_a_remedy(short_recipe, tmp_path):
    recipe = dataclasses.replace(short_recipe, learning_rate=1e30, schedule="constant", epochs=1)
    with pytest.raises(GateError, match="not finite in epoch 1: lower learning_rate"):
        train(recipe, run_dir=tmp_path / "run", verbose=0)


def test_refusals_come_before_the_run_directory(short_recipe, tmp_path):
    for change, said in (
        ({"preprocess": "torc"}, "did you mean torch"),
        ({"augmentation": "crop"}, "unknown augmentation"),
        ({"model": "resnet9"}, "did you mean resnet"),
        ({"batch_size": 5000}, "only 1257 training images"),
    ):
        with pytest.raises(InputError, match=said):
            train(dataclasses.replace(short_recipe, **change), run_dir=tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


def test_a_run_directory_in_use_is_refused(short_recipe, tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(InputError, match="not empty"):
        train(short_recipe, run_dir=tmp_path, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["Epoch 1/", "Epoch 3/"])
def test_ctrl_c_leaves_a_usable_run_directory(tmp_path, moment):
    command = [sys.executable, "-u", "-m", "keras_resnet", "train", "--recipe", "digits-resnet8", "--run-dir", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as child:
        for line in child.stdout:
            if line.startswith(moment):
                child.send_signal(signal.SIGINT)
                break
        _, errors = child.communicate(timeout=120)
    assert child.returncode == 130
    assert errors.strip() == "error: stopped by Ctrl-C"
    model, _ = load_model(tmp_path / "run" / "model.keras")
    assert model.count_params() == 78_666
    assert not list((tmp_path / "run").glob(".*"))
    assert (tmp_path / "run" / "curves.png").exists() == (moment == "Epoch 3/")


def test_the_newest_run_is_the_one_with_a_model(tmp_path):
    assert run.newest(tmp_path / "none") is None
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    for age, name in enumerate(("b", "a")):
        (tmp_path / name / "model.keras").touch()
        os.utime(tmp_path / name / "model.keras", (age, age))
    assert run.newest(tmp_path) == tmp_path / "a" / "model.keras"
