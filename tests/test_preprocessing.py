"""Input conventions against keras.applications, in NumPy and TensorFlow."""

import keras
import numpy as np
import pytest
import tensorflow as tf

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


@pytest.mark.slow
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
