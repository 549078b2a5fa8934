#!/usr/bin/env python3
"""Runs the quick tests on other versions of Python: tools/pythons.py 3.12 3.13.

Each version that is here gets an environment `.venv-VERSION` (once; 2 GB) and runs what `make fast` runs. A version
that is not here is said and left out; none at all, or a failed test, is exit status 1.
"""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from environment import MissingError, find_python

ROOT = Path(__file__).resolve().parents[1]


def check(version: str) -> bool:
    """Installs into an environment of its own and tests there.

    Raises:
        MissingError: there is no such Python.
    """
    folder = ROOT / f".venv-{version}"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        subprocess.run([find_python(version), "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-e", f"{ROOT}[all]"], check=True)
        (folder / "installed").touch()
    quick = ["-n", "2", "--dist", "worksteal", "-m", "not slow and not proof and not check"]
    return not subprocess.run([str(python), "-m", "pytest", *quick], cwd=ROOT, check=False).returncode


def main(versions: list[str]) -> int:
    """Checks every version and prints what came of it."""
    results = {}
    for version in versions:
        print(f"Python {version}", flush=True)
        try:
            results[version] = "passed" if check(version) else "FAILED"
        except MissingError as error:
            results[version] = f"left out: {error}"
    for version, result in results.items():
        print(f"Python {version}: {result}")
    return int("FAILED" in results.values() or "passed" not in results.values())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
