"""Nets in compressed form: rounding, masks, clusters, fewer channels, and their training."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
from sklearn.cluster import KMeans
from tiers import in_proof

import keras_resnet
from keras_resnet import InputError, build, load_model, save_model, train
from keras_resnet.compression import channels, clustering, folding, methods, pruning, rewriting
from keras_resnet.compression.nets import Compressed
from keras_resnet.compression.settings import parse_sparsity, settings
from keras_resnet.nets.compressed import (
    ChannelwiseNormalization,
    Clusters,
    CompressedConv2D,
    FakeQuantize,
    Mask,
    RoundedKernel,
    kernels,
    parameters,
)
from keras_resnet.nets.fusion import consumers, unfolded_norms
from keras_resnet.nets.graph import multiply_adds, without_values
from keras_resnet.training import RECIPES, strategy


def randomized(model, seed=0):
    """Statistics and scales as after a training, so that folding and pruning have something to do."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(random.uniform(0.5, 1.5, shape))
            layer.beta.assign(random.normal(0, 0.3, shape))
            layer.moving_mean.assign(random.normal(0, 0.3, shape))
            layer.moving_variance.assign(random.uniform(0.5, 2, shape))
    return model


def pixels(count, size=32, seed=1):
    return np.random.default_rng(seed).normal(size=(count, size, size, 3)).astype("float32")


def rounded_by_numpy(values, low, high, bits):
    """Affine quantization with an exact zero, as TFLite's specification has it."""
    steps = 2**bits - 1
    scale = (high - low) / steps
    zero = np.clip(np.round(-low / scale), 0, steps)
    return (np.clip(np.round(values / scale) + zero, 0, steps) - zero) * scale


# ---- layers


@pytest.mark.parametrize("transform", [Mask, lambda: Clusters(16), RoundedKernel])
def test_masks_centroids_and_ranges_are_no_parameters(transform, mini_spec):
    model = build(mini_spec)
    net = rewriting.compressed(model, lambda layer: [transform()], bits=8)
    assert net.count_params() > model.count_params()  # what was said before
    assert parameters(net) == parameters(model) == model.count_params()


def test_a_pattern_cannot_be_had_where_channels_fill_no_group():
    """By counting: three of the five channels of the first kernel are left over."""
    arrays = [np.ones((3, 3, 5, 2)), np.ones((1, 1, 8, 4))]
    zeros, weights = 9 * 2 * 2 + 4 * 4, 90 + 32
    assert pruning.attainable(arrays, parse_sparsity("2:4")) == zeros / weights
    assert pruning.attainable(arrays, parse_sparsity("0.5")) == 61 / weights


@pytest.mark.parametrize(("low", "high", "bits"), [(-1.0, 3.0, 8), (0.0, 6.0, 8), (-0.7, 0.2, 4)])
def test_activations_are_rounded_as_by_numpy(low, high, bits):
    layer = FakeQuantize(bits)
    values = np.linspace(low - 1, high + 1, 999, dtype="float32") + 1e-4
    layer.build(values.shape)
    layer.low.assign(low)
    layer.high.assign(high)
    found = np.asarray(layer(values))
    np.testing.assert_allclose(found, rounded_by_numpy(values, low, high, bits), atol=1e-5)
    assert len(np.unique(found)) == 2**bits


@pytest.mark.slow
def test_a_range_is_the_mean_of_the_first_batches_and_holds_zero():
    layer = FakeQuantize(momentum=0.99)
    for low, high in ((1.0, 2.0), (-4.0, 4.0)):
        layer(np.array([low, high], "float32"), training=True)
    np.testing.assert_allclose([float(layer.low), float(layer.high)], [(0 - 4) / 2, (2 + 4) / 2])
    for _ in range(300):
        layer(np.array([-1.0, 1.0], "float32"), training=True)
    before = float(layer.high)
    layer(np.array([-1.0, 101.0], "float32"), training=True)
    np.testing.assert_allclose(float(layer.high) - before, 0.01 * (101 - before), rtol=1e-3)  # an average by then
    layer(np.array([-9.0, 999.0], "float32"), training=False)
    np.testing.assert_allclose(float(layer.high) - before, 0.01 * (101 - before), rtol=1e-3)


