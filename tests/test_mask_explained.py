"""Explanations of masks: slopes of a class's mean score over its pixels, beside a tape of our own and NumPy."""

import json

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from PIL import Image

import keras_resnet
from keras_resnet import InputError, ModelCard, cli
from keras_resnet.explain import explain
from keras_resnet.explain.net import Net
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.tasks.segmentation import explaining

NAMES = ["sky", "road", "car"]
CARD = ModelCard(task="segmentation", facts={"names": NAMES})
WIDTH = 48


@pytest.fixture(scope="module")
def made():
    """A net, whose third class is called nowhere, with two images and its logits."""
    keras.utils.set_random_seed(0)
    net = keras_resnet.segmenter("unet", backbone="resnet8", classes=3, input_shape=(32, WIDTH, 3))
    head = net.get_layer("logits_conv")
    head.bias.assign([0.0, 0.0, -1e3])
    images = np.random.default_rng(0).integers(0, 256, (2, 32, WIDTH, 3)).astype(np.uint8)
    images[:, :, : WIDTH // 2] //= 8
    scores = net(images.astype("f"), training=False).numpy()
    head.bias.assign([0.0, float(np.median(scores[..., 0] - scores[..., 1])), -1e3])
    return KerasRunner(net, CARD), images, net(images.astype("f"), training=False).numpy()


def test_the_value_is_the_mean_score_over_the_pixels_of_the_class(made):
    _, _, logits = made
    called = logits.argmax(-1)
    expected = [logits[n][called[n] == label][:, label].mean() for n, label in enumerate((1, 0))]
    np.testing.assert_allclose(explaining.scalar(tf.constant(logits), np.array([1, 0])), expected, rtol=1e-5)
    volume = np.random.default_rng(1).normal(size=(2, 3, 4, 5, 3)).astype("f")
    both = [volume[n][volume[n].argmax(-1) == 2][:, 2].mean() for n in range(2)]
    np.testing.assert_allclose(explaining.scalar(tf.constant(volume), np.array([2, 2])), both, rtol=1e-5)
    soft = scipy.special.softmax(logits.astype(np.float64), axis=-1)
    found = explaining.evidence({"logits": logits}, np.array([1, 0]))
    np.testing.assert_allclose(found, [soft[0, ..., 1].mean(), soft[1, ..., 0].mean()], rtol=1e-4)
    fixed = explaining.focused({"logits": logits[:1]})
    moved = np.roll(logits[:1], 1, axis=-1)
    expected = moved[0][called[0] == 1][:, 1].mean()
    np.testing.assert_allclose(fixed(tf.constant(moved), np.array([1])), [expected], rtol=1e-5)


@pytest.mark.parametrize("layer", [None, "conv2_block1_out"])
def test_grad_cam_weighs_the_backbones_maps_by_the_slopes_of_that_value(made, layer):
    runner, images, logits = made
    assert Net(runner).map_step().name == "conv4_block1_out"
    inner = runner.model.get_layer(layer or "conv4_block1_out")
    both = keras.Model(runner.model.input, [inner.output, runner.model.output])
    expected = []
    for image, called in zip(images, logits.argmax(-1), strict=True):
        with tf.GradientTape() as tape:
            maps, scores = both(image[None].astype("f"), training=False)
            value = tf.reduce_mean(tf.boolean_mask(scores[0, ..., 1], called == 1))
        weights = tape.gradient(value, maps).numpy().mean(axis=(1, 2), keepdims=True)
        expected.append(np.maximum((maps.numpy() * weights).sum(-1), 0)[0])
    found = explain(runner, images, classes=1, layer=layer)
    small = np.asarray(tf.image.resize(np.stack(expected)[..., None], (32, WIDTH)))[..., 0]
    np.testing.assert_allclose(found.heat, small, atol=1e-4 * small.max())
    assert small.max() > 0 and found.classes.tolist() == [1, 1]


@pytest.mark.slow
def test_integrated_gradients_add_up_over_the_pixels_of_the_image_itself(made):
    """The control: pixels that move along the path make another sum."""
    runner, images, logits = made
    images, logits = images[:1], logits[:1]
    found = explain(runner, images, method="integrated-gradients", classes=1)
    black = runner.model(np.zeros((1, 32, WIDTH, 3), "f"), training=False).numpy()[0]
    for heat, scores, error in zip(found.heat, logits, found.errors, strict=True):
        there = scores.argmax(-1) == 1
        change = scores[there][:, 1].mean() - black[there][:, 1].mean()
        assert error <= 0.01 and heat.sum(dtype=np.float64) == pytest.approx(change, rel=0.02)
        moved = black[black.argmax(-1) == 1][:, 1]
        other = scores[there][:, 1].mean() - (moved.mean() if moved.size else 0)
        assert abs(other - change) > 0.05 * abs(change)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grad-cam++", "smoothgrad", "occlusion"])
def test_other_methods_give_maps_too(made, method):
    runner, images, _ = made
    found = explain(runner, images[:1], method=method)
    assert found.heat.shape == (1, 32, WIDTH) and np.isfinite(found.heat).all() and found.heat.any()


def test_what_cannot_be_asked_is_refused(made):
    runner, images, logits = made
    with pytest.raises(InputError, match="no pixel of image 1 of 2 is called 2: it has"):
        explain(runner, images, classes=2)
    outputs = {"logits": logits}
    with pytest.raises(InputError, match="no pixel of image 1 of 2 is called car: it has (road, sky|sky, road)"):
        explaining.questions_named(outputs, "car", 3, CARD)
    with pytest.raises(InputError, match="raod"):
        explaining.questions_named(outputs, "raod", 3, CARD)
    with pytest.raises(InputError, match="class 7: expected 0 to 2"):
        explaining.questions(outputs, 7)
    with pytest.raises(InputError, match="expected one whole number"):
        explaining.questions(outputs, [0.5, 1])
    with pytest.raises(InputError, match="cam needs a net that ends in global average pooling"):
        explain(runner, images, method="cam")
    with pytest.raises(InputError, match="gives one score for each pixel"):
        explaining.questions({"p": np.zeros((1, 2, 2, 1), "f")}, None)
    assert [len(own) for own in explaining.questions_named(outputs, None, 3, CARD)] == [2, 2]
    assert explaining.questions_named(outputs, "1", 3, CARD) == [[1], [1]]
    assert explaining.question_name(1, CARD) == "road"


@pytest.mark.slow
def test_the_command_explains_a_class(made, tmp_path, capsys):
    runner, images, _ = made
    keras_resnet.save_model(runner.model, tmp_path / "net.keras", CARD)
    Image.fromarray(images[0]).save(tmp_path / "one.png")
    command = ["explain", "--model", str(tmp_path / "net.keras"), str(tmp_path / "one.png")]
    asked = [*command, "--class", "road", "-o", str(tmp_path / "why.html"), "--json", str(tmp_path / "why.json")]
    assert cli.main(asked) == 0
    ((row,),) = [each["classes"] for each in json.loads((tmp_path / "why.json").read_text())]
    assert row["label"] == "road" and 0 < row["probability"] < 1
    assert "of the pixels" in (tmp_path / "why.html").read_text()
    capsys.readouterr()
    assert cli.main([*command, "--class", "car", "-o", str(tmp_path / "car.png")]) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert said.startswith("error: no pixel of the image is called car: it has")
    assert cli.main([*command[:3], "--embeddings", "--data", str(tmp_path), "-o", str(tmp_path / "e.html")]) == 2
    assert "expected a classifier" in capsys.readouterr().err
