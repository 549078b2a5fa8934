"""Engines that cannot live in this environment: each has a Python of its own and a script that imports nothing of ours.

A new one is a row of `OUTSIDE` and a script `run_NAME.py MODEL IMAGES.npy ANSWER.npz`, which writes the outputs as
`output_0`, `output_1`, ... in the file's order, each with one row per image, and whatever else it knows.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet import processes
from keras_resnet.errors import InputError
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.tflite import TFLiteRunner, dequantize, quantize
from keras_resnet.signals.conventions import PREPROCESS

_HERE = Path(__file__).resolve().parent
ROOTS = (Path("."), _HERE.parents[2])  # where environments are looked for: the current folder, the clone


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A Python that has the engine.

    Attributes:
        name: value of `--engine`.
        python: path at which `tools/environment.py NAME` puts the interpreter.
        script: name of a script beside this file.
        pixels: whether the engine takes RGB pixels and normalises by the file's metadata itself.
        seconds: longest time of a call.
        summary: what the runtime is, for people.
    """

    name: str
    python: str
    script: str
    summary: str
    pixels: bool = False
    seconds: int = 1800

    @property
    def variable(self) -> str:
        """Environment variable that names another interpreter."""
        return f"KERAS_RESNET_{self.name.upper()}_PYTHON"

    def find(self) -> Path | None:
        """The interpreter, None where there is none."""
        if self.variable in os.environ:
            return Path(os.environ[self.variable])
        found = [root / self.python for root in ROOTS if (root / self.python).exists()]
        return found[0].absolute() if found else None

    @property
    def missing(self) -> str:
        """What to do where there is none."""
        return f"run 'make check-{self.name}' in the clone once, or set {self.variable} to a Python that has it"

    def run(self, model: Path, values: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the engine in a child process.

        Args:
            model: TFLite file.
            values: one row per image, of the file's input dtype; uint8 pixels where the engine takes these.

        Returns:
            What the script wrote.

        Raises:
            InputError: there is no such environment, or the engine refuses the file.
        """
        python = self.find()
        if python is None:
            raise InputError(f"engine {self.name} ({self.summary}) is not here: {self.missing}")
        with tempfile.TemporaryDirectory() as folder:
            images, answer = Path(folder, "images.npy"), Path(folder, "answer.npz")
            np.save(images, values)
            files = [_HERE / self.script, Path(model).absolute(), images, answer]
            try:
                child = processes.run([python, "-I", *files], seconds=self.seconds)
            except TimeoutError as error:
                raise InputError(f"engine {self.name} did not answer within {self.seconds} s") from error
            except OSError as error:
                raise InputError(f"engine {self.name}: {python} cannot be run ({error}); {self.missing}") from error
            if child.status != 0 or not answer.exists():
                raise InputError(f"engine {self.name} refuses {model}{child.signal_text}: {child.last_words()}")
            with np.load(answer, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}


OUTSIDE: dict[str, Environment] = {
    row.name: row
    for row in (
        Environment(
            name="tflm",
            python=".venv-tflm/bin/python",
            script="run_tflm.py",
            summary="TFLite Micro, the reference kernels of microcontrollers",
        ),
        Environment(
            name="mediapipe",
            python=".venv-mediapipe/bin/python",
            script="run_mediapipe.py",
            summary="MediaPipe's ImageClassifier, ImageSegmenter and ObjectDetector",
            pixels=True,
        ),
        Environment(
            name="arm64",
            python=".arm64/python",
            script="run_litert.py",
            summary="LiteRT on an emulated 64-bit ARM processor",
        ),
    )
}


class OutsideRunner(Runner):
    """A TFLite file on an engine in another environment."""

    chunk = 2048  # starting the other Python takes seconds

    def __init__(self, path: Path, threads: int | None = None, engine: str = "tflm"):
        """Opens a file; raises InputError where LiteRT or the environment refuses it."""
        del threads  # one, in all of them
        self._path, self._environment = Path(path), OUTSIDE[engine]
        self._own = TFLiteRunner(path, threads=1)
        self.card, self.input, self.outputs = self._own.card, self._own.input, self._own.outputs
        if self._environment.pixels and self.card.preprocess != PREPROCESS["none"]:
            raise InputError(
                f"engine {engine} takes pixels, and {path} wants them normalized: export it with --input raw"
            )
        self.facts: dict[str, np.ndarray] = {}

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network; see `Runner`. What else the engine knows is in `facts` afterwards."""
        details = list(self._own.details.values())
        if self._environment.pixels:
            answer = self._environment.run(self._path, np.clip(np.round(images), 0, 255).astype(np.uint8))
        else:
            answer = self._environment.run(self._path, quantize(images, self._own.input_details))
        raw = {each["name"]: answer.pop(f"output_{i}", None) for i, each in enumerate(details)}
        self.facts = answer
        outputs = {}
        for each in details:
            values = raw[each["name"]]
            if values is None or len(values) != len(images):
                raise InputError(f"engine {self._environment.name} gave no output {each['name']} for every image")
            outputs[each["name"]] = values if values.dtype == np.float32 else dequantize(values, each)
        return {tensor.name: outputs[tensor.name] for tensor in self.outputs}
