"""The graph: against keras.applications, against NumPy, and against the papers' description."""

import dataclasses
import gc
import subprocess
import sys

import keras
import numpy as np
import peers
import pytest
import safetensors.numpy
from tiers import in_proof

import keras_resnet
from keras_resnet import InputError, build, stage_taps
from keras_resnet.nets import graph
from keras_resnet.nets.graph import deep_graphs, multiply_adds, without_values

PEERS = ("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2")
DEEP = [pytest.param(p, marks=() if "50" in p else pytest.mark.proof) for p in PEERS]


def _names(model):
    """In order, without the input's."""
    return [layer.name for layer in model.layers[1:]]


@pytest.mark.parametrize("peer", DEEP)
@pytest.mark.parametrize("top", [True, False])
def test_layers_are_those_of_keras_applications_in_their_order(peer, top):
    keras.utils.clear_session()  # keras.applications' pools on V2 shortcuts count on from what the process has made
    with without_values():
        theirs = getattr(keras.applications, peer)(weights=None, include_top=top)
        ours = getattr(keras_resnet, peer)(weights=None, include_top=top)
    assert _names(ours) == _names(theirs)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    assert (ours.name, ours.input_shape, ours.output_shape) == (theirs.name, theirs.input_shape, theirs.output_shape)


@pytest.mark.proof  # every day: test_legacy_h5.py, through a file
@pytest.mark.parametrize("peer", ["ResNet50", "ResNet50V2"])
def test_outputs_are_those_of_keras_applications(peer):
    theirs = getattr(keras.applications, peer)(weights=None)
    ours = getattr(keras_resnet, peer)(weights=None)
    # Statistics that are not zero and one, so that normalisation takes part.
    rng = np.random.default_rng(0)
    ours.set_weights([w + 0.05 * rng.random(w.shape).astype("f") * (w.ndim == 1) for w in theirs.get_weights()])
    theirs.set_weights(ours.get_weights())
    images = (rng.random((2, 224, 224, 3), np.float32) * 2 - 1) * 50
    difference = np.abs(ours.predict_on_batch(images) - theirs.predict_on_batch(images))
    assert difference.max() <= 1e-6
    assert np.ptp(ours.predict_on_batch(images)) > 1e-4  # not all the same


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["max", *(in_proof(p) for p in (None, "avg"))])
def test_headless_shapes_and_outputs_are_those_of_keras_applications(pooling):
    how = {"include_top": False, "pooling": pooling, "input_shape": (64, 96, 3)}
    theirs = peers.build("resnet50", **how)
    ours = build(peers.spec("resnet50"), **how)
    ours.set_weights(theirs.get_weights())
    images = np.random.default_rng(0).random((1, 64, 96, 3), np.float32)
    np.testing.assert_allclose(ours.predict_on_batch(images), theirs.predict_on_batch(images), atol=1e-5)


def test_signature_is_that_of_keras_applications():
    import inspect

    for peer in PEERS:
        ours = inspect.signature(getattr(keras_resnet, peer)).parameters
        theirs = inspect.signature(getattr(keras.applications, peer)).parameters
        assert {k: p.default for k, p in ours.items()} == {k: p.default for k, p in theirs.items()}
        assert list(ours) == list(theirs)


def test_input_tensor_reaches_back_to_its_source():
    image = keras.Input((64, 64, 3))
    scaled = keras.layers.Rescaling(1 / 255)(image)
    model = keras_resnet.ResNet18(input_tensor=scaled, classes=5)
    assert model.inputs[0] is image
    assert model.output_shape == (None, 5)


@pytest.mark.parametrize(
    ("name", "projections"),
    [
        ("resnet18", ["conv3_block1", "conv4_block1", "conv5_block1"]),  # none in conv2: the shape stays
        ("resnet50", ["conv2_block1", "conv3_block1", "conv4_block1", "conv5_block1"]),
        ("resnet20_cifar", []),
        ("plain18", []),
        ("resnet18_c", [f"conv{stage}_block{block}" for stage in (2, 3, 4, 5) for block in (1, 2)]),
        ("resnetv2_18", ["conv3_block1", "conv4_block1", "conv5_block1"]),
        ("resnetv2_164_cifar", ["conv2_block1", "conv3_block1", "conv4_block1"]),
        ("resnet8", ["conv3_block1", "conv4_block1"]),
    ],
)
def test_positions_of_the_projections(name, projections):
    with without_values():
        model = build(name)
    assert [layer.name.removesuffix("_0_conv") for layer in model.layers if "_0_conv" in layer.name] == projections


