"""Runs the notebooks of examples/ and keeps their outputs: tools/notebooks.py [NAME ...], of `make notebooks`.

What differs from one call to the next is left out: times, progress, what goes to standard error.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LARGEST = 300_000  # bytes of a notebook
_SECONDS = 1200  # of a cell


def run(path: Path) -> int:
    """Runs a notebook in an empty folder and writes it back; its size in bytes.

    Args:
        path: notebook.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    skipped = {}
    for number, cell in enumerate(notebook.cells):
        if cell.source.startswith("%pip"):
            skipped[number], cell.source = cell.source, "pass"
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=_SECONDS, resources={"metadata": {"path": folder}}).execute()
    for number, cell in enumerate(notebook.cells):
        cell.source = skipped.get(number, cell.source)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
            for each in cell.outputs:
                _without_place(each, folder)
    notebook.metadata.get("language_info", {}).pop("version", None)
    text = nbformat.writes(notebook) + "\n"
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return len(text.encode())


def _without_place(output: dict, folder: str) -> None:
    """Takes the folder of the run out of an output's text."""
    for holder in (output, output.get("data", {})):
        for name in ("text", "text/plain", "text/html"):
            if name in holder:
                holder[name] = re.sub(re.escape(folder) + "/?", "", holder[name])


def main(names: list[str]) -> int:
    """Runs all, or those that are named."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    paths = [EXAMPLES / f"{name}.ipynb" for name in names] or sorted(EXAMPLES.glob("*.ipynb"))
    status = 0
    for path in paths:
        print(f"running {path.name}", flush=True)
        size = run(path)
        print(f"{path.name}: {size / 1e3:.0f} kB")
        if size > LARGEST:
            print(f"error: {path.name} is larger than {LARGEST / 1e3:.0f} kB", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
