"""What a target's module works with: the request, the folder that it completes, and the checks that it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.artifacts import Artifact
from export.model.evidence import Evidence
from export.model.source import Source
from export.proof import golden
from export.proof.verification import FEW
from export.targets.table import Target
from keras_resnet.errors import InputError
from keras_resnet.nets.graph import multiply_adds
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.opening import open_runner
from keras_resnet.runtime.outside import OUTSIDE
from keras_resnet.tasks import get_task
from keras_resnet.tasks.table import DEFAULT

_BUDGET = 60.0  # seconds of a slow engine
AGREEMENT = 0.995  # of another engine's top-1 with our own runner's


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for.

    Attributes:
        source: the model and its data.
        target: row of `TARGETS`.
        made: the file.
        options: options of the target by name; only those that were given.
    """

    source: Source
    target: Target
    made: Artifact
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of an image as the file takes it."""
        return self.made.shape_of(self.source.shape)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was tried at the target, or why it was not.

    Attributes:
        name: what was tried.
        wanted: what was expected, in words or figures.
        found: what was found, in words or figures; the reason where it was not tried.
        passed: None where it was not tried.
    """

    name: str
    wanted: str
    found: str
    passed: bool | None

    @property
    def verdict(self) -> str:
        """For people."""
        return {True: "held", False: "FAILED", None: "not run here"}[self.passed]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return {"name": self.name, "wanted": self.wanted, "found": self.found, "passed": self.passed}


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A folder with the file and its description, which a target's module completes.

    Attributes:
        request: what was asked for.
        folder: folder to complete.
        file: the exported file.
        model: what `model.json` holds.
        runner: exported file on our own runtime.
        evidence: at most 500 test images.
        say: function that is told what is being done.
    """

    request: Request
    folder: Path
    file: Path
    model: Mapping[str, Any]
    runner: Runner
    evidence: Evidence
    say: Callable[[str], None]

    @property
    def task(self) -> str:
        """What the file's outputs mean: row of `tasks.TASKS`."""
        return self.runner.card.task

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Answers of our own runtime on the evidence: `(n, classes)`; of a regression `(n, values)`."""
        return self.evidence.run(self.runner, self.runner.card.preprocess)[self.runner.output.name]

    @property
    def golden(self) -> Path:
        """The golden vectors beside the file."""
        return golden.beside(self.file)

    def add(self, name: str, text: str) -> None:
        """Writes a text file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def agreement(self, name: str, probabilities: np.ndarray, least: float = AGREEMENT) -> Check:
        """Whether another way to run the file picks our own runner's classes or tags.

        Args:
            name: name of the check.
            probabilities: `(n, classes)` of the first n images of the evidence.
            least: lowest passing fraction of images with equal top-1, or of equal tags.
        """
        own, output = self.probabilities[: len(probabilities)], self.runner.output.name
        task = get_task(self.task)
        share = float(task.code.agreement({output: own}, {output: probabilities}, self.runner.card).mean())
        right = ""
        labels = self.evidence.truth.get("label")
        if labels is not None:
            labels = labels[: len(probabilities)]
            right = f"; top-1 {(probabilities.argmax(axis=1) == labels).mean():.2%}"
        apart = float(np.abs(own - probabilities).max())
        what = "top-1" if self.task == DEFAULT else "tags"
        found = f"{share:.2%} of {len(own)} images{right}; largest difference {apart:.2g}"
        return Check(name=name, wanted=f"{what} of our own runner on {least:.1%}", found=found, passed=share >= least)

    def affordable(self, seconds: float, most: int) -> int:
        """How many images a slow engine is asked for: what takes about a minute, and no fewer than two.

        Args:
            seconds: seconds that the engine takes for a billion multiply-adds.
            most: number of images at most.
        """
        try:
            billions = multiply_adds(self.request.source.model) / 1e9
        except InputError:
            billions = 1.0
        return int(min(most, max(2, _BUDGET / (seconds * max(billions, 1e-6)))))

    def on(self, engine: str, count: int = FEW) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        """Probabilities of an outside engine on the first images, and what else it knows.

        Raises:
            InputError: the engine refuses the file.
        """
        self.say(f"{self.request.target.name}: running {count} images on {OUTSIDE[engine].summary}")
        other = open_runner(self.file, engine=engine, trusted=True)
        few = self.evidence.first(count)
        return few.run(other, other.card.preprocess)[other.output.name], getattr(other, "facts", {})


def refused(name: str, error: InputError) -> Check:
    """A check whose engine did not take the file."""
    return Check(name=name, wanted="answers", found=str(error)[:300], passed=False)


def not_run(name: str, why: str) -> Check:
    """A check that could not be tried."""
    return Check(name=name, wanted="", found=why, passed=None)
