"""Representative samples: never test images, balanced, repeatable."""

import numpy as np
import pytest
from PIL import Image

from export.making.representative import draw, read_folder
from export.model.evidence import Evidence
from keras_resnet import InputError
from keras_resnet.data.dataset import ArraySplit

NONE = frozenset()


def _known(images):
    return Evidence.of_array(images).digests()


def test_samples_are_balanced_repeatable_and_of_the_training_split(digits):
    first, again = (
        draw(digits.train, _known(digits.test.images), 100),
        draw(digits.train, _known(digits.test.images), 100),
    )
    assert first.indices == again.indices
    assert first.sha256 == again.sha256
    assert len(set(first.indices)) == 100
    assert np.bincount(digits.train.labels[list(first.indices)]).tolist() == [10] * 10
    np.testing.assert_array_equal(first.pixels, digits.train.images[list(first.indices)])


def test_training_images_that_are_test_images_are_left_out(digits):
    plain = draw(digits.train, NONE, 50)
    test = digits.train.images[list(plain.indices[:7])]
    drawn = draw(digits.train, _known(test), 50)
    assert drawn.skipped == 7
    assert len(drawn.indices) == 50
    assert not set(plain.indices[:7]) & set(drawn.indices)
    assert set(plain.indices[7:]) <= set(drawn.indices)


def test_training_images_that_are_all_test_images_are_refused(digits):
    few = ArraySplit(digits.train.images[:9], digits.train.labels[:9])
    with pytest.raises(InputError, match="all 9 training images are among the test images too"):
        draw(few, _known(few.images), 5)


def test_other_images_have_another_hash(digits):
    changed = ArraySplit(255 - digits.train.images, digits.train.labels)
    assert draw(changed, NONE, 20).sha256 != draw(digits.train, NONE, 20).sha256


def test_rare_classes_do_not_hold_up_the_rest():
    labels = np.array([0] * 50 + [1] * 2)
    split = ArraySplit(np.zeros((52, 4, 4, 1), np.uint8), labels)
    drawn = draw(split, NONE, 20)
    assert np.bincount(labels[list(drawn.indices)]).tolist() == [18, 2]
    assert len(draw(split, NONE, 100).indices) == 52


def test_a_folder_of_images_must_not_hold_test_images(digits, tmp_path):
    for number, image in enumerate(digits.train.images[:3]):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    drawn = read_folder(tmp_path, (32, 32, 3), _known(digits.test.images))
    np.testing.assert_array_equal(drawn.pixels, digits.train.images[:3])
    Image.fromarray(digits.test.images[5]).save(tmp_path / "taken.png")
    with pytest.raises(InputError, match=r"1 of the 4 images in .* are test images \(taken.png"):
        read_folder(tmp_path, (32, 32, 3), _known(digits.test.images))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images to calibrate with"):
        read_folder(tmp_path / "empty", (32, 32, 3), NONE)
