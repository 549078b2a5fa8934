"""Golden vectors: a few examples with everything that happens to them, to find errors of an app in minutes.

`NAME.tflite.golden.npz` lies beside `NAME.tflite`: the examples (`pixels` for images), the values of the input tensor,
the raw and the dequantized outputs, and `about`, a JSON text with engine, processor and the tolerances: `tolerances` by
output name, and `tolerance`, that of the first output. NumPy reads it without pickle.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.table import ENGINES
from export.model.evidence import Evidence
from export.model.outputs import of_task
from keras_resnet import machine, untrusted
from keras_resnet.arrays import read as read_arrays
from keras_resnet.errors import InputError
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.opening import open_runner
from keras_resnet.runtime.tflite import TFLiteRunner
from keras_resnet.signals.conventions import Preprocess

COUNT = 8
OTHER_LABELS = 0.005  # of the classes of pixels, on another engine: rounding decides some at the edges
OTHER_ANSWERS = 0.05  # of answers in the order of their scores, on another engine: two that are near change places
_APART = 1e-3  # of two values of an answer that are others
BUDGET = 16_000_000  # bytes of all arrays before compression
_MAX_BYTES = 200_000_000
_SMALL = 2_000_000  # bytes of a file whose net the reference kernels run in a moment


def beside(model: Path) -> Path:
    """The file's name."""
    return model.with_name(f"{model.name}.golden.npz")


def vectors(runner: Runner, preprocess: Preprocess, examples: np.ndarray) -> dict[str, np.ndarray]:
    """What an app should see.

    Args:
        runner: file.
        preprocess: input convention of the file.
        examples: dtype of the signal, `(n, ..., channels)`.

    Returns:
        The examples (`pixels` for images), `input`, and for every output `NAME` (float32) and, where it is quantized,
        `NAME_raw`.
    """
    prepared = preprocess(examples)
    if not isinstance(runner, TFLiteRunner):
        return {_name(runner): examples, "input": prepared, **runner.run(prepared)}
    values, raw = runner.run_raw(prepared)
    as_they_are = {f"{name}_raw": array for name, array in raw.items() if array.dtype != np.float32}
    return {_name(runner): examples, "input": values, **runner.floats(raw), **as_they_are}


def _name(runner: Runner) -> str:
    """Name of the examples in the file of vectors."""
    return {"image": "pixels"}.get(runner.card.signal, runner.card.signal)


Answers = Callable[[Path, np.ndarray, str], "dict[str, np.ndarray] | None"]


def _here(model: Path, prepared: np.ndarray, engine: str) -> dict[str, np.ndarray] | None:
    """What an engine answers, in this process."""
    return open_runner(model, threads=1, engine=engine, trusted=True).run(prepared)


