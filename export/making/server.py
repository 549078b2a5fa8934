"""The process that `worker.py` has jobs done by, seen from its parent.

Nothing here needs Keras: a command starts the process first, which imports TensorFlow while the command does.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_resnet import processes


class Server:
    """The child: started ahead, or when the first job needs it."""

    def __init__(self) -> None:
        """Starts nothing yet."""
        self._lock = threading.Lock()
        self._child: subprocess.Popen | None = None
        self._known = False  # whether it has answered, or what it says is in the log of a job

    def start(self) -> None:
        """Starts the child where there is none, ahead of its first job."""
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                self._start(os.devnull)  # what it may say about an import comes again with the job

    def run(self, job: dict[str, Any], meanwhile: Callable[[], object] = lambda: None) -> int:
        """Has a job done; gives its exit status, negative for a signal.

        Args:
            job: see `worker_child`.
            meanwhile: called while the child works; what it raises ends the child.

        Raises:
            KeyboardInterrupt: Ctrl-C; the child and its job are stopped.
        """
        with self._lock:
            try:
                status = None
                while status is None:
                    status = self._asked(json.dumps(job), job["log"], meanwhile)
                return status
            except BaseException:
                self.stop()
                raise

    def _asked(self, line: str, log: str, meanwhile: Callable[[], object]) -> int | None:
        """None where the child, long idle or started ahead, was just leaving."""
        child, known = self._child, self._known
        if child is None or child.poll() is not None:
            child, known = self._start(log), True
        assert child.stdin and child.stdout  # are pipes
        with contextlib.suppress(BrokenPipeError):
            print(line, file=child.stdin, flush=True)
        meanwhile()
        answer = child.stdout.readline()
        self._known = True
        if answer:
            return int(answer)
        status = child.wait()
        if not known:  # its words went nowhere
            return None
        return None if os.name == "posix" and status == -signal.SIGALRM else status

    def _start(self, log: str) -> subprocess.Popen:
        self.stop()
        self._known = False
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


SERVER = Server()
atexit.register(SERVER.stop)
