"""Every augmentation gives the pixels that it gave before the sources were divided by signal, task and truth."""

import json

import pixels
import pytest
from tiers import in_proof

KEPT = json.loads(pixels.KEPT.read_text())
EVERY_DAY = "folder resized-crop-rand7"  # the other rows of RandAugment take as long again


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pixels")
    pixels.write_folder(root)
    return root


def test_every_augmentation_is_compared():
    from keras_resnet.data.augment import AUGMENTATIONS

    assert {name.split()[1] for name in pixels.CASES} == set(AUGMENTATIONS)
    assert set(KEPT["cases"]) == set(pixels.CASES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [in_proof(name) if "rand" in name and name != EVERY_DAY else name for name in pixels.CASES]
)
def test_pixels_are_those_of_before(name, folder):
    old, new = dict(KEPT["cases"][name]), pixels.found(name, folder)
    if old.pop("machine", KEPT["machine"]) == pixels.make.machine():
        assert new == old
    assert new["dtype"] == old["dtype"]
    assert new["means"] == pytest.approx(old["means"], abs=1.0)
