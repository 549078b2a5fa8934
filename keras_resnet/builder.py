"""From a spec to a `keras.Model`: `build`, the stage taps, and the exact size of a net."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import sys
from collections.abc import Iterator

import keras

from keras_resnet import weights as weights_lib
from keras_resnet.blocks import STEM_PARTS, Primitives, residual_block
from keras_resnet.errors import InputError
from keras_resnet.specs import CONVENTIONS, ResNetSpec, get_spec

# Keras recurses once per layer on the longest path when it maps a functional graph; ResNet-1202 has 3,610.
_DEEP_GRAPH = 100_000


@contextlib.contextmanager
def deep_graphs() -> Iterator[None]:
    """Raises Python's recursion limit for as long as Keras walks a graph, and restores it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEP_GRAPH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def build(
    name_or_spec: str | ResNetSpec,
    *,
    weights: str | os.PathLike | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    input_tensor: keras.KerasTensor | None = None,
    include_top: bool = True,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
) -> keras.Model:
    """Builds a residual network as a functional Keras model.

    Args:
        name_or_spec: a name of `list_models()`, or a `ResNetSpec` of your own.
        weights: None for random initialisation, the name of a registered weight set (`"imagenet"`, `"digits"`; see
            `keras_resnet.weights`), or the path of a `.safetensors`, `.npz`, `.weights.h5`, `.h5` or `.keras` file;
            state dicts of torchvision, timm and the CIFAR nets are recognised.
        input_shape: `(height, width, channels)`. Height and width may be None where the head does not need them
            (`include_top=False`). Defaults to the size that the net was published with, and to any size without head.
        input_tensor: a Keras tensor to build upon instead of a new input.
        include_top: end in global average pooling and a classifier.
        pooling: without head: `"avg"`, `"max"` or None for the feature map.
        classes: outputs of the head; by default the published net's.
        classifier_activation: of the head; None for logits.
        name: of the model; by default the spec's.

    Returns:
        A model whose input is `(N, height, width, channels)`, float, preprocessed as the weights expect, and whose
        output is `(N, classes)`; without head `(N, height / s, width / s, channels)`, s being the output stride, or
        `(N, channels)` with `pooling`. Variables are float32.

    Raises:
        InputError: unknown name, illegal spec or argument, an input that the net cannot reduce, weights that do
            not fit.

    Example:
        >>> import keras_resnet
        >>> model = keras_resnet.build("resnet20_cifar")
        >>> model.output_shape
        (None, 10)
    """
    spec = get_spec(name_or_spec)
    classes = spec.classes if classes is None else classes
    _check_arguments(spec, include_top, pooling, classes)
    if input_tensor is None:
        image = keras.Input(shape=_checked_shape(spec, input_shape, include_top))
    else:
        image = _checked_tensor(spec, input_tensor, input_shape, include_top)
    model_name = spec.name if name is None else name
    with deep_graphs():
        x = _backbone(spec, image)
        x = _head(x, classes, classifier_activation) if include_top else _pool(x, pooling)
        # The new model reaches back to the inputs that a given tensor was computed from.
        sources = keras.utils.get_source_inputs(image)
        model = keras.Model(sources if len(sources) > 1 else sources[0], x, name=model_name)
        if weights is not None:  # a .keras file is a graph as deep
            weights_lib.load(model, weights, spec=spec, include_top=include_top)
    return model


def _backbone(spec: ResNetSpec, x):
    p = Primitives(CONVENTIONS[spec.convention], keras)
    x = STEM_PARTS[spec.stem](p, x, spec)  # (N, H / 4, W / 4, width); CIFAR: (N, H, W, width)
    for stage, depth in enumerate(spec.depths):
        for block in range(depth):
            name = f"conv{stage + 2}_block{block + 1}"
            x = residual_block(p, x, spec, spec.width * 2**stage, spec.stride(stage, block), name)
    if spec.preactivation:
        x = p.norm_relu(x, "post")
    return x  # (N, H / output_stride, W / output_stride, channels)


def _head(x, classes: int, activation: str | None):
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    # Under a mixed policy the softmax stays in float32: float16 probabilities lose the small ones.
    return keras.layers.Dense(classes, activation=activation, dtype="float32", name="predictions")(x)


def _pool(x, pooling: str | None):
    if pooling == "avg":
        return keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if pooling == "max":
        return keras.layers.GlobalMaxPooling2D(name="max_pool")(x)
    return x


def _check_arguments(spec: ResNetSpec, include_top: bool, pooling: str | None, classes: int) -> None:
    if keras.config.image_data_format() != "channels_last":
        raise InputError(
            "keras_resnet builds channels_last models; this Keras is set to channels_first. Call "
            "keras.config.set_image_data_format('channels_last') first (tf2onnx and ONNX Runtime convert on export)"
        )
    if pooling not in (None, "avg", "max"):
        raise InputError(f"pooling={pooling!r}: expected None, 'avg' or 'max'")
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise InputError(f"classes={classes!r}: expected a whole number from 1")


