"""Units against the nets of the table, measurements against NumPy and finite differences, the command on digits."""

import dataclasses
import json
import re

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import GateError, InputError, cli
from keras_resnet.lab import EXPERIMENTS, Setup, degradation, depth, gradients, responses, results, units
from keras_resnet.lab.setup import Curves, percent, recipe_of, train_all
from keras_resnet.nets.specs import SPECS

TINY = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 2), stem="cifar", width=4, shortcut="A")
SHAPE = {"classes": 3, "input_shape": (8, 8, 3)}


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("f")


def net(unit: units.Unit, shortcut: str = "A") -> keras.Model:
    spec = dataclasses.replace(TINY, preactivation=unit.preactivation, shortcut=shortcut)
    model = units.build(spec, unit, **SHAPE)
    rng = np.random.default_rng(1)
    model.set_weights([w + rng.normal(scale=0.1, size=w.shape) for w in model.get_weights()])
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(keras.ops.abs(layer.moving_variance) + 0.5)
    return model


def copied(source: keras.Model, target: keras.Model) -> keras.Model:
    values = {weight.path: weight.numpy() for weight in source.weights}
    for weight in target.weights:
        weight.assign(values[weight.path])
    return target


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "changes"), [("original", {}), ("full pre-activation", {"preactivation": True})])
def test_published_units_are_those_of_the_table(kind, changes, images):
    model = net(units.ORDERS[kind])
    twin = keras_resnet.build(dataclasses.replace(TINY, **changes), **SHAPE)
    np.testing.assert_allclose(copied(model, twin)(images), model(images), atol=1e-6)


def test_a_convolution_on_every_shortcut_is_option_c(images):
    model = net(units.SHORTCUTS["1x1 convolution"])
    twin = keras_resnet.build(dataclasses.replace(TINY, shortcut="C"), **SHAPE)
    np.testing.assert_allclose(copied(model, twin)(images), model(images), atol=1e-6)


def set_gates(model: keras.Model, bias: float) -> None:
    for layer in model.layers:
        if layer.name.endswith("_gate_conv"):
            layer.bias.assign(keras.ops.full_like(layer.bias, bias))
            layer.kernel.assign(keras.ops.zeros_like(layer.kernel))


def test_gates_open_and_close(images):
    """Closed, an exclusive gate leaves the shortcut alone, a shortcut's gate the identity; open, both a plain net."""
    exclusive, alone = net(units.SHORTCUTS["exclusive gating"]), net(units.SHORTCUTS["shortcut-only gating"])
    original, plain = (
        keras_resnet.build(TINY, **SHAPE),
        keras_resnet.build(dataclasses.replace(TINY, shortcut="none"), **SHAPE),
    )
    for model, closed in ((exclusive, None), (alone, original)):
        set_gates(model, -100.0)
        if closed is not None:
            np.testing.assert_allclose(copied(model, closed)(images), model(images), atol=1e-5)
        set_gates(model, 100.0)
        np.testing.assert_allclose(copied(model, plain)(images), model(images), atol=1e-5)
    set_gates(exclusive, -100.0)
    block = keras.Model(exclusive.input, [exclusive.get_layer(n).output for n in ("conv1_relu", "conv2_block1_out")])
    before, after = block(images)
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_halves_dropout_and_orders_against_numpy(images):
    def layers(model, *names):
        return [np.asarray(v) for v in keras.Model(model.input, [model.get_layer(n).output for n in names])(images)]

    x, residual, out = layers(
        net(units.SHORTCUTS["constant 0.5"]), "conv1_relu", "conv2_block1_2_bn", "conv2_block1_out"
    )
    np.testing.assert_allclose(out, np.maximum((x + residual) / 2, 0), atol=1e-6)
    model = net(units.SHORTCUTS["dropout 0.5"])
    np.testing.assert_allclose(copied(model, keras_resnet.build(TINY, **SHAPE))(images), model(images), atol=1e-6)
    x, residual, out = layers(
        net(units.ORDERS["ReLU before addition"]), "conv1_relu", "conv2_block1_2_bn", "conv2_block1_out"
    )
    np.testing.assert_allclose(out, x + np.maximum(residual, 0), atol=1e-6)
    x, residual, total, normed, out = layers(
        net(units.ORDERS["norm after addition"]),
        *("conv1_relu", "conv2_block1_2_conv", "conv2_block1_add", "conv2_block1_3_bn", "conv2_block1_out"),
    )
    np.testing.assert_allclose(total, x + residual, atol=1e-6)
    np.testing.assert_allclose(out, np.maximum(normed, 0), atol=1e-6)
    model = net(units.ORDERS["ReLU-only pre-activation"])
    order = [layer.name for layer in model.layers if layer.name.startswith("conv2_block1_")]
    assert order == [
        f"conv2_block1_{part}" for part in ("preact_relu", "1_conv", "1_bn", "1_relu", "2_conv", "2_bn", "out")
    ]


