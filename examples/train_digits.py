"""Trains a ResNet-8 on real scanned digits and measures it on images that it has not seen.

Run it: python examples/train_digits.py [EPOCHS]        (24 epochs, about a minute on two cores)
"""

import dataclasses
import sys

import keras_resnet


def main(epochs: int) -> None:
    """Trains, evaluates."""
    recipe = dataclasses.replace(keras_resnet.RECIPES["digits-resnet8"], epochs=epochs)
    result = keras_resnet.train(recipe)
    runner = keras_resnet.open_runner(result.run_dir / "model.keras")
    scores = keras_resnet.evaluate(runner, keras_resnet.load_dataset("digits").test)
    print(f"{result.run_dir}: {scores.top1:.2%} of {scores.count} test images right")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else keras_resnet.RECIPES["digits-resnet8"].epochs)
