"""Keras' other backends build the same nets, load the same weights and compute the same values."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from tiers import in_proof

import keras_resnet
from keras_resnet.evaluation import evaluate
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.training import run

TINY = {"block": "basic", "stem": "cifar", "width": 4, "classes": 3}
CASES = {  # (spec, options); few: JAX compiles the initialisation of every shape
    "small": ({**TINY, "depths": [1, 1]}, {"stochastic_depth": 0.2, "activation": "silu"}),
    "preactivation": ({**TINY, "depths": [1, 1], "preactivation": True}, {"norm": "group", "output_stride": 1}),
}
MORE = {  # the same with rows of the table
    "resnet8": (None, {"stochastic_depth": 0.2, "activation": "silu"}),
    "resnet10t": (None, {"norm": "group"}),
    "resnetv2_18": (None, {"output_stride": 8}),
}
CODE = """
import sys, json, numpy as np
import keras, keras_resnet
assert keras.backend.backend() == sys.argv[1]
for name, (spec, options) in json.loads(sys.argv[2]).items():
    spec = name if spec is None else keras_resnet.ResNetSpec(name=name, **spec)
    model = keras_resnet.build(spec, input_shape=(32, 32, 3), classes=3, weights=f"{name}.safetensors", **options)
    images = np.load(f"{name}.npy")
    np.save(f"{name}-{sys.argv[1]}.npy", keras.ops.convert_to_numpy(model(images)))
    model(images, training=True)
    pixels = keras_resnet.PREPROCESS["caffe"](keras.ops.convert_to_tensor(images))
    assert np.allclose(keras.ops.convert_to_numpy(pixels), keras_resnet.PREPROCESS["caffe"](images), atol=1e-4)
assert "tensorflow" not in sys.modules or sys.argv[1] == "jax"  # Keras itself looks for it on JAX
"""


@pytest.mark.proof
@pytest.mark.cold_start
@pytest.mark.parametrize(
    ("backend", "cases"),
    [("jax", CASES), ("torch", CASES), *(in_proof(b, MORE) for b in ("jax", "torch"))],
    ids=["jax", "torch", "jax, rows", "torch, rows"],
)
def test_build_and_forward_on_other_backends(backend, cases, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: Keras' {backend} backend was not tried")
    expected = {}
    rng = np.random.default_rng(0)
    for name, (spec, options) in cases.items():
        spec = name if spec is None else keras_resnet.ResNetSpec(name=name, **spec)
        model = keras_resnet.build(spec, input_shape=(32, 32, 3), classes=3, **options)
        for weight in model.weights:
            weight.assign(weight.numpy() + 0.05 * rng.random(weight.shape) * (len(weight.shape) == 1))
        images = rng.standard_normal((2, 32, 32, 3)).astype("f")
        keras_resnet.save_weights(model, tmp_path / f"{name}.safetensors")
        np.save(tmp_path / f"{name}.npy", images)
        expected[name] = model.predict_on_batch(images)
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    root = os.path.dirname(os.path.dirname(keras_resnet.__file__))
    done = subprocess.run(
        [sys.executable, "-c", CODE, backend, json.dumps(cases)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in cases:
        received = np.load(tmp_path / f"{name}-{backend}.npy")
        np.testing.assert_allclose(received, expected[name], atol=1e-5, err_msg=name)
        assert np.ptp(received) > 1e-4


TRAINING = """
import os, signal, sys
import keras
from keras_resnet import cli
from keras_resnet.training import session

class Interrupt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.left = step
    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

arguments = ["train", "--recipe", "digits-resnet8", "--set", "epochs=3", "--strategy", "mirrored"]
assert cli.main([*arguments, "--output", "whole"]) == 0
original = session.Session._callbacks
for name, step in (("parts", 45), ("last", 78)):  # the sixth of the second epoch, and its last
    session.Session._callbacks = lambda self, verbose: [Interrupt(step), *original(self, verbose)]
    assert cli.main([*arguments, "--output", name]) == 128 + signal.SIGTERM
    session.Session._callbacks = original
    assert cli.main(["train", "--resume", name, "--strategy", "mirrored"]) == 0
assert cli.main(["evaluate", "--model", "parts/model.keras", "--data", "digits", "--json", "scores.json"]) == 0
assert cli.main([*arguments, "--strategy", "multiworker"]) == 2
assert keras.backend.backend() == "jax" and len(keras.distribution.list_devices()) == 2
"""


@pytest.mark.proof
def test_a_recipe_trains_on_jax_over_two_devices_and_resumes(tmp_path):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed: training on Keras' JAX backend was not tried")
    devices = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    root = os.path.dirname(os.path.dirname(keras_resnet.__file__))
    done = subprocess.run(
        [sys.executable, "-c", TRAINING],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": root, **devices},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "16 on each of 2 replicas" in done.stdout
    assert "is TensorFlow's: on Keras' JAX backend expected none or mirrored" in done.stderr
    names = ("whole", "parts", "last")
    whole, parts, last = (run.read_metrics(tmp_path / name / "metrics.csv") for name in names)
    assert whole == parts == last
    assert whole["accuracy"][-1] > 0.85
    models = [keras_resnet.load_model(tmp_path / name / "model.keras")[0] for name in names]
    for ours, *others in zip(*(model.get_weights() for model in models), strict=True):
        for theirs in others:
            np.testing.assert_array_equal(ours, theirs)
    received = json.loads((tmp_path / "scores.json").read_text())
    digits = keras_resnet.load_dataset("digits")
    assert received["top1"] == pytest.approx(
        evaluate(KerasRunner(*keras_resnet.load_model(tmp_path / "parts/model.keras")), digits.test).top1, abs=0.006
    )


def test_deterministic_is_asked_of_xla_before_jax_begins_and_remembered(monkeypatch, tmp_path):
    import argparse

    from keras_resnet import console
    from keras_resnet.commands import training
    from keras_resnet.training import RECIPES

    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
    seen = []
    monkeypatch.setattr(console, "import_tensorflow", lambda *others: seen.append(os.environ["XLA_FLAGS"]))
    for deterministic in (False, True):
        training.import_keras(argparse.Namespace(deterministic=deterministic, resume=None))
        run.create(RECIPES["digits-resnet8"], tmp_path / str(deterministic))
    both = ["--xla_dump_to=x", "--xla_dump_to=x --xla_gpu_deterministic_ops=true"]
    assert seen == both
    for begun in (False, True):
        monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
        training.import_keras(argparse.Namespace(deterministic=False, resume=tmp_path / str(begun)))
    assert seen[2:] == both
