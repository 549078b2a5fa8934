"""Compression of detectors: pyramid and towers have an integer form, and the loss sees what is compressed."""

import dataclasses
import json

import boxed
import keras
import numpy as np
import pytest

import keras_resnet
from export import artifact, load_source, program
from export.making import pipeline
from export.smaller.adapting import adapted
from export.smaller.gates import limits
from keras_resnet import InputError
from keras_resnet.compression import channels, methods, nets
from keras_resnet.compression.settings import settings
from keras_resnet.nets.compressed import FakeQuantize
from keras_resnet.nets.graph import multiply_adds
from keras_resnet.nets.specs import SPECS
from keras_resnet.tasks import detection
from keras_resnet.tasks.facts import facts_of
from keras_resnet.training import RECIPES

TINY = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 1, 1, 1), width=8)


@pytest.fixture(scope="module")
def net():
    return boxed.net()


def test_a_pyramid_has_an_integer_form(net):
    methods.refuse(net, settings("qat"))
    made = methods.forms(net, net, settings("qat")).model
    ranged = {layer.name.removesuffix("_range") for layer in made.layers if isinstance(layer, FakeQuantize)}
    joined = {layer.name for layer in net.layers if isinstance(layer, keras.layers.Add)}
    resized = {layer.name for layer in net.layers if isinstance(layer, keras.layers.Resizing)}
    assert joined >= {"fpn_p3_add", "fpn_p4_add"} and joined - ranged == {
        name for name in joined if name.startswith("conv")
    }  # of a block the ReLU behind it has the range
    assert len(resized) == 2 and not resized & ranged  # an engine gives them the range of the input
    assert {f"scores_{stride}_conv" for stride in boxed.STRIDES} | {
        f"boxes_{stride}" for stride in boxed.STRIDES
    } <= ranged
    assert set(made.output) == set(net.output)
    assert nets._last(net) == {f"{kind}_{stride}{end}" for kind in ("scores", "boxes") for stride in boxed.STRIDES
                               for end in ("", "_conv")}  # fmt: skip


def test_the_loss_takes_all_outputs_as_one(net):
    facts, images = facts_of(boxed.card()), boxed.images(2).astype("f")
    made = detection.learning(net, facts)
    raw, found = net(images, training=False), made(images, training=False)
    rows = [
        np.concatenate(
            [np.asarray(raw[f"{kind}_{stride}"]).reshape(2, -1, n) for kind, n in (("scores", 3), ("boxes", 4))], -1
        )
        for stride in boxed.STRIDES
    ]
    np.testing.assert_allclose(found, np.concatenate(rows, axis=1), atol=1e-5)
    assert {id(weight) for weight in made.weights} == {id(weight) for weight in net.weights}
    with pytest.raises(InputError, match="the model gives boxes_16.*detector boxes_16, boxes_8.*detector=... and neck"):
        detection.learning(net, dataclasses.replace(facts, strides=(8, 16)))


