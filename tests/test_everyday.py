"""Your own photos and a recipe that nobody names: decisions, budget, weights at hand, stopping, balance."""

import dataclasses
import json
import time
import types
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from test_hub import CONFIG, REVISION, _state, cache  # noqa: F401  a cache of the hub that the test fills

import keras_resnet
from keras_resnet import InputError, cli
from keras_resnet.data import Dataset, load_dataset, training_batches
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.data.sources import Named
from keras_resnet.training import RECIPES, config, override
from keras_resnet.training.callbacks import Stop
from keras_resnet.training.photos import budget, look, plan, start
from keras_resnet.training.photos import planning as plans
from keras_resnet.training.recipe import Recipe


def _said(decisions):
    return {each.what: each for each in decisions}


@pytest.fixture
def decided(image_folder):
    """A function that plans for the small folder."""

    def decide(*settings, **how):
        recipe, decisions = plan(Named(str(image_folder)), settings, offline=True, say=lambda text: None, **how)
        return recipe, _said(decisions)

    return decide


def test_a_folder_alone_is_enough(decided, image_folder):
    recipe, said = decided()
    assert (recipe.name, recipe.task, recipe.dataset) == ("photos", "classification", str(image_folder))
    assert (recipe.model, recipe.epochs, recipe.weights) == ("resnet18d", 200, "")
    assert (recipe.image_size, recipe.test_size) == (64, 0)  # the pictures have 12 pixels: the least
    assert recipe.batch_size == 4 and recipe.learning_rate == pytest.approx(0.1 * 4 / 64)  # 32 images: eight steps
    assert recipe.balance == "none"
    assert recipe.stop_patience == 100
    assert "no weights at hand, and --offline" in said["weights"].reason
    for each in said.values():
        assert each.option.startswith("--"), each
        assert str(each) == f"{each.what}: {each.value} ({each.reason}); change: {each.option}"
        assert "\n" not in str(each)
    assert Recipe(**{**recipe.to_json(), "milestones": (), "expected": ()}) == recipe  # numbers, all of it


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("model=resnet10t", "net"),
        ("epochs=7", "epochs"),
        ("batch_size=8", "batch size"),
        ("learning_rate=0.3", "learning rate"),
        ("image_size=320", "image size"),
        ("augmentation=none", "augmentation"),
        ("balance=sampling", "balance"),
        ("stop_patience=3", "early stopping"),
    ],
)
def test_what_is_given_is_not_decided(decided, setting, what):
    recipe, said = decided(setting)
    name, _, value = setting.partition("=")
    assert str(getattr(recipe, name)) == value
    assert what not in said
    assert name != "image_size" or recipe.test_size == 0
    assert name != "batch_size" or recipe.learning_rate == pytest.approx(0.1 * 8 / 64)
    assert len(said) >= 7


def test_the_length_decides_size_and_augmentation():
    seen = look.Look(count=3000, side=160, encoded=True, channels=3, unevenness=1, memory=1 << 34, gpu=False)
    photos = Dataset("x", ("a", "b"), (1, 1, 3), None, None, None)

    def settings(epochs, task="classification", transfer=False, **changes):
        facts = dataclasses.replace(seen, **changes)
        found = plans.fitted(facts, photos, task, epochs, transfer)
        return {key: value for each in found for key, value in each.settings.items()}

    assert settings(140) == {"image_size": 96, "test_size": 128, "augmentation": "resized-crop-jitter"}
    assert settings(60) == {"image_size": 96, "test_size": 128, "augmentation": "photo", "label_smoothing": 0.1}
    assert settings(20) == {"image_size": 96, "test_size": 0, "augmentation": "photo", "label_smoothing": 0.0}
    counted = settings(140, "regression")  # nothing is cut off, and everything has one size
    assert counted == {"image_size": 128, "test_size": 0, "augmentation": "crop-flip"}
    assert settings(20, transfer=True, side=500)["image_size"] == 224
    assert settings(20, transfer=True, side=500)["test_size"] == 0
    assert settings(140, side=100)["test_size"] == 0 and settings(140, side=100)["image_size"] == 96
    assert settings(140, gpu=True, side=500) == {
        "image_size": 160,
        "test_size": 224,
        "augmentation": "resized-crop-jitter",
    }


