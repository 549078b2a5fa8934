"""What holds for the package as a whole: public names, layers, commands without TensorFlow, the README."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import export
import keras_resnet

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for package in ("keras_resnet", "export") for path in sorted(Path(ROOT, package).rglob("*.py"))]


@pytest.mark.parametrize("package", [keras_resnet, export])
def test_public_names_exist_are_sorted_and_documented(package):
    assert package.__all__ == sorted(package.__all__)
    for name in package.__all__:
        value = getattr(package, name)
        assert name in dir(package)
        if callable(value):
            assert value.__doc__, name


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="attribute ResNet9"):
        keras_resnet.ResNet9  # noqa: B018


def test_files_import_from_the_layers_below_them_and_in_no_circle():
    program = Path(sys.executable).with_name("lint-imports")
    child = subprocess.run([program, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == 0, child.stdout


def excused_from_types():
    settings = tomllib.loads(Path(ROOT, "pyproject.toml").read_text())["tool"]["mypy"]
    return set(settings["overrides"][0]["module"])


def test_what_users_and_later_issues_build_on_is_type_checked():
    stub = ast.parse(Path(ROOT, "keras_resnet/__init__.pyi").read_text())
    homes = {f"keras_resnet.{node.module}" for node in stub.body if isinstance(node, ast.ImportFrom)}
    packages = tuple(f"keras_resnet.{name}" for name in ("nets", "signals", "data", "tasks", "training", "evaluation"))
    assert len(homes) > 10
    excused = excused_from_types()
    assert not excused & homes
    assert not [name for name in excused if name.startswith(packages)]


@pytest.mark.proof
def test_no_clean_file_is_excused_from_type_checking():
    specification = importlib.util.spec_from_file_location("typed", ROOT / "tools/typed.py")
    typed = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(typed)
    assert set(typed.unclean()) == excused_from_types()


MODULES = [
    *("keras_resnet", "export", "export.tflite", "export.onnx"),
    *("export.verify", "export.debug", "export.fit", "export.compress"),
]


@pytest.mark.cold_start
@pytest.mark.parametrize("arguments", [[m, "--help"] for m in MODULES] + [["keras_resnet", "train", "--help"]])
def test_help_needs_no_tensorflow(arguments):
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "for name in ('tensorflow', 'keras', 'numpy'): sys.modules[name] = None\n"
        "runpy.run_module(sys.argv[0], run_name='__main__')"
    )
    child = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert (child.returncode, child.stderr) == (0, "")
    assert "usage:" in child.stdout


@pytest.mark.cold_start
def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, keras_resnet, export; sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_packages_that_nobody_needs_are_hidden_and_found_again(monkeypatch):
    from keras_resnet import console

    monkeypatch.delitem(sys.modules, "this", raising=False)
    before = list(sys.meta_path)
    with console._hidden(["this"]), pytest.raises(ModuleNotFoundError, match="this is not needed here"):
        import this  # noqa: F401
    assert sys.meta_path == before
    assert importlib.util.find_spec("this")


@pytest.mark.parametrize(
    ("variable", "file", "found"),
    [
        ("jax", "", "jax"),
        ("", '{"backend": "jax"}', "jax"),
        ("torch", '{"backend": "jax"}', "torch"),
        ("", "x", "tensorflow"),
        ("", "[]", "tensorflow"),
        ("", "{}", "tensorflow"),
    ],
)
def test_the_backend_is_known_before_keras_is_imported(variable, file, found, monkeypatch, tmp_path):
    from keras_resnet import console

    (tmp_path / "keras.json").write_text(file)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", variable)
    backend, origin = console._chosen_backend()
    assert (backend, origin) == (found, "KERAS_BACKEND" if variable else str(tmp_path / "keras.json"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "arguments", "said"),
    [
        ("torch", ["predict", "--model", "resnet8", "--weights", "digits", "x.png"], "KERAS_BACKEND says 'torch'"),
        ("tensorflw", ["evaluate", "--model", "m.keras", "--data", "digits"], "KERAS_BACKEND says 'tensorflw'"),
        ("jax", ["lab", "depth", "--output", "x"], "KERAS_BACKEND says 'jax'"),
    ],
)
def test_another_backend_is_one_line(backend, arguments, said):
    """Whether it is installed or not, and before anything heavy is imported."""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, "-X", "importtime", "-m", "keras_resnet", *arguments]
    child = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = [line for line in child.stderr.splitlines() if not line.startswith("import time:")]
    expected = f"error: this command needs Keras' TensorFlow backend, {said}: unset KERAS_BACKEND"
    assert (child.returncode, lines) == (2, [expected])
    assert " tensorflow\n" not in child.stderr


def test_a_backend_that_is_not_installed_is_one_line(monkeypatch):
    from keras_resnet import InputError, console, extras

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(extras, "is_there", lambda module: False)
    with pytest.raises(InputError, match="KERAS_BACKEND says 'jax', which is not installed: pip install jax, or unset"):
        console._refuse_backend(["jax"])


@pytest.mark.proof
@pytest.mark.cold_start
def test_commands_start_without_what_tensorflow_and_keras_import_for_others():
    code = (
        "import sys; from keras_resnet import console; console.import_tensorflow('jax')\n"
        "print(sorted({'jax', 'matplotlib', 'pandas', 'sklearn'} & set(sys.modules)))\n"
        "import keras, matplotlib.figure, sklearn; print(keras.backend.backend())"
    )
    for backend, found in (("tensorflow", "[]"), ("jax", "['jax']")):
        environment = {**os.environ, "KERAS_BACKEND": backend}
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert child.stdout.splitlines() == [found, backend], child.stderr


def test_modules_have_their_old_names_for_one_release():
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "try: import keras_resnet.specs\n"
        "except DeprecationWarning as warning: print(warning)\n"
        "warnings.simplefilter('ignore')\n"
        "from keras_resnet.specs import SPECS; import keras_resnet.nets.specs as new, keras_resnet.specs as old\n"
        "from keras_resnet.specs import STEMS; from keras_resnet.nets.interface import STEMS as there\n"
        "print(SPECS is new.SPECS, old is new, new.__spec__.name, STEMS is there)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.stdout.splitlines() == [
        "keras_resnet.specs is now keras_resnet.nets.specs: the old name goes with the next release",
        "True True keras_resnet.nets.specs True",
    ], child.stderr


def _words(path):
    """Help texts and entries of docstrings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from node.value.splitlines()