def write(
    model: Path,
    target: Path,
    name: str,
    preprocess: Preprocess,
    evidence: Evidence,
    engine: str | None,
    answers: Answers = _here,
) -> None:
    """Writes the vectors of a model file: at most `COUNT` examples and `BUDGET` bytes before compression, at least one.

    Args:
        model: file.
        target: file of the vectors.
        name: name that the model file will have.
        preprocess: input convention of the file.
        evidence: examples, of which the first are taken.
        engine: runtime of a TFLite file, one of `ENGINES` and `OUTSIDE`; None for the first.
        answers: function of a file, prepared examples and an engine, which gives the outputs by name, or None where
            that engine cannot run the file: LiteRT's reference kernels end the process on some.
    """
    runner = open_runner(model, threads=1, engine=engine, trusted=True)

    def taken(count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        examples, truth = evidence.fetch(0, count)
        return evidence.signal.code.resized(examples, runner.example_shape), truth

    one = sum(values.nbytes for values in vectors(runner, preprocess, taken(1)[0]).values())
    examples, truth = taken(min(COUNT, max(1, BUDGET // one)))
    arrays = vectors(runner, preprocess, examples)
    names = [output.name for output in runner.outputs]
    known = of_task(runner.card)
    labels = [output.name for output in known if output.labels]
    ranked = [output.name for output in known if not output.ordered]
    floats = [name for name in names if name not in (*labels, *ranked)]
    tolerances = _tolerances(model, arrays, preprocess(examples), floats, answers)
    tolerances |= dict.fromkeys(labels, OTHER_LABELS) | dict.fromkeys(ranked, OTHER_ANSWERS)
    about = {
        "model": name,
        "engine": engine or (ENGINES[0] if model.suffix == ".tflite" else "cpu"),
        "processor": machine.processor(),
        "tolerance": tolerances[runner.output.name],
        "tolerances": tolerances,
        "of": "the outputs in float32, for any engine",
    }
    if labels:
        about |= {"labels": labels, "of_labels": "numbers of classes: the share of them that may be others"}
    if ranked:
        about |= {"ranked": ranked, "of_ranked": f"the share of values that may be others, by more than {_APART}"}
    for kind, values in truth.items():
        arrays["labels" if kind == "label" else f"truth_{kind}"] = np.asarray(values)
    with target.open("wb") as file:
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]


def _tolerances(model: Path, arrays, prepared: np.ndarray, names: Sequence[str], answers: Answers) -> dict[str, float]:
    """Largest difference of every output that is no error, by its name.

    A share of the largest value, or of 1 where all values are smaller; or twice what the two sets of kernels differ by
    on these examples, where both are fast enough to be asked and that is more.
    """
    floating = arrays["input"].dtype == np.float32 and not any(name.endswith("_raw") for name in arrays)
    least = 1e-3 if floating else 4 / 256
    fast = model.suffix == ".tflite" and model.stat().st_size <= _SMALL
    share = least if fast or least < 0.01 else 0.1
    found = {name: share * max(1.0, float(np.abs(arrays[name]).max())) for name in names}
    for engine in ENGINES if fast else ():
        other = answers(model, prepared, engine)
        if other is None:
            continue
        for name in names:
            found[name] = max(found[name], 2 * float(np.abs(other[name] - arrays[name]).max()))
    return found


def tolerance(about: Mapping[str, Any], output: str) -> float:
    """Largest difference of an output from its vectors that is no error, in units of the output.

    Args:
        about: what `read` gave. Files of the first release have one tolerance for all outputs.
        output: name of the output.
    """
    return float(about.get("tolerances", {}).get(output, about["tolerance"]))


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads vectors.

    Returns:
        The arrays and what `about` says.

    Raises:
        InputError: damaged, or too large to be ours.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes: golden vectors have at most {_MAX_BYTES}")
    try:
        found = read_arrays(path, most=_MAX_BYTES)
        about = untrusted.parse(str(found.pop("about")))
        tolerances = {name: float(value) for name, value in about.get("tolerances", {}).items()}
        return found, {**about, "tolerance": float(about["tolerance"]), "tolerances": tolerances}
    except Exception as error:  # NumPy, zipfile and zlib each have their own exceptions for a damaged archive
        raise InputError(f"{path} holds no golden vectors ({error}): export the model again") from error


def difference(path: Path, runner: Runner, preprocess: Preprocess) -> tuple[float, float]:
    """How far a runner is from the vectors in a file.

    Returns:
        The difference of the output that is furthest from its vectors, measured by its tolerance; and that tolerance.

    Raises:
        InputError: the file is damaged, or of another net.
    """
    arrays, about = read(path)
    lacking = _name(runner) not in arrays
    if not lacking and arrays[_name(runner)].shape[1:] != runner.example_shape:
        raise InputError(f"{path} is of another model: its examples are {arrays[_name(runner)].shape[1:]}")
    outputs = {} if lacking else runner.run(preprocess(arrays[_name(runner)]))
    names = [name for name in outputs if name in arrays]
    complete = set(about["tolerances"]) in (set(), set(outputs))
    if not names or not complete or any(outputs[name].shape != arrays[name].shape for name in names):
        raise InputError(f"{path} is of another model: its outputs are {', '.join(sorted(arrays))}")
    labels, ranked = about.get("labels", ()), about.get("ranked", ())
    distance = {name: np.abs(outputs[name] - arrays[name]) for name in names}
    distance |= {name: np.mean(distance[name] > 0) for name in names if name in labels}
    distance |= {name: np.mean(distance[name] > _APART) for name in names if name in ranked}
    apart = [(float(np.max(distance[name])), tolerance(about, name)) for name in names]
    return max(apart, key=lambda pair: math.inf if math.isnan(pair[0]) else pair[0] / pair[1])
