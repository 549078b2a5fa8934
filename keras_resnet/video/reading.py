"""Frames of a video file or a camera, read ahead by a thread of their own."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import extras
from keras_resnet.errors import InputError

SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")
_HEADS = {  # by the place where they stand: what is no such file FFmpeg must not guess at, playlists above all
    4: (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"),
    0: (b"\x1a\x45\xdf\xa3", b"RIFF"),
}
_MOST_PIXELS = 8192 * 4608  # of a frame
_RATES = (0.1, 1000.0)  # frames per second that a file may have
USUAL_RATE = 25.0  # where it says none
_AHEAD = 2  # batches that wait


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video.

    Attributes:
        number: its place, from 0.
        seconds: time since the first one.
        pixels: uint8 `(height, width, 3)`, upright, red first.
    """

    number: int
    seconds: float
    pixels: np.ndarray


class Source:
    """An opened video or camera; a context manager."""

    def __init__(self, capture: Any, name: str, *, live: bool) -> None:
        """Looks at what was opened.

        Args:
            capture: OpenCV's `VideoCapture`.
            name: what it is called in messages.
            live: whether it is a camera, whose frames come when they come.

        Raises:
            InputError: no frame can be read, or frames are too large.
        """
        cv2: Any = extras.imported("cv2")
        self.name, self.live, self._capture = name, live, capture
        self._changed = False
        rate = float(capture.get(cv2.CAP_PROP_FPS)) if capture.isOpened() else 0.0
        self.says_rate = math.isfinite(rate) and _RATES[0] <= rate <= _RATES[1]
        self.rate = rate if self.says_rate else USUAL_RATE
        count = float(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0.0
        self.count = int(count) if not live and 0 < count < 1e9 else None  # as the head says, which may be wrong
        self._first = self._read()
        if self._first is None:
            capture.release()
            tried = "it cannot be opened, or gives no picture"
            remedy = "see that no other program has it, and its number" if live else "is it a whole video?"
            raise InputError(f"{name}: {tried}: {remedy}")
        self.size = self._first.shape[:2]

    def _read(self) -> np.ndarray | None:
        """The next frame, red first; None at the end."""
        cv2: Any = extras.imported("cv2")
        try:
            there, found = self._capture.read()
        except cv2.error:
            return None
        if not there or found is None or found.ndim != 3 or found.shape[2] != 3 or found.dtype != np.uint8:
            return None
        if found.shape[0] * found.shape[1] > _MOST_PIXELS:
            self._capture.release()
            raise InputError(
                f"{self.name}: frames of {found.shape[1]} x {found.shape[0]} pixels: expected at most 8192 x 4608"
            )
        return found[..., ::-1]

    def frames(self, seconds: float | None = None) -> Iterator[Frame]:
        """All frames, in their order; those that change their size end it.

        Args:
            seconds: time after which it ends; None for none.
        """
        found, number, begin = self._first, 0, time.monotonic()
        self._first = None
        while found is not None:
            now = time.monotonic() - begin if self.live else number / self.rate
            if seconds is not None and now >= seconds:
                return
            yield Frame(number, now, found)
            found, number = self._read(), number + 1
            if found is not None and found.shape[:2] != self.size:
                raise InputError(f"{self.name}: frame {number} has another size than those before it")

    def __enter__(self) -> Source:
        """Itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Lets go of the file or camera."""
        self._capture.release()


def opened(path: Path) -> Source:
    """Opens a video file.

    Args:
        path: file.

    Raises:
        InputError: no file, no video, or OpenCV is not installed.
    """
    extras.require("cv2", for_what="a video")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not any(head[place : place + len(mark)] == mark for place, marks in _HEADS.items() for mark in marks):
        raise InputError(f"{path} is no video: expected MP4, MOV, WebM, Matroska or AVI")
    cv2: Any = extras.imported("cv2")
    return Source(_captured(str(path.resolve()), cv2.CAP_FFMPEG), str(path), live=False)


def camera(number: int) -> Source:
    """Opens a camera.

    Args:
        number: its number, 0 for the first one.

    Raises:
        InputError: no such camera, or OpenCV is not installed.
    """
    extras.require("cv2", for_what="a camera")
    return Source(_captured(number), f"camera {number}", live=True)


def _captured(place: Any, *how: int) -> Any:
    cv2: Any = extras.imported("cv2")
    with contextlib.suppress(cv2.error):
        return cv2.VideoCapture(place, *how)
    return cv2.VideoCapture()


def ahead(source: Source, size: int, seconds: float | None = None) -> Iterator[list[Frame]]:
    """Batches of frames, of which a few are read while the ones before are worked on.

    A camera's frames come one by one, and those that nobody waited for are left out.

    Args:
        source: opened video or camera.
        size: frames of a batch.
        seconds: time after which it ends; None for none.
    """
    waiting: queue.Queue[list[Frame] | BaseException | None] = queue.Queue(1 if source.live else _AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(source, size, seconds, waiting, stop), daemon=True)
    thread.start()
    try:
        while (found := waiting.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        stop.set()
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        thread.join(timeout=5)


def _fill(
    source: Source,
    size: int,
    seconds: float | None,
    waiting: queue.Queue[list[Frame] | BaseException | None],
    stop: threading.Event,
) -> None:
    """Reads until the end, or until nobody waits any more."""

    def put(value: list[Frame] | BaseException | None) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(value, timeout=0.1)
                return

    try:
        batch: list[Frame] = []
        for frame in source.frames(seconds):
            if stop.is_set():
                return
            if source.live:
                with contextlib.suppress(queue.Full):
                    waiting.put_nowait([frame])
                continue
            batch.append(frame)
            if len(batch) == size:
                put(batch)
                batch = []
        if batch:
            put(batch)
        put(None)
    except BaseException as error:  # noqa: BLE001  who waits raises it
        put(error)
