"""What travels inside a model file besides the network: task, class names, input convention, origin.

The card is the member `keras_resnet.json` of the zip archive that a `.keras` file is; of a small archive appended to a
`.tflite` file (runtimes read past it); and the `keras_resnet` entry of an `.onnx` or `.safetensors` file's metadata.
None of these needs this package to open the model.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from keras_resnet import untrusted
from keras_resnet.errors import InputError
from keras_resnet.files import member
from keras_resnet.signals.conventions import PREPROCESS, Preprocess
from keras_resnet.signals.fits import FITS, Keep, kept

MEMBER = "keras_resnet.json"
KEY = "keras_resnet"  # in the metadata of .onnx and .safetensors files
VERSION = 3  # 1 had no task, signal, facts and version; 2 had no held_out


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Facts that a user of a model file needs and the network does not hold.

    Attributes:
        task: row of `tasks.TASKS`, what the outputs mean.
        signal: row of `signals.SIGNALS`: what the input is.
        facts: what the task must know to decode the outputs (`TaskCode.Facts`), JSON types by name.
        labels: class names in the order of the labels; empty if unknown.
        preprocess: from RGB pixels 0..255 to the network's input.
        spec: name of the variant, None for a model from elsewhere.
        dataset: name of the data source it was trained on, None if unknown.
        columns: that table's own names of columns by their meaning (`data.tables.parse_columns`), written if there are
            any.
        reading: how values of masks were read besides what their folder says: `void`, a list of values, and
            `reduce_zero_label`; written if there is something.
        recipe: name of the recipe, None if unknown.
        crop: share of an image's central part, in height and width, that evaluation and prediction use.
        fit: how an image fills the input (`signals.fits.FITS`), written where it is not `"crop"`.
        held_out: whether the validation examples of `dataset` stayed out of all training of these weights, so that
            probabilities can be calibrated on them; None if unknown, as on all cards of before.
        sha256: hash of the network in an exported file, None elsewhere.
        version: version of the card that was read, above `VERSION` for one of a newer package (`tasks.facts` reads its
            facts); `dumps` writes `VERSION`.
    """

    task: str = "classification"
    signal: str = "image"
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)

    labels: tuple[str, ...] = ()
    preprocess: Preprocess = PREPROCESS["none"]
    spec: str | None = None
    dataset: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    reading: Mapping[str, Any] = field(default_factory=dict, hash=False)
    recipe: str | None = None
    crop: float = 1.0
    fit: str = "crop"
    held_out: bool | None = None
    sha256: str | None = None
    version: int = field(default=VERSION, compare=False)

    @property
    def keep(self) -> Keep:
        """What of an image becomes the input, as `signals` take it."""
        return kept(self.fit, self.crop)

    @property
    def known(self) -> bool:
        """Whether somebody has said what the input looks like: a card, a person, or a layer that scales."""
        return self.version > 0

    def knowing(self, preprocess: Preprocess) -> ModelCard:
        """The card of a model whose input convention somebody has said.

        Args:
            preprocess: the convention.
        """
        return dataclasses.replace(self, preprocess=preprocess, version=VERSION)

    def dumps(self) -> str:
        """The card as JSON text."""
        # What is usual is not written, so that older packages read the card.
        usual: dict[str, object] = {"columns": {}, "reading": {}, "fit": "crop"}
        own = {name: value for name, value in asdict(self).items() if name != "version"}
        own = {name: value for name, value in own.items() if name not in usual or value != usual[name]}
        return json.dumps({"version": VERSION, **own, "preprocess": self.preprocess.to_json()})

    @classmethod
    def loads(cls, text: str | bytes, origin: object) -> ModelCard:
        """Reads a card.

        Args:
            text: JSON.
            origin: where the card came from, for the error message.

        Raises:
            InputError: the value is no card, or a newer one whose input convention has unknown fields: to leave those
                out would feed the network something else.
        """
        try:
            fields = untrusted.parse(text)
            version = fields.pop("version", 1)
            if not isinstance(version, int) or version < 1:
                raise ValueError(f"version={version!r}, expected a whole number from 1")
            if version > VERSION:
                _drop_unknown(fields, version, origin)
            convention = fields.pop("preprocess", {})
            beyond = _unknown(convention, Preprocess) if version > VERSION and isinstance(convention, dict) else []
            if not beyond:
                if not isinstance(labels := fields.pop("labels", []), list):
                    raise TypeError(f"labels={labels!r:.80}, expected a list")
                labels = tuple(str(label) for label in labels)
                card = cls(labels=labels, preprocess=Preprocess(**convention), version=version, **fields)
                card._check()
                return card
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise InputError(f"{origin}: its {MEMBER} is damaged ({error}); export or save the model again") from error
        raise InputError(
            f"{origin} has a card of version {version}, newer than this package's {VERSION}, whose input convention "
            f"cannot be read (unknown: {', '.join(map(ascii, beyond))}): update keras-resnet-toolkit"
        )

    def held_out_of(self, dataset: str | None) -> bool | None:
        """Whether the validation examples of some data stayed out of the training; None if unknown.

        Args:
            dataset: name of the data source.
        """
        return self.held_out if dataset is not None and dataset == self.dataset else None

    def held_out_after(self, dataset: str, hold_out: bool) -> bool | None:
        """`held_out` of the weights that a training makes of these.

        Args:
            dataset: name of the data source that is trained on.
            hold_out: whether its validation examples stay out of that training.
        """
        if not hold_out:
            return False
        return self.held_out_of(dataset) if self.dataset in (dataset, None) else True

    def _check(self) -> None:
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop={self.crop}, expected above 0 and at most 1")
        if self.fit not in FITS:
            raise ValueError(f"fit={self.fit!r:.80}, expected one of {', '.join(FITS)}")
        for name in ("task", "signal", "spec", "dataset", "recipe", "sha256"):
            value = getattr(self, name)
            if not isinstance(value, str if name in ("task", "signal") else str | None):
                raise TypeError(f"{name}={value!r:.80}, expected a name")
        if not isinstance(self.held_out, bool | None):
            raise TypeError(f"held_out={self.held_out!r}, expected true, false or null")
        if not isinstance(self.columns, dict) or not all(isinstance(own, str) for own in self.columns.values()):
            raise TypeError(f"columns={self.columns!r:.80}, expected names by their meaning")
        if not isinstance(self.reading, dict) or not self.reading.keys() <= {"void", "reduce_zero_label"}:
            raise TypeError(f"reading={self.reading!r:.80}, expected void and reduce_zero_label")
        void, shift = self.reading.get("void", []), self.reading.get("reduce_zero_label", False)
        if not isinstance(void, list) or not all(type(each) is int for each in void) or not isinstance(shift, bool):
            raise TypeError(f"reading={self.reading!r:.80}, expected a list of whole numbers, and true or false")
        if not isinstance(self.facts, dict):
            raise TypeError(f"facts={self.facts!r}, expected an object")


