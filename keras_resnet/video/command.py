"""`keras-resnet predict clip.mp4` and `--camera N`: parses and calls."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet import console, extras, files
from keras_resnet.errors import InputError
from keras_resnet.evaluation import tiling, written
from keras_resnet.video.reading import SUFFIXES, Source, camera, opened
from keras_resnet.video.writing import CODECS, Codec, Writer, codec_for

if TYPE_CHECKING:
    from keras_resnet.card import ModelCard
    from keras_resnet.video.answering import Answered


def add(parser: argparse._ActionsContainer) -> None:
    """Adds the options.

    Args:
        parser: parser or group.
    """
    parser.add_argument(
        "--camera", type=int, metavar="N", help="in place of pictures: a camera, 0 for the first; Ctrl-C ends it"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="of a video or a camera: end after so much of it")


def is_asked(args: argparse.Namespace) -> bool:
    """Whether a command line is about a video or a camera.

    Args:
        args: options of `predict`.

    Raises:
        InputError: a video among pictures, or a camera beside them.
    """
    videos = [each for each in args.images if Path(each).suffix.lower() in SUFFIXES and not Path(each).is_dir()]
    if args.camera is not None and args.images:
        raise InputError("--camera goes without pictures and videos")
    if videos and len(args.images) > 1:
        raise InputError(f"{videos[0]} is a video: expected one video, without other files")
    if not videos and args.camera is None and args.seconds is not None:
        raise InputError("--seconds goes with a video or --camera")
    return bool(videos) or args.camera is not None


def work(args: argparse.Namespace) -> int:
    """Does what was asked for.

    Args:
        args: options of `predict`.
    """
    _check(args)
    extras.require_for(args.model, args.weights)
    console.import_tensorflow("jax")
    from keras_resnet.evaluation import asked
    from keras_resnet.video import answering

    runner, card = asked.opened(args)
    answering.check(card)
    with console.without_chatter(), _source(args) as source:
        codec = codec_for(args.output.suffix) if args.output and args.output.suffix in CODECS else None
        _note(source, codec)
        found = answering.answers(runner, source, card, args.top, args.seconds)
        seen = _written(console.progress(found, "predicting", source.count), source, card, codec, args)
    console.write_json(args.json, seen.objects)
    _say(seen, source, codec, args)
    if seen.stopped and not source.live:
        raise KeyboardInterrupt
    return console.OK


def _check(args: argparse.Namespace) -> None:
    """Refuses what does not go with a video, before any work."""
    for option, given in (("--masks", args.masks), ("--yolo", args.yolo), ("--ray", args.ray)):
        if given is not None:
            raise InputError(f"{option} goes with pictures, not with a video")
    if tiling.asked(args):
        raise InputError("--tile goes with pictures, not with a video")
    if args.seconds is not None and not 0 < args.seconds < float("inf"):
        raise InputError(f"--seconds {args.seconds:g}: expected a time above 0")
    if args.camera is not None and not 0 <= args.camera < 100:
        raise InputError(f"--camera {args.camera}: expected its number, from 0")
    if args.output is None and args.json is None:
        raise InputError("a video: expected -o out.mp4 (or .webm, .mkv, .avi), -o objects.csv, or --json FILE")
    if args.output and args.output.suffix in written.WRITERS:
        written.check(args.output, args.overwrite)
    elif args.output and args.output.suffix in CODECS:
        if args.images and args.output.exists() and args.output.samefile(args.images[0]):
            raise InputError(f"{args.output}: expected another file than the video itself")
        files.check_place(args.output, args.overwrite)
    elif args.output:
        expected = ", ".join((*CODECS, *written.WRITERS))
        raise InputError(f"{args.output}: of a video, expected a name with the ending {expected}")
    extras.require("cv2", for_what="a video" if args.camera is None else "a camera")


def _source(args: argparse.Namespace) -> Source:
    return opened(Path(args.images[0])) if args.camera is None else camera(args.camera)


def _note(source: Source, codec: Codec | None) -> None:
    """Says what becomes of the video."""
    if codec and not source.live:
        print(f"note: sound of {console.visible(source.name)} is left out, if it has any", file=sys.stderr)
    if codec and not source.says_rate:
        print(f"note: {console.visible(source.name)} says no frame rate: {source.rate:g} a second", file=sys.stderr)


@dataclass
class _Seen:
    """What is kept of the frames.

    Attributes:
        frames: number of frames with an answer.
        answers: number of objects in them.
        rate: frames per second at the end.
        objects: answers as JSON, where they are asked for.
        stopped: whether Ctrl-C ended it.
    """

    frames: int = 0
    answers: int = 0
    rate: float = 0.0
    objects: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False


def _written(
    found: Iterator[Answered], source: Source, card: ModelCard, codec: Codec | None, args: argparse.Namespace
) -> _Seen:
    """Writes all frames, or those until Ctrl-C."""
    seen = _Seen()
    with _writing(source, card, codec, args) as write:
        try:
            for each in found:
                write(each)
                seen.frames, seen.rate = seen.frames + 1, each.rate
                seen.answers += len(each.answer.to_json().get("objects", ()))
                seen.objects += [each.to_json()] if args.json else []
        except KeyboardInterrupt as error:
            if not seen.frames or getattr(error, "signal", None) is not None:
                raise
            seen.stopped = True  # what is there is made whole
    return seen


@contextlib.contextmanager
def _writing(
    source: Source, card: ModelCard, codec: Codec | None, args: argparse.Namespace
) -> Iterator[Callable[[Answered], None]]:
    """A function that writes an answered frame to the video or the table that was asked for."""
    if codec is None:
        with written.writing(args.output, overwrite=args.overwrite) as add_row:

            def add(each: Answered) -> None:
                for record in each.records():
                    add_row(record)

            yield add
        return
    from keras_resnet.video.answering import drawn

    with files.writing(args.output, overwrite=args.overwrite) as temporary:
        writer = Writer(temporary, codec, source.rate, source.size)
        try:
            yield lambda each: writer.add(drawn(each, card), each.frame.seconds if source.live else None)
        finally:
            writer.close()


def _say(seen: _Seen, source: Source, codec: Codec | None, args: argparse.Namespace) -> None:
    """Says what was written, and whether browsers play it."""
    stopped = ", until Ctrl-C" if seen.stopped else ""
    objects = f", {seen.answers:,} objects" if seen.answers else ""
    print(f"{seen.frames:,} frames of {console.visible(source.name)}{stopped}{objects}; {seen.rate:.1f} frames/s")
    if codec:
        others = "" if codec.browsers else ", which browsers do not play: -o FILE.webm makes one that they do, slower"
        rate = f"{source.rate:.2f}".rstrip("0").rstrip(".")
        print(f"video of {rate} frames a second: {args.output}; codec {codec.name} ({codec.code}){others}")
    elif args.output:
        print(f"table of {seen.frames:,} frames: {args.output}")
