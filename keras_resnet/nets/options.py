"""What a user may change about any variant without making it another row: resolution, rank, regularisation, norms."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.nets.interface import STEMS, ResNetSpec

# Names of the axes between batch and channels, per rank.
AXES: dict[int, tuple[str, ...]] = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
NORMS = ("batch", "sync_batch", "group")
# Below these a max pool may be padded with zeros: no value is smaller.
NON_NEGATIVE = ("relu", "relu6")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Arguments of `build` that shape the graph; see there.

    Raises:
        InputError: a value is outside its range.
    """

    rank: int = 2
    output_stride: int | None = None
    dilate: tuple[bool, ...] | None = None
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    zero_init_residual: bool = False
    activation: str = "relu"
    norm: str = "batch"
    freeze_bn: bool = False
    prefix: str = ""

    def __post_init__(self) -> None:
        """Refuses values that no variant can honour."""
        if self.rank not in AXES:
            raise InputError(f"rank={self.rank!r}: expected 1 (sequences), 2 (images) or 3 (volumes)")
        for field in ("dropout", "stochastic_depth"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
                raise InputError(f"{field}={value!r}: expected a rate from 0 to below 1")
        if self.norm not in NORMS:
            raise unknown_name("norm", str(self.norm), NORMS)
        if self.freeze_bn and self.norm == "group":
            raise InputError("freeze_bn=True: norm='group' has no moving statistics to freeze; leave one of them out")
        if not isinstance(self.prefix, str) or "/" in self.prefix:
            raise InputError(f"prefix={self.prefix!r}: expected a string without '/', like 'depth_'")
        if self.output_stride is not None and self.dilate is not None:
            raise InputError("output_stride and dilate say the same; give one of them")

    def check(self, spec: ResNetSpec, head: bool) -> None:
        """Refuses, by its name, what this variant cannot honour.

        Raises:
            InputError: an option makes no sense here.
        """
        if spec.shortcut == "none":
            for field in ("stochastic_depth", "zero_init_residual"):
                if getattr(self, field):
                    raise InputError(
                        f"{field}={getattr(self, field)}: {spec.name} is a plain net, and without a shortcut nothing "
                        "would be left of a block; leave it out"
                    )
        if self.dropout and not head:
            raise InputError(
                f"dropout={self.dropout} comes before the classifier and this model has none; for the residual "
                "branches there is stochastic_depth"
            )
        self.dilated(spec)

    def dilated(self, spec: ResNetSpec) -> tuple[bool, ...]:
        """Which of the net's strides, between the stages, become dilations.

        Raises:
            InputError: `output_stride` or `dilate` does not go with the net.
        """
        count = len(spec.depths) - 1
        if self.dilate is not None:
            flags = tuple(self.dilate)
            if len(flags) != count or any(not isinstance(flag, bool) for flag in flags):
                raise InputError(
                    f"dilate={flags}: {spec.name} strides before {count} of its stages; expected that many booleans"
                )
            return flags
        stem = STEMS[spec.stem].stride
        reachable = [stem * 2**kept for kept in range(count + 1)]
        output_stride = reachable[-1] if self.output_stride is None else self.output_stride
        if output_stride not in reachable:
            raise InputError(
                f"output_stride={output_stride!r}: {spec.name} reaches {', '.join(map(str, reachable[:-1]))} by "
                f"dilation and {reachable[-1]} without"
            )
        kept = reachable.index(output_stride)
        return tuple(stage >= kept for stage in range(count))
