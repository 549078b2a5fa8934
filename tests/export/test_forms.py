"""Forms of a segmentation's file: each draws the masks of the Keras model, and one that resizes otherwise fails."""

import dataclasses
import json

import keras
import numpy as np
import onnx
import pytest
import scipy.special
from ai_edge_litert.tools import flatbuffer_utils
from test_segmentation import RECIPE
from tiers import in_proof

import keras_resnet
from export import artifact, export, load_source, program
from export.formats import onnx as onnx_format
from export.formats import tflite as tflite_format
from export.making import pipeline
from export.model.source import Source
from export.proof import golden
from export.proof.verification import Proof
from keras_resnet import InputError, ModelCard, open_runner
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.evaluation import Views, assessment
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks import get_task
from keras_resnet.tasks.segmentation import answers, forms, head, scores, settings

NAMES = ["left", "middle", "right"]
CARD = ModelCard(task="segmentation", facts={"names": NAMES}, preprocess=PREPROCESS["none"])
SMALL, LARGE = (5, 4), (13, 11)


def _interpolated(maps, size, places):
    """By NumPy's own interpolation, a line at a time."""
    for axis, length in ((1, size[0]), (2, size[1])):
        given = maps.shape[axis]
        at = places(np.arange(length), given, length)
        maps = np.apply_along_axis(lambda line, at=at, n=given: np.interp(at, np.arange(n), line), axis, maps)
    return maps


def _half_pixels(maps, size):
    return _interpolated(maps, size, lambda n, given, length: (n + 0.5) * given / length - 0.5)


def _aligned_corners(maps, size):
    return _interpolated(maps, size, lambda n, given, length: n * (given - 1) / (length - 1))


@pytest.fixture(scope="module")
def ramp():
    """Values that rise to the right and downwards, and their square: `(2, 5, 4, 2)`."""
    down, right = np.mgrid[: SMALL[0], : SMALL[1]].astype("f")
    return np.stack([np.stack([down + 2 * right, right], -1), np.stack([down**2, down * right], -1)])


def test_our_own_resizing_and_keras_layer_are_of_half_pixels(ramp):
    expected = _half_pixels(ramp, LARGE)
    np.testing.assert_allclose(forms.resized(ramp, LARGE), expected, atol=1e-5)
    np.testing.assert_allclose(keras.layers.Resizing(*LARGE)(ramp), expected, atol=1e-5)
    assert np.abs(expected - _aligned_corners(ramp, LARGE)).max() > 0.3  # what it must not be
    assert forms.resized(ramp, SMALL) is ramp
    np.testing.assert_allclose(forms.resized(expected, SMALL), _half_pixels(expected, SMALL), atol=1e-5)


def _of_aligned_corners(path):
    """The same file, its resizing of the other kind."""
    if path.suffix == ".onnx":
        proto = onnx.load(path)
        (node,) = [each for each in proto.graph.node if each.op_type == "Resize"]
        (mode,) = [each for each in node.attribute if each.name == "coordinate_transformation_mode"]
        assert mode.s == b"half_pixel"
        mode.s = b"align_corners"
        onnx.save(proto, path)
        return
    lite = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    (options,) = [op.builtinOptions for op in lite.subgraphs[0].operators if hasattr(op.builtinOptions, "alignCorners")]
    assert options.halfPixelCenters and not options.alignCorners
    options.halfPixelCenters, options.alignCorners = False, True
    path.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(lite)))


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), [(tflite_format, "tflite:float32"), (onnx_format, "onnx:float32")])
def test_engines_resize_by_half_pixels(ramp, module, name, tmp_path):
    start = keras.Input((*SMALL, 2), name="image")
    made, path = artifact(name), tmp_path / f"ramp.{name.partition(':')[0]}"
    module.convert(keras.Model(start, {"logits": keras.layers.Resizing(*LARGE)(start)}), made, None, path)
    np.testing.assert_allclose(open_runner(path).run(ramp)["logits"], _half_pixels(ramp, LARGE), atol=1e-4)
    _of_aligned_corners(path)
    np.testing.assert_allclose(open_runner(path).run(ramp)["logits"], _aligned_corners(ramp, LARGE), atol=1e-4)


def _net(name="fcn", classes=3):
    keras.utils.set_random_seed(0)
    spec = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 1), width=4)
    net = keras_resnet.segmenter(name, backbone=spec, classes=classes, input_shape=(16, 24, 3), width=8)
    for layer in net.layers:
        if layer.name == "logits_conv":  # apart: rounding decides nothing
            layer.set_weights([3 * each for each in layer.get_weights()])
    return net


@pytest.fixture(scope="module")
def source():
    """A net that nobody trained, and images whose masks are its own."""
    net, rng = _net(), np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 4, 6, 3), "uint8").repeat(4, axis=1).repeat(4, axis=2)
    masks = net.predict(images, verbose=0).argmax(-1).astype("uint8")
    masks[:, :2] = 255
    split = ArraySplit({"image": images, "mask": masks})
    return load_source(
        (net, CARD), dataset=Dataset("own", tuple(NAMES), images.shape[1:], split, split, split, truth="mask")
    )


