"""`keras-resnet predict`: answers for photos, for a few in full and for many as a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet import console, extras, files, flags
from keras_resnet.cluster import session
from keras_resnet.errors import GateError, InputError
from keras_resnet.evaluation import tiling
from keras_resnet.parsing import Parser
from keras_resnet.runtime import foreign
from keras_resnet.signals.table import get_signal
from keras_resnet.video import command as video

if TYPE_CHECKING:
    from keras_resnet.card import ModelCard
    from keras_resnet.evaluation.bulk import Unreadable
    from keras_resnet.runtime.interface import Runner
    from keras_resnet.tasks.results import Prediction

_FEW = 10  # answers that get a table each
_LINES = 20  # of a table of many, and of bad files
_DRAWN = 24  # pictures in one
_PAGED = 100  # masks on a page, about 10 MB
_SIDE = 1024  # pixels of a picture in it, at most
_AT_MOST = {".png": _DRAWN, ".html": _PAGED}
_EXAMPLES = """examples:
  keras-resnet predict --model runs/mine photo.jpg
  keras-resnet predict --model model.tflite PHOTOS -o answers.csv
  keras-resnet predict --model runs/mine clip.mp4 -o out.mp4
  find . -name '*.jpg' | keras-resnet predict --model model.onnx - --top 1 -o answers.parquet