@pytest.mark.slow
def test_gradient_norms_are_what_a_step_of_sgd_moves():
    model = units.build(TINY, units.ORDERS["original"], classes=5, input_shape=(8, 8, 3))
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype("f")
    found = gradients.norms(model, images, np.arange(5))
    blocks = ("conv2_block1", "conv3_block1", "conv3_block2")  # the projection is left out
    assert list(found) == ["conv1_conv", *(f"{block}_{i}_conv" for block in blocks for i in (1, 2))]
    before = {name: model.get_layer(name).kernel.numpy() for name in found}
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    model.train_on_batch(images, np.arange(5))
    for name, norm in found.items():
        assert norm == pytest.approx(np.linalg.norm(model.get_layer(name).kernel.numpy() - before[name]), rel=1e-3)


def test_a_look_leaves_the_net_as_it_was(mini_spec):
    model = keras_resnet.build(mini_spec, input_shape=(8, 8, 3))
    before = [w.copy() for w in model.get_weights()]
    gradients.norms(model, np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("f"), np.arange(4))
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.proof
def test_gradients_vanish_explode_or_stay(digits):
    """The point of the experiment, at 56 layers, before any training."""
    found = {}
    pixels, labels = digits.train.images[:32] / np.float32(127.5) - 1, digits.train.labels[:32]
    for family, (spec, frozen) in gradients.FAMILIES.items():
        net = keras_resnet.build(spec(56), freeze_bn=frozen)
        found[family] = np.array(list(gradients.norms(net, pixels, labels).values()))
        keras.backend.clear_session()
    assert np.median(found["plain without normalisation"]) < 1e-6
    assert found["plain"][1] / found["plain"][-1] > 100
    assert 0.1 < found["residual"][1] / found["residual"][-1] < 50


def test_deviations_are_of_the_norms_behind_3x3_convolutions(digits_runner, digits):
    images = digits_runner.card.preprocess(digits.test.images[:20])
    found = responses.deviations(digits_runner.model, images)
    assert list(found) == [f"conv{s}_block1_{i}_bn" for s in (2, 3, 4) for i in (1, 2)]
    tap = keras.Model(digits_runner.model.input, digits_runner.model.get_layer("conv3_block1_1_bn").output)
    assert found["conv3_block1_1_bn"] == pytest.approx(np.std(tap(images)), rel=1e-5)


def test_one_net_is_measured():
    found = depth.measure("resnet20_cifar", batch=2)
    assert (found["parameters"], found["multiply_adds"]) == (271_098, 40_551_040)  # the paper's count
    assert 0 < found["gradient_norm"] < 1e3
    assert found["loss"] == pytest.approx(np.log(10), abs=1.5)


@pytest.mark.slow
def test_a_net_that_crashes_is_named():
    with pytest.raises(GateError, match="no-such-net could not be run"):
        depth._in_child("no-such-net")


def test_tables_hold_means_deviations_and_differences():
    curves = [Curves(None, (0.5, t), (0.5, 0.2), e, 1.0) for t, e in ((0.1, 0.09), (0.2, 0.08))]
    table = results.error_table("t", [("net", curves, 8.75)])
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["training error %"] == "15.00 ± 7.07"
    assert row["test %"] == "8.50 ± 0.71"
    assert row["difference"] == "-0.25"
    assert percent([0.5]) == "50.00"
    charts = results.error_charts({"net": curves}, "Nets")
    assert charts[0].data.rows[0][1:] == ("50.0", "15.0")


def fake_training(monkeypatch, errors: dict[str, float]) -> None:
    """Curves without trainings: for what is made of them."""

    def made(setup, nets):
        return {name: [Curves("run", (0.9, errors[name]), (0.9, 0.5), 0.4, 1.0)] * len(setup.seeds) for name in nets}

    monkeypatch.setattr(degradation, "train_all", made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deep_plain", "deep_residual", "passed"), [(0.5, 0.2, True), (0.21, 0.2, False), (0.5, 0.4, False)]
)
def test_degradation_is_seen_or_not(deep_plain, deep_residual, passed, monkeypatch, tmp_path):
    errors = {"plain20_cifar": 0.2, "plain56_cifar": deep_plain, "resnet20_cifar": 0.2, "resnet56_cifar": deep_residual}
    fake_training(monkeypatch, errors)
    setup = Setup(tmp_path, dataset="cifar10", depths=(20, 56), seeds=(0, 1))
    found = degradation.run(setup)
    assert found.passed is passed
    written = results.write("degradation", "Title", "Question?", found, setup, 1.0)
    page = written.read_text()
    assert ("As published" in page) is passed
    assert page.count("<svg role=") == 4
    assert set(re.findall("https?://[a-z0-9.]+", page)) <= {"http://www.w3.org"}
    values = json.loads((written.parent / "results.json").read_text())
    assert values["seeds"] == [0, 1]
    assert values["tables"][0]["rows"][3][4:6] == ["6.97", "+33.03"]  # table 6 of the paper


