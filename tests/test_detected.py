"""From raw outputs to boxes: prior boxes, coders, decoding and suppression against loops, Keras and TensorFlow."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from keras_resnet import InputError
from keras_resnet.nets.detection import DETECTORS, HEADS, HeadSpec
from keras_resnet.tasks import detection


def test_prior_boxes_are_torchvisions():
    """Constants of its `AnchorGenerator`: whole pixels, ratios in turn, centres from 0, steps of the whole image."""
    head = HEADS["retinanet"]
    first = detection.prior_boxes(head, 8, (100, 100), (800, 800))
    assert first.shape == (90_000, 4) and first.dtype == "float32"
    expected = {0: (-23, -11, 23, 11), 3: (-16, -16, 16, 16), 4: (-20, -20, 20, 20), 6: (-11, -23, 11, 23)}
    assert {n: tuple(first[n]) for n in expected} == expected
    np.testing.assert_array_equal(first[9 * (2 * 100 + 3)], np.add((-23, -11, 23, 11), (24, 16, 24, 16)))
    sides = [detection.prior_boxes(head, s, (1, 1), (800, 800))[3:6, 2] for s in (8, 16, 32, 64, 128)]
    np.testing.assert_array_equal(sides, np.round(np.divide(SIDES, 2)))
    last = detection.prior_boxes(head, 128, (7, 7), (800, 800))
    np.testing.assert_array_equal((last[9 * 8] + last[9 * 8 + 3]) / 2 + 0, (114 * np.ones(4)) + OFFSET)
    points = detection.prior_boxes(HEADS["fcos"], 64, (13, 13), (800, 800))
    np.testing.assert_array_equal(points[14], (61 - 32, 61 - 32, 61 + 32, 61 + 32))


SIDES = ((32, 40, 50), (64, 80, 101), (128, 161, 203), (256, 322, 406), (512, 645, 812))
OFFSET = np.add((-362, -181, 362, 181), (-256, -256, 256, 256)) / 2  # of 512 at ratios 0.5 and 1


def _boxes(rng, count, size=100.0, largest=60.0):
    corner = rng.uniform(0, size, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(2, largest, (count, 2))], axis=1).astype("f")


def test_overlaps_are_those_of_keras():
    rng = np.random.default_rng(0)
    some, others = _boxes(rng, 30), _boxes(rng, 20)
    expected = keras.utils.bounding_boxes.compute_iou(some, others, bounding_box_format="xyxy")
    np.testing.assert_allclose(detection.overlaps(some[:, None], others), expected, atol=1e-6)
    assert np.mean(expected > 0) > 0.1
    point = np.float32([[5, 5, 5, 5]])
    assert detection.overlaps(point, point) == 0


def test_deltas_are_those_of_keras():
    rng = np.random.default_rng(0)
    priors, values = _boxes(rng, 40), rng.normal(0, 0.5, (40, 4)).astype("f")
    how = {"anchor_format": "xyxy", "box_format": "xyxy", "encoded_format": "center_xywh"}
    expected = keras.utils.bounding_boxes.decode_deltas_to_boxes(priors, values, **how)
    np.testing.assert_allclose(detection.decoded(values, priors, "deltas"), expected, rtol=1e-5, atol=1e-4)
    far = detection.decoded(np.float32([[0, 0, 9, 9]]), np.float32([[0, 0, 16, 16]]), "deltas")
    np.testing.assert_allclose(far, [[-492, -492, 508, 508]], rtol=1e-5)  # 1000 / 16 times as large, no more


@pytest.mark.parametrize("coder", ["deltas", "distances"])
def test_what_is_encoded_is_decoded_again(coder):
    rng = np.random.default_rng(0)
    boxes, priors = _boxes(rng, 50), _boxes(rng, 50)
    values = detection.encoded(boxes, priors, coder)
    np.testing.assert_allclose(detection.decoded(values, priors, coder), boxes, atol=1e-4)
    own = np.full((50, 4), 0.0 if coder == "deltas" else 0.5)
    np.testing.assert_allclose(detection.encoded(priors, priors, coder), own, atol=1e-5)


def _usual(boxes, scores, classes, overlap, most):
    """Suppression as a loop over TensorFlow's, class by class."""
    import tensorflow as tf

    kept = []
    for each in np.unique(classes):
        own = np.flatnonzero(classes == each)
        found = tf.image.non_max_suppression(boxes[own][:, [1, 0, 3, 2]], scores[own], len(own), overlap)
        kept.extend(own[found.numpy()])
    return sorted(kept, key=lambda n: (-scores[n], n))[:most]