UNKNOWN = ModelCard(version=0)  # of a model without a card; a file that is written has one


def held_out_of_all(cards: Iterable[ModelCard], dataset: str | None) -> bool | None:
    """Whether no member of an ensemble was trained on the validation examples of some data; None if unknown.

    Args:
        cards: cards of the members.
        dataset: name of the data source.
    """
    known = [card.held_out_of(dataset) for card in cards]
    return False if False in known else None if None in known else True


def _drop_unknown(fields: dict[str, Any], version: int, origin: object) -> None:
    """Leaves out what only a newer package understands, and says so on stderr."""
    unknown = _unknown(fields, ModelCard)
    for name in unknown:
        del fields[name]
    ignored = f"; ignored: {', '.join(map(ascii, unknown))}" if unknown else ""
    print(
        f"note: {origin} has a card of version {version}, newer than this package's {VERSION}{ignored}", file=sys.stderr
    )


def _unknown(values: Mapping[str, Any], kind: type) -> list[str]:
    """Names that are no fields of a dataclass, sorted."""
    return sorted(set(values) - {each.name for each in dataclasses.fields(kind)})


def append(path: Path, card: ModelCard) -> None:
    """Adds the card to a `.keras` archive, or an archive with the card behind a `.tflite` file."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        # Beside TFLite's own metadata nothing may be compressed: phones refuse the whole archive then.
        stored = path.suffix == ".tflite" and bool(archive.namelist())
        archive.writestr(member(MEMBER, stored=stored), card.dumps())


def read(path: Path) -> ModelCard | None:
    """Reads the card of a `.keras` or `.tflite` file.

    Returns:
        The card, or None where the file holds none.

    Raises:
        InputError: the card is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if MEMBER not in archive.namelist():
                return None
            if archive.getinfo(MEMBER).file_size > untrusted.MOST_JSON:
                raise InputError(f"{path}: its {MEMBER} is larger than {untrusted.MOST_JSON} bytes; it is no card")
            text = archive.read(MEMBER)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError):
        return None
    except (NotImplementedError, RuntimeError) as error:  # another compression, or a password
        raise InputError(f"{path}: its {MEMBER} cannot be unpacked ({error}); save the model again") from error
    return ModelCard.loads(text, path)