@pytest.mark.slow
def test_the_batch_is_what_memory_holds():
    seen = look.Look(count=3000, side=160, encoded=True, channels=3, unevenness=1, memory=1 << 40, gpu=False)
    settings = {"model": "resnet18d", "image_size": 96, "test_size": 128}
    one = plans.activations("resnet18d", 128) * 12
    assert plans._batch(seen, settings)[0] == 64
    tight = dataclasses.replace(seen, memory=2 * 20 * one)
    assert plans._batch(tight, settings) == (16, f"{tight.memory / 2**30:.1f} GiB of memory are free")
    assert plans._batch(dataclasses.replace(seen, count=100), settings)[0] == 8


def test_uneven_classes_are_balanced():
    labels = np.repeat([0, 1], [31, 10])
    split = ArraySplit(np.zeros((41, 32, 32, 3), np.uint8), labels)
    found = look.look(Dataset("x", ("a", "b"), (32, 32, 3), split, split, split))
    assert found.unevenness == 3.1
    net = plans.Decision(what="net", value="", reason="", option="", settings={"model": "resnet8"})
    assert plans._batch_and_balance(found, [net], {})[-1].value == "sampling"


def test_balanced_batches_show_every_class_equally_often():
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    split = ArraySplit(np.arange(1000, dtype=np.uint8).reshape(-1, 1, 1, 1), labels)
    shares = 1 / np.bincount(labels)[labels]

    def drawn(shares, **how):
        batches = training_batches(split, 100, seed=3, shares=shares, **how).take(20)
        return np.concatenate([each["label"].numpy() for each in batches])

    counts = np.bincount(drawn(shares), minlength=3) / 2000
    np.testing.assert_allclose(counts, 1 / 3, atol=0.04)
    np.testing.assert_allclose(np.bincount(drawn(None)) / 2000, [0.9, 0.09, 0.01], atol=0.002)  # the control
    np.testing.assert_array_equal(drawn(shares)[700:], drawn(shares, first_batch=7)[: 2000 - 700])  # resumed


def test_a_balance_needs_classes(digits):
    from keras_resnet.training.inputs import balanced

    recipe = override(RECIPES["digits-resnet8"], ["balance=sampling"])
    assert balanced(digits.train, recipe).shape == (len(digits.train),)
    with pytest.raises(InputError, match="balance=sampling evens classes out, and the data have values"):
        balanced(ArraySplit({"image": np.zeros((3, 2, 2, 1)), "values": np.zeros((3, 1))}), recipe)


# ---- weights at hand, or elsewhere


def test_weights_in_the_cache_are_taken(cache, image_folder):  # noqa: F811
    cache("timm/resnet10t.c3_in1k", {**CONFIG, "num_classes": 10}, _state())
    recipe, decisions = plan(Named(str(image_folder)), ["model=resnet10t"], offline=True)
    said = _said(decisions)
    assert recipe.weights == "hf://timm/resnet10t.c3_in1k"
    assert said["weights"].reason == "ImageNet weights at hand"
    assert (recipe.freeze_bn, recipe.layer_decay, recipe.crop, recipe.preprocess) == (True, 0.5, 0.95, "torch")
    none, _ = plan(Named(str(image_folder)), ["model=resnet10t"], offline=True, weights="none")
    assert (none.weights, none.freeze_bn) == ("", False)


