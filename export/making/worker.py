"""Conversions in processes of their own: the TFLite converter leaks memory, floods stdout and may crash.

This is the parent's side, `worker_child.py` the other. The child stays for the next conversion: importing TensorFlow
takes three times as long as converting a small net.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.artifacts import Artifact
from keras_resnet import files, processes
from keras_resnet.errors import InputError
from keras_resnet.runtime import foreign


class _Server:
    """The child, started when the first conversion needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen | None = None

    def run(self, job: dict[str, Any]) -> int:
        """Has a job done; gives its exit status, negative for a signal.

        Raises:
            KeyboardInterrupt: Ctrl-C; the child and its job are stopped.
        """
        with self._lock:
            try:
                status = None
                while status is None:
                    status = self._asked(json.dumps(job), job["log"])
                return status
            except BaseException:
                self.stop()
                raise

    def _asked(self, line: str, log: str) -> int | None:
        """None where the child, long idle, was just leaving."""
        child = self._child
        if child is None or child.poll() is not None:
            child = self._start(log)
        assert child.stdin and child.stdout  # are pipes
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            print(line, file=child.stdin, flush=True)
            answer = child.stdout.readline()
        if answer:
            return int(answer)
        status = child.wait()
        return None if os.name == "posix" and status == -signal.SIGALRM else status

    def _start(self, log: str) -> subprocess.Popen:
        self.stop()
        with Path(log).open("ab") as errors:  # of the import, if it fails
            self._child = subprocess.Popen(
                processes.python("export.making.worker_child"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # tf2onnx goes through sets of names: with a seed of their hashes the same model gives the same file.
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONHASHSEED": "0"},
                start_new_session=True,  # Ctrl-C is for the parent to act on
            )
        return self._child

    def stop(self) -> None:
        """Ends the child and the job that it may be at."""
        child, self._child = self._child, None
        if child is None:
            return
        processes.stop(child)
        for pipe in (child.stdout, child.stdin):
            with contextlib.suppress(BrokenPipeError):
                assert pipe
                pipe.close()


_SERVER = _Server()
atexit.register(_SERVER.stop)


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
        if _SERVER.run({**job, "log": str(log)}):
            return None
        with np.load(found, allow_pickle=False) as arrays:
            return dict(arrays)


def convert_in_child(model: Path, artifact: Artifact, samples: Path | None, path: Path) -> None:
    """Converts a saved model.

    Args:
        model: `.keras` file of what `graph.prepare` made.
        artifact: what to make.
        samples: `.npy` file of float32 `(n, ..., channels)`, for precisions that are calibrated.
        path: file to write, in a folder of this conversion, where the log will be too.

    Raises:
        InputError: the converter refused the model; its last words are in the message.
        KeyboardInterrupt: Ctrl-C; the child is stopped.
    """
    log = path.absolute().with_name("conversion.log")
    log.write_bytes(b"")
    status = _SERVER.run(
        {
            "model": str(model.absolute()),
            "artifact": {**dataclasses.asdict(artifact), "format": artifact.format.name},
            "samples": str(samples.absolute()) if samples else None,
            "path": str(path.absolute()),
            "log": str(log),
            "modules": [str(each) for each in dict.fromkeys(foreign.imported)],
        }
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
