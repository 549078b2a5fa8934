"""Pictures without TensorFlow: Pillow and NumPy in place of TensorFlow, and by how much they differ."""

import io
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiers import in_proof

import keras_resnet
from keras_resnet.signals import image, plain

ROOT = Path(__file__).resolve().parents[1]
HIDDEN = """
import importlib.machinery
find = importlib.machinery.PathFinder.find_spec
names = ("tensorflow", "tf_keras", "tensorboard", "tf2onnx", "ai_edge_litert")
importlib.machinery.PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.partition(".")[0] in names else find(name, path, target)
)
"""


def picture(height, width, suffix):
    y, x = np.mgrid[:height, :width] / 9
    waves = [np.sin(x + y / 3), np.cos(y - x / 2), np.sin(x * y / 20)]
    file = io.BytesIO()
    Image.fromarray(np.uint8(127 + 120 * np.stack(waves, axis=-1))).save(file, suffix)
    return np.array([file.getvalue()], object)


@pytest.mark.parametrize("size", [(40, 60), (150, 90), (200, 200)])
@pytest.mark.parametrize("keep", [1.0, 0.875])
def test_a_png_file_has_tensorflows_pixels_but_for_one_level(size, keep):
    contents = picture(120, 170, "png")
    theirs, matrices = image.decoded(contents, (*size, 3), keep)
    ours, own = plain.decoded(contents, (*size, 3), keep)
    apart = np.abs(theirs.numpy().astype(int) - ours.astype(int))
    assert apart.max() <= 1 and (apart > 0).mean() < 0.03
    np.testing.assert_allclose(own, matrices, rtol=1e-6)
    shifted = plain.decoded(contents, (*size, 3), 0.8)[0]
    assert np.abs(theirs.numpy().astype(int) - shifted.astype(int)).max() > 10


def test_a_jpeg_file_differs_by_the_decoder_too():
    contents = picture(120, 170, "jpeg")
    theirs, _ = image.decoded(contents, (96, 96, 3))
    apart = np.abs(theirs.numpy().astype(int) - plain.decoded(contents, (96, 96, 3))[0].astype(int))
    assert apart.mean() < 2 and apart.max() < 20


def test_resizing_without_smoothing_is_tensorflows():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), np.uint8)
    for size in ((17, 23), (60, 50)):
        theirs = np.round(tf.image.resize(pixels, size).numpy())
        assert np.abs(theirs - plain.scaled(pixels, size, smooth=False)).max() <= 1


def test_a_png_is_read_back():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 1), np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(plain.png(pixels)))) == pixels[..., 0]).all()


def test_the_page_names_what_the_package_needs_without_tensorflow():
    core = re.search(r"^CORE = \[(.*?)^\]", (ROOT / "setup.py").read_text(encoding="utf-8"), re.M | re.S)
    needed = set(re.findall(r'^    "([A-Za-z0-9_-]+)', core[1], re.M)) - {"tensorflow"} | {"jax", "grain"}
    line = re.search(r"^pip install (jax .*)$", (ROOT / "docs" / "accelerators.md").read_text(encoding="utf-8"), re.M)
    assert set(line[1].split()) == needed


def run(tmp_path, *arguments, **environment):
    hidden = tmp_path / "hidden"
    hidden.mkdir(exist_ok=True)
    (hidden / "sitecustomize.py").write_text(HIDDEN)
    path = os.pathsep.join((str(hidden), str(ROOT)))
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path} | environment
    return subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True
    )


