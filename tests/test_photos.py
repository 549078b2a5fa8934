"""Photographs as people have them: other formats than JPEG, lying on their side, beside files that are no pictures."""

import io
import json
import logging

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet import InputError, cli, load_dataset
from keras_resnet.data import batches, prepare
from keras_resnet.data.sources import SOURCES
from keras_resnet.signals import decoding
from keras_resnet.signals import image as images
from keras_resnet.signals.table import SIGNALS

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8).repeat(4, 0).repeat(4, 1)
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _file(form, orientation=0, pixels=PIXELS, **how):
    buffer, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
        how["exif"] = exif
    Image.fromarray(pixels).save(buffer, form, **how)
    return buffer.getvalue()


def _as_people_see_it(pixels, orientation):
    """By Pillow's transpositions; what each number of EXIF means is in its specification (CIPA DC-008, 4.6.4)."""
    image = Image.fromarray(pixels)
    return np.asarray(image.transpose(_TRANSPOSED[orientation]) if orientation in _TRANSPOSED else image)


@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_m8_photographs_stand_upright(orientation):
    contents = _file("JPEG", orientation)
    lying = tf.io.decode_jpeg(contents).numpy()
    upright = _as_people_see_it(lying, orientation)
    np.testing.assert_array_equal(decoding.decode(contents, 3), upright)
    np.testing.assert_array_equal(decoding.decode(contents, 3, upright=False), lying)
    assert decoding.is_as_it_is(contents) == (orientation in (0, 1, 9))


