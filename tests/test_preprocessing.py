"""Input conventions against keras.applications, in NumPy and TensorFlow."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications import imagenet_utils  # what is patched below has no public name

import keras_resnet
from keras_resnet import PREPROCESS, InputError, ModelCard, Preprocess

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)


@pytest.mark.parametrize("name", ["caffe", "tf", "torch"])
def test_conventions_are_those_of_keras_applications(name):
    module = {"caffe": keras.applications.resnet, "tf": keras.applications.resnet_v2, "torch": None}[name]
    if module is None:
        expected = keras.applications.densenet.preprocess_input(IMAGES.astype("f"))
    else:
        expected = module.preprocess_input(IMAGES.astype("f"))
    np.testing.assert_allclose(PREPROCESS[name](IMAGES), expected, atol=1e-4)


def test_none_leaves_pixels_as_they_are():
    np.testing.assert_array_equal(PREPROCESS["none"](IMAGES), IMAGES.astype("f"))


@pytest.mark.parametrize("name", PREPROCESS)
def test_tensors_and_arrays_give_the_same_float32(name):
    from_tensor = PREPROCESS[name](tf.constant(IMAGES))
    assert from_tensor.dtype == tf.float32
    assert PREPROCESS[name](IMAGES).dtype == np.float32
    np.testing.assert_allclose(from_tensor.numpy(), PREPROCESS[name](IMAGES), atol=1e-5)


@pytest.mark.proof
def test_cifar_statistics_are_those_of_the_training_images(cifar_dir):
    from keras_resnet.data import load_dataset

    dataset = load_dataset("cifar10", cifar_dir)
    pixels = np.concatenate([dataset.train.images, dataset.validation.images]).astype("f")
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2), dtype="f8"), PREPROCESS["cifar10"].mean, atol=0.01)
    np.testing.assert_allclose(pixels.std(axis=(0, 1, 2), dtype="f8"), PREPROCESS["cifar10"].std, atol=0.01)


@pytest.mark.parametrize("fields", [{"channels": "grb"}, {"std": (0.0,)}, {"mean": ()}])
def test_illegal_conventions(fields):
    with pytest.raises(InputError, match="illegal input convention"):
        Preprocess(**fields)


def test_cards_survive_json():
    card = ModelCard(labels=("a", "b"), preprocess=PREPROCESS["caffe"], spec="resnet50", dataset="x", recipe="r")
    assert ModelCard.loads(card.dumps(), "here") == card


@pytest.mark.parametrize("text", ["{", "[]", '{"labels": 3}', '{"unknown": 1}', '{"preprocess": {"std": [0]}}'])
def test_damaged_cards(text):
    with pytest.raises(InputError, match="damaged|illegal"):
        ModelCard.loads(text, "file")


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_preprocess_input_is_that_of_keras_applications_and_of_our_table(mode):
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 3, 3, 3)).astype("f")
    received = keras_resnet.preprocess_input(pixels.copy(), mode=mode)
    np.testing.assert_allclose(received, keras_resnet.PREPROCESS[mode](pixels), atol=1e-4)
    peer = {"caffe": keras.applications.resnet, "tf": keras.applications.resnet_v2}.get(mode)
    if peer:
        np.testing.assert_array_equal(received, peer.preprocess_input(pixels.copy()))


def test_decode_predictions_names_the_classes(monkeypatch, tmp_path):
    index = {str(i): [f"n{i:08}", f"class{i}"] for i in range(1000)}
    (tmp_path / "index.json").write_text(json.dumps(index))
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", None)
    monkeypatch.setattr(imagenet_utils.file_utils, "get_file", lambda *args, **kwargs: str(tmp_path / "index.json"))
    scores = np.zeros((1, 1000), "f")
    scores[0, [7, 3]] = 0.6, 0.4
    top = keras_resnet.decode_predictions(scores, top=2)
    assert [(w, label) for w, label, _ in top[0]] == [("n00000007", "class7"), ("n00000003", "class3")]
    assert top[0][0][2] == pytest.approx(0.6)


def test_decode_predictions_without_the_index_or_the_classes(monkeypatch):
    def get_file(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", None)
    monkeypatch.setattr(imagenet_utils.file_utils, "get_file", get_file)
    with pytest.raises(InputError, match="class index cannot be downloaded"):
        keras_resnet.decode_predictions(np.zeros((1, 1000)))
    with pytest.raises(InputError, match=r"expected \(N, 1000\).*received shape \(1, 10\)"):
        keras_resnet.decode_predictions(np.zeros((1, 10)))


@pytest.mark.parametrize("kind", [np.asarray, tf.constant, keras.ops.convert_to_tensor])
def test_conventions_hold_for_any_number_of_channels(kind):
    pixels = np.arange(2 * 4, dtype="f").reshape(1, 1, 2, 4)
    received = np.asarray(keras_resnet.PREPROCESS["caffe"].for_channels(4)(kind(pixels)))
    expected = pixels[..., [2, 1, 0, 3]] - np.float32([103.939, 116.779, 123.68, 123.68])
    np.testing.assert_allclose(received, expected, rtol=1e-6)


@pytest.mark.parametrize("name", PREPROCESS)
@pytest.mark.parametrize("width", [7, None])
def test_tensors_get_the_values_of_arrays(name, width):
    """By rows (known width) and by pixels; bit for bit but in graphs, which multiply instead of dividing."""
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    expected = PREPROCESS[name](images)
    function = tf.function(PREPROCESS[name], input_signature=[tf.TensorSpec((None, None, width, 3), tf.uint8)])
    np.testing.assert_allclose(function(images), expected, rtol=2.5e-7)
    np.testing.assert_array_equal(PREPROCESS[name](tf.constant(images)), expected)
    np.testing.assert_array_equal(PREPROCESS[name](tf.constant(images[0])), expected[0])


@pytest.mark.parametrize("orientation", [None, 1, 3, 5, 6, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_size_that_a_head_says_is_that_of_the_decoded_picture(suffix, orientation, tmp_path):
    from PIL import Image

    from keras_resnet.signals import image

    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(np.zeros((10, 16, 3), np.uint8)).save(path, exif=exif)
    decoded = np.asarray(image.decode(path.read_bytes(), 3)).shape[:2]
    assert image.size_of(path) == decoded
    turned = orientation in (5, 6, 8) and suffix != ".png"
    assert decoded == ((16, 10) if turned else (10, 16))