"""


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    flags.add_model(parser, required=True)
    text = "pictures, folders of them, patterns like 'photos/**/*.jpg'; -: a list on standard input, one a line"
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"{text}; or one video")
    parser.add_argument(
        "--top", type=flags.positive, default=5, metavar="N", help="answers for a picture, at most (%(default)s)"
    )
    flags.add_classes(parser)
    foreign.add_options(parser)
    flags.add_output(
        parser,
        f"write all answers as a table: .csv, .jsonl or .parquet; or up to {_DRAWN} as a .png, {_PAGED} masks or "
        "objects as .html; of a video .mp4, .webm, .avi or .mkv",
    )
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="of a segmentation: write the mask of every picture there, as a PNG of its size with a palette",
    )
    parser.add_argument(
        "--threshold", type=float, metavar="T", help="of a detection: score from which an object is shown, 0 to 1"
    )
    parser.add_argument(
        "--yolo", type=Path, metavar="DIR", help="write the objects of every picture there as YOLO's text, with scores"
    )
    video.add(parser)
    tiling.add(parser)
    session.add_option(parser, "predict")
    console.add_json(parser, "the answers")


@dataclass
class _Seen:
    """What is kept of many answers.

    Attributes:
        first: the first answers.
        count: number of answers.
        reasons: why the first bad files have none.
        bad: number of bad files.
    """

    first: list[Prediction] = field(default_factory=list)
    count: int = 0
    reasons: list[str] = field(default_factory=list)
    bad: int = 0


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    if video.is_asked(args):
        return video.work(args)
    if not args.images:
        raise InputError("expected IMAGE: pictures, folders, patterns, or one video; or --camera N")
    drawn = args.output if args.output and args.output.suffix in _AT_MOST else None
    table = None if drawn else args.output
    _check(args, table)
    extras.require_for(args.model, args.weights)
    console.import_tensorflow("jax")
    from keras_resnet.evaluation import bulk, written
    from keras_resnet.evaluation.answered import Page
    from keras_resnet.evaluation.asked import opened
    from keras_resnet.evaluation.records import records

    runner, card = opened(args)
    write_beside = _beside(args, card)
    page = Page(runner, card, tiled=args.tile is not None) if drawn and drawn.suffix == ".html" else None
    count, found = (_on_ray if args.ray else _here)(args, runner, card)
    if drawn and count > _AT_MOST[drawn.suffix]:
        most, what = _AT_MOST[drawn.suffix], "page" if page else "picture"
        raise InputError(f"{drawn}: one {what} shows {most} answers at most, and there are {count:,} files")
    seen, objects = _Seen(), []
    with written.writing(table, overwrite=args.overwrite) as add_row, console.without_chatter():
        for each in found:
            if isinstance(each, bulk.Unreadable):
                if count == 1:
                    _forget(args)
                    raise InputError(each.reason)
                _note_bad(seen, each.reason)
                continue
            write_beside(each)
            if page:
                page.add(each)
            seen.count += 1
            seen.first += [each] if len(seen.first) < max(_LINES, _DRAWN) else []
            objects += [each.to_json()] if args.json else []
            for record in records(each):
                add_row(record)
        if not seen.count:
            _forget(args)
            _say_bad(seen)
            raise GateError(f"none of the {seen.bad:,} files can be read")
    _forget(args)
    console.write_json(args.json, objects)
    if page:
        title = f"{args.model} on {seen.count:,} pictures"
        page.write(args.output, title, " ".join(["keras-resnet", *sys.argv[1:]]), overwrite=args.overwrite)
    elif drawn:
        _draw(seen.first, runner, card, args)
    _show(seen, args)
    return _say_bad(seen)


def _check(args: argparse.Namespace, table: Path | None) -> None:
    """Refuses places that take no answers, before any work is done for them."""
    from keras_resnet.evaluation import written

    if table:
        written.check(table, args.overwrite)
    elif args.output:
        files.check_place(args.output, args.overwrite)
    tiles = tiling.asked(args)
    if args.ray is not None:
        session.check(args.ray)
        if not table:
            raise InputError("--ray: expected -o FILE too, a table, beside which finished shards are kept")
        if tiles:
            raise InputError("--ray: without --tile; a cluster resizes pictures")


def _forget(args: argparse.Namespace) -> None:
    """Removes the shards of a cluster whose answers are all here."""
    if args.ray:
        from keras_resnet.cluster import predicting

        predicting.forget(args.output)


_Answers = Iterator["Prediction | Unreadable"]


def _here(args: argparse.Namespace, runner: Runner, card: ModelCard) -> tuple[int, _Answers]:
    """Number of files, and the answers by this process."""
    from keras_resnet.evaluation import bulk
    from keras_resnet.evaluation.tiles import check as check_tiles

    paths, tiles = bulk.listed(args.images, get_signal(card.signal).suffixes), tiling.asked(args)
    if tiles:
        check_tiles(runner, tiles, args.tile or None)
    found = bulk.answers(runner, paths, card, args.top, tiles=tiles)
    return len(paths), console.progress(found, "predicting", len(paths))


def _on_ray(args: argparse.Namespace, runner: Runner, card: ModelCard) -> tuple[int, _Answers]:
    """Number of files, and the answers by a cluster."""
    from keras_resnet.cluster import models, predicting

    paths = predicting.expanded(args.images, get_signal(card.signal).suffixes)
    model = models.packed(args.model, args.weights, foreign.hints_of(args))
    labels = card.labels if args.classes else None
    return len(paths), predicting.answers(args.ray, paths, model, labels, args.top, args.output, args.threshold)


def _beside(args: argparse.Namespace, card: ModelCard) -> Callable[[Prediction], None]:
    """A function that writes what was asked for of every picture: its mask, its objects.

    Raises:
        InputError: answers of this task are none, or are made on a cluster.
    """
    from keras_resnet.evaluation import beside

    writers = []
    for option, folder, make in (("--masks", args.masks, beside.masks), ("--yolo", args.yolo, beside.yolo)):
        if folder is None:
            continue
        if args.ray:
            raise InputError(f"{option}: without --ray, which writes tables")
        paths = beside.pictures_of(args.images, card)
        args.images = list(map(str, paths))  # a list on standard input can be read once
        asked = beside.Asked(folder, option, args.overwrite, args.tile is not None)
        writers.append(make(asked, card, paths))

    def write(answer: Prediction) -> None:
        for each in writers:
            each(answer)

    return write


def _draw(answers: list[Prediction], runner: Runner, card: ModelCard, args: argparse.Namespace) -> None:
    """Writes a picture of files with their answers."""
    import numpy as np

    from keras_resnet import pictures
    from keras_resnet.evaluation.examples import loaded
    from keras_resnet.signals import decoding
    from keras_resnet.tasks import get_task

    pixels: np.ndarray | list[np.ndarray]
    in_places = getattr(get_task(card.task).code, "IN_PLACES", False)  # answers are about all of a picture
    if args.tile is None and not in_places:
        pixels = np.stack([loaded(Path(each.image), runner) for each in answers])
    else:
        whole = (decoding.pixels(Path(each.image).read_bytes(), 3) for each in answers)
        pixels = [pictures.reduced(each, _SIDE) if in_places else each for each in whole]
    with files.writing(args.output, overwrite=args.overwrite) as temporary:
        temporary.write_bytes(pictures.png(get_task(card.task).code.draw(pixels, answers, card), dpi=120))


def _note_bad(seen: _Seen, reason: str) -> None:
    seen.bad += 1
    seen.reasons += [reason] if len(seen.reasons) < _LINES else []


def _show(seen: _Seen, args: argparse.Namespace) -> None:
    """Prints a table for each of a few answers, or one of many, and what to do next."""
    from keras_resnet.evaluation.records import brief

    if seen.count <= _FEW:
        for answer in seen.first:
            columns, lines = answer.rows()
            title = answer.image if lines else f"{answer.image}: nothing was found"
            console.print_table(title, columns, lines)
    else:
        header: list[str] = []
        rows: list[list[object]] = []
        for answer in seen.first[:_LINES]:
            columns, cells = brief(answer)
            header = header or ["file", *columns]
            rows.append([answer.image, *cells])
        console.print_table(f"The best answers for {seen.count:,} files", header, rows)
        if seen.count > len(rows):
            print(f"... and {seen.count - len(rows):,} more")
    if args.masks:
        print(f"masks of {seen.count:,} pictures: {args.masks}")
    if args.yolo:
        print(f"objects of {seen.count:,} pictures: {args.yolo}")
    if args.output:
        what = {".png": "picture", ".html": "page"}.get(args.output.suffix, "table")
        print(f"{what} of {seen.count:,} answers: {args.output}")
    elif seen.count > _FEW and not args.json:
        print("all of them as a table: the same command with -o answers.csv")


def _say_bad(seen: _Seen) -> int:
    """Names the files that have no answer; the exit status."""
    for reason in seen.reasons:
        print(f"no answer: {console.visible(' '.join(reason.split()))}", file=sys.stderr)
    if seen.bad > len(seen.reasons):
        print(f"... and {seen.bad - len(seen.reasons):,} more", file=sys.stderr)
    if seen.bad and seen.count:
        print(f"error: {seen.bad:,} of {seen.bad + seen.count:,} files cannot be read", file=sys.stderr)
    return console.FAILED if seen.bad else console.OK
