"""What all benchmarks share: their options, interleaved medians, limits, and the file with the figures.

Exit status 1 means that a limit was missed; the figures are written all the same. A benchmark that cannot measure what
it is for ends with 2 and writes nothing. Neighbours make noise; ratios within one run bear it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from table import BENCHMARKS

from keras_resnet import machine

PACKAGES = ("tensorflow", "keras", "tf_keras", "numpy", "tf2onnx", "onnxruntime", "ai-edge-litert", "litert-quantizer")
FOLDERS = ("CIFAR10_DIR", "MLPERF_DIR", "DATA_DIR", "RUNS_DIR")
MISSED, FAILED = 1, 2


def parser(description: str | None) -> argparse.ArgumentParser:
    """The parser with the options of every benchmark.

    Args:
        description: docstring of the script.
    """
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--smallest", action="store_true", help="as little as shows that it works; limits are not judged")
    made.add_argument("--json", type=Path, metavar="FILE", help="file of the figures (benchmarks/results/NAME.json)")
    return made


def cifar_option(made: argparse.ArgumentParser) -> None:
    """Adds `--data DIR` with CIFAR-10's files.

    Args:
        made: parser.
    """
    folder = os.environ.get("CIFAR10_DIR")
    made.add_argument("--data", type=Path, default=folder, required=not folder, metavar="DIR", help="CIFAR-10's files")


class Figures:
    """The figures of a run."""

    def __init__(self, name: str, args: argparse.Namespace):
        """Notes when and where.

        Args:
            name: row of `BENCHMARKS`.
            args: result of `parser`.
        """
        self.row, self.smallest = BENCHMARKS[name], args.smallest
        self.path = args.json or (None if args.smallest else self.row.result)
        self.load, self.start = os.getloadavg()[0], time.monotonic()
        self.found: dict[str, Any] = {}
        self.ratios: list[dict[str, Any]] = []
        self.versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        self.code = self.row.code()  # that is run, whatever is edited meanwhile

    def __setitem__(self, key: str, value: object) -> None:
        """Keeps a figure.

        Args:
            key: its name.
            value: JSON types.
        """
        self.found[key] = value

    def ratio(self, what: str, ours: float, theirs: float, peer: str, limit: float | None = None, unit: str = "s"):
        """Keeps and prints a ratio; one without a limit is only shown.

        Args:
            what: what was measured.
            ours: our figure.
            theirs: figure of the peer.
            peer: what it is compared with.
            limit: largest ratio.
            unit: of both.
        """
        limit = None if self.smallest else limit
        ratio = ours / theirs
        held = limit is None or ratio <= limit
        self.ratios.append(
            {"what": what, "peer": peer, "ours": ours, "theirs": theirs, "unit": unit, "ratio": round(ratio, 3)}
            | ({} if limit is None else {"limit": round(limit, 3), "held": held})
        )
        asked = "" if limit is None else f"(limit {limit:.2f}) {'held' if held else 'NOT HELD'}"
        print(f"{what:42} {ours:9.4g} {unit}   {peer} {theirs:9.4g} {unit}   ratio {ratio:.2f} {asked}", flush=True)

    def limit(self, what: str, value: float, limit: float, unit: str = "") -> None:
        """Keeps and prints a figure that has a limit of its own.

        Args:
            what: what was measured.
            value: the figure.
            limit: largest value.
            unit: of both.
        """
        self.ratio(what, value, limit, "the limit", 1.0, unit)

    def finish(self) -> int:
        """Writes the file; gives the exit status, 1 where a limit was missed."""
        missed = [each["what"] for each in self.ratios if not each.get("held", True)]
        content = {
            "benchmark": self.row.name,
            "form": "smallest" if self.smallest else "full",
            "command": command(),
            "date": time.strftime("%Y-%m-%d"),
            "processor": machine.processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "load": round(self.load, 2),
            "python": platform.python_version(),
            "versions": self.versions,
            "code": self.code,
            "seconds": round(time.monotonic() - self.start),
            "found": self.found,
            "ratios": self.ratios,
        }
        if self.path:
            write(self.path, content)
            print(f"figures: {self.path}")
        if missed:
            print(f"missed: {', '.join(missed)}")
            return MISSED
        return 0


def run(main: Callable[[], int]) -> NoReturn:
    """Ends the process with the exit status of a benchmark; an exception, Python's own status 1, is none of a limit.

    Args:
        main: measures.
    """
    try:
        status = main()
    except Exception:
        traceback.print_exc()
        status = FAILED
    sys.exit(status)


def command() -> str:
    """The command line that was typed, with folders by the names of `FOLDERS` and the script from the root."""
    words = [f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]
    if "--json" in words:  # where the figures go is no part of what was measured
        del words[words.index("--json") : words.index("--json") + 2]
    for name in FOLDERS:
        if folder := os.environ.get(name):
            words = [f"${name}{word.removeprefix(folder)}" if word.startswith(folder) else word for word in words]
    return " ".join(["python", *words])


def write(path: Path, content: object) -> None:
    """Writes a file of JSON beside and renames it.

    Args:
        path: file.
        content: JSON types.
    """
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".partial", delete=False, encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    repeats: int,
    prepare: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Runs all candidates in turn, `repeats` times after one round of warm-up.

    Args:
        candidates: what to time, by name.
        repeats: rounds.
        prepare: called before each, not timed.
        clock: wall time by default; `time.process_time` for work of one thread on a machine with neighbours.

    Returns:
        The median seconds of each.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for round_number in range(repeats + 1):
        for name, work in candidates.items():
            prepare()
            start = clock()
            work()
            if round_number:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}
