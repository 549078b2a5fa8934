#!/usr/bin/env python3
"""Measures what is missing or older than the code, and renders the tables: tools/figures.py [NAME ...] [--anew].

Folders come from the environment: CIFAR10_DIR (official binary files), MLPERF_DIR (MLPerf Tiny's files), DATA_DIR
(bccd/ and camvid/), RUNS_DIR for trainings that can be interrupted (default runs/figures). Exit status 1 where a
benchmark failed or missed a limit; the others are run all the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from table import BENCHMARKS, Benchmark  # noqa: E402

_MISSED = 1


def options(row: Benchmark) -> list[str]:
    """The arguments of a benchmark's full form.

    Args:
        row: the benchmark.

    Raises:
        KeyError: an environment variable is not set.
    """
    return [each.format_map(os.environ) for each in row.options]


def run(row: Benchmark) -> str:
    """Measures; gives what came of it in a word or two.

    Args:
        row: the benchmark.
    """
    try:
        arguments = options(row)
    except KeyError as missing:
        return f"needs the environment variable {missing.args[0]}"
    for name in row.needs:
        subprocess.run([sys.executable, ROOT / "tools" / "environment.py", name], check=True)
    command = [sys.executable, str(ROOT / "benchmarks" / f"{row.name}.py"), *arguments]
    print(f"\n$ {' '.join(command)}", flush=True)
    status = subprocess.run(command, cwd=ROOT).returncode
    if status not in (0, _MISSED):
        return f"failed, exit status {status}"
    return "limits missed" if status else "held"


def main() -> int:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"by default all: {', '.join(BENCHMARKS)}")
    parser.add_argument("--anew", action="store_true", help="also what is as old as the code")
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(BENCHMARKS)):
        parser.error(f"{unknown[0]}: expected some of {', '.join(BENCHMARKS)}")
    os.environ.setdefault("RUNS_DIR", str(ROOT / "runs" / "figures"))
    wanted = [BENCHMARKS[name] for name in args.names or BENCHMARKS]
    due = [row for row in wanted if args.anew or row.found() is None or row.is_older_than_the_code()]
    print(f"{len(due)} of {len(wanted)} benchmarks, about {sum(row.minutes for row in due)} minutes")
    if any(row.alone for row in due) and os.getloadavg()[0] > 0.5:
        print(f"warning: the load is {os.getloadavg()[0]:.1f}; times are for an idle machine", file=sys.stderr)
    came = {row.name: "as old as the code" for row in wanted if row not in due}
    for row in due:
        start = time.monotonic()
        came[row.name] = f"{run(row)} ({(time.monotonic() - start) / 60:.0f} minutes)"
    status = subprocess.run([sys.executable, ROOT / "tools" / "tables.py"]).returncode
    print()
    for name, words in came.items():
        print(f"{name:16} {words}")
    return int(status != 0 or any(not words.startswith(("held", "as old")) for words in came.values()))


if __name__ == "__main__":
    sys.exit(main())
