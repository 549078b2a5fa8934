"""The fused normalisation: Keras' values, Keras' files."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet import build
from keras_resnet.nets.fused import fuse
from keras_resnet.training.optimization import CoupledSGD


def _norm(**arguments):
    image = keras.Input((5, 6, 4))
    model = keras.Model(image, keras.layers.BatchNormalization(momentum=0.7, **arguments)(image))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape).astype("f") for w in model.get_weights()])
    return model


def _images(n=8, seed=1):
    return np.random.default_rng(seed).normal(3, 2, (n, 5, 6, 4)).astype("f")


@pytest.mark.parametrize("training", [True, False])
def test_outputs_statistics_and_gradients_are_keras_own(training):
    import tensorflow as tf

    stock, fused = _norm(), _norm()
    assert fuse(fused) == 1
    results = []
    for model in (stock, fused):
        images = tf.constant(_images())
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = model(images, training=training)
            loss = tf.reduce_sum(outputs**3)
        gradients = tape.gradient(loss, [images, *[v.value for v in model.trainable_variables]])
        results.append([outputs, *gradients, *model.get_weights()])
    for ours, theirs in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-3 * np.abs(theirs).max())
    assert training != np.allclose(results[0][-1], _norm().get_weights()[-1])  # statistics moved while training


def test_moving_variance_is_the_biased_one():
    model = _norm()
    fuse(model)
    before = model.get_weights()[-1]
    images = _images(1)  # 30 values a channel: 1/29 of difference would show
    model(images, training=True)
    expected = 0.7 * before + 0.3 * images.var(axis=(0, 1, 2))
    np.testing.assert_allclose(model.get_weights()[-1], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (keras.layers.BatchNormalization(synchronized=True), (5, 6, 4)),
        (keras.layers.BatchNormalization(scale=False), (5, 6, 4)),
        (keras.layers.BatchNormalization(axis=1), (5, 6, 4)),
        (keras.layers.BatchNormalization(), (5, 4)),
        (keras.layers.GroupNormalization(2), (5, 6, 4)),
    ],
)
def test_it_steps_aside_where_the_kernel_does_not_fit(layer, shape):
    image = keras.Input(shape)
    assert fuse(keras.Model(image, layer(image))) == 0


def test_frozen_layers_keep_their_statistics():
    model = _norm(trainable=False)
    fuse(model)
    before = model.get_weights()
    outputs = model(_images(), training=True)
    assert all(np.array_equal(x, y) for x, y in zip(before, model.get_weights(), strict=True))
    np.testing.assert_allclose(outputs, _norm(trainable=False)(_images()), rtol=1e-5, atol=1e-5)


def test_files_hold_plain_batch_normalization(tmp_path):
    model = build("resnet8")
    config = model.get_config()
    assert fuse(model) == 7
    assert model.get_config() == config
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert type(again.get_layer("conv1_bn")) is keras.layers.BatchNormalization
    assert "call" not in vars(again.get_layer("conv1_bn"))


def _train(fused, steps, policy="float32", net="resnet8"):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        model = build(net)
    finally:
        keras.config.set_dtype_policy("float32")
    if fused:
        fuse(model)
    optimizer = CoupledSGD(0.003, decay=1e-4, momentum=0.9, nesterov=True)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((16 * 50, 32, 32, 3)).astype("f"), rng.integers(0, 10, 16 * 50)
    losses = []
    for step in range(steps):
        part = slice(16 * step, 16 * step + 16)
        losses.append(float(model.train_on_batch(images[part], labels[part])))
    return np.array(losses)


@pytest.mark.slow
def test_steps_have_the_losses_of_stock_keras(mini_spec):
    stock = _train(False, 12, net=mini_spec)
    assert np.abs(_train(True, 12, net=mini_spec) - stock).max() <= 1e-3
    assert np.ptp(stock) > 0.1


@pytest.mark.proof
def test_fifty_steps_have_the_losses_of_stock_keras():
    stock = _train(False, 50)
    assert np.abs(_train(True, 50) - stock).max() <= 1e-3
    half = _train(True, 20, "mixed_bfloat16")  # fewer: processors without bfloat16 emulate it
    assert np.abs(half - stock[:20]).max() <= 0.2
    assert np.ptp(stock) > 0.1


@pytest.mark.parametrize("nesterov", [True, False])
def test_the_step_of_coupled_sgd_is_keras_own_bit_for_bit(nesterov, monkeypatch):
    moved = {}
    for fused in (True, False):
        if not fused:
            monkeypatch.setattr(CoupledSGD, "_move", keras.optimizers.SGD.update_step)
        rng = np.random.default_rng(0)
        kernels = [keras.Variable(rng.normal(size=(3, 3, 8, 16)).astype("f"), name="kernel") for _ in range(2)]
        optimizer = CoupledSGD(0.1, decay=1e-3, momentum=0.9, nesterov=nesterov, global_clipnorm=1.0)
        gradients = [tf.constant(rng.normal(size=(3, 3, 8, 16)).astype("f")) for _ in range(2)]
        optimizer.build(kernels)
        step = tf.function(functools.partial(optimizer.apply, gradients, kernels))
        for _ in range(3):
            step()
        moved[fused] = [keras.ops.convert_to_numpy(value) for value in (*kernels, *optimizer.momentums)]
        definition = step.get_concrete_function().graph.as_graph_def()
        inside = [node.op for function in definition.library.function for node in function.node_def]
        operations = {*(node.op for node in definition.node), *inside}
        assert ("ResourceApplyKerasMomentum" in operations) is fused
    for mine, theirs in zip(moved[True], moved[False], strict=True):
        np.testing.assert_array_equal(mine, theirs)
