"""What a model takes of a microcontroller, against TFLite Micro's own figures and against the file."""

import dataclasses
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

import keras_resnet
from export import memory
from export.commands import fit
from export.model.source import load_source
from export.targets import tflm
from export.targets.bundle import Request
from export.targets.table import get_target
from keras_resnet.errors import InputError
from keras_resnet.parsing import Parser
from keras_resnet.runtime.opening import open_runner

MLPERF = Path(__file__).resolve().parents[3] / "shared" / "data" / "mlperf-tiny"


def _overlap(a, b):
    return a.first <= b.last and b.first <= a.last


@pytest.mark.parametrize("seed", range(20))
def test_buffers_that_live_together_do_not_share_memory(seed):
    draw = random.Random(seed)
    starts = [draw.randint(0, 9) for _ in range(30)]
    buffers = [memory.Buffer(draw.randint(1, 5000), start, start + draw.randint(0, 4)) for start in starts]
    total, offsets = memory.plan(buffers)
    for (a, x), (b, y) in itertools.combinations(zip(buffers, offsets, strict=True), 2):
        if _overlap(a, b):
            assert x + a.size <= y or y + b.size <= x
    assert total >= max(sum(b.size for b in buffers if b.first <= t <= b.last) for t in range(14))
    assert total <= sum(-(-b.size // 16) * 16 for b in buffers)


@pytest.mark.parametrize("seed", range(20))
def test_the_best_plan_is_no_larger_and_as_sound(seed):
    draw = random.Random(seed)
    starts = [draw.randint(0, 20) for _ in range(60)]
    buffers = [memory.Buffer(draw.randint(1, 5) * 1000, start, start + draw.randint(0, 5)) for start in starts]
    total, offsets = memory.best_plan(buffers)
    assert total <= memory.plan(buffers)[0]
    for (a, x), (b, y) in itertools.combinations(zip(buffers, offsets, strict=True), 2):
        if _overlap(a, b):
            assert x + a.size <= y or y + b.size <= x


@pytest.mark.slow
def test_a_plan_in_a_file_is_read_back_and_changes_no_output(everything, tmp_path, monkeypatch):
    file = tmp_path / "m.tflite"
    content = (everything / "resnet8-int8.tflite").read_bytes()
    file.write_bytes(content)
    before = memory.of_file(file)
    memory.write_plan(file)
    assert file.read_bytes() == content  # no plan is better than the planner's own here
    # One that is worse by itself: the file must say so, and engines must not mind.
    offsets = lambda buffers, scratch: (1, [16 * i * 4096 for i in range(len(buffers))])  # noqa: E731
    monkeypatch.setattr(memory.files, "own_plan", offsets)
    memory.write_plan(file)
    after = memory.of_file(file)
    assert after.activations > before.activations and after.structures == before.structures
    pixels = np.random.default_rng(0).integers(-128, 128, (4, 32, 32, 3), np.int8)
    own, other = (open_runner(path) for path in (everything / "resnet8-int8.tflite", file))
    assert np.array_equal(own.run_raw(pixels)[1]["probabilities"], other.run_raw(pixels)[1]["probabilities"])


def test_a_plan_by_hand():
    # Two maps and their sum: the third must find the place of nothing that lives.
    lives = ((64, 0, 2), (64, 1, 2), (64, 2, 3), (16, 3, 3))
    assert memory.plan([memory.Buffer(*each) for each in lives])[0] == 192


def test_scratch_memory_finds_its_place_around_a_plan():
    maps = [memory.Buffer(64, 0, 1), memory.Buffer(64, 1, 2), memory.Buffer(64, 2, 3)]
    scratch = memory.Buffer(32, 1, 1)
    assert memory.plan([*maps, scratch]) == (160, [0, 64, 0, 128])
    assert memory.plan([*maps, scratch], fixed=[0, 64, 0]) == (160, [0, 64, 0, 128])
    assert memory.plan([*maps, scratch], fixed=[96, 0, 64]) == (160, [96, 0, 64, 64])  # a gap of the plan


@pytest.mark.skipif(not MLPERF.exists(), reason="no ../shared/data: MLPerf Tiny's file is there")
def test_mlperf_tinys_file_takes_what_tflite_micro_says():
    found = memory.of_file(MLPERF / "resnet8_int8.tflite")
    # Printed by the tflite-micro wheel of 2026-10 for this file: head 49,152, all 55,984.
    assert found.flash == 98_496
    assert found.activations == 49_152
    assert found.arena == pytest.approx(55_984, rel=0.01)


@pytest.mark.slow
def test_the_file_takes_what_was_foretold(source, everything):
    file = memory.of_file(everything / "resnet8-int8.tflite")
    model = memory.of_model(source.model, raw=tflm._has_front(_request(source)))
    assert model.activations == file.activations
    assert model.arena == pytest.approx(file.arena, rel=0.02)
    assert model.flash == pytest.approx(file.flash, rel=0.02)
    assert file.exact and not model.exact


@pytest.mark.parametrize(("name", "head"), [("resnet20_cifar", 67_648), ("resnetv2_20_cifar", 65_536)])
def test_activations_of_deeper_nets(name, head):
    # Printed by the tflite-micro wheel of 2026-10 for the int8 files of these nets with raw input: the planner's own,
    # and with the plan in the file.
    model = keras_resnet.build(name)
    assert memory.of_model(model, planned=False).activations == head
    assert memory.of_model(model).activations == 49_152


@pytest.mark.slow
def test_the_largest_variant_for_a_board():
    name, found = memory.largest(98_496, 56 * 1024, (32, 32, 3), 10)
    assert name == "resnet8"
    assert found.flash <= 98_496 and found.arena <= 56 * 1024
    bigger, more = memory.largest(1 << 20, 128 << 10, (32, 32, 3), 10)
    assert more.flash > found.flash and bigger != name
    assert memory.largest(10_000, 1 << 20, (32, 32, 3), 10) is None
    assert memory.largest(1 << 20, 30_000, (32, 32, 3), 10) is None


def test_an_open_size_cannot_be_foretold():
    model = keras_resnet.build("resnet8", include_top=False, pooling="avg", input_shape=(None, None, 3))
    with pytest.raises(InputError, match="fixed input size"):
        memory.of_model(model)


def _request(source, **options):
    target = get_target("tflm")
    return Request(source=source, target=target, made=target.artifact(), options=options)


@pytest.mark.slow
@pytest.mark.parametrize(("option", "size"), [("flash", 50_000), ("ram", 40_000)])
def test_a_board_that_is_too_small_is_refused_before_converting(source, option, size):
    with pytest.raises(InputError, match=f"--{option} {size:,}"):
        tflm.refuse(_request(source, **{option: size}))
    tflm.refuse(_request(source, **{option: 2 * size}))


def test_the_next_line_learns_ones_own_photos_at_that_size(monkeypatch, capsys):
    parser = Parser()
    fit.add(parser)
    monkeypatch.setattr(memory, "fitting", lambda *args: iter([("resnet8", memory.Fit(1, 2, 3, 4))]))
    assert fit.work(parser.parse_args(["--flash", "1M", "--image-size", "48"])) == 0
    assert capsys.readouterr().out.endswith("next: keras-resnet train --data PHOTOS --model resnet8 --image-size 48\n")


def test_the_refusal_names_what_would_fit():
    twenty = dataclasses.replace(load_source("resnet8", weights="digits"), model=keras_resnet.build("resnet20_cifar"))
    with pytest.raises(InputError, match="largest variant that fits at this image size is resnet8"):
        tflm.refuse(_request(twenty, flash=98_496))


def test_ones_own_photos_are_learned_by_the_recipe_for_them():
    source = load_source("resnet8", weights="digits")
    photos = dataclasses.replace(source, card=dataclasses.replace(source.card, dataset="my photos"))
    wanted = "keras-resnet train {} --model resnet8"
    for each, data in ((source, "--recipe fast"), (photos, "--data 'my photos' --image-size 32")):
        assert tflm._largest(_request(each), 98_496, None)[1] == wanted.format(data)


def test_a_folder_that_is_no_tree(source, tmp_path):
    with pytest.raises(InputError, match="expected a tree of TFLite Micro"):
        tflm.refuse(_request(source, tflm_tree=tmp_path))