@pytest.mark.parametrize("orientation", [0, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_parts_are_those_of_the_upright_picture(orientation, form):
    contents = _file(form, 0 if form == "PNG" else orientation)
    whole = decoding.decode(contents, 3).numpy()
    box = (8, 16, 24, 32)
    found, part = decoding.decode_part(contents, 3, lambda height, width: tf.constant(box))
    assert tuple(part.numpy()) == box
    # libjpeg smooths colours across the edges of what it decodes.
    apart = np.abs(found.numpy().astype(int) - whole[8:32, 16:48].astype(int))
    assert np.median(apart) == 0
    assert np.mean(apart) < (6 if form == "JPEG" else 1e-9)


def test_jpeg_files_without_exif_cost_no_call_of_python(monkeypatch):
    asked = []
    monkeypatch.setattr(decoding, "_orientation", lambda contents: asked.append(1) or np.int64(1))
    contents = _file("JPEG")
    np.testing.assert_array_equal(decoding.decode(contents, 3), tf.io.decode_image(contents, 3))
    assert not asked
    decoding.decode(_file("JPEG", 6), 3)
    assert asked


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_m7_what_pillow_reads_is_read(form):
    how = {"lossless": True} if form == "WEBP" else {"quality": 100, "subsampling": "4:4:4"} if form == "AVIF" else {}
    found = decoding.decode(_file(form, **how), 3).numpy()
    assert found.shape == PIXELS.shape
    if form in ("PNG", "WEBP", "BMP", "TIFF"):
        np.testing.assert_array_equal(found, PIXELS)
    assert decoding.decode(_file(form), 1).shape == (96, 160, 1)


def test_the_first_picture_of_an_animation():
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert decoding.decode(buffer.getvalue(), 3).numpy()[0, 0].tolist() == [255, 0, 0]


def test_heic_by_its_extra(monkeypatch, tmp_path):
    pi_heif = pytest.importorskip("pi_heif", reason="no pi-heif here: pip install 'keras-resnet-toolkit[heic]'")
    assert pi_heif.libheif_info()
    monkeypatch.setitem(__import__("sys").modules, "pi_heif", None)
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    with pytest.raises(InputError, match=r"keras-resnet-toolkit\[heic\]"):
        images.load(tmp_path / "x.heic", (8, 8, 3))


@pytest.mark.parametrize("contents", [b"", b"no picture", b"\xff\xd8\xff", b"RIFF1234WEBPVP8 ", _file("JPEG", 6)[:60]])
def test_what_is_no_picture_is_not_readable(contents, tmp_path):
    assert not decoding.is_readable(contents, 3)
    (tmp_path / "x.png").write_bytes(contents)
    with pytest.raises(InputError, match="cannot be decoded as an image: expected PNG, JPEG, WebP"):
        images.load(tmp_path / "x.png", (8, 8, 3))


# ---- folders


@pytest.fixture
def album(tmp_path):
    """Two classes in seven formats, and what lies beside photographs."""
    for name, value in (("dark", 40), ("light", 200)):
        folder = tmp_path / "album" / name
        (folder / "deep").mkdir(parents=True)
        pixels = (PIXELS // 8 + value).astype(np.uint8)
        for form, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("BMP", "bmp"), ("TIFF", "tif")):
            (folder / f"a.{suffix}").write_bytes(_file(form, pixels=pixels))
        (folder / "deep" / "b.JPEG").write_bytes(_file("JPEG", 6, pixels))
        (folder / "c.gif").write_bytes(_file("GIF", pixels=pixels))
        (folder / "._a.jpg").write_bytes(b"macOS")
        (folder / "notes.txt").write_text("mine")
    for empty in ("__MACOSX/dark", "empty", ".git"):
        (tmp_path / "album" / empty).mkdir(parents=True)
    (tmp_path / "album" / "__MACOSX" / "dark" / "x.jpg").write_bytes(b"macOS")
    (tmp_path / "album" / "light" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return tmp_path / "album"


def test_m17_and_m16_what_is_left_out_is_counted_and_named(album, caplog):
    with caplog.at_level(logging.WARNING):
        data = load_dataset(album, image_shape=(16, 16, 3))
    assert data.classes == ("dark", "light")
    assert sum(len(part) for part in (data.train, data.validation, data.test)) == 14
    assert "2 files are no pictures (2 .txt)" in caplog.text
    assert "1 pictures cannot be decoded (light/broken.jpg)" in caplog.text
    assert "1 folders hold no pictures (empty)" in caplog.text
    assert "macOS" not in caplog.text
    assert "__MACOSX" not in caplog.text


def test_m18_one_class_is_refused(album):
    with pytest.raises(InputError, match="dark has one class, deep|one class, dark"):
        load_dataset(album / "dark", image_shape=(8, 8, 3))


@pytest.mark.slow
def test_upright_in_batches_in_fetch_in_records_and_in_predictions(album, tmp_path):
    """The same pixels everywhere, and those of a tool that knows nothing of EXIF after `prepare`."""
    data = load_dataset(album, image_shape=(40, 24, 3))
    turned = data.train.joined(data.validation).joined(data.test)
    paths = [str(path) for path in turned.contents.paths]
    place = next(i for i, path in enumerate(paths) if path.endswith("deep/b.JPEG"))
    expected = images.load(paths[place], (40, 24, 3))
    np.testing.assert_array_equal(turned.fetch([place])["image"][0], expected)
    several = np.concatenate([batch["image"].numpy() for batch in batches(turned, 5)])
    np.testing.assert_array_equal(several[place], expected)
    lying = images.decoded([turned.contents.read([place])[0]], (40, 24, 3), upright=False)[0][0].numpy()
    assert np.abs(lying.astype(int) - expected.astype(int)).mean() > 1
    prepare(data, tmp_path / "records")
    records = load_dataset(tmp_path / "records", image_shape=(40, 24, 3))
    assert not records.train.upright
    everything = records.train.joined(records.validation).joined(records.test)
    encoded = everything.contents.read(np.arange(len(everything)))
    assert all(decoding.is_as_it_is(each) for each in encoded)
    apart = np.abs(everything.fetch(np.arange(14))["image"].astype(int) - expected.astype(int)).mean(axis=(1, 2, 3))
    assert apart.min() < 2  # JPEG of quality 95 once more


def test_sets_with_published_figures_keep_their_pixels():
    own = ["a folder of class folders", "a table of files", "a folder of pictures and boxes", "memory:NAME"]
    # Boxes are turned with pictures, also those of published sets.
    assert [name for name, row in SOURCES.items() if row.upright] == [*own, "tfds-boxes:NAME"]


def test_every_suffix_has_a_format():
    from PIL import features

    known = Image.registered_extensions()
    missing = [suffix for suffix in SIGNALS["image"].suffixes if suffix not in known]
    assert set(missing) <= {".heic", ".heif", *([] if features.check("avif") else [".avif"])}


@pytest.mark.slow
def test_prediction_of_a_photograph_on_its_side(album, capsys):
    for name in ("a.jpg", "deep/b.JPEG"):
        arguments = ["predict", "--model", "resnet8", "--weights", "digits", str(album / "dark" / name)]
        assert cli.main([*arguments, "--json", "p.json"]) == 0
        with open("p.json") as file:
            assert json.load(file)[0]["image"].endswith(name)
