"""Videos: clips that OpenCV makes here, read again by OpenCV; answers are those of `predict` for the same pixels."""

import csv
import json
import signal
import struct
from pathlib import Path

import coloured
import numpy as np
import pytest

import keras_resnet
from keras_resnet import InputError, ModelCard, cli, extras
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.video import answering, reading, writing

cv2 = pytest.importorskip("cv2", reason="the extra `video` is not installed")
SCALE, RATE = (4, 4), 12.5  # frames of 128 x 192


def _place(number):
    """Row and column of the red cell."""
    return number % 4, number % 6


def _clip(path, count=11, code="mp4v", rate=RATE, crop=np.s_[:, :]):
    high, wide = coloured.picture({}, SCALE)[crop].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), rate, (wide, high))
    for number in range(count):
        writer.write(np.ascontiguousarray(coloured.picture({_place(number): 0}, SCALE)[crop][..., ::-1]))
    writer.release()
    return str(path)


def _frames(path):
    capture, found = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), []
    while (each := capture.read())[0]:
        found.append(each[1][..., ::-1])
    return found, capture.get(cv2.CAP_PROP_FPS)


def _runner(**facts):
    return KerasRunner(coloured.net(), coloured.card(**facts))


def test_frames_come_in_batches_in_their_order_upright_and_red_first(tmp_path):
    path = Path(_clip(tmp_path / "a.mp4"))
    with reading.opened(path) as source:
        assert (source.size, source.rate, source.count, source.live) == ((128, 192), RATE, 11, False)
        batches = list(reading.ahead(source, 4))
    frames = [frame for batch in batches for frame in batch]
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert [frame.number for frame in frames] == list(range(11))
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(11) / RATE)
    for frame in frames:
        expected = coloured.picture({_place(frame.number): 0}, SCALE).astype(int)
        assert np.abs(frame.pixels - expected).mean() < 6
    with reading.opened(path) as source:
        assert [len(batch) for batch in reading.ahead(source, 4, seconds=0.4)] == [4, 1]