def _moved(path, module):
    """What is there now under the old card, as somebody would hand it on who had changed it."""
    card = open_runner(path).card
    _of_aligned_corners(path)
    module.add_card(path, dataclasses.replace(card, sha256=module.fingerprint(path)))


@pytest.mark.slow
def test_every_form_is_proven_and_draws_the_same_masks(source, tmp_path):
    wanted = [("tflite:float32", "logits"), ("onnx:float32", "probabilities")]
    targets = [(artifact(name, form=form), tmp_path / f"{form}.{name.partition(':')[0]}") for name, form in wanted]
    report = export(source, targets)
    assert report.passed, [row.verdict for row in report.rows]
    assert [row.agreement for row in report.rows] == [1.0, 1.0]
    assert [list(row.outputs) for row in report.rows] == [["logits"], ["probabilities"]]
    images, truth = source.evidence().fetch()
    logits = source.model.predict(images, verbose=0)
    for (made, path), shape in zip(targets, [(12, 2, 3, 3), (12, 16, 24, 3)], strict=True):
        runner = open_runner(path)
        found = runner.run(images)
        assert found[runner.output.name].shape == shape and runner.card.facts["form"] == made.form
        for answer, own in zip(answers.decode(found, runner.card), logits.argmax(-1), strict=True):
            np.testing.assert_array_equal(answer.classes, own)
        assert keras_resnet.evaluate(runner, source.dataset.test).miou == 1
        assert pipeline.verify(path, source).passed
        assert json.loads(path.with_name(f"{path.name}.manifest.json").read_text())["artifact"]["form"] == made.form
    probabilities = open_runner(targets[1][1]).run(images)["probabilities"]
    np.testing.assert_allclose(probabilities, scipy.special.softmax(logits, axis=-1), atol=1e-4)
    _moved(targets[1][1], onnx_format)
    failed = {gate.name for gate in pipeline.verify(targets[1][1], source).rows[0].gates if not gate.passed}
    assert {"max_abs", "agreement", "sqnr", "golden vectors"} <= failed
    small = keras.Model(source.model.input, source.model.get_layer("logits_conv").output)
    np.testing.assert_allclose(open_runner(targets[0][1]).run(images)["logits"], small.predict(images, verbose=0),
                               rtol=1e-3, atol=1e-3)  # fmt: skip


