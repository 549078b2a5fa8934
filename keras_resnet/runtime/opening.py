"""Opening model files: the engine that a name asks for, and a trial in a child process for files from elsewhere."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_resnet import processes, untrusted
from keras_resnet.errors import InputError
from keras_resnet.files import existing_file
from keras_resnet.runtime import foreign
from keras_resnet.runtime.interface import Runner, unusable
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.runtime.onnx import OnnxRunner
from keras_resnet.runtime.outside import OUTSIDE, OutsideRunner
from keras_resnet.runtime.saved_model import SavedModelRunner
from keras_resnet.runtime.tflite import TFLiteRunner
from keras_resnet.saving import model_path
from keras_resnet.tasks.facts import understood


def _keras_file(path: Path, threads: int | None = None, engine: str | None = None) -> KerasRunner:
    del threads, engine  # TensorFlow's threads are a setting of the process
    return KerasRunner(*foreign.load_as_it_is(path, None))


_OPENERS: dict[str, Callable[..., Runner]] = {
    ".keras": _keras_file,
    ".tflite": TFLiteRunner,
    ".onnx": OnnxRunner,
    ".savedmodel": SavedModelRunner,
}
FOREIGN = (".tflite", ".onnx", ".savedmodel")  # engines in C++ may crash on a damaged file and take the process along


def open_runner(
    path: str | os.PathLike, *, threads: int | None = None, engine: str | None = None, trusted: bool = False
) -> Runner:
    """Opens a model file, whatever its format.

    Args:
        path: `.keras`, `.tflite` or `.onnx` file, or a `.savedmodel` folder.
        threads: number of threads; by default all cores are used, by TFLite for different images. (TensorFlow decides
            for itself.)
        engine: runtime of TFLite files: `"xnnpack"` (default, where it has the kernels), `"reference"`, or one of
            `keras_resnet.runtime.outside.OUTSIDE`, in an environment of its own.
        trusted: whether the file was written by this process, or by somebody whose code you would run. Any other file
            is first run once in a child process with limits of time and memory, so that a damaged one cannot crash the
            caller; and any other SavedModel is refused, as its operations may write files or call other programs.

    Returns:
        A runner.

    Raises:
        InputError: missing, empty, truncated, foreign, with several inputs, or a SavedModel that is not trusted.

    Example:
        >>> import keras_resnet
        >>> runner = keras_resnet.open_runner("model.tflite")  # doctest: +SKIP
        >>> probabilities = runner(runner.card.preprocess(pixels))["probabilities"]  # doctest: +SKIP
    """
    path = Path(path)
    if not (path.suffix == ".savedmodel" and path.is_dir()):
        path = existing_file(path)
    if path.suffix not in _OPENERS:
        raise InputError(f"{path}: expected a .keras, .tflite, .onnx or .savedmodel file, received '{path.suffix}'")
    if path.suffix == ".savedmodel" and not trusted:
        raise InputError(
            f"{path} is a SavedModel, which can run any operation, like writing files: if it is from somebody that you "
            "trust, say --trust (in Python: open_runner(path, trusted=True)); else ask for a .keras, .tflite or .onnx "
            "file"
        )
    if path.suffix in FOREIGN and not trusted:
        _try_in_child(path, "" if engine in OUTSIDE else engine or "")
    if engine in OUTSIDE:
        if path.suffix != ".tflite":
            raise InputError(f"engine {engine} runs .tflite files, received {path}")
        return _read(OutsideRunner(path, threads=threads, engine=engine), path)
    return _read(_OPENERS[path.suffix](path, threads=threads, engine=engine), path)


def _read(runner: Runner, origin: object) -> Runner:
    """The runner, with a card that this package understands."""
    runner.card = understood(runner.card, origin)
    runner.card.preprocess.check_channels(runner.example_shape[-1] if runner.example_shape else None, origin)
    return runner


def open_named(model: str | os.PathLike, weights: str | None = None, hints: foreign.Hints = foreign.NO_HINTS) -> Runner:
    """Opens what a command's `--model` and `--weights` name: a model file, or a row of the table with weights.

    Args:
        model: path of a file, or a name of `list_models()`.
        weights: for a name: a registered name, a weight file, or `"none"` for random values.
        hints: what a person says of a model that does not tell itself.

    Raises:
        InputError: see `open_runner` and `foreign.load`.
    """
    model = model_path(model)
    if Path(model).suffix in FOREIGN and weights is None:
        runner = open_runner(model, trusted=hints.trust and Path(model).suffix == ".savedmodel")
        foreign.refuse_sigmoids_of(runner, hints, model)
        runner.card = foreign.hinted(runner.card, hints, model)
        return runner
    return KerasRunner(*foreign.load(model, weights, hints))


SECONDS = "KERAS_RESNET_ENGINE_SECONDS"  # environment variable: processor time of a foreign file's first answer
_SECONDS = 30
_WAITING = 4  # the clock may go that much longer: other processes want the processor too
_MEMORY, _PER_BYTE = 3_000_000_000, 8  # bytes of the trial, and for every byte of the file: ResNet-152 takes three


def seconds_of_trial() -> int:
    """Processor time that a foreign file has for its first answer."""
    text = os.environ.get(SECONDS) or str(_SECONDS)
    if not text.isdecimal() or not int(text):
        raise InputError(f"{SECONDS}={text}: expected seconds, a whole number from 1")
    return int(text)


def _try_in_child(path: Path, engine: str) -> None:
    """Opens the file and runs one image in a process of its own, by an engine of this environment."""
    seconds = seconds_of_trial()
    try:
        child = processes.run_python("keras_resnet.runtime.opening", path, engine, seconds=_WAITING * seconds)
    except TimeoutError as error:
        raise _late(path, seconds) from error
    if child.status < 0:
        raise ended_by_signal(path, -child.status, seconds)
    if child.status:
        raise InputError((child.lines or [f"exit status {child.status}"])[-1].removeprefix("error: "))


def _late(path: Path, seconds: int) -> InputError:
    return InputError(f"{path} did not answer within {seconds} s; it is damaged, or needs {SECONDS}={10 * seconds}")


def ended_by_signal(path: Path, number: int, seconds: int) -> InputError:
    """What is said of a file whose trial a signal ended.

    Args:
        path: file.
        number: number of the signal.
        seconds: processor time that the trial had.
    """
    if number in (getattr(signal, name, 0) for name in ("SIGXCPU", "SIGALRM")):
        return _late(path, seconds)
    return InputError(f"{path} crashes its engine (signal {number}); it is damaged: export it again")


def limit(path: Path, seconds: int) -> None:
    """Limits what this process may still use for a file.

    Args:
        path: file.
        seconds: processor time; a signal ends the process beyond it.
    """
    processes.limit(seconds=seconds, data=_MEMORY + _PER_BYTE * path.stat().st_size)


def tried(path: Path, engine: str | None, seconds: int, alarm: bool = False) -> Runner:
    """Opens a file and runs one grey example, within limits of time and memory: to be called in a process of its own.

    Args:
        path: file of an engine of this environment.
        engine: runtime of a TFLite file.
        seconds: processor time; a signal ends the process beyond it.
        alarm: whether a signal ends it as well where an engine waits for ever.

    Returns:
        The runner, of one thread.

    Raises:
        InputError: the engine refuses the file.
    """
    limit(path, seconds)
    if alarm:
        signal.alarm(_WAITING * seconds)
    try:
        runner = _OPENERS[path.suffix](path, threads=1, engine=engine)
        untrusted.check_input(runner.image_shape)
        runner(np.zeros([1, *(size or 1 for size in runner.image_shape)], np.float32))
    except InputError:
        raise
    except Exception as error:  # whatever the engine raises while running is the file's fault
        raise unusable(path, path.suffix[1:], error) from error
    finally:
        if alarm:
            signal.alarm(0)
    return runner


def _main(path: Path, engine: str) -> int:
    """Tries a file: the child's part of `open_runner`."""
    try:
        tried(path, engine or None, seconds_of_trial())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), sys.argv[2]))