def test_gradients_pass_inside_the_range_only():
    import tensorflow as tf

    layer = FakeQuantize()
    layer.build((3,))
    layer.low.assign(-1.0)
    layer.high.assign(1.0)
    x = tf.constant([-2.0, 0.3, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x))
    assert tape.gradient(y, x).numpy().tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("shape", [(3, 3, 4, 5), (3, 4, 5), (6, 5), (2, 3, 3, 4, 5)])
@pytest.mark.parametrize("bits", [4, 8])
def test_kernels_are_rounded_per_channel_whatever_their_scale(shape, bits):
    kernel = np.random.default_rng(0).normal(size=shape).astype("float32")
    found = np.asarray(RoundedKernel(bits)(kernel))
    scale = np.abs(kernel.reshape(-1, shape[-1])).max(axis=0) / (2 ** (bits - 1) - 1)
    np.testing.assert_allclose(found, np.round(kernel / scale) * scale, atol=1e-5)
    factors = np.float32([0.01, 0.5, 1, 3, 100])
    np.testing.assert_allclose(np.asarray(RoundedKernel(bits)(kernel * factors)), found * factors, rtol=1e-4)
    assert len(np.unique(np.round(np.asarray(RoundedKernel(bits, per_channel=False)(kernel)), 6))) < 2**bits


@pytest.mark.parametrize("layer", [FakeQuantize, RoundedKernel])
def test_quantization_needs_tensorflow(layer, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="TensorFlow backend, this is jax"):
        layer()


def test_centroids_are_those_of_k_means():
    values = np.random.default_rng(0).normal(size=2000)
    found = clustering.centroids(values, 8)
    start = np.linspace(values.min(), values.max(), 8)[:, None]
    reference = KMeans(8, init=start, n_init=1, max_iter=50, tol=0).fit(values[:, None])
    np.testing.assert_allclose(found, np.sort(reference.cluster_centers_.ravel()), atol=1e-3)


def test_a_training_step_moves_centroids_to_the_means_of_their_weights():
    layer = Clusters(3)
    layer.build((4, 1))
    layer.centroids.assign([-1.0, 0.0, 10.0])
    kernel = np.array([[-1.2], [-0.6], [0.1], [0.2]], "float32")
    found = np.asarray(layer(kernel, training=True))
    np.testing.assert_allclose(layer.centroids, [-0.9, 0.15, 10.0], rtol=1e-6)  # an empty cluster stays
    np.testing.assert_allclose(found.ravel(), [-0.9, -0.9, 0.15, 0.15], rtol=1e-6)
    assert len(np.unique(layer.exactly(kernel))) == 2


def test_clustered_nets_keep_their_norms_and_have_the_nearest_centroids(mini_spec):
    model = randomized(build(mini_spec, input_shape=(32, 32, 3)))
    twin = keras.models.clone_model(model)
    nets = methods.forms(model, twin, settings("cluster", clusters=4))
    nets.copy(nets.model, nets.twin)
    for name, kernel in kernels(model).items():
        means = clustering.centroids(kernel, 4)
        nearest = means[np.abs(kernel[..., None] - means).argmin(-1)]
        np.testing.assert_allclose(kernels(nets.twin)[name], nearest, rtol=1e-6)
    np.testing.assert_array_equal(nets.twin.get_layer("conv1_bn").gamma, model.get_layer("conv1_bn").gamma)


# ---- rewriting


def test_a_net_without_transforms_is_the_same_net(mini_spec):
    model = randomized(build(mini_spec, input_shape=(32, 32, 3)))
    again = rewriting.compressed(model, lambda layer: [])
    np.testing.assert_array_equal(model(pixels(4)), again(pixels(4)))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert not any(isinstance(layer, CompressedConv2D) for layer in again.layers)


def test_ranges_are_where_an_integer_engine_has_tensors(mini_spec):
    net = rewriting.compressed(build(mini_spec), lambda layer: [RoundedKernel()], bits=8)
    found = {layer.name.removesuffix("_range") for layer in net.layers if isinstance(layer, FakeQuantize)}
    assert found == {
        *("image", "conv1_relu", "conv2_block1_1_relu", "conv2_block1_2_bn", "conv2_block1_out", "avg_pool"),
        *("conv3_block1_1_relu", "conv3_block1_0_bn", "conv3_block1_2_bn", "conv3_block1_out", "predictions"),
    }
    assert net.layers[-1].name == "predictions_softmax"