@pytest.mark.proof
def test_a_net_is_trained_and_used_on_jax_without_tensorflow(tmp_path):
    (tmp_path / "one.png").write_bytes(picture(40, 40, "png")[0])

    def command(*arguments):
        done = run(tmp_path, "-m", "keras_resnet", *arguments)
        assert "Traceback" not in done.stderr, done.stderr[-2000:]
        return done

    few = ("--epochs", "2", "--set", "precise_bn=64", "--set", "mixup=0.2", "--set", "subset=256")
    done = command("train", "--recipe", "digits-resnet8", *few, "-o", "run")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "by JAX" in done.stdout
    pixels = np.random.default_rng(0).random((8, 32, 32, 3), "f")
    np.save(tmp_path / "pixels.npy", pixels)
    done = run(tmp_path, "-c", "import numpy as np; from keras_resnet import load_model; "
               "np.save('answers.npy', load_model('run')[0](np.load('pixels.npy')))")  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    expected = np.asarray(keras_resnet.load_model(tmp_path / "run")[0](pixels))
    assert np.abs(np.load(tmp_path / "answers.npy") - expected).max() <= 1e-5 * np.abs(expected).max()
    for arguments in (
        ("evaluate", "--model", "run", "--data", "digits", "--json", "jax.json"),
        ("predict", "--model", "run", "one.png"),
        ("explain", "--model", "run", "one.png", "-o", "heat.png"),
        ("explain", "--model", "run", "one.png", "-o", "slopes.png", "--method", "integrated-gradients"),
    ):
        done = command(*arguments)
        assert done.returncode == 0, (arguments, done.stderr[-2000:])
    refused = command("train", "--recipe", "digits-resnet8", "--set", "augmentation=crop-flip-rand5", "-o", "other")
    assert refused.returncode == 2 and "augmentation=crop-flip-rand5 is TensorFlow's" in refused.stderr
    assert not (tmp_path / "other").exists()
    refused = run(tmp_path, "-m", "keras_resnet", "predict", "--model", "run", "one.png", KERAS_BACKEND="tensorflow")
    assert refused.returncode == 2 and "set KERAS_BACKEND=jax" in refused.stderr


INTERRUPTED = """
import os, signal, keras
from keras_resnet import cli
from keras_resnet.training import session

class Interrupt(keras.callbacks.Callback):
    left = 5
    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

few = "--model resnet8 --weights none --epochs 2 --image-size 32 --batch-size 8 --set precise_bn=16".split()
assert cli.main(["train", "photos", *few, "--output", "whole"]) == 0
original = session.Session._callbacks
session.Session._callbacks = lambda self, verbose: [Interrupt(), *original(self, verbose)]
assert cli.main(["train", "photos", *few, "--output", "parts"]) == 128 + signal.SIGTERM
session.Session._callbacks = original
assert cli.main(["train", "--resume", "parts", "--data", "photos"]) == 0
"""


@pytest.mark.proof
def test_pictures_are_learned_on_jax_without_tensorflow_and_a_run_goes_on(tmp_path):
    for name, number in itertools.product(("left", "right"), range(20)):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        kind = "jpeg" if number % 2 else "png"
        (tmp_path / "photos" / name / f"{number}.{kind}").write_bytes(picture(40 + number, 50, kind)[0])
    done = run(tmp_path, "-c", INTERRUPTED)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    whole, parts = (keras_resnet.load_model(tmp_path / name)[0].get_weights() for name in ("whole", "parts"))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "whole/metrics.csv").read_text() == (tmp_path / "parts/metrics.csv").read_text()


@pytest.mark.proof
@pytest.mark.parametrize("name", ["ResNet-20, batch 128", in_proof("ResNet-50, prediction, batch 256")])
def test_the_benchmark_of_accelerators_runs_on_a_processor_and_goes_on(name, tmp_path):
    script, only = (
        str(ROOT / "benchmarks" / "accelerator.py"),
        ("--only", "machine", "--only", "checks", "--only", name),
    )
    options = ("--smallest", "--out", "found", "--json", "all.json", *only)
    done = run(tmp_path, script, *options)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    assert name in done.stdout and "cpu" in done.stdout
    again = run(tmp_path, script, *options)
    assert again.returncode == 0 and "..." not in again.stdout  # nothing is measured twice
    failed = run(tmp_path, script, "--smallest", "--out", "other", "--only", "checks", JAX_PLATFORMS="nothing")
    assert failed.returncode == 1 and "nothing" in failed.stdout
    assert run(tmp_path, script, *options, JAX_PLATFORMS="nothing").returncode == 2  # figures of another device
