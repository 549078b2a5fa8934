"""Google's Android sample of LiteRT's image classification (`litert-samples/compiled_model_api`), app unchanged.

The sample hands over 224 x 224 float pixels `(x - 127.5) / 127.5`, reads `labels_without_background.txt` out of the
file's metadata, and shows the three best classes above 0.3. Whatever the net's own size, the file takes the sample's
and resizes itself.
"""

from __future__ import annotations

import zipfile

import numpy as np

from export.targets.bundle import Bundle, Check, Request
from export.targets.mediapipe import require_labels

_MEAN = _STD = np.float32(127.5)
_THRESHOLD, _COUNT = 0.3, 3


def refuse(request: Request) -> None:
    """Raises InputError for a model without labels, which the sample could not show."""
    require_labels(request)


def write(bundle: Bundle) -> list[Check]:
    """Replays what the sample does, step by step, with nothing of ours but the engine."""
    probabilities, labels = replay(bundle)
    shown = shown_by_sample(probabilities[0], labels)
    best = bundle.runner.card.labels[int(bundle.probabilities[0].argmax())]
    top = float(bundle.probabilities[0].max())
    wanted = best if top >= _THRESHOLD else f"nothing above {_THRESHOLD}"
    found = shown[0][0] if shown[0][1] > 0 else f"nothing above {_THRESHOLD}"
    return [
        bundle.agreement("the sample's preprocessing and buffers, replayed", probabilities),
        Check(
            name="labels_without_background.txt, as MetadataExtractor finds it",
            wanted=f"{len(bundle.runner.card.labels)} labels, stored uncompressed",
            found=f"{len(labels)} labels",
            passed=labels == list(bundle.runner.card.labels),
        ),
        Check(name="what the sample shows for the first image", wanted=wanted, found=found, passed=wanted == found),
    ]


def replay(bundle: Bundle) -> tuple[np.ndarray, list[str]]:
    """The sample's steps: scale the bitmap, normalise, write floats, run, read floats; labels out of the archive.

    Returns:
        Probabilities `(n, classes)` of the bundle's images, and the labels.
    """
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    with zipfile.ZipFile(bundle.file) as archive:
        member = archive.getinfo("labels_without_background.txt")
        stored = member.compress_type == zipfile.ZIP_STORED
        labels = archive.read(member).decode().splitlines() if stored else []
    engine = Interpreter(model_path=str(bundle.file), num_threads=1)
    engine.allocate_tensors()
    (entry,), (output, *_) = engine.get_input_details(), engine.get_output_details()
    rows = []
    for pixels in bundle.evidence.pixels:
        bitmap = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR)
        floats = ((np.asarray(bitmap, np.float32) - _MEAN) / _STD).ravel()
        # A CompiledModel buffer is flat: it takes as many floats as the input tensor has, or fails.
        engine.set_tensor(entry["index"], floats.reshape(entry["shape"]))
        engine.invoke()
        rows.append(engine.get_tensor(output["index"])[0].copy())
    return np.stack(rows), labels


def shown_by_sample(probabilities: np.ndarray, labels: list[str]) -> list[tuple[str, float]]:
    """The three lines of the sample's screen: scores below 0.3 become 0, the order is stable."""
    scores = [float(value) if value >= _THRESHOLD else 0.0 for value in probabilities]
    return sorted(zip(labels, scores, strict=True), key=lambda pair: -pair[1])[:_COUNT]
