"""Calibration samples: from the training split, balanced, repeatable."""

import numpy as np

from export.calibration import sample
from keras_resnet.data.dataset import ArraySplit


def test_samples_are_balanced_repeatable_and_of_the_training_split(digits, tf_preprocess):
    first, again = sample(digits.train, tf_preprocess, 100), sample(digits.train, tf_preprocess, 100)
    assert first.indices == again.indices
    assert first.sha256 == again.sha256
    assert len(set(first.indices)) == 100
    assert np.bincount(digits.train.labels[list(first.indices)]).tolist() == [10] * 10
    np.testing.assert_array_equal(first.images, tf_preprocess(digits.train.images[list(first.indices)]))
    test_images = {image.tobytes() for image in digits.test.images}
    assert not any(digits.train.images[i].tobytes() in test_images for i in first.indices)


def test_other_images_have_another_hash(digits, tf_preprocess):
    changed = ArraySplit(255 - digits.train.images, digits.train.labels)
    assert sample(changed, tf_preprocess, 20).sha256 != sample(digits.train, tf_preprocess, 20).sha256


def test_rare_classes_do_not_hold_up_the_rest(tf_preprocess):
    labels = np.array([0] * 50 + [1] * 2)
    drawn = sample(ArraySplit(np.zeros((52, 4, 4, 1), np.uint8), labels), tf_preprocess, 20)
    assert np.bincount(labels[list(drawn.indices)]).tolist() == [18, 2]
    assert len(sample(ArraySplit(np.zeros((52, 4, 4, 1), np.uint8), labels), tf_preprocess, 100).indices) == 52
