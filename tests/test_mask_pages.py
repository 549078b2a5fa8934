"""Masks on a page: pictures beside their masks with the shares of the classes, from nothing but one file."""

import base64
import dataclasses
import html
import io
import re

import keras
import numpy as np
import pytest
from PIL import Image
from test_masks import folder, scene

import keras_resnet
from keras_resnet import InputError, ModelCard, cli
from keras_resnet.evaluation import bulk
from keras_resnet.evaluation.answered import Page
from keras_resnet.page import render
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.signals import crops
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks.segmentation import Mask, answers, colours, strips

COLOURS = [[200, 10, 10], [10, 200, 10], [10, 10, 200]]
CARD = ModelCard(task="segmentation", facts={"names": ["<b>left</b>", "middle", "$right$"], "colours": COLOURS})


def _pictures(text):
    """The pictures of a page by their words, RGB."""
    found = re.findall(r'<img src="data:image/\w+;base64,([^"]+)"[^>]*? alt="([^"]*)"', text)
    return {html.unescape(name): np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
            for data, name in found}  # fmt: skip


def test_a_strip_shows_image_overlay_mask_and_shares():
    pixels, mask = scene(1)
    classes = np.where(mask == 255, 0, mask).astype(np.uint8)
    made = strips.strip(pixels, Mask("a<i>.png", {}, classes), CARD)
    text = render("keras_resnet/answers.html", title="<title>", strips=[made], command="<command>")
    shown = _pictures(text)
    assert list(shown) == ["a<i>.png", "mask over a<i>.png", "mask of a<i>.png"]
    np.testing.assert_array_equal(shown["mask of a<i>.png"], np.array(COLOURS, np.uint8)[classes])
    assert np.abs(shown["a<i>.png"].astype(int) - pixels).mean() < 20  # JPEG
    order = np.argsort(-np.bincount(classes.ravel(), minlength=3), kind="stable")
    said = [words for _, _, words in made.legend]
    few = strips.strip(pixels, Mask("few", {}, np.eye(30, 44, dtype=np.uint8) * (np.arange(44) < 1)), CARD)
    assert [words for _, _, words in few.legend] == ["99.9%", "0.1%"]
    assert said == [f"{(classes == n).mean():.1%}" for n in order] and len(said) == 3
    assert "<b>left" not in text and "<i>" not in text and "<command>" not in text
    assert "http" not in text and "<script" not in text
    assert made.legend[0][0] == f'<span class="mark" style="background:#{bytes(COLOURS[order[0]]).hex()}"></span>'


def test_large_masks_become_small_before_they_are_painted():
    classes = np.zeros((1000, 2000), np.uint8)
    classes[:, 1000:] = 1
    made = strips.strip(np.zeros((1000, 2000, 1), np.uint8), Mask("large.png", {}, classes), CARD)
    text = render("keras_resnet/answers.html", title="", strips=[made], command="")
    assert {picture.shape for picture in _pictures(text).values()} == {(200, 400, 3)}
    assert [words for _, _, words in made.legend] == ["50.0%", "50.0%"]
    assert len(colours(CARD, 2)) == 2


class Plain(Runner):
    """A net of another task."""

    card = ModelCard()
    input = Tensor("x", (None, 8, 8, 3), "float32")
    outputs = (Tensor("probabilities", (None, 2), "float32"),)


def test_other_tasks_have_no_such_page():
    with pytest.raises(InputError, match="detection or localization; this is classification"):
        Page(Plain(), Plain.card)


