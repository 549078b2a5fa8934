"""Conversions in processes of their own: the TFLite converter leaks memory, floods stdout and may crash.

This is the parent's side, `worker_child.py` the other, with `server.py` in between. The child stays for the next
conversion: importing TensorFlow takes three times as long as converting a small net.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.artifacts import Artifact
from export.making.server import SERVER
from export.proof import timing
from keras_resnet import files
from keras_resnet.errors import InputError
from keras_resnet.runtime import foreign, opening
from keras_resnet.runtime.interface import unusable


def latency_ms(path: Path, prepared: np.ndarray, engine: str | None) -> float | None:
    """Median time of one example on one thread, in a process where nothing else runs; the file is tried first.

    Args:
        path: file of any format; of one that an engine in C++ runs, a damaged one ends that process only.
        prepared: example, float32 `(1, ..., channels)`.
        engine: row of `ENGINES`, for a TFLite file.

    Returns:
        Milliseconds; None where the file takes examples of another shape.

    Raises:
        InputError: the engine refuses the file, or dies of it.
    """
    seconds = opening.seconds_of_trial()
    with tempfile.TemporaryDirectory() as folder:
        example, found, log = (Path(folder, name) for name in ("example.npy", "found.json", "log"))
        np.save(example, prepared)
        log.write_bytes(b"")
        job: dict[str, Any] = {
            "time": str(path.absolute()),
            "engine": engine,
            "example": str(example),
            "found": str(found),
        }
        job |= {"seconds": seconds, "effort": timing.effort(), "modules": _modules(), "log": str(log)}
        status = SERVER.run(job)
        if status < 0:
            raise opening.ended_by_signal(path, -status, seconds)
        if status:
            lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
            raise unusable(path, path.suffix[1:], RuntimeError(next(filter(None, reversed(lines)), "no message")))
        value = json.loads(found.read_text(encoding="utf-8"))
    if "refused" in value:
        raise InputError(value["refused"])
    return value["ms"]


def _modules() -> list[str]:
    """Files with layers of a person's own."""
    return [str(each) for each in dict.fromkeys(foreign.imported)]


def answers(path: Path, prepared: np.ndarray, engine: str) -> dict[str, np.ndarray] | None:
    """What an engine answers, in a process of its own: LiteRT's reference kernels end theirs on some files.

    Args:
        path: TFLite file.
        prepared: examples, float32 `(n, ..., channels)`.
        engine: row of `ENGINES`.

    Returns:
        Float32 arrays by output name; None where the engine cannot run the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, found, log = (Path(folder, name) for name in ("examples.npy", "answers.npz", "log"))
        np.save(given, prepared)
        log.write_bytes(b"")
        job = {"run": str(path.absolute()), "engine": engine, "examples": str(given), "answers": str(found)}
        if SERVER.run({**job, "log": str(log)}):
            return None
        with np.load(found, allow_pickle=False) as arrays:
            return dict(arrays)


def convert_in_child(
    model: Path,
    artifact: Artifact,
    samples: Path | None,
    path: Path,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Converts a saved model.

    Args:
        model: `.keras` file of what `graph.prepare` made.
        artifact: what to make.
        samples: `.npy` file of float32 `(n, ..., channels)`, for precisions that are calibrated.
        path: file to write, in a folder of this conversion, where the log will be too.
        meanwhile: called while the child converts; what it raises ends the conversion.

    Raises:
        InputError: the converter refused the model; its last words are in the message.
        KeyboardInterrupt: Ctrl-C; the child is stopped.
    """
    log = path.absolute().with_name("conversion.log")
    log.write_bytes(b"")
    status = SERVER.run(
        {
            "model": str(model.absolute()),
            "artifact": {**dataclasses.asdict(artifact), "format": artifact.format.name},
            "samples": str(samples.absolute()) if samples else None,
            "path": str(path.absolute()),
            "log": str(log),
            "modules": _modules(),
        },
        meanwhile,
    )
    said = log.read_text(encoding="utf-8", errors="replace")
    log.unlink()
    if status == 0:
        return
    if files.is_full(said):
        raise files.disk_full(said, path)
    unknown = sorted(set(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", said)))
    if unknown:
        raise InputError(f"the conversion to {artifact.name} failed: TFLite has no operator for {', '.join(unknown)}")
    lines = [line for line in said.strip().splitlines() if line.strip()] or ["no message"]
    died = f"died of signal {-status}" if status < 0 else "failed"
    raise InputError(f"the conversion to {artifact.name} {died}: {lines[-1].strip()[:500]}")
