"""The process that `worker.py` has conversions done by: `python -m export.making.worker_child`, jobs on stdin.

Where processes can be forked safely it imports TensorFlow once and forks for every job, so that what a converter leaks
or breaks ends with the job; elsewhere it does one job and leaves.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.artifacts import Artifact
from export.formats.table import FORMATS
from keras_resnet import console

IDLE_SECONDS = 120  # after which it leaves: half a gigabyte is much to keep for an export that may never come
_RUNS = 50  # of the time that the trial of a file has, for taking its time
_M_MMAP_THRESHOLD, _LARGE = -3, 1 << 18  # of glibc's malloc.h; bytes
FORKS = sys.platform == "linux"  # macOS' own libraries break in a fork, Windows has none


def convert(job: dict[str, Any]) -> None:
    """Does one job.

    Args:
        job: `model`, `artifact`, `samples` and `path` of `worker.convert_in_child`, and `modules` with layers.
    """
    from keras_resnet.runtime import foreign
    from keras_resnet.saving import load_model

    _give_memory_back()
    for module in job["modules"]:
        foreign.import_file(Path(module))
    model, _ = load_model(job["model"])
    samples = np.load(job["samples"], allow_pickle=False) if job["samples"] else None
    choices = job["artifact"]
    known = {"format": FORMATS[choices["format"]], "features": tuple(choices["features"])}
    limits = choices["input_range"]
    artifact = Artifact(**{**choices, **known, "input_range": tuple(limits) if limits else None})
    artifact.format.module.convert(model, artifact, samples, Path(job["path"]))


def _give_memory_back() -> None:
    """Has large buffers of this process go back to the system when they are freed.

    glibc keeps what it has once given out by the size of what was freed before; converters make and free copies of all
    weights, one after the other.
    """
    with contextlib.suppress(OSError, AttributeError):  # not every system has glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def run(job: dict[str, Any]) -> None:
    """Runs a TFLite file.

    Args:
        job: `run`, the file; `engine`, `examples` and `answers` of `worker.answers`.
    """
    from keras_resnet.runtime.tflite import TFLiteRunner

    runner = TFLiteRunner(Path(job["run"]), threads=1, engine=job["engine"])
    np.savez(job["answers"], **runner.run(np.load(job["examples"], allow_pickle=False)))  # type: ignore[arg-type]


def take_time(job: dict[str, Any]) -> None:
    """Tries a file, and takes the time of one example where nothing else runs.

    The process that exports has engines of its own open, the threads of TensorFlow, and Keras' answers in its caches.

    Args:
        job: `time`, the file; `engine`, `example`, `seconds`, `effort` and `found` of `worker.latency_ms`.
    """
    from export.proof.timing import median_ms
    from keras_resnet.errors import InputError
    from keras_resnet.runtime import foreign
    from keras_resnet.runtime.opening import FOREIGN, limit, open_runner, tried

    for module in job["modules"]:
        foreign.import_file(Path(module))
    path, found = Path(job["time"]), Path(job["found"])
    example = np.load(job["example"], allow_pickle=False)
    try:
        if path.suffix in FOREIGN:
            runner = tried(path, job["engine"], job["seconds"], alarm=FORKS)
            limit(path, _RUNS * job["seconds"])
        else:
            _keep_to_one_thread()
            runner = open_runner(path, trusted=True)
    except InputError as error:
        found.write_text(json.dumps({"refused": str(error)}), encoding="utf-8")
        return
    fits = all(size in (None, given) for size, given in zip(runner.example_shape, example.shape[1:], strict=False))
    value = median_ms(runner, example, *job["effort"]) if fits else None
    found.write_text(json.dumps({"ms": value}), encoding="utf-8")


_JOBS = {"run": run, "time": take_time}  # by the field that the others have not; the rest are conversions


def _keep_to_one_thread() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _logged(job: dict[str, Any]) -> int:
    """Does a job with everything that is said going to its log, by libraries in C as well; gives an exit status."""
    log = os.open(job["log"], os.O_WRONLY | os.O_APPEND)
    # Of the job's folder, which its parent removes: a fork does not run what AutoGraph registers to be done at exit.
    tempfile.tempdir = os.environ["TMPDIR"] = str(Path(job["log"]).parent)
    for stream in (1, 2):
        os.dup2(log, stream)
    try:
        next((work for key, work in _JOBS.items() if key in job), convert)(job)
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _apart(job: dict[str, Any]) -> int:
    child = os.fork()
    if not child:
        status = 1
        try:
            status = _logged(job)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Answers every job, a line of JSON, by a line with its exit status, negative for a signal."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else shall be taken for an answer
    console.import_tensorflow()  # before the first fork, so that a job has it at once; no thread of it starts here
    while True:
        if FORKS:
            signal.alarm(IDLE_SECONDS)
        line = sys.stdin.readline()
        if FORKS:
            signal.alarm(0)
        if not line:
            return
        print((_apart if FORKS else _logged)(json.loads(line)), file=answers, flush=True)
        if not FORKS:
            return


if __name__ == "__main__":
    main()
