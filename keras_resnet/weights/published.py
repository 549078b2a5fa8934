"""Published weights that are not registered: timm's on the Hugging Face hub, one set for every net that has one."""

from __future__ import annotations

import fnmatch
from dataclasses import asdict, dataclass

from keras_resnet import extras
from keras_resnet.errors import InputError
from keras_resnet.nets.specs import SPECS
from keras_resnet.weights.registry import WEIGHT_SETS, WeightSet


@dataclass(frozen=True)
class Published:
    """Weights that others publish.

    Attributes:
        spec: name of the net.
        address: what `weights=` takes.
        license: SPDX-like licence, as the repository states it.
    """

    spec: str
    address: str
    license: str

    @property
    def is_here(self) -> bool:
        """Whether the file is in the hub's cache on this machine."""
        if not extras.is_there("huggingface_hub"):
            return False
        from huggingface_hub import try_to_load_from_cache

        repository, _, revision = self.address.removeprefix("hf://").partition("@")
        return isinstance(try_to_load_from_cache(repository, "model.safetensors", revision=revision or None), str)

    def to_json(self) -> dict[str, object]:
        """The fields, and whether the weights must be downloaded."""
        return {**asdict(self), "download": not self.is_here}


# timm 1.0.31: the default set of every architecture that has a row here, where its licence allows any use.
PUBLISHED: dict[str, Published] = {
    spec: Published(spec, f"hf://timm/{name}", license)
    for spec, name, license in (
        ("resnet101_v1_5", "resnet101.a1h_in1k", "apache-2.0"),
        ("resnet101d", "resnet101d.ra2_in1k", "apache-2.0"),
        ("resnet10t", "resnet10t.c3_in1k", "apache-2.0"),
        ("resnet14t", "resnet14t.c3_in1k", "apache-2.0"),
        ("resnet152_v1_5", "resnet152.a1h_in1k", "apache-2.0"),
        ("resnet152d", "resnet152d.ra2_in1k", "apache-2.0"),
        ("resnet18", "resnet18.a1_in1k", "apache-2.0"),
        ("resnet18d", "resnet18d.ra2_in1k", "apache-2.0"),
        ("resnet200d", "resnet200d.ra2_in1k", "apache-2.0"),
        ("resnet26", "resnet26.bt_in1k", "apache-2.0"),
        ("resnet26t", "resnet26t.ra2_in1k", "apache-2.0"),
        ("resnet34", "resnet34.a1_in1k", "apache-2.0"),
        ("resnet34d", "resnet34d.ra2_in1k", "apache-2.0"),
        ("resnet50_v1_5", "resnet50.a1_in1k", "apache-2.0"),
        ("resnet50d", "resnet50d.ra2_in1k", "apache-2.0"),
        ("resnetaa101d", "resnetaa101d.sw_in12k_ft_in1k", "apache-2.0"),
        ("resnetaa50", "resnetaa50.a1h_in1k", "apache-2.0"),
        ("resnetaa50d", "resnetaa50d.sw_in12k_ft_in1k", "apache-2.0"),
        ("resnetblur50", "resnetblur50.bt_in1k", "apache-2.0"),
        ("resnetrs101", "resnetrs101.tf_in1k", "apache-2.0"),
        ("resnetrs152", "resnetrs152.tf_in1k", "apache-2.0"),
        ("resnetrs200", "resnetrs200.tf_in1k", "apache-2.0"),
        ("resnetrs50", "resnetrs50.tf_in1k", "apache-2.0"),
        ("resnetv2_101", "resnetv2_101.a1h_in1k", "apache-2.0"),
        ("resnetv2_18", "resnetv2_18.ra4_e3600_r224_in1k", "apache-2.0"),
        ("resnetv2_34", "resnetv2_34.ra4_e3600_r224_in1k", "apache-2.0"),
        ("resnetv2_50", "resnetv2_50.a1h_in1k", "apache-2.0"),
        ("resnext101_32x8d", "resnext101_32x8d.tv_in1k", "bsd-3-clause"),
        ("resnext101_64x4d", "resnext101_64x4d.c1_in1k", "apache-2.0"),
        ("resnext50_32x4d", "resnext50_32x4d.a1h_in1k", "apache-2.0"),
        ("seresnet152d", "seresnet152d.ra2_in1k", "apache-2.0"),
        ("seresnet50", "seresnet50.a1_in1k", "apache-2.0"),
        ("seresnextaa101d_32x8d", "seresnextaa101d_32x8d.sw_in12k_ft_in1k_288", "apache-2.0"),
        ("wide_resnet101_2", "wide_resnet101_2.tv_in1k", "bsd-3-clause"),
        ("wide_resnet50_2", "wide_resnet50_2.racm_in1k", "apache-2.0"),
    )
}


def list_models(pattern: str = "*", *, pretrained: bool = False) -> list[str]:
    """Names of the nets that `build` knows, sorted.

    Args:
        pattern: shell pattern, like `"resnet*"`; upper and lower case are the same.
        pretrained: whether only nets with registered (`list_weights`) or published weights (`PUBLISHED`) are listed.
            Nothing is downloaded for that.

    Raises:
        InputError: the pattern is no text.

    Example:
        >>> import keras_resnet
        >>> keras_resnet.list_models("resnet50*", pretrained=True)
        ['resnet50', 'resnet50_v1_5', 'resnet50d', 'resnet50v2']
    """
    if not isinstance(pattern, str):
        raise InputError(f"expected a pattern like 'resnet*', received {type(pattern).__name__}")
    names = fnmatch.filter(sorted(SPECS), pattern.lower())
    known = {spec for spec, _ in WEIGHT_SETS} | PUBLISHED.keys()
    return [name for name in names if name in known] if pretrained else names


def is_here(row: WeightSet) -> bool:
    """Whether a registered set needs no download.

    Args:
        row: row of the registry.
    """
    return row.path(include_top=True).is_file()
