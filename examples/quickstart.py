"""A ResNet-50, a prediction, and the feature maps that detectors and segmentation nets start from.

Run it: python examples/quickstart.py
"""

import keras
import numpy as np

import keras_resnet


def main() -> None:
    """Builds, predicts, taps."""
    # The drop-in for keras.applications.ResNet50: weights="imagenet" is the default there as here; None stays offline.
    model = keras_resnet.ResNet50(weights=None)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)  # RGB, as an image file gives them
    probabilities = model.predict(keras_resnet.PREPROCESS["caffe"](pixels), verbose=0)
    print(f"{model.name}: {model.count_params():,} parameters, output {probabilities.shape}")

    taps = keras_resnet.stage_taps(model)
    for stride, tensor in taps.items():
        print(f"stride {stride:2}: {tensor.shape[1:]}")
    pyramid = keras.Model(model.input, [taps[stride] for stride in (8, 16, 32)])
    print("pyramid:", [feature.shape for feature in pyramid.predict(pixels.astype("float32"), verbose=0)])


if __name__ == "__main__":
    main()
