"""The README is generated where it can be and true where it cannot; docstring examples run, and differences apply."""

import dataclasses
import doctest
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_resnet import InputError

ROOT = Path(__file__).resolve().parents[1]


def test_tables_of_the_pages_are_those_of_the_code():
    child = subprocess.run([sys.executable, ROOT / "tools" / "tables.py", "--check"], capture_output=True, text=True)
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
    "machine",
    "processes",
    "errors",
    "files",
    "signals.conventions",
    "signals.placement",
    "nets.specs",
    "training.recipe",
    "training.inferred",
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
    "data.tables",
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


# ---- docs/extending.md: every difference applies to the sources of today, and the rows in it are accepted


def _differences():
    """Differences of the page by heading."""
    sections = re.split(r"^##+ (.+)$", (ROOT / "docs" / "extending.md").read_text(), flags=re.MULTILINE)
    blocks = {
        title: re.findall(r"^```diff\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for title, text in zip(sections[1::2], sections[2::2], strict=True)
    }
    return {title: block for title, (block, *_) in ((t, b) for t, b in blocks.items() if b)}


DIFFERENCES = _differences()


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Applies the difference below a heading to copies of its files; gives a function that imports one of them."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    before = set(sys.modules)

    def apply(title):
        old = re.findall(r"^--- a/(\S+)$", DIFFERENCES[title], re.MULTILINE)
        for name in old:
            copy = tmp_path / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)
        (tmp_path / "x.diff").write_text(DIFFERENCES[title])
        child = subprocess.run(["git", "apply", "x.diff"], cwd=tmp_path, capture_output=True, text=True)
        assert child.returncode == 0, f"docs/extending.md, {title}: {child.stderr}"
        for name in re.findall(r"^\+\+\+ b/(\S+)\.py$", DIFFERENCES[title], re.MULTILINE):
            compile((tmp_path / f"{name}.py").read_text(), name, "exec")
            if (
                f"{name}.py" not in old and name.count("/") > 1
            ):  # a new file, which its package finds under its own name
                package = importlib.import_module(name.rpartition("/")[0].replace("/", "."))
                monkeypatch.setattr(package, "__path__", [*package.__path__, str((tmp_path / name).parent)])
        return lambda module: _executed(module, tmp_path)

    yield apply
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            package, _, leaf = name.rpartition(".")
            vars(sys.modules[package]).pop(leaf, None)
            del sys.modules[name]


def _executed(name, folder):
    """A changed module under its own name, beside the one that is imported already."""
    path = folder / f"{name.replace('.', '/')}.py"
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, name, sys.modules.get(name, module))  # dataclasses look there
        specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("title", DIFFERENCES)
def test_differences_apply(title, changed):
    changed(title)


def test_a_variant_builds_with_the_counts_of_the_page(changed):
    import keras_resnet

    module = changed("A variant")
    row = module("keras_resnet.nets.specs").SPECS["seresnext50_32x4d"]
    info = keras_resnet.model_info(row)
    counts = module("tests.test_specs").COUNTS[row.name]
    assert (info["trainable"], info["parameters"], info["multiply_adds"]) == counts


def test_a_recipe_is_a_document(changed):
    recipes = changed("A recipe")("keras_resnet.training.recipes")
    row = recipes.RECIPES["digits-short"]
    assert row.name in row.command and row.hardware and row.wall_time
    assert 0.9 < row.expected[0] <= row.expected[1] < 1
    assert recipes.loads(row.dumps(), "x") == row


def test_a_source_gives_a_dataset(changed):
    row = changed("A data source")("keras_resnet.data.sources").SOURCES["parity"]
    found = row.load("parity", None, (32, 32, 3), 1.0)
    assert (found.name, found.classes, len(found.test)) == ("parity", ("even", "odd"), 360)
    assert sorted(set(found.test.truth["label"])) == [0, 1]


def test_a_format_has_its_offer_its_functions_and_its_opener(changed, tmp_path):
    from export.formats.table import FORMATS
    from keras_resnet import card

    module = changed("A format")
    row = module("export.formats.table").FORMATS["ort"]
    assert set(FORMATS) < set(module("export.formats.table").FORMATS)
    assert row.name in module("export.formats.precisions").PRECISIONS["float32"].offers
    assert row.suffix in module("keras_resnet.runtime.opening")._OPENERS
    assert (tmp_path / "export" / "ort.py").exists()
    file = tmp_path / "x.ort"
    file.write_bytes(b"net")
    before = row.module.fingerprint(file)
    row.module.add_card(file, card.ModelCard(labels=("a",)))
    assert row.module.fingerprint(file) == before
    assert card.read(file).labels == ("a",)
    assert callable(row.module.convert) and row.module.describe(file).precision == "float32"


