"""What a file of a form computes: boxes and scores in the graph, as `forms.as_form` has them by NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.nets.detection import HeadSpec
from keras_resnet.nets.graph import FLOAT
from keras_resnet.nets.suppressing import Suppression
from keras_resnet.tasks.detection.boxes import LARGEST
from keras_resnet.tasks.detection.head import joined
from keras_resnet.tasks.detection.priors import prior_boxes
from keras_resnet.tasks.detection.settings import RAW, SUPPRESSED, Facts, head_of
from keras_resnet.tasks.facts import facts_of


def formed(model: keras.Model, card: ModelCard, form: str) -> tuple[keras.Model, ModelCard]:
    """What a file of a form computes, and its card.

    All that makes boxes is a net of its own within the net, of the name `nets.graph.FLOAT`: it stays in float32
    whatever the precision is.

    Args:
        model: from images to raw outputs.
        card: its card.
        form: `"raw"`: these outputs; `"decoded"`: boxes in 0..1 of the input with all their scores; or `"nms"`: the
            answers that stay.

    Raises:
        InputError: the model has a form already.
    """
    if card.facts.get("form"):
        raise InputError(f"the model gives {card.facts['form']} already: --form is for one that gives raw outputs")
    raw = _by_name(model)
    facts: Facts = facts_of(card)
    size = model.input_shape[1:3]
    made = dataclasses.replace(card, facts={**card.facts, "form": form, "size": list(size)})
    if form == RAW:
        return keras.Model(model.input, raw, name=model.name), made
    decoder = _decoder(raw, head_of(facts), size, form == SUPPRESSED)
    return keras.Model(model.input, decoder(raw), name=model.name), made


def learning(model: keras.Model, facts: Facts) -> keras.Model:
    """The model whose one output the loss takes, of one that gives raw outputs; the layers are the same.

    Args:
        model: from images to raw outputs.
        facts: facts of the recipe that trains it.

    Raises:
        InputError: the recipe is of another head.
    """
    raw, head = _by_name(model), head_of(facts)
    kinds = ("scores", "boxes", *(("centerness",) if facts.centerness else ()))
    wanted = {f"{kind}_{stride}" for kind in kinds for stride in facts.strides}
    if set(raw) != wanted or raw[f"boxes_{facts.strides[0]}"].shape[-1] != 4 * head.priors:
        raise InputError(
            f"the model gives {', '.join(sorted(raw))}, and the recipe's detector {', '.join(sorted(wanted))}: pass "
            "--set detector=... and neck=... as the model was trained with"
        )
    return keras.Model(model.input, joined(raw, facts, head.priors), name=model.name)


def _by_name(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Raw outputs by their names."""
    if isinstance(model.output, Mapping):
        return dict(model.output)
    return dict(zip(model.output_names, keras.tree.flatten(model.outputs), strict=True))


def _decoder(
    raw: Mapping[str, keras.KerasTensor], head: HeadSpec, size: tuple[int, int], suppress: bool
) -> keras.Model:
    """The net from raw outputs to boxes."""
    given = {name: keras.Input(each.shape[1:], name=name, dtype="float32") for name, each in raw.items()}
    strides = sorted(int(name.removeprefix("scores_")) for name in raw if name.startswith("scores_"))
    priors = [prior_boxes(head, stride, tuple(raw[f"scores_{stride}"].shape[1:3]), size) for stride in strides]
    counts = [len(each) for each in priors]

    def joined(kind: str) -> keras.KerasTensor:
        layer = keras.layers.Reshape
        maps = [
            layer((count, given[f"{kind}_{s}"].shape[-1] // head.priors), name=f"decode_{kind}_{s}")(
                given[f"{kind}_{s}"]
            )
            for s, count in zip(strides, counts, strict=True)
        ]
        return maps[0] if len(maps) == 1 else keras.layers.Concatenate(axis=1, name=f"decode_{kind}")(maps)

    unit = np.array([size[1], size[0], size[1], size[0]], "f")
    boxes = _BOXES[head.coder](joined("boxes"), np.concatenate(priors) / unit)
    boxes = keras.layers.ReLU(max_value=1.0, name="decode_within")(boxes)  # the part within the input
    scores = keras.layers.Activation("sigmoid", name="decode_sigmoid")(joined("scores"))
    if head.centerness:
        central = keras.layers.Activation("sigmoid", name="decode_central")(joined("centerness"))
        scores = keras.ops.sqrt(scores * central)
    outputs = {"boxes": boxes, "scores": scores}
    if suppress:
        layer = Suppression(head.overlap, head.threshold, head.candidates, head.most, name="decode_suppression")
        outputs = layer(boxes, scores)
    return keras.Model(given, outputs, name=FLOAT)


def _from_distances(values: keras.KerasTensor, priors: np.ndarray) -> keras.KerasTensor:
    """One multiplication and one addition: sides lie a distance before the centre, or behind it."""
    middle, extent = (priors[:, :2] + priors[:, 2:]) / 2, priors[:, 2:] - priors[:, :2]
    scale, offset = np.concatenate([-extent, extent], axis=1), np.concatenate([middle, middle], axis=1)
    return _scaled(values, scale, offset, "decode_sides")


def _from_deltas(values: keras.KerasTensor, priors: np.ndarray) -> keras.KerasTensor:
    middle, extent = (priors[:, :2] + priors[:, 2:]) / 2, priors[:, 2:] - priors[:, :2]
    moves, sizes = keras.ops.split(values, 2, axis=-1)
    centre = _scaled(moves, extent, middle, "decode_centres")
    growth = keras.ops.exp(keras.ops.minimum(sizes, float(LARGEST)))
    half = _scaled(growth, extent / 2, np.zeros_like(extent), "decode_halves")
    return keras.layers.Concatenate(name="decode_sides")([centre - half, centre + half])


def _scaled(x: keras.KerasTensor, scale: np.ndarray, offset: np.ndarray, name: str) -> keras.KerasTensor:
    return keras.layers.Rescaling(scale[None].astype("f"), offset[None].astype("f"), name=name)(x)


_BOXES = {"distances": _from_distances, "deltas": _from_deltas}
