"""From data to a recipe in numbers: the recipe `photos` decides, and says what, why, and how to change it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_resnet.data import Dataset, load_dataset
from keras_resnet.data.legends import parse_void
from keras_resnet.data.sources import Named
from keras_resnet.errors import InputError
from keras_resnet.nets.specs import SPECS, get_spec
from keras_resnet.saving import model_path
from keras_resnet.signals.conventions import row_of
from keras_resnet.tasks.table import DEFAULT, get_task
from keras_resnet.training.changes import checked, knows, override
from keras_resnet.training.inferred import for_task, task_for
from keras_resnet.training.photos import start as starts
from keras_resnet.training.photos.decisions import Decision, implied, of_boxes, of_masks
from keras_resnet.training.photos.look import Look, look
from keras_resnet.training.recipes import PHOTOS, Recipe
from keras_resnet.weights.loading import weights_card

# Settings from scratch were chosen on held-out training images of two sets (clothing, 3,068 photos; pets, 598) in 126
# trainings on a GPU, most of them on three folds (benchmarks/results/photos.json). A long training wants small parts of
# the photos, other light and smoothed labels, and is better on larger pictures than it has learnt from; in a short one
# all of that costs accuracy.
_LONG, _MEDIUM = 100, 45  # epochs
_SIZES = {224: 160, 160: 128, 128: 96, 96: 96, 64: 64}  # of the net that is saved, and that it learns at
_SMALL = 48  # pixels up to which the CIFAR nets are meant
_UNEVEN = 3.0  # largest class by smallest, from which batches are balanced
_RATES = {"regression": 0.2}  # of a classifier's; with it numbers of cells were learned, with the whole they were not
_SEEN = 430_000  # images that a training from scratch sees in all, about
_TRANSFER = {  # as `transfer.finetune_recipe`
    "learning_rate": 0.05,
    "weight_decay": 1e-4,
    "clip_norm": 5.0,
    "freeze_bn": True,
    "layer_decay": 0.5,
    "warmup_epochs": 0.0,
    "schedule": "cosine",
    "label_smoothing": 0.0,
}
_EPOCHS = 20  # of a transfer


def plan(
    data: Named,
    settings: Sequence[str] = (),
    *,
    task: str | None = None,
    weights: str | None = None,
    offline: bool = False,
    columns: Mapping[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Recipe, list[Decision]]:
    """Makes the recipe of a training on one's own data.

    Args:
        data: where the data are.
        settings: settings that are given, like `["epochs=10"]`; what they hold is not decided.
        task: row of `TASKS`; by default what the data are about.
        weights: weights to start from; `"none"` for random values; None: those at hand, or that a server has.
        offline: whether nothing is downloaded.
        columns: names of a table's columns.
        say: called with a line before a download.

    Returns:
        The recipe, and the decisions in the order in which they were taken.

    Raises:
        InputError: data that cannot be opened, no photos, or settings that do not fit.
    """
    given = {each.partition("=")[0]: each.partition("=")[2] for each in settings}
    if "weights" in given:  # of a file, or of --set: they decide as --weights does
        weights = weights or given["weights"] or "none"
        settings = [each for each in settings if not each.startswith("weights=")]
    found = task_for(data.name, columns, task)
    own = checked(for_task(PHOTOS, found), settings)
    said = {"void": parse_void(own.get("void", "")), "reduce_zero_label": own.get("reduce_zero_label", False)}
    dataset = load_dataset(*data, columns=columns, truth=get_task(found).truth, **said)
    if dataset.signal != "image":
        raise InputError(f"{data}: recipe photos is for images, these are {dataset.signal}: pass --recipe NAME")
    seen = look(dataset)
    decisions = [_task(dataset, found, task)]
    net = _net(seen, given, weights if weights is None else model_path(weights), offline)
    transfer = "weights" in net[-1].settings
    length = _length(seen, transfer, own.get("epochs", 0))
    epochs = length[0].settings["epochs"]
    decisions += [*net, *fitted(seen, dataset, decisions[0].value, epochs, transfer)]
    decisions += [*_batch_and_balance(seen, decisions, own, found), *length]
    if dataset.truth == "mask" and not transfer and "optimizer" not in given:
        decisions = [*(each for each in decisions if each.what != "learning rate"), of_masks()]
    if dataset.truth == "boxes":
        decisions = of_boxes(decisions, seen.side, encoded=seen.encoded, transfer=transfer)
    recipe = for_task(PHOTOS, found)
    kept = [each for each in decisions if not each.settings or not set(each.settings) & given.keys()]
    chosen = {key: value for each in decisions for key, value in each.settings.items() if key not in given}
    chosen |= {key: value for key, value in implied(given).items() if key not in given}
    if "image_size" in given and "test_size" not in given:  # it is the size of the net that is saved too
        chosen["test_size"] = 0
    chosen = {key: value for key, value in chosen.items() if knows(recipe, key)}
    named = f"columns={','.join(f'{key}={value}' for key, value in columns.items())}" if columns else "columns="
    recipe = override(recipe, [f"dataset={data.name}", named, *_as_text(chosen), *settings])
    if recipe.weights and "download" in net[-1].reason:
        say(f"weights {recipe.weights}: {net[-1].reason}")
    return recipe, kept


def _as_text(settings: dict[str, Any]) -> list[str]:
    """Settings as `override` takes them."""
    return [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items()]


def _task(dataset: Dataset, found: str, asked: str | None) -> Decision:
    reason = "as asked" if asked else f"every example has {_TRUTH.get(dataset.truth, dataset.truth)}"
    return Decision(what="task", value=found, reason=reason, option="--task NAME")


_TRUTH = {"label": "one label", "tags": "any number of labels", "values": "numbers", "boxes": "objects in boxes"}


def _net(seen: Look, given: dict[str, str], weights: str | None, offline: bool) -> list[Decision]:
    """Net and weights; the second decision has the settings of a transfer where there are weights."""
    asked = given.get("model")
    if asked:
        asked = get_spec(asked).name
    small = not seen.encoded and seen.side <= _SMALL
    if weights not in (None, "none"):
        found = starts.Start(asked or _net_of(weights), weights, "as asked")
        if offline:
            starts.check_at_hand(found.model, weights)
    elif weights == "none":
        found = starts.Start(asked or "", "", "--weights none")
    elif small and not asked:
        found = starts.Start("", "", f"images of {seen.side} pixels have no pretrained net")
    else:
        found = starts.find(asked, offline=offline)
    model = found.model or _from_scratch(seen, small)
    why = "as asked" if asked else "with pretrained weights" if found.weights else _why(seen, small)
    net = Decision(what="net", value=model, reason=why, option="--model NAME", settings={"model": model})
    if not found.weights:
        cost = "" if small else "; from scratch it takes longer and reaches less"
        none = Decision(what="weights", value="none", reason=found.reason + cost, option="--weights W")
        return [net, none]
    card = weights_card(found.weights, get_spec(model))
    name = row_of(card.preprocess)
    if name is None:
        raise InputError(f"weights {found.weights} have an input convention of their own: {card.preprocess.to_json()}")
    how = {"weights": found.weights, "preprocess": name, "crop": card.crop, "fit": card.fit, **_TRANSFER}
    start = Decision(what="weights", value=found.weights, reason=found.reason, option="--weights none", settings=how)
    return [net, start]


def _net_of(weights: str | os.PathLike) -> str:
    """The net that a `.keras` file names.

    Raises:
        InputError: another kind of file, which names none.
    """
    from keras_resnet.saving import load_model

    path = os.fspath(weights)
    if Path(path).suffix != ".keras":
        raise InputError(f"weights {weights}: expected --model NAME with them; only .keras files name their net")
    card = load_model(path)[1]
    if not card.spec or card.spec not in SPECS:
        raise InputError(f"{weights} does not name its net: pass --model NAME")
    return card.spec


def _from_scratch(seen: Look, small: bool) -> str:
    if small:
        return "resnet20_cifar"
    return "resnet50d" if seen.gpu and seen.count > 20_000 else PHOTOS.model


def _why(seen: Look, small: bool) -> str:
    return f"for images of {seen.side} pixels" if small else "small enough for this machine"


def fitted(seen: Look, dataset: Dataset, task: str, epochs: int, transfer: bool) -> list[Decision]:
    """Image size and augmentation, which depend on the length of the training.

    Args:
        seen: facts of the data.
        dataset: opened data.
        task: row of `TASKS`.
        epochs: length of the training.
        transfer: whether it starts from weights.
    """
    return [_size(seen, epochs, transfer, whole=task != DEFAULT), _augmentation(seen, dataset, task, epochs, transfer)]


def _size(seen: Look, epochs: int, transfer: bool, whole: bool) -> Decision:
    """Size of the net's input; `whole` pictures are learned at it, as things have one size in them."""
    if not seen.encoded:
        return Decision(
            what="image size",
            value=str(seen.side),
            reason="the data have one size",
            option="a folder of photos",
            settings={"image_size": 0, "test_size": 0},
        )
    most = 224 if transfer or seen.gpu else 128
    size = next((each for each in _SIZES if each <= min(most, seen.side)), min(_SIZES))
    learned = size if transfer or whole or epochs < _MEDIUM else _SIZES[size]
    if not transfer and not whole and epochs < _MEDIUM:
        size = learned = _SIZES[size]
    reason = f"the photos have {seen.side} pixels"
    if size < seen.side:
        reason += "; more would take too long on processors" if not transfer and not seen.gpu else ""
    words = str(size) if size == learned else f"{size}, learned at {learned}"
    settings = {"image_size": learned, "test_size": 0 if size == learned else size}
    return Decision(what="image size", value=words, reason=reason, option="--image-size N", settings=settings)


