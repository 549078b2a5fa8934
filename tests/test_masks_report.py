"""The page of a segmentation: outlines beside SciPy's distances, confusions beside scikit-learn, the worst images."""

import base64
import io
import json
import math
import re

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image
from sklearn.metrics import confusion_matrix
from test_masks import folder

import keras_resnet
from keras_resnet import ModelCard, gallery
from keras_resnet.evaluation import assessment, pages
from keras_resnet.runtime.interface import Runner, Tensor
from keras_resnet.tasks.segmentation import boundaries, reports, scores

NAMES = ["sky", "<b>road</b>", "$x_1$"]
CARD = ModelCard(task="segmentation", facts={"names": NAMES})


def _outline(mask, number):
    """Pixels of a class beside another one that is not void, by a loop over pixels and neighbours."""
    found = np.zeros(mask.shape, bool)
    for place in np.argwhere(mask == number):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                near = place.copy()
                near[axis] += step
                if 0 <= near[axis] < mask.shape[axis]:
                    found[tuple(place)] |= mask[tuple(near)] not in (number, 255)
    return found


def _slow(answer, truth, number):
    """F by distances of all pixels."""
    answer = np.where(truth == 255, 255, answer)
    reach = max(1, math.ceil(0.0075 * math.sqrt(sum(side**2 for side in truth.shape))))
    true, given = _outline(truth, number), _outline(answer, number)
    if not true.any() and not given.any():
        return np.nan
    if not true.any() or not given.any():
        return 0.0
    precision = (scipy.ndimage.distance_transform_edt(~true)[given] <= reach).mean()
    recall = (scipy.ndimage.distance_transform_edt(~given)[true] <= reach).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("shape", [(24, 30), (150, 220), (9, 12, 10)])
def test_outlines_agree_as_scipys_distances_say(shape):
    """Blobs of three classes, in planes and in volumes, some of them void."""
    rng = np.random.default_rng(len(shape))
    smooth = [scipy.ndimage.gaussian_filter(rng.normal(size=(*shape, 3)), (*[2] * len(shape), 0)) for _ in range(2)]
    truth = smooth[0].argmax(-1).astype(np.uint8)
    answer = (0.8 * smooth[0] + 0.4 * smooth[1]).argmax(-1)
    truth[:3], answer[5:7] = 255, 1
    found = boundaries.boundary_f(answer, truth, 4)
    expected = [_slow(answer, truth, number) for number in range(3)]
    np.testing.assert_allclose(found, [*expected, np.nan], rtol=1e-12)
    assert 0 < min(expected) < max(expected) < 1


def test_outlines_one_pixel_apart_agree_and_two_do_not():
    truth = np.zeros((20, 20), np.uint8)
    truth[5:15, 5:15] = 1
    for shift, expected in ((0, 1.0), (1, 1.0), (2, 0.0)):
        answer = np.zeros_like(truth)
        answer[5 - shift : 15 + shift, 5 - shift : 15 + shift] = 1
        found = boundaries.boundary_f(answer, truth, 2)
        assert found[1] == pytest.approx(expected, abs=0.21 if shift == 1 else 0)  # corners are farther away
    whole = np.zeros((8, 8), np.uint8)
    assert np.isnan(boundaries.boundary_f(whole, whole, 2)).all()
    assert boundaries.boundary_f(np.eye(8, dtype=int), whole, 2)[0] == 0
    assert boundaries.tolerance((352, 480)) == 5 and boundaries.tolerance((3, 3)) == 1


def test_means_are_over_the_images_that_have_the_class_and_then_over_the_classes():
    by_class, mean = boundaries.over_images(np.array([[1.0, np.nan, np.nan], [0.5, 0.25, np.nan]]))
    np.testing.assert_array_equal(by_class, [0.75, 0.25, np.nan])
    assert mean == 0.5 and boundaries.over_images(np.full((2, 1), np.nan))[1] is None


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (12, 8, 9)).astype(np.uint8)
    masks[0, :2], masks[2] = 255, 255
    logits = rng.normal(size=(12, 8, 9, 3)) + 3 * np.eye(3)[np.minimum(masks, 2)] * rng.uniform(0, 1, (12, 1, 1, 1))
    return masks, logits.astype("f")


