"""Recipes, optimizers, and what a run leaves behind."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiers import in_proof

from keras_resnet import InputError, load_model, processes, train
from keras_resnet.training import RECIPES, get_recipe, override, precision, run
from keras_resnet.training.groups import OPTIMIZERS
from keras_resnet.training.optimization import make_optimizer, make_schedule


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda r: r.name)
def test_rows_are_documents(recipe):
    assert get_recipe(recipe.name) is recipe
    assert recipe.name in recipe.command
    assert recipe.hardware
    # Of a person's own data; of images that cannot be had here; not run to its end yet.
    unmeasured = ("photos", "fast-cifar100", "compress-scenes", "prune-scenes", "compress-objects", "prune-objects")
    unmeasured += ("pet-heads-boxes",)
    assert bool(recipe.expected) == (recipe.name not in unmeasured)
    assert list(recipe.expected) == sorted(recipe.expected)
    json.loads(recipe.dumps())


def test_fast_for_cifar100_has_the_settings_of_fast():
    made, fast = RECIPES["fast-cifar100"], RECIPES["fast"]
    assert {key for key, value in made.settings().items() if value != fast.settings()[key]} == {"dataset"}
    assert (made.model, made.dataset, made.task) == (fast.model, "cifar100", fast.task)


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
        ("warmup_epochs=24", "less than epochs=24: pass --set warmup_epochs=0"),
        ("name=x", "unknown recipe setting"),
        ("task=x", "recipe digits-resnet8 is of task classification, as its head is: choose another recipe"),
        ("precision=float8", "unknown precision"),
        ("loss=hinge", "unknown loss"),
        ("keep=first", "unknown keep"),
        ("mixup=-1", "at least 0"),
        ("ema=1", "below 1"),
        ("accumulation=0", "expected more than 0"),
    ],
)
def test_settings_that_are_refused(setting, said):
    with pytest.raises(InputError, match=said):
        override(RECIPES["digits-resnet8"], [setting])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["coupled_decay=true", "optimizer=adamw"], "coupled_decay goes with optimizer=sgd"),
        (["schedule=plateau", "hold_out=false"], "watches the validation split"),
        (["steps_per_execution=2", "accumulation=2"], "accumulation=1 only"),
    ],
)
def test_settings_that_exclude_each_other(settings, said):
    recipe = dataclasses.replace(RECIPES["digits-resnet8"])
    with pytest.raises(InputError, match=said):
        override(recipe, settings)


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


def test_one_cycle_is_two_straight_lines():
    recipe = override(RECIPES["digits-resnet8"], ["schedule=one-cycle", "epochs=10", "warmup_epochs=2"])
    expected = [0.1 * min(i / 20, (100 - i) / 80) for i in range(100)]
    np.testing.assert_allclose(_rates(recipe, 10), expected, atol=1e-7)
    assert _rates(override(recipe, ["warmup_epochs=0"]), 10)[0] == pytest.approx(0.1)


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


@pytest.mark.parametrize("nesterov", [False, True])
def test_coupled_decay_goes_through_the_momentum_as_in_pytorch(nesterov):
    recipe = override(
        RECIPES["digits-resnet8"],
        ["coupled_decay=true", "weight_decay=0.1", "schedule=constant", "warmup_epochs=0", f"nesterov={nesterov}"],
    )
    optimizer = make_optimizer(recipe, 1)
    kernel, gamma = (keras.Variable(np.float32([2.0, -1.0]), name=name) for name in ("kernel", "gamma"))
    expected, momentum = {"kernel": np.array([2.0, -1.0]), "gamma": np.array([2.0, -1.0])}, {"kernel": 0, "gamma": 0}
    for step in range(3):
        gradient = np.float32([0.5, step])
        optimizer.apply([keras.ops.convert_to_tensor(gradient)] * 2, [kernel, gamma])
        for name, decay in (("kernel", 0.1), ("gamma", 0.0)):  # torch.optim.SGD's update
            g = gradient + decay * expected[name]
            momentum[name] = 0.9 * momentum[name] + g
            expected[name] = expected[name] - 0.1 * (g + 0.9 * momentum[name] if nesterov else momentum[name])
    np.testing.assert_allclose(kernel.numpy(), expected["kernel"], rtol=1e-5)
    np.testing.assert_allclose(gamma.numpy(), expected["gamma"], rtol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_has_its_options(optimizer):
    recipe = override(
        RECIPES["digits-resnet8"],
        [
            f"optimizer={optimizer}",
            "clip_norm=0.5",
            "accumulation=2",
            "ema=0.9",
            "schedule=constant",
            "warmup_epochs=0",
        ],
    )
    made = make_optimizer(recipe, 1)
    assert (made.global_clipnorm, made.gradient_accumulation_steps, made.use_ema, made.ema_momentum) == (
        0.5,
        2,
        True,
        0.9,
    )
    again = type(made).from_config(made.get_config())
    assert type(again) is type(made)


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


@pytest.mark.slow
def test_run_directory_is_complete(short_run, short_recipe):
    assert {p.name for p in short_run.iterdir()} == {
        "model.keras",
        "recipe.json",
        "metrics.csv",
        "curves.png",
        "environment.json",
        "result.json",
        "tensorboard",
    }
    assert json.loads((short_run / "recipe.json").read_text())["epochs"] == short_recipe.epochs
    environment = json.loads((short_run / "environment.json").read_text())
    assert environment["seed"] == 0
    watched = {"watch": "accuracy", "larger_is_better": True, "form": "{:.2%}", "as_error": True}
    assert environment["watched"] == watched == dataclasses.asdict(run.watched_in({}))  # as runs without it are read
    assert environment["packages"]["tensorflow"].startswith("2.21")
    result = json.loads((short_run / "result.json").read_text())
    assert result["images_per_second"] > 0
    assert 0 <= result["waiting_share"] < 1
    assert result["precision"] == "float32"
    assert list((short_run / "tensorboard").rglob("events.*"))
    metrics = run.read_metrics(short_run / "metrics.csv")
    assert {"accuracy", "loss", "val_accuracy", "val_loss"} < set(metrics)
    assert len(metrics["loss"]) == 2
    _, card = load_model(short_run / "model.keras")
    assert (card.spec, card.dataset, card.recipe) == ("mini", "digits", "digits-resnet8")
    assert card.labels == tuple("0123456789")


@pytest.mark.proof
def test_same_seed_same_weights_bit_for_bit(short_run, short_recipe, tmp_path):
    again = train(short_recipe, run_dir=tmp_path / "again", verbose=False)
    other = train(dataclasses.replace(short_recipe, seed=1, epochs=1), run_dir=tmp_path / "other", verbose=False)
    first, second, third = (
        load_model(path / "model.keras")[0].get_weights() for path in (short_run, again.run_dir, other.run_dir)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, third, strict=True))


@pytest.mark.proof
def test_digits_recipe_reaches_its_accuracy(digits, tmp_path):
    from keras_resnet import evaluate, open_runner

    recipe = RECIPES["digits-resnet8"]
    result = train(recipe, run_dir=tmp_path / "run", verbose=False)
    assert evaluate(open_runner(result.run_dir / "model.keras"), digits.test).top1 >= 0.98


def test_the_best_epoch_is_kept_and_ties_go_to_the_lower_loss(mini_spec, tmp_path):
    from keras_resnet import ModelCard, build
    from keras_resnet.tasks import Objectives
    from keras_resnet.training.callbacks import Keep
    from keras_resnet.training.nets import Nets

    net = build(mini_spec)
    keep = Keep(
        Nets(net, net),
        tmp_path / "model.keras",
        ModelCard(),
        Objectives(loss=None, watch="accuracy", larger_is_better=True),
        best=True,
    )
    keep.set_model(build(mini_spec))
    saved = []
    keep.save = lambda: saved.append(keep.epoch)
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.6, 0.1), (0.7, 0.85)]):
        keep.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
    assert saved == [1, 2, 3]
    with pytest.raises(InputError, match=r"watches accuracy, which is no name .* reports: loss, mask_accuracy$"):
        keep.on_epoch_end(6, {"mask_accuracy": 0.1, "val_mask_accuracy": 0.1, "val_loss": 0.1})
    assert saved == [1, 2, 3]
    keep.only_best = False
    keep.on_epoch_end(7, {"accuracy": 0.1})  # nothing held out: the last weights count
    assert saved == [1, 2, 3, 8]


@pytest.mark.proof
def test_training_with_random_crops_keeps_the_evaluation_crop_in_the_card(image_folder, short_recipe, tmp_path):
    settings = [f"dataset={image_folder}", "augmentation=resized-crop", "crop=0.875", "batch_size=8", "image_size=32"]
    result = train(override(short_recipe, settings), run_dir=tmp_path / "run", verbose=False)
    _, card = load_model(result.run_dir / "model.keras")
    assert card.crop == 0.875


def test_random_crops_need_files(short_recipe, tmp_path):
    with pytest.raises(InputError, match="cuts out of encoded images; digits is in memory"):
        train(override(short_recipe, ["augmentation=resized-crop"]), run_dir=tmp_path / "run", verbose=False)
    with pytest.raises(InputError, match="crop=0"):
        override(short_recipe, ["crop=0"])


@pytest.mark.proof
def test_training_on_a_folder_of_images(image_folder, short_recipe, tmp_path):
    recipe = dataclasses.replace(
        short_recipe, dataset=str(image_folder), image_size=16, batch_size=8, epochs=3, augmentation="none"
    )
    result = train(recipe, run_dir=tmp_path / "run", verbose=False)
    model, card = load_model(result.run_dir / "model.keras")
    assert card.labels == ("blue", "red")
    assert model.input_shape == (None, 16, 16, 3)
    assert model.output_shape == (None, 2)


def test_refusals_come_before_the_run_directory(short_recipe, tmp_path):
    for change, said in (
        ({"preprocess": "torc"}, "did you mean torch"),
        ({"augmentation": "crop"}, "unknown augmentation"),
        ({"model": "resnet9"}, "did you mean resnet"),
        ({"batch_size": 5000}, "only 256 training images"),
    ):
        with pytest.raises(InputError, match=said):
            train(dataclasses.replace(short_recipe, **change), run_dir=tmp_path / "run", verbose=False)
    assert not (tmp_path / "run").exists()


def test_a_run_directory_in_use_is_refused(short_recipe, tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(InputError, match="not empty"):
        train(short_recipe, run_dir=tmp_path, verbose=False)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [in_proof("compiling"), "Epoch 2/"])
def test_ctrl_c_leaves_a_usable_run_directory(tmp_path, moment):
    command = [sys.executable, "-u", "-m", "keras_resnet", "train", "--recipe", "digits-resnet8", "--output", "run"]
    command += ["--set", "subset=64", "--set", "batch_size=16"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as child:
        for line in child.stdout:
            if line.startswith(moment):
                child.send_signal(signal.SIGINT)
                break
        _, errors = child.communicate(timeout=120)
    assert child.returncode == 130
    assert errors.splitlines() == ["stopping after this step; once more to stop at once", "error: stopped by Ctrl-C"]
    model, _ = load_model(tmp_path / "run" / "model.keras")
    assert model.count_params() == 78_666
    assert not list((tmp_path / "run").glob(".*"))
    assert (tmp_path / "run" / "curves.png").exists() == (moment == "Epoch 2/")


def test_the_newest_run_is_the_one_with_a_model(tmp_path):
    assert run.newest(tmp_path / "none") is None
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    for age, name in enumerate(("b", "a")):
        (tmp_path / name / "model.keras").touch()
        os.utime(tmp_path / name / "model.keras", (age, age))
    assert run.newest(tmp_path) == tmp_path / "a" / "model.keras"


def test_the_commit_is_that_of_this_source_tree_and_of_no_other_around_it(monkeypatch, tmp_path):
    answers = {"--show-toplevel": str(tmp_path), "HEAD": "a" * 40, "--porcelain": ""}

    def git(command, **how):
        return processes.Ended(0, f"{answers[command[-1]]}\n", "")

    monkeypatch.setattr(processes, "run", git)
    assert run._git_commit() is None  # installed inside somebody else's repository
    (tmp_path / "keras_resnet").symlink_to(Path(run.__file__).parents[1])
    assert run._git_commit() == "a" * 40
    answers["--porcelain"] = " M README.md"
    assert run._git_commit() == "a" * 40 + "+changes"
    no_checkout = processes.Ended(128, "", "fatal: not a git repository")
    monkeypatch.setattr(processes, "run", lambda command, **how: no_checkout)
    assert run._git_commit() is None


def test_a_run_in_a_checkout_knows_its_commit():
    command = ["git", "-C", Path(run.__file__).parent, "rev-parse", "HEAD"]
    head = subprocess.run(command, capture_output=True, text=True)
    if head.returncode:
        pytest.skip("the sources are in no checkout of git")
    assert run._git_commit()[:40] == head.stdout.strip()


# --- Options of a run

OPTIONS = {
    "everything of rsb and averages": [
        "loss=binary",
        "target_threshold=0.2",
        "mixup=0.1",
        "cutmix=1.0",
        "optimizer=lamb",
        "learning_rate=0.005",
        *("ema=0.8", "precise_bn=256", "clip_norm=1.0", "accumulation=2"),
    ],
    "regularised": ["stochastic_depth=0.2", "dropout=0.2", "zero_init_residual=true", "label_smoothing=0.1"],
    "plateau": ["schedule=plateau", "patience=1", "warmup_epochs=0", "optimizer=adam", "learning_rate=0.001"],
    "all data": ["hold_out=false", "schedule=one-cycle", "coupled_decay=true"],
    "half": ["precision=mixed_bfloat16", "steps_per_execution=2"],
    "scaled half": ["precision=mixed_float16", "batch_size=128"],
    "rematerialised": ["remat=true"],  # in bfloat16: test_remat.py
    "erased": ["augmentation=crop-flip-erase", "repeats=2"],
}
MORE_OPTIONS = {"regularised", "rematerialised", "scaled half", "half", "plateau", "all data", "erased"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [in_proof(n) if n in MORE_OPTIONS else n for n in OPTIONS])
def test_options_train_and_leave_a_plain_float32_model(name, short_recipe, tmp_path, capfd):
    recipe = override(short_recipe, [*OPTIONS[name]])
    result = train(recipe, run_dir=tmp_path / "run", verbose=True)
    assert "tensors decayed" in capfd.readouterr().out
    model, _ = load_model(result.run_dir / "model.keras")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)
    assert model.get_layer("predictions").activation is keras.activations.softmax
    losses = run.read_metrics(result.run_dir / "metrics.csv")["loss"]
    assert losses[-1] < losses[0]
    assert (result.run_dir / "curves.png").exists()
    assert (result.validation_accuracy is None) == (not recipe.hold_out)


def test_columns_without_values_are_left_out(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,loss,val_loss\n0,1.5,NA\n1,0.5,NA\n")
    assert run.read_metrics(tmp_path / "metrics.csv") == {"epoch": [0.0, 1.0], "loss": [1.5, 0.5]}


def test_all_data_means_training_and_validation(digits):
    from keras_resnet.data import joined

    everything = joined(digits.train, digits.validation)
    assert len(everything.labels) == 1257 + 180
    pixels = everything.fetch(np.array([0, 1257]))["image"]
    np.testing.assert_array_equal(pixels[0], digits.train.images[0])
    np.testing.assert_array_equal(pixels[1], digits.validation.images[0])


def test_targets_above_the_threshold_count_in_full():
    from keras_resnet.tasks import classification
    from keras_resnet.tasks.classification import Facts, Settings

    def loss(**settings):
        return classification.objectives(Facts(classes=4), Settings(loss="binary", **settings)).loss

    targets, logits = np.float32([[0.7, 0.3, 0.0, 0.1]]), np.float32([[1, -2, 3, 0.5]])
    wanted = np.array([[1, 1, 0, 0]])
    expected = np.mean(np.log1p(np.exp(-logits * (2 * wanted - 1))))
    assert float(loss(target_threshold=0.2)(targets, logits)) == pytest.approx(expected, rel=1e-5)
    assert float(loss()(targets, logits)) != pytest.approx(expected, rel=1e-2)


@pytest.mark.proof
def test_training_on_small_images_for_larger_ones(image_folder, short_recipe, tmp_path):
    settings = [f"dataset={image_folder}", "image_size=16", "test_size=32", "batch_size=8", "augmentation=resized-crop"]
    result = train(override(short_recipe, settings), run_dir=tmp_path / "run", verbose=False)
    model, _ = load_model(result.run_dir / "model.keras")
    assert model.input_shape == (None, 32, 32, 3)


def test_two_sizes_need_files(short_recipe, tmp_path):
    with pytest.raises(InputError, match="images of digits have one size"):
        train(override(short_recipe, ["test_size=48"]), run_dir=tmp_path / "run")


@pytest.mark.parametrize("live", [False, True])
def test_progress_tells_the_rate_the_accuracy_and_the_time_left(live, monkeypatch, capsys):
    from keras_resnet.training import progress

    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    shown = progress.Progress(epochs=3, steps=2, batch_size=50, live=live, metric="accuracy", plural="images")
    shown.on_train_begin()  # at 0 s
    shown.on_epoch_begin(0)  # 10 s
    shown.on_train_batch_end(0, {"accuracy": 0.25})  # 20 s: compiled; on the terminal the time is asked for again
    if live:
        assert shown._bar.tasks[0].fields["state"] == "2 images/s  accuracy 0.2500  "  # nothing to estimate from
    shown.on_train_batch_end(1, {"accuracy": 0.25})
    if live:
        assert shown._bar.tasks[0].fields["state"] == "3 images/s  accuracy 0.2500  2:00 left"
        assert shown._bar.tasks[0].completed == 2
    shown.on_epoch_end(0, {"accuracy": 0.5, "loss": 1.0, "val_loss": 2.0})
    shown.on_epoch_begin(2)
    shown.on_train_batch_end(1, {})
    shown.on_epoch_end(2, {"accuracy": 0.75})
    shown.on_train_end()
    lines = [line for line in capsys.readouterr().out.splitlines() if "Epoch" in line]
    assert "accuracy 0.5000  loss 1.0000  val_loss 2.0000  " in lines[0]
    assert lines[0].rstrip().endswith(" left")
    assert lines[-1].rstrip().endswith("accuracy 0.7500")
    if not live:
        assert lines[0].startswith("Epoch 1/3  20 s  ")
        assert lines[0].endswith("1:20 left")  # one step after the compilation took 20 s, and four are left


def test_the_first_estimate_of_a_resumed_run_is_right(monkeypatch, capsys):
    """It counts what was done since the compilation: not the compilation, nor what was done before."""
    from keras_resnet.training import progress

    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    size = {"epochs": 2, "steps": 10, "batch_size": 50, "first": (1, 4), "live": True}
    shown = progress.Progress(**size, metric="accuracy", plural="images")
    shown.on_train_begin()
    shown.on_epoch_begin(1)
    states = []
    for batch, seconds in enumerate([0, 0, 0, 0, 60, 1, 1, 1, 1, 1]):  # passed over, compiling, running
        clock[0] += seconds
        shown.on_train_batch_end(batch)
        states.append(shown._bar.tasks[0].fields["state"])
    shown.on_epoch_end(1)
    shown.on_train_end()
    assert states[:5] == ["compiling"] * 4 + ["1 images/s  "]
    assert states[5:] == [f"{rate} images/s  0:0{left} left" for rate, left in ((2, 4), (2, 3), (3, 2), (4, 1), (5, 0))]


@pytest.mark.slow
def test_precise_statistics_are_means_over_the_training_images(digits, short_recipe):
    """The first norm's input does not depend on other norms: its statistics are those of that convolution's output."""
    from keras_resnet import build
    from keras_resnet.data import training_batches
    from keras_resnet.signals.conventions import PREPROCESS
    from keras_resnet.training.inputs import estimate_statistics

    model = build("resnet8")
    recipe = dataclasses.replace(short_recipe, precise_bn=384, batch_size=128, augmentation="none", hold_out=True)
    estimate_statistics(model, digits, recipe, PREPROCESS["tf"])
    first = keras.Model(model.input, model.get_layer("conv1_conv").output)
    batches = training_batches(digits.train, 128, seed=recipe.seed).take(3)
    outputs = [np.asarray(first(PREPROCESS["tf"](batch["image"]))) for batch in batches]
    norm = model.get_layer("conv1_bn")
    np.testing.assert_allclose(norm.moving_mean, np.mean([o.mean((0, 1, 2)) for o in outputs], 0), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, np.mean([o.var((0, 1, 2)) for o in outputs], 0), rtol=1e-3)
    assert norm.momentum == 0.99


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("flags : avx2 avx512_bf16", "mixed_bfloat16"),
        ("Features : asimd bf16", "mixed_bfloat16"),
        ("flags : avx2", "float32"),
    ],
)
def test_automatic_precision_asks_the_processor(monkeypatch, lines, expected):
    monkeypatch.setattr(precision.Path, "read_text", lambda *args, **kwargs: lines)
    assert precision.resolve("auto") == expected
    assert precision.resolve("mixed_float16") == "mixed_float16"


def test_the_summary_counts_what_is_decayed():
    from keras_resnet import build
    from keras_resnet.training.summary import describe, estimated_memory

    model = build("resnet20_cifar")
    text = describe(model, model, RECIPES["fast"], 390, "float32")
    assert "271,098 parameters, 40,551,040 multiply-adds at 32 x 32" in text
    assert "20 tensors decayed, 39 not" in text  # 19 convolutions and the head; 19 norms and the head's bias
    everything = dataclasses.replace(RECIPES["fast"], decay_all=True)
    assert "59 tensors decayed, 0 not" in describe(model, model, everything, 390, "float32")
    memory = estimated_memory(model, everything, "float32")
    assert memory > 128 * 32 * 32 * 16 * 4 * 7
    assert estimated_memory(model, everything, "mixed_bfloat16") == pytest.approx(memory / 2, rel=0.05)
    assert estimated_memory(model, dataclasses.replace(everything, remat=True), "float32") < memory / 2
