"""Tiers of tests: what a test may cost, which proof cases CI takes, and what is said of a test that fails.

`tests/conftest.py` registers this module as a plugin; CONTRIBUTING.md says which tier a new test belongs to.

CPU time counts, that of child processes included and imports left out, in units of a fixed loop that every process of
pytest times when it starts: a slow machine blocks nobody. A shared fixture has an account of its own, whichever test
asks for it first.
"""

from __future__ import annotations

import builtins
import contextlib
import datetime
import hashlib
import importlib
import json
import os
import resource
import shlex
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"  # real data, where a checkout has them beside it
RECORD = Path(__file__).with_name("proof.json")
# Units, a twentieth of a second on the cores of 2026; twice as much fails the run. Foreign engines have no limit.
BUDGETS = {"fast": 20, "slow": 150, "proof": 1200, "check": float("inf"), "fixture": 400}
_UNKNOWN = 100  # units of a proof case that no run has timed yet
_PROCESSES = 2


def add_options(parser: pytest.Parser) -> None:
    """Adds what `make proof` and `.ci/run` pass."""
    group = parser.getgroup("tiers")
    group.addoption("--record-proof", action="store_true", help="write date and cost of passed proof cases")
    group.addoption("--sample", type=float, metavar="SECONDS", help="take the proof cases that fit into this time")
    group.addoption("--sample-units", type=float, metavar="UNITS", help="the same, in units: repeats a sample exactly")
    group.addoption("--sample-of", metavar="COMMIT", help="commit that chooses the sample (default: the present one)")
    group.addoption("--costs", type=Path, metavar="FILE", help="write tier, name and units of every test as JSON")
    group.addoption("--no-budgets", action="store_true", help="do not judge costs, for runs under coverage")


def tier(item: pytest.Item) -> str:
    """Tier of a test by its marks."""
    return next((name for name in ("check", "proof", "slow") if item.get_closest_marker(name)), "fast")


def in_proof(*values: object, **how: object) -> object:
    """A parameter set of the proof tier, among others that run every day."""
    return pytest.param(*values, marks=pytest.mark.proof, **how)


# ---- what a test costs


def _below(pid: int | str) -> Iterator[str]:
    """Process ids of all descendants, those that ended and were not waited for included."""
    with contextlib.suppress(OSError):  # it is gone meanwhile
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield child
                yield from _below(child)


def _children_seconds() -> float:
    """CPU time of all processes below this one, those that have ended and those that still run."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = 0
    for child in _below("self"):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # user and system, its own and of its children that have ended
    return ended.ru_utime + ended.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


class _Ledger:
    """CPU seconds by account; what runs inside an account's block and not inside a deeper one's is charged to it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._accounts = ["between tests"]
        self._start = self._own = time.process_time()
        self._children = 0.0

    def _settle(self, children: bool = True) -> None:
        own = time.process_time()
        spent, self._own = own - self._own, own
        if children:
            below = max(self._children, _children_seconds())  # a process that is just leaving may not be seen
            spent, self._children = spent + below - self._children, below
        self.spent[self._accounts[-1]] += spent

    @contextlib.contextmanager
    def charged(self, account: str, children: bool = True) -> Iterator[None]:
        """Charges the block to an account; looking for child processes costs milliseconds."""
        self._settle(children)
        self._accounts.append(account)
        try:
            yield
        finally:
            self._settle(children)
            self._accounts.pop()

    def closed(self, account: str) -> float:
        """Settles an account and gives what it spent."""
        self._settle()
        return self.spent.pop(account, 0.0)

    def apart(self) -> dict[str, float]:
        """CPU seconds of imports, of what lies between tests, and of all that came before them."""
        self._settle()
        names = ("imports", "between tests")
        return {name: round(self.spent[name], 1) for name in names} | {"start": round(self._start, 1)}


LEDGER = _Ledger()
_unit = 1.0  # CPU seconds
_shared: list[str] = []  # accounts of shared fixtures since the last report