def test_channels_of_towers_can_go(net):
    spans = channels.spans(net)
    towers = [f"{kind}_{stride}_tower_1_conv" for kind in ("scores", "boxes") for stride in boxed.STRIDES]
    assert set(towers) <= {span.first for span in spans}
    kept = {span.first: np.arange(net.get_layer(span.first).filters // 2) for span in spans}
    narrow = channels.narrowed(net, kept)
    assert set(narrow.output) == set(net.output) and multiply_adds(narrow) < 0.8 * multiply_adds(net)


@pytest.mark.slow
def test_convolutions_in_a_row_are_reconstructed(net):
    """The second one of a tower lost channels before it and of its own: those of its own that stay are compared."""
    images = boxed.images(8).astype("f")
    kept = {span.first: np.arange(8) for span in channels.spans(net) if span.first.startswith("scores_8_tower")}
    assert set(kept) == {"scores_8_tower_1_conv", "scores_8_tower_2_conv"}
    plain, better = channels.narrowed(net, kept), channels.narrowed(net, kept)
    channels.reconstruct(better, net, images, kept, positions=60)
    wanted, *found = (np.asarray(each(images, training=False)["scores_8"]) for each in (net, plain, better))
    errors = [np.square(each - wanted).mean() for each in found]
    assert errors[1] < 0.5 * errors[0]


def test_every_method_has_a_limit_for_boxes():
    assert limits(settings("qat"), "detection") == {"drop": 0.5}  # as an int8 file has it
    for how in (
        settings("qat", weight_bits=4),
        settings("prune"),
        settings("prune", channels=0.5),
        settings("cluster"),
    ):
        assert limits(how)["drop"] <= limits(how, "detection")["drop"] <= 3


@pytest.mark.proof
def test_a_file_of_ranges_is_in_integers_up_to_its_boxes(net, tmp_path):
    source = boxed.source(count=6)
    made = methods.forms(net, net, settings("qat")).model
    for layer in made.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    for _ in range(4):
        made(boxed.images(16).astype("f"), training=True)
    known = load_source((made, source.card), dataset=source.dataset)
    gates = {"agreement": 0.0, "drop": 100.0, "cosine": 0.0, "max_abs": 100.0, "sqnr": 10.0}  # nobody trained it
    (row,) = pipeline.export(known, [(artifact("tflite:int8", form="nms"), tmp_path / "m.tflite")], gates=gates).rows
    assert row.passed and row.operators["RESIZE_NEAREST_NEIGHBOR"] == 2 and row.operators["DEQUANTIZE"] == 6
    assert not {"FAKE_QUANT", "QUANTIZE"} & set(row.operators)


@pytest.fixture(scope="module")
def trained(made_once):
    """The run directory of an epoch on a few scenes of digits: how well it sees does not matter."""

    def run(path):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(SPECS, "tiny", TINY)
            changes = {"model": "tiny", "epochs": 1, "subset": 160, "warmup_epochs": 0.0, "keep": "last"}
            recipe = dataclasses.replace(RECIPES["digits-scenes"], width=16, **changes)
            keras_resnet.train(recipe, run_dir=path, verbose=False)

    return made_once("boxes-run", run)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("method", "more", "name"),
    [("qat", [], "qat-int8"), ("prune", ["--channels", "0.7"], "channels"), ("prune", ["--sparsity", "2:4"], "2of4")],
)
def test_a_smaller_net_finds_objects(trained, method, more, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = ["--model", str(trained), "--data", "digits-scenes", "--method", method, "-o", "small", "--limit", "40"]
    quick = ["--set", "epochs=1", "--set", "subset=80", "--set", "width=16", "--gate", "drop=100"]
    status = program.alone("compress", [*named, *quick, *more])
    found = json.loads((tmp_path / "small/compression.json").read_text())
    assert name in found["method"] and found["recipe"]["task"] == "detection"
    assert all("ap" in entry for entry in found["entries"])
    failed = {gate["name"] for gate in found["gates"] if not gate["passed"]}
    assert status == bool(failed) and "share of multiply-adds" not in failed and "share of zeros" not in failed
    model, card = keras_resnet.load_model(next((tmp_path / "small").glob("model*.keras")))
    assert card.task == "detection" and set(model.output) == {
        f"{kind}_{stride}" for kind in ("scores", "boxes") for stride in boxed.STRIDES
    }


@pytest.mark.slow
def test_the_recipe_takes_over_what_boxes_need():
    source = boxed.source(count=2)
    said = dataclasses.replace(source, card=dataclasses.replace(source.card, recipe="bccd"))
    found = adapted(RECIPES["compress-objects"], said, settings("qat"))
    assert (found.image_size, found.image_width, found.test_size) == (64, 96, 0)
    assert found.head == RECIPES["bccd"].head and found.augmentation == RECIPES["bccd"].augmentation
    unknown = adapted(RECIPES["compress-objects"], source, settings("prune"))
    assert unknown.augmentation == "scene" and unknown.head == RECIPES["compress-objects"].head
    with pytest.raises(
        InputError, match="recipe compress is of task classification.*compress-objects or prune-objects"
    ):
        adapted(RECIPES["compress"], source, settings("qat"))