@pytest.mark.slow
def test_pre_activation_norms_become_depthwise_convolutions():
    model = randomized(build("resnetv2_20_cifar"))
    net = rewriting.compressed(model, lambda layer: [], bits=8)
    loose = [layer.name for layer in net.layers if isinstance(layer, ChannelwiseNormalization)]
    assert len(loose) == 10
    assert set(loose) == set(unfolded_norms(model, "keras"))
    norm, plain = net.get_layer(loose[3]), model.get_layer(loose[3])
    x = pixels(2, 8)[..., :1] * np.ones(norm.gamma.shape, "float32")
    np.testing.assert_allclose(norm(x), plain(x), atol=1e-5)
    np.testing.assert_allclose(norm(x, training=True), plain(x, training=True), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, plain.moving_variance, rtol=1e-5)


def foreign(*layers):
    image = x = keras.Input((8, 8, 3), name="picture")
    for layer in layers:
        x = layer(x)
    return keras.Model(image, x)


L = keras.layers


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: foreign(L.Conv2D(2, 3, activation="gelu", name="odd"), L.Flatten()), r"quantized: odd \(Conv2D\)"),
        (lambda: foreign(L.Conv2D(2, 3), L.LeakyReLU(name="leak")), r"quantized: leak \(LeakyReLU\)"),
        (lambda: foreign(L.Conv2D(2, 3), L.ReLU(negative_slope=0.1, name="slope")), r"slope \(ReLU\)"),
        (lambda: foreign(L.DepthwiseConv2D(3, name="deep"), L.Conv2D(2, 1)), r"deep \(DepthwiseConv2D\)"),
        (lambda: foreign(L.Flatten()), "nothing to compress"),
        (lambda: foreign(foreign(L.Conv2D(2, 3))), "models inside the model"),
        (lambda: foreign(*[L.Conv2D(3, 1, name="twice")] * 2), "more than once cannot be rewritten: twice"),
    ],
)
def test_what_cannot_be_quantized_is_named(model, message):
    with pytest.raises(InputError, match=message):
        methods.refuse(model(), settings("qat"))


@pytest.mark.slow
def test_integer_nets_are_saved_and_loaded(mini_spec, tmp_path):
    model = randomized(build(mini_spec, input_shape=(32, 32, 3)))
    for name in ("sparsity", None):
        nets = methods.forms(model, model, settings("qat", preserve=name))
        nets.model(pixels(8), training=True)
        save_model(nets.model, tmp_path / f"{name}.keras")
        again, _ = load_model(tmp_path / f"{name}.keras")
        np.testing.assert_array_equal(nets.model(pixels(4)), again(pixels(4)))
        assert rewriting.is_quantized(again)
        assert not rewriting.is_quantized(model)


@pytest.mark.slow
def test_folding_changes_nothing_but_the_graph():
    spec = dataclasses.replace(keras_resnet.nets.specs.get_spec("resnet18"), width=16, depths=(1, 1, 1, 1))
    model = randomized(build(spec, classes=10, input_shape=(64, 64, 3)))
    folded = folding.folded(model)
    np.testing.assert_allclose(folded(pixels(4, 64)), model(pixels(4, 64)), atol=1e-5)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    v2 = folding.folded(build("resnetv2_20_cifar"))
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in v2.layers) == 10


# ---- pruning


@pytest.mark.parametrize("text", ["0.5", "0.75", "0.1"])
def test_masks_remove_the_smallest(text):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 8, 16))
    mask = pruning.mask(kernel, parse_sparsity(text))
    assert (mask == 0).sum() == round(float(text) * kernel.size)
    assert np.abs(kernel[mask == 0]).max() <= np.abs(kernel[mask == 1]).min()
    assert (pruning.mask(np.ones((4, 4)), parse_sparsity(text)) == 0).sum() == round(float(text) * 16)  # all the same


