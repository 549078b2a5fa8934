"""MediaPipe Tasks' classifier, segmenter and detector: uint8 or float pixels, metadata and labels in the file."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template
from typing import Any

from export.targets import boxes, masks
from export.targets.bundle import FEW, Bundle, Check, Request, not_run, refused
from keras_resnet.errors import InputError
from keras_resnet.runtime.opening import open_runner
from keras_resnet.runtime.outside import OUTSIDE
from keras_resnet.tasks import get_task


def refuse(request: Request) -> None:
    """Raises InputError for a model without labels: the task answers with names."""
    require_labels(request)


def require_labels(request: Request) -> None:
    """Raises InputError for a model whose classes have no names."""
    card = request.source.card
    if card.task == "detection":  # whose names are facts, without which there is no such model
        return
    classes = request.source.model.output_shape[-1]
    if len(card.labels) != classes:
        raise InputError(
            f"--place {request.target.name} answers with names: expected {classes} labels in the model's card, found "
            f"{len(card.labels)}; pass --classes FILE with a name per line"
        )


def write(bundle: Bundle) -> list[Check]:
    """Writes a script, and runs the task where MediaPipe is."""
    return {"segmentation": _segmenter, "detection": _detector}.get(bundle.task, _classifier)(bundle)


def _classifier(bundle: Bundle) -> list[Check]:
    bundle.add("classify.py", _CODE.substitute(file=repr(bundle.file.name), **_SHOWN[bundle.task]))
    environment = OUTSIDE["mediapipe"]
    if environment.find() is None:
        return [not_run(_TASK, environment.missing)]
    try:
        probabilities, known = bundle.on("mediapipe", bundle.affordable(_OPTIMIZED, FEW))
    except InputError as error:
        return [refused(_TASK, error)]
    return [bundle.agreement(_TASK, probabilities), _labels(bundle, known)]


def _segmenter(bundle: Bundle) -> list[Check]:
    """MediaPipe resizes masks to the image; images of the net's size are compared, so that it resizes none."""
    bundle.add("segment.py", _DRAWING.substitute(file=repr(bundle.file.name)))
    environment = OUTSIDE["mediapipe"]
    if environment.find() is None:
        return [not_run(_MASKS, environment.missing)]
    bundle.say(f"{bundle.request.target.name}: running up to {masks.MOST} images on {environment.summary}")
    other = open_runner(bundle.file, engine="mediapipe", trusted=True)
    try:
        checks = masks.compared(bundle, _MASKS, other, masks.MOST)
    except InputError as error:
        return [refused(_MASKS, error)]
    return [*checks, _labels(bundle, getattr(other, "facts", {}))]


def _detector(bundle: Bundle) -> list[Check]:
    """Images of the net's size are compared; MediaPipe stretches others to it, whatever the net's `fit` is."""
    card = bundle.runner.card
    bundle.add("detect.py", _FINDING.substitute(file=repr(bundle.file.name), least=card.facts["threshold"]))
    told = Check(
        name="geometry",
        wanted="fit=stretch, as MediaPipe does",
        found=f"fit={card.fit}"
        + (
            ""
            if card.fit == "stretch"
            else ": pictures of another aspect are distorted there, and were not in training"
        ),
        passed=True if card.fit == "stretch" else None,
    )
    environment = OUTSIDE["mediapipe"]
    if environment.find() is None:
        return [told, not_run(_FOUND, environment.missing)]
    bundle.say(f"{bundle.request.target.name}: running up to {boxes.MOST} images on {environment.summary}")
    other = open_runner(bundle.file, engine="mediapipe", trusted=True)
    try:
        check = boxes.compared(bundle, _FOUND, other, boxes.MOST)
    except InputError as error:
        return [told, refused(_FOUND, error)]
    return [told, check, _labels(bundle, getattr(other, "facts", {}))]


def _labels(bundle: Bundle, known: Mapping[str, Any]) -> Check:
    labels, own = tuple(str(label) for label in known["labels"]), _own(bundle)
    return Check(
        name="labels as the task reports them",
        wanted="the model's",
        found="the model's" if labels == own else ", ".join(labels[:5]),
        passed=labels == own,
    )


