"""The task segmentation: losses and scores beside NumPy and scikit-learn, and a run from masks to a verified file."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from PIL import Image
from sklearn.metrics import confusion_matrix, jaccard_score
from test_masks import folder, scene

import keras_resnet
from export import export
from keras_resnet import InputError, ModelCard, cli
from keras_resnet.data import memory
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.data.sources import Named
from keras_resnet.tasks import get_task
from keras_resnet.tasks.interface import Output
from keras_resnet.tasks.segmentation import answers, head, losses, scores, settings
from keras_resnet.training import inputs, nets, train, transfer
from keras_resnet.training.photos import plan
from keras_resnet.training.recipe import Recipe

CARD = ModelCard(task="segmentation", facts={"names": ["sky", "road", "car"]})


@pytest.fixture(scope="module")
def made():
    """Masks with void, and logits."""
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (4, 6, 5)).astype(np.uint8)
    masks[0, :2], masks[2] = 255, 255
    return masks, rng.normal(0, 2, (4, 6, 5, 3)).astype("f")


def _entropy(masks, logits, gamma=0.0, weights=(1.0, 1.0, 1.0)):
    """Mean over valid pixels of weighted cross-entropy, by loops."""
    log = scipy.special.log_softmax(logits.astype(np.float64), axis=-1)
    total = size = 0.0
    for place in np.argwhere(masks != 255):
        label = masks[tuple(place)]
        value = -log[(*place, label)]
        total += weights[label] * value * (1 - np.exp(-value)) ** gamma
        size += weights[label]
    return total / size


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("weights", [(), (0.5, 1.0, 3.0)])
def test_the_loss_is_the_mean_over_the_pixels_that_count(made, gamma, weights):
    masks, logits = made
    found = float(losses.PixelLoss(gamma, weights)(masks, logits))
    assert found == pytest.approx(_entropy(masks, logits, gamma, weights or (1.0,) * 3), rel=1e-5)
    if not gamma and not weights:
        theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
        assert found == pytest.approx(float(theirs(masks.astype("int32"), logits)), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_slopes_are_numbers_where_pixels_are_void_or_right(made, gamma):
    masks, logits = made
    right = tf.Variable(np.where(np.eye(3)[np.minimum(masks, 2)] > 0, 50.0, -50.0).astype("f"))
    for start in (tf.Variable(logits), right):
        with tf.GradientTape() as tape:
            loss = losses.PixelLoss(gamma)(masks, start)
        slope = tape.gradient(loss, start).numpy()
        assert np.isfinite(slope).all() and not slope[masks == 255].any()


def test_dice_is_one_minus_the_overlap(made):
    masks, logits = made
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=-1)
    valid = masks != 255
    overlaps = []
    for label in range(3):
        true, found = (masks == label)[valid], probabilities[valid][:, label]
        overlaps.append((2 * (true * found).sum() + 1) / (true.sum() + found.sum() + 1))
    expected = _entropy(masks, logits) + 0.5 * (1 - np.mean(overlaps))
    assert float(losses.PixelLoss(dice=0.5)(masks, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (1.0, 0.2)])
def test_tversky_weighs_what_is_too_much_and_what_is_missing(made, alpha, beta):
    masks, logits = made
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=-1)
    valid, overlaps = masks != 255, []
    for label in range(3):
        true, found = (masks == label)[valid], probabilities[valid][:, label]
        both, extra, missing = (true * found).sum(), (~true * found).sum(), (true * (1 - found)).sum()
        overlaps.append((both + 0.5) / (both + alpha * extra + beta * missing + 0.5))
    loss = losses.PixelLoss(tversky=0.5, alpha=alpha, beta=beta)
    assert float(loss(masks, logits)) == pytest.approx(
        _entropy(masks, logits) + 0.5 * (1 - np.mean(overlaps)), rel=1e-5
    )
    again = losses.PixelLoss.from_config(loss.get_config())
    assert float(again(masks, logits)) == float(loss(masks, logits))
    whole = np.random.default_rng(0).integers(0, 3, (2, 90, 80))  # Keras' own has no void, and adds less than a pixel
    scores = np.random.default_rng(1).normal(size=(2, 90, 80, 3)).astype("f")
    soft = scipy.special.softmax(scores, axis=-1)
    theirs = keras.losses.Tversky(alpha, beta, axis=(0, 1, 2))(np.eye(3, dtype="f")[whole], soft)
    ours = losses.tversky(np.eye(3, dtype="f")[whole], soft, whole < 3, alpha, beta)
    assert float(ours) == pytest.approx(float(theirs), rel=2e-3)


def test_tverskys_loss_of_volumes_is_the_same(made):
    masks, logits = made
    loss = losses.PixelLoss(dice=0.5, tversky=0.5)
    assert float(loss(masks[:, :, :, None], logits[:, :, :, None])) == pytest.approx(float(loss(masks, logits)))


def test_masks_that_are_all_void_teach_nothing(made):
    _, logits = made
    assert float(losses.PixelLoss()(np.full((4, 6, 5), 255, np.uint8), logits)) == 0


def test_scores_are_scikit_learns(made):
    masks, logits = made
    adding = scores.scorer(CARD)
    for part in (slice(0, 3), slice(3, 4)):
        adding.update({"logits": logits[part]}, {"mask": masks[part]})
    found, valid = adding.result(), masks != 255
    answers_, true = logits.argmax(-1)[valid], masks[valid]
    each = jaccard_score(true, answers_, average=None)
    assert found.miou == pytest.approx(each.mean())
    np.testing.assert_allclose([found.iou[name] for name in ("sky", "road", "car")], each)
    confusion = confusion_matrix(true, answers_)
    assert found.accuracy == pytest.approx(np.trace(confusion) / confusion.sum())
    assert found.dice == pytest.approx((2 * each / (1 + each)).mean())
    assert found.valid == pytest.approx(valid.mean()) and found.count == 4
    low, high = found.miou_interval
    assert low < found.miou < high and [row[0] for row in next(found.tables()).rows] == ["sky", "road", "car"]
    assert adding.drawn(np.arange(4)) == pytest.approx(found.miou)
    drawn = np.array([0, 0, 3, 1])
    assert adding.drawn(drawn) == pytest.approx(
        jaccard_score(masks[drawn][valid[drawn]], logits[drawn].argmax(-1)[valid[drawn]], average="macro")
    )
    metric = losses.MeanIoU(3)
    metric.update_state(masks[:2], logits[:2])
    metric.update_state(masks[2:], logits[2:], sample_weight=np.array([1.0, 2.5], "f"))
    assert float(metric.result()) == pytest.approx(found.miou, rel=1e-5)
    metric.reset_state()
    metric.update_state(masks, logits, sample_weight=np.array([1, 1, 0, 0], "f"))
    assert float(metric.result()) == pytest.approx(
        jaccard_score(masks[:2][valid[:2]], logits[:2].argmax(-1)[valid[:2]], average="macro"), rel=1e-5
    )


def test_classes_that_nobody_has_are_left_out():
    masks = np.zeros((1, 2, 2), np.uint8)
    adding = scores.scorer(CARD)
    adding.update({"logits": np.eye(3)[masks]}, {"mask": masks})
    assert adding.result().miou == 1 and adding.result().iou == {"sky": 1.0, "road": None, "car": None}


def test_what_does_not_belong_together_is_refused(made):
    masks, logits = made
    with pytest.raises(InputError, match=r"maps are \(6, 5\), the masks \(3, 5\)"):
        scores.scorer(CARD).update({"logits": logits}, {"mask": masks[:, :3]})
    with pytest.raises(InputError, match="the masks have the class 2, the model 2 classes"):
        scores.scorer(CARD).update({"logits": logits[..., :2]}, {"mask": masks})


def test_a_foreign_file_may_give_one_score_or_too_many(made):
    masks, _ = made
    one = scores.scorer(ModelCard(task="segmentation"))
    one.update({"p": np.float32(masks == 1)[..., None]}, {"mask": np.where(masks == 255, 255, masks == 1).astype("u1")})
    assert one.result().miou == 1
    for wrong in (-1.0, 1e9):  # before a table of so many classes is made
        with pytest.raises(InputError, match=f"has the class {wrong:.0f}: expected at most 255"):
            one.update({"p": np.full(masks.shape, wrong, "f")}, {"mask": masks})
    with pytest.raises(InputError, match="has the class 299: expected at most 255"):
        answers.decode({"p": np.eye(300)[None, None, 299:]}, CARD)


def test_agreement_is_the_share_of_equal_pixels(made):
    _, logits = made
    other = logits.copy()
    other[1, 0, :, :] = np.roll(other[1, 0], 1, axis=-1)
    np.testing.assert_allclose(scores.agreement({"logits": logits}, {"logits": other}, CARD), [1, 25 / 30, 1, 1])


def test_predictions_name_classes_and_shares(made):
    _, logits = made
    first, *_ = answers.decode({"logits": logits}, CARD, names=["a.png", "b", "c", "d"])
    classes = logits[0].argmax(-1)
    assert first.image == "a.png" and first.classes.dtype == np.uint8
    np.testing.assert_array_equal(first.classes, classes)
    assert first.to_json()["shares"] == {
        CARD.facts["names"][n]: pytest.approx((classes == n).mean()) for n in np.argsort(-np.bincount(classes.ravel()))
    }
    assert answers.decode({"logits": logits}, CARD, limit=1)[0].rows()[0] == ("class", "pixels")
    palette = answers.colours(CARD, 3)
    assert len({tuple(colour) for colour in palette.tolist()}) == 3
    own = ModelCard(task="segmentation", facts={"names": ["a"], "colours": [[1, 2, 3]]})
    assert answers.colours(own, 1).tolist() == [[1, 2, 3]]
    image = np.full((6, 5, 1), 100, np.uint8)
    mixed = answers.overlaid(image, np.where(classes == 0, 255, classes).astype("u1"), palette)
    assert mixed.shape == (6, 5, 3) and (mixed[classes == 0] == 100).all() and (mixed[classes == 1] != 100).any()


def test_facts_are_names_colours_and_weights_by_the_median_frequency(tmp_path):
    root = folder(tmp_path, ("train",), mode="P")
    dataset = keras_resnet.load_dataset(root, image_shape=(30, 44, 3))
    plain = settings.facts(dataset, settings.Settings())
    assert plain.names == ("left", "middle", "right") and len(plain.colours) == 3 and not plain.weights
    weights = settings.facts(dataset, settings.Settings(class_weights=True)).weights
    masks = np.stack([dataset.train.maps["mask"].read(n) for n in range(len(dataset.train))])
    frequency = [(masks == n).sum() / sum((m != 255).sum() for m in masks if (m == n).any()) for n in range(3)]
    np.testing.assert_allclose(weights, np.median(frequency) / np.array(frequency), rtol=1e-6)
    with pytest.raises(ValueError, match="colour .* expected three numbers"):
        settings.Facts(names=("a",), colours=((1, 2, 300),))
    with pytest.raises(ValueError, match="expected one for every class"):
        settings.Facts(names=("a", "b"), colours=((1, 2, 3),))


RECIPE = Recipe(
    name="scenes",
    task="segmentation",
    model="resnet8",
    dataset="scenes",
    preprocess="tf",
    epochs=8,
    batch_size=4,
    learning_rate=0.01,
    optimizer="adam",
    schedule="one-cycle",
    warmup_epochs=1,
    image_size=32,
    width=16,
    precision="float32",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on scenes of three bands."""
    root = tmp_path_factory.mktemp("segmentation")
    folder(root / "scenes", count=24)
    recipe = dataclasses.replace(RECIPE, dataset=str(root / "scenes"))
    return root, train(recipe, run_dir=root / "run", verbose=False)