def test_a_reporter_counts_what_scikit_learn_counts_and_keeps_the_worst(made):
    masks, logits = made
    reporter, scorer = reports.reporter(CARD), scores.scorer(CARD)
    for part in (slice(0, 5), slice(5, 12)):
        for each in (reporter, scorer):
            each.update({"logits": logits[part]}, {"mask": masks[part]})
    found, valid = reporter.summary(scorer.result()), masks != 255
    np.testing.assert_array_equal(found.confusion, confusion_matrix(masks[valid], logits.argmax(-1)[valid]))
    means = [
        scores.mean_iou(scores.counts(a[None], m[None], 3)[0]) for a, m in zip(logits.argmax(-1), masks, strict=True)
    ]
    order = [n for n in np.argsort(means, kind="stable") if n != 2]  # of the third one all is void
    (title, worst), *_ = reporter.remarkable().items()
    assert title == "The worst images" and [index for index, _ in worst] == order[:8]
    assert worst[0][1].startswith(f"mean IoU {means[order[0]]:.1%}; ") and " called " in worst[0][1]
    shown = reporter.beside(order[0])
    assert list(shown) == ["truth", "answer"] and shown["truth"].shape == (8, 9, 3)
    legend = dict(reporter.legend())
    assert list(legend)[:3] == NAMES and ("void" in legend) == (0 in order[:8])
    assert json.loads(json.dumps(found.to_json()))["mean_boundary_f"] == found.boundary
    each = [boundaries.boundary_f(a, m, 3) for a, m in zip(logits.argmax(-1), masks, strict=True)]
    assert found.boundary == pytest.approx(np.nanmean(np.nanmean(each, axis=0)))


def test_intervals_of_classes_are_those_of_drawn_examples(made):
    masks, logits = made
    scorer = scores.scorer(CARD)
    scorer.update({"logits": logits}, {"mask": masks})
    found, counts = scorer.result(), scores.counts(logits.argmax(-1), masks, 3)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(1000):
        both, given, true = counts[rng.integers(0, 12, 12)].sum(axis=0)
        drawn.append(both / (given + true - both))
    for number, name in enumerate(NAMES):
        expected = np.percentile(np.array(drawn)[:, number], [2.5, 97.5])
        np.testing.assert_allclose(found.iou_intervals[name], expected, rtol=1e-12)
    assert found.miou_interval == pytest.approx(np.percentile(np.mean(drawn, axis=1), [2.5, 97.5]))
    alone = scores.scorer(CARD)
    alone.update({"logits": logits[:1]}, {"mask": masks[:1]})
    assert set(alone.result().iou_intervals.values()) == {None}


def test_pictures_of_masks_keep_their_colours():
    pixels = np.random.default_rng(0).integers(0, 256, (90, 3), np.uint8)[np.arange(40 * 50).reshape(40, 50) % 90]
    tag = gallery.image_tag(pixels, "<a>", side=320, exact=True)
    assert 'alt="&lt;a&gt;"' in tag
    packed = base64.b64decode(re.search(r"base64,([^\"]+)", tag)[1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(packed)).convert("RGB")), pixels)
    small = base64.b64decode(re.search(r"base64,([^\"]+)", gallery.image_tag(pixels, "", side=20, exact=True))[1])
    assert Image.open(io.BytesIO(small)).size == (20, 16)


def test_classes_of_one_name_stay_apart():
    assert scores.class_names(("a", "a", "b"), 4) == ["a", "a (1)", "b", "3"]


class Red(Runner):
    """A net that reads the class off the red of a pixel, a little wrong."""

    def __init__(self, size):
        self.card = ModelCard(task="segmentation", labels=("left", "middle", "right"), facts={"names": NAMES})
        self.input = Tensor("x", (None, *size, 3), "float32")
        self.outputs = (Tensor("logits", (None, *size, 3), "float32"),)

    def run(self, examples):
        apart = np.abs(examples[..., :1] - np.array([0.0, 120.0, 200.0]))
        moved = np.roll(apart, 1, axis=2)
        return {"logits": -moved.astype("f")}


def test_a_page_shows_the_worst_images_beside_their_truth(tmp_path):
    root = folder(tmp_path / "scenes", count=6)
    test = keras_resnet.load_dataset(root, image_shape=(30, 44, 3)).test
    found = assessment.assess([assessment.Member("red", Red((30, 44)), test)], reported=True)
    assert found.figures()["boundary F"] and found.boundary is not None
    pages.write_html(found, "red", "command", tmp_path / "page.html", examples=test)
    text = (tmp_path / "page.html").read_text()
    assert (
        text.count('class="strip"') == 6
        and text.count('alt="truth of ') == text.count('alt="answer of ') == 6
        and "<b>" not in text
    )
    assert "&lt;b&gt;road&lt;/b&gt;" in text and "5.png" in text and "The most frequent confusions" in text
    plain = assessment.assess([assessment.Member("red", Red((30, 44)), test)])
    assert plain.reporter is None and "boundary F" not in plain.figures()
    assert plain.to_json()["miou"] == found.to_json()["miou"]
    pages.write_html(plain, "red", "command", tmp_path / "plain.html", examples=test)
    assert 'class="strip"' not in (tmp_path / "plain.html").read_text()
