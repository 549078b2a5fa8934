"""MediaPipe Tasks' ImageClassifier and ImageSegmenter: uint8 or float pixels, metadata and labels in the file."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template
from typing import Any

from export.targets import masks
from export.targets.bundle import FEW, Bundle, Check, Request, not_run, refused
from keras_resnet.errors import InputError
from keras_resnet.runtime.opening import open_runner
from keras_resnet.runtime.outside import OUTSIDE


def refuse(request: Request) -> None:
    """Raises InputError for a model without labels: the task answers with names."""
    require_labels(request)


def require_labels(request: Request) -> None:
    """Raises InputError for a model whose classes have no names."""
    card, classes = request.source.card, request.source.model.output_shape[-1]
    if len(card.labels) != classes:
        raise InputError(
            f"--place {request.target.name} answers with names: expected {classes} labels in the model's card, found "
            f"{len(card.labels)}; pass --classes FILE with a name per line"
        )


def write(bundle: Bundle) -> list[Check]:
    """Writes a script, and runs the task where MediaPipe is."""
    return _segmenter(bundle) if bundle.task == "segmentation" else _classifier(bundle)


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


def _labels(bundle: Bundle, known: Mapping[str, Any]) -> Check:
    labels = tuple(str(label) for label in known["labels"])
    return Check(
        name="labels as the task reports them",
        wanted="the model's",
        found="the model's" if labels == bundle.runner.card.labels else ", ".join(labels[:5]),
        passed=labels == bundle.runner.card.labels,
    )


_TASK, _MASKS = "MediaPipe's ImageClassifier", "MediaPipe's ImageSegmenter"
_OPTIMIZED = 0.02  # seconds for a billion multiply-adds
FILES = {
    "classify.py": "classifies images from the command line",
    "segment.py": "draws masks from the command line",
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