@pytest.mark.parametrize(
    ("count", "kinds", "most"), [(0, 1, 5), (1, 1, 5), (300, 40, None), (300, 3, 20), (900, 1, None), (900, 2, 50)]
)
@pytest.mark.parametrize("overlap", [0.3, 0.6])
def test_suppression_is_that_of_tensorflow_for_every_class(count, kinds, most, overlap):
    rng = np.random.default_rng(count + kinds)
    boxes, scores = _boxes(rng, count, size=20), rng.random(count).astype("f")
    classes = rng.integers(0, kinds, count)
    received = detection.suppressed(boxes, scores, classes, overlap=overlap, most=most)
    assert list(received) == _usual(boxes, scores, classes, overlap, most)
    if kinds > 1:
        together, apart = (
            detection.suppressed(boxes, scores, each, overlap=overlap) for each in (0 * classes, classes)
        )
        assert 0 < len(together) < len(apart) < count  # classes count


@pytest.mark.parametrize("seed", range(12))
def test_who_stays_overlaps_nobody_and_who_goes_overlaps_somebody_higher(seed):
    """Equal scores, boxes without area and equal boxes among them."""
    rng = np.random.default_rng(seed)
    count, kinds = int(rng.integers(2, 700)), int(rng.integers(1, 4))
    boxes = np.round(_boxes(rng, count))
    boxes[rng.random(count) < 0.05, 2:] = 0
    scores, classes = np.round(rng.random(count), 2).astype("f"), rng.integers(0, kinds, count)
    kept = detection.suppressed(boxes, scores, classes, overlap=0.4)
    assert list(kept) == sorted({*kept}, key=lambda n: (-scores[n], n))  # of equal scores the first one
    meets = (detection.overlaps(boxes[:, None], boxes[kept]) > 0.4) & (classes[:, None] == classes[kept])
    above = (scores[:, None] < scores[kept]) | ((scores[:, None] == scores[kept]) & (np.arange(count)[:, None] > kept))
    assert not (meets & above)[kept].any()
    gone = np.setdiff1d(np.arange(count), kept)
    assert (meets & above)[gone].any(axis=1).all()
    again = detection.suppressed(boxes[kept], scores[kept], classes[kept], overlap=0.4)
    assert list(again) == list(range(len(kept)))
    assert list(detection.suppressed(boxes, scores, classes, overlap=0.4, most=7)) == list(kept[:7])


def test_boxes_that_do_not_meet_all_stay():
    """More than are compared at once; and boxes that are turned round, which meet nobody."""
    corners = 10 * np.stack(np.divmod(np.arange(300), 20), axis=1)
    apart = np.concatenate([corners, corners + 9], axis=1).astype("f")
    scores, alike = np.linspace(1, 0, 300, dtype="f"), np.zeros(300, int)
    assert list(detection.suppressed(apart, scores, alike, overlap=0.5, most=260)) == list(range(260))
    turned = np.float32([[10, 0, 0, 20]] * 2)
    assert list(detection.suppressed(turned, scores[:2], alike[:2], overlap=0.5)) == [0, 1]


SMALL = {"retinanet": dataclasses.replace(HEADS["retinanet"], candidates=40, most=25), "fcos": HEADS["fcos"]}


