"""Number type that a recipe trains in, and the float32 twin that is saved."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import keras

_PROCESSOR_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # /proc/cpuinfo on x86 and on ARM


def resolve(precision: str) -> str:
    """The dtype policy for a recipe's `precision` on this machine.

    Args:
        precision: row of `training.recipes.PRECISIONS`; `"auto"` is mixed_bfloat16 where the hardware computes in it
            (AVX-512 BF16, AMX, ARM's BF16, NVIDIA from compute capability 8.0), else float32.
    """
    if precision != "auto":
        return precision
    return "mixed_bfloat16" if _has_bfloat16() else "float32"


def _has_bfloat16() -> bool:
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        if device.platform == "cpu":
            return False  # XLA computes it in float32, with conversions
        capability = re.fullmatch(r"(\d+)\.\d+", str(getattr(device, "compute_capability", "")))  # of NVIDIA's
        return capability is None or int(capability[1]) >= 8  # others' accelerators have the type
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
            return capability >= (8, 0)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(_PROCESSOR_BF16 & set(line.split()) for line in lines if line.startswith(("flags", "Features")))


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Builds what is built inside under another dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
