"""Video files: which codec OpenCV's build has for an ending, and frames one after the other."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import extras
from keras_resnet.errors import InputError


@dataclass(frozen=True)
class Codec:
    """A row of `CODECS`.

    Attributes:
        code: four letters, as OpenCV knows it.
        name: words for people.
        browsers: whether browsers play it.
    """

    code: str
    name: str
    browsers: bool


_H264, _MPEG4 = Codec("avc1", "H.264", True), Codec("mp4v", "MPEG-4 part 2", False)
# By ending, the better ones first. VP9 in .mp4 takes more than ten times as long as MPEG-4, and is left out.
CODECS = {
    ".mp4": (_H264, _MPEG4),
    ".webm": (Codec("VP80", "VP8", True), Codec("VP90", "VP9", True)),
    ".mkv": (_H264, Codec("XVID", "MPEG-4 part 2", False)),
    ".avi": (Codec("XVID", "MPEG-4 part 2", False), Codec("MJPG", "Motion JPEG", False)),
}


def codec_for(suffix: str) -> Codec:
    """The best codec that this build of OpenCV has for an ending, which is tried with a file of its own.

    Args:
        suffix: key of `CODECS`.

    Raises:
        InputError: it has none.
    """
    with tempfile.TemporaryDirectory(prefix="keras-resnet-codec-") as folder:
        for number, codec in enumerate(CODECS[suffix]):
            place = Path(folder, f"{number}{suffix}")
            writer = _opened(place, codec, 25.0, (64, 64))
            works = writer.isOpened()
            for _ in range(2 if works else 0):
                writer.write(np.zeros((64, 64, 3), np.uint8))
            writer.release()
            if works and place.is_file() and place.stat().st_size:
                return codec
    raise InputError(f"this build of OpenCV writes no {suffix}: choose another ending of {', '.join(CODECS)}")


def _opened(path: Path, codec: Codec, rate: float, size: tuple[int, int]) -> Any:
    cv2: Any = extras.imported("cv2")
    return cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec.code), rate, size)


class Writer:
    """A video that grows; `close` makes it whole."""

    def __init__(self, path: Path, codec: Codec, rate: float, size: tuple[int, int]) -> None:
        """Opens the file.

        Args:
            path: file to write.
            codec: result of `codec_for`.
            rate: frames per second.
            size: height and width; codecs want even ones, so a last odd row or column is left out.

        Raises:
            InputError: OpenCV cannot write it.
        """
        self._path, self._rate, self.count = path, rate, 0
        self._size = (max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2))
        self._writer = _opened(path, codec, rate, self._size[::-1])
        if not self._writer.isOpened():
            raise InputError(
                f"{path.suffix} of {self._size[1]} x {self._size[0]} pixels with {codec.name} cannot be written"
            )

    def add(self, pixels: np.ndarray, until: float | None = None) -> None:
        """Adds a frame.

        Args:
            pixels: uint8 `(height, width, 3)`, red first.
            until: time since the first frame up to which this one is shown; None for one frame.
        """
        high, wide = self._size
        if pixels.shape[0] < high or pixels.shape[1] < wide:  # one pixel high or wide
            pixels = np.pad(pixels, ((0, max(0, high - len(pixels))), (0, max(0, wide - pixels.shape[1])), (0, 0)))
        frame = np.ascontiguousarray(pixels[:high, :wide, ::-1])
        times = 1 if until is None else max(1, round(until * self._rate) + 1 - self.count)
        for _ in range(times):
            self._writer.write(frame)
        self.count += times

    def close(self) -> None:
        """Writes what belongs at the end, and opens the file again: OpenCV does not say that a disk is full.

        Raises:
            InputError: what was written is no video.
        """
        cv2: Any = extras.imported("cv2")
        self._writer.release()
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        there = capture.isOpened() and capture.read()[0]
        capture.release()
        if not there:
            raise InputError(f"the video could not be written to {self._path.parent}: is there room on the disk?")
