"""The segmentation net that the package ships: its file, its row, and nuclei that nobody has seen before."""

import json

import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import InputError, cli
from keras_resnet.weights import files
from keras_resnet.weights.registry import SEGMENTER_WEIGHTS


@pytest.fixture(scope="module")
def row():
    (found,) = keras_resnet.list_weights("unet_nuclei", task="segmentation")
    return found


def cells(path, seed, size=(300, 420)):
    """Bright discs on a dark ground, as a fluorescence microscope shows nuclei, and where they are."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    pixels, mask = rng.normal(18, 4, size), np.zeros(size, bool)
    for row, column, radius in zip(
        *(rng.uniform(*ends, 30) for ends in ((0, size[0]), (0, size[1]), (8, 14))), strict=True
    ):
        disc = (y - row) ** 2 + ((x - column) * rng.uniform(0.8, 1.2)) ** 2 < radius**2
        pixels[disc], mask = rng.normal(110, 9, disc.sum()), mask | disc
    Image.fromarray(np.repeat(pixels.clip(0, 255)[..., None], 3, -1).astype(np.uint8)).save(path)
    return mask


def test_registered_weights_are_found_by_their_task():
    assert [row.spec for row in keras_resnet.list_weights(task="segmentation")] == ["unet_nuclei"]
    assert keras_resnet.list_weights("deeplabv3_r50", task="segmentation") == []
    for arguments in ({"task": "segmentatoin"}, {"task": "regression"}):
        with pytest.raises(InputError, match="unknown task with registered weights"):
            keras_resnet.list_weights(**arguments)
    with pytest.raises(InputError, match="did you mean unet_nuclei"):
        keras_resnet.list_weights("unet_nucleus", task="segmentation")


def test_the_file_is_small_and_says_where_it_comes_from(row):
    path = row.path(True)
    assert path.stat().st_size <= 6_000_000
    card = files.read_card(path)
    assert (card.task, card.labels, card.fit) == ("segmentation", row.labels, row.fit)
    assert card.preprocess == row.preprocess and "CC0" in row.license and row.source
    assert SEGMENTER_WEIGHTS["unet_nuclei", "nuclei"] is row and row not in keras_resnet.list_weights()
    net = keras_resnet.segmenter("unet_nuclei", weights="nuclei", input_shape=(64, 64, 3))
    assert net.count_params() <= 3_000_000
    other = keras_resnet.segmenter("unet_nuclei", input_shape=(64, 64, 3))
    assert any(np.abs(a - b).max() > 0.1 for a, b in zip(net.get_weights(), other.get_weights(), strict=True))


def test_it_finds_nuclei_in_a_picture_of_any_size(tmp_path, row):
    expected = cells(tmp_path / "cells.png", 0)
    command = ["predict", "--model", "unet_nuclei", "--weights", "nuclei", str(tmp_path / "cells.png"), "--tile"]
    options = ["--masks", str(tmp_path / "masks"), "--json", str(tmp_path / "answers.json")]
    assert cli.main([*command, *options]) == 0
    found = np.asarray(Image.open(tmp_path / "masks" / "cells.png")) == 1
    assert found.shape == expected.shape
    assert (found & expected).sum() / (found | expected).sum() > 0.85
    (answer,) = json.loads((tmp_path / "answers.json").read_text())
    assert answer["shares"]["object"] == pytest.approx(found.mean(), abs=1e-6)


def test_a_net_without_these_weights_says_which_it_has():
    from keras_resnet.saving import load_named

    with pytest.raises(InputError, match="--model unet_nuclei needs --weights nuclei"):
        load_named("unet_nuclei", None)
    with pytest.raises(InputError, match="deeplabv3_r50: no weights are registered"):
        load_named("deeplabv3_r50", "imagenet")