def test_the_graph_of_a_form_is_built_once(source, monkeypatch):
    built, build = [], Source.in_form
    monkeypatch.setattr(Source, "in_form", lambda self, form: [built.append(form), build(self, form)][1])
    proof = Proof(source, source.evidence(), {}, None)
    shapes = [
        proof.shapes(artifact("tflite:float32", form=form)) for form in ("classes", "logits", "classes", "logits")
    ]
    assert shapes[0] == shapes[2] != shapes[1] == shapes[3]
    assert built == ["classes", "logits"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on scenes of three bands, with a decoder whose last layer resizes."""
    from test_masks import folder

    root = tmp_path_factory.mktemp("forms")
    folder(root / "scenes", count=24)
    recipe = dataclasses.replace(RECIPE, dataset=str(root / "scenes"), epochs=20, decoder="fcn", output_stride=8)
    return root, keras_resnet.train(recipe, run_dir=root / "run", verbose=False)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        in_proof(name, form)
        for name in (
            "tflite:int8",
            "tflite:int8@litert",
            "tflite:float16",
            "onnx:int8",
            "onnx:float16",
            "keras:float32",
        )
        for form in settings.FORMS
    ],
)
def test_forms_lose_nothing_in_any_precision(trained, name, form, tmp_path):
    root, _ = trained
    made = artifact(name, form=form)
    path = made.file(tmp_path, "net")
    assert form in path.name
    (row,) = export(load_source(root / "run"), [(made, path)], gates={"drop": 1.5}).rows
    assert row.passed and row.agreement > 0.99
    runner = open_runner(path)
    assert runner.card.facts["form"] == form
    if form == "classes":
        assert list(row.outputs) == [] and runner.output.dtype == "uint8" and runner.output.shape[1:] == (32, 32)
    command = ["--model", str(root / "run"), "--data", str(root / "scenes"), "--gate", "drop=1.5"]
    assert program.alone("verify", [str(path), *command]) == 0


def test_what_has_no_form_is_refused():
    net = _net()
    softmax = keras.Model(net.input, keras.layers.Softmax()(net.output))
    with pytest.raises(InputError, match="--form classes: the model ends in a softmax"):
        head.formed(softmax, CARD, "classes")
    made, card = head.formed(net, CARD, "logits")
    assert made.output["logits"].shape == (None, 2, 3, 3) and card.facts["size"] == [16, 24]
    with pytest.raises(InputError, match="the model gives logits already"):
        head.formed(made, card, "classes")
    same, card = head.formed(_net("unet"), CARD, "logits")  # does not resize at its end
    assert same.output["logits"].shape == (None, 16, 24, 3) and card.facts["size"] == [16, 24]
    nearest = keras.layers.Resizing(64, 96, interpolation="nearest")(net.output)
    kept, _ = head.formed(keras.Model(net.input, nearest), CARD, "logits")
    assert kept.output["logits"].shape == (None, 64, 96, 3)
    with pytest.raises(InputError, match="task classification does not support forms"):
        export(keras_resnet.build("resnet8", weights="digits"), "a.onnx", form="classes", data="digits")
    with pytest.raises(InputError, match="form of segmentation 'masks'"):
        export((net, CARD), "a.onnx", form="masks")


def test_one_class_is_its_probability():
    net = _net(classes=1)
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 3)).astype("f")
    own = net.predict(images, verbose=0)
    for form in ("probabilities", "classes"):
        made, card = head.formed(net, CARD, form)
        found = made.predict(images, verbose=0)
        np.testing.assert_array_equal(found[form], own if form == "probabilities" else (own[..., 0] > 0.5))
        expected = forms.as_form({"logits": own}, card)
        np.testing.assert_array_equal(found[form], expected[form])
        assert scores.agreement(found, expected, card).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"form": "masks"}, "form='masks', expected one of"),
        ({"form": ["logits"]}, "expected one of"),
        ({"form": "logits"}, "size=.., expected height and width"),
        ({"form": "logits", "size": [100_000, 100_000]}, "size=.*, expected"),
        ({"form": "classes", "size": [4, 4]}, "size=.*, expected"),
    ],
)
def test_a_damaged_card_has_no_form(facts, said):
    with pytest.raises(ValueError, match=said):
        settings.Facts(names=("a",), **facts)


def test_a_stranger_s_card_asks_for_no_giant_masks():
    card = dataclasses.replace(CARD, facts={"names": NAMES, "form": "logits", "size": [8192, 64]})
    with pytest.raises(InputError, match=r"asks for masks of \[8192, 64\], and the model gives maps of \[2, 2\]"):
        answers.decode({"logits": np.zeros((1, 2, 2, 3), "f")}, card)
    assert answers.decode({"logits": np.zeros((1, 128, 2, 3), "f")}, card)[0].classes.shape == (8192, 64)


def test_a_form_is_of_the_file_and_not_of_the_net():
    from keras_resnet.tasks.cards import card_facts

    assert set(card_facts(settings.Facts(names=("a",)))) == {"names", "colours"}
    assert get_task("segmentation").forms == settings.FORMS


def test_golden_classes_may_differ_in_a_few_pixels(tmp_path):
    """Between numbers of classes there is no distance: one of 512 pixels may be any other class, ten may not."""

    card = dataclasses.replace(CARD, facts={"names": NAMES, "form": "classes"})
    runner = type("Fixed", (), {})()
    runner.card, runner.example_shape = card, (16, 32, 3)
    right = np.zeros((1, 16, 32), "f")
    runner.run = lambda _: {"classes": right}
    about = {"tolerance": 0.005, "tolerances": {"classes": 0.005}, "labels": ["classes"]}
    path = tmp_path / "x.golden.npz"
    stored = right.copy()
    for wrong, held in ((1, True), (10, False)):
        stored[0, 0, :wrong] = 200
        np.savez(path, about=np.array(json.dumps(about)), pixels=np.zeros((1, 16, 32, 3), "uint8"), classes=stored)
        apart, most = golden.difference(path, runner, card.preprocess)
        assert (apart <= most, apart) == (held, pytest.approx(wrong / 512))


@pytest.mark.slow
def test_an_ensemble_of_nets_that_draw_masks_is_one_file(source, tmp_path):
    """Its scores are the mean of the members', in evaluation and in the file."""
    keras.utils.set_random_seed(1)
    other = keras.models.clone_model(source.model)
    paths = [tmp_path / "a.keras", tmp_path / "b.keras"]
    for path, net in zip(paths, (source.model, other), strict=True):
        keras_resnet.save_model(net, path, CARD)
    images, _ = source.evidence().fetch()
    each = [net.predict(images, verbose=0) for net in (source.model, other)]
    mean = np.mean(each, axis=0)
    made = load_source(paths, dataset=source.dataset)
    (row,) = export(made, [(artifact("onnx:float32"), tmp_path / "mean.onnx")], gates={"drop": 100.0}).rows
    assert row.passed, row.verdict
    np.testing.assert_allclose(open_runner(row.file).run(images)["logits"], mean, rtol=1e-3, atol=1e-3)
    assert np.abs(each[0] - mean).max() > 0.1  # the control: the members differ
    asked = [assessment.Member(str(n), open_runner(path), source.dataset.test) for n, path in enumerate(paths)]
    found = assessment.assess(asked, views=Views(average="logits"))
    own = scores.scorer(CARD)
    own.update({"logits": mean}, {"mask": source.dataset.test.fetch(np.arange(12))["mask"]})
    assert found.scores.value == pytest.approx(own.result().value, abs=1e-3)
    assert [each.value for _, each in found.members] != [found.scores.value] * 2