def _outputs(head, rng, classes=3, count=2):
    grids, found = {8: (8, 9), 16: (4, 5), 32: (2, 3)}, {}
    for stride, grid in grids.items():
        found[f"scores_{stride}"] = rng.normal(-2.5, 1.5, (count, *grid, head.priors * classes)).astype("f")
        low = (0.2, 2) if head.coder == "distances" else (-0.5, 0.5)
        found[f"boxes_{stride}"] = rng.uniform(*low, (count, *grid, head.priors * 4)).astype("f")
        if head.centerness:
            found[f"centerness_{stride}"] = rng.normal(1, 1, (count, *grid, head.priors)).astype("f")
    return found


def _sides(size, ratio, stride):
    side = math.floor(size * stride)
    return side / math.sqrt(ratio), side * math.sqrt(ratio)


def _plain(outputs, head, size, end, image):
    """Decoding in loops over single numbers."""
    found = []
    for stride in (8, 16, 32):
        scores, boxes = outputs[f"scores_{stride}"][image], outputs[f"boxes_{stride}"][image]
        own = []
        for i, j in np.ndindex(*scores.shape[:2]):
            y, x = i * (size[0] // scores.shape[0]), j * (size[1] // scores.shape[1])
            shapes = [_sides(each, ratio, stride) for ratio in head.ratios for each in head.sizes]
            for n, (w, h) in enumerate(shapes):
                w, h = 2 * round(w / 2), 2 * round(h / 2)
                a, b, c, d = (float(each) for each in boxes[i, j, 4 * n : 4 * n + 4])
                if head.coder == "distances":
                    box = [x - a * w, y - b * h, x + c * w, y + d * h]
                else:
                    cx, cy, w, h = x + a * w, y + b * h, w * math.exp(c), h * math.exp(d)
                    box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
                box = [min(max(each, 0), limit) for each, limit in zip(box, (end[1], end[0]) * 2, strict=True)]
                classes = scores.shape[-1] // head.priors
                for label in range(classes):
                    score = 1 / (1 + math.exp(-float(scores[i, j, n * classes + label])))
                    if head.centerness:
                        center = float(outputs[f"centerness_{stride}"][image, i, j, n])
                        score = math.sqrt(score / (1 + math.exp(-center)))
                    if score > head.threshold:
                        own.append((score, label, box))
        found += sorted(own, key=lambda each: -each[0])[: head.candidates]
    scores, labels, boxes = (np.array(each) for each in zip(*found, strict=True))
    kept = _usual(boxes.astype("f"), scores.astype("f"), labels, head.overlap, head.most)
    return boxes[kept], scores[kept], labels[kept]


@pytest.mark.parametrize("name", ["retinanet", "fcos"])
def test_decoding_is_that_of_loops_over_single_numbers(name):
    head, size = SMALL[name], (68, 77)  # steps are 8, 17 and 34 rows, 8, 15 and 25 columns
    outputs, sizes = _outputs(head, np.random.default_rng(3)), [(68, 77), (50, 61)]
    answers = detection.boxes_of(outputs, head, size, sizes=sizes)
    for image, answer in enumerate(answers):
        boxes, scores, labels = _plain(outputs, head, size, sizes[image], image)
        assert len(answer) == len(boxes) > 20 and len({*labels}) == 3
        np.testing.assert_array_equal(answer.classes, labels)
        np.testing.assert_allclose(answer.scores, scores, atol=1e-6)
        np.testing.assert_allclose(answer.boxes, boxes, atol=1e-3)
    assert answers[1].boxes[:, 2].max() == 61 and answers[0].boxes[:, 2].max() > 61


def test_thresholds_of_a_call_take_the_place_of_the_heads():
    outputs = _outputs(HEADS["fcos"], np.random.default_rng(0))
    usual = detection.boxes_of(outputs, "fcos", (64, 72))
    assert all(len(each) > 20 for each in usual)
    high = detection.boxes_of(outputs, "fcos_r50_fpn", (64, 72), threshold=0.7)
    assert all(each.scores.min() > 0.7 and len(each) < len(other) for each, other in zip(high, usual, strict=True))
    for few in detection.boxes_of(outputs, DETECTORS["fcos"], (64, 72), most=3):
        assert len(few) == 3
    all_of_them = detection.boxes_of(
        outputs, "fcos", (64, 72), threshold=0.0, overlap=1.0, most=9_999, candidates=9_999
    )
    assert [len(each) for each in all_of_them] == [3 * (72 + 20 + 6)] * 2
    none = detection.boxes_of(outputs, "fcos", (64, 72), threshold=1.0)
    assert [(each.boxes.shape, each.scores.shape, each.classes.dtype) for each in none] == [((0, 4), (0,), "int64")] * 2


def _changed(how):
    outputs = _outputs(HEADS["fcos"], np.random.default_rng(0))
    how(outputs)
    return outputs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o: o.pop("boxes_16"), "expected scores_8, scores_16, scores_32, boxes_8, .*received"),
        (lambda o: o.update(logits=o["boxes_8"]), "received .*logits"),
        (lambda o: o.clear(), "expected scores, boxes, centerness, received none"),
        (lambda o: o.update(boxes_16=o["boxes_16"][:1]), r"boxes_16 is \(1, 4, 5, 4\): expected \(images, height"),
        (lambda o: o.update(boxes_8=o["boxes_8"][:, 1:]), r"boxes_8 is \(2, 7, 9, 4\)"),
        (lambda o: o.update(scores_32=o["scores_32"][..., :2]), r"scores_32 is .* 1 x classes"),
        (lambda o: o.update({k: v[0] for k, v in o.items()}), r"scores_8 is \(8, 9, 3\): expected"),
    ],
)
def test_outputs_of_another_net_are_refused_by_their_names(change, message):
    with pytest.raises(InputError, match=message):
        detection.boxes_of(_changed(change), "fcos", (64, 72))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"size": (64,)}, r"size=\(64,\): expected \(height, width\)"),
        ({"size": (4, 72)}, r"more places than size=\(4, 72\) has pixels"),
        ({"size": (72, 64)}, r"of an input of about 64 x 72 pixels: received size=\(72, 64\)"),
        ({"size": (64, 104)}, r"of about 64 x 72 pixels"),
        ({"size": 64}, r"size=64: expected \(height, width\)"),
        ({"sizes": (64, 72)}, r"sizes=64: expected \(height, width\)"),
        ({"sizes": [(64, 72), (-3, 72)]}, r"sizes=\(-3, 72\): expected \(height, width\)"),
        ({"sizes": [(64, 72)]}, "one for each of 2 images, received 1"),
        ({"threshold": 1.2}, "threshold=1.2, expected a number from 0 to 1"),
        ({"overlap": -0.1}, "overlap=-0.1, expected a number from 0 to 1"),
        ({"most": 0}, "most=0, expected a whole number from 1"),
        ({"spec": "yolo"}, "unknown detection net 'yolo'"),
    ],
)
def test_numbers_outside_their_range_are_refused(how, message):
    with pytest.raises(InputError, match=message):
        detection.boxes_of(_changed(lambda o: None), **{"spec": "fcos", "size": (64, 72), **how})


def test_an_own_head_is_decoded_as_it_says():
    """One place, one class: the numbers by hand."""
    head = HeadSpec(name="mine", coder="distances", sizes=(1.0,))
    outputs = {
        "scores_4": np.zeros((1, 2, 2, 1), "f") - 9,
        "boxes_4": np.float32([1, 2, 3, 0.5] * 4).reshape(1, 2, 2, 4),
    }
    outputs["scores_4"][0, 1, 1] = 0
    (answer,) = detection.boxes_of(outputs, head, (8, 8))
    assert (
        answer.boxes.tolist() == [[0, 0, 8, 6]] and answer.scores.tolist() == [0.5] and answer.classes.tolist() == [0]
    )
