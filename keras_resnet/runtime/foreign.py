"""Models from elsewhere: what a person says of one that does not tell itself, and bringing it into our form."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.errors import InputError

if TYPE_CHECKING:
    import keras

    from keras_resnet.card import ModelCard
    from keras_resnet.runtime.interface import Runner
    from keras_resnet.signals.conventions import Preprocess

ROWS = "none, tf, 0..1, caffe, torch, cifar10, pytorch-cifar"  # of `PREPROCESS`, whose module `--help` need not import


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What a person says of a model that does not tell itself.

    Attributes:
        preprocess: input convention; None where the model's card has it.
        logits: whether its outputs are logits although they do not look so.
        image_size: height and width of its input, where that takes images of any size; 0 for none.
        modules: Python files with its own layers. Their code is run.
        trust: whether a SavedModel is from somebody whose code may run here; see `opening.open_runner`.
        task: row of `tasks.TASKS`, of a model whose card has none; None where nobody said.
    """

    preprocess: Preprocess | None = None
    logits: bool = False
    image_size: int = 0
    modules: tuple[Path, ...] = ()
    trust: bool = False
    task: str | None = None


NO_HINTS = Hints()
imported: list[Path] = []  # files that were imported in this process, which its children need too


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that `hints_of` reads.

    Args:
        parser: parser of a command that opens a model.
    """
    group = parser.add_argument_group(
        "models from elsewhere",
        "A .tflite or .onnx file is first run in a process of its own, which has 30 s of processor time for an answer "
        "(environment variable KERAS_RESNET_ENGINE_SECONDS).",
    )
    group.add_argument(
        "--preprocess",
        type=_preprocess,
        metavar="ROW|MEAN/STD",
        help=f"input convention of a model without a card: {ROWS} (tf: -1..1, none: 0..255), or numbers in 0..255, "
        "RGB, like 123.7,116.3,103.5/58.4,57.1,57.4",
    )
    group.add_argument("--logits", action="store_true", help="the outputs are logits, although they do not look so")
    group.add_argument(
        "--import",
        dest="modules",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.py",
        help="a Python file with the model's own layers; its code is run; repeatable",
    )
    group.add_argument(
        "--image-size",
        type=int,
        default=0,
        metavar="N",
        help="of a net that takes any size: its input; an export of another net takes N x N pixels and resizes them",
    )
    group.add_argument(
        "--task",
        metavar="NAME",
        help="what its outputs mean, where it has no card: classification, multilabel (a probability for each of "
        "several tags), regression or segmentation",
    )
    group.add_argument(
        "--trust",
        action="store_true",
        help="open a .savedmodel folder, which can run any operation (write files, ...)",
    )


def _preprocess(text: str) -> Preprocess:
    from keras_resnet.signals.conventions import parse_preprocess

    try:
        return parse_preprocess(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def hints_of(args: argparse.Namespace) -> Hints:
    """The hints of a command line.

    Args:
        args: options of a parser that `add_options` was called with.
    """
    size = args.image_size or 0
    if size < 0:
        raise InputError(f"--image-size {size}: expected pixels, from 1")
    return Hints(
        preprocess=args.preprocess,
        logits=args.logits,
        image_size=size,
        modules=tuple(args.modules),
        trust=args.trust,
        task=args.task,
    )


def load(model: str | os.PathLike, weights: str | None, hints: Hints = NO_HINTS) -> tuple[keras.Model, ModelCard]:
    """Opens what `--model` and `--weights` name, and brings it into the form that everything here works with.

    Args:
        model: path of a `.keras` file, or a name of `list_models()`.
        weights: for a name: a registered name, a weight file, or `"none"` for random values.
        hints: what a person says of it.

    Returns:
        A functional model of one input and the task's outputs, and its card.

    Raises:
        InputError: see `saving.load_named`; a model that was never built, or takes images of any size without a hint;
            one that is none of its task; hints that its card contradicts.
    """
    from keras_resnet.saving import load_named

    for path in hints.modules:
        import_file(path)
    return adopted(*load_named(model, weights), hints, model)


def _of_its_task(network: keras.Model, card: ModelCard, hints: Hints, origin: object) -> keras.Model:
    """A model with the outputs of the task that its card names."""
    from keras_resnet.tasks import get_task

    code = get_task(card.task).code
    return code.adopted(network, card, logits=hints.logits, origin=origin) if hasattr(code, "adopted") else network


def adopted(model: keras.Model, card: ModelCard, hints: Hints, origin: object) -> tuple[keras.Model, ModelCard]:
    """A model in memory in the form that `load` gives.

    Args:
        model: any Keras model.
        card: its card, `UNKNOWN` for none.
        hints: what a person says of it.
        origin: model, for messages.

    Raises:
        InputError: see `load`.
    """
    network, card, told = _prepared(model, card, hints, origin)
    if not told:
        _refuse_sigmoids(network, origin)
    return _of_its_task(network, card, hints, origin), card


def load_as_it_is(
    model: str | os.PathLike, weights: str | None, hints: Hints = NO_HINTS
) -> tuple[keras.Model, ModelCard]:
    """As `load`, with whatever outputs the model has: logits stay logits, and a net need be none of its task.

    Args:
        model: path of a `.keras` file, or a name of `list_models()`.
        weights: for a name: a registered name, a weight file, or `"none"` for random values.
        hints: what a person says of it.

    Raises:
        InputError: see `load`.
    """
    from keras_resnet.saving import load_named

    for path in hints.modules:
        import_file(path)
    return _prepared(*load_named(model, weights), hints, model)[:2]


def _prepared(model: keras.Model, card: ModelCard, hints: Hints, origin: object) -> tuple[keras.Model, ModelCard, bool]:
    """A functional model, its card with what a person says of it, and whether either has said which task it is."""
    from keras_resnet.nets.functional import functional, scales_itself
    from keras_resnet.tasks.facts import understood

    told = card.known or hints.task is not None
    card = hinted(understood(card, origin), hints, origin)
    network = functional(model, origin, hints.image_size)
    card.preprocess.check_channels(network.inputs[0].shape[-1], origin)
    return network, card.knowing(card.preprocess) if not card.known and scales_itself(network) else card, told


def _refuse_sigmoids(network: keras.Model, origin: object) -> None:
    """Refuses to guess whether several sigmoids are several tags, or classes of which there is one."""
    import keras

    from keras_resnet.tasks.classification.adopting import ending

    outputs = keras.tree.flatten(network.outputs)
    if (
        len(outputs) == 1
        and len(outputs[0].shape) == 2
        and outputs[0].shape[1] != 1
        and ending(outputs[0]) == "sigmoid"
    ):
        raise _of_sigmoids(origin, outputs[0].shape[1])


def refuse_sigmoids_of(runner: Runner, hints: Hints, origin: object) -> None:
    """Refuses to guess what several sigmoids of a file mean, where neither a card nor a person says it.

    Args:
        runner: the opened file.
        hints: what a person says of it.
        origin: file, for the message.

    Raises:
        InputError: its only output are several sigmoids.
    """
    shape = runner.output.shape
    if (
        runner.card.known
        or hints.task is not None
        or len(runner.outputs) > 1
        or len(shape) != 2
        or shape[1] in (None, 1)
    ):
        return
    if runner.ends_in_sigmoid:
        raise _of_sigmoids(origin, shape[1])


def _of_sigmoids(origin: object, count: int | None) -> InputError:
    return InputError(
        f"{origin} ends in {count} sigmoids and has no card: say what they mean with --task multilabel (any number of "
        "tags for an image) or --task classification (one class)"
    )


def hinted(card: ModelCard, hints: Hints, origin: object) -> ModelCard:
    """The card with the task and the input convention that a person gave.

    Args:
        card: card of the model.
        hints: what a person says of it.
        origin: model, for the message.

    Raises:
        InputError: the card says otherwise.
    """
    if hints.task is not None:
        from keras_resnet.tasks import get_task

        name = get_task(hints.task).name
        if card.known and card.task != name:
            raise InputError(f"--task {name}: the card of {origin} says {card.task}; leave the option out")
        card = dataclasses.replace(card, task=name)
    if hints.preprocess is None or (card.known and card.preprocess == hints.preprocess):
        return card
    if card.known:
        raise InputError(f"--preprocess: the card of {origin} says {card.preprocess.to_json()}; leave the option out")
    return card.knowing(hints.preprocess)


def import_file(path: Path) -> None:
    """Runs a Python file, which may register layers with Keras.

    Args:
        path: file of a person's own.

    Raises:
        InputError: no such file, or its code fails.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"--import {path}: expected a Python file with the model's own layers")
    name = f"_imported_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"--import {path}: expected a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # it is anybody's code
        raise InputError(f"--import {path}: {type(error).__name__}: {error}") from error
    _register(module)
    imported.append(path.absolute())


def _register(module) -> None:
    """Makes the layers of a module known to Keras under their plain names, decorated or not."""
    import keras

    for name, value in vars(module).items():
        own = isinstance(value, type) and value.__module__ == module.__name__
        if own and issubclass(value, keras.layers.Layer | keras.Model):
            keras.saving.get_custom_objects().setdefault(name, value)
