"""MediaPipe's ImageClassifier, or its ImageSegmenter: runs in the environment `mediapipe`, see `__init__.py` here."""

import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def pictures(images):
    """Every image as MediaPipe takes it."""
    for pixels in np.load(images, allow_pickle=False):
        yield mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))


def classify(model, images):
    """Scores in the order of the classes, and their names."""
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=-1)
    rows, names = [], {}
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for image in pictures(images):
            found = classifier.classify(image).classifications[0].categories
            row = np.zeros(len(found), np.float32)
            for category in found:
                row[category.index] = category.score
                names[category.index] = category.category_name or ""
            rows.append(row)
    return rows, [names[i] for i in sorted(names)]


def segment(model, images):
    """The confidence masks `(height, width, classes)`, and their names."""
    options = vision.ImageSegmenterOptions(base_options=BaseOptions(model_asset_path=model))
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        found = [segmenter.segment(image).confidence_masks for image in pictures(images)]
        rows = [np.stack([np.squeeze(mask.numpy_view()) for mask in masks], -1) for masks in found]
        return rows, list(segmenter.labels)


def main(model, images, answer):
    """Runs every image; a file says in its metadata that it is a segmenter's."""
    work = segment if b"SEGMENTER_METADATA" in Path(model).read_bytes() else classify
    rows, names = work(model, images)
    np.savez(answer, output_0=np.stack(rows), labels=np.array(names))


main(*sys.argv[1:])
