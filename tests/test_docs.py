"""The README is generated where it can be and true where it cannot; docstring examples run."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_tables_of_the_readme_are_those_of_the_code():
    child = subprocess.run(
        [sys.executable, ROOT / "tools" / "readme_tables.py", "--check"], capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr


def test_the_map_names_every_module():
    readme = (ROOT / "docs" / "architecture.md").read_text()
    for package in ("keras_resnet", "export"):
        for path in (ROOT / package).iterdir():
            if path.name.startswith("_") or path.suffix not in ("", ".py"):
                continue
            assert f"{path.name}{'/' if path.is_dir() else ''}" in readme, path


MODULES = [
    "builder",
    "processes",
    "errors",
    "files",
    "signals.conventions",
    "signals.placement",
    "nets.specs",
    "training.recipe",
    "training.transfer",
    "data.dataset",
    "data.sources",
]
MODULES += [
    "applications",
    "compression.channels",
    "compression.clustering",
    "compression.folding",
    "compression.pruning",
    "compression.rewriting",
    "compression.settings",
    "data.preparation",
    "evaluation.corruptions",
    "tasks.classification.ensembles",
    "tasks.classification.reliability",
    "tasks.classification.summaries",
    "explain.drawing",
    "explain.embeddings",
    "explain.maps",
    "explain.methods",
    "nets.fused",
    "nets.graph",
    "training.remat",
    "weights.loading",
    "weights.registry",
    "weights.pytorch",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        pytest.param(name, marks=pytest.mark.proof if name in ("applications", "data.preparation") else ())
        for name in MODULES
    ],
)
def test_examples_in_docstrings_run(module):
    result = doctest.testmod(importlib.import_module(f"keras_resnet.{module}"), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
    assert result.attempted > 0 or module == "errors"


@pytest.mark.proof
def test_examples_of_named_builders_run():
    import keras_resnet

    runner = doctest.DocTestRunner()
    for name in ("ResNet18", "ResNet50"):
        for test in doctest.DocTestFinder().find(getattr(keras_resnet, name), name):
            runner.run(test)
    assert runner.summarize().failed == 0
    assert runner.summarize().attempted >= 4