ARGUMENTS = [
    "lab",
    "degradation",
    "--depths",
    "20",
    "--set",
    "epochs=1",
    "--set",
    "subset=64",
    "--set",
    "warmup_epochs=0",
]


@pytest.mark.proof
def test_the_command_trains_and_goes_on(monkeypatch, tmp_path, capsys):
    """An interruption after one of two nets; then only the other one is trained."""
    from keras_resnet.training import loop

    for name in ("plain20_cifar", "resnet20_cifar"):
        monkeypatch.setitem(SPECS, name, dataclasses.replace(SPECS[name], depths=(1, 1, 1), width=4))

    trained, train = [], loop.train

    def counted(recipe, **how):
        if len(trained) == 1:
            raise KeyboardInterrupt
        result = train(recipe, **how)
        trained.append(recipe.model)
        return result

    monkeypatch.setattr(keras_resnet.training, "train", counted)
    assert cli.main(ARGUMENTS) == 130
    assert "go on: keras-resnet" in capsys.readouterr().err
    trained.append("not counted any more")
    cut = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("lab/runs/*/plain*/model.keras"))]
    assert cli.main(ARGUMENTS) == 0
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("lab/runs/*/plain*/model.keras"))] == cut
    values = json.loads((tmp_path / "lab" / "degradation-small-digits" / "results.json").read_text())
    assert set(values["results"]["curves"]) == {"plain20_cifar", "resnet20_cifar"}
    assert values["recipe"]["subset"] == 64
    assert values["environment"]["processor"]


@pytest.mark.proof
def test_gradients_are_watched_while_training(tmp_path):
    setup = Setup(tmp_path, depths=(20,), settings=("epochs=1", "subset=96", "warmup_epochs=0"))
    found = gradients.run(setup)
    looks = found.values["residual, 20"][0]
    assert set(looks) == {"0", "1", "2", "3"}  # before, and after each of three steps
    assert all(value > 0 for value in looks["3"].values())
    assert len(looks["0"]) == 19
    assert looks["0"] != looks["3"]


@pytest.mark.slow
def test_a_unit_trains_and_is_saved_without_our_code(tmp_path):
    unit = units.SHORTCUTS["exclusive gating"]
    spec = dataclasses.replace(SPECS["resnet20_cifar"], name="gated", depths=(1, 1, 1))
    setup = Setup(tmp_path, settings=("epochs=1", "subset=32", "warmup_epochs=0"))
    (curves,) = train_all(setup, {"gated": units.OfUnit(spec, unit)})["gated"]
    model = keras.saving.load_model(curves.run / "model.keras")
    assert any(layer.name.endswith("_gate_conv") for layer in model.layers)
    assert 0 <= curves.test <= 1


def test_the_list_of_experiments(capsys):
    assert cli.main(["lab"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in EXPERIMENTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["degradatio"], "did you mean degradation"),
        (["degradation", "--seeds", "0"], "from 1"),
        (["degradation", "--depths", "a"], "whole numbers"),
        (["degradation", "--depths", "21"], "expected some of 20, 32"),
        (["degradation", "--data", "cifar"], "did you mean cifar10"),
        (["degradation", "--full", "--data", "digits"], "leave out --data digits"),
        (["degradation", "--set", "epoch=1"], "epochs"),
        (["degradation", "--data", "cifar10:nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    assert cli.main(["lab", *arguments]) == 2
    lines = [line for line in capsys.readouterr().err.strip().splitlines() if not line.startswith("note:")]
    assert len(lines) == 1
    assert message in lines[0]


def test_full_size_is_the_papers_recipe(tmp_path):
    assert Setup(tmp_path, full=True, dataset="cifar10").recipe().epochs == 182
    with pytest.raises(InputError):
        Setup(tmp_path, full=True)


@pytest.mark.parametrize(
    ("name", "full", "epochs"),
    [
        ("resnet56_cifar", True, 0),
        ("plain110_cifar", True, 1),
        ("resnetv2_1001_cifar", True, 1),
        ("resnet110-dropout-05", True, 1),
        ("resnet20-constant-05", True, 0),
        ("resnet110_cifar", False, 4),
    ],
)
def test_the_deepest_nets_are_warmed_up_as_in_the_papers(name, full, epochs, tmp_path):
    recipe = recipe_of(Setup(tmp_path, full=full, dataset="cifar10"), name, 3)
    assert (recipe.warmup_epochs, recipe.seed) == (epochs, 3)
