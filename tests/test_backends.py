"""Keras' other backends build the same nets, load the same weights and compute the same values."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

import keras_resnet

CASES = {
    "resnet8": {},
    "resnet20_cifar": {"stochastic_depth": 0.2},
    "resnet18": {"activation": "silu"},
    "resnet10t": {"norm": "group"},
    "resnetv2_18": {"output_stride": 8},
    "resnetrs50": {},
}
CODE = """
import sys, json, numpy as np
import keras, keras_resnet
assert keras.backend.backend() == sys.argv[1]
for name, options in json.loads(sys.argv[2]).items():
    model = keras_resnet.build(name, input_shape=(32, 32, 3), classes=3, weights=f"{name}.safetensors", **options)
    images = np.load(f"{name}.npy")
    np.save(f"{name}-{sys.argv[1]}.npy", keras.ops.convert_to_numpy(model(images)))
    model(images, training=True)
    pixels = keras_resnet.PREPROCESS["caffe"](keras.ops.convert_to_tensor(images))
    assert np.allclose(keras.ops.convert_to_numpy(pixels), keras_resnet.PREPROCESS["caffe"](images), atol=1e-4)
assert "tensorflow" not in sys.modules or sys.argv[1] == "jax"  # Keras itself looks for it on JAX
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_build_and_forward_on_other_backends(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: Keras' {backend} backend was not tried")
    import json

    expected = {}
    rng = np.random.default_rng(0)
    for name, options in CASES.items():
        model = keras_resnet.build(name, input_shape=(32, 32, 3), classes=3, **options)
        for weight in model.weights:
            weight.assign(weight.numpy() + 0.05 * rng.random(weight.shape) * (len(weight.shape) == 1))
        images = rng.standard_normal((2, 32, 32, 3)).astype("f")
        keras_resnet.save_weights(model, tmp_path / f"{name}.safetensors")
        np.save(tmp_path / f"{name}.npy", images)
        expected[name] = model.predict_on_batch(images)
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    root = os.path.dirname(os.path.dirname(keras_resnet.__file__))
    done = subprocess.run(
        [sys.executable, "-c", CODE, backend, json.dumps(CASES)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in CASES:
        received = np.load(tmp_path / f"{name}-{backend}.npy")
        np.testing.assert_allclose(received, expected[name], atol=1e-5, err_msg=name)
        assert np.ptp(received) > 1e-4