@pytest.mark.slow
def test_a_net_learns_masks_and_is_evaluated(trained):
    root, result = trained
    assert result.metric == "mean_iou" and result.validation > 0.7
    model, card = keras_resnet.load_model(root / "run")
    assert card.task == "segmentation" and card.facts["names"] == ["left", "middle", "right"]
    assert model.output_shape == (None, 32, 32, 3) and model.layers[-1].name == "logits"
    assert cli.main(["evaluate", "--model", str(root / "run"), "--data", str(root / "scenes"),
                     "--json", str(root / "scores.json")]) == 0  # fmt: skip
    found = json.loads((root / "scores.json").read_text())
    assert found["miou"] > 0.7 and set(found["iou"]) == {"left", "middle", "right"} and found["count"] == 24
    pixels, _ = scene(3)
    (answer,) = keras_resnet.predict(root / "run", [pixels])
    assert set(answer.shares) <= {"left", "middle", "right"} and answer.classes.shape == (32, 32)
    command = ["predict", "--model", str(root / "run"), str(root / "scenes/test/images/3.png")]
    assert cli.main([*command, "--masks", str(root / "masks"), "-o", str(root / "drawn.png")]) == 0
    with Image.open(root / "masks/3.png") as written, Image.open(root / "drawn.png") as drawn:
        assert written.mode == "P" and written.size == (44, 30) and drawn.format == "PNG"
        mask = np.asarray(written)
    outside = mask == 255
    assert outside[:, :7].all() and outside[:, 37:].all() and not outside[:, 8:36].any()  # the square in the middle
    known = (scene(2003)[1] != 255) & ~outside
    assert (mask == scene(2003)[1])[known].mean() > 0.85
    assert cli.main([*command, "--masks", str(root / "masks")]) == 2  # it is there
    assert cli.main([*command, "--masks", str(root / "scenes/test/images"), "--overwrite"]) == 2  # its own picture
    shutil.copy(command[-1], root / "scenes/test/images/3.bmp")
    assert cli.main([*command, str(root / "scenes/test/images/3.bmp"), "--masks", str(root / "m")]) == 2
    (root / "scenes/test/images/3.bmp").unlink()
    (root / "a$b").mkdir()
    shutil.copy(command[-1], root / "a$b" / "x$y.png")
    twice = ["predict", "--model", str(root / "run"), command[-1], str(root / "a$b"), "--masks", str(root / "both")]
    assert cli.main([*twice, "-o", str(root / "formula.png")]) == 0
    assert len(list((root / "both").rglob("*.png"))) == 2
    assert cli.main(["predict", "--model", "resnet8", "--weights", "digits", command[-1], "--masks", "x"]) == 2


