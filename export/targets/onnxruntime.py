"""A server or desktop with ONNX Runtime: the file, and the few lines that use it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from export.targets import masks
from export.targets.bundle import Bundle, Check, Request
from export.targets.description import MODEL
from keras_resnet import processes
from keras_resnet.tasks import get_task
from keras_resnet.tasks.table import DEFAULT

FILES = {
    "classify.py": "answers for images, as a command or a function; needs onnxruntime, numpy and pillow",
    "segment.py": "draws masks, as a command or a function; needs onnxruntime, numpy and pillow",
}
_APART = "in a process of its own, from PNG files"
_COUNT = 8
_SECONDS = 300
_CLOSE = 1e-5  # of probabilities; of values, in units of the largest


def refuse(request: Request) -> None:
    """Every model that can be converted runs there."""
    del request


def write(bundle: Bundle) -> list[Check]:
    """Writes a script and runs it in a fresh process, without this package, on images as files."""
    draws = bundle.task == "segmentation"
    script = "segment.py" if draws else "classify.py"
    parts = {"answers": _ANSWERS[bundle.task], "main": _DRAWING if draws else _MAIN}
    bundle.add(script, _CODE.substitute(model=MODEL, script=script, option="-o DIR" if draws else "--json", **parts))
    with tempfile.TemporaryDirectory() as folder:
        files = _pictures(bundle.evidence.fetch(0, _COUNT)[0], Path(folder))
        options = ["-o", folder] if draws else ["--json"]
        command: list[str | Path] = [sys.executable, "-I", bundle.folder / script, *options, *files]
        try:
            child = processes.run(command, seconds=_SECONDS)
        except TimeoutError as error:
            return [Check(name=script, wanted="answers", found=str(error), passed=False)]
        if child.status:
            return [Check(name=script, wanted="answers", found=child.last_words(), passed=False)]
        if draws:
            found = [_opened(Path(f"{file}.mask.png")) for file in files]
            return [masks.drawn(bundle, f"{script} {_APART}", lambda _: np.stack(found), len(files))]
    return [_compared(bundle, json.loads(child.out), bundle.probabilities[: len(files)])]


def _pictures(images: np.ndarray, folder: Path) -> list[Path]:
    """The images as files."""
    from PIL import Image

    files = [folder / f"{number}.png" for number in range(len(images))]
    for file, pixels in zip(files, images, strict=True):
        Image.fromarray(pixels).save(file)
    return files


def _opened(file: Path) -> np.ndarray:
    """The mask in a picture with a palette."""
    from PIL import Image

    with Image.open(file) as picture:
        return np.asarray(picture)


def _compared(bundle: Bundle, found: list[Any], own: np.ndarray) -> Check:
    """Whether the answers are those of our own runner."""
    if bundle.task == DEFAULT:
        what, same = "classes", [each[0]["index"] == int(row.argmax()) for each, row in zip(found, own, strict=True)]
        apart = max(abs(each[0]["probability"] - float(row.max())) for each, row in zip(found, own, strict=True))
    else:
        decoded = get_task(bundle.task).code.decode({bundle.runner.output.name: own}, bundle.runner.card)
        what = "answers"
        same = [_kept(each) == _kept(answer.to_json()) for each, answer in zip(found, decoded, strict=True)]
        numbers = np.array([list(each["values" if "values" in each else "probabilities"].values()) for each in found])
        apart = float(np.abs(numbers - own).max() / max(1.0, float(np.abs(own).max())))
    return Check(
        name=f"classify.py {_APART}",
        wanted=f"our own runner's {what}, numbers within {_CLOSE:g}",
        found=f"{sum(same)} of {len(found)} {what}, {apart:.2g} apart",
        passed=all(same) and len(same) == len(own) and apart <= _CLOSE,
    )


def _kept(answer: Mapping[str, Any]) -> Any:
    """What must be equal of an answer: its tags, or the names of its values."""
    return sorted(answer["tags"]) if "tags" in answer else list(answer["values"])


_CODE = Template('''"""python $script [$option] IMAGE ...   (pip install onnxruntime numpy pillow)"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else ONNX Runtime 1.32 reports to its makers
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
MODEL = json.loads((HERE / "$model").read_text())
LABELS = (HERE / MODEL["labels"]).read_text(encoding="utf-8").splitlines()
SESSION = onnxruntime.InferenceSession(str(HERE / MODEL["file"]), providers=onnxruntime.get_available_providers())


