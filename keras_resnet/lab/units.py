"""Residual units that the second paper tried and rejected, beside the two it compares them with.

He et al. 2016, Identity Mappings in Deep Residual Networks, arXiv:1603.05027: tables 1 (what is on the shortcut) and
2 (where norm and ReLU stand). They are for the laboratory only; `keras_resnet.build` has the published nets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras

from keras_resnet.nets.blocks import SHORTCUT_PARTS, STEM_PARTS, Primitives, basic_residual, residual_block
from keras_resnet.nets.conventions import CONVENTIONS
from keras_resnet.nets.graph import deep_graphs
from keras_resnet.nets.interface import BlockSpec, ResNetSpec
from keras_resnet.nets.options import Options
from keras_resnet.training import precision
from keras_resnet.training.nets import FromRecipe, Nets, accelerate

GATE_BIAS = -6.0  # the best one of table 1, for both gates


def _shortcut(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """The identity, or the spec's option where the shape changes."""
    if block.stride == 1 and x.shape[-1] == block.filters:
        return x
    return SHORTCUT_PARTS[spec.shortcut](p, x, spec, block)


def _joined(p: Primitives, shortcut, residual, name: str):
    """ReLU(shortcut + residual), as in the original unit."""
    return p.relu(p.layer("Add", f"{name}_add")([shortcut, residual]), f"{name}_out")


def _scaled(p: Primitives, x, factor: float, name: str):
    return p.layer("Rescaling", name, factor)(x)


def constant_half(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """Shortcut and residual are halved."""
    shortcut, residual = _shortcut(p, x, spec, block), basic_residual(p, x, spec, block)
    return _joined(
        p,
        _scaled(p, shortcut, 0.5, f"{block.name}_0_half"),
        _scaled(p, residual, 0.5, f"{block.name}_2_half"),
        block.name,
    )


def _gates(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """G and 1 - g, from a 1x1 convolution of the unit's input."""
    gate = p.layer(
        "ConvND",
        f"{block.name}_gate_conv",
        block.filters,
        1,
        strides=block.stride,
        activation="sigmoid",
        bias_initializer=keras.initializers.Constant(GATE_BIAS),
    )(x)
    return gate, p.layer("Rescaling", f"{block.name}_gate_rest", -1.0, offset=1.0)(gate)


def exclusive_gating(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """Gates both, as in highway networks: the residual times g, the shortcut times 1 - g."""
    gate, rest = _gates(p, x, spec, block)
    shortcut = p.layer("Multiply", f"{block.name}_0_gated")([_shortcut(p, x, spec, block), rest])
    residual = p.layer("Multiply", f"{block.name}_2_gated")([basic_residual(p, x, spec, block), gate])
    return _joined(p, shortcut, residual, block.name)


def shortcut_gating(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """Only the shortcut is gated."""
    _, rest = _gates(p, x, spec, block)
    shortcut = p.layer("Multiply", f"{block.name}_0_gated")([_shortcut(p, x, spec, block), rest])
    return _joined(p, shortcut, basic_residual(p, x, spec, block), block.name)


def convolution(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """A 1x1 convolution on every shortcut: option C."""
    shortcut = SHORTCUT_PARTS["C"](p, x, spec, block)
    return _joined(p, shortcut, basic_residual(p, x, spec, block), block.name)


def dropout(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """Dropout of one half on every shortcut."""
    shortcut = p.layer("Dropout", f"{block.name}_0_drop", 0.5)(_shortcut(p, x, spec, block))
    return _joined(p, shortcut, basic_residual(p, x, spec, block), block.name)


def norm_after_addition(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """The last norm of the residual moves behind the sum."""
    name = block.name
    residual = p.conv_norm_relu(x, block.filters, 3, f"{name}_1", stride=block.stride)
    residual = p.conv(residual, block.filters, 3, f"{name}_2")
    total = p.layer("Add", f"{name}_add")([_shortcut(p, x, spec, block), residual])
    return p.relu(p.norm(total, f"{name}_3"), f"{name}_out")


def relu_before_addition(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """The last ReLU moves into the residual, which is never negative then."""
    name = block.name
    residual = p.relu(basic_residual(p, x, spec, block), f"{name}_2_relu")
    return p.layer("Add", f"{name}_out")([_shortcut(p, x, spec, block), residual])


def relu_only(p: Primitives, x, spec: ResNetSpec, block: BlockSpec):
    """ReLU comes before the convolutions, norm after them."""
    name = block.name
    residual = p.conv(p.relu(x, f"{name}_preact_relu"), block.filters, 3, f"{name}_1", stride=block.stride)
    residual = p.relu(p.norm(residual, f"{name}_1"), f"{name}_1_relu")
    residual = p.norm(p.conv(residual, block.filters, 3, f"{name}_2"), f"{name}_2")
    return p.layer("Add", f"{name}_out")([_shortcut(p, x, spec, block), residual])


@dataclass(frozen=True)
class Unit:
    """A row.

    Attributes:
        part: function that makes one block.
        preactivation: blocks of the second paper; a norm and ReLU close the net.
    """

    part: Callable
    preactivation: bool = False


# Named as in `published.SHORTCUTS_1` and `published.ORDERS_2`.
SHORTCUTS = {
    "identity": Unit(residual_block),
    "constant 0.5": Unit(constant_half),
    "exclusive gating": Unit(exclusive_gating),
    "shortcut-only gating": Unit(shortcut_gating),
    "1x1 convolution": Unit(convolution),
    "dropout 0.5": Unit(dropout),
}
ORDERS = {
    "original": Unit(residual_block),
    "norm after addition": Unit(norm_after_addition),
    "ReLU before addition": Unit(relu_before_addition),
    "ReLU-only pre-activation": Unit(relu_only),
    "full pre-activation": Unit(residual_block, preactivation=True),
}


def build(spec: ResNetSpec, unit: Unit, *, classes: int, input_shape: tuple[int, int, int]) -> keras.Model:
    """Builds a net of one kind of unit.

    Args:
        spec: spec of a net of basic blocks; its `preactivation` must be the unit's.
        unit: row of `SHORTCUTS` or `ORDERS`.
        classes: number of classes.
        input_shape: shape of an image, `(height, width, channels)`.
    """
    p = Primitives(CONVENTIONS[spec.convention], keras, Options())
    with deep_graphs():
        image = keras.Input(input_shape)
        x = STEM_PARTS[spec.stem](p, image, spec)
        for block in spec.blocks():
            x = unit.part(p, x, spec, block)
        if spec.preactivation:
            x = p.norm_relu(x, "post")
        x = p.layer("GlobalAveragePoolingND", "avg_pool")(x)
        x = p.layer("Dense", "predictions", classes, activation="softmax", dtype="float32")(x)
        return keras.Model(image, x, name=spec.name)


class OfUnit(FromRecipe):
    """Hands a net of such units to `train`.

    Args:
        spec: spec of the net.
        unit: unit of its blocks.
    """

    def __init__(self, spec: ResNetSpec, unit: Unit):
        """Keeps both."""
        self._spec, self._unit = spec, unit

    def spec(self, recipe) -> ResNetSpec:
        """The one that was given; see `FromRecipe`."""
        return self._spec

    def make(self, recipe, dataset, policy, devices) -> Nets:
        """Builds both models; see `FromRecipe`."""
        how = {"classes": len(dataset.classes), "input_shape": dataset.image_shape}
        with precision.policy(policy), devices.scope():
            model = build(self._spec, self._unit, **how)
        with precision.policy("float32"):
            twin = build(self._spec, self._unit, **how)
        accelerate(model, recipe, policy)
        return Nets(model, twin)
