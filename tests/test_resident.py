"""Training on JAX with the data on the device: the batches of tf.data, whatever the calls and the devices."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.proof
@pytest.mark.cold_start
@pytest.mark.parametrize("what", ["batches", "colours", "calls", "streamed", "devices"])
def test_on_jax(what, tmp_path):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed: training on Keras' JAX back end was not tried")
    count = 4 if what in ("devices", "streamed") else 1
    environment = {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "jax_steps.py"), what],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
