"""Training of detectors: assigners, losses and figures beside what others compute; nothing here is measured twice."""

import dataclasses
import json
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_resnet import InputError, ModelCard
from keras_resnet.card import ModelCard as Card
from keras_resnet.data.dataset import ArraySplit, Dataset
from keras_resnet.tasks import detection
from keras_resnet.tasks.detection import losses, matches, voc
from keras_resnet.tasks.detection.answers import Boxes
from keras_resnet.tasks.detection.assigning import ASSIGNERS, overlaps
from keras_resnet.tasks.facts import understood

SIZE = (64, 96)
NAMES = ("a", "b", "c")


def _facts(**changes):
    usual = {"names": NAMES, "strides": (8, 16, 32), "size": SIZE}
    return detection.Facts(**{**usual, **changes})


def _random_boxes(rng, *shape, size=SIZE):
    """Boxes of an image, float32, at least three pixels across."""
    high = np.array([size[1], size[0]])
    first = rng.uniform(0, high - 8, (*shape, 2))
    return np.concatenate([first, first + rng.uniform(3, np.maximum(high - first, 3.1))], axis=-1).astype("f")


def _truth(rng, n=3, most=5):
    """Boxes as a split has them: some rows are none, one is a crowd."""
    found = np.full((n, most, 7), -1, "f")
    for image in range(n):
        for place in range(rng.integers(1, most)):
            box = _random_boxes(rng)
            found[image, place] = [*box, rng.integers(len(NAMES)), 0, (box[2:] - box[:2]).prod()]
    found[0, 0, 5] = 1
    return found


def _given(rng, priors, truth, facts):
    """What a net might answer: numbers of boxes near some object, and scores."""
    logits = rng.normal(-2, 1, (len(truth), len(priors.boxes), len(NAMES))).astype("f")
    near = truth[:, rng.integers(0, 2, len(priors.boxes)), :4] + rng.normal(0, 4, (len(priors.boxes), 4))
    values = ops.convert_to_numpy(losses.encoded(near.astype("f"), priors, facts.coder))
    return logits, np.maximum(values, 0.01) if facts.coder == "distances" else values


def _iou(a, b):
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0) * max(high, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def test_overlaps_are_keras_and_the_paper_s():
    rng = np.random.default_rng(0)
    one, other = _random_boxes(rng, 40), _random_boxes(rng, 40)
    iou, giou = map(ops.convert_to_numpy, overlaps(one[:, None], other))
    known = keras.utils.bounding_boxes.compute_iou(one, other, bounding_box_format="xyxy")
    np.testing.assert_allclose(iou, ops.convert_to_numpy(known), atol=1e-5)
    for a, b, found in zip(one, other, np.diagonal(giou), strict=True):
        around = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        union -= _iou(a, b) * union / (1 + _iou(a, b))
        assert found == pytest.approx(_iou(a, b) - (around - union) / around, abs=1e-4)


def test_the_focal_loss_is_keras():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(0, 3, (50, 4)).astype("f"), (rng.random((50, 4)) > 0.7).astype("f")
    known = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=0.25, gamma=2.0, from_logits=True, reduction=None
    )(target[..., None], logits[..., None])
    np.testing.assert_allclose(losses.focal(logits, target), known, rtol=1e-4, atol=1e-7)


