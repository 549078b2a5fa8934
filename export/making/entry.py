"""`export.export`: one file of whatever a notebook has, or several files of a source."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.artifacts import SAMPLES, Artifact, artifact
from export.formats.table import format_of
from export.making import pipeline
from export.model.source import Source, load_source
from export.proof.report import Report
from keras_resnet.data import Dataset
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.data.memory import of_arrays
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.runtime import foreign

_LEAST = 8  # images that are enough to calibrate and to verify with


def export(
    model: Any,
    targets: str | os.PathLike | Sequence[tuple[Artifact, Path]],
    *,
    precision: str = "float32",
    data: Any = None,
    samples: Any = SAMPLES,
    classes: str | os.PathLike | Sequence[str] | None = None,
    weights: str | None = None,
    hints: foreign.Hints = foreign.NO_HINTS,
    overwrite: bool = False,
    calibrate_with: Path | None = None,
    limit: int | None = None,
    gates: Mapping[str, float] | None = None,
    engine: str | None = None,
    say: Callable[[str], None] = lambda text: None,
    **choices: Any,
) -> Report:
    """Makes a file and verifies it against the Keras model; or, with a list, several.

    Args:
        model: `keras.Model`, what `train` or `load_model` returned, path of a file or a run directory, name of a net
            with `weights`, or a `Source`.
        targets: name of the file, whose ending says the format: `.tflite`, `.onnx`, `.keras`, `.savedmodel`; or pairs
            of `artifact(...)` and a path, for a `Source`.
        precision: row of `PRECISIONS`: `"float32"`, `"float16"`, `"int8"`, ...
        data: what to calibrate and verify with: path or name of a data source, `Dataset`, or `(x, y)` of uint8 images
            and labels; by default what the model was trained on.
        samples: number of representative samples; or, in place of `data`, uint8 images `(N, H, W, C)`: every second one
            calibrates, the others verify.
        classes: class names in order, or a file of them, in place of those that the model carries.
        weights: for the name of a net: registered name, weight file, or `"none"`.
        hints: what a person says of a model that does not tell itself (`keras_resnet.runtime.foreign.Hints`).
        overwrite: whether existing files are replaced.
        calibrate_with: folder of files in place of samples.
        limit: number of test examples to verify with at most; all by default.
        gates: limits that replace others, by the names in `proof.gates.LIMITS`.
        engine: runtime of TFLite files, one of `ENGINES` and `OUTSIDE`.
        say: function that is told what is being done.
        **choices: see `artifact`: `io`, `input`, `quantizer`, `size`, `layout`, `features`, `cam`, ...

    Returns:
        A report with a row for each file; `report.table` is one for notebooks.

    Raises:
        InputError: see `pipeline.export`; no such format.
        GateError: the one file that was asked for failed its verification; it is kept as `NAME.failed.SUFFIX`. With a
            list the report says so.

    Example:
        >>> import numpy as np, keras_resnet
        >>> from export import export
        >>> net = keras_resnet.build("resnet8", weights="digits")
        >>> images = np.random.default_rng(0).integers(0, 255, (32, 32, 32, 3), "uint8")
        >>> export(net, "digits.onnx", samples=images).rows[0].passed  # doctest: +SKIP
        True
    """
    how: dict[str, Any] = {"overwrite": overwrite, "calibrate_with": calibrate_with, "limit": limit, "gates": gates}
    how |= {"engine": engine, "say": say}
    if not isinstance(targets, str | os.PathLike | Sequence):
        raise InputError(f"targets: expected a file's name or a list, received {type(targets).__name__}")
    unknown = choices.keys() - inspect.signature(artifact).parameters.keys()
    if unknown:
        raise unknown_name("choice of a file", sorted(unknown)[0], list(inspect.signature(artifact).parameters)[1:])
    count = samples if isinstance(samples, int) else SAMPLES
    if not isinstance(targets, str | os.PathLike):
        if choices:
            raise InputError(f"{', '.join(choices)}: of a list, each artifact has its own choices")
        source = model if isinstance(model, Source) else _source(model, data, samples, classes, weights, hints)
        return pipeline.export(source, targets, samples=count, **how)
    path = Path(targets)
    made = artifact(f"{format_of(path).name}:{precision}", **choices)
    source = model if isinstance(model, Source) else _source(model, data, samples, classes, weights, hints)
    report = pipeline.export(source, [(made, path)], samples=count, **how)
    pipeline.raise_if_failed(report)
    return report


def _source(model: Any, data: Any, samples: Any, classes: Any, weights: str | None, hints: foreign.Hints) -> Source:
    """The model with its data, whatever they are given as."""
    if isinstance(data, tuple | list):
        if len(data) != 2:
            raise InputError(f"data: expected (x, y), images and labels, received {len(data)} things")
        images, truth = data
        data = of_arrays(images, truth, classes=tuple(classes) if isinstance(classes, list | tuple) else ())
    if not isinstance(samples, int):
        if data is not None:
            raise InputError("samples are images in place of data: give one of them")
        data = _of_samples(np.asarray(samples))
    return load_source(model, weights=weights, dataset=data, classes=classes, hints=hints)


def _of_samples(images: np.ndarray) -> Dataset:
    """Images of which nothing is known: every second one to calibrate with, the others to verify on."""
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.dtype != np.uint8 or len(images) < _LEAST:
        raise InputError(
            f"samples: expected a number, or at least {_LEAST} uint8 images (N, H, W, C) with values 0..255, received "
            f"{images.dtype} {images.shape}"
        )
    train, test = ArraySplit({"image": images[::2]}), ArraySplit({"image": images[1::2]})
    return Dataset("the samples", (), images.shape[1:], train, test, test)
