"""Keras models of any kind as functional ones: of one input of a fixed size, with a tensor or a dict as output."""

from __future__ import annotations

import keras

from keras_resnet.errors import InputError
from keras_resnet.nets.graph import deep_graphs

_SCALING = (keras.layers.Rescaling, keras.layers.Normalization)
# What may stand before a layer that scales: it moves pixels, or gives those of another size.
_BEFORE = (
    *(keras.layers.InputLayer, keras.layers.Resizing, keras.layers.CenterCrop, keras.layers.RandomCrop),
    *(keras.layers.RandomFlip, keras.layers.RandomRotation, keras.layers.RandomTranslation, keras.layers.RandomZoom),
    *(keras.layers.RandomContrast, keras.layers.RandomBrightness),
)


def functional(model: keras.Model, origin: object, size: int = 0) -> keras.Model:
    """The same net as a functional model, with the same layers and weights.

    Args:
        model: Sequential, functional or subclassed.
        origin: file, for messages.
        size: height and width, where the model takes images of any size; 0 for none.

    Returns:
        `model` itself where it is functional already and its input has one size.

    Raises:
        InputError: the model was never built.
    """
    with deep_graphs():
        if not is_functional(model):
            model = _wrapped(model, origin)
        elif isinstance(model.output, list | tuple) and len(model.outputs) == 1:
            model = keras.Model(model.input, model.outputs[0], name=model.name)
        if len(model.inputs) == 1 and isinstance(model.input, list | tuple | dict):
            model = keras.Model(model.inputs[0], model.output, name=model.name)
        model = _of_size(model, size) if size and len(model.inputs) == 1 else model
        return _flat(model)


def _flat(model: keras.Model) -> keras.Model:
    """The layers of models inside the model in their place; the model itself where there are none, or names clash."""
    if not any(isinstance(layer, keras.Sequential) or is_functional(layer) for layer in model.layers):
        return model
    try:
        return keras.Model(model.inputs[0], _called(model, model.inputs[0]), name=model.name)
    except ValueError:  # two layers of one name
        return model


def _called(model: keras.Model, tensor):
    """What a model gives for a tensor, by calls of its layers, those of models inside it too."""

    def call(layer, *args, **kwargs):
        if isinstance(layer, keras.Sequential):
            (tensor,) = args
            for each in layer.layers:
                tensor = call(each, tensor)
            return tensor
        if is_functional(layer) and len(layer.inputs) == 1:
            return _called(layer, args[0])
        return layer(*args, **kwargs)

    how = {"clone_function": lambda layer: layer, "call_function": call}
    return keras.models.clone_model(model, input_tensors=tensor, **how).output


def is_functional(model: keras.Model) -> bool:
    """Whether a model is a graph of layers between tensors that can be had; Keras' class for it is not public.

    Args:
        model: any.
    """
    return hasattr(model, "operations") and not isinstance(model, keras.Sequential)


def _wrapped(model: keras.Model, origin: object) -> keras.Model:
    if isinstance(model, keras.Sequential) and model.built and model.inputs:
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    shape = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if not isinstance(shape, list | tuple) or not all(isinstance(each, int | None) for each in shape):
        raise InputError(
            f"{origin}: the model was never built, and has no weights; call it on an image, or "
            "model.build((None, height, width, channels)), and save it again"
        )
    start = keras.Input(shape[1:], name="image")
    try:
        return keras.Model(start, model(start), name=f"{model.name}_functional")
    except Exception as error:  # the code of a subclassed model
        raise InputError(f"{origin}: the model cannot be called on {tuple(shape)}: {error}") from error


def _of_size(model: keras.Model, size: int) -> keras.Model:
    shape = model.input_shape[1:]
    if None not in shape[:-1]:
        return model
    start = keras.Input(
        (*(size if each is None else each for each in shape[:-1]), shape[-1]), name=model.inputs[0].name
    )
    again = keras.models.clone_model(model, input_tensors=start)
    again.set_weights(model.get_weights())
    return again


def scales_itself(model: keras.Model) -> bool:
    """Whether a model begins with a layer that scales its input, so that it takes pixels as they are.

    Args:
        model: functional.
    """
    for layer in model.layers:
        if isinstance(layer, _SCALING):
            return True
        if isinstance(layer, keras.Model):
            if scales_itself(layer):
                return True
            if not all(isinstance(each, _BEFORE) for each in layer.layers):
                return False
        elif not isinstance(layer, _BEFORE):
            return False
    return False
