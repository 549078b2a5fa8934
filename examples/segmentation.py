#!/usr/bin/env python3
"""A backbone for another task: which pixels of a digit are ink, from the feature maps of a pretrained ResNet-8.

Run it: python examples/segmentation.py [--epochs 4]        (about half a minute)
"""

import argparse

from keras_resnet import console

console.import_tensorflow()

import keras  # noqa: E402

import keras_resnet  # noqa: E402


def segmenter() -> keras.Model:
    """Feature maps of three resolutions, brought to one, and a 1x1 convolution: (N, 32, 32, 3) -> (N, 32, 32, 1)."""
    backbone = keras_resnet.build("resnet8", weights="digits", weights_match="adapt", features=(1, 2, 4))
    maps = [
        keras.layers.UpSampling2D(stride, interpolation="bilinear")(tensor) if stride > 1 else tensor
        for stride, tensor in backbone.output.items()
    ]
    x = keras.layers.Concatenate()(maps)
    return keras.Model(backbone.input, keras.layers.Conv2D(1, 1, activation="sigmoid", name="ink")(x))


def main(epochs: int) -> float:
    """Trains the new layer only and returns the share of ink and prediction that they have in common (IoU)."""
    keras.utils.set_random_seed(0)
    digits = keras_resnet.load_dataset("digits")
    preprocess = keras_resnet.weights_card("digits", "resnet8").preprocess
    model = segmenter()
    for layer in model.layers:
        layer.trainable = layer.name == "ink"  # frozen batch normalisations stay in inference mode
    overlap = keras.metrics.BinaryIoU(target_class_ids=[1], name="overlap")
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=[overlap])

    def images_and_ink(split):
        return preprocess(split.images), (split.images[..., :1] > 127).astype("float32")

    model.fit(*images_and_ink(digits.train), epochs=epochs, batch_size=64, verbose=0)
    return model.evaluate(*images_and_ink(digits.test), verbose=0, return_dict=True)["overlap"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    print(f"overlap of ink and prediction on the test images: {main(parser.parse_args().epochs):.1%}")
