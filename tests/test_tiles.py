"""Pictures in tiles: what a net says of a large picture does not depend on where it is cut."""

import numpy as np
import pytest

from keras_resnet import cli
from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.evaluation import tiles
from keras_resnet.evaluation.tiling import Tiles
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.signals.fits import GREY


class Pointwise(Runner):
    """A net whose score of a pixel is a function of that pixel, or of its place in the tile."""

    def __init__(self, size, by_place=False):
        self.card = ModelCard(task="segmentation", labels=("a", "b"))
        self.input = Tensor("x", (None, *size, 3), "float32")
        self.outputs = (Tensor("logits", (None, *size, 2), "float32"),)
        self.by_place, self.seen = by_place, []

    def run(self, examples):
        self.seen.append(examples)
        if self.by_place:
            values = np.broadcast_to(np.arange(examples.shape[2], dtype=np.float32), examples.shape[:3])
        else:
            values = examples[..., 0] - 2 * examples[..., 1]
        return {"logits": np.stack([values, -values], -1)}


@pytest.mark.parametrize("overlap", [0, 3, 7])
@pytest.mark.parametrize("size", [(8, 12), (8, 8)])
def test_tiles_give_every_pixel_the_answer_that_the_whole_picture_has(overlap, size):
    picture = np.random.default_rng(0).integers(0, 256, (29, 41, 3), np.uint8)
    found = tiles.scores(Pointwise(size), picture, Tiles(overlap))
    expected = picture[..., 0].astype(np.float32) - 2 * picture[..., 1].astype(np.float32)
    np.testing.assert_allclose(found, np.stack([expected, -expected], -1), rtol=1e-5, atol=1e-3)


def test_a_small_picture_is_grey_at_the_bottom_and_at_the_right():
    net = Pointwise((8, 12))
    assert tiles.scores(net, np.zeros((5, 7, 3), np.uint8), Tiles(2)).shape == (5, 7, 2)
    assert (net.seen[0][0, 5:] == GREY).all() and (net.seen[0][0, :5, 7:] == GREY).all()
    assert (net.seen[0][0, :5, :7] == 0).all()


def test_where_tiles_overlap_the_nearer_one_says_more():
    """A net that answers with the column in the tile: at the seam the mean, nearer the middles more of their own."""
    found = tiles.scores(Pointwise((6, 8), by_place=True), np.zeros((6, 12, 3), np.uint8), Tiles(4))[0, :, 0]
    assert Tiles(4).starts(12, 8) == [0, 4]
    own, other = np.arange(4, 8), np.arange(4)
    left, right = np.array([4, 3, 2, 1]), np.array([1, 2, 3, 4])
    expected = [*range(4), *((own * left + other * right) / 5), *range(4, 8)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_tiles_cover_an_axis_and_share_what_was_asked_for():
    for length in range(1, 90):
        for overlap in (0, 5, 15):
            starts = Tiles(overlap).starts(length, 16)
            covered = np.zeros(max(length, 16), bool)
            for start in starts:
                covered[start : start + 16] = True
            assert covered.all() and starts[0] == 0
            assert all(0 < b - a <= 16 - overlap for a, b in zip(starts, starts[1:], strict=False))
            assert len(starts) == 1 or starts[-1] == length - 16


def test_what_has_no_tiles_is_refused():
    net = Pointwise((8, 12))
    with pytest.raises(InputError, match="overlap of 8 pixels: expected 0 to 7"):
        tiles.check(net, Tiles(8))
    with pytest.raises(InputError, match="the net takes 8 x 12 pixels"):
        tiles.check(net, Tiles(2), 512)
    tiles.check(net, Tiles(2), 12)
    net.card = ModelCard(labels=("a", "b"))
    with pytest.raises(InputError, match="segmentation"):
        tiles.check(net, Tiles(2))


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "--ray", "local", "--model", "m.keras", "x.png", "-o", "t.csv"],
        ["evaluate", "--folds", "3", "--recipe", "camvid", "--data", "x"],
        ["evaluate", "--model", "m.keras"],
    ],
)
def test_an_overlap_without_tiles_is_refused_everywhere(command, capsys):
    assert cli.main([*command, "--overlap", "8"]) == 2
    assert capsys.readouterr().err == "error: --overlap goes with --tile\n"


def test_commands_that_take_no_masks_offer_no_options_of_masks(capsys):
    for command in (["lab", "degradation"], ["explain", "--model", "m.keras", "x.png", "-o", "x.png"]):
        for option in (["--void", "3"], ["--reduce-zero-label"]):
            with pytest.raises(SystemExit) as stopped:
                cli.main([*command, *option])
            assert stopped.value.code == 2
            assert f"error: there is no {option[0]} here" in capsys.readouterr().err
