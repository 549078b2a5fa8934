"""What `build` may change about a variant: resolution, features, rank, regularisation, norms, names."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiers import in_proof

import keras_resnet
from keras_resnet import InputError, ResNetSpec, build, stage_taps
from keras_resnet.nets.graph import without_values
from keras_resnet.nets.specs import SPECS

# One row of every kind, at sizes that a test can bear.
EVERY_DAY = ("resnetv2_50", "resnet10t", "resnet18_a")
MORE = (
    "resnet18",
    "resnet50",
    "resnetv2_18",
    "resnet18d",
    "resnet50v2",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "resnet50_v1_5",
    "resnet34_c",
    "resnetblur50",
)
KINDS = [*EVERY_DAY, *(in_proof(name) for name in MORE)]


def _small(name):
    """The row's parts in blocks of an eighth of its channels, two to a stage: every kind of block stays."""
    spec = SPECS[name]
    return dataclasses.replace(spec, name="small", width=max(8, spec.width // 8), depths=(2,) * len(spec.depths))


def _cases(kinds, output_stride, without=()):
    for kind in kinds:
        name, marks = (kind, ()) if isinstance(kind, str) else (kind.values[0], kind.marks)
        if not {SPECS[name].shortcut, SPECS[name].antialiasing} & {*without}:
            yield pytest.param(
                _small(name) if isinstance(kind, str) else SPECS[name], output_stride, id=name, marks=marks
            )


def _randomized(model, seed=0):
    """Statistics and scales that are not zero and one."""
    rng = np.random.default_rng(seed)
    model.set_weights([w + 0.05 * rng.random(w.shape).astype("f") * (w.ndim == 1) for w in model.get_weights()])
    return model


def _images(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("f")


# --- Resolution


# With the strided net each is compared with; that they compose is the same everywhere.
DILATIONS = [(False, False, True), (False, True, True), (True, True, True)]
OTHERS = [dilate for dilate in itertools.product((False, True), repeat=3) if dilate not in DILATIONS]


@pytest.mark.parametrize("dilate", [*DILATIONS, *(in_proof(dilate) for dilate in OTHERS)])
@pytest.mark.parametrize("name", ["resnet18d", "resnet50v2", *(in_proof(n) for n in ("resnet18", "resnet50"))])
def test_every_combination_of_dilations_has_its_size_and_the_same_weights(name, dilate):
    with without_values():
        strided = build(_small(name), input_shape=(64, 64, 3), include_top=False)
        dilated = build(_small(name), input_shape=(64, 64, 3), include_top=False, dilate=dilate)
    assert dilated.output_shape[1:3] == (64 // 32 * 2 ** sum(dilate),) * 2
    assert [w.shape for w in dilated.weights] == [w.shape for w in strided.weights]
    assert [w.path for w in dilated.weights] == [w.path for w in strided.weights]


# Option D's pool has no dilation and counts zeros behind the border (as in timm: test_at_peers.py), so with two dilated
# stages its shortcut is not the strided net's. A blur has no dilation either.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "output_stride"), [*_cases(KINDS, 16), *_cases([in_proof(KINDS[0]), *KINDS[1:]], 8, without=("D", "blur"))]
)
def test_dilated_nets_compute_what_the_strided_ones_do_and_more_between(spec, output_stride):
    strided = _randomized(build(spec, input_shape=(64, 64, 3), include_top=False))
    dilated = build(spec, input_shape=(64, 64, 3), include_top=False, output_stride=output_stride)
    dilated.set_weights(strided.get_weights())
    images = _images(1, 64, 64, 3)
    expected = strided.predict_on_batch(images)
    step = 32 // output_stride
    received = dilated.predict_on_batch(images)
    assert received.shape[1] == 64 // output_stride
    np.testing.assert_allclose(received[:, ::step, ::step], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert np.abs(received[:, 1::step, 1::step] - expected).max() > 1e-3 * np.abs(expected).max()


def test_stride_of_cifar_nets_can_be_undone_completely():
    model = build("resnet20_cifar", include_top=False, input_shape=(32, 32, 3), output_stride=1)
    assert model.output_shape == (None, 32, 32, 64)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("resnet50", {"output_stride": 12}, "resnet50 reaches 4, 8, 16 by dilation and 32 without"),
        ("resnet20_cifar", {"output_stride": 8}, "reaches 1, 2 by dilation and 4 without"),
        ("resnet50", {"dilate": (True,)}, "strides before 3 of its stages"),
        ("resnet50", {"dilate": (1, 0, 0)}, "expected that many booleans"),
        ("resnet50", {"dilate": (True,) * 3, "output_stride": 8}, "say the same"),
        ("resnet50", {"rank": 4}, "rank=4"),
        ("resnet50", {"rank": 1}, "give input_shape=(length, channels)"),
        ("resnet50", {"rank": 3, "input_shape": (64, 64, 3)}, "expected (depth, height, width, channels)"),
        ("resnet50", {"dropout": 1.0}, "dropout=1.0"),
        ("resnet50", {"stochastic_depth": -0.1}, "stochastic_depth=-0.1"),
        ("resnet50", {"dropout": 0.2, "include_top": False}, "comes before the classifier"),
        ("plain18", {"stochastic_depth": 0.1}, "stochastic_depth=0.1: plain18 is a plain net"),
        ("plain18", {"zero_init_residual": True}, "zero_init_residual=True: plain18 is a plain net"),
        ("resnet50", {"activation": "reloo"}, "activation='reloo'"),
        ("resnet50", {"activation": len}, "expected the name of a Keras activation"),
        ("resnet50", {"norm": "layer"}, "unknown norm 'layer'"),
        ("resnet50", {"norm": "group", "freeze_bn": True}, "no moving statistics"),
        ("resnet50", {"prefix": "a/"}, "without '/'"),
        ("resnet50", {"features": (64,)}, "has maps at strides 2, 4, 8, 16, 32"),
        ("resnet50", {"features": (32,), "output_stride": 16}, "has maps at strides 2, 4, 8, 16"),
        ("resnet50", {"features": ()}, "has maps at strides"),
        ("resnet50", {"features": (8,), "include_top": True}, "leave out include_top=True"),
        ("resnet50", {"features": (8,), "pooling": "avg"}, "leave out include_top=True and pooling"),
    ],
)
def test_what_a_variant_cannot_honour_is_refused_by_name(name, arguments, said):
    with pytest.raises(InputError) as error:
        build(name, **arguments)
    assert said in str(error.value)


# --- Features


@pytest.mark.slow
def test_features_are_a_dict_by_stride_with_the_weights_of_the_whole_net(tmp_path):
    spec = _small("resnet18")
    whole = _randomized(build(spec, classes=7, input_shape=(64, 64, 3)))
    keras_resnet.save_weights(whole, tmp_path / "w.safetensors")
    backbone = build(
        spec, weights=tmp_path / "w.safetensors", weights_match="adapt", features=(2, 8), input_shape=(64, 64, 3)
    )
    images = _images(2, 64, 64, 3)
    maps = backbone(images)
    assert {stride: value.shape[1:] for stride, value in maps.items()} == {2: (32, 32, 8), 8: (8, 8, 16)}
    expected = keras.Model(whole.input, stage_taps(whole)[8])(images)
    np.testing.assert_allclose(maps[8], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("output_stride", [in_proof(32), 8])
def test_features_keep_their_keys_through_load_model(tmp_path, output_stride):
    model = build(_small("resnet10t"), features=(4, 8), input_shape=(64, 64, 3), output_stride=output_stride)
    keras_resnet.save_model(model, tmp_path / "m.keras")
    again, _ = keras_resnet.load_model(tmp_path / "m.keras")
    images = _images(1, 64, 64, 3)
    before, after = model(images), again(images)
    assert list(before) == list(after) == [4, 8]
    for stride in before:
        np.testing.assert_allclose(before[stride], after[stride], atol=1e-6)


STRIDES = {"imagenet": (2, 4, 8, 16, 32), "cifar": (1, 2, 4)}
KIND_BY_KIND = {(s.block, s.stem, s.shortcut, s.preactivation): n for n, s in reversed(SPECS.items())}  # the first rows


@pytest.mark.parametrize("name", [*KIND_BY_KIND.values(), "resnetblur18", "resnetaa50"])
def test_features_of_every_kind_of_row_have_their_stride(name):
    spec = SPECS[name]
    strides = STRIDES["cifar" if spec.stem == "cifar" else "imagenet"]
    spec = dataclasses.replace(spec, name="small", depths=(2,) * len(spec.depths))
    with without_values():
        model = build(spec, features=strides, input_shape=(64, 96, 3))
    assert {stride: tensor.shape[1:3] for stride, tensor in model.output.items()} == {
        stride: (64 // stride, 96 // stride) for stride in strides
    }
    assert model.output[strides[-1]].shape[-1] == spec.width * 2 ** (len(spec.depths) - 1) * spec.expansion


def test_features_on_a_given_tensor_count_from_it():
    image = keras.Input((64, 64, 3))
    halved = keras.layers.AveragePooling2D(2)(image)
    model = build("resnet18", features=(8,), input_tensor=halved)
    assert model.inputs[0] is image
    assert {stride: tensor.shape for stride, tensor in model.output.items()} == {8: (None, 4, 4, 128)}


# --- Rank


@pytest.mark.slow
@pytest.mark.parametrize("rank", [3, in_proof(1)])  # 1: test_a_sequence_is_an_image_of_one_row
@pytest.mark.parametrize(
    "name",
    [
        "resnet10t",
        *(
            in_proof(n)
            for n in (
                "resnet8",
                "resnet20_cifar",
                "resnet18_a",
                "resnetv2_18",
                "resnext50_32x4d",
                "resnet50",
                "resnet50v2",
                "resnetrs50",
                "resnetblur18",
                "resnetaa50d",
            )
        ),  # fmt: skip
    ],
)
def test_sequences_and_volumes(name, rank, tmp_path):
    # Small, as a volume's kernels have 27 and 343 weights for each pair of channels; every kind of block is there.
    width = 8 if name == "resnet10t" else 16
    spec = dataclasses.replace(SPECS[name], width=width, depths=(2, *(1 for _ in SPECS[name].depths[1:])))
    model = _randomized(build(spec, rank=rank, input_shape=(*(32,) * rank, 2), classes=4))
    flat = build(spec, input_shape=(32, 32, 2), classes=4)
    named = {v.path: v.shape for v in flat.variables}
    for variable in model.variables:  # the same names; kernels of the same size along every axis
        shape = named.pop(variable.path)
        assert variable.shape == ((shape[0],) * rank + shape[2:] if len(shape) == 4 else shape)
    assert not named
    signals = _images(2, *(32,) * rank, 2)
    with tf.GradientTape() as tape:
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(np.arange(2), model(signals, training=True)))
    assert all(np.abs(g).max() > 0 for g in tape.gradient(loss, [v.value for v in model.trainable_variables[:1]]))
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict_on_batch(signals), model.predict_on_batch(signals), atol=1e-6)


@pytest.mark.slow
def test_a_sequence_is_an_image_of_one_row():
    """A 2-D net whose 3x3 kernels are zero beside their middle row computes the 1-D net."""
    spec = _small("resnet18_a")
    sequence = _randomized(build(spec, rank=1, input_shape=(64, 3), include_top=False, pooling="avg"))
    image = build(spec, input_shape=(64, 64, 3), include_top=False, pooling="avg")
    values = []
    for flat, line in zip(image.weights, sequence.get_weights(), strict=True):
        value = np.zeros(flat.shape, "f") if len(flat.shape) == 4 else line
        if len(flat.shape) == 4:
            value[flat.shape[0] // 2] = line
        values.append(value)
    image.set_weights(values)
    x = _images(2, 64, 3)
    rows = np.repeat(x[:, None], 64, axis=1)  # every row the same, so that pools down the columns change nothing
    np.testing.assert_allclose(image.predict_on_batch(rows), sequence.predict_on_batch(x), rtol=1e-4, atol=1e-5)


# --- Regularisation, initial values


@pytest.mark.slow
def test_stochastic_depth_falls_linearly_and_drops_whole_branches():
    spec = dataclasses.replace(SPECS["resnet34"], width=8)
    model = build(spec, stochastic_depth=0.5, include_top=False, input_shape=(32, 32, 3))
    drops = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    np.testing.assert_allclose([layer.rate for layer in drops], 0.5 * np.arange(1, 17) / 16)
    value = np.asarray(drops[-1](np.ones((400, 2, 2, 3), "f"), training=True)).reshape(400, -1)
    assert set(value.ravel()) == {0.0, 2.0}
    assert (value.std(axis=1) == 0).all()
    assert 0.4 < (value[:, 0] == 0).mean() < 0.6
    images = _images(2, 32, 32, 3)
    plain = build(spec, include_top=False, input_shape=(32, 32, 3))
    keras_resnet.save_weights(model, "w.safetensors")
    keras_resnet.load_weights(plain, "w.safetensors")
    np.testing.assert_allclose(model(images, training=False), plain(images, training=False), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet50_v1_5", "resnetv2_18", *(in_proof(n) for n in ("resnet18", "resnet8", "resnet10t"))]
)
def test_zero_initial_residuals_leave_the_shortcut(name):
    model = build(_small(name), zero_init_residual=True, input_shape=(64, 64, 3), include_top=False)
    adds = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    shortcuts, residuals = zip(*(layer.input for layer in adds), strict=True)
    values = keras.Model(model.input, [*residuals, shortcuts[0]])(_images(1, 64, 64, 3))
    assert all(np.abs(value).max() == 0 for value in values[:-1])
    assert np.abs(values[-1]).max() > 0


def test_dropout_comes_before_the_classifier():
    model = build("resnet8", dropout=0.3)
    assert model.get_layer("predictions").input is model.get_layer("dropout").output
    assert model.get_layer("dropout").rate == 0.3


# --- Activation and norm


def test_other_activations_are_everywhere_and_max_pools_never_see_a_border_of_zeros():
    model = build(_small("resnet18"), activation="silu", input_shape=(32, 32, 3), include_top=False)
    used = {layer.activation.__name__ for layer in model.layers if isinstance(layer, keras.layers.Activation)}
    assert used == {"silu"}
    pool = model.get_layer("pool1_pool")
    below = keras.Model(model.get_layer("conv1_relu").output, pool.output)
    negative = np.full((1, 16, 16, 8), -0.2, "f")
    np.testing.assert_array_equal(below(negative), np.full((1, 8, 8, 8), -0.2, "f"))


@pytest.mark.parametrize(
    ("name", "groups"),
    [("resnet18", {32}), ("resnet8", {8, 16, 32}), ("resnet10t", {4, 16, 32}), ("resnet8_26", {1, 2, 4})],
)
def test_group_norm(name, groups):
    with without_values():
        model = build(name, norm="group", input_shape=(32, 32, 3))
    norms = [layer for layer in model.layers if layer.name.endswith("_bn")]
    assert {type(layer) for layer in norms} == {keras.layers.GroupNormalization}
    assert {layer.groups for layer in norms} == groups
    assert all(layer.gamma.shape[0] % layer.groups == 0 for layer in norms)
    assert len(model.non_trainable_variables) == 0


def test_synchronized_batch_norm_is_batch_norm_on_one_device():
    plain = build("resnet8")
    synchronized = build("resnet8", norm="sync_batch")
    synchronized.set_weights(plain.get_weights())
    assert synchronized.get_layer("conv1_bn").synchronized
    images = _images(4, 32, 32, 3)
    np.testing.assert_allclose(synchronized(images, training=True), plain(images, training=True), atol=1e-6)


def test_frozen_batch_norm_stays_in_inference_mode_and_the_rest_trains():
    model = _randomized(build("resnet8", freeze_bn=True))
    images = _images(4, 32, 32, 3)
    np.testing.assert_array_equal(model(images, training=True), model(images, training=False))
    norms = sum(layer.name.endswith("_bn") for layer in model.layers)
    assert len(model.trainable_variables) == len(build("resnet8").trainable_variables) - 2 * norms


# --- Names


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", *(in_proof(n) for n in ("resnetv2_18", "resnet10t"))])
def test_two_nets_in_one_graph(name, tmp_path):
    how = {"include_top": False, "input_shape": (32, 32, 3)}
    one, two = (build(_small(name), prefix=prefix, **how) for prefix in ("rgb_", "depth_"))
    both = keras.Model([one.input, two.input], keras.layers.Concatenate()([one.output, two.output]))
    names = [layer.name for layer in both.layers if layer.variables]
    assert len(names) == len(set(names))
    assert all(name.startswith(("rgb_", "depth_")) for name in names)
    assert stage_taps(both, "depth_").keys() == stage_taps(one, "rgb_").keys()
    with pytest.raises(InputError, match="no layers named x_conv2_block1_out"):
        stage_taps(both, "x_")
    both.save(tmp_path / "m.keras")
    assert keras.saving.load_model(tmp_path / "m.keras").count_params() == 2 * one.count_params()


def test_a_net_on_top_of_another_loads_weights_into_its_own_layers_only(tmp_path):
    source = _randomized(build("resnet8", input_shape=(16, 16, 32)), seed=3)
    keras_resnet.save_weights(source, tmp_path / "w.safetensors")
    first = build("resnet8", include_top=False, prefix="a_", input_shape=(32, 32, 3), output_stride=2)
    before = first.get_weights()
    conv = keras.layers.Conv2D(32, 1)(first.output)
    second = build("resnet8", input_tensor=conv, prefix="b_", weights=tmp_path / "w.safetensors")
    assert second.inputs[0] is first.inputs[0]
    assert all(np.array_equal(x, y) for x, y in zip(before, first.get_weights(), strict=True))
    loaded = {layer.name: layer for layer in second.layers}
    for layer in source.layers:
        for mine, theirs in zip(loaded.get(f"b_{layer.name}", layer).weights, layer.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_features_of_a_net_of_ones_own():
    spec = ResNetSpec(name="mini", block="basic", depths=(1, 1), stem="deep", width=8, stem_width=8, classes=3)
    assert list(build(spec, features=(8, 2, 4), input_shape=(32, 32, 3)).output) == [8, 2, 4]
