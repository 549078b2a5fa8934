"""A static page with ONNX Runtime Web or LiteRT.js: the page of `examples/web` beside the file, tried in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from export.targets import assets
from export.targets.bundle import FEW, Bundle, Check, Request, not_run
from keras_resnet import processes
from keras_resnet.signals.image import resized

_PAGE = ("index.html", "style.css", "app.js", "engines.js", "pixels.js", "serve.js")
_RUNTIMES = {"onnx": "onnxruntime-web", "tflite": "@litertjs/core"}
_MISSING = "run 'make check-web' in the clone once; it needs Node.js, npm and Chromium"
_SECONDS = 600
FILES = {
    "index.html": "the page",
    "style.css": "how it looks",
    "app.js": "what it does",
    "engines.js": "the runtimes behind one function",
    "pixels.js": "from an image to what the net takes, as in Python",
    "serve.js": "a small server for trying it: node serve.js",
    "package.json": "names the runtime, for npm install",
}


def refuse(request: Request) -> None:
    """Every file in float32 runs there."""
    del request


def write(bundle: Bundle) -> list[Check]:
    """Copies the page, and uses it in headless Chromium where that is."""
    assets.copy("web", bundle.folder, _PAGE)
    package = json.loads((assets.folder("web") / "package.json").read_text(encoding="utf-8"))
    runtime = _RUNTIMES[bundle.request.made.format.name]
    kept = {"name": "image-classifier", "private": True, "type": "module", "scripts": {"start": "node serve.js"}}
    bundle.add(
        "package.json",
        json.dumps({**kept, "dependencies": {runtime: package["dependencies"][runtime]}}, indent=2) + "\n",
    )
    return _tried(bundle)


def browser() -> str | None:
    """Chromium, None where there is none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def is_ready() -> bool:
    """Whether the page can be tried here: Node.js, Chromium, and the packages of `examples/web/package.json`."""
    modules = assets.folder("web") / "node_modules"
    return bool(shutil.which("node") and browser() and (modules / "playwright-core").is_dir())


def _tried(bundle: Bundle) -> list[Check]:
    name = "the page in headless Chromium, desktop and phone"
    if not is_ready():
        return [not_run(name, _MISSING)]
    bundle.say(f"{bundle.request.target.name}: using the page in headless Chromium")
    size = bundle.request.image_shape[:2]
    few = bundle.evidence.pixels[: FEW if max(size) <= 64 else FEW // 5]
    with tempfile.TemporaryDirectory() as folder:
        pixels, answer = Path(folder, "pixels.bin"), Path(folder, "answer.bin")
        pixels.write_bytes(resized(few, size).tobytes())
        command = ["node", str(assets.folder("web") / "test.js"), str(bundle.folder)]
        command += ["--pixels", str(pixels), "--answer", str(answer)]
        try:
            child = processes.run(command, seconds=_SECONDS, environment={"CHROMIUM": browser() or ""})
        except TimeoutError as error:
            return [Check(name=name, wanted="works", found=str(error), passed=False)]
        lines = child.out.splitlines()
        failed = [line.removeprefix("FAILED").strip() for line in lines if line.startswith("FAILED")]
        if child.status:
            found = "; ".join(failed) or child.last_words()
            return [Check(name=name, wanted="works", found=found[:300], passed=False)]
        held = [line.removeprefix("held").strip() for line in lines if line.startswith("held")]
        probabilities = np.frombuffer(answer.read_bytes(), np.float32).reshape(len(few), -1)
    return [
        Check(
            name=name,
            wanted="file, drop, keyboard alone, network off, damaged image, nothing cut off",
            found=f"{len(held)} things tried, all held",
            passed=True,
        ),
        bundle.agreement("the page's probabilities", probabilities),
    ]