def _time_the_unit() -> float:
    """CPU seconds of the fixed loop, arithmetic in NumPy and a small convolution: the median of five."""
    import tensorflow as tf

    values = np.random.default_rng(0).standard_normal((192, 192))
    images, kernel = tf.ones((8, 32, 32, 16)), tf.ones((3, 3, 16, 16))
    seconds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(60):
            np.sort(values @ values, axis=0)
            tf.nn.conv2d(images, kernel, 1, "SAME").numpy()
        seconds.append(time.process_time() - start)
    return sorted(seconds)[2]


def _charge_imports() -> None:
    """Gives imports that load something an account of their own."""
    statement, function = builtins.__import__, importlib.import_module

    def import_(name, *arguments, **keywords):
        if name in sys.modules or threading.current_thread() is not threading.main_thread():
            return statement(name, *arguments, **keywords)
        with LEDGER.charged("imports", children=False):
            return statement(name, *arguments, **keywords)

    def import_module(name, package=None):
        if name in sys.modules or threading.current_thread() is not threading.main_thread():
            return function(name, package)
        with LEDGER.charged("imports", children=False):
            return function(name, package)

    builtins.__import__, importlib.import_module = import_, import_module


def _judges(config: pytest.Config) -> bool:
    return not (config.getoption("no_budgets") or config.getoption("collectonly"))


