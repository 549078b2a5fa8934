"""Exact sizes of every variant, and the refusal of nets that are none."""

import pytest

import keras_resnet
from keras_resnet import InputError, ResNetSpec
from keras_resnet.specs import SPECS, get_spec

# name: (trainable, with moving statistics, multiply-adds). Sources: tables 1 and 6 of arXiv:1512.03385 as counted
# exactly (torchvision's num_params and _ops for 18 and 34), keras.applications for 50, 101, 152, mlcommons/tiny.
COUNTS = {
    "resnet18": (11_689_512, 11_699_112, 1_814_073_344),
    "resnet34": (21_797_672, 21_814_696, 3_663_761_408),
    "resnet50": (25_583_592, 25_636_712, 3_857_973_248),
    "resnet101": (44_601_832, 44_707_176, 7_570_194_432),
    "resnet152": (60_268_520, 60_419_944, 11_282_415_616),
    "resnet20_cifar": (269_722, 271_098, 40_551_040),
    "resnet32_cifar": (464_154, 466_426, 68_862_592),
    "resnet44_cifar": (658_586, 661_754, 97_174_144),
    "resnet56_cifar": (853_018, 857_082, 125_485_696),
    "resnet110_cifar": (1_727_962, 1_736_058, 252_887_680),
    "resnet1202_cifar": (19_421_274, 19_510_906, 2_829_238_912),
    "resnet8": (78_186, 78_666, 12_501_632),
}
SLOW = {"resnet101", "resnet152", "resnet1202_cifar"}


def test_no_row_is_untested():
    assert set(COUNTS) == set(SPECS) == set(keras_resnet.list_models())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in COUNTS]
)
def test_exact_counts(name):
    info = keras_resnet.model_info(name)
    assert (info["trainable"], info["parameters"], info["multiply_adds"]) == COUNTS[name]


def test_info_names_the_paper_and_the_input():
    info = keras_resnet.model_info("resnet8")
    assert "2106.07597" in info["paper"]
    assert info["input_shape"] == (32, 32, 3)
    assert info["classes"] == 10


def test_rows_are_named_as_they_are_found():
    assert all(SPECS[name].name == name for name in SPECS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"block": "botleneck"}, "block='botleneck'"),
        ({"stem": "vgg"}, "stem='vgg'"),
        ({"convention": "caffe"}, "convention='caffe'"),
        ({"shortcut": "D"}, "shortcut='D'"),
        ({"depths": ()}, "depths=()"),
        ({"depths": (3, 0)}, "depths=(3, 0)"),
        ({"depths": (3, 1.5)}, "depths=(3, 1.5)"),
        ({"depths": 3}, "depths=3"),
        ({"depths": (1,) * 9}, "1 to 8 stages"),
        ({"width": 0}, "width=0"),
        ({"classes": True}, "classes=True"),
        ({"name": "ResNet"}, "lower case"),
        ({"name": "a/b"}, "without '/'"),
        ({"block": "bottleneck", "shortcut": "A"}, "shortcut='A' goes with block='basic' only"),
    ],
)
def test_illegal_specs_are_refused_where_they_are_made(change, said):
    with pytest.raises(InputError) as error:
        ResNetSpec(**{"name": "x", "block": "basic", "depths": (1, 1), **change})
    assert said in str(error.value)


def test_unknown_model_names_the_nearest():
    with pytest.raises(InputError, match="did you mean resnet50"):
        get_spec("resnet_50")


def test_something_else_than_a_name_is_refused():
    with pytest.raises(InputError, match="received int"):
        get_spec(50)