def test_entries_can_be_read_alone():
    empty = re.compile(r"\s*(\w+: )?(likewise|of it|its|that it takes)\.?|Of (the|every|a) .*\.", re.IGNORECASE)
    assert [(path.name, line) for path in SOURCES for line in _words(path) if empty.fullmatch(line)] == []


FUNCTION, FILE = 50, 350  # lines of code of a function without signature and docstring; lines of a file
# Functions that are tables of arguments, and why they are not divided.
TABLES: dict[str, str] = {}


def _lengths(text):
    """Name and lines of code of every function, without signature, docstring, comments and empty lines."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[ast.get_docstring(node) is not None :]
            code = lines[body[0].lineno - 1 : node.end_lineno] if body else []
            yield node.name, sum(bool(line.strip()) and not line.strip().startswith("#") for line in code)


def test_functions_and_files_are_short():
    files = {path.relative_to(ROOT).as_posix(): path.read_text() for path in SOURCES}
    long = {f"{file}:{name}" for file, text in files.items() for name, code in _lengths(text) if code > FUNCTION}
    assert long == set(TABLES)  # an exception that is none any more is taken out
    assert [file for file, text in files.items() if len(text.splitlines()) > FILE] == []


@pytest.mark.parametrize(("statements", "code"), [(50, 50), (51, 51)])
def test_lines_of_code_are_counted_without_what_explains_them(statements, code):
    text = 'def f(\n    x,\n):\n    """First line.\n\n    More.\n    """\n    # why\n\n' + "    x += 1\n" * statements
    assert list(_lengths(text)) == [("f", code)]


GONE = {"keras_resnet.lazy": "the package lazy_loader"}  # modules of 0.1 that are nowhere, and what is there instead


def _is_file(module):
    place = ROOT / module.replace(".", "/")
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def test_every_module_of_the_first_release_stayed_or_has_its_old_name():
    moved = {name: new for finder in sys.meta_path for name, new in getattr(finder, "_modules", {}).items()}
    lost = set()
    for old in Path(ROOT, "tests/fixtures/modules-0.1.txt").read_text().split():
        parent, _, name = old.rpartition(".")
        if not _is_file(moved.get(old, f"{moved.get(parent, parent)}.{name}" if parent else old)):
            lost.add(old)
    assert lost == set(GONE)
    assert not [name for name in moved if _is_file(name)]


@pytest.mark.slow  # it may be the first to import what they import
def test_names_that_went_elsewhere_than_their_module_are_found_in_the_old_one():
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from export.cli import add_gate, positive; from export.graph import scales_otherwise\n"
        "from keras_resnet.specs import HE2015; from keras_resnet.evaluation.answers import label\n"
        "print(add_gate.__module__, positive.__module__, scales_otherwise.__module__, HE2015[:2], label((), 3))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    found = "export.commands.options keras_resnet.flags keras_resnet.nets.fusion He class_3"
    assert child.stdout.strip() == found, child.stderr


def test_editors_see_the_public_names_that_programs_get():
    """The stub is the only list: a name in it has a home, and the package gives no other names."""
    for package in (keras_resnet, export):
        stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text())
        names = [alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
        assert sorted(names) == package.__all__
        assert (Path(package.__file__).parent / "py.typed").exists()
