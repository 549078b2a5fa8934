"""MediaPipe Tasks' ImageClassifier: uint8 or float pixels, metadata and labels in the file."""

from __future__ import annotations

from string import Template

from export.targets.bundle import FEW, Bundle, Check, Request, not_run, refused
from keras_resnet.errors import InputError
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
    """Writes `classify.py`, and runs the task where MediaPipe is."""
    bundle.add("classify.py", _CODE.substitute(file=repr(bundle.file.name), **_SHOWN[bundle.task]))
    environment = OUTSIDE["mediapipe"]
    if environment.find() is None:
        return [not_run(_TASK, environment.missing)]
    try:
        probabilities, known = bundle.on("mediapipe", bundle.affordable(_OPTIMIZED, FEW))
    except InputError as error:
        return [refused(_TASK, error)]
    labels = tuple(str(label) for label in known["labels"])
    return [
        bundle.agreement(_TASK, probabilities),
        Check(
            name="labels as the task reports them",
            wanted="the model's",
            found="the model's" if labels == bundle.runner.card.labels else ", ".join(labels[:5]),
            passed=labels == bundle.runner.card.labels,
        ),
    ]


_TASK = "MediaPipe's ImageClassifier"
_OPTIMIZED = 0.02  # seconds for a billion multiply-adds
FILES = {"classify.py": "classifies images from the command line"}

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
