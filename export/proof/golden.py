"""Golden vectors: a few images with everything that happens to them, to find errors of an app in minutes.

`NAME.tflite.golden.npz` lies beside `NAME.tflite`: the pixels, the values of the input tensor, the raw and the
dequantized outputs, and `about`, a JSON text with the engine and the tolerance. NumPy reads it without pickle.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from export.formats.table import ENGINES
from keras_resnet.errors import InputError
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.opening import open_runner
from keras_resnet.runtime.tflite import TFLiteRunner
from keras_resnet.signals.conventions import Preprocess

COUNT = 8
_MAX_BYTES = 200_000_000
_SMALL = 2_000_000  # bytes of a file whose net the reference kernels run in a moment


def beside(model: Path) -> Path:
    """The file's name."""
    return model.with_name(f"{model.name}.golden.npz")


def vectors(runner: Runner, preprocess: Preprocess, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What an app should see.

    Args:
        runner: of the file.
        preprocess: from pixels to its input.
        pixels: uint8 `(n, H, W, C)`.

    Returns:
        `pixels`, `input`, and for every output `NAME` (float32) and, where it is quantized, `NAME_raw`.
    """
    images = preprocess(pixels)
    found = {"pixels": pixels, "input": images, **runner.run(images)}
    if isinstance(runner, TFLiteRunner):
        values, raw = runner.run_raw(images)
        found["input"] = values
        found |= {f"{name}_raw": array for name, array in raw.items() if array.dtype != np.float32}
    return found


def write(
    model: Path,
    target: Path,
    name: str,
    preprocess: Preprocess,
    pixels: np.ndarray,
    labels: np.ndarray | None,
    engine: str | None,
) -> None:
    """Writes the vectors of a model file.

    Args:
        model: the file.
        target: of the vectors.
        name: that the file will have.
        preprocess: from pixels to its input.
        pixels: uint8 `(n, H, W, C)`; the first few are taken.
        labels: of them, or None.
        engine: that ran the file, of `formats.ENGINES`.
    """
    pixels = pixels[:COUNT]
    arrays = vectors(open_runner(model, threads=1, engine=engine, trusted=True), preprocess, pixels)
    about = {
        "model": name,
        "engine": engine or (ENGINES[0] if model.suffix == ".tflite" else "cpu"),
        "tolerance": _tolerance(model, arrays, preprocess, pixels),
        "of": "the outputs in float32, for any engine",
    }
    if labels is not None:
        arrays["labels"] = np.asarray(labels[:COUNT], np.int64)
    with target.open("wb") as file:
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)


def _tolerance(model: Path, arrays, preprocess: Preprocess, pixels: np.ndarray) -> float:
    """Twice what the two sets of kernels differ by on these images, where both are fast enough to be asked."""
    least = 1e-3 if not any(name.endswith("_raw") for name in arrays) else 4 / 256
    if model.suffix != ".tflite" or model.stat().st_size > _SMALL:
        return least if least < 0.01 else 0.1
    apart = [least]
    for engine in ENGINES:
        other = open_runner(model, threads=1, engine=engine, trusted=True).run(preprocess(pixels))
        apart += [2 * float(np.abs(other[name] - arrays[name]).max()) for name in other if name in arrays]
    return max(apart)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Reads vectors.

    Returns:
        The arrays and what `about` says.

    Raises:
        InputError: damaged, or too large to be ours.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes: golden vectors have at most {_MAX_BYTES}")
    try:
        # NumPy leaves the file open where it is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(str(arrays.pop("about")))
        return arrays, {**about, "tolerance": float(about["tolerance"])}
    except Exception as error:  # NumPy, zipfile and zlib each have their own exceptions for a damaged archive
        raise InputError(f"{path} holds no golden vectors ({error}): export the model again") from error


def difference(path: Path, runner: Runner, preprocess: Preprocess) -> tuple[float, float]:
    """How far a runner is from the vectors in a file.

    Returns:
        The largest difference of an output, and the tolerance.

    Raises:
        InputError: the file is damaged, or of another net.
    """
    arrays, about = read(path)
    outputs = runner.run(preprocess(arrays["pixels"]))
    names = [name for name in outputs if name in arrays]
    if not names or any(outputs[name].shape != arrays[name].shape for name in names):
        raise InputError(f"{path} is of another model: its outputs are {', '.join(sorted(arrays))}")
    return max(float(np.abs(outputs[name] - arrays[name]).max()) for name in names), about["tolerance"]