def _augmentation(seen: Look, dataset: Dataset, task: str, epochs: int, transfer: bool) -> Decision:
    settings: dict[str, Any] = {}
    if seen.encoded and dataset.truth == "mask":
        name, reason = "scene-turn", "parts at half to double scale, turned a little, mirrored, in other light"
        settings["fit"] = "pad"
    elif seen.encoded and task != DEFAULT:
        name, reason = "crop-flip", "moved by up to 4 pixels, mirrored; nothing of the picture is cut off"
    elif seen.encoded and (transfer or epochs < _LONG):
        name, reason = "photo", "parts of the photos, mirrored"
        settings["label_smoothing"] = 0.0 if transfer or epochs < _MEDIUM else PHOTOS.label_smoothing
    elif seen.encoded:
        name, reason = (
            PHOTOS.augmentation,
            "small parts of the photos, mirrored, with other light: there is time for that",
        )
    elif dataset.name == "digits" or seen.channels == 1:
        name, reason = "affine", "turned and moved a little, not mirrored"
    else:
        name, reason = "crop-flip", "moved by up to 4 pixels, mirrored"
    option, settings = "--set augmentation=NAME", {"augmentation": name, **settings}
    return Decision(what="augmentation", value=name, reason=reason, option=option, settings=settings)


def _batch_and_balance(
    seen: Look, before: list[Decision], own: Mapping[str, Any], task: str = DEFAULT
) -> list[Decision]:
    """What depends on the sizes; `own` has the settings that are given."""
    settings = {key: value for each in before for key, value in each.settings.items()}
    if "image_size" in own:
        settings["test_size"] = own.get("test_size", 0)
    settings |= own
    batch, why = (own["batch_size"], "as asked") if "batch_size" in own else _batch(seen, settings)
    size = {"batch_size": batch}
    found = [Decision(what="batch size", value=str(batch), reason=why, option="--batch-size N", settings=size)]
    if "weights" not in settings:
        rate = _RATES.get(task, 1.0) * PHOTOS.learning_rate * batch / PHOTOS.batch_size
        how = {"learning_rate": rate, **({"clip_norm": 5.0} if task in _RATES else {})}
        reason = "in proportion to the batch size"
        found.append(
            Decision(what="learning rate", value=f"{rate:g}", reason=reason, option="--learning-rate R", settings=how)
        )
    balance = "sampling" if seen.unevenness > _UNEVEN else "none"
    reason = f"the largest class has {seen.unevenness:.1f} times the examples of the smallest"
    how_often = {"balance": balance}
    found.append(Decision(what="balance", value=balance, reason=reason, option="--balance NAME", settings=how_often))
    return found


