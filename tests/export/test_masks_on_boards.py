"""Nets that draw masks on a microcontroller: plain C beside Python, and TFLite Micro itself."""

import json
import os
import re
import shutil

import keras
import numpy as np
import pytest
from test_masks import scene

import keras_resnet
from export import load_source, make_bundle, memory
from export.targets import tflm
from keras_resnet import InputError, ModelCard
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.runtime.outside import OUTSIDE, Environment
from keras_resnet.signals.conventions import PREPROCESS

NAMES = ("left", "middle", "right")
needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler here")


def _split(first, count, size):
    scenes = [scene(number, *size) for number in range(first, first + count)]
    pixels = np.stack([pixels for pixels, _ in scenes])
    pixels[:, 0, 0], pixels[:, 0, 1] = 0, 255  # all of a camera's range
    return ArraySplit({"image": pixels, "mask": np.stack([mask for _, mask in scenes])})


def _source(decoder, size, epochs=0, **choices):
    """A net of two stages with its data."""
    keras.utils.set_random_seed(0)
    spec = keras_resnet.ResNetSpec(name="tiny", block="basic", depths=(1, 1), width=8)
    net = keras_resnet.segmenter(decoder, backbone=spec, classes=3, input_shape=(*size, 3), **choices)
    card = ModelCard(task="segmentation", facts={"names": list(NAMES)}, labels=NAMES, preprocess=PREPROCESS["tf"])
    train, test = _split(0, 24, size), _split(1000, 12, size)
    if epochs:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
        net.compile(keras.optimizers.Adam(0.01), loss)
        values = PREPROCESS["tf"](train.arrays["image"])
        net.fit(values, train.arrays["mask"].astype("int32"), batch_size=4, epochs=epochs, verbose=0)
    data = Dataset("own", NAMES, (*size, 3), train, test, test, truth="mask")
    return load_source((net, card), dataset=data)


@pytest.fixture(scope="module")
def small():
    """A net whose map is a quarter of its input, which is no square."""
    return _source("deeplabv3plus", (32, 64), epochs=5, width=8)


@pytest.mark.slow
@needs_compiler
def test_plain_c_takes_the_classes_of_pixels_from_a_smaller_map(small, tmp_path, monkeypatch):
    monkeypatch.setattr(Environment, "find", lambda self: None)
    gates = {"agreement": 0.0, "drop": 100}  # it was hardly trained
    result = make_bundle(small, "tflm", tmp_path / "b", gates=gates)
    checks = {check.name: check for check in result.checks}
    io = checks["plain C with -Wall -Wextra -Werror, and its test"]
    assert result.passed and re.search(r" 0 of 24576 input values and \d+ of 8192 answers differ", f" {io.found}")
    header = (tmp_path / "b/model_io.h").read_text()
    assert "MODEL_MAP_HEIGHT = 8, MODEL_MAP_WIDTH = 16" in header and "MODEL_ANSWERS = 2048" in header
    operators = checks["operators that TFLite Micro has"].found
    assert "CONCATENATION" in operators and "RESIZE_BILINEAR" in operators
    assert "model_mask(tensor, classes)" in (tmp_path / "b/README.md").read_text()
    source = tmp_path / "b/model_io.c"
    right = source.read_text()
    for text, wrong in (
        ("+ 0.5f) *", "+ 0.0f) *"),
        ("score > most", "score < most"),
        ("n % MODEL_WIDTH)", "n % MODEL_HEIGHT)"),
    ):
        assert text in right
        source.write_text(right.replace(text, wrong))
        (check,) = tflm._compiled(tmp_path / "b")
        assert check.passed is False and "answers differ" in check.found, (text, check.found)


@pytest.mark.slow
def test_a_board_without_the_memory_is_told_what_the_net_would_need(small, tmp_path, monkeypatch):
    monkeypatch.setattr(tflm, "_DECODERS", (("unet", 2, 8),))
    monkeypatch.setattr(tflm, "_SMALL", ("resnet8",))
    needed = memory.of_model(small.model)
    ram, said = needed.arena - 1, "No small net of masks fits at 32 x 64: use a smaller image"
    with pytest.raises(InputError, match=rf"takes about {needed.arena:,} bytes of RAM \(--ram {ram:,}\)\. {said}"):
        make_bundle(small, "tflm", tmp_path / "b", options={"ram": ram})
    monkeypatch.setattr(tflm, "_DECODERS", (("fcn", 2, 8), ("fcn", 3, 8), ("unet", 2, 8)))
    with pytest.raises(InputError, match=r"fcn on 3 stages of resnet8 fits at 32 x 64 .*--set head.decoder=fcn"):
        make_bundle(_source("unet", (32, 64)), "tflm", tmp_path / "b", options={"flash": 100_000})
    assert not (tmp_path / "b").exists()


@pytest.mark.check
def test_tflm_itself_runs_a_unet_of_96_pixels(tmp_path):
    if OUTSIDE["tflm"].find() is None:
        if os.environ.get("KERAS_RESNET_CHECK") == "tflm":
            pytest.fail(OUTSIDE["tflm"].missing)
        pytest.skip(OUTSIDE["tflm"].missing)
    source = _source("unet", (96, 96), epochs=16, widths=(8, 8, 4), stages=2)
    result = make_bundle(source, "tflm", tmp_path / "b", options={"flash": 64 << 10, "ram": 128 << 10})
    checks = {check.name: check.passed for check in result.checks}
    assert result.passed, result.checks
    for name in ("golden vectors on TFLite Micro", "TFLite Micro", "arena: activations", "arena: all of it (64-bit)"):
        assert checks[name] is True
    fit = json.loads((tmp_path / "b/fit.json").read_text())
    print(fit)
    assert fit["measured_arena"] == pytest.approx(fit["arena"], rel=0.02)
