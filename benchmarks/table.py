"""The table of benchmarks: what each measures, needs and takes, and whether the code is still what was measured."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_NETS = ("keras_resnet/builder.py", "keras_resnet/nets/**/*.py")
_TRAINING = (*_NETS, "keras_resnet/training/**/*.py", "keras_resnet/data/augment.py", "keras_resnet/tasks/**/*.py")
_STEP = (*_NETS, "keras_resnet/training/optimization.py", "keras_resnet/training/precision.py")
_WORKERS = (
    "keras_resnet/training/strategy.py",
    "keras_resnet/training/devices.py",
    "keras_resnet/training/checkpoints.py",
)
_EXPORT = ("export/making/*.py", "export/formats/*.py", "export/model/*.py", "export/proof/*.py")
_RUNTIME = ("keras_resnet/runtime/*.py", "keras_resnet/evaluation/**/*.py", "keras_resnet/signals/*.py")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A row.

    Attributes:
        name: script `benchmarks/NAME.py`, which writes `benchmarks/results/NAME.json`.
        measures: patterns of the sources that the figures depend on.
        minutes: duration of the full form on two cores of 2026.
        options: arguments of the full form; `{CIFAR10_DIR}` and the like stand for folders.
        smallest: arguments of the smallest form besides `--smallest`, which the proof tier runs.
        needs: names of environments (`tools/environment.py`) without which it cannot run.
        alone: whether times are measured, so that nothing else may run.
    """

    name: str
    measures: tuple[str, ...]
    minutes: int
    options: tuple[str, ...] = ()
    smallest: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    alone: bool = True

    @property
    def result(self) -> Path:
        """File with the figures of the full form."""
        return RESULTS / f"{self.name}.json"

    def code(self) -> str:
        """Hash of the code that is measured."""
        paths = {path for pattern in self.measures for path in ROOT.glob(pattern)}
        missing = [pattern for pattern in self.measures if not any(ROOT.glob(pattern))]
        if missing:
            raise ValueError(f"benchmark {self.name}: there is no {missing[0]}")
        return hashed(sorted(paths))

    def found(self) -> dict[str, Any] | None:
        """What the full form wrote; None where it was never run."""
        return json.loads(self.result.read_text(encoding="utf-8")) if self.result.is_file() else None

    def is_older_than_the_code(self) -> bool:
        """Whether the code has changed since the figures were measured."""
        found = self.found()
        return found is not None and found["code"] != self.code()


def hashed(paths: Iterable[Path]) -> str:
    """SHA-256 of what is executed of Python files: lines without docstrings, comments and empty ones.

    Args:
        paths: files, in an order of their own.
    """
    digest = hashlib.sha256()
    for path in paths:
        text = path.read_text(encoding="utf-8")
        left_out = {number for node in ast.walk(ast.parse(text)) for number in _docstring(node)}
        for number, line in enumerate(text.splitlines(), 1):
            if number not in left_out and line.strip() and not line.lstrip().startswith("#"):
                digest.update(line.rstrip().encode() + b"\n")
    return digest.hexdigest()


def _docstring(node: ast.AST) -> range:
    """Numbers of a docstring's lines."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if not isinstance(node, holders) or ast.get_docstring(node, clean=False) is None:
        return range(0)
    first = node.body[0]
    return range(first.lineno, (first.end_lineno or first.lineno) + 1)


_ROWS = (
    Benchmark(
        name="startup",
        measures=(
            "keras_resnet/__init__.py",
            "keras_resnet/console.py",
            "keras_resnet/program.py",
            "export/program.py",
        ),
        minutes=1,
    ),
    Benchmark(name="build", measures=_NETS, minutes=4),
    Benchmark(name="training", measures=_STEP, minutes=10, needs=("timm",), smallest=("--without", "pytorch")),
    Benchmark(
        name="input_pipeline",
        measures=("keras_resnet/data/**/*.py", "keras_resnet/signals/*.py"),
        minutes=2,
        needs=("timm",),
        smallest=("--without", "pytorch"),
    ),
    Benchmark(name="distributed", measures=(*_STEP, *_WORKERS), minutes=6),
    Benchmark(name="prediction", measures=(*_NETS, *_RUNTIME), minutes=10),
    Benchmark(
        name="detection",
        measures=(*_NETS, "keras_resnet/tasks/detection/*.py", "keras_resnet/runtime/*.py", *_EXPORT),
        minutes=4,
    ),
    Benchmark(
        name="segmentation",
        measures=(*_NETS, *_RUNTIME, "keras_resnet/tasks/segmentation/*.py", "keras_resnet/data/*.py", *_EXPORT),
        minutes=5,
    ),
    Benchmark(name="conversions", measures=(*_NETS, *_EXPORT), minutes=12),
    Benchmark(name="files", measures=_EXPORT, minutes=15, options=("--data", "{CIFAR10_DIR}"), alone=False),
    Benchmark(
        name="mlperf_tiny",
        measures=_EXPORT,
        minutes=8,
        options=("--data", "{CIFAR10_DIR}", "--mlperf", "{MLPERF_DIR}"),
        needs=("tflm",),
    ),
    Benchmark(name="recipes", measures=_TRAINING, minutes=5, options=("--data", "{CIFAR10_DIR}"), alone=False),
    Benchmark(name="evaluation", measures=_RUNTIME, minutes=5, options=("--data", "{CIFAR10_DIR}"), alone=False),
    Benchmark(name="transfer", measures=_TRAINING, minutes=10, options=("--data", "{CIFAR10_DIR}"), alone=False),
    Benchmark(name="tasks", measures=_TRAINING, minutes=10, options=("{DATA_DIR}", "--test"), alone=False),
    Benchmark(
        name="lab",
        measures=(*_TRAINING, "keras_resnet/lab/**/*.py"),
        minutes=60,
        options=("--data", "{CIFAR10_DIR}", "--out", "{RUNS_DIR}/lab"),
        alone=False,
    ),
    Benchmark(
        name="compression",
        measures=(*_TRAINING, "keras_resnet/compression/**/*.py", "export/smaller/*.py"),
        minutes=720,
        options=("--data", "{CIFAR10_DIR}", "--runs", "{RUNS_DIR}/compression", "--jobs", "2"),
        alone=False,
    ),
)
BENCHMARKS: dict[str, Benchmark] = {row.name: row for row in _ROWS}
