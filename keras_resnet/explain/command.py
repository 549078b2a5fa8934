"""`keras-resnet explain`: parses and calls."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet import console, extras, files, flags
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.parsing import Parser
from keras_resnet.runtime import foreign

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.card import ModelCard
    from keras_resnet.tasks.interface import CapableCode

_EXAMPLES = """methods:
  cam, grad-cam, grad-cam++      where in a feature map the class was found
  hires-cam                      the same for one object among others
  integrated-gradients           share of every pixel in the logit
  smoothgrad                     slopes, averaged over noisy copies
  occlusion                      what the answer loses when a part is covered; .tflite and .onnx files too
examples:
  keras-resnet explain --model resnet50 --weights imagenet photo.jpg -o why.png
  keras-resnet explain --model model.keras photo.jpg --feature-maps --layer conv2_block1_out -o maps.png
  keras-resnet explain --model model.keras --filters -o filters.png
  keras-resnet explain --model model.keras --embeddings --data digits -o features.html
"""
_DATASET_IMAGES = 1000
_PHOTO = 320  # pixels of a picture's side, that are enough to see what is on it


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    flags.add_model(parser, required=True)
    foreign.add_options(parser)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="pictures: PNG, JPEG, WebP, ...")
    flags.add_output(parser, "a .png or .html file", required=True)
    parser.add_argument("--method", metavar="M", help="see below (grad-cam; of a detection hires-cam)")
    parser.add_argument("--layer", metavar="L", help="whose feature maps; by default the last ones")
    parser.add_argument("--class", dest="cls", metavar="C", help="name or number; by default the likeliest ones")
    parser.add_argument("--object", type=flags.positive, metavar="N", help="of a detection: the Nth object, 1 the best")
    parser.add_argument("--top", type=int, default=3, metavar="N", help="classes or objects per image (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of smoothgrad's noise and of t-SNE (%(default)s)")
    console.add_json(parser, "classes and probabilities")
    other = parser.add_argument_group("other pictures")
    other.add_argument("--filters", action="store_true", help="kernels of the first convolution")
    other.add_argument("--feature-maps", action="store_true", help="every channel of a layer, for one image")
    other.add_argument("--embeddings", action="store_true", help="the classifier's input, projected to the plane")
    text = "of --embeddings, whose test images are shown: a folder, digits, ..."
    flags.add_data(parser, text=text, group=other, masks=False)
    other.add_argument("--projection", default="pca", help="pca or tsne (%(default)s)")
    other.add_argument(
        "--limit", type=int, default=_DATASET_IMAGES, metavar="N", help="test images of --embeddings (%(default)s)"
    )


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    picture = _chosen(args)
    files.check_place(args.output, args.overwrite)
    extras.require_for(args.model, args.weights, args.data)
    console.import_tensorflow("jax")
    from keras_resnet.evaluation.command import note_missing_card
    from keras_resnet.explain.drawing import check_suffix
    from keras_resnet.explain.support import check_support
    from keras_resnet.runtime.opening import open_named

    check_suffix(args.output, (".html",) if args.embeddings else (".png", ".html"))
    runner = open_named(args.model, args.weights, foreign.hints_of(args))
    note_missing_card(args.model, runner)
    check_support(runner.card)
    picture(args, runner, " ".join(["keras-resnet", *sys.argv[1:]]))
    print(f"written: {args.output}")
    return console.OK


def _chosen(args: argparse.Namespace):
    """Name of the picture that was asked for; refuses options that do not go together."""
    asked = [name for name in ("filters", "feature_maps", "embeddings") if getattr(args, name)]
    if len(asked) > 1:
        raise InputError(f"expected one of {', '.join('--' + name.replace('_', '-') for name in asked)}")
    kind = asked[0] if asked else "heat"
    if kind in ("heat", "feature_maps") and not args.images:
        raise InputError("expected an image: keras-resnet explain --model M IMAGE -o out.png")
    if kind == "feature_maps" and len(args.images) > 1:
        raise InputError(f"--feature-maps shows one image, received {len(args.images)}")
    if kind in ("filters", "embeddings") and args.images:
        raise InputError(f"--{kind} takes no images, received {args.images[0]}")
    if (kind == "embeddings") != bool(args.data):
        raise InputError("--embeddings and --data go together")
    if args.top < 1:
        raise InputError(f"--top {args.top}: expected a number of classes from 1")
    if args.limit < 1:
        raise InputError(f"--limit {args.limit}: expected a number of images from 1")
    return {"heat": _heat, "filters": _filters, "feature_maps": _feature_maps, "embeddings": _embeddings}[kind]


def _load(args: argparse.Namespace, runner) -> np.ndarray:
    import numpy as np

    from keras_resnet.evaluation import image_shape
    from keras_resnet.signals.table import get_signal

    shape, load = image_shape(runner), get_signal(runner.card.signal).code.load
    return np.stack([load(path, shape, runner.card.keep) for path in args.images])


def _photo(path: str, image: np.ndarray, runner) -> np.ndarray | None:
    """The part of a photograph that the net saw, in as many pixels as people see; None where there are no more."""
    from keras_resnet.signals.image import load, size_of

    height, width = image.shape[:2]
    more = min(-(-_PHOTO // max(height, width)), min(size_of(path)) // min(height, width))
    return load(path, (more * height, more * width, image.shape[-1]), runner.card.keep) if more > 1 else None


def _heat(args: argparse.Namespace, runner, command: str) -> None:
    from keras_resnet.evaluation.running import check_finite
    from keras_resnet.explain import METHODS, drawing, explain
    from keras_resnet.explain.methods import usual
    from keras_resnet.tasks import get_task

    args.method = args.method or usual(runner.card)
    if args.method not in METHODS:
        raise unknown_name("method", args.method, METHODS)
    pixels, code = _load(args, runner), get_task(runner.card.task).capable
    answers = runner(runner.card.preprocess(pixels))
    check_finite(answers, "an image")
    classes = _asked(args, code, answers, runner.card)
    rows: list[list[drawing.Panel]] = [[] for _ in args.images]
    form = getattr(code, "EVIDENCE", "{:.1%}")  # values have units
    ranks = range(len(classes[0]))
    for rank in console.progress(ranks, args.method, len(ranks)):
        found = explain(
            runner,
            pixels,
            method=args.method,
            classes=[own[rank] for own in classes],
            layer=args.layer,
            seed=args.seed,
        )
        boxes = code.asked_boxes(answers, found.classes, runner.card) if hasattr(code, "asked_boxes") else None
        for place, panels in enumerate(rows):
            error = None if found.errors is None else float(found.errors[place])
            name = code.question_name(int(found.classes[place]), runner.card)
            box = None if boxes is None else tuple(map(float, boxes[place]))
            panels.append(drawing.Panel(name, float(found.values[place]), found.heat[place], error, form, box))
    shown = [
        drawing.Row(Path(path).name, image, tuple(panels), _photo(path, image, runner))
        for path, image, panels in zip(args.images, pixels, rows, strict=True)
    ]
    title = f"{args.method} of {Path(args.model).name}" + (f" at {args.layer}" if args.layer else "")
    drawing.write(shown, args.output, title, command, signed=METHODS[args.method].signed, overwrite=args.overwrite)
    table = [(row.name, each.label, each.text) for row in shown for each in row.panels]
    console.print_table(title, ("image", "answer", "evidence"), table)
    if any(each.error is not None and each.error > 0.01 for row in shown for each in row.panels):
        print("note: attributions of some images miss the change of the logit by more than 1 %", file=sys.stderr)
    listed = [
        {"image": row.name, "classes": [{"label": p.label, "probability": p.probability} for p in row.panels]}
        for row in shown
    ]
    console.write_json(args.json, listed)


def _asked(args: argparse.Namespace, code: CapableCode, answers: dict[str, np.ndarray], card: ModelCard) -> list:
    """What is explained of every image: the likeliest answers, or the one that was asked for."""
    if args.object is None:
        return code.questions_named(answers, args.cls, args.top, card)
    if not hasattr(code, "asked_boxes") or card.task == "localization":
        raise InputError(f"--object goes with the task detection; this is {card.task}")
    found = code.questions_named(answers, args.cls, args.object, card)
    if len(found[0]) < args.object:
        fewest = f"an image has {len(found[0])}" if len(found) > 1 else f"the image has {len(found[0])}"
        raise InputError(f"--object {args.object}: {fewest} with a score from the card's threshold on")
    return [own[-1:] for own in found]


def _filters(args: argparse.Namespace, runner, command: str) -> None:
    from keras_resnet.explain import Net, grids

    name, tiles = grids.first_filters(Net(runner))
    title = f"{Path(args.model).name}: {len(tiles)} kernels of {name}"
    _write_grid(args, grids.draw(tiles, title), title, command)


def _feature_maps(args: argparse.Namespace, runner, command: str) -> None:
    from keras_resnet.explain import Net, grids

    pixels = _load(args, runner)
    prepared = runner.card.preprocess(pixels)
    name, tiles = grids.feature_maps(Net(runner, pixels.shape[1:3]), prepared[0], args.layer)
    title = f"{Path(args.images[0]).name}: {len(tiles)} channels of {name}"
    _write_grid(args, grids.draw(tiles, title), title, command)


def _write_grid(args: argparse.Namespace, made, title: str, command: str) -> None:
    from keras_resnet import pictures
    from keras_resnet.explain.drawing import save
    from keras_resnet.page import render

    picture = pictures.png(made)
    if args.output.suffix == ".html":
        facts = {"title": title, "words": "", "classes": "", "command": command}
        picture = render("keras_resnet/picture.html", picture=pictures.embedded(picture, title), **facts).encode()
    save(args.output, picture, args.overwrite)


def _embeddings(args: argparse.Namespace, runner, command: str) -> None:
    import numpy as np

    from keras_resnet.data import sampled
    from keras_resnet.data.pipeline import arrays_of
    from keras_resnet.evaluation.examples import dataset_for
    from keras_resnet.explain import embeddings
    from keras_resnet.tasks import get_task

    task = get_task(runner.card.task)
    if hasattr(task.code, "focused") or hasattr(task.code, "asked_boxes"):
        raise InputError(f"--embeddings shows a point for each image: expected a classifier, received task {task.name}")
    name, folder = flags.named_data(args, runner.card.dataset)
    dataset = dataset_for(runner, name, folder, columns=flags.columns_of(args))
    test = sampled(dataset.test, args.limit)
    pixels = np.concatenate([batch[test.key] for batch in arrays_of(test, 256)])
    name, features = embeddings.pooled_features(runner, pixels, args.layer)
    called = task.capable.called(runner(runner.card.preprocess(pixels)))
    places = embeddings.project(features, args.projection, args.seed)
    title = f"{Path(args.model).name}: {name} of {len(pixels):,} test images of {dataset.name}, {args.projection}"
    labels = test.truth["label"]
    embeddings.write_html(
        args.output,
        title,
        command,
        places,
        features,
        labels,
        called,
        dataset.classes,
        overwrite=args.overwrite,
    )
    agree = embeddings.neighbours_agree(features, labels)
    console.print_table(title, ("dimensions", "neighbours of the same class"), [(features.shape[1], f"{agree:.1%}")])