def test_a_clip_that_was_filmed_lying_stands_upright(tmp_path):
    """The matrix in the head of an MP4 file says how it is to be turned (ISO 14496-12, 8.3.2)."""
    data = bytearray(Path(_clip(tmp_path / "a.mp4")).read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    assert struct.unpack(">9i", data[place : place + 36])[0] == 1 << 16
    quarter = (0, 1 << 16, 0, -(1 << 16), 0, 0, 128 << 16, 0, 1 << 30)  # clockwise
    data[place : place + 36] = struct.pack(">9i", *quarter)
    (tmp_path / "turned.mp4").write_bytes(data)
    with reading.opened(tmp_path / "turned.mp4") as source:
        assert source.size == (192, 128)
        first = next(source.frames())
    expected = np.rot90(coloured.picture({(0, 0): 0}, SCALE), -1).astype(int)
    assert np.abs(first.pixels - expected).mean() < 6


def test_answers_are_those_of_predict_for_the_same_pixels(tmp_path):
    runner = _runner()
    with reading.opened(Path(_clip(tmp_path / "a.mp4"))) as source:
        found = list(answering.answers(runner, source, runner.card, 5))
    pixels = [each.frame.pixels for each in found]
    for each, other in zip(found, keras_resnet.predict(runner, pixels), strict=True):
        assert each.answer.names == other.names == ("red",)
        np.testing.assert_array_equal(each.answer.boxes, other.boxes)
        row, column = _place(each.frame.number)
        np.testing.assert_allclose(other.boxes, [[32 * column, 32 * row, 32 * column + 32, 32 * row + 32]], atol=0.01)
        (record,) = each.records()
        assert list(record)[:4] == ["file", "frame", "seconds", "class"] and record["frame"] == each.frame.number
        assert each.to_json()["seconds"] == round(each.frame.number / RATE, 3) and each.rate > 0


def test_a_mask_is_laid_over_a_frame():
    card = ModelCard(
        task="segmentation", facts={"names": ["a", "b"], "colours": [[0, 0, 0], [0, 255, 0]]}, fit="stretch"
    )
    code = answering.get_task("segmentation").code
    (mask,) = code.decode({"logits": np.eye(2, dtype="f")[[[[0, 1], [0, 1]]]]}, card, names=["x"])
    frame = reading.Frame(0, 0.0, np.full((40, 60, 3), 100, np.uint8))
    drawn = answering.drawn(answering.Answered(frame, mask, 3.0), card)
    np.testing.assert_array_equal(drawn[:20, 35:, 1], 185)
    np.testing.assert_array_equal(drawn[:20, :25, 1], 45)
    with pytest.raises(InputError, match="this is classification of images"):
        answering.check(ModelCard())


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_what_is_written_can_be_played_at_the_rate_of_the_source(suffix, tmp_path):
    """Of odd sizes a row and a column go; `browsers` is said of what they play."""
    codec = writing.codec_for(suffix)
    assert codec in writing.CODECS[suffix] and codec.browsers == (codec.name in ("H.264", "VP8", "VP9"))
    writer = writing.Writer(tmp_path / f"a{suffix}", codec, 12.5, (129, 193))
    pixels = np.pad(coloured.picture({(1, 2): 0}, SCALE), ((0, 1), (0, 1), (0, 0)), mode="edge")
    for _ in range(5):
        writer.add(pixels)
    writer.close()
    frames, rate = _frames(tmp_path / f"a{suffix}")
    assert (len(frames), rate) == (5, 12.5) and frames[0].shape == (128, 192, 3)
    assert np.abs(frames[2] - pixels[:128, :192].astype(int)).mean() < 8


def test_a_video_that_cannot_be_made_whole_is_said(tmp_path):
    """The control of the check after the writing: what is there is damaged meanwhile, as by a full disk."""
    writer = writing.Writer(tmp_path / "a.mp4", writing.codec_for(".mp4"), 25.0, (64, 64))
    real = writer._writer

    class Damaging:
        def release(self):
            real.release()
            (tmp_path / "a.mp4").write_bytes(b"")

    writer._writer = Damaging()
    with pytest.raises(InputError, match="is there room on the disk"):
        writer.close()


def test_no_codec_of_an_ending_is_said(monkeypatch):
    monkeypatch.setitem(writing.CODECS, ".mp4", (writing.Codec("zzzz", "none", False),))
    with pytest.raises(InputError, match=r"this build of OpenCV writes no \.mp4: choose another ending of"):
        writing.codec_for(".mp4")


class Camera:
    """A camera with so many frames, each later by a tenth of a second on a clock of its own."""

    def __init__(self, frames, monkeypatch, size=(128, 192)):
        self.left, self.size, self.now, self.released = frames, size, 0.0, False
        monkeypatch.setattr(reading.time, "monotonic", lambda: self.now)

    def isOpened(self):
        return self.left > 0

    def get(self, what):
        return {cv2.CAP_PROP_FPS: 30.0}.get(what, 0.0)

    def read(self):
        self.left, self.now = self.left - 1, self.now + 0.1
        there = self.left >= 0
        return there, np.full((*self.size, 3), 40, np.uint8) if there else None

    def release(self):
        self.released = True


def test_a_camera_s_video_lasts_as_long_as_what_was_seen(tmp_path, monkeypatch):
    """Ten frames a second of a camera of thirty: each is written until the next one came."""
    camera = Camera(12, monkeypatch)
    monkeypatch.setattr(reading, "_captured", lambda *place: camera)
    writer = writing.Writer(tmp_path / "a.mp4", writing.codec_for(".mp4"), 30.0, (128, 192))
    with reading.camera(0) as source:
        assert source.live and source.count is None and source.name == "camera 0"
        frames = list(source.frames())
        for frame in frames:
            writer.add(frame.pixels, frame.seconds)
    writer.close()
    assert camera.released and len(frames) == 12
    assert writer.count == round(30 * 1.1) + 1
    monkeypatch.setattr(reading, "_captured", lambda *place: Camera(0, monkeypatch))
    with pytest.raises(InputError, match="camera 3: it cannot be opened"):
        reading.camera(3)


def test_frames_that_change_their_size_or_are_too_large_are_refused(monkeypatch):
    camera = Camera(3, monkeypatch)
    monkeypatch.setattr(reading, "_captured", lambda *place: camera)
    source = reading.camera(0)
    camera.size = (64, 64)
    with pytest.raises(InputError, match="frame 1 has another size"):
        list(reading.ahead(source, 1))
    monkeypatch.setattr(reading, "_MOST_PIXELS", 100)
    with pytest.raises(InputError, match="frames of 64 x 64 pixels"):
        reading.camera(0)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "is no video"),
        (b"ffconcat version 1.0\nfile a.mp4\n", "is no video"),
        (b"", "is no video"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(500), "cannot be opened"),
        (b"RIFF" + bytes(500), "cannot be opened"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_video_is_refused(contents, said, tmp_path):
    """Playlists would have FFmpeg open other files."""
    if contents is not None:
        (tmp_path / "a.mp4").write_bytes(contents)
    with pytest.raises(InputError, match=said):
        reading.opened(tmp_path / "a.mp4")


def test_damaged_clips_give_frames_or_one_line(tmp_path):
    good = Path(_clip(tmp_path / "a.mp4")).read_bytes()
    rng = np.random.default_rng(0)
    for number in range(30):
        data = bytearray(good[: int(rng.integers(100, len(good)))] if number % 2 else good)
        for place in rng.integers(16, len(data), 20):
            data[place] = rng.integers(256)
        (tmp_path / "b.mp4").write_bytes(data)
        try:
            with reading.opened(tmp_path / "b.mp4") as source:
                assert all(frame.pixels.shape == (*source.size, 3) for frame in source.frames(seconds=2))
        except InputError as error:
            assert "b.mp4" in str(error)


def test_without_opencv_the_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "is_there", lambda module: module != "cv2")
    with pytest.raises(InputError, match=r"a video needs cv2.*pip install 'keras-resnet-toolkit\[video\]'"):
        reading.opened(tmp_path / "a.mp4")


