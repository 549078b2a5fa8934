"""How the programs of places fill a net's input with a picture."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageOps

from export.targets import making, onnxruntime
from export.targets.table import TARGETS
from keras_resnet.errors import InputError
from keras_resnet.signals import crops
from keras_resnet.signals.fits import FITS


@pytest.mark.parametrize("fit", FITS)
def test_the_script_of_a_server_takes_the_rectangle_that_training_takes(fit):
    source = re.search(r"^def rectangle.*?(?=^def load)", onnxruntime._CODE.template, re.M | re.S)[0]
    own = {}
    exec(source, own)
    for height, width in ((360, 480), (341, 530), (20, 50), (9, 200)):
        for size in ((368, 480), (64, 64), (31, 77)):
            for keep in (1.0, 0.875):
                image = SimpleNamespace(height=height, width=width)
                left, top, across, down = own["rectangle"](image, *size, keep, fit)
                expected = crops.rectangle(height, width, size, keep if fit == "crop" else fit)
                assert (top, left, down, across) == expected


def test_the_script_of_a_server_turns_photographs_upright(tmp_path):
    """As the README says: a phone stores a picture as its sensor lies, and beside it how it was held."""
    upright = Image.fromarray(np.repeat(np.repeat([[[250, 0, 0], [0, 0, 250]]], 32, 0), 32, 1).astype(np.uint8))
    held = Image.Exif()
    held[0x0112] = 6  # to be turned clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "photo.jpg", quality=95, exif=held)
    source = re.search(r"^def rectangle.*?(?=^def outputs)", onnxruntime._CODE.template, re.M | re.S)[0]
    wanted = {"height": 32, "width": 64, "crop": 1.0, "fit": "crop", "channels": "rgb", "mean": [0] * 3, "std": [1] * 3}
    own = {"Image": Image, "ImageOps": ImageOps, "np": np, "MODEL": {"input": wanted}}
    exec(source, own)
    found = own["load"](tmp_path / "photo.jpg")
    assert found.shape == (32, 64, 3)
    assert np.abs(found[:, :24] - [250, 0, 0]).max() < 12 and np.abs(found[:, 40:] - [0, 0, 250]).max() < 12


def test_a_place_that_only_cuts_refuses_a_net_that_was_trained_otherwise(tmp_path):
    for row in TARGETS.values():
        card = SimpleNamespace(fit="pad", task="classification")
        request = SimpleNamespace(source=SimpleNamespace(card=card), target=row, options={})
        if "pad" not in row.fits:
            with pytest.raises(InputError, match="cuts out the central part .* --place onnxruntime"):
                making._refuse(request, tmp_path / "bundle", False)
    padding = [row.name for row in TARGETS.values() if "pad" in row.fits]
    assert padding == ["mediapipe", "tflm", "android", "onnxruntime", "onnxruntime-web", "litert-web"]
