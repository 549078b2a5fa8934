"""What every command of the two packages does alike: exit status, errors in one line, a quiet TensorFlow, tables."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from keras_resnet import extras, files, notes, processes, streams
from keras_resnet.errors import DiskFullError, GateError, InputError, Stopped
from keras_resnet.lazily import leave_gpus
from keras_resnet.untrusted import visible

OK, FAILED, WRONG = 0, 1, 2  # all went well; a gate or the work failed; wrong usage or input
_STDOUT = Path("-")
_results: TextIO | None = None  # standard output while a command runs with `--json -`


def run(command: Callable[[], int | None], args: argparse.Namespace | None = None) -> int:
    """Runs a command's work and turns its exceptions into one line and an exit status.

    A reader of its output that leaves (`| head -1`) does not stop the work, and with `--json -` standard output has the
    result alone.

    Args:
        command: function that returns the exit status, None for 0.
        args: options, of which `json` is looked at: whether it can be written is known before the work.

    Returns:
        0 when all went well; 1 when a gate failed, or the disk was full; 2 for wrong usage or input; after a signal 128
        and its number, as shells have it (130: Ctrl-C).
    """
    open_at_first = sys.stdout is not None
    with streams.guarded() as out:
        with _orderly_end(), notes.said_once():
            status = _status(lambda: _with_json(command, getattr(args, "json", None), open_at_first))
        out.flush()
        if status == OK and out.lost is not None and files.is_full(out.lost):
            return _say(f"what was printed is lost ({out.lost}); the work is done", FAILED)
        return status


def _status(command: Callable[[], int | None]) -> int:
    try:
        with files.told_if_full():  # by what knows no name for it
            return command() or OK
    except (GateError, DiskFullError) as error:
        return _say(error, FAILED)
    except InputError as error:
        return _say(error, WRONG)
    except KeyboardInterrupt as error:
        number = getattr(error, "signal", signal.SIGINT)
        return _say("stopped by Ctrl-C" if number == signal.SIGINT else f"stopped by {number.name}", 128 + number)
    except Exception as error:
        if not _is_damaged_data(error):
            raise
        return _say(
            "an example cannot be read although it could when its folder was indexed or looked through: its file has "
            "changed or is damaged; for TFRecord files delete keras_resnet_index.npz, and repeat",
            WRONG,
        )


_READERS = re.compile(
    r"DecodeImage|expected a picture|ParseExample|ParseSingleExample|corrupted record|Could not parse example"
)


def _is_damaged_data(error: Exception) -> bool:
    """Whether TensorFlow says, in the midst of a pipeline, that an example cannot be read."""
    if isinstance(error, UnicodeDecodeError):  # the message that it makes has the example's bytes in it
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        return place is not None and place.tb_frame.f_globals["__name__"].startswith("tensorflow")
    return type(error).__module__.startswith("tensorflow") and bool(_READERS.search(str(error)))


def _say(error: object, status: int) -> int:
    print(f"error: {visible(' '.join(str(error).split()))}", file=sys.stderr)
    return status


def _with_json(command: Callable[[], int | None], path: Path | None, is_open: bool) -> int | None:
    """Runs a command whose result goes to a place that can take it."""
    global _results
    if path is None:
        return command()
    if path != _STDOUT:
        files.check_place(path, overwrite=True)
        files.refuse_no_json(path)
        return command()
    if not is_open:
        raise InputError("--json -: standard output is closed; name a file")
    with streams.results_alone() as _results:
        try:
            return command()
        finally:
            _results = None


@contextlib.contextmanager
def _orderly_end() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that its temporary files go; a second one at once."""

    def stop(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Stopped(number)

    with processes.handling(stop, processes.ENDING):
        yield


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Swallows what C++ libraries write to the process's stderr and stdout; shows it if the block fails."""
    streams.fill_descriptors()
    streams.flush()
    with tempfile.TemporaryFile() as log:
        saved = {number: os.dup(number) for number in (1, 2)}
        for number in saved:
            os.dup2(log.fileno(), number)
        try:
            yield
        except ImportError:
            log.seek(0)
            os.write(saved[2], log.read())
            raise
        finally:
            streams.flush()
            for number, copy in saved.items():
                os.dup2(copy, number)
                os.close(copy)


class _Hidden:
    """Finds no module of the given names, and leaves the others to the finders behind it."""

    def __init__(self, names: Sequence[str]):
        self._names = frozenset(names)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in self._names:
            raise ModuleNotFoundError(f"{name} is not needed here", name=name)


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Swallows what C libraries write to the process's stderr; what Python writes there is shown."""
    shown, copy = sys.stderr, os.dup(2)
    try:
        own = shown.fileno() == 2
    except (AttributeError, OSError, ValueError):  # it is none, closed, or of a notebook
        own = False
    try:
        with tempfile.TemporaryFile() as swallowed:
            os.dup2(swallowed.fileno(), 2)
            if own:
                shown.flush()
                sys.stderr = open(os.dup(copy), "w", encoding=shown.encoding, errors=shown.errors, buffering=1)  # noqa: SIM115
            yield
    finally:
        os.dup2(copy, 2)
        os.close(copy)
        if own:
            sys.stderr.close()
            sys.stderr = shown


@contextlib.contextmanager
def _hidden(names: Sequence[str]) -> Iterator[None]:
    """Packages that TensorFlow and Keras import because they happen to be there, for features that no command uses.

    They are a third of the time that this takes (benchmarks/startup.py). After the block they can be imported.
    """
    finder = _Hidden(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _chosen_backend() -> tuple[str, str]:
    """The backend that Keras will use, and what says so: importing Keras to ask would be too late."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    settings = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "keras.json"
    try:
        return str(json.loads(settings.read_text("utf-8")).get("backend", "tensorflow")), str(settings)
    except (OSError, ValueError, AttributeError):  # none, or one that Keras passes over
        return "tensorflow", str(settings)


def _refuse_backend(others: Sequence[str]) -> None:
    """Refuses a backend that a command does not work with, or that is not installed.

    Raises:
        InputError: what chooses it, and what to do.
    """
    backend, origin = _chosen_backend()
    remedy = "unset KERAS_BACKEND" if origin == "KERAS_BACKEND" else f'write "backend": "tensorflow" into {origin}'
    if backend not in ("tensorflow", *others):
        raise InputError(f"this command needs Keras' TensorFlow backend, {origin} says '{backend[:40]}': {remedy}")
    if not extras.is_there(backend):
        if backend == "tensorflow" and "jax" in others and extras.is_there("jax"):
            remedy = "set KERAS_BACKEND=jax, which is"
        raise InputError(f"{origin} says '{backend}', which is not installed: pip install {backend}, or {remedy}")


def import_tensorflow(*others: str) -> None:
    """Imports TensorFlow and Keras without their greetings; commands call it before they touch either.

    Args:
        *others: Keras' backends that the command works with too. Files are read by TensorFlow in any case where it is
            installed; with another backend it need not be.

    Raises:
        InputError: Keras is set to another backend, or to none that is installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        _refuse_backend(others)
    unused = ["matplotlib", "pandas", "sklearn", *([] if _chosen_backend()[0] == "jax" else ["jax"])]
    with silenced(), _hidden(unused):
        import keras

        if extras.is_there("tensorflow") or keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            leave_gpus(tf)
            tf.get_logger().setLevel("ERROR")
    if keras.backend.backend() not in ("tensorflow", *others):
        raise InputError(
            f"this command needs Keras' TensorFlow backend, this Keras uses {keras.backend.backend()}: "
            "unset KERAS_BACKEND"
        )


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table; numbers are aligned to the right, None shows as a dash, control characters are written out.

    In a terminal that is too narrow for it, every row becomes a block of lines: no word is broken.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement
    from rich.table import Table

    numeric = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]
    table = Table()
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(escape(name), justify="right" if right else "left", overflow="fold")
    texts = [["–" if value is None else visible(value, lines=True) for value in row] for row in rows]
    for row in texts:
        table.add_row(*map(escape, row))
    # A pipe or a log has no width: do not fold the table there.
    width = None if sys.stdout.isatty() else 200
    console = Console(width=width, highlight=False)
    console.print(visible(title), style="bold", markup=False)
    wanted = Measurement.get(console, console.options.update(max_width=10_000), table)
    is_wide = width is not None or (console.width >= _WIDE and wanted.minimum <= console.width)
    if is_wide or wanted.maximum <= console.width:
        console.print(table)
        return
    for line in _blocks(columns, texts, console.width):
        console.print(line, markup=False, soft_wrap=True)


_WIDE = 100  # columns of a terminal from which a table is broken between its words


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """A table as lines, a block a row: its first cell, then a line for each other one."""
    margin = max(map(len, columns[1:]), default=0) + 4
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    wrapper.subsequent_indent = " " * margin
    for row in rows:
        yield row[0] or columns[0]
        for name, text in zip(columns[1:], row[1:], strict=True):
            yield from wrapper.wrap(f"  {name}".ljust(margin) + text)


def add_json(parser: argparse._ActionsContainer, what: str) -> None:
    """Adds the option `--json` of a command whose `run` gets the options.

    Args:
        parser: parser or group.
        what: what is written, for the help.
    """
    text = f"write {what} there too (-: to standard output, everything else to standard error)"
    parser.add_argument("--json", type=Path, metavar="FILE", help=text)


def write_json(path: Path | None, value: object, *, overwrite: bool = True) -> None:
    """Writes a result for machines; does nothing without a path.

    A result is made anew by every call of the command, so an old one is replaced.

    Args:
        path: file; `-` for standard output, where `run` was given the option.
        value: JSON types.
        overwrite: whether an existing file of JSON is replaced.

    Raises:
        InputError: the file cannot be written, or it holds something else than JSON.
    """
    if path is None:
        return
    text = json.dumps(value, indent=2) + "\n"
    if path == _STDOUT and _results is not None:
        try:
            print(text, end="", file=_results, flush=True)
        except OSError as error:
            raise InputError(f"--json -: standard output cannot be written: {error.strerror}") from error
        return
    files.refuse_no_json(path)
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def progress(items, description: str, total: int | None):
    """Shows a bar on stderr while iterating, if a person is watching."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, description, total=total, console=console, transient=True, disable=not console.is_terminal)