@pytest.fixture
def model(made_once):
    """The net's file."""
    return str(made_once("coloured", lambda folder: coloured.saved(folder / "net.keras")) / "net.keras")


@pytest.mark.slow
def test_the_command_writes_videos_and_tables(model, tmp_path, capsys):
    clip = _clip(tmp_path / "clip.mp4")
    command = ["predict", "--model", model, clip]
    assert cli.main([*command, "-o", "out.mp4", "--json", "out.json"]) == 0
    said = capsys.readouterr()
    assert "11 frames of" in said.out and "11 objects" in said.out and "video of 12.5 frames a second" in said.out
    assert "sound of" in said.err and writing.codec_for(".mp4").name in said.out
    frames, rate = _frames("out.mp4")
    assert (len(frames), rate) == (11, RATE)
    plain = np.abs(frames[1] - coloured.picture({_place(1): 0}, SCALE).astype(int)).sum(-1)
    assert plain[:32, 32:64].mean() > 60 and plain[64:96, 64:].mean() < 25  # words stand above the cell, not elsewhere
    found = json.loads(Path("out.json").read_text("utf-8"))
    assert [each["frame"] for each in found] == list(range(11)) and len(found[3]["objects"]) == 1
    assert cli.main([*command, "-o", "out.csv", "--threshold", "1", "--seconds", "0.4"]) == 0
    with open("out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == list("01234") and {row["class"] for row in rows} == {""}
    for more, words in (
        ([], "expected -o out.mp4"),
        (["-o", "out.mp4"], "exists"),
        (["-o", "x.gif"], r"expected a name with the ending .mp4"),
        (["-o", clip, "--overwrite"], "another file than the video"),
        (["-o", "x.mp4", "--masks", "m"], "--masks goes with pictures"),
        (["-o", "x.mp4", "--seconds", "0"], "expected a time above 0"),
        ([clip, "-o", "x.mp4"], "expected one video"),
        (["-o", "x.mp4", "--camera", "0"], "--camera goes without pictures"),
    ):
        assert cli.main([*command, *more]) == 2
        error = capsys.readouterr().err
        assert len(error.strip().splitlines()) == 1 and words in error, error
    Path("bad.mp4").write_bytes(b"#EXTM3U\n")
    assert cli.main(["predict", "--model", model, "bad.mp4", "-o", "x.mp4"]) == 2
    assert "bad.mp4 is no video" in capsys.readouterr().err
    assert cli.main(["predict", "--model", model, "--camera", "9", "-o", "x.mp4"]) == 2
    assert capsys.readouterr().err.startswith("error: camera 9: it cannot be opened")
    assert not Path("x.mp4").exists() and not list(Path().glob(".*partial*"))


@pytest.mark.slow
def test_after_ctrl_c_there_is_a_video_of_what_was_seen(model, tmp_path, monkeypatch, capsys):
    clip, real, count = _clip(tmp_path / "clip.mp4"), answering.drawn, iter(range(100))

    def drawn(each, card):
        if next(count) == 6:
            signal.raise_signal(signal.SIGINT)
        return real(each, card)

    monkeypatch.setattr(answering, "drawn", drawn)
    assert cli.main(["predict", "--model", model, clip, "-o", "out.mp4"]) == 130
    said = capsys.readouterr()
    assert "6 frames of" in said.out and "until Ctrl-C" in said.out and "stopped by Ctrl-C" in said.err
    assert len(_frames("out.mp4")[0]) == 6
