"""Input conventions: what a set of weights expects its inputs to look like, for any rank."""

from __future__ import annotations

import importlib
import math
from dataclasses import asdict, dataclass
from types import ModuleType

import numpy as np

from keras_resnet.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """`(pixel - mean) / std` per channel, after putting the channels into the order the weights know.

    Attributes:
        mean: mean of every channel, in the values of the signal (0..255 for images) and in the order of `channels`; one
            number serves all channels.
        std: standard deviation of every channel, in the same values and order.
        channels: order of the first three channels, `"rgb"` or `"bgr"`.

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
        finite = all(math.isfinite(value) for value in (*self.mean, *self.std))
        several = {len(values) for values in (self.mean, self.std)} - {1}
        if self.channels not in ("rgb", "bgr") or 0 in several or len(several) > 1 or not finite or min(self.std) <= 0:
            raise InputError(
                f"illegal input convention {self.to_json()}: expected channels 'rgb' or 'bgr', a mean and a std "
                "above 0 per channel, or one number for all"
            )

    def __call__(self, images):
        """Applies the convention.

        Args:
            images: `(..., channels)`, any rank, NumPy array or tensor of any number type; images are RGB, 0..255.

        Returns:
            float32 of the same shape.
        """
        if isinstance(images, np.ndarray) and images.ndim > 2 and len(self.mean) == len(self.std) == images.shape[-1]:
            return self._of_array(images)
        cast, take = _operations(images)
        images = cast(images, "float32")
        if self.channels == "bgr" and images.shape[-1] >= 3:
            images = take(images, self.order(images.shape[-1]), axis=-1)
        mean, std, shape = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32), images.shape
        if _is_tensorflow(images) and len(shape) > 2 and shape[-2] is not None and len(mean) == len(std) == shape[-1]:
            return _tensors().by_rows(images, mean, std)
        return (images - mean) / std

    def _of_array(self, images: np.ndarray) -> np.ndarray:
        """The same of an array with a mean for each channel, example by example: in the cache, and without copies."""
        order, shape = self.order(images.shape[-1]), images.shape
        if order != sorted(order):
            images = images[..., order]
        mean, std = (np.tile(np.asarray(values, np.float32), shape[-2]) for values in (self.mean, self.std))
        rows = images.reshape(*shape[:-2], -1)  # NumPy is slow where the last axis has three values
        found = np.empty(rows.shape, np.float32)
        for one, out in zip(rows, found, strict=True):
            np.subtract(one, mean, out=out, casting="unsafe", dtype=np.float32)
            out /= std
        return found.reshape(shape)

    def order(self, channels: int) -> list[int]:
        """The channel of an example that each channel of the net's input is made of.

        Args:
            channels: number of channels; with fewer than three there is no blue to come first.
        """
        first = [2, 1, 0] if self.channels == "bgr" and channels >= 3 else []
        return [*first, *range(len(first), channels)]

    def check_channels(self, channels: int | None, origin: object) -> None:
        """Refuses a net with another number of channels.

        Args:
            channels: channels of the net's input; None for any.
            origin: net, for the message.

        Raises:
            InputError: mean or std have neither one value nor one per channel.
        """
        for name in ("mean", "std"):
            count = len(getattr(self, name))
            if channels is not None and count not in (1, channels):
                raise InputError(
                    f"the card of {origin} has {count} values of {name}, its input {channels} channels: expected one "
                    "per channel, or one for all; export or save the model again"
                )

    def for_channels(self, channels: int) -> Preprocess:
        """The same convention for inputs with another number of channels than three.

        One channel gets the mean of the colours' values, more get red's, green's, blue's, red's, ..., as the first
        convolution's kernel does in `load_weights(match="adapt")`.

        Args:
            channels: from 1.

        Example:
            >>> PREPROCESS["caffe"].for_channels(4).mean
            (103.939, 116.779, 123.68, 123.68)
        """

        def spread(values: tuple[float, ...]) -> tuple[float, ...]:
            if len(values) == 1:
                return values
            if channels == 1:
                return (sum(values) / len(values),)
            rgb = values[::-1] if self.channels == "bgr" else values
            several = [rgb[index % len(rgb)] for index in range(channels)]
            if self.channels == "bgr" and channels >= 3:
                several[:3] = several[2::-1]
            return tuple(several)

        return Preprocess(
            mean=spread(self.mean), std=spread(self.std), channels=self.channels if channels >= 3 else "rgb"
        )

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def _is_tensorflow(images) -> bool:
    return type(images).__module__.partition(".")[0] == "tensorflow"


def _tensors() -> ModuleType:
    """What needs TensorFlow, which whoever has a tensor has imported."""
    return importlib.import_module("keras_resnet.signals.tensors")


def _operations(images):
    """`cast` and `take` for an array: NumPy's, TensorFlow's (tf.data, whatever Keras' backend is) or Keras'."""
    if isinstance(images, np.ndarray):
        return np.ndarray.astype, np.take
    if _is_tensorflow(images):
        return _tensors().cast, _tensors().take
    import keras

    return keras.ops.cast, keras.ops.take


PREPROCESS: dict[str, Preprocess] = {
    "none": Preprocess(),
    "tf": Preprocess(mean=(127.5,), std=(127.5,)),
    "0..1": Preprocess(std=(255.0,)),
    "caffe": Preprocess(mean=(103.939, 116.779, 123.68), channels="bgr"),
    "torch": Preprocess(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
    # Mean and standard deviation of CIFAR-10's 50,000 training images, over images and pixels.
    "cifar10": Preprocess(mean=(125.307, 122.950, 113.865), std=(62.993, 62.089, 66.705)),
    # The numbers of github.com/kuangliu/pytorch-cifar (std is a mean over images of each one's own), used widely.
    "pytorch-cifar": Preprocess(mean=(125.307, 122.961, 113.8575), std=(51.5865, 50.847, 51.255)),
}


def parse_preprocess(text: str) -> Preprocess:
    """Reads an input convention as people write it.

    Args:
        text: row of `PREPROCESS`, or `MEAN/STD` in 0..255, RGB, each one number for all channels or one per channel.

    Raises:
        InputError: neither.

    Example:
        >>> parse_preprocess("123.7,116.3,103.5/58.4,57.1,57.4").mean
        (123.7, 116.3, 103.5)
    """
    if text in PREPROCESS:
        return PREPROCESS[text]
    mean, slash, std = text.partition("/")
    try:
        values = [tuple(float(each) for each in part.split(",")) for part in (mean, std)]
    except ValueError:
        values = []
    if not slash or not values or not all(math.isfinite(each) for part in values for each in part):
        raise InputError(
            f"{text!r}: expected {', '.join(PREPROCESS)}, or MEAN/STD in 0..255, RGB, like "
            "123.7,116.3,103.5/58.4,57.1,57.4 or 0/255"
        )
    if 1 < len(values[0]) != len(values[1]) > 1:
        raise InputError(f"{text!r}: expected as many means as deviations, or one number for all channels")
    return Preprocess(mean=values[0], std=values[1])


def preprocess_input(x, data_format: str | None = None, mode: str = "caffe"):
    """Prepares RGB pixels 0..255 for ImageNet weights, as keras.applications does.

    Args:
        x: `(N, height, width, 3)` or `(height, width, 3)`, NumPy array or tensor. A float array is changed in place,
            as in keras.applications; `PREPROCESS[mode]` does not.
        data_format: `"channels_last"` or `"channels_first"`; by default Keras' setting.
        mode: `"caffe"` for ResNet50, 101, 152; `"tf"` for their V2s; `"torch"` for weights of PyTorch.

    Returns:
        The same shape, float.

    Example:
        >>> import numpy as np
        >>> float(preprocess_input(np.full((1, 2, 2, 3), 255.0), mode="tf").max())
        1.0
    """
    from keras.applications import imagenet_utils

    return imagenet_utils.preprocess_input(x, data_format=data_format, mode=mode)


def row_of(convention: Preprocess) -> str | None:
    """The row of `PREPROCESS` that is a convention; None for none.

    Numbers may differ in their last digits: timm states ImageNet's of pixels from 0 to 1.

    Args:
        convention: convention of a card.
    """
    for name, row in PREPROCESS.items():
        pairs = [*zip(row.mean, convention.mean, strict=False), *zip(row.std, convention.std, strict=False)]
        sizes = (len(row.mean), len(row.std)) == (len(convention.mean), len(convention.std))
        if sizes and row.channels == convention.channels and all(math.isclose(a, b, rel_tol=1e-6) for a, b in pairs):
            return name
    return None