@pytest.mark.parametrize(("keep", "size"), [("pad", (20, 48)), ("pad", (50, 31)), ("own", (11, 40)), ("own", (13, 9))])
def test_shares_are_of_the_picture_and_not_of_what_fills_the_input_beside_it(keep, size):
    """What is called 1 lies beside the picture alone; every pixel of the picture keeps its class."""
    card = dataclasses.replace(CARD, fit=keep)
    (top, left, high, wide), (height, width) = crops.rectangle(*size, (32, 32), keep), size
    down, right = top + (np.arange(32) + 0.5) * high / 32, left + (np.arange(32) + 0.5) * wide / 32
    inside = np.logical_and.outer((down > 0) & (down < height), (right > 0) & (right < width))
    mask = answers.Mask("x", {}, np.where(inside, 2, 1).astype(np.uint8))
    found = answers.within(mask, *size, card, 5)
    assert (found.classes == 255).any() and (found.classes[inside] == 2).all()
    assert found.shares["$right$"] > 0.9 and sum(found.shares.values()) == pytest.approx(1)
    np.testing.assert_array_equal(found.at(*size, keep), mask.at(*size, keep))
    assert answers.within(mask, 32, 32, card, 5) is mask
    assert strips.strip(np.zeros((32, 32, 3), np.uint8), found, card).legend[0][2] == f"{found.shares['$right$']:.1%}"
    assert answers.draw(np.zeros((1, 32, 32, 3), np.uint8), [found], card)


def test_predictions_of_files_and_of_arrays_count_the_picture_alone(tmp_path):
    """A net that calls black the first class and all else the second: black pictures, grey where they are padded."""
    image = keras.Input((32, 32, 3))
    net = keras.Model(image, keras.layers.Conv2D(2, 1, name="logits")(image))
    net.set_weights([np.float32([[[[0, 1], [0, 0], [0, 0]]]]), np.float32([60, 0])])
    facts = {"names": ["black", "grey"]}
    card = ModelCard(task="segmentation", facts=facts, fit="pad", preprocess=PREPROCESS["none"])
    black = np.zeros((20, 48, 3), np.uint8)
    Image.fromarray(black).save(tmp_path / "a.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(black.transpose(1, 0, 2)).save(tmp_path / "b.jpg", exif=turned)
    (tmp_path / "c.png").write_bytes(b"no picture")
    runner = KerasRunner(net, card)
    for example in (tmp_path / "a.png", tmp_path / "b.jpg", black, Image.fromarray(black)):
        (answer,) = keras_resnet.predict(runner, [example])
        assert answer.shares["black"] > 0.9 and answer.at(20, 48, "pad").shape == (20, 48)
        assert (answer.at(20, 48, "pad") != 255).all()
    files = [tmp_path / "a.png", tmp_path / "c.png"] * 9  # by the graph of tf.data too
    found = list(bulk.answers(runner, files, card, 5))
    assert all(each.shares["black"] > 0.9 for each in found[::2]) and len(found) == 18


@pytest.mark.slow
def test_predict_writes_a_page(tmp_path, capsys):
    root = folder(tmp_path / "scenes", ("test",), count=3)
    net = keras_resnet.segmenter("unet", backbone="resnet8", classes=3, input_shape=(32, 32, 3))
    keras_resnet.save_model(net, tmp_path / "net.keras", CARD)
    images = root / "test" / "images"
    (images / "0.png").rename(images / "<b>0<b>.png")
    command = ["predict", "--model", str(tmp_path / "net.keras"), str(images), "-o"]
    for more, size in (([], (32, 32, 3)), (["--tile", "--overlap", "8"], (30, 44, 3))):
        page = tmp_path / f"page{len(more)}.html"
        assert cli.main([*command, str(page), *more]) == 0
        shown = _pictures(page.read_text())
        assert len(shown) == 9 and {each.shape for each in shown.values()} == {size}
        assert "<b>" not in page.read_text()
    assert "page of 3 answers" in capsys.readouterr().out
    assert cli.main([*command, str(page)]) == 2  # it is there
    many = [str(images / "1.png")] * 101
    assert cli.main(["predict", "--model", str(tmp_path / "net.keras"), *many, "-o", str(tmp_path / "m.html")]) == 2
    assert "shows 100 answers at most, and there are 101 files" in capsys.readouterr().err
    one = ["predict", "--model", "resnet8", "--weights", "digits", str(images / "1.png")]
    assert cli.main([*one, "-o", str(tmp_path / "c.html")]) == 2
    assert "goes with the task segmentation" in capsys.readouterr().err
