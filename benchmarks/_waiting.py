"""Candidates in processes of their own that take turns: who waits is stopped, so that no thread of it spins.

A candidate prints a line of JSON when it is ready, then another for every line that it is sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

TORCH = Path(__file__).resolve().parents[1] / ".venv-timm" / "bin" / "python"


def pytorch() -> str:
    """The interpreter that has PyTorch.

    Raises:
        FileNotFoundError: it is not here.
    """
    if not TORCH.exists():
        raise FileNotFoundError(f"{TORCH} is not here: python tools/environment.py timm, or --without pytorch")
    return str(TORCH)


class Candidate:
    """A process that measures when it is asked to."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None):
        """Starts it and waits until it is ready.

        Args:
            command: program and arguments.
            environment: variables that it gets besides.

        Raises:
            RuntimeError: it ended.
        """
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
        )
        self.ready = self._answer()

    def ask(self, text: str = "") -> dict[str, Any]:
        """Sends a line; gives the answer.

        Args:
            text: what is asked.

        Raises:
            RuntimeError: the process ended.
        """
        self._child.send_signal(signal.SIGCONT)
        assert self._child.stdin
        self._child.stdin.write(text + "\n")
        self._child.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout
        while line := self._child.stdout.readline():
            if line.startswith("{"):  # libraries print as well
                self._child.send_signal(signal.SIGSTOP)
                return json.loads(line)
        status = self._child.wait()
        self.close()
        raise RuntimeError(f"{self._child.args} ended with status {status}")

    def close(self) -> None:
        """Ends the process."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