def test_removed_weights_are_zeros_without_a_sign():
    layer = Mask()
    layer.build((2, 2))
    layer.mask.assign([[0, 1], [1, 0]])
    kernel = np.asarray(layer(np.float32([[-1, 2], [-3, 4]])))
    np.testing.assert_array_equal(kernel, [[0, 2], [-3, 0]])
    np.testing.assert_array_equal(np.signbit(kernel), [[False, False], [True, False]])


def test_patterns_hold_in_every_group_of_input_channels():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 10, 5))
    mask = pruning.mask(kernel, parse_sparsity("2:4"))
    groups = np.moveaxis(mask[..., :8, :], -2, -1).reshape(-1, 4)
    assert (groups.sum(axis=1) == 2).all()
    assert (mask[..., 8:, :] == 1).all()  # two channels fill no group
    sizes = np.moveaxis(np.abs(kernel[..., :8, :]), -2, -1).reshape(-1, 4)
    assert (np.where(groups == 0, sizes, 0).max(axis=1) <= np.where(groups == 1, sizes, 9).min(axis=1)).all()
    half = pruning.mask(kernel, parse_sparsity("2:4"), 0.25)
    assert abs((half == 0).sum() - (mask == 0).sum() / 2) < 1
    assert (half >= mask).all()


@pytest.mark.slow
def test_what_was_removed_stays_removed(mini_spec):
    model = build(mini_spec)
    net = methods.forms(model, model, settings("prune", sparsity="0.8")).model
    schedule = pruning.Schedule(net, parse_sparsity("0.8"), 100, epoch_steps=50)
    seen = []
    for epoch in range(3):
        schedule.on_epoch_begin(epoch)
        for batch in range(50):
            schedule.on_train_batch_end(batch)
            for layer, _ in schedule.pruned:
                layer.kernel.assign_add(np.random.default_rng(batch).normal(0, 0.1, layer.kernel.shape))
        seen.append([np.asarray(transform.mask) for _, transform in schedule.pruned])
    gone = [np.mean(np.concatenate([mask.ravel() for mask in masks]) == 0) for masks in seen]
    np.testing.assert_allclose(gone, [0.8 * (1 - 0.5**3), 0.8, 0.8], atol=0.001)
    for first, second, third in zip(*seen, strict=True):
        assert (second <= first).all()
        assert second.sum() >= 1  # no layer is cut off
        np.testing.assert_array_equal(second, third)  # the schedule is over


