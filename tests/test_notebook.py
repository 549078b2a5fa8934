"""The notebook runs from top to bottom, cell by cell, as in Colab."""

import ast
import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "photos.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]


def _shown(source, namespace):
    """Runs a cell; gives the value of its last line, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace) if last else None


@pytest.mark.proof
def test_the_notebook_runs_and_shows_pictures_and_tables():
    namespace, faces = {}, []
    for cell in CELLS:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and not source.startswith("%"):
            value = _shown(source, namespace)
            if hasattr(value, "_repr_html_"):
                faces.append(value._repr_html_())
    assert namespace["run"].history["val_accuracy"][-1] > 0.7
    assert namespace["report"].passed
    assert len(faces) == 4  # the run, the answers, two reports
    assert all("<table>" in face or "<img" in face for face in faces)


def test_the_notebook_is_small_and_has_no_magic_but_the_installation():
    assert NOTEBOOK.stat().st_size < 300_000
    for cell in CELLS:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            assert source.startswith("%pip install") or ast.parse(source)
