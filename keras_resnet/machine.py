"""What of a machine the last digits of figures depend on."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

# Vector units that multiply integers of 8 bits, by the flag of /proc/cpuinfo, the one that kernels prefer first.
UNITS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "avx512bw": "AVX-512",
    "avx2": "AVX2",
    "i8mm": "I8MM",
    "asimddp": "dot products",
    "asimd": "NEON",
}
INT8_POINTS = 0.1  # by which accuracy of an 8-bit file differs between processors: 0.08 were seen (docs/benchmarks.md)


@functools.cache
def processor() -> str:
    """Name of this machine's processor, with the unit that 8-bit kernels use."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    return described(text) or platform.processor() or platform.machine()


def cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def described(text: str) -> str:
    r"""The processor in the contents of a /proc/cpuinfo; empty where they name none.

    Args:
        text: contents of the file.

    Example:
        >>> described("model name : EPYC 9004\nflags : avx2 avx512bw avx512_vnni")
        'EPYC 9004 (AVX-512 VNNI)'
    """
    known: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        known.setdefault(key.strip(), value.strip())
    flags = (known.get("flags") or known.get("Features", "")).split()  # the second is ARM's word
    unit = next((name for flag, name in UNITS.items() if flag in flags), "")
    name = known.get("model name", platform.machine() if flags else "")
    return f"{name} ({unit})" if name and unit else name
