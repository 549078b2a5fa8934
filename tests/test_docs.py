"""The pages are generated where they can be and true where they cannot.

Commands, calls and links exist, marked blocks and the docstrings' examples run, differences apply.
"""

import ast
import contextlib
import dataclasses
import doctest
import importlib
import importlib.util
import inspect
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pages
import pytest
import setuptools
from pages import PAGES

import export
import keras_resnet
from export.program import COMMANDS
from keras_resnet import InputError
from keras_resnet.parsing import Parser

ROOT = Path(__file__).resolve().parents[1]
NAMES = [path.name for path in PAGES]
RUNNING = [path for path in PAGES if "<!-- runs" in path.read_text(encoding="utf-8")]


# ---- every page


@pytest.mark.parametrize("page", [path for path in PAGES if path.parent.name == "docs"], ids=lambda path: path.name)
def test_a_page_begins_with_a_command_and_says_where_to_go_next(page):
    text = page.read_text()
    if "```{include}" in text:
        return
    assert re.match(r"# .+\n\n(<!-- runs.*-->\n)?```(sh|python)\n", text), "begins with something else"
    last = re.search(r"^Where to go next: (.+?)\n(?=\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert last and "](" in last[1]


def test_the_readme_is_one_screen_and_its_picture_is_small():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 200
    (picture,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert picture.startswith("docs/pictures/")
    for path in (ROOT / "docs" / "pictures").iterdir():
        assert path.suffix == ".png" and path.stat().st_size <= 150_000


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in pages.links(page.read_text()):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor and file.suffix == ".md":
            assert anchor in pages.anchors(file.read_text()), target


def test_pages_link_as_the_site_needs_it():
    """Sphinx knows no Markdown file outside of docs/; a link to one would be dead on the disk."""
    for page in PAGES[1:]:
        for target in pages.links(page.read_text()):
            assert not re.match(r"\.\./.*\.md(#|$)", target), f"{page.name}: {target}"


@pytest.mark.parametrize("repository", ["", "https://code.example/o/n"])
def test_the_page_of_the_package_index_has_no_dead_link(repository, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", lambda **values: None)
    module = runpy.run_path(str(ROOT / "setup.py"))
    monkeypatch.setitem(module["description"].__globals__, "REPOSITORY", repository)
    text = module["description"]()
    found = pages.links(text)
    assert [target for target in found if not target.startswith("https://")] == []
    if repository:
        assert f"{repository}/raw/v{module['VERSION']}/docs/pictures/export.png" in found
        assert len(found) == len(pages.links((ROOT / "README.md").read_text()))
    else:
        assert "![" not in text and "Your photos" in text


# ---- commands and calls that no test runs are still ones that exist


def _check(words):
    """Refuses a command line whose program, command, options or values do not exist."""
    while re.match(r"[A-Z_]+=", words[0]):  # of the environment
        words = words[1:]
    if words[0] == "keras-resnet":
        rows = {row.name: row for row in COMMANDS if not row.former}
        name = next((name for name in (" ".join(words[1:3]), words[1] if words[1:] else "") if name in rows), None)
        if name is None:
            assert words[1:] in ([], ["COMMAND"], ["--help"], ["export", "--help"]), words
            return
        if len(words) == 1 + len(name.split()):
            return  # a command's name within a sentence
        parser = Parser(prog=name)
        rows[name].fill(parser)
        given = words[1 + len(name.split()) :]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                _lenient(parser).parse_args(given)
            except SystemExit as error:
                assert not error.code, f"{' '.join(words)}: {said.getvalue()}"
        assert "is written" not in said.getvalue(), f"{' '.join(words)}: {said.getvalue()}"
    elif words[0] == "make":
        text = (ROOT / "Makefile").read_text()
        for name in words[1:]:
            assert re.search(rf"^{re.escape(name)}:", text, re.MULTILINE), words
    elif words[0] in ("python", ".venv/bin/python"):
        text = (ROOT / words[1]).read_text()
        for option in words[2:]:
            assert not option.startswith("-") or f'"{option}"' in text, words
    else:
        known = ("pip", "git", ".", "sbatch", "srun", "kubectl", ".venv/bin/lint-imports", "tools/ship_weights.py")
        assert words[0] in known, words


def _lenient(parser):
    """The parser, which also takes words in capitals for numbers (`--epochs N`), and no half options."""
    parser.allow_abbrev = False
    for action in parser._actions:
        if action.type is not None:
            action.type = _or_word(action.type)
    return parser


def _or_word(convert):
    def converted(text):
        return text if re.fullmatch("[A-Z]+", text) else convert(text)

    return converted


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_of_the_pages_exist(page):
    for words in pages.commands(page.read_text()):
        _check(words)


@pytest.mark.parametrize(
    "line",
    [
        "keras-resnet train photos --epoch 3",
        "keras-resnet train --epochs three",
        "keras-resnet teach photos",
        "keras-resnet export tflite --place android",
        "keras-resnet train --run-dir a",
        "make everything",
        "python benchmarks/training.py --nets a",
        "kears-resnet train",
    ],
)
def test_commands_that_do_not_exist_are_noticed(line):
    with pytest.raises(AssertionError):
        for words in pages.commands(f"```sh\n{line}\n```\n"):
            _check(words)


def _calls(code, names):
    """Looks up all names of ours in Python code, and binds its calls to their functions."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname or each.name: importlib.import_module(each.name) for each in node.names
                      if each.name in ("keras_resnet", "export")}  # fmt: skip
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("keras_resnet", "export")):
            module = importlib.import_module(node.module)
            for each in node.names:  # a submodule is imported by this, too
                known = getattr(module, each.name, None) or importlib.import_module(f"{node.module}.{each.name}")
                names[each.asname or each.name] = known
    for node in ast.walk(tree):
        found = _found(node, names) if isinstance(node, ast.Attribute | ast.Name) else None
        assert found is not NotImplementedError
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and callable(found := _found(node.func, names)):
            starred = any(isinstance(each, ast.Starred) for each in node.args) or any(not k.arg for k in node.keywords)
            if not starred:
                inspect.signature(found).bind(*node.args, **{each.arg: each for each in node.keywords})
    return names


def _found(node, names):
    """What a name of ours stands for; None for others."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        whole = _found(node.value, names)
        return None if whole is None else getattr(whole, node.attr)
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_calls_of_the_pages_exist(page):
    text, names = page.read_text(), {}
    for block in pages.blocks(text):
        if block.language == "python":
            names = _calls(block.text, names)
    if page.name == "elsewhere.md":
        ours = [code for code in pages.inline(text) if re.match(r"(\w+ = )?(kr\.|export\()", code)]
        assert len(ours) > 20
        for code in ours:
            _calls(code, {"kr": keras_resnet, "export": export.export})


@pytest.mark.parametrize(
    "code",
    [
        "import keras_resnet as kr\nkr.biuld('resnet8')",
        "import keras_resnet as kr\nkr.build('resnet8', weight=None)",
        "from export import exprot",
        "from keras_resnet import Preprocess\nPreprocess((1,), (2,))",
    ],
)
def test_calls_that_do_not_exist_are_noticed(code):
    with pytest.raises((AttributeError, TypeError, ImportError)):
        _calls(code, {})


# ---- blocks that are marked run


@pytest.mark.proof
@pytest.mark.parametrize("page", RUNNING, ids=lambda path: path.name)
def test_marked_blocks_run(page, tmp_path):
    from PIL import Image

    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "digit.png", tmp_path / "examples")
    digits = keras_resnet.load_dataset("digits").train
    for place in range(60):
        example = digits.fetch([place])
        folder = tmp_path / "photos" / f"digit{example['label'][0] % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(example["image"][0]).save(folder / f"{place}.png")
    Image.fromarray(digits.fetch([0])["image"][0]).save(tmp_path / "photo.jpg")
    found = [block for block in pages.blocks(page.read_text()) if block.runs is not None]
    # Blocks of one language are one program, as a reader has one terminal and one notebook.
    shell = "\n".join(pages.script(block) for block in found if block.language == "sh")
    python = "\n".join(block.text for block in found if block.language == "python")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in (["bash", "-e", "-c", shell], [sys.executable, "-c", python]):
        child = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert child.returncode == 0, f"{child.stdout[-3000:]}\n{child.stderr[-3000:]}"


# ---- what is generated


@pytest.mark.slow
def test_tables_of_the_pages_are_those_of_the_code():
    child = subprocess.run([sys.executable, ROOT / "tools" / "tables.py", "--check"], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr


def test_the_api_page_has_every_public_name():
    text = (ROOT / "docs" / "api.md").read_text()
    first, second = text.split("\n## export\n")
    for part, package in ((first, keras_resnet), (second, export)):
        for name in package.__all__:
            if not name.startswith("_"):
                assert re.search(rf"^\.\. (auto\w+|py:data):: {name}$", part, re.MULTILINE), name


def test_all_of_the_commands_have_a_page():
    said = "\n".join(path.read_text() for path in PAGES if path.name != "commands.md")
    for row in COMMANDS:
        if not row.former and row.name != "completion":
            assert f"keras-resnet {row.name}" in said, row.name


def test_the_map_names_every_module():
    readme = (ROOT / "docs" / "architecture.md").read_text()
    for package in ("keras_resnet", "export"):
        for path in (ROOT / package).iterdir():
            if path.name.startswith("_") or path.suffix not in ("", ".py"):
                continue
            assert f"{path.name}{'/' if path.is_dir() else ''}" in readme, path


def _with_examples():
    """Modules whose docstrings have examples; those that train or build nets at full size are proof."""
    for package in ("keras_resnet", "export"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if ">>>" in path.read_text():
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                large = path.stem in ("applications", "preparation", "entry", "loop") and package == "keras_resnet"
                yield pytest.param(name, marks=pytest.mark.proof if large else ())


@pytest.mark.slow
@pytest.mark.parametrize("module", list(_with_examples()))
def test_examples_in_docstrings_run(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = importlib.import_module(module)
    result = doctest.testmod(code, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
    examples = [each for test in doctest.DocTestFinder().find(code) for each in test.examples]
    assert result.attempted > 0 or all(doctest.SKIP in each.options for each in examples)


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
    row = module("keras_resnet.nets.specs").SPECS["seresnet50d"]
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
    for name in ("agreement", "scorer", "decode", "outputs"):  # called by position, as the interface says
        expected, found = inspect.signature(getattr(TaskCode, name)), inspect.signature(getattr(row.code, name))
        assert list(found.parameters) == list(expected.parameters)[1:], name
    close = row.code.agreement({"probabilities": np.eye(5)[[0, 4]]}, {"probabilities": np.eye(5)[[0, 3]]}, None, {})
    assert close.tolist() == [1, 0.75]
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
