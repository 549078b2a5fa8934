"""A static page with ONNX Runtime Web or LiteRT.js: the page of `examples/web` beside the file, tried in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from export.targets import assets, boxes, masks
from export.targets.bundle import FEW, Bundle, Check, Request, not_run
from keras_resnet import processes
from keras_resnet.signals.image import resized
from keras_resnet.tasks.table import DEFAULT

_PAGE = ("index.html", "style.css", "app.js", "camera.js", "engines.js", "pixels.js", "serve.js")
_NAMES = {  # of the package, by task
    DEFAULT: "image-classifier",
    "segmentation": "image-segmentation",
    "detection": "object-detection",
}
_RUNTIMES = {"onnx": "onnxruntime-web", "tflite": "@litertjs/core"}
_WANTED = "file, drop, camera, keyboard alone, network off, damaged image, nothing cut off"
_MISSING = "run 'make check-web' in the clone once; it needs Node.js, npm and Chromium"
_SECONDS = 600
Shown = Mapping[str, np.ndarray]  # pictures of other sizes, by name
_WASM = 0.5  # seconds of a browser for a billion multiply-adds
FILES = {
    "index.html": "the page",
    "style.css": "how it looks",
    "app.js": "what it does",
    "camera.js": "frames of a camera, one after the other",
    "engines.js": "the runtimes behind one function",
    "pixels.js": "from an image to what the net takes, as in Python",
    "classification.js": "from the output to the best classes",
    "segmentation.js": "from the output to a mask over the picture, in the picture's own pixels",
    "detection.js": "from the outputs to objects and their boxes over the picture, in the picture's own pixels",
    "serve.js": "a small server for trying it: node serve.js",
    "package.json": "names the runtime, for npm install",
}


def refuse(request: Request) -> None:
    """Every file in float32 runs there."""
    del request


def write(bundle: Bundle) -> list[Check]:
    """Copies the page, and uses it in headless Chromium where that is."""
    assets.copy("web", bundle.folder, (*_PAGE, f"{bundle.task}.js"))
    package = json.loads((assets.folder("web") / "package.json").read_text(encoding="utf-8"))
    runtime = _RUNTIMES[bundle.request.made.format.name]
    kept = {"name": _NAMES[bundle.task], "private": True, "type": "module", "scripts": {"start": "node serve.js"}}
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
    paints = bundle.task != DEFAULT
    count = bundle.affordable(_WASM, masks.MOST) if paints else FEW if max(size) <= 64 else FEW // 5
    few = bundle.evidence.first(count)
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        images = resized(few.pixels, size)
        (folder / "pixels.bin").write_bytes(images.tobytes())
        shown = masks.pictures(images) if paints else {}
        options: list[str | Path] = ["--pixels", folder / "pixels.bin", "--answer", folder / "answer.bin"]
        if paints:
            masks.save(shown, folder / "pictures")
            options += ["--pictures", folder / "pictures"]
        command = ["node", assets.folder("web") / "test.js", bundle.folder, *options]
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
        works = Check(name=name, wanted=_WANTED, found=f"{len(held)} things tried, all held", passed=True)
        return [works, *_COMPARED[bundle.task](bundle, folder, len(few), shown)]


def _probabilities(bundle: Bundle, folder: Path, count: int, shown: Shown) -> list[Check]:
    """The page's probabilities of test images."""
    del shown
    answer = np.frombuffer((folder / "answer.bin").read_bytes(), np.float32)
    return [bundle.agreement("the page's probabilities", answer.reshape(count, -1))]


def _masks(bundle: Bundle, folder: Path, count: int, shown: Shown) -> list[Check]:
    """The page's masks of test images, and over pictures of other sizes."""
    answer = np.frombuffer((folder / "answer.bin").read_bytes(), np.uint8)
    classes = answer.reshape(count, *bundle.request.image_shape[:2])
    return [
        masks.drawn(bundle, "the page's masks", lambda _: classes, count),
        masks.in_place(bundle, "the page's masks over pictures of other sizes", shown, folder / "pictures"),
    ]


def _objects(bundle: Bundle, folder: Path, count: int, shown: Shown) -> list[Check]:
    """The page's objects in test images, and in pictures of other sizes."""
    found = json.loads((folder / "answer.bin").read_bytes())
    files = [folder / "pictures" / f"{key}.png" for key in shown]
    drawn = [json.loads(file.with_name(f"{file.name}.json").read_bytes()) for file in files]
    return [
        boxes.found(bundle, "the page's objects", found[:count]),
        boxes.in_pictures(bundle, "the page's objects in pictures of other sizes", files, drawn),
    ]


_COMPARED: dict[str, Callable[[Bundle, Path, int, Shown], list[Check]]] = {
    DEFAULT: _probabilities,
    "segmentation": _masks,
    "detection": _objects,
}