def test_weights_that_are_asked_for_are_not_downloaded_offline(cache, image_folder):  # noqa: F811
    asked = "hf://timm/resnet10t.c3_in1k"
    how = {"offline": True, "weights": asked}
    with pytest.raises(InputError, match=f"--offline: weights {asked} are not on this machine"):
        plan(Named(str(image_folder)), ["model=resnet10t"], **how)
    cache("timm/resnet10t.c3_in1k", {**CONFIG, "num_classes": 10}, _state())
    assert plan(Named(str(image_folder)), ["model=resnet10t"], **how)[0].weights == asked
    how["weights"] = f"{asked}@another"
    with pytest.raises(InputError, match="@another are not on this machine"):
        plan(Named(str(image_folder)), ["model=resnet10t"], **how)


@pytest.mark.slow
def test_a_transfer_from_the_cache_trains(cache, image_folder, tmp_path):  # noqa: F811
    state = {
        key: np.ones_like(v) if "running_var" in key else np.asarray(0.02 * v, v.dtype) for key, v in _state().items()
    }
    cache("timm/resnet10t.c3_in1k", CONFIG, state)
    how = {"epochs": 1, "model": "resnet10t", "image_size": 32, "offline": True, "verbose": False}
    run = keras_resnet.train(image_folder, **how, output=tmp_path / "run")
    assert json.loads((run.path / "recipe.json").read_text())["weights"] == "hf://timm/resnet10t.c3_in1k"
    kernel = run.model.get_layer("conv2_block1_1_conv").kernel.numpy().transpose(3, 2, 0, 1)
    moved = np.abs(kernel - state["layer1.0.conv1.weight"])
    assert 0 < moved.max() < 0.01  # from there: random values are 0.1 apart


def test_a_server_is_asked_and_the_size_is_said(monkeypatch, image_folder):
    asked = []
    monkeypatch.setattr(start.extras, "is_there", lambda name: True)
    monkeypatch.setattr(start, "is_here", lambda row: False)

    def size_of(url):
        asked.append(url)
        return 46_800_000 if "resnet18" in url else None

    found = start.find(None, offline=False, size_of=size_of)
    assert found == start.Start("resnet18", "hf://timm/resnet18.a1_in1k", "a download of 47 MB")
    assert asked == ["https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"]
    none = start.find(None, offline=False, size_of=lambda url: None)
    assert none.weights == "" and "no server answered within 3 s" in none.reason
    assert start.find("resnet8_26", offline=False, size_of=size_of).reason.startswith("no weights of this net")
    monkeypatch.setattr(start.extras, "is_there", lambda name: name != "huggingface_hub")
    without = start.find("resnet18", offline=False, size_of=size_of)
    assert "pip install 'keras-resnet-toolkit[hub]'" in without.reason


def test_a_server_that_never_answers_is_not_waited_for(monkeypatch):
    import threading

    never = threading.Event()

    def wait(*_, **__):
        never.wait(30)
        raise OSError("too late")

    monkeypatch.setattr(start, "SECONDS", 0.05)
    monkeypatch.setattr(start.urllib.request, "urlopen", wait)
    began = time.monotonic()
    assert start.remote_size("https://x.invalid/a") is None
    assert time.monotonic() - began < 5
    never.set()


# ---- a budget