def _own(bundle: Bundle) -> tuple[str, ...]:
    card = bundle.runner.card
    return card.labels or get_task(card.task).capable.numbers(card, 0).names


_TASK, _MASKS, _FOUND = (f"MediaPipe's {name}" for name in ("ImageClassifier", "ImageSegmenter", "ObjectDetector"))
_OPTIMIZED = 0.02  # seconds for a billion multiply-adds
FILES = {
    "classify.py": "classifies images from the command line",
    "segment.py": "draws masks from the command line",
    "detect.py": "finds objects, from the command line",
}

_CODE = Template('''"""python classify.py IMAGE ...   (pip install mediapipe)"""
$imports
import sys
from pathlib import Path

import mediapipe as mp
from mediapipe.tasks.python import BaseOptions, vision

model = Path(__file__).with_name($file)
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=str(model)), max_results=$most)
$limits
with vision.ImageClassifier.create_from_options(options) as classifier:
    for name in sys.argv[1:]:
        result = classifier.classify(mp.Image.create_from_file(name))
        for category in result.classifications[0].categories:
$shown
''')
_LINE = 'print(f"{name}: {category.score:6.1%} {category.category_name}")'
_SHOWN = {
    "classification": {"imports": "", "most": "5", "limits": "", "shown": " " * 12 + _LINE},
    "multilabel": {  # the task has one threshold for all tags at most, and the net one for each
        "imports": "\nimport json",
        "most": "-1",
        "limits": 'limits = json.loads(Path(__file__).with_name("model.json").read_text())["thresholds"]',
        "shown": " " * 12 + "if category.score >= limits[category.index]:\n" + " " * 16 + _LINE,
    },
}

_DRAWING = Template('''"""python segment.py IMAGE ...   (pip install mediapipe pillow): writes IMAGE.mask.png"""

import json
import sys
from pathlib import Path

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from PIL import Image, ImageOps

model = Path(__file__).with_name($file)
options = vision.ImageSegmenterOptions(base_options=BaseOptions(model_asset_path=str(model)))
palette = np.array(json.loads(model.with_name("model.json").read_text())["colours"], np.uint8)
with vision.ImageSegmenter.create_from_options(options) as segmenter:
    for name in sys.argv[1:]:
        pixels = np.asarray(ImageOps.exif_transpose(Image.open(name)).convert("RGB"))
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
        found = segmenter.segment(image).confidence_masks  # one of each class, of the size of the image
        classes = np.stack([np.squeeze(mask.numpy_view()) for mask in found]).argmax(axis=0).astype(np.uint8)
        mask = Image.fromarray(classes)
        mask.putpalette(palette.ravel().tolist())
        mask.save(f"{name}.mask.png")
        shares = np.bincount(classes.ravel(), minlength=len(segmenter.labels)) / classes.size
        print(f"{name}: " + ", ".join(f"{segmenter.labels[i]} {shares[i]:.1%}" for i in np.argsort(-shares)[:5]))
''')

_FINDING = Template('''"""python detect.py IMAGE ...   (pip install mediapipe pillow): writes IMAGE.drawn.png"""

import sys
from pathlib import Path

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from PIL import Image, ImageDraw, ImageOps

model = Path(__file__).with_name($file)
options = vision.ObjectDetectorOptions(
    base_options=BaseOptions(model_asset_path=str(model)), score_threshold=$least, max_results=-1
)
with vision.ObjectDetector.create_from_options(options) as detector:
    for name in sys.argv[1:]:
        picture = ImageOps.exif_transpose(Image.open(name)).convert("RGB")
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.array(picture))
        pen = ImageDraw.Draw(picture)
        for found in detector.detect(image).detections:  # boxes are in pixels of the picture
            box = found.bounding_box
            left, top, right, bottom = (
                box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height
            )
            pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=(220, 40, 40), width=2)
            for category in found.categories:
                print(f"{name}: {category.score:6.1%} {category.category_name} {left} {top} {right} {bottom}")
        picture.save(f"{name}.drawn.png")
''')
