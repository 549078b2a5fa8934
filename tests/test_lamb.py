"""LAMB against the formula in NumPy, against timm's, and what recipes of before mean by the name."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet import InputError
from keras_resnet.training import RECIPES, override, run
from keras_resnet.training import recipe as recipe_lib
from keras_resnet.training.lamb import Lamb
from keras_resnet.training.optimization import UNDECAYED, make_optimizer

ROOT = Path(__file__).resolve().parents[1]
RATE, DECAY, CLIP = 0.05, 0.02, 1.0
SHAPES = {"kernel": (3, 4), "bias": (4,), "gamma": (4,), "beta": (4,), "zero": (2, 3), "still": (5,)}
STEPS = 6


def _problem(steps=STEPS):
    """Variables by name, and gradients of every step: some above the norm of the clipping, some below it."""
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    values["zero"] *= 0
    values["still"] *= 0  # and its gradient: both norms are zero
    scales = [3.0, 0.01, 1.0, 0.1, 5.0, 0.02]
    gradients = [
        {name: rng.normal(size=shape) * scales[step % 6] * (name != "still") for name, shape in SHAPES.items()}
        for step in range(steps)
    ]
    return values, gradients


def _reference(values, gradients, *, decay=DECAY, clip=CLIP, undecayed=UNDECAYED):
    """The variables after every step, in float64: the paper's algorithm 2, with timm's exception for the undecayed."""
    values = {name: np.array(value) for name, value in values.items()}
    first, second = ({name: np.zeros_like(value) for name, value in values.items()} for _ in range(2))
    after = []
    for t, step in enumerate(gradients, start=1):
        length = np.sqrt(sum((g**2).sum() for g in step.values()))
        shrink = min(1.0, clip / length) if clip else 1.0
        for name, g in step.items():
            g = g * shrink
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g * g
            update = first[name] / (1 - 0.9**t) / (np.sqrt(second[name] / (1 - 0.999**t)) + 1e-6)
            ratio = 1.0
            if decay and name not in undecayed:
                update = update + decay * values[name]
                lengths = np.linalg.norm(values[name]), np.linalg.norm(update)
                ratio = lengths[0] / lengths[1] if min(lengths) > 0 else 1.0
            values[name] = values[name] - RATE * ratio * update
        after.append({name: value.copy() for name, value in values.items()})
    return after


def _variables(values):
    return [keras.Variable(np.float32(value), name=name) for name, value in values.items()]


def _tensors(gradients):
    return [tf.constant(value, tf.float32) for value in gradients.values()]


def _close(variables, expected, message=""):
    for variable in variables:
        np.testing.assert_allclose(
            variable.numpy(), expected[variable.name], rtol=2e-5, atol=2e-6, err_msg=f"{message} {variable.name}"
        )


def _recipe(**settings):
    made = {"optimizer": "lamb", "weight_decay": DECAY, "clip_norm": CLIP, "learning_rate": RATE, **settings}
    return dataclasses.replace(RECIPES["digits-resnet8"], schedule="constant", warmup_epochs=0.0, **made)


@pytest.mark.parametrize(
    ("settings", "reference", "compiled"),
    [
        ({}, {}, False),
        ({}, {}, True),
        ({"clip_norm": 0.0}, {"clip": 0.0}, False),
        ({"decay_all": True}, {"undecayed": ()}, False),
        ({"weight_decay": 0.0}, {"decay": 0.0}, False),
    ],
)
def test_steps_are_those_of_the_formula(settings, reference, compiled):
    values, gradients = _problem()
    optimizer, variables = make_optimizer(_recipe(**settings), 1), _variables(values)
    optimizer.build(variables)
    apply = tf.function(lambda step: optimizer.apply(step), jit_compile=True) if compiled else optimizer.apply
    for step, (own, expected) in enumerate(
        zip(gradients, _reference(values, gradients, **reference), strict=True), start=1
    ):
        apply(_tensors(own))
        _close(variables, expected, f"step {step}")


def test_the_control_keras_own_steps_are_others():
    """What this file is about: Keras decays a kernel beside the ratio, and moves a bias by its length."""
    values, gradients = _problem()
    optimizer, variables = make_optimizer(_recipe(optimizer="keras-lamb"), 1), _variables(values)
    optimizer.apply(_tensors(gradients[0]), variables)
    expected = _reference(values, gradients)[0]
    for variable in variables[:2]:
        assert np.abs(variable.numpy() - expected[variable.name]).max() > 1e-4, variable.name


def test_replicas_clip_the_sum_of_their_gradients_and_take_one_step():
    """Each part alone is longer than the clipping, and so is the sum: clipping the parts first gives another step."""
    values, gradients = _problem()
    devices = [device.name for device in tf.config.list_logical_devices("CPU")[:2]]
    # Without collectives, which TensorFlow confuses with those of other strategies of the process.
    strategy = tf.distribute.MirroredStrategy(devices, tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        variables, optimizer = _variables(values), make_optimizer(_recipe(), 1)
        optimizer.build(variables)
    shares = {0: 1.5, 1: -0.5}

    @tf.function
    def step(whole):
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        share = tf.where(tf.equal(number, 0), shares[0], shares[1])
        optimizer.apply([gradient * share for gradient in whole])

    for own, expected in zip(gradients, _reference(values, gradients), strict=True):
        strategy.run(step, args=(_tensors(own),))
        _close(variables, expected)


def test_accumulated_batches_are_one_step():
    values, gradients = _problem(3)
    optimizer, variables = make_optimizer(_recipe(accumulation=2), 1), _variables(values)
    for own, expected in zip(gradients, _reference(values, gradients), strict=True):
        for share in (0.25, 1.75):  # whose mean is one
            optimizer.apply([share * gradient for gradient in _tensors(own)], variables)
        _close(variables, expected)


def test_half_precision_scales_the_loss_and_not_the_step():
    values, gradients = _problem()
    optimizer, variables = keras.optimizers.LossScaleOptimizer(make_optimizer(_recipe(), 1)), _variables(values)
    optimizer.build(variables)
    for own, expected in zip(gradients, _reference(values, gradients), strict=True):
        optimizer.apply([optimizer.scale_loss(gradient) for gradient in _tensors(own)], variables)
        _close(variables, expected)


def test_it_goes_on_where_its_state_was_saved_and_averages_weights():
    values, gradients = _problem()
    expected = _reference(values, gradients)
    first, variables = make_optimizer(_recipe(ema=0.5), 1), _variables(values)
    for own in gradients[:3]:
        first.apply(_tensors(own), variables)
    text = json.dumps(keras.optimizers.serialize(first))
    second = keras.optimizers.deserialize(json.loads(text))
    assert isinstance(second, Lamb)
    assert second.undecayed == UNDECAYED
    second.build(variables)
    for new, old in zip(second.variables, first.variables, strict=True):
        new.assign(old)
    for own in gradients[3:]:
        second.apply(_tensors(own), variables)
    _close(variables, expected[-1])
    mean = expected[0]["kernel"]
    for each in expected[1:]:
        mean = 0.5 * mean + 0.5 * each["kernel"]
    second.finalize_variable_values(variables)
    np.testing.assert_allclose(variables[0].numpy(), mean, rtol=1e-4)


# ---- recipes


def test_recipes_that_name_it_clip_as_timm_does():
    named = [row for row in RECIPES.values() if row.optimizer == "lamb"]
    assert {row.name: row.clip_norm for row in named} == {"rsb-a2": 1.0, "rsb-a3": 1.0}
    assert isinstance(make_optimizer(override(named[0], ["clip_norm=0"]), 1), Lamb)


@pytest.mark.parametrize("version", [1, 2])
def test_a_run_of_before_keeps_keras_own(version, tmp_path):
    """Its checkpoints have variables of the same shapes: nothing else would notice."""
    now = json.loads(_recipe().dumps())
    assert now["version"] == recipe_lib.VERSION == 7
    old = {**now, "version": version}
    known = recipe_lib.loads(json.dumps(old), "recipe.json")
    assert (known.optimizer, type(make_optimizer(known, 1))) == ("keras-lamb", keras.optimizers.Lamb)
    assert recipe_lib.loads(known.dumps(), "again").optimizer == "keras-lamb"
    assert recipe_lib.loads(json.dumps({**old, "optimizer": "adamw"}), "recipe.json").optimizer == "adamw"
    assert recipe_lib.loads(json.dumps(now), "recipe.json").optimizer == "lamb"
    (tmp_path / "recipe.json").write_text(json.dumps(old))
    assert run.reopen(None, tmp_path) == known
    with pytest.raises(InputError, match="of another recipe: optimizer is keras-lamb there, lamb here"):
        run.reopen(_recipe(), tmp_path)


# ---- timm's own: `make check-timm` makes .venv-timm


@pytest.mark.check
@pytest.mark.parametrize("clip", [1.0, 0.0])
def test_timm_lamb_takes_the_same_steps(clip, tmp_path):
    python = ROOT / ".venv-timm" / "bin" / "python"
    if not python.exists():
        reason = f"{python} is not there: make check-timm makes it"
        if os.environ.get("KERAS_RESNET_CHECK") == "timm":
            pytest.fail(reason)
        pytest.skip(reason)
    values, gradients = _problem(60)
    arrays = {f"variable_{i}": np.float32(value) for i, value in enumerate(values.values())}
    for step, own in enumerate(gradients):
        arrays |= {f"gradient_{step}_{i}": np.float32(value) for i, value in enumerate(own.values())}
    decayed = np.array([name not in UNDECAYED for name in values])
    np.savez(tmp_path / "in.npz", decayed=decayed, learning_rate=RATE, decay=DECAY, clip=clip, **arrays)
    program = Path(__file__).with_name("peers_lamb.py")
    subprocess.run([python, program, tmp_path / "in.npz", tmp_path / "out.npz"], check=True)
    optimizer, variables = make_optimizer(_recipe(clip_norm=clip), 1), _variables(values)
    with np.load(tmp_path / "out.npz") as theirs:
        for step, own in enumerate(gradients):
            optimizer.apply(_tensors(own), variables)
            expected = {variable.name: theirs[f"after_{step}_{i}"] for i, variable in enumerate(variables)}
            _close(variables, expected, f"step {step + 1}")
