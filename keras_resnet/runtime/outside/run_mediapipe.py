"""MediaPipe's ImageClassifier: runs in the environment `mediapipe`, see `keras_resnet/runtime/outside/__init__.py`."""

import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def main(model, images, answer):
    """Runs every image; writes scores in the order of the classes, and their names."""
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=-1)
    rows, names = [], {}
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for pixels in np.load(images, allow_pickle=False):
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
            found = classifier.classify(image).classifications[0].categories
            row = np.zeros(len(found), np.float32)
            for category in found:
                row[category.index] = category.score
                names[category.index] = category.category_name or ""
            rows.append(row)
    np.savez(answer, output_0=np.stack(rows), labels=np.array([names[i] for i in sorted(names)]))


main(*sys.argv[1:])
