#!/usr/bin/env python3
"""Tests on other versions of Python: tools/pythons.py 3.12 3.13, or tools/pythons.py --wheel 3.11 3.12 3.13.

Each version that is here gets an environment `.venv-VERSION` (once; 3.5 GB) and runs what `make fast` runs. With
--wheel it gets a fresh one in the folder for temporary files, which is removed afterwards: the wheel of dist/ is
installed there with its extra `export`, as people install it, and does in an empty folder what the README says. A
version that is not here is said and left out; none at all, or a failed test, is exit status 1.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from environment import MissingError, find_python

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ["--model", "resnet8", "--weights", "digits"]
COMMANDS = [
    ["--version"],
    ["models"],
    ["predict", *DIGITS, "digit.png"],
    ["export", "tflite", "--int8", *DIGITS, "--data", "digits"],
]


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


def readme_example() -> str:
    """The README's lines of Python."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return code


def check_wheel(version: str) -> bool:
    """Installs the wheel of dist/ into a fresh environment and uses it outside of the clone.

    Raises:
        MissingError: there is no such Python, or no wheel.
    """
    wheels = list((ROOT / "dist").glob("*.whl"))
    if len(wheels) != 1:
        raise MissingError(f"dist/ has {len(wheels)} wheels: make dist")
    with tempfile.TemporaryDirectory(prefix=f"wheel-{version}-") as folder:
        programs, work = Path(folder, "venv", "bin"), Path(folder, "work")
        work.mkdir()
        shutil.copy(ROOT / "examples" / "digit.png", work)
        steps = [
            [find_python(version), "-m", "venv", f"{folder}/venv"],
            [str(programs / "python"), "-m", "pip", "install", "-q", f"{wheels[0]}[export]"],
            *([str(programs / "keras-resnet"), *words] for words in COMMANDS),
            [str(programs / "python"), "-c", readme_example()],
        ]
        return all(_passes(step, work) for step in steps)


def _passes(command: list[str], folder: Path) -> bool:
    """Runs one step, and prints its end and what it took."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    begin = time.monotonic()
    child = subprocess.run(
        ["nice", *command], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    shown = " ".join([Path(command[0]).name, *command[1:]]).partition("\n")[0][:90]
    outcome = f"status {child.returncode}" if child.returncode else "ok"
    print(f"  {shown}: {outcome}, {time.monotonic() - begin:.1f} seconds", flush=True)
    for line in child.stdout.strip().splitlines()[-40 if child.returncode else -3 :]:
        print(f"    {line}", flush=True)
    return not child.returncode


def main(words: list[str]) -> int:
    """Checks every version and prints what came of it."""
    test = check_wheel if words[:1] == ["--wheel"] else check
    versions = [word for word in words if word != "--wheel"]
    results = {}
    for version in versions:
        print(f"Python {version}", flush=True)
        try:
            results[version] = "passed" if test(version) else "FAILED"
        except MissingError as error:
            results[version] = f"left out: {error}"
    for version, result in results.items():
        print(f"Python {version}: {result}")
    return int("FAILED" in results.values() or "passed" not in results.values())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