@pytest.mark.slow
def test_a_file_draws_the_same_masks_or_fails(trained, tmp_path):
    root, _ = trained
    (row,) = export(root / "run", tmp_path / "scenes.tflite", precision="int8", gates={"drop": 3.0}).rows
    assert row.passed and row.agreement > 0.98
    runner = keras_resnet.open_runner(tmp_path / "scenes.tflite")
    assert runner.card.task == "segmentation" and runner.card.facts["names"]
    test = keras_resnet.load_dataset(root / "scenes", image_shape=(32, 32, 3)).test
    assert keras_resnet.evaluate(runner, test).miou > 0.7


def test_an_auxiliary_head_learns_too_and_is_not_saved():
    facts = settings.Facts(names=("a", "b"))
    own = settings.Settings(aux=0.4, decoder="fcn", width=8)
    spec = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 1, 1, 1), width=4)
    backbone = keras_resnet.build(spec, include_top=False, input_shape=(32, 48, 3), **settings.backbone(spec, own))
    net = head.attach(backbone, facts, own, training=True)
    assert sorted(net.output) == ["aux_logits", "logits"]
    assert settings.backbone(spec, own) == {"output_stride": 8}
    goals = head.objectives(facts, own)
    net.compile("adam", goals.loss, loss_weights=goals.loss_weights, weighted_metrics=goals.metrics)
    masks = np.random.default_rng(0).integers(0, 2, (2, 32, 48)).astype(np.uint8)
    logs = net.test_on_batch(np.zeros((2, 32, 48, 3), "f"), head.encode({"mask": masks}, facts, own), return_dict=True)
    assert goals.watch in logs and logs["loss"] > 0
    saved = head.attach(backbone, facts, own, training=False)
    assert saved.output.shape == (None, 32, 48, 2)
    assert settings.outputs(facts) == (Output("logits", ("n", "height", "width", "classes")),)