def test_the_quality_focal_loss_is_the_paper_s():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(0, 3, 50), rng.random(50)
    p = 1 / (1 + np.exp(-logits))
    known = -(np.abs(target - p) ** 2) * ((1 - target) * np.log(1 - p) + target * np.log(p))
    found = losses.quality_focal(logits.astype("f"), target.astype("f"))
    np.testing.assert_allclose(found, known, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("coder", ["deltas", "distances"])
def test_coders_of_the_loss_are_those_of_the_answers(coder):
    rng = np.random.default_rng(1)
    priors = losses.laid(_facts(coder=coder), SIZE)
    boxes = _random_boxes(rng, 1, len(priors.boxes))
    values = ops.convert_to_numpy(losses.encoded(boxes, priors, coder))
    np.testing.assert_allclose(values[0], detection.encoded(boxes[0], priors.boxes, coder), rtol=1e-4, atol=1e-4)
    found = ops.convert_to_numpy(losses.decoded(values, priors, coder))
    np.testing.assert_allclose(found[0], detection.decoded(values[0], priors.boxes, coder), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found, boxes, atol=1e-2)


def _assigned(name, rng, truth, facts, candidates=4):
    priors = losses.laid(facts, SIZE)
    logits, values = _given(rng, priors, truth, facts)
    boxes = ops.convert_to_numpy(losses.decoded(values, priors, facts.coder))
    scores = 1 / (1 + np.exp(-logits))
    found = ASSIGNERS[name](losses.objects_of(truth), priors, scores, boxes, candidates)
    as_arrays = {
        field.name: None if (value := getattr(found, field.name)) is None else ops.convert_to_numpy(value)
        for field in dataclasses.fields(found)
    }
    return priors, scores, boxes, as_arrays


def _usual(rows):
    return [(place, row) for place, row in enumerate(rows) if row[2] > row[0] and row[5] == 0]


def _covers(row, x, y):
    return row[0] < x < row[2] and row[1] < y < row[3]


def _known_atss(rows, priors, candidates=4):
    """By the paper, one object and one prior box after the other."""
    known = np.full(len(priors.boxes), -1)
    best = np.full(len(priors.boxes), -1.0)
    for place, row in _usual(rows):
        middle = (row[:2] + row[2:4]) / 2
        near, first = [], 0
        for count in priors.maps:
            apart = np.linalg.norm(priors.centers[first : first + count] - middle, axis=1)
            limit = np.sort(apart)[min(candidates, count) - 1]
            near += [first + n for n in range(count) if apart[n] <= limit + 1e-4]
            first += count
        half = 4 * priors.strides
        ious = {n: _iou([*(priors.centers[n] - half[n]), *(priors.centers[n] + half[n])], row[:4]) for n in near}
        limit = np.mean(list(ious.values())) + np.std(list(ious.values()), ddof=1)
        for n, iou in ious.items():
            if iou >= limit and _covers(row, *priors.centers[n]) and iou > best[n]:
                known[n], best[n] = place, iou
    return known


def _known_overlap(rows, priors):
    known = np.full(len(priors.boxes), -1)
    usual = _usual(rows)
    if not usual:
        return known
    ious = np.array([[_iou(box, row[:4]) for box in priors.boxes] for _, row in usual])
    best, place = ious.max(axis=0), ious.argmax(axis=0)
    forced = ((ious >= ious.max(axis=1, keepdims=True) - 1e-7) & (ious.max(axis=1, keepdims=True) > 0)).any(axis=0)
    for n in np.flatnonzero((best >= 0.5) | forced):
        known[n] = usual[place[n]][0]
    return known


def _known_center(rows, priors):
    known, smallest = np.full(len(priors.boxes), -1), np.full(len(priors.boxes), np.inf)
    ends = np.cumsum(priors.maps)
    for place, row in _usual(rows):
        for n, ((x, y), stride) in enumerate(zip(priors.centers, priors.strides, strict=True)):
            middle = (row[:2] + row[2:4]) / 2
            farthest = max(x - row[0], y - row[1], row[2] - x, row[3] - y)
            low = 0 if n < ends[0] else 4 * stride
            high = np.inf if n >= ends[-2] else 8 * stride
            area = (row[2] - row[0]) * (row[3] - row[1])
            close = max(abs(x - middle[0]), abs(y - middle[1])) < 1.5 * stride
            if _covers(row, x, y) and close and low < farthest < high and area < smallest[n]:
                known[n], smallest[n] = place, area
    return known


@pytest.mark.parametrize(
    ("name", "known", "changes"),
    [
        ("atss", _known_atss, {}),
        ("overlap", _known_overlap, {"coder": "deltas", "sizes": (3.0, 5.0), "ratios": (0.5, 1.0, 2.0), "offset": 0.0}),
        ("center", _known_center, {"offset": 0.0}),
    ],
)
def test_assigners_follow_their_papers(name, known, changes):
    rng = np.random.default_rng(3)
    truth, facts = _truth(rng, n=6), _facts(**changes)
    priors, _, _, found = _assigned(name, rng, truth, facts)
    for rows, place, positive in zip(truth, found["object"], found["positive"], strict=True):
        np.testing.assert_array_equal(np.where(positive, place, -1), known(rows, priors))
    assert found["positive"].any()


def test_aligned_prior_boxes_are_those_of_the_best_score_and_overlap():
    rng = np.random.default_rng(4)
    truth, facts = _truth(rng, n=6), _facts()
    priors, scores, boxes, found = _assigned("aligned", rng, truth, facts)
    for n, rows in enumerate(truth):
        chosen: dict[int, list[tuple[float, int]]] = {}
        best: dict[int, float] = {}
        for place, row in _usual(rows):
            inside = [p for p in range(len(priors.boxes)) if _covers(row, *priors.centers[p])]
            metric = {p: scores[n, p, int(row[4])] * _iou(boxes[n, p], row[:4]) ** 6 for p in inside}
            top = sorted(metric, key=lambda p: -metric[p])[:4]
            reached, most = max(_iou(boxes[n, p], row[:4]) for p in top), max(metric[p] for p in top)
            best[place] = most
            for p in top:
                chosen.setdefault(p, []).append((_iou(boxes[n, p], row[:4]), place))
                if metric[p] > 1e-6 and max(chosen[p])[1] == place and found["object"][n, p] == place:
                    assert found["quality"][n, p] == pytest.approx(metric[p] / most * reached, rel=1e-3, abs=1e-4)
        assert set(np.flatnonzero(found["positive"][n])) == set(chosen)
        for p, those in chosen.items():
            assert found["object"][n, p] == max(those)[1]


def test_an_object_that_no_answer_meets_is_learned_by_its_innermost_prior_boxes():
    truth = np.full((1, 1, 7), -1, "f")
    truth[0, 0] = [30, 20, 62, 44, 1, 0, 768]
    priors = losses.laid(_facts(), SIZE)
    far = np.tile(np.float32([0, 0, 1, 1]), (1, len(priors.boxes), 1))
    scores = np.full((1, len(priors.boxes), 3), 0.01, "f")
    found = ASSIGNERS["aligned"](losses.objects_of(truth), priors, scores, far, 4)
    places = np.flatnonzero(ops.convert_to_numpy(found.positive)[0])
    assert len(places) == 4
    assert np.abs(priors.centers[places] - [46, 32]).max() < 17


def test_what_lies_in_a_crowd_counts_nothing():
    truth = np.full((1, 2, 7), -1, "f")
    truth[0, 0] = [0, 0, 48, 64, 0, 1, 3072]
    facts, rng = _facts(), np.random.default_rng(0)
    loss = losses.DetectionLoss(facts, detection.Settings(), SIZE)
    logits = rng.normal(0, 1, (1, len(loss.priors.boxes), 3)).astype("f")
    given = np.concatenate([logits, np.ones((*logits.shape[:2], 4), "f")], axis=-1)
    before = float(ops.sum(loss(truth, given)))
    inside = (loss.priors.centers[:, 0] < 48) & (loss.priors.centers[:, 1] < 64)
    given[0, inside, :3] += 5
    assert float(ops.sum(loss(truth, given))) == pytest.approx(before, rel=1e-6)
    given[0, ~inside, :3] += 5  # the control
    assert float(ops.sum(loss(truth, given))) > 2 * before


def test_an_image_without_objects_teaches_that_there_are_none():
    for detector in ("realtime", "retinanet", "fcos"):
        settings = detection.Settings(detector=detector)
        facts = _facts(centerness=detector == "fcos", coder="deltas" if detector == "retinanet" else "distances")
        loss = losses.DetectionLoss(facts, settings, SIZE)
        given = np.zeros((2, len(loss.priors.boxes), 7 + facts.centerness), "f")
        truth = np.full((2, 3, 7), -1, "f")
        low = given.copy()
        low[..., :3] = -5
        assert np.isfinite(float(loss(truth, given)))
        assert float(loss(truth, low)) < 0.01 * float(loss(truth, given))


def test_a_batch_is_normalised_as_a_whole():
    rng = np.random.default_rng(5)
    truth, facts = _truth(rng, n=4), _facts()
    loss = losses.DetectionLoss(facts, detection.Settings(), SIZE)
    logits, values = _given(rng, loss.priors, truth, facts)
    given = np.concatenate([logits, values], axis=-1).astype("f")
    each = {name: ops.convert_to_numpy(part) for name, part in loss.parts(truth, given).items()}
    lone = [loss.parts(truth[n : n + 1], given[n : n + 1]) for n in range(4)]
    quality = [float(ops.sum(ASSIGNERS["aligned"](*_arguments(loss, truth, given, n)).quality)) for n in range(4)]
    for name, values_of in each.items():  # sums over the batch divided by the quality of the batch
        known = sum(float(part[name][0]) * max(q, 1.0) for part, q in zip(lone, quality, strict=True)) / sum(quality)
        assert values_of.mean() == pytest.approx(known, rel=1e-3)


def _arguments(loss, truth, given, n):
    count = len(loss.facts.names)
    one = given[n : n + 1]
    boxes = losses.decoded(one[..., count : count + 4], loss.priors, loss.facts.coder)
    return losses.objects_of(truth[n : n + 1]), loss.priors, ops.sigmoid(one[..., :count]), boxes, 9


# Figures.


def _scene(seed=0, images=30, classes=4):
    """Objects and answers of some images: crowds, difficult ones, empty images, a class that nothing has."""
    rng = np.random.default_rng(seed)
    true, found = [], []
    for image in range(images):
        count = 0 if image % 7 == 0 else int(rng.integers(1, 9))
        rows = np.full((count, 7), 0.0)
        rows[:, :4] = _random_boxes(rng, count, size=(300, 400)) if count else np.zeros((0, 4))
        rows[:, 4] = rng.integers(0, classes - 1, count)
        rows[:, 5] = rng.choice([0, 0, 0, 0, 1], count)
        rows[:, 6] = (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1]) * rng.uniform(0.4, 1, count)
        near = np.repeat(rows[:, :4], 2, axis=0)
        near = near + rng.normal(0, 6, near.shape)
        boxes = np.concatenate([near, _random_boxes(rng, 4, size=(300, 400))])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        labels = np.concatenate([np.repeat(rows[:, 4], 2), rng.integers(0, classes, 4)]).astype(int)
        scores = np.round(rng.random(len(boxes)), 3).astype("f")
        order = np.argsort(-scores, kind="stable")
        true.append(rows)
        found.append(Boxes(boxes=boxes[order].astype("f"), scores=scores[order], classes=labels[order]))
    return found, true, [(300, 400)] * images, classes


