"""MediaPipe's classifier, segmenter or detector: runs in the environment `mediapipe`, see `__init__.py` here."""

import sys
import zipfile
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


def detect(model, images):
    """Boxes x1, y1, x2, y2 in 0..1 of the image, classes, their number and scores, padded with 0; and the names.

    Classes that have one box are one detection of several categories, which bear names and no numbers.
    """
    with zipfile.ZipFile(model) as archive:
        (labels,) = (name for name in archive.namelist() if name.endswith(".txt"))
        names = archive.read(labels).decode().splitlines()
    options = vision.ObjectDetectorOptions(base_options=BaseOptions(model_asset_path=model), max_results=-1)
    rows = []
    with vision.ObjectDetector.create_from_options(options) as detector:
        for image in pictures(images):
            found = []
            for each in detector.detect(image).detections:
                box, sides = each.bounding_box, (image.width, image.height) * 2
                corners = (box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height)
                place = [corner / side for corner, side in zip(corners, sides, strict=True)]
                found += [(*place, names.index(c.category_name), c.score) for c in each.categories]
            rows.append(np.array(found, np.float32).reshape(-1, 6))
    most = max(1, *(len(row) for row in rows))
    padded = np.stack([np.pad(row, ((0, most - len(row)), (0, 0))) for row in rows])
    return (padded[..., :4], padded[..., 4], np.array([len(row) for row in rows], np.float32), padded[..., 5]), names


def main(model, images, answer):
    """Runs every image; a file says in its metadata that it is a segmenter's, or a detector's."""
    content = Path(model).read_bytes()
    if b"number of detections" in content:
        parts, names = detect(model, images)  # in the order of the outputs' own names: boxes, classes, count, scores
    else:
        rows, names = (segment if b"SEGMENTER_METADATA" in content else classify)(model, images)
        parts = (np.stack(rows),)
    np.savez(answer, labels=np.array(names), **{f"output_{number}": part for number, part in enumerate(parts)})


main(*sys.argv[1:])
