"""What a release consists of agrees: version, changelog, metadata, workflows."""

import re
import sys
from pathlib import Path

import pytest
import setuptools
import yaml

import keras_resnet
from export.program import COMMANDS, main
from keras_resnet.parsing import Parser

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import distributions  # noqa: E402
import pythons  # noqa: E402

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture
def metadata(monkeypatch):
    """What setup.py gives to setuptools, by the address of the sources."""
    monkeypatch.chdir(ROOT)

    def read(repository=""):
        given = {}
        monkeypatch.setattr(setuptools, "setup", given.update)
        text = (ROOT / "setup.py").read_text(encoding="utf-8")
        assert 'REPOSITORY = "' in text
        text = re.sub(r'^REPOSITORY = ".*"$', f'REPOSITORY = "{repository}"', text, flags=re.MULTILINE)
        exec(compile(text, "setup.py", "exec"), {"__file__": str(ROOT / "setup.py"), "__name__": "setup"})
        return given

    return read


# ---- one version


def test_the_version_is_one(metadata, capsys):
    version = keras_resnet.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert metadata()["version"] == version
    assert next(iter(distributions.sections(CHANGELOG))) == version
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.split() == ["keras-resnet-toolkit", version]


def test_the_version_is_written_once():
    for path in (ROOT / "setup.py", ROOT / "pyproject.toml", ROOT / "docs" / "conf.py"):
        assert keras_resnet.__version__ not in path.read_text(encoding="utf-8"), path.name


def test_a_tag_is_refused_where_version_or_changelog_are_of_another_release():
    text = (
        "# Changelog\n\n## Unreleased\n\nx\n\n## 1.1.0 - 2027-01-01\n\n### Added\n\n* a\n\n## 1.0.0 - 2026-12-01\n\nb\n"
    )
    assert distributions.release_notes("v1.1.0", "1.1.0", text) == "### Added\n\n* a\n"
    with pytest.raises(ValueError, match=r"the tag is v1\.1\.0, .* 1\.0\.0: expected the tag v1\.0\.0"):
        distributions.release_notes("v1.1.0", "1.0.0", text)
    with pytest.raises(ValueError, match=r"newest release is 1\.1\.0, this is 1\.2\.0"):
        distributions.release_notes("v1.2.0", "1.2.0", text)
    assert "### Migration" in distributions.release_notes(
        f"v{keras_resnet.__version__}", keras_resnet.__version__, CHANGELOG
    )


def test_make_dist_refuses_the_tag_of_another_release(monkeypatch, capsys, tmp_path):
    version = keras_resnet.__version__
    made = [tmp_path / f"keras_resnet_toolkit-{version}{end}" for end in (".tar.gz", "-py3-none-any.whl")]
    monkeypatch.setattr(distributions, "make", lambda target: made)
    monkeypatch.setenv("TAG", "v99.0.0")
    assert distributions.main() == 1
    assert f"expected the tag v{version}" in capsys.readouterr().err


# ---- metadata


def test_without_an_address_there_are_no_links_and_with_one_they_all_go_there(metadata):
    assert metadata()["project_urls"] == {}
    found = metadata("https://code.example/o/n")["project_urls"]
    assert {"Source", "Documentation", "Changelog", "Issues"} == set(found)
    assert all(each.startswith("https://code.example/o/n") for each in found.values())


def _supported(metadata):
    """Versions of Python that the classifiers name."""
    rows = metadata()["classifiers"]
    return [row.rpartition(" ")[2] for row in rows if re.search(r":: \d\.\d+$", row)]


def test_the_bounds_of_python_are_those_of_the_classifiers_and_of_the_checks(metadata):
    supported = _supported(metadata)
    least, most = (int(version.partition(".")[2]) for version in (supported[0], supported[-1]))
    assert metadata()["python_requires"] == f">=3.{least},<3.{most + 1}"
    assert [f"3.{minor}" for minor in range(least, most + 1)] == supported
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^PYTHONS := (.+)$", makefile, re.MULTILINE)[1].split() == supported
    assert f"Python {supported[0]} to {supported[-1]}" in (ROOT / "README.md").read_text(encoding="utf-8")


# ---- changelog