@pytest.mark.slow
def test_minutes_become_epochs_and_the_rest_follows(monkeypatch, image_folder):
    from keras_resnet.training import entry, strategy

    devices = strategy.make("none")
    monkeypatch.setattr(budget, "seconds", lambda *_: (2.0, 5.0))
    monkeypatch.setattr(budget, "time", types.SimpleNamespace(monotonic=lambda: 0.0))  # planning takes no time
    lines = []
    place = Named(str(image_folder))

    def decide(minutes, given=()):
        return entry.decide(place, given, devices, 0.0, say=lines.append, minutes=minutes, offline=True)

    recipe = decide(1.0)
    assert recipe.epochs == 26  # (60 * 0.95 - 5) / 2
    assert recipe.warmup_epochs == pytest.approx(recipe.epochs / 10)
    assert (recipe.augmentation, recipe.stop_patience) == ("photo", recipe.epochs // 2)
    assert any(f"epochs: {recipe.epochs} (1 minutes, and an epoch takes 2.0 s here)" in line for line in lines)
    assert sum(line.startswith("image size: ") for line in lines) == 1
    with pytest.raises(InputError, match="--minutes 0.05: an epoch takes 2.0 s here.* at least"):
        decide(0.05)
    with pytest.raises(InputError, match="minutes and epochs both set the length"):
        decide(1.0, ["epochs=3"])
    assert decide(10_000).epochs == 400


@pytest.mark.proof
def test_a_budget_is_timed_on_real_steps(image_folder, tmp_path):
    given = ["--model", "resnet8", "--image-size", "32", "--minutes", "1", "--weights", "none", "-o", "run"]
    began = time.monotonic()
    assert cli.main(["train", "--data", str(image_folder), *given]) == 0
    recipe = json.loads(Path("run/recipe.json").read_text())
    assert 1 <= recipe["epochs"] <= 400
    assert time.monotonic() - began < 120


def test_a_run_ends_when_nothing_improves():
    @dataclasses.dataclass
    class Kept:
        epoch: int

    class Model:
        stop_training = False

    stop = Stop(Kept(3), 2)
    stop.set_model(Model())
    stop.on_epoch_end(3)  # the fourth
    assert not stop.model.stop_training
    stop.on_epoch_end(4)
    assert stop.model.stop_training


@pytest.mark.slow
def test_a_stopped_run_is_finished_and_keeps_the_best(short_recipe, tmp_path):
    recipe = dataclasses.replace(short_recipe, epochs=30, keep="best", stop_patience=1, learning_rate=1e-12)
    run = keras_resnet.train(recipe, output=tmp_path / "run", verbose=False)
    assert len(run.history["epoch"]) < 30
    assert run.best_epoch == len(run.history["epoch"]) - 1
    with pytest.raises(InputError, match="set hold_out=true and keep=best"):
        dataclasses.replace(recipe, keep="last")


# ---- files of settings


def test_settings_come_from_json_yaml_and_toml(tmp_path):
    values = {"recipe": "fast", "epochs": 30, "nesterov": False, "milestones": [0.5, 0.75], "data": "digits"}
    (tmp_path / "a.json").write_text(json.dumps(values))
    (tmp_path / "a.yaml").write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in values.items()))
    (tmp_path / "a.toml").write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items()))
    expected = ("fast", ["epochs=30", "nesterov=false", "milestones=0.5,0.75", "dataset=digits"])
    assert config.read("a.yaml") == config.read("a.toml") == config.read("a.json") == expected
    (tmp_path / "recipe.json").write_text(RECIPES["fast"].dumps())
    assert config.read("recipe.json") == (RECIPES["fast"], [])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "recipe: fats\n", "unknown recipe 'fats': did you mean fast"),
        ("a.yaml", "recipe: [fast]\n", "unknown recipe '['fast']'"),
        ("a.yaml", f"epochs: 0x{'f' * 5000}\n", "larger than any setting"),
        ("a.yaml", "epochs: {a: 1}\n", "epochs has a dict: expected a number"),
        ("a.yaml", "- 1\n", "expected names and values of settings, received list"),
        ("a.yaml", "!!python/object/apply:os.system ['touch pwned']\n", "is no yaml"),
        ("a.yaml", "a: [\n", "is no yaml"),
        ("a.toml", "a =\n", "is no toml"),
        ("a.json", "[" * 100_000, "is no json"),
        ("a.txt", "", "expected a .json, .yaml, .yml, .toml file"),
        ("a.yaml", "a: " + "x" * (1 << 20), "expected a recipe of at most"),
    ],
)
def test_hostile_and_wrong_files_of_settings_are_refused(tmp_path, name, text, said, capsys):
    (tmp_path / name).write_text(text)
    assert cli.main(["train", "--config", name]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
    assert not Path("pwned").exists()


def test_recipe_and_config_together_are_refused(capsys):
    Path("a.toml").write_text("epochs = 3\n")
    assert cli.main(["train", "--config", "a.toml", "--recipe", "fast"]) == 2
    assert "--recipe and --config both" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "expected --data DATA (your own) or --recipe NAME"),
        (["train", "--data", "nowhere/x"], "nowhere/x"),
        (["train", "--data", "digitz"], "did you mean digits"),
        (["train", "--recipe", "fast", "--minutes", "3"], "--minutes goes with your own data"),
        (["train", "--recipe", "fast", "--offline"], "--offline goes with your own data"),
        (["train", "digits", "--data", "digits"], "data are given twice"),
        (["train", "--resume", "empty", "--model", "resnet8"], "leave out --model"),
        (["train", "--resume", "empty", "--data", "digits"], "expected the directory of a run"),
        (["train", "digits", "--epochs", "3", "--set", "epochs=x"], "epochs=x"),
        (["train", "--data", "digits", "--logger", "wand"], "unknown logger 'wand': did you mean wandb"),
        (["train", "--data", "digits", "--set", "lr=1"], "did you mean learning_rate?"),
        (["train", "--recipe", "photos"], "expected --data DATA"),
        (["train", "--data", "empty"], "has no class folders"),
    ],
)
def test_mistakes_of_a_training_are_one_line(arguments, said, capsys):
    Path("empty").mkdir()
    assert cli.main(arguments) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert len(err) == 1 and said in err[0]


