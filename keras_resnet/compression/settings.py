"""Settings of a compression, checked before TensorFlow is imported."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from keras_resnet.errors import InputError, unknown_name

COMPRESSIONS = ("qat", "prune", "cluster")
PRESERVED = ("sparsity", "clusters")
WEIGHT_BITS = (4, 8)


@dataclass(frozen=True, kw_only=True)
class Sparsity:
    """Share or pattern of weights that become 0.

    Attributes:
        share: share of zeros over all kernels together, 0 to 1.
        keep: number of weights that stay in every group, for a pattern; 0 for any place.
        group: size of a group: neighbouring input channels of one output channel.
    """

    share: float
    keep: int = 0
    group: int = 0

    @property
    def name(self) -> str:
        """Text that the command takes."""
        return f"{self.keep}:{self.group}" if self.group else f"{self.share:g}"


def parse_sparsity(text: str) -> Sparsity:
    """Reads `0.5` or `2:4`.

    Args:
        text: share of zeros above 0 and below 1, or `N:M`: N of M neighbouring weights stay.

    Raises:
        InputError: the text is neither.

    Example:
        >>> from keras_resnet.compression.settings import parse_sparsity
        >>> parse_sparsity("2:4").share, parse_sparsity("0.75").share
        (0.5, 0.75)
    """
    pattern = re.fullmatch(r"(\d+):(\d+)", text)
    if pattern:
        keep, group = int(pattern[1]), int(pattern[2])
        if not 0 < keep < group:
            raise InputError(f"sparsity {text}: expected N:M with 0 < N < M, like 2:4")
        return Sparsity(share=1 - keep / group, keep=keep, group=group)
    try:
        share = float(text)
    except ValueError:
        raise InputError(f"sparsity {text}: expected a share like 0.5, or a pattern like 2:4") from None
    if not 0 < share < 1:
        raise InputError(f"sparsity {text}: expected above 0 and below 1")
    return Sparsity(share=share)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A compression.

    Attributes:
        method: one of `COMPRESSIONS`: quantization-aware training, pruning or clustering.
        weight_bits: 8 for integer weights and activations, 4 for weights alone (quantization-aware training).
        sparsity: sparsity of pruning by single weights.
        channels: share of the multiply-adds that stays when whole channels go; 0 for none.
        clusters: number of different values in every kernel, for clustering.
        preserve: one of `PRESERVED`, which an earlier compression has reached and this one keeps; empty for none.
    """

    method: str
    weight_bits: int = 8
    sparsity: Sparsity | None = None
    channels: float = 0.0
    clusters: int = 0
    preserve: str = ""

    @property
    def name(self) -> str:
        """Name for people and files."""
        what = {
            "qat": f"int{self.weight_bits}",
            "prune": f"channels-{self.channels:g}" if self.channels else self.sparsity and self.sparsity.name,
            "cluster": str(self.clusters),
        }[self.method]
        return f"{self.method}-{what}{f'-{self.preserve}' if self.preserve else ''}".replace(":", "of")

    @property
    def norms_move(self) -> bool:
        """True where batch normalisation learns to the end, and is estimated once more there.

        Integer nets freeze it: ranges must be learnt for the norms that stay. Kernels of few values jump from step to
        step as long as they are trained, faster than moving statistics follow.
        """
        return self.method != "qat" or self.weight_bits < 8

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        sparsity = self.sparsity.name if self.sparsity else None
        return {**asdict(self), "sparsity": sparsity}


def settings(
    method: str,
    *,
    weight_bits: int | None = None,
    sparsity: str | float | None = None,
    channels: float | None = None,
    clusters: int | None = None,
    preserve: str | None = None,
) -> Settings:
    """Checks what was asked for, and completes it.

    Args:
        method: one of `COMPRESSIONS`.
        weight_bits: bits of a weight, 8 (the default) or 4, for `"qat"`.
        sparsity: share like 0.5 (the default), or pattern like `"2:4"`, for `"prune"`.
        channels: share of the multiply-adds that stays when whole channels go, for `"prune"`.
        clusters: number of values, 2 to 256, by default 16, for `"cluster"`.
        preserve: `"sparsity"` or, for `"qat"` alone, `"clusters"`, which the model has and keeps.

    Raises:
        InputError: unknown method, a value out of range, or one that goes with another method.

    Example:
        >>> from keras_resnet.compression.settings import settings
        >>> settings("prune", sparsity="2:4").name
        'prune-2of4'
    """
    if method not in COMPRESSIONS:
        raise unknown_name("method", method, COMPRESSIONS)
    given = {
        "weight_bits": ("qat", weight_bits),
        "sparsity": ("prune", sparsity),
        "channels": ("prune", channels),
        "clusters": ("cluster", clusters),
    }
    for option, (owner, value) in given.items():
        if value is not None and method != owner:
            raise InputError(f"{option} goes with method {owner}, not {method}")
    if preserve is not None and preserve not in PRESERVED:
        raise unknown_name("preserve", preserve, PRESERVED)
    if preserve and (method == "prune" or (method, preserve) == ("cluster", "clusters")):
        raise InputError(f"preserve={preserve} goes with qat" + " or cluster" * (preserve == "sparsity"))
    if method == "qat":
        bits = 8 if weight_bits is None else weight_bits
        if bits not in WEIGHT_BITS:
            raise InputError(f"weight_bits={bits}: expected {' or '.join(map(str, WEIGHT_BITS))}")
        return Settings(method=method, weight_bits=bits, preserve=preserve or "")
    if method == "cluster":
        clusters = 16 if clusters is None else clusters
        if not 2 <= clusters <= 256:
            raise InputError(f"clusters={clusters}: expected 2 to 256")
        return Settings(method=method, clusters=clusters, preserve=preserve or "")
    if sparsity is not None and channels is not None:
        raise InputError("sparsity removes single weights and channels whole channels: give one of them")
    if channels is not None:
        if not 0 < channels < 1:
            raise InputError(f"channels={channels}: expected a share of the multiply-adds above 0 and below 1")
        return Settings(method=method, channels=channels)
    return Settings(method=method, sparsity=parse_sparsity(str(0.5 if sparsity is None else sparsity)))