def test_releases_have_a_date_and_the_headings_of_keep_a_changelog():
    for heading in re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE):
        assert heading == "Unreleased" or re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading)
    usual = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Migration"}
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= usual


def test_the_changelog_names_options_that_exist_or_existed():
    said = set(re.findall(r"--[a-z][\w-]+", CHANGELOG))
    known = set(re.findall(r"--[a-z0-9][\w-]+", (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")))
    assert said <= known, said - known


def test_migration_has_every_former_option():
    migration = CHANGELOG.partition("#### Commands and options\n")[2].partition("\n#### ")[0]
    found = set()
    for row in COMMANDS:
        parser = Parser(prog=row.name)
        row.fill(parser)
        found |= {(old, new) for old, new in parser.former.items()}
    assert len(found) >= 5
    for old, new in found:
        assert re.search(rf"^\|.*{old}\b.*\|.*{new}\b.*\|$", migration, re.MULTILINE), (old, new)


def test_migration_has_every_module_that_moved():
    migration = CHANGELOG.partition("#### Modules\n")[2].partition("\n#### ")[0]
    rows = dict(re.findall(r"^\| `(\S+)` \| `(\S+)` \|$", migration, re.MULTILINE))
    finders = [each for each in sys.meta_path if type(each).__module__ == "keras_resnet.moved"]
    assert len(finders) == 2
    assert rows == {old: new for each in finders for old, new in each._modules.items()}
    for each in finders:
        for old, homes in each._names.items():
            for name, home in homes.items():
                assert re.search(rf"^\|.*`{name}`.* of `{old}` \| `{home}` \|$", migration, re.MULTILINE), name


# ---- workflows of GitHub


def _steps(path):
    for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
        yield from job.get("steps", ())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_targets_that_exist(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())
    lines = [step["run"] for step in _steps(path) if "run" in step]
    assert any(line.startswith("make ") for line in lines)
    for line in lines:
        if not line.startswith("gh release create "):
            (target,) = re.fullmatch(r"make ([\w-]+)(?: [A-Z]+=\S.*)?", line).groups()
            assert target in targets and re.search(rf"^{target}:", makefile, re.MULTILINE), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_the_least_rights_and_pinned_actions_and_no_expression_of_a_stranger_in_a_shell(path):
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert flow["permissions"] == {"contents": "read"}
    for name, job in flow["jobs"].items():
        more = job.get("permissions", {})
        assert more in ({}, {"id-token": "write"}, {"contents": "write"}), name
        assert not more or not any("checkout" in step.get("uses", "") for step in job["steps"]), name
        assert "timeout-minutes" in job or "uses" in job, name
    for step in _steps(path):
        if "uses" in step:
            assert re.search(r"@(v\d+|release/v\d+|[0-9a-f]{40})$", step["uses"]), step["uses"]
        for expression in re.findall(r"\$\{\{(.+?)\}\}", step.get("run", "")):
            assert expression.strip().startswith("matrix."), expression
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_on_versions_of_python_that_are_supported(path, metadata):
    supported = _supported(metadata)
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    matrices = [job["strategy"]["matrix"]["python"] for job in flow["jobs"].values() if "strategy" in job]
    assert matrices and all(each == supported for each in matrices)
    for step in _steps(path):
        version = step.get("with", {}).get("python-version")
        assert version is None or version in supported or version == "${{ matrix.python }}"


def test_nothing_is_published_before_tests_and_wheel_passed():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))["jobs"]
    assert set(jobs["index"]["needs"]) == {"ci", "dist", "wheel"}
    assert jobs["release"]["needs"] == "index"


# ---- the wheel on every Python (`make check-wheel`)


def test_the_commands_that_the_wheel_is_tried_with_exist():
    names = {row.name for row in COMMANDS} | {"--version"}
    for words in pythons.COMMANDS:
        assert words[0] in names or " ".join(words[:2]) in names
    compile(pythons.readme_example(), "README.md", "exec")


def test_a_step_that_fails_is_a_failure_and_shows_its_last_lines(capfd, tmp_path):
    assert not pythons._passes([sys.executable, "-c", "print('why'); raise SystemExit(3)"], tmp_path)
    assert "status 3" in (said := capfd.readouterr().out) and "why" in said
    assert pythons._passes([sys.executable, "-c", "pass"], tmp_path)
