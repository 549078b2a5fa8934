"""Compression of nets that draw masks: every decoder has an integer form, and what is made still draws them."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from test_forms import CARD, NAMES, trained  # noqa: F401  # a fixture
from tiers import in_proof

import keras_resnet
from export import artifact, load_source, program
from export.making import pipeline
from export.smaller import tfmot
from export.smaller.adapting import adapted, check_outputs
from export.smaller.gates import limits
from keras_resnet import InputError
from keras_resnet.compression import channels, methods, rewriting
from keras_resnet.compression.settings import settings
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.nets.compressed import FakeQuantize
from keras_resnet.nets.graph import multiply_adds
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks.segmentation.losses import PixelLoss
from keras_resnet.training import RECIPES, override

DECODERS = ("unet", "deeplabv3plus", "deeplabv3", "fcn")
TINY = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 1, 1, 1), width=4)


def _net(name="unet", size=(64, 64)):
    keras.utils.set_random_seed(0)
    stride = {} if name == "unet" else {"output_stride": 8}  # dilated from the third stage on
    return keras_resnet.segmenter(name, backbone=TINY, classes=3, input_shape=(*size, 3), width=8, **stride)


def _integers(net, images):
    """A net in integer form, its ranges from one batch again and again."""
    made = methods.forms(net, net, settings("qat")).model
    for layer in made.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    for _ in range(4):
        made(images, training=True)
    return made


@pytest.mark.parametrize("name", ["unet", *(in_proof(each) for each in DECODERS[1:])])
def test_every_decoder_has_an_integer_form(name):
    net = _net(name)
    methods.refuse(net, settings("qat"))
    made = methods.forms(net, net, settings("qat")).model
    ranged = {layer.name for layer in made.layers if isinstance(layer, FakeQuantize)}
    joined = [layer.name for layer in net.layers if isinstance(layer, keras.layers.Concatenate)]
    resized = [layer.name for layer in net.layers if isinstance(layer, keras.layers.Resizing)]
    assert {f"{each}_range" for each in joined} <= ranged and bool(joined) == (name != "fcn")
    assert resized and not {f"{each}_range" for each in resized} & ranged  # an engine gives them the range of the input
    assert channels.spans(net)


def test_what_has_no_integer_form_is_still_named():
    net = _net()
    odd = keras.Model(net.input, keras.layers.UpSampling2D(2, name="twice")(net.output))
    with pytest.raises(InputError, match=r"cannot be quantized: twice \(UpSampling2D\).*resizing.*Concatenate"):
        rewriting.check(odd, quantized=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deeplabv3plus", *(in_proof(each) for each in ("unet", "deeplabv3", "fcn"))])
def test_files_of_ranges_have_no_float(name, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), "uint8").repeat(8, 1).repeat(8, 2)
    split = ArraySplit({"image": images, "mask": np.zeros((16, 64, 64), "uint8")})
    dataset = Dataset("own", tuple(NAMES), (64, 64, 3), split, split, split, truth="mask")
    card = dataclasses.replace(CARD, preprocess=PREPROCESS["tf"])
    source = load_source((_integers(_net(name), card.preprocess(images)), card), dataset=dataset)
    gates = {"agreement": 0.0, "drop": 100.0, "cosine": 0.0, "max_abs": 100.0, "sqnr": 10.0}  # nobody trained it
    (row,) = pipeline.export(source, [(artifact("tflite:int8"), tmp_path / "m.tflite")], gates=gates).rows
    assert row.passed, row.verdict
    resizing = row.operators.get("RESIZE_BILINEAR", 0) + row.operators.get("RESIZE_NEAREST_NEIGHBOR", 0)
    expected = sum(isinstance(layer, keras.layers.Resizing) for layer in source.model.layers)
    assert resizing == expected and not {"DEQUANTIZE", "TILE", "FAKE_QUANT"} & set(row.operators)


def _options(root, method, *more):
    named = ["--model", str(root / "run"), "--data", str(root / "scenes"), "--method", method]
    return [*named, "--set", "epochs=6", "--set", "learning_rate=0.002", "-o", "small", *more]


@pytest.mark.proof
@pytest.mark.parametrize(
    ("method", "more", "name"),
    [
        ("qat", [], "qat-int8"),
        ("prune", ["--sparsity", "2:4"], "prune-2of4"),
        ("prune", ["--channels", "0.8", "--gate", "drop=5"], "channels"),
        ("cluster", ["--clusters", "32"], "cluster-32"),
    ],
)
def test_a_smaller_net_draws_the_masks(trained, method, more, name, tmp_path, monkeypatch):  # noqa: F811
    root, _ = trained
    monkeypatch.chdir(tmp_path)
    assert program.alone("compress", _options(root, method, *more)) == 0
    found = json.loads((tmp_path / "small/compression.json").read_text())
    assert name in found["method"] and found["recipe"]["task"] == "segmentation"
    assert all(entry["miou"] > 0.6 and "top1" not in entry for entry in found["entries"])
    model, card = keras_resnet.load_model(tmp_path / "small/model.keras")
    assert (card.task, card.facts["names"]) == ("segmentation", NAMES)
    if "--channels" in more:
        assert multiply_adds(model) <= 0.8 * multiply_adds(keras_resnet.load_model(root / "run")[0])
    scores = keras_resnet.evaluate(keras_resnet.open_runner(found["entries"][-1]["file"]), str(root / "scenes"))
    assert scores.miou == pytest.approx(found["entries"][-1]["miou"], abs=0.01)


@pytest.mark.proof
def test_a_net_that_draws_worse_masks_fails(trained, tmp_path, monkeypatch, capsys):  # noqa: F811
    root, _ = trained
    monkeypatch.chdir(tmp_path)
    assert (
        program.alone("compress", [*_options(root, "prune", "--sparsity", "0.97"), "--set", "learning_rate=1e-7"]) == 1
    )
    assert "drop" in capsys.readouterr().err and (tmp_path / "small/model.failed.keras").exists()


@pytest.mark.slow
def test_the_loss_of_masks_says_which_channels_matter():
    net, rng = _net(size=(32, 32)), np.random.default_rng(0)
    span = channels.spans(net)[0]
    layer = net.get_layer(span.last)
    kernel = np.array(layer.kernel)
    kernel[:, :, 1] = 0  # nobody reads it
    layer.kernel.assign(kernel)
    images, masks = rng.normal(size=(20, 32, 32, 3)).astype("f"), rng.integers(0, 3, (20, 32, 32)).astype("uint8")
    masks[:, :4] = 255
    sizes = channels.importance(net, images, masks, PixelLoss())[span]
    assert sizes[1] < 1e-9 * sizes.sum() and (np.delete(sizes, 1) > 0).all()
    everywhere = channels.importance(net, images, np.full_like(masks, 255), PixelLoss())[span]
    assert not everywhere.any()  # where all is void nothing is lost


@pytest.mark.slow
def test_the_recipe_takes_over_what_masks_need(trained):  # noqa: F811
    root, _ = trained
    source = load_source(root / "run", dataset=str(root / "scenes"))
    reading = {"void": [7, 9], "reduce_zero_label": True}
    said = dataclasses.replace(source, card=dataclasses.replace(source.card, reading=reading, recipe="nuclei"))
    found = adapted(RECIPES["compress-scenes"], said, settings("qat"))
    assert (found.image_size, found.image_width, found.test_size) == (32, 0, 0)
    assert (found.void, found.reduce_zero_label, found.dice) == ("7,9", True, RECIPES["nuclei"].dice)
    assert found.augmentation == RECIPES["nuclei"].augmentation and found.precise_bn == 0
    chosen = adapted(override(RECIPES["compress-scenes"], ["tversky=1"]), said, settings("prune"))
    assert (chosen.tversky, chosen.dice) == (1.0, 0.0) and chosen.precise_bn > 0
    unknown = adapted(RECIPES["compress-scenes"], source, settings("qat"))
    assert unknown.augmentation == "scene" and unknown.void == ""
    for change in ("void=3", "image_width=64", "test_size=64"):
        with pytest.raises(InputError, match=f"{change}: a compression has the .*; leave out the setting"):
            adapted(override(RECIPES["compress-scenes"], [change]), source, settings("qat"))
    with pytest.raises(
        InputError, match="recipe compress is of task classification.*--recipe compress-scenes or prune"
    ):
        adapted(RECIPES["compress"], source, settings("qat"))
    with pytest.raises(InputError, match="engine tfmot knows classification alone, not segmentation"):
        tfmot.refuse(source, settings("qat"), found, None)
    check_outputs(source, source)
    ended = keras.Model(source.model.input, keras.layers.Softmax()(source.model.output))
    with pytest.raises(InputError, match="ends in a softmax, and the loss takes logits"):
        check_outputs(dataclasses.replace(source, model=ended), source)


def test_every_method_has_a_limit_for_masks():
    assert limits(settings("qat"), "segmentation") == {"drop": 0.5}  # as an int8 file of masks has it
    for how in (
        settings("qat", weight_bits=4),
        settings("prune"),
        settings("prune", channels=0.5),
        settings("cluster"),
    ):
        assert limits(how)["drop"] <= limits(how, "segmentation")["drop"] <= 3
