"""Shows where a trained model finds its digits, and checks one map against the logit that it decomposes.

Run it: python examples/explain_digits.py     (the digits model that ships with the package; writes explain.png)
"""

import numpy as np

import keras_resnet
from keras_resnet.explain import Net, cam, explain, overlay
from keras_resnet.nets.specs import get_spec
from keras_resnet.runtime.keras import KerasRunner


def main() -> None:
    """Draws three methods side by side."""
    from PIL import Image

    model = keras_resnet.build("resnet8", weights="digits")
    runner = KerasRunner(model, keras_resnet.weights_card("digits", get_spec("resnet8")))
    images = keras_resnet.load_dataset("digits").test.images[:5]

    columns = [images]
    for method in ("cam", "grad-cam", "occlusion"):
        found = explain(runner, images, method=method)
        pairs = zip(images, found.heat, strict=True)
        columns.append(np.stack([overlay(image, heat, signed=found.signed) for image, heat in pairs]))
    rows = np.concatenate([np.concatenate(column, axis=1) for column in columns])  # (4 * 32, 5 * 32, 3)
    Image.fromarray(rows).resize((800, 640), Image.Resampling.NEAREST).save("explain.png")

    # A class activation map is no guess: its mean and the classifier's bias are the logit.
    net, classes = Net(runner), found.classes
    prepared = runner.card.preprocess(images)
    maps = cam(net, prepared, classes)
    logits = net.logits(prepared).numpy()[np.arange(5), classes]
    bias = model.get_layer("predictions").bias.numpy()[classes]
    gap = np.abs(maps.mean(axis=(1, 2)) + bias - logits).max()
    print(f"digits {classes.tolist()}: explain.png; maps and logits differ by at most {gap:.0e}")


if __name__ == "__main__":
    main()