@pytest.mark.parametrize(
    ("name", "taps"),
    [
        ("resnet50", {2: 112, 4: 56, 8: 28, 16: 14, 32: 7}),
        ("resnet18", {2: 112, 4: 56, 8: 28, 16: 14, 32: 7}),
        ("resnet20_cifar", {1: 32, 2: 16, 4: 8}),
        ("resnet8", {1: 32, 2: 16, 4: 8}),
        ("resnetv2_18", {2: 112, 4: 56, 8: 28, 16: 14, 32: 7}),
        ("resnet18d", {2: 112, 4: 56, 8: 28, 16: 14, 32: 7}),
        ("resnetrs50", {2: 112, 4: 56, 8: 28, 16: 14, 32: 7}),
        ("wrn_16_4_cifar", {1: 32, 2: 16, 4: 8}),
    ],
)
def test_stage_taps_have_the_stride_they_are_named_by(name, taps):
    with without_values():
        assert {stride: tensor.shape[1] for stride, tensor in stage_taps(build(name)).items()} == taps


@pytest.mark.parametrize("package", [keras.applications, keras_resnet])
def test_stage_taps_are_right_where_the_last_block_strides(package):
    with without_values():
        model = package.ResNet50V2(weights=None)
    taps = stage_taps(model)
    assert {stride: tensor.shape[1] for stride, tensor in taps.items()} == {2: 112, 4: 56, 8: 28, 16: 14, 32: 7}
    assert taps[4] is model.get_layer("conv2_block2_out").output
    assert taps[32] is model.get_layer("post_relu").output


def test_stage_taps_need_a_resnet():
    image = keras.Input((8, 8, 3))
    with pytest.raises(InputError, match="expected a ResNet"):
        stage_taps(keras.Model(image, keras.layers.Conv2D(1, 1)(image)))


def test_strided_convolutions_of_the_torch_convention_pad_both_sides():
    with without_values():
        names = [layer.name for layer in build("resnet18").layers]
    assert "conv3_block1_1_pad" in names
    assert "conv2_block1_1_pad" not in names  # stride 1: "same" is symmetric
    assert "conv3_block1_1_pad" not in [layer.name for layer in build("resnet8").layers]


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_head_stays_in_float32_under_mixed_precision(half):
    keras.config.set_dtype_policy(f"mixed_{half}")
    try:
        model = build("resnet8")
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("conv2_block1_1_conv").compute_dtype == half
    assert model.output.dtype == "float32"
    assert {v.dtype for v in model.variables} == {"float32"}


EVERY_DAY = ("resnetv2_18", "resnext50_32x4d", "seresnet50")  # a row for each part
MORE = ("resnet8", "resnet10t", "resnet20_cifar", "resnet18", "plain18", "resnet18d", "wrn_16_4_cifar", "resnet50_v1_5",
        "resnet50v2", "wide_resnet50_2", "resnetrs50", "resnetv2_164_cifar")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", [*EVERY_DAY, *(in_proof(name) for name in MORE)])
def test_forward_and_backward(name):
    import tensorflow as tf

    spec = keras_resnet.nets.specs.get_spec(name)
    if name in EVERY_DAY:  # the same parts, a block of each width, and a quarter of the channels
        spec = dataclasses.replace(spec, depths=(1,) * len(spec.depths), width=max(16, spec.width // 4))
    model = build(spec, input_shape=(32, 32, 3), classes=4)
    images = np.random.default_rng(0).standard_normal((4, 32, 32, 3)).astype("f")
    with tf.GradientTape() as tape:
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(np.arange(4), model(images, training=True)))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert all(g is not None and np.isfinite(g).all() for g in gradients)
    assert all(
        np.abs(g).max() > 0 for v, g in zip(model.trainable_variables, gradients, strict=True) if "kernel" in v.name
    )


@pytest.mark.slow
@pytest.mark.parametrize("start", ["forked", pytest.param("cold", marks=[pytest.mark.proof, pytest.mark.cold_start])])
def test_saved_model_opens_without_this_package(start, tmp_path):
    model = build("resnet20_cifar")
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 0.9, w.shape).astype("f") * 0.2 for w in model.get_weights()])
    image = rng.standard_normal((1, 32, 32, 3)).astype("f")
    keras_resnet.save_model(model, tmp_path / "m.keras", keras_resnet.ModelCard(labels=tuple("abcdefghij")))
    safetensors.numpy.save_file({"x": image, "y": model.predict_on_batch(image)}, tmp_path / "io.safetensors")
    code = (
        "import sys, keras, numpy, safetensors.numpy\n"
        "keras.saving.get_custom_objects().clear()\n"  # a forked child has what we register
        "ours = {name for name in sys.modules if name.split('.')[0] == 'keras_resnet'}\n"
        "sys.modules.update(dict.fromkeys({'keras_resnet', *ours}))\n"  # importing any of it fails
        "io = safetensors.numpy.load_file('io.safetensors')\n"
        "y = keras.saving.load_model('m.keras').predict_on_batch(io['x'])\n"
        "sys.exit(int(numpy.abs(y - io['y']).max() > 1e-6))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"input_shape": (31, 64, 3)}, "at least 32, received 31"),
        ({"input_shape": (224, 224)}, "expected (height, width, channels)"),
        ({"input_shape": (None, 224, 3)}, "needs its height and width"),
        ({"input_shape": (224, 224, 0)}, "at least one channel"),
        ({"input_shape": (224, 224, None)}, "at least one channel"),
        ({"pooling": "sum"}, "pooling='sum'"),
        ({"classes": 0}, "classes=0"),
        ({"input_tensor": np.zeros(3)}, "expected a Keras tensor"),
    ],
)
def test_illegal_arguments(arguments, said):
    with pytest.raises(InputError) as error:
        build("resnet50", **arguments)
    assert said in str(error.value)


