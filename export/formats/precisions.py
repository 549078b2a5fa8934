"""The table of precisions: what numbers weights and activations have, and everything that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

QUANTIZERS = ("tensorflow", "litert")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a format offers in one precision.

    Attributes:
        io: dtypes that input and output may have, the default first.
        quantizers: programs that make it, the default first; empty where nothing is quantized.
        note: sentence for people.
    """

    io: tuple[str, ...] = ("float32",)
    quantizers: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far the outputs of a file may be from Keras.

    Attributes:
        max_abs: largest difference of a value, relative to the largest output where that is above one (logits).
        cosine: smallest mean cosine similarity of an example's outputs.
        sqnr: smallest ratio of signal to quantization noise of an output, in dB.
        reason: why these figures.
        outliers: whether `max_abs` leaves the worst thousandth of the examples out. Of 10,000 some few lie where
            rounding, or a range that saturates, decides; what is wrong with a file shows in more of them.
    """

    max_abs: float
    cosine: float
    sqnr: float
    reason: str
    outliers: bool = False


@dataclass(frozen=True, kw_only=True)
class Precision:
    """One precision.

    Attributes:
        name: dtype of weights and activations (`float16`, `weight_only_...`: weights alone; `int16x8`, `int8x4`:
            activations and weights).
        offers: offers by name of a format.
        tolerance: limits of values.
        option: option of a format's command, where it is not called like the precision.
        calibrated: whether ranges of activations are measured on representative samples.
        raw: whether a file takes the values of the signal unless told otherwise, like pixels 0..255: it runs where
            nobody should have to normalise.
        operators: name in `tf.lite.OpsSet` of the operators that TensorFlow's quantizer may use; empty: any.
        recipe: name of LiteRT Quantizer's recipe; empty: none of its own.
    """

    name: str
    offers: Mapping[str, Offer]
    tolerance: Tolerance
    option: str = ""
    calibrated: bool = False
    raw: bool = False
    operators: str = ""
    recipe: str = ""

    @property
    def flag(self) -> str:
        """Option of a format's command."""
        return self.option or f"--{self.name}"


_SLOW = "for accelerators: no fast kernels on CPUs"


PRECISIONS: dict[str, Precision] = {
    row.name: row
    for row in (
        Precision(
            name="float32",
            offers={name: Offer() for name in ("tflite", "onnx", "saved_model", "keras")},
            tolerance=Tolerance(
                max_abs=1e-4,
                cosine=0.999999,
                sqnr=80,
                reason="the same arithmetic in another order; batch normalisation folded into the kernels (seen: below "
                "1e-5)",
            ),
        ),
        Precision(
            name="float16",
            offers={
                "tflite": Offer(quantizers=QUANTIZERS),
                "onnx": Offer(note="for GPUs; CPUs compute in float32"),
            },
            tolerance=Tolerance(
                max_abs=0.03,
                cosine=0.9999,
                sqnr=40,
                reason="weights rounded to 11 bits, arithmetic in float32 (ONNX: in 11 bits as well)",
            ),
        ),
        Precision(
            name="dynamic_int8",
            option="--dynamic",
            offers={
                "tflite": Offer(quantizers=QUANTIZERS),
                "onnx": Offer(note="for servers: convolutions with a range per image"),
            },
            recipe="dynamic_wi8_afp32",
            tolerance=Tolerance(
                max_abs=0.6,
                cosine=0.99,
                sqnr=15,
                reason="weights in 8 bits, activations in 8 bits with a range per image; single uncertain images may "
                "move",
                outliers=True,
            ),
        ),
        Precision(
            name="int8",
            offers={"tflite": Offer(io=("int8", "uint8", "float32"), quantizers=QUANTIZERS), "onnx": Offer()},
            calibrated=True,
            raw=True,
            operators="TFLITE_BUILTINS_INT8",
            recipe="static_wi8_ai8",
            tolerance=Tolerance(
                max_abs=0.6,
                cosine=0.99,
                sqnr=12,
                reason="8 bits everywhere, a softmax in steps of 1/256: judged by agreement and accuracy, not by one "
                "image",
                outliers=True,
            ),
        ),
        Precision(
            name="int16x8",
            offers={"tflite": Offer(io=("int16", "float32"), quantizers=QUANTIZERS, note=_SLOW)},
            calibrated=True,
            operators="EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8",
            recipe="static_wi8_ai16",
            tolerance=Tolerance(
                max_abs=0.35,
                cosine=0.995,
                sqnr=18,
                reason="weights in 8 bits, activations in 16",
                outliers=True,
            ),
        ),
        Precision(
            name="int8x4",
            offers={
                "tflite": Offer(
                    io=("int8", "float32"),
                    quantizers=("litert",),
                    note="half of int8's flash; train for it (export.compress)",
                )
            },
            calibrated=True,
            raw=True,
            recipe="static_wi8_ai8",  # of operators whose kernels know no 4 bits
            tolerance=Tolerance(
                max_abs=1.0,
                cosine=0.9,
                sqnr=3,
                reason="15 values a weight, 8 bits for activations: a net holds it that was trained with weights of 4 "
                "bits",
                outliers=True,
            ),
        ),
        Precision(
            name="weight_only_int8",
            option="--weight-only-int8",
            offers={"tflite": Offer(quantizers=("litert",))},
            recipe="weight_only_wi8_afp32",
            tolerance=Tolerance(
                max_abs=0.35,
                cosine=0.995,
                sqnr=18,
                reason="weights in 8 bits, activations in float32",
                outliers=True,
            ),
        ),
        Precision(
            name="weight_only_int4",
            option="--weight-only-int4",
            offers={"tflite": Offer(quantizers=("litert",), note="half a byte a weight; small nets lose much")},
            recipe="weight_only_wi4_afp32",
            tolerance=Tolerance(
                max_abs=1.0,
                cosine=0.9,
                sqnr=3,
                reason="15 values a weight; nets as small as ResNet-8 may not hold it",
                outliers=True,
            ),
        ),
    )
}
