"""Type checking: `tools/typed.py` prints the modules that mypy finds fault with, for the list in pyproject.toml.

The list there only gets shorter: a new file is clean, and who cleans an old one takes it out.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def unclean() -> list[str]:
    """Full names of the modules with complaints, whatever pyproject.toml excuses."""
    settings = [
        "--config-file=",
        "--ignore-missing-imports",
        "--check-untyped-defs",
        "-p",
        "keras_resnet",
        "-p",
        "export",
    ]
    child = subprocess.run([sys.executable, "-m", "mypy", *settings], cwd=ROOT, capture_output=True, text=True)
    files = {match[1] for match in re.finditer(r"^([\w/]+)\.py:\d+: error", child.stdout, re.MULTILINE)}
    return sorted(name.replace("/", ".").removesuffix(".__init__") for name in files)


if __name__ == "__main__":
    print("\n".join(unclean()))
