"""From a spec to a `keras.Model`: `build`, and the exact size of a variant."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from types import ModuleType

import keras

from keras_resnet import weights as weights_lib
from keras_resnet.errors import InputError
from keras_resnet.nets.blocks import STEM_PARTS, Primitives, residual_block
from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.graph import deep_graphs, multiply_adds, stage_taps, uncollected, without_values
from keras_resnet.nets.heads import classifier
from keras_resnet.nets.interface import STEMS, ResNetSpec
from keras_resnet.nets.options import AXES, Options
from keras_resnet.nets.specs import get_spec
from keras_resnet.weights import built as weights_built


def build(
    name_or_spec: str | ResNetSpec,
    *,
    weights: str | os.PathLike | None = None,
    weights_match: str = "exact",
    input_shape: tuple[int | None, ...] | None = None,
    input_tensor: keras.KerasTensor | None = None,
    include_top: bool | None = None,
    pooling: str | None = None,
    features: Sequence[int] | None = None,
    classes: int | None = None,
    classifier_activation: str | None = "softmax",
    rank: int = 2,
    output_stride: int | None = None,
    dilate: Sequence[bool] | None = None,
    dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    zero_init_residual: bool = False,
    activation: str = "relu",
    norm: str = "batch",
    freeze_bn: bool = False,
    name: str | None = None,
    prefix: str = "",
) -> keras.Model:
    """Builds a residual network as a functional Keras model.

    Args:
        name_or_spec: a name of `list_models()`, or a `ResNetSpec` of your own.
        weights: None for random initialisation, the name of a registered weight set (`"imagenet"`, `"digits"`; see
            `list_weights`), `"hf://timm/resnet18.a1_in1k"` for a timm repository on the Hugging Face hub, or the path
            of a `.safetensors`, `.npz`, `.weights.h5`, `.h5` or `.keras` file; state dicts of torchvision, timm and
            the CIFAR nets are recognised.
        weights_match: `"exact"` uses every tensor and fills every variable; `"adapt"` also fits the first convolution
            to another number of channels and leaves a head for other classes (or none) at its initial values;
            `"partial"` takes what has the name and the shape. What was not exact is logged; see `load_weights`.
        input_shape: `(height, width, channels)`; `(length, channels)` and `(depth, height, width, channels)` for the
            other ranks. Sizes may be None where the head does not need them (`include_top=False`). Defaults to the
            size that the net was published with, and to any size without head.
        input_tensor: a Keras tensor to build upon instead of a new input.
        include_top: whether the net ends in global average pooling and a classifier; by default unless `features` are
            asked for.
        pooling: pooling of a net without head: `"avg"`, `"max"` or None for the feature map.
        features: output strides, like `(8, 16, 32)`: the output is a dict of these `stage_taps`. Keras turns the keys
            into strings where it saves a model; `keras_resnet.load_model` gives the numbers back.
        classes: number of outputs of the head; by default the published net's.
        classifier_activation: last activation of the head; None for logits.
        rank: 1 for sequences, 2 for images, 3 for volumes: the same net with convolutions of that rank.
        output_stride: input size divided by the last feature map's. The strides beyond become dilations, and the same
            weights fit: 8 or 16 in place of an ImageNet net's 32, for segmentation. Computes what timm's option of that
            name does.
        dilate: the same stage by stage, `(False, True, True)` being `output_stride=8`: torchvision's
            `replace_stride_with_dilation`, for every variant.
        dropout: rate before the classifier, 0 to below 1.
        stochastic_depth: rate at which the last block's residual is left out while training, falling linearly to
            nearly 0 at the first block (arXiv:1603.09382).
        zero_init_residual: the last norm of every residual (the last kernel of a pre-activation net) starts at zero,
            so that a block starts as its shortcut (arXiv:1706.02677).
        activation: name of a Keras activation in place of every ReLU but the squeeze-and-excitation modules'.
        norm: `"batch"`, `"sync_batch"` (statistics of the whole batch, on several devices as well) or `"group"`.
        freeze_bn: batch normalisation stays in inference mode while training, for small batches and transfer.
        name: name of the model; by default the spec's.
        prefix: beginning of the name of every layer, so that two nets fit into one graph. Weight files need no prefix.

    Returns:
        A model whose input is `(N, height, width, channels)`, float, preprocessed as the weights expect, and whose
        output is `(N, classes)`; without head `(N, height / s, width / s, channels)`, s being the output stride, or
        `(N, channels)` with `pooling`; with `features` a dict of such maps. Variables are float32.

    Raises:
        InputError: unknown name, illegal spec or argument, an argument that this variant cannot honour, an input
            that the net cannot reduce, weights that do not fit.

    Example:
        >>> import keras_resnet
        >>> model = keras_resnet.build("resnet20_cifar")
        >>> model.output_shape
        (None, 10)
        >>> backbone = keras_resnet.build("resnet18", features=(8, 16), output_stride=16, input_shape=(64, 64, 3))
        >>> {stride: tensor.shape[1:] for stride, tensor in backbone.output.items()}
        {8: (8, 8, 128), 16: (4, 4, 512)}
    """
    spec = get_spec(name_or_spec)
    classes = spec.classes if classes is None else classes
    head = features is None if include_top is None else include_top
    options = Options(
        rank=rank,
        output_stride=output_stride,
        dilate=None if dilate is None else tuple(dilate),
        dropout=dropout,
        stochastic_depth=stochastic_depth,
        zero_init_residual=zero_init_residual,
        activation=activation,
        norm=norm,
        freeze_bn=freeze_bn,
        prefix=prefix,
    )
    options.check(spec, head)
    _check_arguments(options, pooling, classes)
    _check_features(spec, options, features, head, pooling)
    if input_tensor is None:
        image = keras.Input(shape=_checked_shape(spec, options, input_shape, head))
    else:
        image = _checked_tensor(spec, options, input_tensor, input_shape)
    p = Primitives(CONVENTIONS[spec.convention], keras, options)
    with deep_graphs(), uncollected():
        x = _backbone(p, image, spec)
        x = _head(p, x, classes, classifier_activation) if head else _pool(p, x, pooling)
        # Of a given tensor, `net` holds what was built here; the model reaches back to the tensor's own inputs.
        net = keras.Model(image, x, name=spec.name if name is None else name)
        if weights is not None:  # a .keras file is a graph as deep
            weights_lib.load_weights(net, weights, match=weights_match, spec=spec, prefix=prefix)
        if input_tensor is None and features is None:
            if weights is None or weights_match == "exact":  # else its classes are others than the weights'
                weights_built.remember(net, spec, weights)
            return net
        if features is not None:
            taps = stage_taps(net, prefix)
            x = {stride: taps[stride] for stride in features}
        sources = keras.utils.get_source_inputs(image)
        return keras.Model(sources if len(sources) > 1 else sources[0], x, name=net.name)


def assemble(spec: ResNetSpec, namespace: ModuleType, image, *, classes: int):
    """The graph of a variant from another namespace's layers, like `tf_keras`; `build` does this with Keras' own.

    Args:
        spec: spec of the variant.
        namespace: module that has `layers`, `initializers` and `ops`.
        image: `(N, height, width, channels)`, a tensor of that namespace.
        classes: number of outputs of the head.

    Returns:
        The probabilities, `(N, classes)`. Layers have the names that `build` gives them.
    """
    p = Primitives(CONVENTIONS[spec.convention], namespace, Options())
    return _head(p, _backbone(p, image, spec), classes, "softmax")


def _backbone(p: Primitives, x, spec: ResNetSpec):
    x = STEM_PARTS[spec.stem](p, x, spec)  # (N, H / 4, W / 4, width); CIFAR: (N, H, W, width)
    for block in spec.blocks(p.options.dilated(spec)):
        x = residual_block(p, x, spec, block)
    return p.norm_relu(x, "post") if spec.preactivation else x  # (N, H / output_stride, W / output_stride, channels)


def _head(p: Primitives, x, classes: int, activation: str | None):
    return classifier(p.layer, x, classes, activation=activation, dropout=p.options.dropout)


def _pool(p: Primitives, x, pooling: str | None):
    if pooling is None:
        return x
    return p.layer(
        *{"avg": ("GlobalAveragePoolingND", "avg_pool"), "max": ("GlobalMaxPoolingND", "max_pool")}[pooling]
    )(x)


def _check_arguments(options: Options, pooling: str | None, classes: int) -> None:
    if keras.config.image_data_format() != "channels_last":
        raise InputError(
            "keras_resnet builds channels_last models; this Keras is set to channels_first. Call "
            "keras.config.set_image_data_format('channels_last') first (tf2onnx and ONNX Runtime convert on export)"
        )
    if pooling not in (None, "avg", "max"):
        raise InputError(f"pooling={pooling!r}: expected None, 'avg' or 'max'")
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise InputError(f"classes={classes!r}: expected a whole number from 1")
    if options.norm == "sync_batch" and keras.backend.backend() not in ("tensorflow", "jax"):
        raise InputError(
            f"norm='sync_batch': expected Keras on tensorflow or jax, and this is {keras.backend.backend()}, on which "
            "it synchronizes nothing; use norm='batch'"
        )
    try:
        known = isinstance(options.activation, str) and callable(keras.activations.get(options.activation))
    except ValueError:
        known = False
    if not known:
        raise InputError(
            f"activation={options.activation!r}: expected the name of a Keras activation, like 'relu', 'silu' or 'gelu'"
        )


def _check_features(spec: ResNetSpec, options: Options, features, head: bool, pooling: str | None) -> None:
    if features is None:
        return
    if head or pooling is not None:
        raise InputError("features=... makes a backbone of feature maps; leave out include_top=True and pooling")
    last = spec.final_stride(options.dilated(spec))
    first = max(1, STEMS[spec.stem].stride // 2)  # the stem before its pool
    available = [stride for stride in (2**power for power in range(16)) if first <= stride <= last]
    if not features or any(stride not in available for stride in features):
        raise InputError(
            f"features={tuple(features)}: {spec.name} has maps at strides {', '.join(map(str, available))}"
        )


def _checked_shape(spec: ResNetSpec, options: Options, shape, head: bool) -> tuple[int | None, ...]:
    axes = AXES[options.rank]
    if shape is None:
        if head and options.rank != 2:
            raise InputError(
                f"rank={options.rank}: {spec.name} was published for images only; give input_shape=({', '.join(axes)}, "
                "channels)"
            )
        return (*(spec.default_size if head else None,) * options.rank, 3)
    shape = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if len(shape) != len(axes) + 1 or not all(isinstance(size, int | None) for size in shape):
        raise InputError(f"input_shape={shape}: expected ({', '.join(axes)}, channels)")
    *spatial, channels = shape
    stride, smallest = spec.final_stride(options.dilated(spec)), spec.smallest_size(options.dilated(spec))
    for value in spatial:
        if value is None and head:
            raise InputError(
                f"input_shape={shape}: a net with a head needs its {' and '.join(axes)}; give numbers, or "
                "include_top=False"
            )
        if value is not None and (not isinstance(value, int) or value < smallest):
            raise InputError(
                f"input_shape={shape}: {spec.name} divides {' and '.join(axes)} by {stride}, "
                f"so each must be at least {smallest}, received {value}"
            )
    if not isinstance(channels, int) or channels < 1:
        raise InputError(f"input_shape={shape}: expected at least one channel (channels come last)")
    return shape


def _checked_tensor(spec: ResNetSpec, options: Options, tensor, shape):
    if not isinstance(tensor, keras.KerasTensor):
        raise InputError(f"input_tensor: expected a Keras tensor (keras.Input(...)), received {type(tensor).__name__}")
    received = tuple(tensor.shape[1:])
    if shape is not None and tuple(shape) != received:
        raise InputError(f"input_shape={tuple(shape)} contradicts the input_tensor's {received}; leave one out")
    _checked_shape(spec, options, received, head=False)  # whoever makes a tensor may leave its size open
    return tensor


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
    with without_values():
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