def begin(config: pytest.Config) -> None:
    """Times the unit; every process that runs tests calls it once."""
    global _unit
    if _judges(config):
        _unit = _time_the_unit()
        _charge_imports()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef, request: pytest.FixtureRequest) -> Iterator[object]:
    """Charges a shared fixture to itself."""
    if fixturedef.scope == "function":
        return (yield)
    account = f"fixture {fixturedef.argname} of {fixturedef.baseid or 'conftest.py'}"
    _shared.append(account)
    with LEDGER.charged(account):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """Charges a test, with its own fixtures, to itself."""
    with LEDGER.charged(item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[pytest.TestReport]:
    """Adds the costs to a test's last report, and to a failure the command that repeats it alone."""
    report = yield
    if report.failed:
        report.sections.append(("to repeat it alone", _command("", item.nodeid)))
    if call.when == "teardown":
        costs = [(tier(item), item.nodeid, LEDGER.closed(item.nodeid) / _unit)]
        costs += [("fixture", account, LEDGER.closed(account) / _unit) for account in _shared]
        _shared.clear()
        report.user_properties += [("costs", costs), ("unit", _unit)]
    return report


def _command(marks: str, *rest: str) -> str:
    return " ".join([".venv/bin/python -m pytest -m", shlex.quote(marks), *map(shlex.quote, rest)])


# ---- what a run is told of it


class _Costs:
    """What the controlling process gathers from the reports of all processes."""

    def __init__(self) -> None:
        self.costs: list[tuple[str, str, float]] = []
        self.passed: dict[str, float] = {}  # proof cases, in units
        self.failed: set[str] = set()
        self.units: set[float] = set()
        self.apart: list[dict[str, float]] = []  # of pytest-xdist's processes


_COSTS = _Costs()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Gathers costs and outcomes."""
    if report.failed or report.skipped:
        _COSTS.failed.add(report.nodeid)
    for name, value in report.user_properties if report.when == "teardown" else ():
        if name == "costs":
            _COSTS.costs += [tuple(cost) for cost in value]
            if value[0][0] == "proof" and report.nodeid not in _COSTS.failed:
                _COSTS.passed[report.nodeid] = value[0][2]
        elif name == "unit":
            _COSTS.units.add(value)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    """Takes what a process of pytest-xdist spent beside its tests."""
    _COSTS.apart.append(getattr(node, "workeroutput", {}).get("apart", {}))


def _over(factor: float) -> list[tuple[str, str, float]]:
    found = [cost for cost in _COSTS.costs if cost[2] > factor * BUDGETS[cost[0]]]
    return sorted(found, key=lambda cost: -cost[2] / BUDGETS[cost[0]])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fails a run in which a test costs more than twice its budget, and writes the record of the proof tier."""
    if hasattr(session.config, "workerinput"):
        session.config.workeroutput["apart"] = LEDGER.apart()
        return
    if session.config.getoption("costs"):
        session.config.getoption("costs").write_text(json.dumps(_COSTS.costs, indent=0), encoding="utf-8")
    if session.config.getoption("record_proof") and _COSTS.passed:
        _write_record(_COSTS.passed)
    if _judges(session.config) and _over(2) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints what is over its budget, and what all cost together."""
    if not _COSTS.costs or not _judges(config):
        return
    if config.stash[_SAMPLE]:
        again = _command("proof", f"--sample-units={config.stash[_SAMPLE]:.0f}", f"--sample-of={_sample_of(config)}")
        for line in (*sorted(name for kind, name, _ in _COSTS.costs if kind == "proof"), f"to repeat these: {again}"):
            terminalreporter.write_line(line)
    for kind, name, units in _over(1):
        verdict = "fails the run" if units > 2 * BUDGETS[kind] else "over its budget"
        terminalreporter.write_line(f"{verdict}: {units:.0f} units, budget of {kind} {BUDGETS[kind]}: {name}")
    sums = defaultdict(float)
    for kind, _, units in _COSTS.costs:
        sums[kind] += units
    told = ", ".join(f"{kind} {units:.0f}" for kind, units in sorted(sums.items()))
    unit = sum(_COSTS.units) / len(_COSTS.units)
    total = f"a unit was {unit:.3f} CPU seconds, {unit * sum(sums.values()):.0f} s in all"
    terminalreporter.write_line(f"units: {told}; {total}; beside them {_COSTS.apart or LEDGER.apart()}")


# ---- the proof tier's record, and CI's sample of it


def _read_record() -> dict[str, dict[str, object]]:
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}


def _write_record(passed: dict[str, float]) -> None:
    """Dates what passed today; the other cases keep their dates."""
    today = datetime.date.today().isoformat()
    rows = _read_record() | {name: {"passed": today, "units": round(units, 1)} for name, units in passed.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(rows[name])}" for name in sorted(rows))
    partial = RECORD.with_suffix(".partial")
    partial.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    partial.replace(RECORD)


def _sample_of(config: pytest.Config) -> str:
    if config.getoption("sample_of"):
        return config.getoption("sample_of")
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def sampled(names: Sequence[str], commit: str, units: float, record: dict[str, dict[str, object]]) -> list[str]:
    """Names of proof cases, in an order that the commit chooses, as many as fit.

    Args:
        names: of all cases.
        commit: hash.
        units: that may be spent.
        record: earlier costs, by name.
    """
    chosen, spent = [], 0.0
    for name in sorted(names, key=lambda name: hashlib.sha256(f"{commit} {name}".encode()).digest()):
        cost = float(record.get(name, {}).get("units", _UNKNOWN))
        if spent + cost <= units:
            chosen.append(name)
            spent += cost
    return chosen


def _sample_units(config: pytest.Config) -> float | None:
    """Units that a sample may spend; measured once and by the controlling process, so that all take the same."""
    if hasattr(config, "workerinput"):
        return config.workerinput["sample_units"]
    units, seconds = config.getoption("sample_units"), config.getoption("sample")
    return round(_PROCESSES * seconds / _time_the_unit()) if seconds and not units else units


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tells pytest-xdist's processes what a sample may spend."""
    node.workerinput["sample_units"] = node.config.stash[_SAMPLE]


def pytest_configure(config: pytest.Config) -> None:
    """Measures what a sample may spend, before processes are started."""
    config.stash[_SAMPLE] = _sample_units(config)


_SAMPLE = pytest.StashKey[float | None]()


@pytest.hookimpl(trylast=True)  # -m has left the proof cases by then
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the cases of the sample and prints them."""
    units = config.stash[_SAMPLE]
    if not units:
        return
    kept = set(sampled([item.nodeid for item in items], _sample_of(config), units, _read_record()))
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
    items[:] = [item for item in items if item.nodeid in kept]
