"""TensorBoard's pictures of a segmentation that learns, as TensorBoard itself reads them."""

import dataclasses
import io

import keras
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_masks import folder
from test_segmentation import RECIPE

import keras_resnet
from keras_resnet import ModelCard
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.tasks.segmentation import colours, strips
from keras_resnet.training import pictured, train
from keras_resnet.training.nets import Nets

CARD = ModelCard(task="segmentation", facts={"names": ["a", "b", "c"]})


def _events(path):
    found = EventAccumulator(str(path), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    found.Reload()
    return found


def _images(path):
    """Pictures by tag, in the order of the epochs."""
    found = _events(path)
    by_tag = {}
    for tag in found.Tags()["tensors"]:
        if tag.startswith("image, truth, answer"):
            each = [event.tensor_proto.string_val for event in found.Tensors(tag)]
            by_tag[tag] = [np.asarray(Image.open(io.BytesIO(values[2]))) for values in each]
    return by_tag


def test_a_picture_is_image_truth_and_answer():
    rng = np.random.default_rng(0)
    pixels, masks = rng.integers(0, 256, (2, 5, 7, 1), np.uint8), rng.integers(0, 3, (2, 5, 7)).astype(np.uint8)
    masks[0, 0] = 255
    scores = rng.normal(size=(2, 5, 7, 3)).astype("f")
    found = strips.compared(pixels, {"logits": scores, "aux_logits": -scores}, {"mask": masks}, CARD)
    palette = np.concatenate([colours(CARD, 3), np.zeros((253, 3), np.uint8)])
    for image, mask, answer, picture in zip(pixels, masks, scores.argmax(-1), found, strict=True):
        assert picture.shape == (5, 29, 3) and (picture[:, [7, 10, 18, 21]] == 255).all()
        np.testing.assert_array_equal(picture[:, :7], np.repeat(image, 3, -1))
        np.testing.assert_array_equal(picture[:, 11:18], palette[mask])
        np.testing.assert_array_equal(picture[:, 22:], palette[answer])


def test_every_epoch_shows_the_same_examples_with_its_own_answer_and_the_twin_stays(tmp_path):
    """The control: the twin answers otherwise, whose weights are those of the epoch that is kept."""

    def net():
        image = keras.Input((6, 8, 3))
        return keras.Model(image, keras.layers.Conv2D(3, 1, name="logits")(image))

    keras.utils.set_random_seed(1)
    model, twin = net(), net()
    rng = np.random.default_rng(0)
    arrays = {"image": rng.integers(0, 256, (9, 6, 8, 3), np.uint8), "mask": rng.integers(0, 3, (9, 6, 8), np.uint8)}
    split = ArraySplit(arrays)
    dataset = keras_resnet.data.Dataset("d", ("a", "b", "c"), (6, 8, 3), split, split, split)
    (callback,) = pictured.callbacks(Nets(model, twin), dataset, CARD, tmp_path)
    before = twin.get_weights()
    callback.on_train_begin()
    expected = []
    for epoch in range(2):
        model.layers[-1].kernel.assign(rng.normal(size=(1, 1, 3, 3)))
        callback.on_epoch_end(epoch)
        few = {name: values[pictured.places(9)] for name, values in arrays.items()}
        answers = [net(few["image"].astype("f"), training=False).numpy() for net in (model, twin)]
        pictures = [strips.compared(few["image"], {"logits": each}, few, CARD) for each in answers]
        expected.append(pictures[0])
        assert (np.array(pictures[0]) != np.array(pictures[1])).any()
    callback.on_train_end()
    for one, other in zip(before, twin.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    found = _images(tmp_path / "validation")
    assert list(found) == [f"image, truth, answer/{n}" for n in range(1, 5)]
    for number, own in enumerate(found.values()):
        np.testing.assert_array_equal(own, [expected[epoch][number] for epoch in range(2)])


def test_places_are_apart_and_there():
    assert [pictured.places(count) for count in (1, 3, 4, 8)] == [[0], [0, 1, 2], [0, 1, 2, 3], [1, 3, 5, 7]]


def test_other_tasks_and_runs_without_validation_show_none(tmp_path):
    empty = ArraySplit({"image": np.zeros((0, 6, 8, 3), np.uint8), "mask": np.zeros((0, 6, 8), np.uint8)})
    dataset = keras_resnet.data.Dataset("d", ("a",), (6, 8, 3), empty, empty, empty)
    assert pictured.callbacks(None, dataset, CARD, tmp_path) == []
    some = ArraySplit({"image": np.zeros((5, 6, 8, 3), np.uint8), "mask": np.zeros((5, 6, 8), np.uint8)})
    dataset = dataclasses.replace(dataset, validation=some)
    assert pictured.callbacks(None, dataset, ModelCard(), tmp_path) == []
    assert len(pictured.callbacks(None, dataset, CARD, tmp_path)) == 1


@pytest.mark.slow
def test_a_training_writes_curves_and_pictures(tmp_path):
    folder(tmp_path / "scenes", ("train", "val"), count=8)
    recipe = dataclasses.replace(RECIPE, dataset=str(tmp_path / "scenes"), epochs=2, aux=0.4, decoder="fcn")
    train(recipe, run_dir=tmp_path / "run", verbose=False)
    log = tmp_path / "run" / "tensorboard" / "validation"
    found = _images(log)
    assert found and all(len(each) == 2 and each[0].shape == (32, 104, 3) for each in found.values())
    assert {"epoch_loss"} < set(_events(log).Tags()["tensors"])
    assert any(tag.endswith("mean_iou") for tag in _events(log).Tags()["tensors"])