def test_a_precision_has_limits_of_values_and_of_the_task(changed):
    module = changed("A precision")
    row = module("export.formats.precisions").PRECISIONS["dynamic_int4"]
    assert (row.flag, row.offers["tflite"].quantizers, row.calibrated) == ("--dynamic-int4", ("litert",), False)
    assert row.tolerance.reason and module("keras_resnet.tasks.classification.limits").LIMITS[row.name].reason


def test_a_place_is_complete(changed, tmp_path):
    module = changed("A place")
    row = module("export.targets.table").TARGETS["litert"]
    assert (tmp_path / "export" / "targets" / "steps" / "litert.md").read_text().strip()
    assert callable(row.code.refuse) and callable(row.code.write)
    compile(row.code._CODE.substitute(file="m.tflite", golden="m.npz"), "check.py", "exec")
    for precision, dtypes in row.io.items():
        assert [row.artifact(precision, io=dtype).io for dtype in dtypes] == list(dtypes)


def test_a_task_has_every_function_and_its_own_score(changed, monkeypatch):
    from keras_resnet.tasks import TASKS
    from keras_resnet.tasks.interface import TaskCode
    from keras_resnet.training.recipes import RECIPES

    row = changed("A task")("keras_resnet.tasks.table").TASKS["grades"]
    wanted = [name for name in {*vars(TaskCode), *TaskCode.__annotations__} if not name.startswith("_")]
    assert len(wanted) > 10
    assert not [name for name in wanted if not hasattr(row.code, name)]
    scorer = row.code.scorer(None)
    scorer.update({"probabilities": np.eye(5)[[0, 4]]}, {"label": np.array([0, 3])})
    assert scorer.result().value == scorer.result().to_json()[row.score.key] == 0.875
    monkeypatch.setitem(TASKS, row.name, row)
    assert dataclasses.replace(RECIPES["digits-resnet8"], task=row.name).head == row.code.Settings()


def test_a_signal_is_read_and_made_and_not_stretched(changed, tmp_path):
    row = changed("A signal")("keras_resnet.signals.table").SIGNALS["series"]
    assert row.fixed_shape((8, 3), (None, 8, 3)) == (8, 3)
    np.save("x.npy", np.ones((8, 3)))
    assert row.code.load("x.npy", (8, 3)).dtype == row.dtype
    assert row.code.noise((8, 3), 2, np.random.default_rng(0)).shape == (2, 8, 3)
    for wrong in (lambda: row.code.load("x.npy", (9, 3)), lambda: row.code.load("none.npy", (8, 3))):
        with pytest.raises(InputError):
            wrong()


def test_smaller_rows_are_accepted(changed):
    from keras_resnet.nets.specs import SPECS

    assert changed("A kind of truth")("keras_resnet.data.truth").strata({"several": np.ones((2, 3), bool)}) is None
    options = changed("An argument of `build`")("keras_resnet.nets.options").Options
    assert options(epsilon=1e-3).epsilon == 1e-3
    with pytest.raises(InputError, match="epsilon=2"):
        options(epsilon=2)
    layouts = changed("A naming of weights")("keras_resnet.weights.pytorch").LAYOUTS
    assert layouts["openmmlab"].layer("predictions", SPECS["resnet18"]) == "head.fc"
    row = changed("A corruption")("keras_resnet.evaluation.corruptions").CORRUPTIONS["fog"]
    assert [float(row.apply(np.zeros((1, 1, 1)), amount, None).item()) for amount in row.small] == list(row.small)
    assert callable(changed("An explanation")("keras_resnet.explain.methods").METHODS["saliency"].apply)


def test_an_augmentation_has_a_case(changed, tmp_path):
    import tensorflow as tf

    module = changed("An augmentation")
    row = module("keras_resnet.data.augment").AUGMENTATIONS["crop-flip-jitter"]
    images, placement = row.batch(tf.zeros((2, 8, 8, 3), tf.uint8), tf.zeros((2, row.draws)))
    assert images.shape == (2, 8, 8, 3) and placement.matrix.shape == (2, 3, 3)
    assert '    "digits crop-flip-jitter": (' in (tmp_path / "tests" / "pixels.py").read_text()
