"""What every command of the two packages does alike: exit status, errors in one line, a quiet TensorFlow, tables."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from keras_resnet.errors import GateError, InputError
from keras_resnet.untrusted import visible

OK, FAILED, WRONG = 0, 1, 2  # all went well; a gate or the work failed; wrong usage or input


def run(command: Callable[[], int | None]) -> int:
    """Runs a command's work and turns its exceptions into one line and an exit status.

    Args:
        command: function that returns the exit status, None for 0.

    Returns:
        0 when all went well, 1 when a gate failed, 2 for wrong usage or input; after a signal 128 and its number, as
        shells have it (130: Ctrl-C).
    """
    try:
        return command() or OK
    except GateError as error:
        return _say(error, FAILED)
    except InputError as error:
        return _say(error, WRONG)
    except BrokenPipeError:  # `| head` closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
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


_READERS = re.compile(r"DecodeImage|ParseExample|ParseSingleExample|corrupted record|Could not parse example")


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


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Swallows what C++ libraries write to the process's stderr and stdout; shows it if the block fails."""
    sys.stdout.flush()
    sys.stderr.flush()
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
            sys.stdout.flush()
            sys.stderr.flush()
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


def _backend_may_be_jax() -> bool:
    """Reads what Keras will: importing it to ask would be too late."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    settings = home / "keras.json"
    chosen = os.environ.get("KERAS_BACKEND") or (settings.read_text("utf-8", "replace") if settings.is_file() else "")
    return "jax" in chosen


def import_tensorflow(*others: str) -> None:
    """Imports TensorFlow and Keras without their greetings; commands call it before they touch either.

    Args:
        *others: Keras' backends that the command works with too; its data pipelines are TensorFlow's in any case.

    Raises:
        InputError: Keras is set to another backend.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    unused = ["matplotlib", "pandas", "sklearn", *([] if _backend_may_be_jax() else ["jax"])]
    with silenced(), _hidden(unused):
        import keras
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    if keras.backend.backend() not in ("tensorflow", *others):
        raise InputError(
            f"this command needs Keras' TensorFlow backend, this Keras uses {keras.backend.backend()}: "
            "unset KERAS_BACKEND"
        )


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table; numbers are aligned to the right, None shows as a dash, control characters are written out."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    numeric = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]
    table = Table()
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(escape(name), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("–" if value is None else escape(visible(value, lines=True)) for value in row))
    # A pipe or a log has no width: do not fold the table there.
    width = None if sys.stdout.isatty() else 200
    console = Console(width=width, highlight=False)
    console.print(visible(title), style="bold", markup=False)
    console.print(table)


def write_json(path: Path | None, value: object, *, overwrite: bool = True) -> None:
    """Writes a result for machines, beside and renamed; does nothing without a path.

    A result is made anew by every call of the command, so an old one is replaced.
    """
    from keras_resnet import files

    if path is None:
        return
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def progress(items, description: str, total: int):
    """Shows a bar on stderr while iterating, if a person is watching."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, description, total=total, console=console, transient=True, disable=not console.is_terminal)
