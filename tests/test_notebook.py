"""The notebooks run from top to bottom, cell by cell, as in Colab; their outputs are there, and small.

In full size: `make notebooks`.
"""

import ast
import json
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parents[1]
CELLS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))["cells"] for path in (ROOT / "examples").glob("*.ipynb")
}
WEIGHTS = ROOT.parent / "shared" / "data" / "akamaster" / "resnet20.npz"


def _shown(source, namespace):
    """Runs a cell; gives the value of its last line, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace) if last else None


def _run(name, **sizes):
    """What a notebook shows in another size, and its names; the cell with the mark `size` is left out."""
    namespace, shown = dict(sizes), []
    marked = [cell for cell in CELLS[name] if "size" in cell["metadata"].get("tags", ())]
    assert {line.split(" = ")[0] for cell in marked for line in cell["source"]} == set(sizes)
    for cell in CELLS[name]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and not source.startswith("%") and cell not in marked:
            shown.append(_shown(source, namespace))
    return namespace, shown


@pytest.mark.proof
def test_your_photos_to_a_phone():
    names, shown = _run("photos", EPOCHS=10)
    faces = [value._repr_html_() for value in shown if hasattr(value, "_repr_html_")]
    assert names["run"].history["val_accuracy"][-1] > 0.7
    assert names["report"].passed and names["result"].passed
    assert len(faces) == 4  # the run, the answers, two reports
    assert all("<table>" in face or "<img" in face for face in faces)
    assert any("app/build.gradle.kts" in value for value in shown if isinstance(value, list))


@pytest.mark.proof
def test_what_residual_learning_changes():
    matplotlib.use("agg")
    names, _ = _run("residual", EPOCHS=3, DEPTHS=(20, 32))
    assert set(names["runs"]) == {"plain20", "resnet20", "plain32", "resnet32"}
    net = names["runs"]["resnet20"].model
    before = [value.copy() for value in net.get_weights()]
    names["without"](net, "conv2_block1", "resnet")
    assert all((a == b).all() for a, b in zip(before, net.get_weights(), strict=True))


@pytest.mark.proof
def test_a_published_pytorch_file_to_int8(monkeypatch, cifar_dir):
    if not WEIGHTS.exists():
        pytest.skip("no ../shared/data/akamaster: published CIFAR weights of PyTorch")
    monkeypatch.setenv("RESNET20_WEIGHTS", str(WEIGHTS))
    monkeypatch.setenv("CIFAR10_DIR", str(cifar_dir))
    names, shown = _run("pytorch", IMAGES=500)
    assert names["report"].passed
    assert 0.89 < shown[-1][0].top1 < 0.95


@pytest.mark.parametrize("name", sorted(CELLS))
def test_notebooks_are_small_kept_with_outputs_and_have_no_magic_but_the_installation(name):
    assert (ROOT / "examples" / f"{name}.ipynb").stat().st_size < 300_000
    for cell in CELLS[name]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            assert source.startswith("%pip install") or ast.parse(source)
            assert not [
                each for each in cell["outputs"] if each["output_type"] == "error" or each.get("name") == "stderr"
            ]
    assert sum(bool(cell.get("outputs")) for cell in CELLS[name]) >= 4
    assert "/tmp/" not in json.dumps(CELLS[name]) and "/work/" not in json.dumps(CELLS[name])
