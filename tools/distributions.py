"""Builds dist/ and checks it: `make dist`, or `make dist TAG=v0.1.0` for a release.

Runs in `.venv-dist`, which has build and twine. The files that git knows are built, in a copy: nothing that lies beside
them gets in. The source distribution holds exactly what it should, both ways to a wheel give the same files, and twine
accepts both. With TAG the tag, the version and the newest section of CHANGELOG.md are one, and that section is written
to build/notes.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LEFT_OUT = re.compile(r"benchmarks/trained/.*\.safetensors")  # 2.5 MB of nets that measurements were made with
_GENERATED = re.compile(r"PKG-INFO|setup\.cfg|[^/]+\.egg-info(/[^/]+)?")


def tracked() -> list[str]:
    """Files that git knows, relative to the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


def copied(folder: Path) -> Path:
    """A copy of these files: a build leaves folders beside the sources."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def members(sdist: Path) -> set[str]:
    """Files of a source distribution, without its folder and without what setuptools wrote."""
    with tarfile.open(sdist) as archive:
        names = [each.name.partition("/")[2] for each in archive.getmembers() if each.isfile()]
    return {name for name in names if not _GENERATED.fullmatch(name)}


def contents(wheel: Path) -> dict[str, int]:
    """Checksums of a wheel's files by name; RECORD, the list of them, is left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {each.filename: each.CRC for each in archive.infolist() if not each.filename.endswith("/RECORD")}


def sections(text: str) -> dict[str, str]:
    """Sections of a changelog by version, the newest first; `Unreleased` is none."""
    parts = re.split(r"^## (\S+).*\n", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True) if name != "Unreleased"}


def release_notes(tag: str, version: str, changelog: str, address: str = "") -> str:
    """The changelog's section of a release.

    Args:
        tag: name of the tag.
        version: of the sources.
        changelog: text of CHANGELOG.md.
        address: where the sources are, for links that lead somewhere on GitHub's page of a release; empty: as they are.

    Raises:
        ValueError: tag, version and changelog are not of one release.
    """
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, keras_resnet.__version__ is {version}: expected the tag v{version}")
    found = sections(changelog)
    newest = next(iter(found), None)
    if newest != version:
        raise ValueError(f"CHANGELOG.md's newest release is {newest}, this is {version}: write its section first")
    text = found[version] + "\n"
    return re.sub(r"(\]\()(?!https?:|#)", rf"\1{address}/blob/{tag}/", text) if address else text


def _build(source: Path, target: Path, *options: str) -> None:
    when = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True)
    environment = os.environ | {"SOURCE_DATE_EPOCH": when.stdout.strip()}  # the time in a wheel: its bytes repeat
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "-o", str(target), str(source)]
    child = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if child.returncode:
        raise ValueError(f"the build failed:\n{child.stdout[-3000:]}")


def _difference(what: str, ours: set[str], expected: set[str]) -> None:
    if ours != expected:
        more, less = sorted(ours - expected), sorted(expected - ours)
        raise ValueError(f"{what}: {len(more)} files too many {more[:10]}, {len(less)} missing {less[:10]}")


def make(target: Path) -> list[Path]:
    """Builds a source distribution and a wheel into a folder, whose old ones go, and compares what is in them.

    Raises:
        ValueError: a build fails, or one of them holds something else than it should.
    """
    with tempfile.TemporaryDirectory() as folder:
        clone = copied(Path(folder, "clone"))
        _build(clone, Path(folder, "one"))  # the wheel of the source distribution
        _build(clone, Path(folder, "two"), "--wheel")
        (sdist,), (wheel,) = Path(folder, "one").glob("*.tar.gz"), Path(folder, "one").glob("*.whl")
        (direct,) = Path(folder, "two").glob("*.whl")
        wanted = {name for name in tracked() if not _LEFT_OUT.fullmatch(name)}
        _difference("the source distribution", members(sdist), wanted)
        _difference("the wheel of the source distribution", set(contents(wheel)), set(contents(direct)))
        changed = [name for name, crc in contents(direct).items() if contents(wheel)[name] != crc]
        if changed:
            raise ValueError(f"the wheel of the source distribution has other contents: {changed}")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        return [Path(shutil.move(each, target / each.name)) for each in (sdist, wheel)]


def main() -> int:
    """Builds, checks and prints sizes; returns the exit status."""
    tag = os.environ.get("TAG")
    try:
        made = make(ROOT / "dist")
        if tag:
            version = made[1].name.split("-")[1]  # the wheel's own
            names = [os.environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY")]
            address = "/".join(names) if all(names) else ""
            notes = release_notes(tag, version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), address)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    status = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, made)]).returncode
    if tag:
        (ROOT / "build").mkdir(exist_ok=True)
        (ROOT / "build" / "notes.md").write_text(notes, encoding="utf-8")
    for path in made:
        count = len(members(path) if path.suffix == ".gz" else contents(path))
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.2f} MB, {count} files")
    return status


if __name__ == "__main__":
    sys.exit(main())