def rectangle(image, height, width, keep, fit):
    """What of an image fills the net's input: left, top, width, height; beyond the image it is grey."""
    if fit == "stretch":
        return 0, 0, image.width, image.height
    if fit == "pad":  # at the bottom and at the right
        across, down = -(-image.height * width // height), -(-image.width * height // width)
        return 0, 0, max(image.width, across), max(image.height, down)
    if fit == "own":
        return (image.width - width) // 2, (image.height - height) // 2, width, height
    part_height = max(1, round(min(image.height, image.width * height // width) * keep))
    part_width = max(1, round(min(image.width, image.height * width // height) * keep))
    return (image.width - part_width) // 2, (image.height - part_height) // 2, part_width, part_height


def load(path):
    """An image as the net takes it: float32 (height, width, 3)."""
    wanted = MODEL["input"]
    height, width = wanted["height"], wanted["width"]
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    left, top, across, down = rectangle(image, height, width, wanted["crop"], wanted["fit"])
    part = Image.new("RGB", (across, down), (127, 127, 127))
    part.paste(image, (-left, -top))
    pixels = np.asarray(part.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    if wanted["channels"] == "bgr":
        pixels = pixels[..., ::-1]
    return (pixels - np.float32(wanted["mean"])) / np.float32(wanted["std"])


def outputs(images):
    """The net's numbers for every image: float32 (images, numbers)."""
    return SESSION.run([MODEL["output"]["name"]], {MODEL["input"]["name"]: np.stack(images)})[0]


$answers

if __name__ == "__main__":
$main''')

_MAIN = """    names = [name for name in sys.argv[1:] if name != "--json"]
    answers = [classify([load(name)])[0] for name in names]
    if "--json" in sys.argv:
        print(json.dumps([plain(answer) for answer in answers]))
    else:
        for name, answer in zip(names, answers):
            print(f"{name}: {words(answer)}")
"""
_DRAWING = """    names, folder = sys.argv[1:], None
    if names[:1] == ["-o"]:
        folder, names = Path(names[1]), names[2:]
    for name in names:
        image = load(name)
        (mask,) = segment([image])
        place = Path(folder or Path(name).parent, Path(name).name)
        picture(mask).save(f"{place}.mask.png")
        drawn(image, mask).save(f"{place}.drawn.png")
        shares = np.bincount(mask.ravel(), minlength=len(LABELS)) / mask.size
        print(f"{name}: " + ", ".join(f"{LABELS[i]} {shares[i]:.1%}" for i in np.argsort(-shares)[:5]))
"""

_ANSWERS = {
    "classification": """def classify(images, top=5):
    \"\"\"The best classes of every image: lists of (index, probability), best first.\"\"\"
    return [[(int(i), float(row[i])) for i in np.argsort(-row, kind="stable")[:top]] for row in outputs(images)]


def plain(answer):
    return [{"index": i, "label": LABELS[i], "probability": p} for i, p in answer]


def words(answer):
    return ", ".join(f"{LABELS[index]} {share:.1%}" for index, share in answer)
""",
    "multilabel": """def classify(images):
    \"\"\"The tags of every image, likeliest first, and the probability of each tag that there is.\"\"\"
    answers = []
    for row in outputs(images):
        there = [i for i in np.argsort(-row, kind="stable") if row[i] >= MODEL["thresholds"][i]]
        answers.append(([LABELS[i] for i in there], dict(zip(LABELS, map(float, row)))))
    return answers


def plain(answer):
    return {"tags": answer[0], "probabilities": answer[1]}


def words(answer):
    return ", ".join(f"{tag} {answer[1][tag]:.1%}" for tag in answer[0]) or "none of the tags"
""",
    "segmentation": """PALETTE = np.array(MODEL["colours"], np.uint8)


def segment(images):
    \"\"\"The class of every pixel of the part that the net saw: uint8 (images, height, width).\"\"\"
    return outputs(images)


def picture(mask):
    \"\"\"A mask as a picture with a palette: its values are the classes.\"\"\"
    made = Image.fromarray(mask)
    made.putpalette(PALETTE.ravel().tolist())
    return made


def drawn(image, mask):
    \"\"\"The mask over what the net saw.\"\"\"
    wanted = MODEL["input"]
    pixels = image * np.float32(wanted["std"]) + np.float32(wanted["mean"])
    pixels = pixels[..., ::-1] if wanted["channels"] == "bgr" else pixels
    return Image.fromarray((0.45 * pixels + 0.55 * PALETTE[mask]).round().clip(0, 255).astype(np.uint8))
""",
    "regression": """def classify(images):
    \"\"\"The values of every image by their names, in their units.\"\"\"
    return [dict(zip(LABELS, map(float, row))) for row in outputs(images)]


def plain(answer):
    return {"values": answer}


def words(answer):
    return ", ".join(f"{name} {value:.6g}" for name, value in answer.items())
""",
}
