"""Rematerialisation: the same training, bit for bit, in less memory."""

import keras
import numpy as np
import pytest
from tiers import in_proof

from keras_resnet import InputError, ResNetSpec, build
from keras_resnet.nets import fused
from keras_resnet.nets.fused import fuse
from keras_resnet.training import precision
from keras_resnet.training.remat import rematerialise

BASIC = ResNetSpec(name="mini", block="basic", depths=(1, 2), stem="cifar", width=4, classes=10)
PREACTIVATION = ResNetSpec(
    name="mini", block="bottleneck", depths=(2, 1), stem="cifar", width=4, classes=10, preactivation=True
)


def _trained(name, remat, policy="float32", steps=3):
    """Losses and weights after some steps, from the same start."""
    keras.utils.set_random_seed(0)
    with precision.policy(policy):
        model = build(name)
        fuse(model)
        if remat:
            rematerialise(model)
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss="sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(8, 32, 32, 3)).astype("f"), np.arange(8)
    losses = [float(model.train_on_batch(images, labels)) for _ in range(steps)]
    return losses, model.get_weights(), model.predict(images, verbose=0)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        (BASIC, "float32"),
        in_proof(PREACTIVATION, "float32"),
        in_proof("resnet8", "float32"),
        in_proof("resnet8", "mixed_bfloat16"),
    ],
    ids=["basic", "pre-activation", "resnet8", "resnet8 in bfloat16"],
)
@pytest.mark.slow
def test_losses_weights_and_statistics_are_those_without_it(name, policy):
    plain, ours = _trained(name, False, policy), _trained(name, True, policy)
    assert plain[0] == ours[0]
    for a, b in zip(plain[1], ours[1], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(plain[2], ours[2])


@pytest.mark.proof
def test_without_the_guard_statistics_would_move_twice(monkeypatch):
    """The control: what the test above would see."""
    plain = _trained(BASIC, False, steps=1)
    monkeypatch.setattr("keras_resnet.training.remat.statistics_held", lambda: fused.contextlib.nullcontext())
    ours = _trained(BASIC, True, steps=1)
    assert plain[0] == ours[0]
    assert any(not np.array_equal(a, b) for a, b in zip(plain[1], ours[1], strict=True))


@pytest.mark.slow
def test_the_graph_of_a_step_keeps_one_tensor_a_block():
    """TensorFlow keeps what the backward pass reads: with rematerialisation the forward convolutions occur twice."""
    import tensorflow as tf

    def convolutions(remat):
        model = build(BASIC)
        fuse(model)
        if remat:
            rematerialise(model)

        @tf.function
        def gradients(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(x, training=True))
            return tape.gradient(loss, [v.value for v in model.trainable_variables])

        graph = gradients.get_concrete_function(tf.TensorSpec((2, 32, 32, 3))).graph
        return sum(op.type == "Conv2D" for op in graph.get_operations())

    assert convolutions(False) == 1 + 2 * 3 + 1  # stem, three blocks, a projection
    assert convolutions(True) == 2 * convolutions(False)


def test_layers_that_would_act_twice_are_refused():
    with pytest.raises(InputError, match="conv1_bn would act twice"):
        rematerialise(build("resnet8"))
    model = build("resnet8", stochastic_depth=0.2)
    fuse(model)
    with pytest.raises(InputError, match="_drop would act twice"):
        rematerialise(model)


@pytest.mark.slow
def test_what_is_saved_is_plain(tmp_path):
    model = build(BASIC)
    fuse(model)
    rematerialise(model)
    model.save(tmp_path / "x.keras")
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("f")
    again = keras.saving.load_model(tmp_path / "x.keras")
    np.testing.assert_allclose(again.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6)
