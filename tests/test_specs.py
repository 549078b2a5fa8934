"""Exact sizes of every variant, and the refusal of nets that are none."""

import pytest

import keras_resnet
from keras_resnet import InputError, ResNetSpec
from keras_resnet.nets.specs import SPECS, get_spec

# name: (trainable, with moving statistics, multiply-adds).
COUNTS = {
    # Table 1 of arXiv:1512.03385, counted exactly, with its plain nets and options; torchvision's num_params and _ops.
    "plain18": (11_515_688, 11_523_496, 1_794_805_760),
    "plain34": (21_623_848, 21_639_080, 3_644_493_824),
    "resnet18": (11_689_512, 11_699_112, 1_814_073_344),
    "resnet18_a": (11_515_688, 11_523_496, 1_794_805_760),
    "resnet18_c": (12_043_816, 12_055_464, 1_878_298_624),
    "resnet34": (21_797_672, 21_814_696, 3_663_761_408),
    "resnet34_a": (21_623_848, 21_639_080, 3_644_493_824),
    "resnet34_c": (22_716_840, 22_739_624, 3_830_747_136),
    "resnet50_v1_5": (25_557_032, 25_610_152, 4_089_184_256),
    "resnet101_v1_5": (44_549_160, 44_654_504, 7_801_405_440),
    "resnet152_v1_5": (60_192_808, 60_344_232, 11_513_626_624),
    # keras.applications.
    "resnet50": (25_583_592, 25_636_712, 3_857_973_248),
    "resnet50v2": (25_568_360, 25_613_800, 3_482_255_360),
    "resnet101": (44_601_832, 44_707_176, 7_570_194_432),
    "resnet101v2": (44_577_896, 44_675_560, 7_194_476_544),
    "resnet152": (60_268_520, 60_419_944, 11_282_415_616),
    "resnet152v2": (60_236_904, 60_380_648, 10_906_697_728),
    # arXiv:1603.05027; timm's resnetv2_*; 10.2M for 1001.
    "resnetv2_18": (11_687_720, 11_695_528, 1_814_073_344),
    "resnetv2_34": (21_795_880, 21_811_112, 3_663_761_408),
    "resnetv2_50": (25_549_352, 25_594_792, 4_089_184_256),
    "resnetv2_101": (44_541_480, 44_639_144, 7_801_405_440),
    "resnetv2_20_cifar": (269_722, 271_098, 40_551_040),  # the layers of resnet20_cifar: 0.27M
    "resnetv2_110_cifar": (1_727_962, 1_736_058, 252_887_680),
    "resnetv2_152": (60_185_128, 60_328_872, 11_513_626_624),
    "resnetv2_164_cifar": (1_703_258, 1_727_482, 247_646_720),
    "resnetv2_200": (64_666_152, 64_834_472, 15_007_481_856),
    "resnetv2_1001_cifar": (10_327_706, 10_476_922, 1_490_995_712),
    # torchvision: 25,028,904 parameters and 4.230 GMAC, and so on.
    "resnext50_32x4d": (25_028_904, 25_097_128, 4_230_479_872),
    "resnext101_32x8d": (88_791_336, 88_994_216, 16_414_015_488),
    "resnext101_64x4d": (83_455_272, 83_658_152, 15_460_270_080),
    "wide_resnet50_2": (68_883_240, 68_951_464, 11_398_021_120),
    "wide_resnet101_2": (126_886_696, 127_024_552, 22_753_050_624),
    # arXiv:1605.07146: 2.7M and 36.5M.
    "wrn_16_4_cifar": (2_748_890, 2_752_506, 392_612_352),
    "wrn_28_10_cifar": (36_479_194, 36_497_146, 5_243_328_768),
    # Trainable as timm 1.0 counts them (its models, built with random weights, 2026-11-21).
    "resnet10t": (5_435_488, 5_441_360, 1_097_259_008),
    "resnet14t": (10_081_632, 10_101_072, 1_676_822_528),
    "resnet18d": (11_708_744, 11_718_472, 2_053_713_920),
    "resnet26": (15_995_176, 16_026_024, 2_342_256_640),
    "resnet26t": (16_011_872, 16_042_832, 2_550_286_336),
    "resnet34d": (21_816_904, 21_834_056, 3_903_401_984),
    "resnet50d": (25_576_264, 25_629_512, 4_328_824_832),
    "resnet101d": (44_568_392, 44_673_864, 8_041_046_016),
    "resnet152d": (60_212_040, 60_363_592, 11_753_267_200),
    "resnet200d": (64_693_064, 64_869_192, 15_247_122_432),
    "resnetrs50": (35_691_912, 35_745_288, 4_454_490_112),
    "resnetrs101": (63_618_696, 63_724_296, 8_175_624_192),
    "resnetrs152": (86_621_576, 86_773_256, 11_895_185_408),
    "resnetrs200": (93_209_992, 93_386_248, 15_391_137_792),
    "seresnet50": (28_088_024, 28_141_144, 4_091_699_200),
    "seresnet152d": (66_841_080, 66_992_632, 11_759_845_376),
    # All three as hooks on timm 1.0.31's models count them, 2026-11-26; a blur or a mean has no weights.
    "resnetblur18": (11_689_512, 11_699_112, 2_334_298_112),
    "resnetblur50": (25_557_032, 25_610_152, 5_129_633_792),
    "resnetblur50d": (25_576_264, 25_629_512, 5_369_274_368),
    "resnetblur101d": (44_568_392, 44_673_864, 9_081_495_552),
    "resnetaa34d": (21_816_904, 21_834_056, 4_423_626_752),
    "resnetaa50": (25_557_032, 25_610_152, 5_129_633_792),
    "resnetaa50d": (25_576_264, 25_629_512, 5_369_274_368),
    "resnetaa101d": (44_568_392, 44_673_864, 9_081_495_552),
    "seresnetaa50d": (28_107_256, 28_160_504, 5_371_789_312),
    "seresnextaa101d_32x8d": (93_588_280, 93_791_288, 17_178_624_000),
    # The same on 2026-11-27.
    "resnext101_32x4d": (44_177_704, 44_315_560, 7_969_996_800),
    "resnext101_32x16d": (194_026_792, 194_359_720, 36_163_289_088),
    "resnext101_32x32d": (468_530_472, 469_123_496, 87_106_781_184),
    "resnet26d": (16_014_408, 16_045_384, 2_581_897_216),
    "resnet50c": (25_576_264, 25_629_512, 4_328_824_832),
    "resnet101c": (44_568_392, 44_673_864, 8_041_046_016),
    "resnet152c": (60_212_040, 60_363_592, 11_753_267_200),
    "resnet50s": (25_680_808, 25_734_312, 5_444_337_664),
    "resnet101s": (44_672_936, 44_778_664, 9_156_558_848),
    "resnet152s": (60_316_584, 60_468_392, 12_868_780_032),
    "resnet200": (64_673_832, 64_849_832, 15_007_481_856),
    "seresnet18": (11_779_624, 11_789_224, 1_814_161_408),
    "seresnet34": (21_960_416, 21_977_440, 3_663_920_128),
    "seresnet101": (49_326_872, 49_432_216, 7_806_148_608),
    "seresnet152": (66_821_848, 66_973_272, 11_520_204_800),
    "seresnet200d": (71_855_096, 72_031_224, 15_254_224_896),
    "seresnet269d": (113_672_760, 113_925_688, 20_281_032_704),
    "resnetrs270": (129_861_448, 130_104_520, 20_643_618_816),
    "resnetrs350": (163_956_168, 164_268_360, 26_332_012_544),
    "resnetrs420": (191_891_656, 192_262_216, 31_363_342_336),
    "resnet50t": (25_573_728, 25_626_960, 4_297_213_952),
    "seresnet50t": (28_104_720, 28_157_952, 4_299_728_896),
    "resnext50d_32x4d": (25_048_136, 25_116_488, 4_470_120_448),
    "seresnext26d_32x4d": (16_809_512, 16_848_168, 2_711_740_416),
    "seresnext26t_32x4d": (16_806_976, 16_845_616, 2_680_129_536),
    "seresnext50_32x4d": (27_559_896, 27_628_120, 4_232_994_816),
    "seresnext101_32x4d": (48_955_416, 49_093_272, 7_974_739_968),
    "seresnext101_32x8d": (93_569_048, 93_771_928, 16_418_758_656),
    "seresnext101_64x4d": (88_232_984, 88_435_864, 15_465_013_248),
    "seresnext101d_32x8d": (93_588_280, 93_791_288, 16_658_399_232),
    "seresnextaa201d_32x8d": (149_394_904, 149_751_768, 34_276_270_080),
    # Table 6 of arXiv:1512.03385, counted exactly; a plain net has the parameters of option A.
    "plain20_cifar": (269_722, 271_098, 40_551_040),
    "plain32_cifar": (464_154, 466_426, 68_862_592),
    "plain44_cifar": (658_586, 661_754, 97_174_144),
    "plain56_cifar": (853_018, 857_082, 125_485_696),
    "plain110_cifar": (1_727_962, 1_736_058, 252_887_680),
    "resnet20_cifar": (269_722, 271_098, 40_551_040),
    "resnet20_cifar_b": (272_474, 274_042, 40_813_184),
    "resnet32_cifar": (464_154, 466_426, 68_862_592),
    "resnet32_cifar_b": (466_906, 469_370, 69_124_736),
    "resnet44_cifar": (658_586, 661_754, 97_174_144),
    "resnet44_cifar_b": (661_338, 664_698, 97_436_288),
    "resnet56_cifar": (853_018, 857_082, 125_485_696),
    "resnet56_cifar_b": (855_770, 860_026, 125_747_840),
    "resnet110_cifar": (1_727_962, 1_736_058, 252_887_680),
    "resnet110_cifar_b": (1_730_714, 1_739_002, 253_149_824),
    "resnet1202_cifar": (19_421_274, 19_510_906, 2_829_238_912),
    # mlcommons/tiny.
    "resnet8": (78_186, 78_666, 12_501_632),
    "resnet8_26": (204_526, 205_306, 32_562_192),
}