def test_input_shape_that_contradicts_the_tensor():
    with pytest.raises(InputError, match="contradicts"):
        build("resnet8", input_tensor=keras.Input((32, 32, 3)), input_shape=(64, 64, 3))


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(InputError, match="channels_last"):
            build("resnet8")
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"classes": 10}, "1000 classes"),
        ({"input_shape": (192, 192, 3)}, r"input_shape=\(224, 224, 3\)"),
        ({"classifier_activation": "sigmoid"}, "softmax"),
    ],
)
def test_imagenet_weights_have_the_rules_of_keras_applications(peer, arguments, said):
    with pytest.raises(InputError, match=said):
        getattr(keras_resnet, peer)(**arguments)


@pytest.mark.slow
def test_nets_deeper_than_the_recursion_limit_are_built_and_the_limit_is_restored(mini_spec):
    before = sys.getrecursionlimit()
    deep = dataclasses.replace(mini_spec, name="deep", depths=(160, 1))  # 1,100 layers on the longest path
    with without_values():
        model = build(deep, input_shape=(8, 8, 3))
    assert len(model.layers) > before
    assert sys.getrecursionlimit() == before


def test_nets_without_values_are_forgotten_by_keras(mini_spec):
    """Some later call of anybody's gives values to all variables that wait for them."""
    with without_values():
        sketch = build("resnet8")
    assert sketch.count_params() == 78_666
    with keras.StatelessScope():
        later = build(mini_spec)
    assert not any(variable._value is not None for variable in sketch.variables)
    assert all(variable._value is not None for variable in later.variables)


def test_deep_graphs_restores_the_limit_after_an_error():
    before = sys.getrecursionlimit()
    with pytest.raises(RuntimeError), deep_graphs():
        raise RuntimeError
    assert sys.getrecursionlimit() == before


def test_the_collector_pauses_while_a_net_is_built_and_goes_on_after_an_error():
    seen, stages = [], graph.stage_taps
    assert gc.isenabled()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "keras_resnet.builder.stage_taps", lambda *given: (seen.append(gc.isenabled()), stages(*given))[1]
        )
        build("resnet8", features=(4,), input_shape=(32, 32, 3))
    assert seen == [False] and gc.isenabled()
    with pytest.raises(RuntimeError), graph.uncollected():
        with graph.uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise RuntimeError
    assert gc.isenabled()
    gc.disable()
    try:
        with graph.uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_multiply_adds_need_a_size():
    with pytest.raises(InputError, match="fixed input size"):
        multiply_adds(build("resnet18", include_top=False))


def test_a_shared_layer_is_counted_with_every_call_of_this_net_alone():
    shared, dense = keras.layers.Conv2D(5, 3, padding="same"), keras.layers.Dense(7)
    large = keras.Input((8, 6, 2))
    small = keras.layers.MaxPooling2D(2)(large)
    outputs = [dense(shared(large)), shared(small)]
    by_hand = 3 * 3 * 2 * 5 * (8 * 6 + 4 * 3) + 5 * 7 * 8 * 6
    assert multiply_adds(keras.Model(large, outputs)) == by_hand
    assert multiply_adds(keras.Model(large, outputs[0])) == 3 * 3 * 2 * 5 * 8 * 6 + 5 * 7 * 8 * 6
    assert multiply_adds(keras.Model(large, outputs[1])) == 3 * 3 * 2 * 5 * 4 * 3  # no first call in this one
    assert shared.output.shape == (None, 8, 6, 5)


def test_a_sequential_net_is_counted_once_it_is_built():
    net = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)])
    with pytest.raises(InputError, match="built sequential"):
        multiply_adds(net)
    net.build((None, 4))
    assert multiply_adds(net) == 4 * 3 + 3 * 2