def _pycocotools(found, true, sizes, classes):
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = matches._truth(true, sizes, classes)
        data.createIndex()
        results = [
            [n + 1, x1, y1, x2 - x1, y2 - y1, score, label + 1]
            for n, each in enumerate(found)
            for (x1, y1, x2, y2), score, label in zip(
                each.boxes.astype(float), each.scores.astype(float), each.classes, strict=True
            )
        ]
        evaluation = COCOeval(data, data.loadRes(np.array(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def test_coco_s_figures_are_pycocotools():
    scene = _scene()
    known, ours = _pycocotools(*scene), matches.matched(*scene)
    figures = [-1.0 if value is None else value for value in ours.figures.values()]
    np.testing.assert_allclose(figures, known.stats[: len(figures)], atol=1e-12)
    assert 0.05 < figures[0] < 0.95
    assert ours.of_class(3) == (None, None)  # nothing has it


def test_a_sample_of_images_has_the_figures_of_these_images():
    found, true, sizes, classes = _scene(1)
    ours = matches.matched(found, true, sizes, classes)
    every, *_ = ours.drawn(np.arange(len(found))[None])
    np.testing.assert_allclose(every, [ours.figures["AP"], ours.figures["AP50"]], atol=1e-12)
    places = np.random.default_rng(0).integers(0, len(found), len(found))
    drawn = _pycocotools([found[n] for n in places], [true[n] for n in places], sizes, classes)
    np.testing.assert_allclose(
        ours.drawn(places[None])[0], drawn.stats[:2], atol=2e-3
    )  # equal scores may come in another order
    assert abs(every[0] - drawn.stats[0]) > 0.005


def _voc_by_hand(found, true, number):
    """The devkit's VOCevaldet.m, line by line: boxes as it has them, 1-based and inclusive."""
    own = [{"box": r[:4] + [1, 1, 0, 0], "hard": r[5] != 0, "taken": False, "n": n}
           for n, rows in enumerate(true) for r in rows if r[4] == number]  # fmt: skip
    answers = sorted(
        ((float(s), n, np.float64(b) + [1, 1, 0, 0]) for n, f in enumerate(found)
         for b, s, c in zip(f.boxes, f.scores, f.classes, strict=True) if c == number),
        key=lambda a: -a[0],
    )  # fmt: skip
    tp, fp = [], []
    for _, n, b in answers:
        best, match = -np.inf, None
        for each in (o for o in own if o["n"] == n):
            g = each["box"]
            wide, high = min(b[2], g[2]) - max(b[0], g[0]) + 1, min(b[3], g[3]) - max(b[1], g[1]) + 1
            if wide > 0 and high > 0:
                union = (b[2] - b[0] + 1) * (b[3] - b[1] + 1) + (g[2] - g[0] + 1) * (g[3] - g[1] + 1) - wide * high
                if wide * high / union > best:
                    best, match = wide * high / union, each
        right = wrong = 0
        if best >= 0.5:
            if not match["hard"]:
                right, wrong = int(not match["taken"]), int(match["taken"])
                match["taken"] = True
        else:
            wrong = 1
        tp.append(right)
        fp.append(wrong)
    tp, fp = np.cumsum(tp), np.cumsum(fp)
    recall, precision = tp / sum(not o["hard"] for o in own), tp / np.maximum(fp + tp, 1e-9)
    of_07 = np.mean([precision[recall >= t - 1e-12].max(initial=0) for t in np.arange(0, 1.01, 0.1)])
    rec, pre = np.r_[0, recall, 1], np.r_[0, precision, 0]
    for place in range(len(pre) - 2, -1, -1):
        pre[place] = max(pre[place], pre[place + 1])
    steps = np.flatnonzero(rec[1:] != rec[:-1]) + 1
    return of_07, ((rec[steps] - rec[steps - 1]) * pre[steps]).sum()


def test_voc_s_figures_are_its_devkit_s():
    found, true, *_ = _scene(2)
    for number in range(3):
        recall, precision = voc.curve(found, true, number)
        known = _voc_by_hand(found, true, number)
        ours = [voc.average_precision(recall, precision, year=year) for year in (2007, 2010)]
        np.testing.assert_allclose(ours, known, atol=1e-12)
    assert voc.curve(found, true, 3) is None


def _card(**changes):
    facts = {"names": list(NAMES), "strides": [8], "sizes": [1.0], "ratios": [1.0]}
    return Card(task="detection", facts=facts, labels=NAMES, **changes)


def _perfect(split, size):
    """Raw outputs that say what is true, one place for every object, at stride 8."""
    rows, columns = size[0] // 8, size[1] // 8
    truth = split["boxes"]
    scores = np.full((len(truth), rows, columns, 3), -20, "f")
    boxes = np.zeros((len(truth), rows, columns, 4), "f")
    for n, objects in enumerate(truth):
        for x1, y1, x2, y2, label, *_ in objects[objects[:, 2] > objects[:, 0]]:
            i, j = int((y1 + y2) / 16), int((x1 + x2) / 16)
            x, y = 8 * j + 4, 8 * i + 4
            boxes[n, i, j] = np.array([x - x1, y - y1, x2 - x, y2 - y]) / 8
            scores[n, i, j, int(label)] = 9
    return {"scores_8": scores, "boxes_8": boxes}


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_answers_are_scored_and_given_in_pixels_of_the_whole_picture(fit):
    """A picture of 300 x 200 pixels for a net of 96 x 128: sizes of objects are those of the picture."""
    from keras_resnet.data.truth import moved
    from keras_resnet.signals import plain
    from keras_resnet.signals.fits import kept
    from keras_resnet.signals.placement import Placement

    size, whole = (96, 128), (300, 200)
    there = np.full((1, 3, 7), -1, "f")
    there[0, 0] = [20, 110, 100, 180, 0, 0, 5600]
    there[0, 1] = [120, 130, 180, 160, 2, 0, 1800]
    card = _card(fit=fit)
    _, matrix = plain.placed(*whole, size, kept(fit, 1.0))
    split = {"boxes": np.asarray(moved({"boxes": there}, Placement(matrix[None], size))["boxes"])}
    split["frame"] = np.float32([whole])
    outputs = _perfect(split, size)
    (answer,) = detection.decode(outputs, card, names=["one.jpg"])
    assert answer.size == size
    placed = detection.within(answer, *whole, card)
    order = np.argsort(placed.classes)
    np.testing.assert_allclose(placed.boxes[order], there[0, :2, :4], atol=0.01)
    assert sorted(placed.names) == ["a", "c"]
    said = placed.to_json()
    assert (said["height"], said["width"]) == whole
    scorer = detection.scorer(card)
    scorer.update(outputs, split)
    found = scorer.result()
    assert (found.ap, found.ap50) == pytest.approx((1.0, 1.0))
    assert (found.objects, found.count) == (2, 1)
    assert found.ap_medium == pytest.approx(1.0)
    assert found.ap_small is found.ap_large is None  # by pixels of the picture; those of the net's input are small
    json.dumps(found.to_json())


def test_an_answer_in_another_place_lowers_the_figures():
    truth = np.full((4, 2, 7), -1, "f")
    truth[:, 0] = [8, 8, 56, 40, 0, 0, 1536]
    truth[:, 1] = [60, 10, 90, 60, 1, 0, 1500]
    split = {"boxes": truth, "frame": np.float32([SIZE] * 4)}
    outputs = _perfect(split, SIZE)
    outputs["boxes_8"][0] *= 0.5
    outputs["scores_8"][1, ..., 1] = -20
    scorer = detection.scorer(_card(fit="stretch"))
    scorer.update({name: each[:2] for name, each in outputs.items()}, {name: each[:2] for name, each in split.items()})
    scorer.update({name: each[2:] for name, each in outputs.items()}, {name: each[2:] for name, each in split.items()})
    found = scorer.result()
    assert found.count == 4
    assert found.ap50 < 0.8
    assert found.ap50_interval[0] < found.ap50 <= found.ap50_interval[1]
    assert found.classes["b"].found == 0.5
    assert scorer.drawn(np.arange(4)) == pytest.approx(found.ap)


def test_a_part_without_objects_has_no_figure():
    truth = np.full((2, 1, 7), -1, "f")
    scorer = detection.scorer(_card(fit="stretch"))
    scorer.update(_perfect({"boxes": truth}, SIZE), {"boxes": truth, "frame": np.float32([SIZE] * 2)})
    found = scorer.result()
    assert (found.objects, found.ap_interval, found.recall) == (0, None, None)
    assert list(found.tables())


@pytest.mark.parametrize(
    "facts",
    [
        {"names": "ab"},
        {"names": ["a"], "ids": [1, 2]},
        {"strides": [16, 8]},
        {"strides": []},
        {"sizes": [float("inf")]},
        {"threshold": 2},
        {"most": 10**9},
        {"coder": "corners"},
        {"form": "all"},
        {"offset": True},
    ],
)
def test_facts_that_cannot_be_are_refused_in_one_line(facts):
    card = ModelCard.loads(json.dumps({"task": "detection", "facts": facts}), "m.keras")
    with pytest.raises(InputError, match="the card's facts are not those of task detection"):
        understood(card, "m.keras")


def test_names_that_settings_know_without_keras_are_those_of_the_tables():
    from keras_resnet import localizer
    from keras_resnet.nets.detection import CODERS, DETECTORS
    from keras_resnet.nets.pyramids import PYRAMIDS
    from keras_resnet.tasks.detection import boxes, schemes, settings
    from keras_resnet.tasks.localization.settings import PLACES

    assert (
        set(settings.DETECTOR_NAMES) == set(schemes.SCHEMES) == {n for n, row in DETECTORS.items() if not row.backbone}
    )
    assert set(settings.NECK_NAMES) == {"", *PYRAMIDS}
    assert set(settings.ASSIGNERS) == {"", *ASSIGNERS}
    assert set(CODERS) == set(boxes.CODERS)
    assert PLACES == sys.modules[localizer.__module__].PLACES


def test_settings_that_are_not_asked_are_refused():
    for settings in ({"detector": "fcos"}, {"detector": "retinanet"}, {"assigner": "center"}):
        (said,) = detection.Settings(candidates=5, **settings).problems()
        assert said.startswith("candidates goes with assigner=aligned or atss, not ")
    assert not list(detection.Settings(candidates=5).problems())
    assert not list(detection.Settings(detector="fcos", assigner="atss", candidates=5).problems())


def test_an_input_that_the_stride_does_not_divide_is_refused_with_the_next_one():
    from keras_resnet.builder import build

    split = ArraySplit({"image": np.zeros((1, 48, 72, 3), "uint8"), "boxes": np.full((1, 1, 7), -1, "f")})
    dataset = Dataset("some", NAMES, (48, 72, 3), split, split, split, truth="boxes")
    settings = detection.Settings()
    facts = detection.facts(dataset, settings)
    backbone = build("resnet10t", include_top=False, weights=None, input_shape=(48, 72, 3))
    with pytest.raises(InputError, match="the next ones are 64 x 96"):
        detection.attach(backbone, facts, settings, training=True)


@pytest.mark.parametrize("detector", ["realtime", "fcos", "retinanet"])
def test_the_net_that_learns_says_what_the_saved_one_says(detector):
    from keras_resnet.builder import build

    settings = detection.Settings(detector=detector, neck="light", width=16)
    split = ArraySplit({"image": np.zeros((1, 64, 96, 3), "uint8"), "boxes": np.full((1, 1, 7), -1, "f")})
    facts = detection.facts(Dataset("s", NAMES, (64, 96, 3), split, split, split, truth="boxes"), settings)
    backbone = build("resnet10t", include_top=False, weights=None, input_shape=(64, 96, 3))
    learns, saved = (detection.attach(backbone, facts, settings, training=each) for each in (True, False))
    values = {weight.path: weight for weight in learns.weights}
    for weight in saved.weights:
        weight.assign(values[weight.path])
    x = np.random.default_rng(0).normal(size=(2, 64, 96, 3)).astype("f")
    dense = ops.convert_to_numpy(learns(x)["dense"])
    raw = {name: ops.convert_to_numpy(value) for name, value in saved(x).items()}
    assert {output.name for output in detection.outputs(facts)} == set(raw)
    per = len(facts.sizes) * len(facts.ratios)
    first = raw["scores_8"].shape[1] * raw["scores_8"].shape[2] * per
    np.testing.assert_allclose(dense[:, :first, :3], raw["scores_8"].reshape(2, first, 3), atol=1e-6)
    np.testing.assert_allclose(dense[:, :first, 3:7], raw["boxes_8"].reshape(2, first, 4), atol=1e-6)


@pytest.mark.proof
def test_a_step_is_the_same_on_two_devices_and_on_jax(tmp_path):
    """The control: where every device counts its own objects, those of one half of a batch make another net."""
    import os
    import subprocess
    import sys
    from pathlib import Path

    root = Path(__file__).resolve().parents[1]
    found = {}
    for name, backend in (
        ("none", "tensorflow"),
        ("mirrored", "tensorflow"),
        ("mirrored-alone", "tensorflow"),
        ("none", "jax"),
    ):
        output = tmp_path / f"{name}-{backend}.npz"
        done = subprocess.run(
            [sys.executable, str(root / "tests" / "box_steps.py"), str(output), name],
            env=os.environ | {"PYTHONPATH": str(root), "KERAS_BACKEND": backend},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        with np.load(output) as file:
            found[name if backend == "tensorflow" else backend] = dict(file)
    one = found["none"]
    scale = max(np.abs(one[key]).max() for key in ("w0", "w1"))
    apart = {name: max(np.abs(each[key] - one[key]).max() for key in one) / scale for name, each in found.items()}
    assert apart["mirrored"] <= 1e-6 and apart["jax"] <= 1e-6 and apart["mirrored-alone"] > 1e-3, apart