def test_a_new_decoder_learns_behind_frozen_norms():
    spec = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 1), width=4)
    how = {"include_top": False, "input_shape": (32, 32, 3), "activation": "silu"}
    for norm, frozen in (("batch", True), ("sync_batch", False), ("group", False)):
        backbone = keras_resnet.build(spec, norm=norm, freeze_bn=frozen, **how)
        net = head.attach(backbone, settings.Facts(names=("a", "b")), settings.Settings(width=8), training=True)
        own, theirs = net.get_layer("up1_1_bn"), net.get_layer("conv1_bn")
        assert type(own) is type(theirs) and own.trainable and theirs.trainable is not frozen
        assert getattr(own, "synchronized", None) == getattr(theirs, "synchronized", None)
        assert net.get_layer("up1_1_relu").activation is keras.activations.silu


def _layer(model, name):
    return model.get_layer(name).get_weights()


def test_a_training_starts_from_weights_for_classes(tmp_path):
    recipe = dataclasses.replace(RECIPE, weights="digits", freeze="stem")
    spec = keras_resnet.nets.specs.get_spec("resnet8")
    own = settings.Settings(width=16)
    backbone = keras_resnet.build(spec, include_top=False, input_shape=(32, 32, 3))
    net = head.attach(backbone, settings.Facts(names=("a", "b")), own, training=True)
    before = _layer(net, "up1_1_conv")
    transfer.begin(net, recipe, spec, ("a", "b"))
    known = keras_resnet.build("resnet8", weights="digits")
    for name in ("conv1_conv", "conv4_block1_2_bn"):
        for ours, theirs in zip(_layer(net, name), _layer(known, name), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(_layer(net, "up1_1_conv")[0], before[0])
    assert not net.get_layer("conv1_conv").trainable and net.get_layer("conv2_block1_1_conv").trainable
    transfer.begin(net, dataclasses.replace(recipe, weights="", freeze="all"), spec, ("a", "b"))
    assert {layer.name.partition("_")[0] for layer in net.layers if layer.weights and layer.trainable} == {
        *("up1", "up2", "logits"),
    }
    keras_resnet.save_weights(net, tmp_path / "net.safetensors")
    again = head.attach(backbone, settings.Facts(names=("a", "b")), own, training=True)
    transfer.begin(again, dataclasses.replace(recipe, weights=str(tmp_path / "net.safetensors")), spec, ("c", "d"))
    np.testing.assert_array_equal(_layer(again, "up2_2_conv")[0], _layer(net, "up2_2_conv")[0])
    assert (_layer(again, "logits_conv")[0] != _layer(net, "logits_conv")[0]).any()  # other classes
    with pytest.raises(InputError, match="weights .* do not fit resnet14t: missing or of another shape: conv"):
        other = keras_resnet.nets.specs.get_spec("resnet14t")
        wide = keras_resnet.build(other, include_top=False, input_shape=(64, 64, 3))
        wide = head.attach(wide, settings.Facts(names=("a", "b")), own, training=True)
        transfer.begin(wide, dataclasses.replace(recipe, weights=str(tmp_path / "net.safetensors")), other, ("a", "b"))


def test_images_need_not_be_square(tmp_path):
    folder(tmp_path / "scenes", ("train",), count=30)
    recipe = dataclasses.replace(RECIPE, dataset=str(tmp_path / "scenes"), image_size=32, image_width=48)
    found = inputs.load(recipe, nets.FromRecipe(), None).dataset
    assert found.shape == (32, 48, 3) and found.train.fetch([0])["mask"].shape == (1, 32, 48)
    with pytest.raises(InputError, match="balance=sampling evens classes out, and the data have mask"):
        inputs.balanced(found.train, dataclasses.replace(recipe, balance="sampling"))
    for changes in ({"image_size": 0}, {"test_size": 64}, {"test_width": 64}):
        with pytest.raises(InputError, match="a width goes with a height; expected both widths"):
            inputs.load(dataclasses.replace(recipe, **changes), nets.FromRecipe(), None)
    larger = inputs.load(dataclasses.replace(recipe, test_size=64, test_width=96), nets.FromRecipe(), None).dataset
    assert larger.shape == (64, 96, 3) and larger.test.fetch([0])["image"].shape == (1, 64, 96, 3)
    for part in (larger.train, larger.validation):  # at the size that the net in training has
        assert part.fetch([0])["image"].shape == (1, 32, 48, 3) and part.fetch([0])["mask"].shape == (1, 32, 48)


@pytest.mark.slow
def test_parts_are_learned_and_the_net_takes_whole_pictures(trained, tmp_path):
    """Statistics are estimated, and TensorBoard's pictures answered, at the size of the net that is saved."""
    changes = {"dataset": str(trained[0] / "scenes"), "epochs": 1, "image_width": 48, "test_size": 64, "test_width": 80}
    recipe = dataclasses.replace(RECIPE, **changes, warmup_epochs=0, precise_bn=8, fit="pad", augmentation="scene-own")
    train(recipe, run_dir=tmp_path / "run", verbose=False)
    model, card = keras_resnet.load_model(tmp_path / "run")
    assert model.input_shape == (None, 64, 80, 3) and card.fit == "pad"
    assert list((tmp_path / "run" / "tensorboard" / "validation").iterdir())
    fresh = keras_resnet.segmenter("unet", backbone="resnet8", classes=3, width=16, input_shape=(64, 80, 3))
    means = [layer.moving_mean.numpy() for layer in model.layers if hasattr(layer, "moving_mean")]
    assert len(means) == sum(hasattr(layer, "moving_mean") for layer in fresh.layers) and all(map(np.any, means))


def test_a_split_in_memory_serves_as_well(made):
    masks, _ = made
    split = ArraySplit({"image": np.zeros((4, 6, 5, 3), np.uint8), "mask": masks})
    np.testing.assert_array_equal(split.fetch([2])["mask"][0], masks[2])
    assert get_task("segmentation").truth in split.truth


def test_masks_in_memory_are_moved_and_not_cut_out_of_files():
    rng = np.random.default_rng(0)
    pixels, masks = rng.integers(0, 256, (24, 32, 32, 3), np.uint8), rng.integers(0, 2, (24, 32, 32), np.uint8)
    split = ArraySplit({"image": pixels, "mask": masks})
    data = keras_resnet.data.Dataset("mine", ("a", "b"), (32, 32, 3), split, split, split, truth="mask")
    recipe, _ = plan(Named(memory.register(data)), ["model=resnet8"], weights="none")
    assert (recipe.augmentation, recipe.optimizer, recipe.fit) == ("crop-flip", "adamw", "crop")
    assert inputs.load(recipe, nets.FromRecipe(), None).steps == 24 // recipe.batch_size


def test_settings_that_contradict_each_other_are_refused():
    (said,) = settings.Settings(focal_gamma=1.0).problems()
    assert said == "focal_gamma goes with loss=focal, not cross-entropy"
    assert not list(settings.Settings(loss="focal", focal_gamma=1.0).problems())
    assert next(settings.Settings(tversky_beta=0.5).problems()).startswith("tversky_alpha and tversky_beta go with")
    assert next(settings.Settings(tversky=1.0, tversky_alpha=0.0, tversky_beta=0.0).problems()).endswith("is right")
    assert not list(settings.Settings(tversky=1.0, tversky_alpha=0.5, tversky_beta=0.5).problems())
    goals = head.objectives(settings.Facts(names=("a", "b")), settings.Settings(tversky=0.5, tversky_beta=0.9))
    assert goals.loss.get_config() | {"tversky": 0.5, "alpha": 0.3, "beta": 0.9} == goals.loss.get_config()


@pytest.mark.proof
def test_a_step_on_two_devices_is_a_step_on_one(tmp_path):
    """The control: where every device counts its own pixels, void in one half of a batch makes another net."""
    root = Path(__file__).resolve().parents[1]
    found = {}
    for name in ("none", "mirrored", "mirrored-alone"):
        output = tmp_path / f"{name}.npz"
        done = subprocess.run(
            [sys.executable, str(root / "tests" / "pixel_steps.py"), str(output), name],
            env=os.environ | {"PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        with np.load(output) as file:
            found[name] = dict(file)
    one = found["none"]
    scale = max(np.abs(one[key]).max() for key in ("w0", "w1"))
    apart = {name: max(np.abs(each[key] - one[key]).max() for key in one) / scale for name, each in found.items()}
    assert apart["mirrored"] <= 1e-6 and apart["mirrored-alone"] > 1e-3, apart