def test_scores_are_those_of_lamp():
    kernel = np.random.default_rng(0).normal(size=(3, 4, 5))
    found = pruning.scores(kernel)
    for value, score in zip(kernel.ravel(), found.ravel(), strict=True):
        assert score == pytest.approx(value**2 / np.square(kernel[np.abs(kernel) >= abs(value)]).sum())
    assert found.max() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "shrink"}, "unknown method"),
        ({"method": "prune", "sparsity": "1.0"}, "above 0 and below 1"),
        ({"method": "prune", "sparsity": "-0.1"}, "above 0 and below 1"),
        ({"method": "prune", "sparsity": "4:2"}, "0 < N < M"),
        ({"method": "prune", "sparsity": "half"}, "a share like 0.5"),
        ({"method": "prune", "channels": 1.5}, "above 0 and below 1"),
        ({"method": "prune", "channels": 0.5, "sparsity": 0.5}, "give one of them"),
        ({"method": "prune", "clusters": 4}, "goes with method cluster"),
        ({"method": "cluster", "clusters": 1}, "2 to 256"),
        ({"method": "qat", "weight_bits": 3}, "expected 4 or 8"),
        ({"method": "qat", "preserve": "peace"}, "unknown preserve"),
        ({"method": "prune", "preserve": "sparsity"}, "goes with qat"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        settings(**arguments)


def test_there_must_be_something_to_preserve(mini_spec):
    for what in ("sparsity", "clusters"):
        with pytest.raises(InputError, match=f"no {'zeros' if what == 'sparsity' else what} to preserve"):
            methods.refuse(build(mini_spec), settings("qat", preserve=what))


# ---- channels


@pytest.mark.parametrize(
    ("name", "count"),
    [("resnet20_cifar", 9), ("resnetv2_20_cifar", 9), ("resnet50", 32), ("resnext50_32x4d", 0), ("resnet50d", 34)],
)
def test_channels_inside_residuals_can_go(name, count):
    with without_values():
        found = channels.spans(build(name, input_shape=(64, 64, 3), classes=10))
    assert len(found) == count
    assert all(span.first.endswith("_conv") and not span.first.endswith(("_0_conv", "_3_conv")) for span in found)


@pytest.mark.slow
def test_removing_channels_that_nobody_reads_changes_nothing():
    model = randomized(build("resnet20_cifar"))
    random, kept = np.random.default_rng(0), {}
    for span in channels.spans(model):
        width = model.get_layer(span.first).filters
        kept[span.first] = np.sort(random.permutation(width)[: width // 2])
        layer = model.get_layer(span.last)
        kernel = np.array(layer.kernel)
        kernel[:, :, np.setdiff1d(np.arange(width), kept[span.first])] = 0
        layer.kernel.assign(kernel)
    narrow = channels.narrowed(model, kept)
    np.testing.assert_allclose(narrow(pixels(4)), model(pixels(4)), atol=1e-5)
    assert multiply_adds(narrow) / multiply_adds(model) == pytest.approx(0.5, abs=0.02)
    # What nobody reads does not matter to the loss either.
    targets = np.eye(10, dtype="f")[np.arange(40) % 10]
    for span, sizes in channels.importance(model, pixels(40), targets, keras.losses.CategoricalCrossentropy()).items():
        unread = np.setdiff1d(np.arange(len(sizes)), kept[span.first])
        assert sizes[unread].max() < 1e-9 * sizes.sum()
        assert sizes[kept[span.first]].mean() > 0


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, *(in_proof(s) for s in (0.75, 0.3))])
def test_channels_go_until_the_share_is_reached(share):
    model = build("resnet20_cifar")
    sizes = {
        span: np.random.default_rng(0).random(model.get_layer(span.first).filters) for span in channels.spans(model)
    }
    kept = channels.choose(model, share, sizes)
    narrow = channels.narrowed(model, kept)
    assert share - 0.05 < multiply_adds(narrow) / multiply_adds(model) <= share
    widths = {span.first: len(values) for span, values in sizes.items()}
    assert all(len(indices) % min(16, widths[first] // 4) == 0 for first, indices in kept.items())
    assert all(len(indices) >= share / 2 * widths[first] for first, indices in kept.items())
    with pytest.raises(InputError, match="cannot be reached"):
        channels.choose(model, 0.01, sizes)


@pytest.mark.slow
def test_reconstruction_is_least_squares(mini_spec):
    model = randomized(build(mini_spec, input_shape=(16, 16, 3)))
    kept = {span.first: np.arange(2) for span in channels.spans(model)}
    plain, better = channels.narrowed(model, kept), channels.narrowed(model, kept)
    images = pixels(300, 16)
    channels.reconstruct(better, model, images, kept, positions=200)
    span = channels.spans(model)[0]

    def error(net):
        """Of the span's normalised output."""
        norm = consumers(net)[span.last][0].name
        out = [keras.Model(x.input, x.get_layer(norm).output)(images) for x in (net, model)]
        return float(np.square(np.asarray(out[0]) - np.asarray(out[1])).mean())

    assert error(better) < 0.8 * error(plain)
    part = keras.Model(better.input, better.get_layer(span.last).input)(images)
    rows = np.asarray(keras.ops.image.extract_patches(part, (3, 3), strides=1, padding="same")).reshape(-1, 18)
    target = np.asarray(keras.Model(model.input, model.get_layer(span.last).output)(images)).reshape(-1, 4)
    reference, *_ = np.linalg.lstsq(np.c_[rows, np.ones(len(rows))], target, rcond=None)
    np.testing.assert_allclose(np.asarray(better.get_layer(span.last).kernel).reshape(-1, 4), reference[:-1], atol=0.05)


# ---- training


@pytest.fixture(scope="module", params=["small", in_proof("resnet8")])
def trained(request):
    """A net of 4,000 parameters that has learnt nothing, and its card; in the proof tier the shipped net."""
    from keras_resnet.saving import load_named

    if request.param == "resnet8":
        yield load_named("resnet8", "digits")
        return
    spec = dataclasses.replace(keras_resnet.nets.specs.get_spec("resnet8"), name="small", depths=(1, 1), width=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(keras_resnet.nets.specs.SPECS, "small", spec)
        yield build(spec), dataclasses.replace(load_named("resnet8", "digits")[1], spec="small")


def is_shipped(trained):
    return trained[0].count_params() > 70_000


@pytest.fixture(scope="module")
def recipe(trained):
    return dataclasses.replace(
        RECIPES["compress"], dataset="digits", preprocess="tf", augmentation="affine", epochs=2, precise_bn=0,
        precision="float32", subset=640 if is_shipped(trained) else 256,
    )  # fmt: skip


def run(trained, recipe, folder, how, **arguments):
    result = train(recipe, nets=Compressed(*trained, how), run_dir=folder, verbose=False, **arguments)
    return load_model(result.run_dir / "model.keras")


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        in_proof(settings("prune", sparsity="0.5")),
        in_proof(settings("prune", sparsity="2:4")),
        in_proof(settings("cluster", clusters=16)),
        in_proof(settings("qat", weight_bits=4)),
        settings("prune", channels=0.5),
    ],
    ids=lambda how: how.name,
)
def test_compressed_nets_are_plain_models(trained, recipe, digits, how, tmp_path):
    images = 1000 if is_shipped(trained) else 64
    model, card = run(trained, dataclasses.replace(recipe, precise_bn=images * how.norms_move), tmp_path / "run", how)
    assert not rewriting.is_quantized(model)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    assert card.labels == trained[1].labels
    assert card.spec == (None if how.channels else trained[1].spec)
    found = kernels(model)
    if how.sparsity:
        attainable = pruning.attainable(list(found.values()), how.sparsity)
        assert attainable == pytest.approx(0.5, abs=0.01 if is_shipped(trained) else 0.03)
        assert pruning.sparsity_of(model) >= attainable
    if how.clusters:
        assert max(len(np.unique(kernel)) for kernel in found.values()) <= 16
    if how.weight_bits == 4:
        assert all(len(np.unique(channel)) <= 15 for k in found.values() for channel in k.reshape(-1, k.shape[-1]).T)
    if how.channels:
        assert multiply_adds(model) <= 0.5 * multiply_adds(trained[0])
    elif is_shipped(trained):
        assert keras_resnet.evaluate(keras_resnet.runtime.KerasRunner(model, card), digits.test).top1 > 0.9


@pytest.mark.proof
def test_an_interrupted_pruning_ends_like_an_uninterrupted_one(trained, recipe, tmp_path, monkeypatch):
    how = settings("prune", sparsity="0.7")
    recipe = dataclasses.replace(recipe, epochs=2, subset=320)
    whole, _ = run(trained, recipe, tmp_path / "whole", how)
    go_on = pruning.Schedule.on_train_batch_end

    def stop(self, batch, logs=None):
        go_on(self, batch, logs)
        if self.step == 4:  # in the second epoch, within the schedule
            raise KeyboardInterrupt

    monkeypatch.setattr(pruning.Schedule, "on_train_batch_end", stop)
    assert train(recipe, nets=Compressed(*trained, how), run_dir=tmp_path / "parts", verbose=False).interrupted
    monkeypatch.setattr(pruning.Schedule, "on_train_batch_end", go_on)
    parts, _ = run(trained, recipe, tmp_path / "parts", how, resume=True)
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.proof
def test_quantization_aware_training_freezes_norms_and_resumes(trained, recipe, tmp_path, monkeypatch):
    recipe = dataclasses.replace(recipe, epochs=4)
    how = settings("qat")
    whole, _ = run(trained, recipe, tmp_path / "whole", how)
    seen = {}
    keep = methods.FreezeNorms.on_epoch_begin

    def stop(self, epoch, logs=None):
        keep(self, epoch, logs)
        seen[epoch] = [np.asarray(layer.moving_mean) for layer in self.model.layers if hasattr(layer, "moving_mean")]
        if epoch == 3 and "stopped" not in seen:
            seen["stopped"] = True
            raise KeyboardInterrupt

    monkeypatch.setattr(methods.FreezeNorms, "on_epoch_begin", stop)
    assert train(recipe, nets=Compressed(*trained, how), run_dir=tmp_path / "parts", verbose=False).interrupted
    assert not np.array_equal(seen[0][0], seen[1][0])
    np.testing.assert_array_equal(seen[2][0], seen[3][0])  # frozen from the third epoch on: 0.6 of four
    parts, _ = run(trained, recipe, tmp_path / "parts", how, resume=True)
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("how", "changes"),
    [
        in_proof(
            settings("qat"), {"remat": True, "ema": 0.9, "accumulation": 2, "distillation": 0.0}),
        (settings("cluster"), {"steps_per_execution": 2, "dropout": 0.1, "optimizer": "adamw", "coupled_decay": False,
                               "learning_rate": 1e-4, "precision": "mixed_bfloat16", "epochs": 1, "subset": 320}),
    ],
    ids=["qat-remat-ema-accumulation", "cluster-adamw-bf16"],
)  # fmt: skip
def test_recipes_work_with_compressed_nets(trained, recipe, digits, how, changes, tmp_path):
    model, card = run(trained, dataclasses.replace(recipe, **changes), tmp_path / "run", how)
    assert (
        not is_shipped(trained)
        or keras_resnet.evaluate(keras_resnet.runtime.KerasRunner(model, card), digits.test).top1 > 0.9
    )


# A second training on several devices in one process uses the first one's collective operations, and fails.
MIRRORED = """
import dataclasses, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from keras_resnet import RECIPES, train
from keras_resnet.compression.nets import Compressed
from keras_resnet.compression.settings import settings
from keras_resnet.saving import load_named
how = settings(sys.argv[1])
recipe = dataclasses.replace(
    RECIPES["compress"], dataset="digits", preprocess="tf", augmentation="affine", epochs=2, ema=0.9, mixup=0.2,
    precise_bn=1000 * how.norms_move, precision="float32", hold_out=True,
)
train(recipe, nets=Compressed(*load_named("resnet8", "digits"), how), run_dir="run", strategy="mirrored", verbose=False)
"""


@pytest.mark.proof
@pytest.mark.parametrize("method", ["qat", "prune", "cluster"])
def test_strategies_work_with_compressed_nets(method, digits, tmp_path):
    child = subprocess.run([sys.executable, "-c", MIRRORED, method], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    model, card = load_model(tmp_path / "run" / "model.keras")
    assert keras_resnet.evaluate(keras_resnet.runtime.KerasRunner(model, card), digits.test).top1 > 0.9
    if method == "prune":
        assert pruning.sparsity_of(model) == pytest.approx(0.5, abs=0.01)
    if method == "cluster":
        assert max(len(np.unique(kernel)) for kernel in kernels(model).values()) <= 16


def test_a_recipe_that_only_the_builder_can_honour_needs_a_net_of_the_table(trained, recipe, tmp_path):
    model, card = trained
    foreign_card = dataclasses.replace(card, spec=None)
    nets = Compressed(model, foreign_card, settings("prune"))
    with pytest.raises(InputError, match="dropout need a net of the table"):
        train(dataclasses.replace(recipe, dropout=0.1), nets=nets, run_dir=tmp_path / "run", verbose=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["flat", "ensemble"])
def test_another_net_teaches(trained, recipe, digits, kind):
    """Its norms are folded where it can be rewritten; its answers stay."""
    model, card = trained
    other = keras.models.clone_model(model)
    other.set_weights([value[..., ::-1] if value.shape[-1] == 10 else value for value in model.get_weights()])
    other.name = "other"
    if kind == "ensemble":
        image = keras.Input((32, 32, 3))
        other = keras.Model(image, keras.layers.Average()([other(image), model(image)]))
    nets = Compressed(model, card, settings("prune"), other).make(recipe, digits, "float32", strategy.make("none"))
    images = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    np.testing.assert_allclose(nets.teacher(images), other(images), atol=1e-5)
    assert np.abs(np.asarray(other(images)) - np.asarray(model(images))).max() > 1e-3  # the control


def test_distillation_needs_a_teacher(short_recipe, tmp_path):
    with pytest.raises(InputError, match="needs a teacher"):
        train(dataclasses.replace(short_recipe, distillation=0.5), run_dir=tmp_path / "run", verbose=False)