def _batch(seen: Look, settings: dict[str, Any]) -> tuple[int, str]:
    """The usual batch, or as many as fit into half of the free memory and make eight steps of an epoch."""
    side = settings.get("test_size") or settings.get("image_size") or seen.side
    bytes_each = activations(str(settings["model"]), int(side)) * 4 * 3  # values, gradients, and what kernels need
    batch, why = (32 if "weights" in settings else PHOTOS.batch_size), "usual"
    while batch > 4 and batch * bytes_each > seen.memory / 2:
        batch, why = batch // 2, f"{seen.memory / 2**30:.1f} GiB of memory are free"
    while batch > 4 and seen.count < 8 * batch:
        batch, why = batch // 2, f"{seen.count} training examples"
    return batch, why


def activations(model: str, side: int) -> int:
    """Number of values that a net's layers give for one image.

    Args:
        model: name of the net.
        side: pixels.
    """
    from keras_resnet.builder import build

    net = build(model, include_top=False, input_shape=(side, side, 3))
    total = 0
    for layer in net.layers:
        shape = layer.output.shape[1:]
        size = 1
        for each in shape:
            size *= each or 1
        total += size
    return total


def _length(seen: Look, transfer: bool, given: int) -> list[Decision]:
    """Epochs, what is a share of them, and when to stop."""
    epochs, reason = given or _EPOCHS, "usual for a transfer"
    if not transfer:
        epochs = given or max(30, min(200, round(_SEEN / max(1, seen.count))))
        reason = f"{seen.count:,} training examples"
    how = {"epochs": epochs, **shares(epochs, transfer)}
    option = "--epochs N or --minutes N"
    length = Decision(what="epochs", value=str(epochs), reason=reason, option=option, settings=how)
    patience = max(10, epochs // 2)  # a rate that falls to zero brings the best epochs last
    stop = Decision(
        what="early stopping",
        value=f"after {patience} epochs without improvement; the best epoch is kept",
        reason="half of the run",
        option="--stop-patience N (0: never)",
        settings={"stop_patience": patience},
    )
    return [length, stop]


def shares(epochs: int, transfer: bool) -> dict[str, float]:
    """Epochs of a rising rate, or of the head alone: a share of the run.

    Args:
        epochs: length of the training.
        transfer: whether it starts from weights.
    """
    if transfer:
        return {"head_epochs": round(min(3.0, epochs / 5), 2)}
    return {"warmup_epochs": round(epochs / 10, 2)}
