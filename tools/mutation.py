#!/usr/bin/env python3
"""Says what a test suite notices: puts thirty mechanical faults into the sources, one at a time, and runs the tests.

    tools/mutation.py run                    thirty faults against `make test`: a table, status 1 below 28 found
    tools/mutation.py run --old 0bba87a      what is missed, against the whole suite of that commit as well
    tools/mutation.py check                  whether every fault still applies; files that move take their faults along
    tools/mutation.py choose                 sixty candidates anew, from the sources as they are (seed 0)

Sixty candidates are drawn by a seeded sample from all faults that the operators of `mutation_faults.py` can make; the
thirty are the first three of every area and the next six, without those that are marked as equivalent: no test can
notice them. A fault's tests are those that ran its function, cheap ones first, until one fails. Nothing happens in the
working tree: everything runs in copies.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import mutation_faults
from mutation_faults import AREAS, Fault, NotApplicable

from keras_resnet import console
from keras_resnet.errors import GateError, InputError

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tools" / "mutation.json"
CANDIDATES, CHOSEN, PER_AREA, ENOUGH = 60, 30, 3, 28
_OWN_TEST = "tests/test_tools.py::test_every_fault_still_applies"  # no fault applies to sources that have one
_LIMIT = 1800  # seconds of one fault's tests; a fault may loop for ever, and is noticed then


# ---- the table of candidates


def choose(seed: int = 0) -> list[Fault]:
    """Draws sixty candidates: operators alike, at most one fault of a function, areas as even as they go."""
    draw = random.Random(seed)
    by_area: dict[str, list[Fault]] = {area: [] for area in AREAS}
    for fault in mutation_faults.every_fault(ROOT):
        by_area[fault.area].append(fault)
    used, candidates = set(), []
    while len(candidates) < CANDIDATES:
        for area in draw.sample(list(AREAS), len(AREAS)):
            free = [fault for fault in by_area[area] if (fault.module, fault.function) not in used]
            operators = sorted({fault.operator for fault in free})
            if not free or len(candidates) == CANDIDATES:
                continue
            kind = draw.choice(operators)
            fault = draw.choice([fault for fault in free if fault.operator == kind])
            used.add((fault.module, fault.function))
            candidates.append(fault)
    return candidates


def read_table() -> tuple[list[Fault], dict[str, str]]:
    """The candidates in their order, and the reasons of those that no test can notice, by name."""
    rows = json.loads(TABLE.read_text(encoding="utf-8"))
    reasons = {}
    candidates = []
    for row in rows:
        reason = row.pop("equivalent", None)
        candidates.append(Fault(**row))
        if reason:
            reasons[candidates[-1].name] = reason
    return candidates, reasons


def thirty() -> list[Fault]:
    """The first three candidates of every area and the next six, equivalent ones left out."""
    candidates, equivalent = read_table()
    usable = [fault for fault in candidates if fault.name not in equivalent]
    chosen = [fault for area in AREAS for fault in [f for f in usable if f.area == area][:PER_AREA]]
    rest = [fault for fault in usable if fault not in chosen]
    chosen += rest[: CHOSEN - len(chosen)]
    if len(chosen) < CHOSEN:
        raise InputError(f"{len(chosen)} candidates are left, expected {CHOSEN}: `tools/mutation.py choose`")
    return [fault for fault in candidates if fault in chosen]


def no_longer_apply(faults: Iterable[Fault]) -> list[str]:
    """What each fault misses that cannot be made any more."""
    lost = []
    for fault in faults:
        try:
            mutation_faults.mutated(fault, ROOT)
        except NotApplicable as error:
            lost.append(str(error))
    return lost


# ---- copies and runs


def copy_of_the_tree(folder: Path, tests_of: str | None = None) -> Path:
    """Copies what git knows, as it is now; the tests, and how they are run, of another commit where one is given."""
    listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    if tests_of:
        shutil.rmtree(folder / "tests")
        archive = subprocess.run(
            ["git", "archive", tests_of, "tests", "pyproject.toml"], cwd=ROOT, check=True, capture_output=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    shared = ROOT.parent / "shared"
    if shared.exists() and not (folder.parent / "shared").exists():
        (folder.parent / "shared").symlink_to(shared)  # tests on real data look there
    return folder


def pytest_in(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs pytest on a copy; its sources come before an installed package."""
    paths = [str(folder), str(folder / "tools")]
    own = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-r", "", *arguments],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
    )


def tests_by_fault(faults: Sequence[Fault], folder: Path) -> dict[str, list[str]]:
    """Runs the whole suite once, every fault's function saying when it runs.

    Args:
        faults: to find the tests of.
        folder: empty, for the copy.

    Returns:
        Test names by the fault's name, cheap ones first.

    Raises:
        GateError: the suite fails without any fault.
    """
    copy = copy_of_the_tree(folder)
    for fault in faults:
        path, text = mutation_faults.probed(fault, copy)
        path.write_text(text, encoding="utf-8")
    hits = folder.parent / "hits.jsonl"
    apart = ["--no-budgets", "--deselect", _OWN_TEST]
    done = pytest_in(copy, "-p", "mutation_probe", "-n", "2", "--dist", "worksteal", *apart, MUTATION_HITS=str(hits))
    if done.returncode:
        raise GateError(f"the tests fail without a fault: {done.stdout[-2000:]}")
    fixtures, seconds, contexts = {}, {}, defaultdict(set)
    for line in hits.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "fixtures" in row:
            fixtures[row["test"]] = set(row["fixtures"])
        elif "seconds" in row:
            seconds[row["test"]] = row["seconds"]
        else:
            contexts[row["fault"]].add(row["context"])
    return {
        fault.name: sorted(
            (test for test in seconds if _ran(test, fixtures.get(test, ()), contexts[fault.name])),
            key=lambda test: (seconds[test], test),
        )
        for fault in faults
    }


