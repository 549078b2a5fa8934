"""A server or desktop with ONNX Runtime: the file, and the few lines that use it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from string import Template

from export.targets.bundle import Bundle, Check, Request
from export.targets.description import MODEL
from keras_resnet import processes

FILES = {"classify.py": "classifies images, as a command or a function; needs onnxruntime, numpy and pillow"}
_COUNT = 8
_SECONDS = 300


def refuse(request: Request) -> None:
    """Every model that can be converted runs there."""
    del request


def write(bundle: Bundle) -> list[Check]:
    """Writes `classify.py` and runs it in a fresh process, without this package, on images as files."""
    from PIL import Image

    bundle.add("classify.py", _CODE.substitute(model=MODEL))
    images = bundle.folder / "images"
    images.mkdir()
    files = [str(images / f"{number}.png") for number in range(_COUNT)]
    for file, pixels in zip(files, bundle.evidence.pixels, strict=False):
        Image.fromarray(pixels).save(file)
    files = [file for file in files if Path(file).exists()]
    command: list[str | Path] = [sys.executable, "-I", bundle.folder / "classify.py", "--json", *files]
    try:
        child = processes.run(command, seconds=_SECONDS)
    except TimeoutError as error:
        return [Check(name="classify.py", wanted="answers", found=str(error), passed=False)]
    for file in files:
        Path(file).unlink()
    images.rmdir()
    if child.status:
        return [Check(name="classify.py", wanted="answers", found=child.last_words(), passed=False)]
    own = bundle.probabilities[: len(files)]
    found = json.loads(child.out)
    apart = max(abs(answer[0]["probability"] - float(row.max())) for answer, row in zip(found, own, strict=True))
    same = sum(answer[0]["index"] == int(row.argmax()) for answer, row in zip(found, own, strict=True))
    return [
        Check(
            name="classify.py in a process of its own, from PNG files",
            wanted="our own runner's classes, probabilities within 1e-5",
            found=f"{same} of {len(files)} classes, {apart:.2g} apart",
            passed=same == len(files) and apart <= 1e-5,
        )
    ]


_CODE = Template('''"""python classify.py [--json] IMAGE ...   (pip install onnxruntime numpy pillow)"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else ONNX Runtime 1.32 reports to its makers
import numpy as np
import onnxruntime
from PIL import Image

HERE = Path(__file__).resolve().parent
MODEL = json.loads((HERE / "$model").read_text())
LABELS = (HERE / MODEL["labels"]).read_text(encoding="utf-8").splitlines()
SESSION = onnxruntime.InferenceSession(str(HERE / MODEL["file"]), providers=onnxruntime.get_available_providers())


def load(path):
    """The central part of an image, resized, as the net takes it: float32 (height, width, 3)."""
    wanted = MODEL["input"]
    height, width, keep = wanted["height"], wanted["width"], wanted["crop"]
    image = Image.open(path).convert("RGB")
    part_height = max(1, round(min(image.height, image.width * height // width) * keep))
    part_width = max(1, round(min(image.width, image.height * width // height) * keep))
    left, top = (image.width - part_width) // 2, (image.height - part_height) // 2
    box = (left, top, left + part_width, top + part_height)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box), np.float32)
    if wanted["channels"] == "bgr":
        pixels = pixels[..., ::-1]
    return (pixels - np.float32(wanted["mean"])) / np.float32(wanted["std"])


def classify(images, top=5):
    """The best classes of every image: lists of (index, probability), best first."""
    (probabilities,) = SESSION.run([MODEL["output"]["name"]], {MODEL["input"]["name"]: np.stack(images)})
    return [[(int(i), float(row[i])) for i in np.argsort(-row, kind="stable")[:top]] for row in probabilities]


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--json"]
    answers = [classify([load(name)])[0] for name in names]
    if "--json" in sys.argv:
        print(json.dumps([[{"index": i, "label": LABELS[i], "probability": p} for i, p in a] for a in answers]))
    else:
        for name, answer in zip(names, answers):
            print(f"{name}: " + ", ".join(f"{LABELS[index]} {share:.1%}" for index, share in answer))
''')
