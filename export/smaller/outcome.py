"""What a compression came to: figures of the files, gates, and how they are shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from export.proof.gates import Gate
from keras_resnet import console, machine
from keras_resnet.compression.settings import Settings
from keras_resnet.errors import GateError
from keras_resnet.tasks import get_task
from keras_resnet.tasks.table import DEFAULT
from keras_resnet.training.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file of the comparison.

    Attributes:
        what: description, for tables.
        file: name of the file; empty where it was measured and not kept.
        score: headline score of the task on the test images, a fraction.
        drop: points lost against the original in float32.
        size_bytes: size of the file in bytes.
        gzip_bytes: size in bytes as downloads and app stores pack the file.
        latency_ms: milliseconds of one image on one thread.
    """

    what: str
    file: str
    score: float
    drop: float
    size_bytes: int
    gzip_bytes: int
    latency_ms: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a compression came to.

    Attributes:
        folder: folder with all files.
        model: the compressed Keras model, under a name that says so if a gate failed.
        settings: what was done.
        engine: trainer that did it.
        recipe: recipe of the training.
        seconds: duration of the training.
        entries: the original and the compressed files.
        gates: gates of the compression; gates of the files are in their manifests.
        images: images that accuracy was measured on, in words.
        task: row of `TASKS`.
        teacher: model whose answers the recipe's `distillation` mixed into the targets, in words.
        processor: processor that the files were measured on.
    """

    folder: Path
    model: Path
    settings: Settings
    engine: str
    recipe: Recipe
    seconds: float
    entries: tuple[Entry, ...]
    gates: tuple[Gate, ...]
    images: str
    teacher: str
    task: str = DEFAULT
    processor: str = field(default_factory=machine.processor)

    @property
    def passed(self) -> bool:
        """All gates held."""
        return all(gate.passed for gate in self.gates)

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "method": self.settings.name,
            "engine": self.engine,
            "model": str(self.model),
            "settings": self.settings.to_json(),
            "recipe": self.recipe.to_json(),
            "seconds": self.seconds,
            "images": self.images,
            "processor": self.processor,
            "teacher": self.teacher,
            "entries": [{_named(key, self.task): v for key, v in asdict(each).items()} for each in self.entries],
            "gates": [asdict(gate) for gate in self.gates],
        }

    def print(self) -> None:
        """A table of the files, and the gates."""
        columns = ("what", get_task(self.task).score.name, "drop, points", "kB", "kB gzip", "gzip ratio", "ms")
        base = self.entries[0].gzip_bytes
        rows = [
            (
                entry.what,
                f"{entry.score:.2%}",
                f"{entry.drop:+.2f}",
                f"{entry.size_bytes / 1000:,.1f}",
                f"{entry.gzip_bytes / 1000:,.1f}",
                f"{entry.gzip_bytes / base:.2f}",
                f"{entry.latency_ms:.3f}",
            )
            for entry in self.entries
        ]
        taught = f", taught by {self.teacher}" if self.teacher else ""
        title = f"{self.settings.name} by {self.engine}, {self.seconds:,.0f} s of training{taught}, on {self.images}"
        console.print_table(title, columns, rows)
        print(f"processor: {self.processor}; accuracy in 8 bits may differ by {machine.INT8_POINTS} points on another")
        for gate in self.gates:
            mark = "passed" if gate.passed else "FAILED"
            print(f"{mark}: {gate.name} {_text(gate.value)}, limit {_text(gate.limit)}")

    def raise_if_failed(self) -> None:
        """Turns failed gates into an exit status.

        Raises:
            GateError: some gate did not hold.
        """
        failed = [f"{g.name} {_text(g.value)}, limit {_text(g.limit)}" for g in self.gates if not g.passed]
        if failed:
            raise GateError(f"{'; '.join(failed)}: the compressed model is kept as {self.model}")


def _named(key: str, task: str) -> str:
    """Name of an entry's field in JSON: the score has the task's."""
    return get_task(task).score.key if key == "score" else key


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