def _ran(test: str, fixtures: Iterable[str], contexts: set[str]) -> bool:
    return test in contexts or any(f"fixture {name}" in contexts for name in fixtures)


def noticed(fault: Fault, tests: Sequence[str], tests_of: str | None = None) -> str | None:
    """Puts a fault into a copy and runs tests until one fails.

    Args:
        fault: to make.
        tests: names; none: the whole suite.
        tests_of: commit whose tests run, None for those of the tree.

    Returns:
        Name of the test that failed, None where none did.
    """
    with tempfile.TemporaryDirectory() as temporary:
        copy = copy_of_the_tree(Path(temporary) / "tree", tests_of)
        path, text = mutation_faults.mutated(fault, copy)
        path.write_text(text, encoding="utf-8")
        listed = Path(temporary) / "tests.txt"
        listed.write_text("\n".join(tests), encoding="utf-8")
        # A fault is noticed by a test, not by what the tests cost; suites of earlier commits have no budgets.
        how = [f"@{listed}", "--no-budgets"] if tests else ["-n", "2", "--dist", "loadfile"]
        try:
            done = pytest_in(copy, "-x", "--tb=no", "-rfE", *how)
        except subprocess.TimeoutExpired:
            return "(time limit)"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return lines[0].split(" ", 1)[1].split(" - ")[0] if lines else f"(pytest ended with {done.returncode})"


# ---- commands


def run(arguments: argparse.Namespace) -> None:
    """Runs the check.

    Raises:
        GateError: less than 28 faults were noticed.
    """
    faults = thirty()
    if arguments.only:
        faults = [fault for fault in faults if arguments.only in fault.name]
    lost = no_longer_apply(faults)
    if lost:
        raise GateError("; ".join(lost))
    start = time.time()
    with tempfile.TemporaryDirectory() as temporary:
        _say("running the suite once to see which tests run which functions")
        tests = tests_by_fault(faults, Path(temporary) / "tree")
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        found = dict(zip((f.name for f in faults), pool.map(lambda f: _one(f, tests[f.name]), faults), strict=True))
    rows = [{**dataclasses.asdict(f), "tests": len(tests[f.name]), "noticed_by": found[f.name]} for f in faults]
    for fault, row in zip(faults, rows, strict=True):
        if arguments.old and row["noticed_by"] is None:
            _say(f"{fault.name}: running the suite of {arguments.old}")
            row["noticed_by_old"] = noticed(fault, (), arguments.old)
    _report(rows, arguments.json, time.time() - start)
    count = sum(row["noticed_by"] is not None for row in rows)
    if count < len(rows) - (CHOSEN - ENOUGH):
        raise GateError(f"{count} of {len(rows)} faults were noticed, expected {ENOUGH} of {CHOSEN}")


def _one(fault: Fault, tests: Sequence[str]) -> str | None:
    if not tests:
        _say(f"{fault.name}: no test runs it")
        return None
    found = noticed(fault, tests)
    _say(f"{fault.name}: {found or f'missed by {len(tests)} tests'}")
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report(rows: Sequence[Mapping[str, object]], path: Path | None, seconds: float) -> None:
    shown = [[row["area"], f"{row['module']}:{row['function']}", row["before"][:40], row["after"][:40], row["tests"],
              row["noticed_by"] or "MISSED"] for row in rows]  # fmt: skip
    console.print_table("faults", ["area", "where", "before", "after", "tests", "noticed by"], shown)
    count = sum(row["noticed_by"] is not None for row in rows)
    print(f"{count} of {len(rows)} faults noticed in {seconds / 60:.0f} min")
    console.write_json(path, rows)


def check() -> None:
    """Prints whether the faults apply.

    Raises:
        GateError: some do not.
    """
    lost = no_longer_apply(read_table()[0])
    if lost:
        raise GateError("; ".join(lost))
    print(f"{CANDIDATES} candidates apply, of which these are the thirty:")
    for fault in thirty():
        print(f"  {fault.area:13} {fault.module}:{fault.function}  `{fault.before}` -> `{fault.after}`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses and calls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "check", "choose"))
    parser.add_argument("--old", metavar="COMMIT", help="commit whose suite runs on what is missed")
    parser.add_argument("--only", metavar="TEXT", help="faults whose name holds this text")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the table for machines")
    chosen = parser.parse_args(arguments)
    if chosen.command == "choose":
        TABLE.write_text(json.dumps([dataclasses.asdict(f) for f in choose()], indent=1) + "\n", encoding="utf-8")
    return console.run(lambda: run(chosen) if chosen.command == "run" else check())


if __name__ == "__main__":
    raise SystemExit(main())
