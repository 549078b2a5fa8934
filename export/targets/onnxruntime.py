"""A server or desktop with ONNX Runtime: the file, and the few lines that use it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from export.targets import boxes, masks
from export.targets.bundle import Bundle, Check, Request
from export.targets.description import MODEL
from keras_resnet import processes
from keras_resnet.tasks import get_task
from keras_resnet.tasks.table import DEFAULT

FILES = {
    "classify.py": "answers for images, as a command or a function; needs onnxruntime, numpy and pillow",
    "segment.py": "draws masks, as a command or a function; needs onnxruntime, numpy and pillow",
    "detect.py": "finds objects, as a command or a function; needs onnxruntime, numpy and pillow",
    "locate.py": "finds the one object, as a command or a function; needs onnxruntime, numpy and pillow",
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
    script, main, option = _SCRIPTS.get(bundle.task, ("classify.py", _MAIN, "--json"))
    parts = {"answers": _ANSWERS[bundle.task], "main": main, "option": option}
    bundle.add(script, _CODE.substitute(model=MODEL, script=script, **parts))
    images = bundle.evidence.fetch(0, _COUNT)[0]
    with tempfile.TemporaryDirectory() as folder:
        in_places = bundle.task in ("detection", "localization")
        # Of boxes the places in pictures of any size are what matters.
        files = _pictures([*images, *boxes.pictures(images)] if in_places else images, Path(folder))
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
        if in_places:
            return boxes.told(bundle, f"{script} {_APART}", files, json.loads(child.out), len(images))
    return [_compared(bundle, json.loads(child.out), bundle.probabilities[: len(files)])]


def _pictures(images: Sequence[np.ndarray] | np.ndarray, folder: Path) -> list[Path]:
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
from PIL import Image, ImageDraw, ImageOps

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

_FINDING = """    names, folder = [name for name in sys.argv[1:] if name != "--json"], None
    if names[:1] == ["-o"]:
        folder, names = Path(names[1]), names[2:]
    answers = [detect(name) for name in names]
    if "--json" in sys.argv:
        print(json.dumps(answers))
    for name, found in zip(names, [] if "--json" in sys.argv else answers):
        for each in found:
            sides = " ".join(f"{side:.1f}" for side in each["box"])
            print(f"{name}: {each['score']:.1%} {each['class']} {sides}")
        if folder:
            drawn(name, found).save(f"{folder / Path(name).name}.drawn.png")
"""
_SCRIPTS = {  # name, what it does as a command, and its option
    "segmentation": ("segment.py", _DRAWING, "-o DIR"),
    "detection": ("detect.py", _FINDING, "--json | -o DIR"),
    "localization": ("locate.py", _FINDING, "--json | -o DIR"),
}

_PLACED = """def in_picture(name, boxes):
    \"\"\"Boxes x1, y1, x2, y2 in 0..1 of the net's input, in pixels of the picture.\"\"\"
    wanted = MODEL["input"]
    with Image.open(name) as opened:
        picture = ImageOps.exif_transpose(opened)
    left, top, across, down = rectangle(picture, wanted["height"], wanted["width"], wanted["crop"], wanted["fit"])
    sides = boxes * np.float32([across, down] * 2) + np.float32([left, top] * 2)
    return np.clip(sides, 0, [picture.width, picture.height] * 2).tolist()


def drawn(name, found):
    \"\"\"The picture with the boxes of its objects.\"\"\"
    picture = ImageOps.exif_transpose(Image.open(name)).convert("RGB")
    pen = ImageDraw.Draw(picture)
    for each in found:
        left, top, right, bottom = each["box"]
        colour = tuple(MODEL["colours"][each["index"]])
        pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=2)
        pen.text((left + 3, top + 2), f"{each['class']} {each['score']:.2f}", fill=colour)
    return picture
"""

_ANSWERS = {
    "detection": """def overlaps(box, others):
    \"\"\"Intersection over union of a box with others.\"\"\"
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return shared / np.maximum((box[2:] - box[:2]).prod() + areas - shared, np.float32(1e-12))


def suppressed(boxes, scores, threshold):
    \"\"\"Answers (class, score, box) best first; of boxes of a class that overlap the best one stays.\"\"\"
    place, label = np.nonzero(scores > threshold)
    order = np.argsort(-scores[place, label], kind="stable")[: MODEL["candidates"]]
    place, label, kept = place[order], label[order], []
    for row, (box, kind) in enumerate(zip(boxes[place], label)):
        rivals = [other for other in kept if label[other] == kind]
        if not rivals or overlaps(box, boxes[place[rivals]]).max() <= MODEL["overlap"]:
            kept.append(row)
    kept = kept[: MODEL["most"]]
    return [(int(label[row]), float(scores[place[row], label[row]]), boxes[place[row]]) for row in kept]


def detect(name, threshold=MODEL["threshold"]):
    \"\"\"The objects in a picture: class, score, and box x1, y1, x2, y2 in pixels of the picture, ends exclusive.\"\"\"
    boxes, scores = SESSION.run(["boxes", "scores"], {MODEL["input"]["name"]: load(name)[None]})
    kept = suppressed(boxes[0], scores[0], threshold)
    sides = in_picture(name, np.float32([box for *_, box in kept]).reshape(-1, 4))
    return [
        {"class": LABELS[label], "index": label, "score": score, "box": box}
        for (label, score, _), box in zip(kept, sides)
    ]


"""
    + _PLACED,
    "localization": """def detect(name):
    \"\"\"The one object in a picture: class, score, and box x1, y1, x2, y2 in pixels of the picture.\"\"\"
    logits, box = SESSION.run(["logits", "box"], {MODEL["input"]["name"]: load(name)[None]})
    powers = np.exp(logits[0] - logits[0].max())
    label = int(powers.argmax())
    half = box[:, 2:] / 2
    sides = np.concatenate([box[:, :2] - half, box[:, :2] + half], axis=1).clip(0, 1)
    (sides,) = in_picture(name, sides)
    return [{"class": LABELS[label], "index": label, "score": float(powers[label] / powers.sum()), "box": sides}]


"""
    + _PLACED,
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
