"""Input conventions: what a set of weights expects its pixels to look like."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from keras_resnet.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """`(pixel - mean) / std` per channel, after putting the channels into the order the weights know.

    Attributes:
        mean: per channel, in pixel values 0..255 and in the order of `channels`; one number serves all channels.
        std: likewise.
        channels: `"rgb"` or `"bgr"`.

    Example:
        >>> import numpy as np
        >>> float(PREPROCESS["tf"](np.full((1, 2, 2, 3), 255, "uint8")).max())
        1.0
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channels: str = "rgb"

    def __post_init__(self) -> None:
        """Makes tuples of lists (JSON has no tuples) and refuses what is no convention."""
        for field in ("mean", "std"):
            object.__setattr__(self, field, tuple(float(value) for value in getattr(self, field)))
        if self.channels not in ("rgb", "bgr") or not self.mean or not self.std or min(self.std) <= 0:
            raise InputError(
                f"illegal input convention {self.to_json()}: expected channels 'rgb' or 'bgr', a mean and a std "
                "above 0 per channel"
            )

    def __call__(self, images):
        """Applies the convention.

        Args:
            images: `(..., channels)`, RGB, values 0..255, NumPy array or TensorFlow tensor of any number type.

        Returns:
            float32 of the same shape.
        """
        if isinstance(images, np.ndarray):
            images = images.astype(np.float32)
        else:
            import tensorflow as tf

            images = tf.cast(images, tf.float32)
        if self.channels == "bgr":
            images = images[..., ::-1]
        return (images - np.float32(self.mean)) / np.float32(self.std)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


PREPROCESS: dict[str, Preprocess] = {
    "none": Preprocess(),
    "tf": Preprocess(mean=(127.5,), std=(127.5,)),
    "caffe": Preprocess(mean=(103.939, 116.779, 123.68), channels="bgr"),
    "torch": Preprocess(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
    # Mean and standard deviation of CIFAR-10's 50,000 training images, over images and pixels.
    "cifar10": Preprocess(mean=(125.307, 122.950, 113.865), std=(62.993, 62.089, 66.705)),
}
