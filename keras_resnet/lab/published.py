"""Figures of the papers that the experiments are held against: errors in per cent."""

from __future__ import annotations

# He et al. 2015, arXiv:1512.03385, table 6: CIFAR-10 test error. 110: best of five, 6.61 ± 0.16 on average.
TABLE_6 = {
    "resnet20_cifar": 8.75,
    "resnet32_cifar": 7.51,
    "resnet44_cifar": 7.17,
    "resnet56_cifar": 6.97,
    "resnet110_cifar": 6.43,
    "resnet1202_cifar": 7.93,
}
# The same paper, table 3: ImageNet validation, ten crops, top-1 and top-5 error.
TABLE_3 = {
    "plain34": (28.54, 10.02),
    "resnet34_a": (25.03, 7.76),
    "resnet34": (24.52, 7.46),
    "resnet34_c": (24.19, 7.40),
}
# He et al. 2016, arXiv:1603.05027, table 1: ResNet-110 on CIFAR-10 with other shortcuts; None: did not learn (error
# above 20 %). Gates are at their best initial bias there.
SHORTCUTS_1 = {
    "identity": 6.61,
    "constant 0.5": 12.35,
    "exclusive gating": 8.70,
    "shortcut-only gating": 6.91,
    "1x1 convolution": 12.22,
    "dropout 0.5": None,
}
# The same paper, table 2: orders of norm, ReLU and addition; ResNet-110 and ResNet-164.
ORDERS_2 = {
    "original": (6.61, 5.93),
    "norm after addition": (8.17, 6.50),
    "ReLU before addition": (7.84, 6.14),
    "ReLU-only pre-activation": (6.71, 5.91),
    "full pre-activation": (6.37, 5.46),
}
# Table 3 there: original and pre-activation, CIFAR-10.
DEPTHS_3 = {"resnetv2_164_cifar": 5.46, "resnetv2_1001_cifar": 4.92}