def test_no_row_is_untested():
    assert set(COUNTS) == set(SPECS) == set(keras_resnet.list_models())


# A hundred layers and more; others of their kind stay.
DEEPEST = {
    *("resnet101", "resnet101v2", "resnet101_v1_5", "resnet152v2", "resnetv2_101", "resnet101d", "wide_resnet101_2"),
    *("resnext101_32x8d", "resnetv2_110_cifar", "resnetv2_164_cifar", "resnet110_cifar", "resnet110_cifar_b"),
    *("plain110_cifar", "resnet56_cifar_b", "plain56_cifar", "resnet44_cifar_b", "plain44_cifar", "plain32_cifar"),
    *("resnet152", "resnet152_v1_5", "resnetv2_152", "resnet152d", "seresnet152d", "resnetrs101", "resnetrs152"),
    *("resnet1202_cifar", "resnetv2_1001_cifar", "resnetrs200", "resnetv2_200", "resnet200d", "resnext101_64x4d"),
    *("resnetblur101d", "resnetaa101d", "seresnextaa101d_32x8d", "resnetblur50d", "resnetaa34d", "seresnetaa50d"),
    *("resnext101_32x4d", "resnext101_32x16d", "resnext101_32x32d", "resnet50c", "resnet101c", "resnet152c"),
    *("resnet50s", "resnet101s", "resnet152s", "resnet200", "seresnet34", "seresnet101", "seresnet152"),
    *("seresnet200d", "seresnet269d", "resnetrs270", "resnetrs350", "resnetrs420", "resnet50t", "seresnet50t"),
    *("resnext50d_32x4d", "seresnext26d_32x4d", "seresnext26t_32x4d", "seresnext50_32x4d"),
    *("seresnext101_32x4d", "seresnext101_32x8d", "seresnext101_64x4d", "seresnext101d_32x8d"),
    *("seresnextaa201d_32x8d"),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.proof if n in DEEPEST else ()) for n in COUNTS])
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
        ({"shortcut": "E"}, "shortcut='E'"),
        ({"antialiasing": "sharp"}, "antialiasing='sharp'"),
        ({"antialiasing": "blur", "preactivation": True}, "antialiasing='blur' goes without preactivation"),
        ({"antialiasing": "mean", "stem": "rs"}, "antialiasing='mean' goes without preactivation"),
        ({"depths": ()}, "depths=()"),
        ({"depths": (3, 0)}, "depths=(3, 0)"),
        ({"depths": (3, 1.5)}, "depths=(3, 1.5)"),
        ({"depths": 3}, "depths=3"),
        ({"depths": (1,) * 9}, "1 to 8 stages"),
        ({"width": 0}, "width=0"),
        ({"classes": True}, "classes=True"),
        ({"name": "ResNet"}, "lower case"),
        ({"name": "a/b"}, "without '/'"),
        ({"cardinality": 32}, "a basic block has none"),
        ({"se_ratio": 2}, "se_ratio=2"),
        ({"convention": "keras_v2"}, "goes with preactivation=True only"),
        ({"preactivation": True, "stem": "deep"}, "preactivation goes with the stems"),
        ({"preactivation": True, "shortcut": "none"}, "preactivation goes with the stems"),
        ({"block": "bottleneck", "shortcut": "A"}, "shortcut='A' goes with block='basic' only"),
    ],
)
def test_illegal_specs_are_refused_where_they_are_made(change, said):
    with pytest.raises(InputError) as error:
        ResNetSpec(**{"name": "x", "block": "basic", "depths": (1, 1), **change})
    assert said in str(error.value)


def test_a_blur_needs_two_positions_where_it_does_not_stride():
    spec = get_spec("resnetblur18")
    assert spec.smallest_size() == spec.smallest_size((False, False, True)) == 32
    assert get_spec("resnet18").smallest_size((False, False, True)) == 16
    with pytest.raises(InputError, match="divides height and width by 16, so each must be at least 32, received 24"):
        keras_resnet.build("resnetblur18", output_stride=16, input_shape=(24, 32, 3))


def test_unknown_model_names_the_nearest():
    with pytest.raises(InputError, match="did you mean resnet50"):
        get_spec("resnet_50")


def test_something_else_than_a_name_is_refused():
    with pytest.raises(InputError, match="received int"):
        get_spec(50)
