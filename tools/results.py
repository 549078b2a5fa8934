"""What the benchmarks wrote, and how a page says where a figure is from."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from table import BENCHMARKS, RESULTS  # noqa: E402

KEPT = "kept from before files held the hash of the code: [file](../benchmarks/results/{name}.json)."
STALE = "**Older than the code that it measures.**"
NAMES = {
    "resnet8": "ResNet-8",
    "resnet20_cifar": "ResNet-20",
    "resnet32_cifar": "ResNet-32",
    "resnet44_cifar": "ResNet-44",
    "resnet56_cifar": "ResNet-56",
    "resnet110_cifar": "ResNet-110",
    "resnetv2_20_cifar": "ResNet-20, pre-activation",
    "resnetv2_164_cifar": "ResNet-164, pre-activation",
}


def markdown(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A table.

    Args:
        header: names of the columns.
        rows: cells.
    """
    lines = [tuple(header), *rows]
    lines.insert(1, tuple("---" for _ in lines[0]))
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


@cache
def content(name: str) -> dict[str, Any]:
    """A file of benchmarks/results.

    Args:
        name: its name without `.json`.
    """
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def found(name: str) -> dict[str, Any]:
    """The figures of a benchmark.

    Args:
        name: row of `BENCHMARKS`.
    """
    return content(name)["found"]


def source(name: str) -> str:
    """Command, machine and date of a benchmark, and whether its code has changed since.

    Args:
        name: row of `BENCHMARKS`.
    """
    file = content(name)
    where = f"{file['processor']}, {file['cores']} cores, {file['date']}"
    said = f"`{file['command']}`, {where}: [file](../benchmarks/results/{name}.json)."
    return f"{said} {STALE}" if BENCHMARKS[name].is_older_than_the_code() else said


def limits(name: str) -> str:
    """The limits that a benchmark missed.

    Args:
        name: row of `BENCHMARKS`.
    """
    missed = [each for each in content(name)["ratios"] if not each.get("held", True)]
    if not missed:
        return "All limits of the benchmark hold."
    return "Missed: " + "; ".join(
        f"{each['what']}, {each['ratio']:.2f} of {each['peer']} (limit {each['limit']:.2f})" for each in missed
    ) + "."  # fmt: skip


def with_source(name: str, *parts: str) -> str:
    """Parts of a page behind their source.

    Args:
        name: row of `BENCHMARKS`.
        *parts: tables and sentences.
    """
    return "\n\n".join((source(name), *parts))


def ratios(name: str, header: tuple[str, str]) -> str:
    """The ratios of a benchmark as a table.

    Args:
        name: row of `BENCHMARKS`.
        header: names of the first two columns.
    """
    rows = []
    for each in content(name)["ratios"]:
        limit = f"{each['limit']:.2f}" if "limit" in each else ""
        rows.append((each["what"], each["peer"], f"{each['ratio']:.2f}", limit))
    return markdown((*header, "ratio", "limit"), rows)
