"""Scales and the mirror image as views of masks: answers are brought back before they are averaged."""

import types

import keras
import numpy as np
import pytest
import scipy.special
from test_masks import folder
from test_masks_report import Red

import keras_resnet
from keras_resnet import InputError, ModelCard, cli
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.evaluation import Views, assessment, running, tiles, views
from keras_resnet.evaluation.tiling import Tiles
from keras_resnet.tasks import get_task, segmentation
from keras_resnet.tasks.segmentation import merging

CARD = ModelCard(task="segmentation", labels=("a", "b", "c"))


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (2, 4, 5, 6, 3)])  # planes and volumes
def test_answers_are_averaged_as_probabilities_or_logits(shape):
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 3, (2, *shape)).astype("f")
    both = [{"logits": one}, {"logits": other}]
    soft = [scipy.special.softmax(each.astype(np.float64), axis=-1) for each in (one, other)]
    np.testing.assert_allclose(merging.merge(both)["logits"], (soft[0] + soft[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(merging.merge(both, [3, 1])["logits"], 0.75 * soft[0] + 0.25 * soft[1], atol=1e-6)
    of_logits = merging.merge(both, average="logits")["logits"]
    np.testing.assert_allclose(of_logits, (one + other) / 2, atol=1e-6)
    files = [{"p": each.astype("f")} for each in soft]  # a file that ends in a softmax means the same
    np.testing.assert_allclose(merging.merge(files)["logits"], merging.merge(both)["logits"], atol=1e-6)
    geometric = scipy.special.softmax(merging.merge(files, average="logits")["logits"], axis=-1)
    np.testing.assert_allclose(geometric, scipy.special.softmax(of_logits, axis=-1), atol=1e-5)
    assert merging.merge(both[:1]) == both[0]
    np.testing.assert_array_equal(merging.mirrored(both[0])["logits"], np.flip(one, axis=-2))


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_one_score_is_a_probability_and_stays_one(average):
    found = merging.merge([{"p": np.full((1, 2, 2, 1), p, "f")} for p in (0.9, 0.4)], average=average)["logits"]
    odds = np.sqrt(0.9 / 0.1 * 0.4 / 0.6)
    expected = 0.65 if average == "probabilities" else odds / (1 + odds)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_answers_that_have_no_mean_are_refused():
    with pytest.raises(InputError, match="expected answers of one shape"):
        merging.merge([{"l": np.zeros((1, 2, 2, 3))}, {"l": np.zeros((1, 2, 2, 2))}])
    with pytest.raises(InputError, match="the model gives classes"):
        merging.merge([{"l": np.zeros((1, 2, 2))}] * 2)


def test_other_views_are_refused():
    for known in (
        Views(flip=True),
        Views(flip=True, tiles=Tiles(4)),
        Views(scales=(32,)),
        Views(scales=(9,), flip=True),
    ):
        views.check(CARD, known)
    views.check(ModelCard(), Views(crops=10))
    with pytest.raises(InputError, match="expected scales and the mirror image .flip. as its other views"):
        views.check(CARD, Views(crops=10))
    for asked in ({"crops": 10}, {"scales": (32,)}):
        with pytest.raises(InputError, match="tiles are not cut or scaled"):
            Views(tiles=Tiles(4), **asked)


class Steps(Red):
    """A net that says the first class left of the middle of what it sees, weighed by what is there."""

    def run(self, examples):
        scores = examples / np.float32(64)
        scores[:, :, : examples.shape[2] // 2, 0] += 1
        return {"logits": scores}


def _seen(net, images, size):
    """By Keras' own resizing: a net of that size sees the images, and its scores come back."""
    larger = np.round(keras.layers.Resizing(*size, antialias=True)(images)).astype("f")
    return np.asarray(keras.layers.Resizing(*images.shape[1:3])(net.run(larger)["logits"]))


@pytest.mark.parametrize("scale", [20, 30, 75])
def test_scales_are_what_the_net_says_of_images_of_that_size(scale):
    """A net of single pixels says in tiles what it says of the whole."""

    class Pointwise(Red):
        def run(self, examples):
            return {"logits": examples / np.float32(64)}

    images = np.random.default_rng(0).integers(0, 256, (2, 30, 44, 3), np.uint8)
    net = Pointwise((30, 44))
    split = ArraySplit({"image": images, "mask": np.zeros((2, 30, 44), np.uint8)})
    ((found, _),) = running.chunks(net, split, views=Views(scales=(scale,)))
    expected = _seen(net, images, (scale, round(44 * scale / 30)))
    np.testing.assert_allclose(found["logits"], expected, atol=0.02)  # a level of a pixel is 1 / 64
    assert (np.abs(expected - net.run(images)["logits"]).max() > 0.2) == (scale != 30)  # the control


def test_scales_and_mirror_images_are_averaged():
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    net, split = Steps((32, 32)), ArraySplit({"image": images, "mask": np.zeros((2, 32, 32), np.uint8)})
    ((found, _),) = running.chunks(net, split, views=Views(scales=(32, 16), flip=True, average="logits"))
    own = [tiles.of_scale(net, images, scale)["logits"] for scale in (32, 16)]
    mirrored = [tiles.of_scale(net, images[:, :, ::-1], scale)["logits"][:, :, ::-1] for scale in (32, 16)]
    np.testing.assert_allclose(found["logits"], np.mean([*own, *mirrored], axis=0), atol=1e-5)
    np.testing.assert_array_equal(own[0], net.run(images)["logits"])
    assert np.abs(own[0] - mirrored[0]).max() > 0.9  # the control: it matters which half is mirrored back


@pytest.mark.parametrize("scale", [7, 129])
def test_scales_far_from_what_a_net_has_learned_are_refused(scale):
    split = ArraySplit({"image": np.zeros((1, 32, 32, 3), np.uint8), "mask": np.zeros((1, 32, 32), np.uint8)})
    asked = Views(scales=(scale,)) if scale > 7 else Views(scales=(8,))
    net = Steps((32, 32) if scale > 7 else (40, 40))
    with pytest.raises(InputError, match="expected lengths of the shorter side"):
        next(running.chunks(net, split, views=asked))


class Sideways(Red):
    """A net that is wrong on the left of what it sees: the mirror image helps."""

    def run(self, examples):
        apart = np.abs(examples[..., :1] - np.array([0.0, 100.0, 200.0])) / 10
        apart[:, :, : examples.shape[2] // 3] = 0.5 + np.arange(3)[::-1] / 10
        return {"logits": -apart.astype("f")}


@pytest.mark.parametrize("tiles", [None, Tiles(8)])
def test_the_mirror_image_helps_and_only_if_it_is_mirrored_back(tmp_path, monkeypatch, tiles):
    """The control: averaged without being mirrored back, it harms."""
    root = folder(tmp_path / "scenes", count=6)
    net = Sideways((30, 24) if tiles else (30, 44))
    test = keras_resnet.load_dataset(root, image_shape=net.example_shape).test
    alone = assessment.assess([assessment.Member("net", net, test)], views=Views(tiles=tiles)).scores.value
    asked = Views(flip=True, tiles=tiles)
    found = assessment.assess([assessment.Member("net", net, test)], views=asked)
    assert found.scores.value > alone + 0.1 and "with mirror image" in str(asked)
    wrong = types.SimpleNamespace(**{name: getattr(segmentation, name) for name in dir(segmentation)})
    wrong.mirrored = lambda outputs: outputs
    monkeypatch.setattr(views, "get_task", lambda name: types.SimpleNamespace(
        name=name, code=wrong, capable=wrong, require=get_task(name).require
    ))  # fmt: skip
    assert assessment.assess([assessment.Member("net", net, test)], views=asked).scores.value < alone


def test_a_symmetric_answer_stays_what_it_is():
    """What a net says of every pixel alone is the same from both sides, to the bit."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 30, 44, 3), np.uint8)
    split = ArraySplit({"image": pixels, "mask": np.zeros((3, 30, 44), np.uint8)})

    class Pointwise(Red):
        def run(self, examples):
            return {"logits": examples / np.float32(64)}

    net = Pointwise((30, 44))
    ((one, _),) = running.chunks(net, split)
    ((both, _),) = running.chunks(net, split, views=Views(flip=True, average="logits"))
    np.testing.assert_array_equal(both["logits"], one["logits"])


@pytest.mark.slow
def test_the_command_refuses_views_in_one_line(capsys, tmp_path):
    root = folder(tmp_path / "scenes", count=6)
    net = keras_resnet.segmenter("unet", backbone="resnet8", classes=3, input_shape=(32, 32, 3))
    card = ModelCard(task="segmentation", facts={"names": ["left", "middle", "right"]}, preprocess=CARD.preprocess)
    keras_resnet.save_model(net, tmp_path / "net.keras", card)
    command = ["evaluate", "--model", str(tmp_path / "net.keras"), "--data", str(root)]
    for more, words in (
        (["--crops", "10"], "task segmentation answers for every pixel"),
        (["--scales", "32,480"], "--scales 480: expected lengths of the shorter side, which is 32 pixels of the net's"),
    ):
        assert cli.main([*command, *more]) == 2
        assert capsys.readouterr().err.strip().splitlines()[-1].startswith(f"error: {words}")
    assert cli.main([*command, "--scales", "32,48", "--flip"]) == 0
    assert "scales 32, 48, with mirror image" in " ".join(capsys.readouterr().out.split())
    assert cli.main([*command, "--flip", "--report", str(tmp_path / "page.html")]) == 0
    assert "with mirror image" in capsys.readouterr().out
