"""A teacher's share of the targets, and its answers that are kept for other runs."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiers import in_proof

from keras_resnet import build
from keras_resnet.data import training_batches
from keras_resnet.data.augment import get_augmentation
from keras_resnet.training import RECIPES, distillation

STEPS = 3


class Silent:
    """A teacher that must not be asked."""

    def __init__(self, teacher):
        self.layers, self.compute_dtype, self.get_weights = teacher.layers, teacher.compute_dtype, teacher.get_weights

    def __call__(self, *_, **__):
        pytest.fail("the teacher was asked")


@pytest.fixture(scope="module")
def teacher(mini_spec):
    return build(mini_spec, input_shape=(32, 32, 3))


@pytest.fixture(scope="module")
def recipe():
    return dataclasses.replace(
        RECIPES["compress"], epochs=3, batch_size=32, augmentation="affine", preprocess="tf", distillation=0.25
    )


@pytest.fixture
def batches(digits, tf_preprocess):
    def make(epoch, batch, seed=0):
        augment = get_augmentation("crop-flip", "image")
        encode = lambda truth: tf.one_hot(truth["label"], 10)  # noqa: E731
        how = {"seed": seed, "augment": augment, "encode": encode, "first_epoch": epoch, "first_batch": batch}
        few = digits.train.take(np.arange(100))
        return training_batches(few, 32, **how).map(lambda x, y: (tf_preprocess(x), y))

    return make


def values(pipeline, count):
    return [(x.numpy(), y.numpy()) for x, y in pipeline.take(count)]


@pytest.mark.slow
def test_targets_get_their_share(batches, teacher, recipe):
    found = values(distillation.distilled(batches, teacher, recipe, steps=STEPS), 2)
    for (images, targets), (plain, labels) in zip(found, values(batches(0, 0), 2), strict=True):
        np.testing.assert_array_equal(images, plain)
        np.testing.assert_allclose(targets, 0.75 * labels + 0.25 * np.asarray(teacher(plain)), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "start", [(1, 2), *(in_proof(s) for s in ((0, 0), (3, 0)))]
)  # the last has its epochs behind it
def test_kept_answers_are_those_of_a_run_that_asks(start, batches, teacher, recipe, tmp_path):
    how = {"steps": STEPS, "start": start}
    left = max(1, (recipe.epochs - start[0]) * STEPS - start[1])
    asked = values(distillation.distilled(batches, teacher, recipe, **how), left)
    for one in (teacher, Silent(teacher)):  # the second run finds what the first has left
        kept = values(distillation.distilled(batches, one, recipe, **how, kept=tmp_path), left)
        assert len(kept) == left
        if start[0] < recipe.epochs:
            for ours, theirs in zip(kept, asked, strict=True):
                np.testing.assert_array_equal(ours[0], theirs[0])
                np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)


@pytest.mark.proof
def test_a_damaged_file_is_made_again(batches, teacher, recipe, tmp_path):
    run = functools.partial(distillation.distilled, batches, teacher, recipe, steps=STEPS, kept=tmp_path)
    before = values(run(), 2)
    (path,) = tmp_path.glob("*/epoch-1.npy")
    path.write_bytes(path.read_bytes()[:-9])
    for ours, theirs in zip(values(run(), 2), before, strict=True):
        np.testing.assert_array_equal(ours[1], theirs[1])
    np.save(path, np.zeros((STEPS, 32, 7), np.float32))  # of other classes
    np.testing.assert_array_equal(values(run(), 1)[0][1], before[0][1])


@pytest.mark.proof
def test_other_images_and_other_teachers_have_a_folder_of_their_own(batches, teacher, mini_spec, recipe, tmp_path):
    keras.utils.set_random_seed(1)  # the first test's seed would make the same net where that test is left out
    other = build(mini_spec, input_shape=(32, 32, 3))
    for one in (teacher, other):
        distillation.distilled(batches, one, recipe, steps=STEPS, kept=tmp_path)
    distillation.distilled(functools.partial(batches, seed=1), teacher, recipe, steps=STEPS, kept=tmp_path)
    distillation.distilled(batches, teacher, dataclasses.replace(recipe, mixup=0.1), steps=STEPS, kept=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    distillation.distilled(batches, teacher, dataclasses.replace(recipe, learning_rate=1.0), steps=STEPS, kept=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4  # the rate changes no image
