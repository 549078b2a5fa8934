"""Pretrained weights move to other data."""

import dataclasses

import keras
import numpy as np
import pytest
from tiers import in_proof

from keras_resnet import InputError, build, cli, load_model, train
from keras_resnet.nets.fused import fuse
from keras_resnet.nets.specs import get_spec
from keras_resnet.training import finetune_recipe, override, transfer
from keras_resnet.training.optimization import make_optimizer

CLASSES = tuple("abcdefg")


@pytest.fixture(scope="module")
def recipe():
    return finetune_recipe("cifar10", "digits", "resnet8", settings=["epochs=2", "head_epochs=1", "warmup_epochs=0"])


def _model(recipe, classes=CLASSES):
    keras.utils.set_random_seed(0)
    model = build(recipe.model, classes=len(classes), freeze_bn=recipe.freeze_bn)
    fuse(model)
    transfer.begin(model, recipe, get_spec(recipe.model), classes)
    return model


def _step(model, recipe, steps=1, per_epoch=1):
    """Weights that changed, after some steps."""
    optimizer = make_optimizer(recipe, per_epoch, transfer.factors(model, recipe))
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    before = {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}
    for _ in range(steps):
        model.train_on_batch(rng.normal(size=(8, 32, 32, 3)).astype("f"), np.arange(8) % model.output_shape[-1])
    after = {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}
    return {
        path: np.abs(after[path] - before[path]).max()
        for path in after
        if not np.array_equal(after[path], before[path])
    }


def test_the_body_comes_from_the_weights_and_the_head_is_new(recipe):
    pretrained = build("resnet8", weights="cifar10")
    model = _model(recipe)
    for ours, theirs in zip(model.layers[:-1], pretrained.layers[:-1], strict=True):
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    ten_others = _model(recipe, tuple(map(str, range(10))))
    assert not np.array_equal(ten_others.layers[-1].get_weights()[0], pretrained.layers[-1].get_weights()[0])
    from keras_resnet.labels import CIFAR10

    same = _model(recipe, CIFAR10)
    np.testing.assert_array_equal(same.layers[-1].get_weights()[0], pretrained.layers[-1].get_weights()[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("freeze", "first"),
    [
        ("all", "predictions"),
        *(in_proof(*row) for row in (("none", "conv1_"), ("stem", "conv2_"), ("stage2", "conv3_"))),
    ],
)
def test_frozen_stages_learn_nothing_not_even_statistics(recipe, freeze, first):
    changed = _step(_model(dataclasses.replace(recipe, freeze=freeze, head_epochs=0.0, freeze_bn=False)), recipe, 3, 1)
    assert min(changed).startswith(first)
    frozen = {"none": 0, "stem": 1, "stage2": 2, "all": 8}[freeze]
    assert {transfer.stage_of(path) for path in changed} == {s for s in (1, 2, 3, 4, 9) if s > frozen}
    assert ("conv4_block1_1_bn/moving_mean" in changed) == (freeze != "all")


@pytest.mark.slow
def test_first_the_head_learns_then_every_stage_at_a_rate_of_its_own(recipe):
    recipe = dataclasses.replace(recipe, layer_decay=0.1, weight_decay=0.0, momentum=0.0, nesterov=False, epochs=100)
    assert set(_step(_model(recipe), dataclasses.replace(recipe, head_epochs=3.0), 3)) == {
        "predictions/bias",
        "predictions/kernel",
    }
    whole = _step(_model(recipe), dataclasses.replace(recipe, head_epochs=0.0, layer_decay=1.0))
    staged = _step(_model(recipe), dataclasses.replace(recipe, head_epochs=0.0))
    for path, factor in (
        ("conv4_block1_1_conv/kernel", 0.1),
        ("conv2_block1_1_conv/kernel", 1e-3),
        ("predictions/kernel", 1),
    ):
        assert staged[path] / whole[path] == pytest.approx(factor, rel=0.02)
    assert not any("bn" in path for path in staged)  # freeze_bn


def test_what_contradicts_is_refused(recipe):
    for settings, said in (
        (["freeze_bn=false"], "head_epochs goes with freeze_bn=true"),
        (["optimizer=adam", "coupled_decay=false"], "go with coupled_decay=true"),
        (["layer_decay=0"], "expected above 0"),
        (["precise_bn=100"], "freeze_bn keeps the statistics"),
    ):
        with pytest.raises(InputError, match=said):
            override(recipe, settings)
    with pytest.raises(InputError, match="freeze=stage5: resnet8 has stem, stage2, stage3, stage4, or all or none"):
        _model(dataclasses.replace(recipe, freeze="stage5"))
    with pytest.raises(InputError, match="expected --model NAME"):
        finetune_recipe("cifar10", "digits")
    with pytest.raises(InputError):
        _model(dataclasses.replace(recipe, model="resnet20_cifar", weights="digits"))


def test_the_command_says_what_it_needs(capsys):
    assert cli.main(["finetune", "--data", "digits"]) == 2
    assert "expected --weights W and --data DATASET" in capsys.readouterr().err
    assert cli.main(["finetune", "--weights", "imagenet", "--model", "resnet8", "--data", "digits"]) == 2
    assert "unknown weights for resnet8" in capsys.readouterr().err


@pytest.mark.proof
def test_the_command_moves_cifar_weights_to_digits(tmp_path, capsys):
    command = ["finetune", "--model", "resnet8", "--weights", "cifar10", "--data", "digits", "--epochs", "4"]
    assert cli.main([*command, "--set", "head_epochs=1", "--output", str(tmp_path / "run")]) == 0
    model, card = load_model(tmp_path / "run" / "model.keras")
    assert card.labels == tuple(map(str, range(10)))
    assert card.preprocess.mean[0] == pytest.approx(125.307)
    # A net of this package names itself.
    again = finetune_recipe(tmp_path / "run" / "model.keras", "digits", settings=["epochs=1", "head_epochs=0"])
    result = train(again, run_dir=tmp_path / "again", verbose=False)
    assert result.validation_accuracy > 0.5  # one in ten by chance