def _checked_shape(spec: ResNetSpec, shape, include_top: bool) -> tuple[int | None, int | None, int]:
    if shape is None:
        size = spec.default_size if include_top else None
        return (size, size, 3)
    shape = tuple(shape)
    if len(shape) != 3:
        raise InputError(f"input_shape={shape}: expected (height, width, channels)")
    *spatial, channels = shape
    for value in spatial:
        if value is None and include_top:
            raise InputError(
                f"input_shape={shape}: a net with a head needs a height and a width; give numbers, or include_top=False"
            )
        if value is not None and (not isinstance(value, int) or value < spec.output_stride):
            raise InputError(
                f"input_shape={shape}: {spec.name} divides height and width by {spec.output_stride}, "
                f"so each must be at least {spec.output_stride}, received {value}"
            )
    if not isinstance(channels, int) or channels < 1:
        raise InputError(f"input_shape={shape}: expected at least one channel (channels come last)")
    return shape


def _checked_tensor(spec: ResNetSpec, tensor, shape, include_top: bool):
    if not isinstance(tensor, keras.KerasTensor):
        raise InputError(f"input_tensor: expected a Keras tensor (keras.Input(...)), received {type(tensor).__name__}")
    received = tuple(tensor.shape[1:])
    if shape is not None and tuple(shape) != received:
        raise InputError(f"input_shape={tuple(shape)} contradicts the input_tensor's {received}; leave one out")
    _checked_shape(spec, received, include_top)
    return tensor


_BLOCK_OUT = re.compile(r"conv\d+_block\d+_out$")
_TAP = re.compile(r"(conv1_conv|conv1_relu|conv\d+_block\d+_out|post_relu)$")


def stage_taps(model: keras.Model) -> dict[int, keras.KerasTensor]:
    """The last feature map at each output stride, for detectors, segmentation and look-ins.

    The strides are measured along the graph, not read from names, so taps are right wherever a family strides.

    Args:
        model: a model of this package or of keras.applications, fresh or loaded from a file.

    Returns:
        `{stride: tensor}`, ascending: the stem before its pool at stride 2 where it has one, then the last block of
        each resolution (after the closing ReLU in a pre-activation net),
        `(N, height / stride, width / stride, channels)`.

    Raises:
        InputError: the model has no residual blocks with the documented names.

    Example:
        >>> import keras, keras_resnet
        >>> model = keras_resnet.ResNet50(weights=None)
        >>> taps = keras_resnet.stage_taps(model)
        >>> pyramid = keras.Model(model.input, [taps[stride] for stride in (8, 16, 32)])
    """
    strides: dict[int, int] = {}
    taps: dict[int, keras.KerasTensor] = {}
    for layer in model.operations:  # layers, and the padding that is none
        if not isinstance(layer.output, keras.KerasTensor):
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        stride = max((strides.get(id(tensor), 1) for tensor in inputs), default=1)
        own = getattr(layer, "strides", 1)
        strides[id(layer.output)] = stride = stride * (own[0] if isinstance(own, tuple) else own)
        if _TAP.search(layer.name):  # the later one of a stride stays
            taps[stride] = layer.output
    if not any(_BLOCK_OUT.search(layer.name) for layer in model.layers):
        raise InputError(f"model '{model.name}' has no layers named conv2_block1_out, ...: expected a ResNet")
    return dict(sorted(taps.items()))


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of all convolutions and dense layers for one image, the papers' count.

    Args:
        model: with a known input size.

    Raises:
        InputError: a layer's output size is unknown.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            positions = layer.output.shape[1:-1]
            if None in positions:
                raise InputError("multiply-adds need a fixed input size; build with input_shape=(224, 224, 3), say")
            total += math.prod(layer.kernel.shape) * math.prod(positions)
    return total


@functools.lru_cache(maxsize=256)
def model_info(name: str) -> dict[str, object]:
    """Exact size of a variant at its published input.

    Args:
        name: a name of `list_models()`.

    Returns:
        `{"name", "parameters", "trainable", "multiply_adds", "input_shape", "classes", "paper"}`; parameters count
        the moving statistics of batch normalisation, trainable does not.

    Raises:
        InputError: no variant has that name.

    Example:
        >>> import keras_resnet
        >>> keras_resnet.model_info("resnet8")["parameters"]
        78666
    """
    spec = get_spec(name)
    model = build(spec)
    return {
        "name": spec.name,
        "parameters": model.count_params(),
        "trainable": sum(math.prod(variable.shape) for variable in model.trainable_variables),
        "multiply_adds": multiply_adds(model),
        "input_shape": tuple(model.input_shape[1:]),
        "classes": spec.classes,
        "paper": spec.paper,
    }