# ---- loggers


def test_loggers_get_the_recipe_and_every_epoch(short_recipe, monkeypatch, tmp_path):
    """With modules in their place: the real ones are tried by `make check-loggers`."""
    import sys

    from keras_resnet.training import loggers

    told = []
    run = types.SimpleNamespace(log=lambda values: told.append(values), finish=lambda: told.append("end"))
    module = types.ModuleType("wandb")
    module.init = lambda **how: (told.append(how["config"]["model"]), run)[1]
    module.Settings = lambda **how: how
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr(loggers.extras, "require", lambda *_, **__: None)
    (callback,) = loggers.made(["wandb", "tensorboard"], short_recipe, tmp_path)
    callback.on_epoch_end(0, {"loss": np.float32(1.5)})
    callback.on_train_end()
    assert told == ["mini", {"loss": 1.5, "epoch": 1}, "end"]
    with pytest.raises(InputError, match="unknown logger"):
        loggers.require(["mlfow"])


def test_the_plan_of_arrays_is_for_their_size(digits):
    images = np.random.default_rng(0).integers(0, 255, (64, 32, 32, 3), "uint8")
    from keras_resnet.data import memory
    from keras_resnet.training import entry

    dataset = memory.of_arrays(images, np.arange(64) % 4, ("a", "b", "c", "d"))
    recipe, said = plan(Named(memory.register(dataset)), offline=True)
    assert (recipe.model, recipe.image_size, recipe.augmentation) == ("resnet20_cifar", 0, "crop-flip")
    assert load_dataset(recipe.dataset).classes == ("a", "b", "c", "d")
    split = ArraySplit({"image": images, "values": np.arange(64, dtype="f")[:, None]})
    numbers = Dataset("x", ("age",), (32, 32, 3), split, split, split, truth="values")
    assert plan(Named(memory.register(numbers)), offline=True)[0].task == "regression"
    assert entry.by_recipe("fast", Named(memory.register(numbers)), [], columns={"value": "age"}).task == "regression"
    digital, _ = plan(Named("digits"), offline=True)
    assert digital.augmentation == "affine"  # no mirror image of a digit
    with pytest.raises(InputError, match="another process"):
        load_dataset("memory:99")
    with pytest.raises(InputError, match=r"expected uint8 \(N, height, width, channels\), received float64"):
        memory.of_arrays(images / 255, np.arange(64))
    with pytest.raises(InputError, match="expected integers"):
        memory.of_arrays(images, np.arange(63))


_ = REVISION, safetensors
