"""A connection to Ray, quiet and without telemetry, or a Ray of this machine that leaves nothing behind."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_resnet import console, extras
from keras_resnet.errors import InputError

LOCAL = "local"  # in place of an address: Ray is started here, and ended
_STORE = 500_000_000  # bytes of the local object store: some shards in flight
_USAGE = "RAY_USAGE_STATS_ENABLED"


def add_option(parser: Any, what: str) -> None:
    """Adds `--ray`.

    Args:
        parser: parser of a command.
        what: what is done there, for the help.
    """
    text = f"{what} on a Ray cluster: auto (the one of this machine), HOST:PORT, or local to start Ray here"
    parser.add_argument("--ray", metavar="ADDRESS", help=text)


def check(address: str) -> None:
    """Refuses what cannot become a connection, before any work is done for it.

    Args:
        address: what `--ray` was given.

    Raises:
        InputError: Ray is not installed, or an address of Ray's client, through which Ray Data does not run.
    """
    if not address or address.startswith("ray://"):
        raise InputError(
            f"--ray '{address}': expected HOST:PORT, auto or local; Ray Data runs from a machine of the cluster: start "
            "this command there, by ray job submit for instance, with --ray auto"
        )
    extras.require("ray", for_what="--ray")


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """Connects this process to Ray while the block runs.

    Args:
        address: `"local"`, `"auto"`, or `HOST:PORT` of a cluster that this machine belongs to.

    Raises:
        InputError: there is no such cluster, or it has other versions of Ray or Python.
    """
    check(address)
    os.environ.setdefault(_USAGE, "0")
    if address != LOCAL and _has_token():  # clusters of Ray 2.60 ask for it, and programs do not send it by themselves
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    ray: Any = extras.imported("ray")
    folder = tempfile.TemporaryDirectory(prefix="kr-", dir=_short(), ignore_cleanup_errors=True)
    with folder as empty, console.without_chatter():  # Ray's core writes its log to stderr
        _start(ray, address, empty)
        try:
            yield
        finally:
            ray.shutdown()


def _start(ray: Any, address: str, empty: str) -> None:
    how: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    if address == LOCAL:
        how |= {"include_dashboard": False, "_temp_dir": empty, "object_store_memory": _STORE}
    try:
        # The working directory becomes a place that workers import from: none of the user's files may be there.
        with contextlib.chdir(empty), _own_handler(), _temporary(empty):
            ray.init(address, **how)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        said = " ".join(str(error).split())[:300]
        raise InputError(f"--ray {address}: no connection: {said or type(error).__name__}") from error
    extras.imported("ray.data")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # progress is ours, and errors come as exceptions
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # what failed is done again by `jobs`, which also says so
    warnings.filterwarnings("ignore", module=r"ray\.")
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _has_token() -> bool:
    """Whether a token for clusters is here, where Ray looks for one."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser().is_file()


def _short() -> str | None:
    """A folder whose name is short enough for the sockets that Ray makes in it (103 bytes with theirs)."""
    return None if len(tempfile.gettempdir()) < 25 else "/tmp"


@contextlib.contextmanager
def _temporary(folder: str) -> Iterator[None]:
    """Temporary files of processes that are started in the block lie in a folder, and go with it."""
    former = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        if former is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = former


@contextlib.contextmanager
def _own_handler() -> Iterator[None]:
    """Keeps this process's way to end: Ray puts one of its own in the place of SIGTERM's."""
    kept = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, kept)
