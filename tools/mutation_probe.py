"""Which tests run which functions: a pytest plugin, and the call that `tools/mutation.py` puts into functions.

Every process of a test appends to one file: the test that is running, or the shared fixture that is being made for it.
A test has run what its shared fixtures ran, whoever came first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

_FILE = os.environ.get("MUTATION_HITS")
_FIXTURE = "MUTATION_FIXTURE"
_seen: set[tuple[str, str]] = set()


def _append(row: dict[str, object]) -> None:
    """A line at once: several processes write here."""
    file = os.open(_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, json.dumps(row).encode() + b"\n")
    os.close(file)


def hit(fault: str) -> None:
    """Notes that a fault's function runs."""
    fixture = os.environ.get(_FIXTURE)
    context = f"fixture {fixture}" if fixture else os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" (", 1)[0]
    if (fault, context) not in _seen:
        _seen.add((fault, context))
        _append({"fault": fault, "context": context})


hit.autograph_info__ = {}  # AutoGraph shall call it, not rewrite it


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef, request: pytest.FixtureRequest) -> Iterator[None]:
    """Names the shared fixture that is being made; those that it asks for are made before."""
    if fixturedef.scope == "function":
        return (yield)
    before = os.environ.get(_FIXTURE)
    os.environ[_FIXTURE] = fixturedef.argname
    try:
        return (yield)
    finally:
        if before is None:
            del os.environ[_FIXTURE]
        else:
            os.environ[_FIXTURE] = before


def pytest_collection_finish(session: pytest.Session) -> None:
    """Notes the fixtures of every test; with xdist each worker does."""
    for item in session.items:
        _append({"test": item.nodeid, "fixtures": sorted(getattr(item, "fixturenames", ()))})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes how long tests take, so that cheap ones can come first."""
    if report.when == "call":
        _append({"test": report.nodeid, "seconds": report.duration})
