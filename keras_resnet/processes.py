"""Programs in processes of their own: time-out, Ctrl-C, exit status and last words, the same for all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))  # besides Ctrl-C


@dataclass(frozen=True)
class Ended:
    """A program that came to its end.

    Attributes:
        status: exit status; negative: number of the signal that ended it.
        out: text on its standard output; empty where that was shown.
        err: text on its standard error.
    """

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines of its standard error that are not empty, without the space around them."""
        return [line.strip() for line in self.err.splitlines() if line.strip()]

    def last_words(self, otherwise: str = "no message") -> str:
        """The last line of its standard error, at most 300 characters.

        Args:
            otherwise: text for a program that said nothing.
        """
        return (self.lines or [otherwise])[-1][:300]

    @property
    def signal_text(self) -> str:
        """Like `" (signal 11)"` for one that a signal ended, else empty."""
        return f" (signal {-self.status})" if self.status < 0 else ""


def run(
    command: Sequence[str | os.PathLike],
    *,
    seconds: float | None = None,
    environment: Mapping[str, str] | None = None,
    shown: bool = False,
) -> Ended:
    """Runs a program to its end.

    It has a session of its own, so that Ctrl-C is for this process to act on, and a standard input that ends with this
    process, so that it can know when nobody waits for it any more. Whatever interrupts the waiting ends the program and
    all that it has started.

    Args:
        command: program and arguments.
        seconds: longest time; None for any.
        environment: variables besides those of this process.
        shown: whether its standard output is that of this process.

    Raises:
        TimeoutError: the program took longer; the message says how long.
        OSError: the program cannot be started.

    Example:
        >>> from keras_resnet import processes
        >>> processes.run(["sh", "-c", "echo no such net >&2; exit 3"]).last_words()
        'no such net'
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with subprocess.Popen(
            [os.fspath(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=None if shown else out,
            stderr=err,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        ) as child:
            try:
                status = child.wait(seconds)
            except BaseException as error:
                stop(child)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise TimeoutError(f"nothing within {seconds:g} s") from None
                raise
        return Ended(status, _text(out), _text(err))


def run_python(module: str, *arguments: str | os.PathLike, **options) -> Ended:
    """Runs a module of ours in a new interpreter; see `run`.

    Args:
        module: full name.
        *arguments: command line.
        **options: keywords of `run`.
    """
    return run([*python(module), *arguments], **options)


_RUN = (
    "import runpy, sys; del sys.argv[0]; sys.path.append(sys.argv.pop(0)); "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


def python(module: str) -> list[str]:
    """The command that runs a module of ours in a new interpreter.

    The working directory, where a user may have an `export.py` or a `keras.py`, is not on its path (-P); the folder of
    our packages is, behind the others, for clones that are not installed.

    Args:
        module: full name.
    """
    return [sys.executable, "-P", "-c", _RUN, str(Path(__file__).resolve().parents[1]), module]


def limit(*, seconds: int, data: int) -> None:
    """Limits what this process may still use; it ends by a signal or an error of its own where it wants more.

    Args:
        seconds: processor time from now on; beyond it the process ends by `SIGXCPU`.
        data: bytes of memory that can be written. Systems without such limits have none.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has no such module, macOS not all limits
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        spent = int(usage.ru_utime + usage.ru_stime) + 1
        for kind, value in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_CPU, spent + seconds),
            (resource.RLIMIT_DATA, data),
        ):
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


@contextlib.contextmanager
def handling(handler: Callable[[int, object], None], signals: Sequence[int]) -> Iterator[None]:
    """Has signals handled while the block runs; only in the main thread, as Python allows no handlers in others.

    Args:
        handler: function of a signal's number and the frame.
        signals: their numbers; SIGHUP stays ignored where this process was told to ignore it (`nohup`).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hangup = getattr(signal, "SIGHUP", None)
    heard = [each for each in signals if each != hangup or signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def stop(child: subprocess.Popen) -> None:
    """Ends a program that was started with a session of its own, and all that it has started.

    Args:
        child: running or ended.
    """
    if child.poll() is None:
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()


def _text(file) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
