"""`model.json` and `golden.json`: what an app in any language needs to know of a file, and vectors to test itself with.

Kotlin, JavaScript, C++ and Python read the same two files, and nothing about a model is written into an app's code.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.artifacts import LABELS, Artifact
from export.formats.table import Contents
from export.making.metadata import labels_text
from export.proof import golden
from keras_resnet import files
from keras_resnet.card import ModelCard
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.tasks import get_task
from keras_resnet.tasks.results import Numbers
from keras_resnet.tasks.table import DEFAULT

MODEL, GOLDEN = "model.json", "golden.json"
_SMALL = 64  # pixels: larger images are given in smaller numbers
_MOST_BYTES = 2_000_000  # of an output's values in all examples, of which there is one at least


def describe(runner: Runner, made: Artifact, contents: Contents, file: Path) -> dict[str, Any]:
    """What `model.json` holds.

    Args:
        runner: opened file.
        made: what was asked for.
        contents: operators and scales of the file.
        file: the file.

    Returns:
        JSON types: `input` and `output` have name, shape, dtype, and scale and zero_point where they are quantized
        (`real = scale * (value - zero_point)`); the input also mean, std and channels: `real = (pixel - mean) / std`.
        `outputs` has all of them by name where there are several. `task` says what the output means; of several tags
        `thresholds` has the probability from which each is there; of masks and boxes `form` says what the output is,
        and `colours` has one for each class; of boxes `threshold`, `overlap`, `candidates` and `most` make answers.
    """
    convention = runner.card.preprocess.for_channels(runner.image_shape[-1])
    channels = runner.image_shape[-1]
    mean, std = (np.broadcast_to(values, channels).tolist() for values in (convention.mean, convention.std))
    return {
        "version": 1,
        "file": file.name,
        "format": made.format.name,
        "precision": made.precision,
        "spec": runner.card.spec,
        "sha256": runner.card.sha256,
        "input": {
            **_tensor(runner.input, contents),
            "height": runner.image_shape[0],
            "width": runner.image_shape[1],
            "channels": convention.channels,
            "mean": mean,
            "std": std,
            "crop": runner.card.crop,
            "fit": runner.card.fit,
        },
        "output": _tensor(runner.output, contents),
        **_others(runner, contents),
        "task": runner.card.task,
        **numbers(runner.card, runner.output.shape[-1] or 0).facts,
        "labels": LABELS,
        "golden": GOLDEN,
    }


def _others(runner: Runner, contents: Contents) -> dict[str, Any]:
    """All outputs by their names, where a file has several."""
    several = len(runner.outputs) > 1
    return {"outputs": {each.name: _tensor(each, contents) for each in runner.outputs}} if several else {}


def numbers(card: ModelCard, count: int) -> Numbers:
    """What an app must know of the numbers of a file's output.

    Args:
        card: card of the file.
        count: how many there are.
    """
    return get_task(card.task).capable.numbers(card, count)


def _tensor(tensor: Tensor, contents: Contents) -> dict[str, Any]:
    scale, zero_point = contents.scales.get(tensor.name, (None, None))
    shape = [1 if size is None else size for size in tensor.shape]
    return {"name": tensor.name, "shape": shape, "dtype": tensor.dtype, "scale": scale, "zero_point": zero_point}


def write(folder: Path, model: dict[str, Any], card: ModelCard) -> None:
    """Writes `model.json`, `golden.json` and `labels.txt` beside the file, whose golden vectors must lie there.

    Args:
        folder: folder of the file.
        model: result of `describe`.
        card: card of the file.
    """
    known = numbers(card, model["output"]["shape"][-1])
    arrays, about = golden.read(golden.beside(folder / str(model["file"])))
    output = str(model["output"]["name"])
    count = golden.COUNT if max(arrays["pixels"].shape[1:3]) <= _SMALL else 2
    count = min(count, _affordable([arrays[name] for name in model.get("outputs", [output])]))
    chosen = {
        "pixels": arrays["pixels"],
        "input": arrays["input"],
        "output": arrays.get(f"{output}_raw", arrays[output]),
        known.output: arrays[output],
    }
    for name in model.get("outputs", {}):
        chosen[name] = arrays[name]
    if _is_map(arrays[output]) and f"{output}_raw" not in arrays:
        del chosen["output"]  # it is large, and not given twice
    best = {"top1": arrays[output][:count].argmax(axis=1).tolist()} if card.task == DEFAULT else {}
    text = {
        "engine": about["engine"],
        "tolerance": golden.tolerance(about, output),
        **_tolerances(about, model),
        "count": min(count, len(arrays["pixels"])),
        "encoding": "base64 of little-endian arrays: pixels uint8 RGB, input and output as model.json has them, "
        f"{known.output} float32",
        **best,
        **{name: _base64(values[:count]) for name, values in chosen.items()},
    }
    for name, value in ((MODEL, model), (GOLDEN, text)):
        with files.writing(folder / name, overwrite=True) as temporary:
            temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    (folder / LABELS).write_text(labels_text(known.names), encoding="utf-8")


def _tolerances(about: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """The largest difference of every output that is no error, where there are several."""
    names = model.get("outputs", {})
    return {"tolerances": {name: golden.tolerance(about, name) for name in names}} if names else {}


def _affordable(outputs: Sequence[np.ndarray]) -> int:
    """How many examples' outputs are given, one at least."""
    return max(1, _MOST_BYTES // (4 * sum(int(np.prod(values.shape[1:])) for values in outputs)))


def _is_map(values: np.ndarray) -> bool:
    return values.ndim > 2


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()).decode()
