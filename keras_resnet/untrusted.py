"""Files and texts from elsewhere: read within limits of size, depth and memory; shown without control characters."""

from __future__ import annotations

import json
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

MOST_JSON = 4 << 20  # bytes: a card of 21,000 labels has 0.5 MB
DEPTH = 32  # lists and objects inside each other: ours have at most six
MOST_CONFIG = 64 << 20  # bytes of a network's config.json: ResNet-1202 has 3 MB
MOST_TENSORS = 4_000_000_000  # bytes of all tensors of an HDF5 file: ten times the largest ResNet
CONFIG_DEPTH = 200  # of a network: a net inside a net is five levels
MOST_VALUES = 1 << 28  # numbers of one input: 1 GB in float32, an image of 9,000 x 9,000 in colour

# Strings whole, so that brackets inside them do not count; one without an end reaches to the end of the text.
_NESTING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|([\[{])|([\]}])', re.DOTALL)
# Control characters, what turns the direction of a line or ends it, and halves of characters, which no file can hold.
_UNSEEN = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_HIDDEN = re.compile(f"[{_UNSEEN}]")
_HIDDEN_IN_LINES = re.compile(f"(?![\n\t])[{_UNSEEN}]")

_ODD = re.compile(r"[^A-Za-z0-9 _.,()/+-]")


def visible(text: object, *, lines: bool = False) -> str:
    r"""A text as a terminal or a page may show it: control characters are written out.

    Args:
        text: class name, path, entry of a card, ...
        lines: whether the ends of lines and tabs stay.

    Example:
        >>> print(visible("\x1b[31mred"))
        \x1b[31mred
    """
    return (_HIDDEN_IN_LINES if lines else _HIDDEN).sub(lambda found: ascii(found[0])[1:-1], str(text))


def c_literal(text: str) -> str:
    r"""A text in UTF-8 as a literal of C, which any compiler takes.

    Args:
        text: any text.

    Example:
        >>> print(c_literal('red\x1b"é'))
        "red\033\042\303\251"
    """
    return '"' + _ODD.sub(lambda found: "".join(f"\\{byte:03o}" for byte in _bytes(found[0])), text) + '"'


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def parse(text: str | bytes, *, most: int = MOST_JSON, depth: int = DEPTH) -> Any:
    """Parses JSON of a size and depth that cannot harm this process.

    Args:
        text: JSON; bytes are UTF-8.
        most: largest number of bytes.
        depth: largest number of lists and objects inside each other.

    Raises:
        ValueError: too large, too deep, or no JSON.
    """
    raw = _bytes(text) if isinstance(text, str) else text
    if len(raw) > most:
        raise ValueError(f"{len(raw):,} bytes of JSON, expected at most {most:,}")
    level = 0
    for found in _NESTING.finditer(raw):
        level += bool(found[1]) - bool(found[2])
        if level > depth:
            raise ValueError(f"lists or objects nested more than {depth} deep")
    return json.loads(raw.decode("utf-8-sig"))


def content(path: Path, *, most: int = MOST_JSON) -> bytes:
    """The bytes of a small file; one byte more than `most` of a large one, which `parse` refuses.

    Args:
        path: file.
        most: largest number of bytes.
    """
    with path.open("rb") as file:
        return file.read(most + 1)


def read_json(path: Path, *, most: int = MOST_JSON, depth: int = DEPTH) -> Any:
    """Parses a JSON file; see `parse`.

    Args:
        path: file.
        most: largest number of bytes.
        depth: largest number of lists and objects inside each other.

    Raises:
        ValueError: too large, too deep, or no JSON.
        OSError: the file cannot be read.
    """
    return parse(content(path, most=most), most=most, depth=depth)


def read_object(path: Path) -> dict[str, Any]:
    """Parses a JSON file that holds an object; see `read_json`.

    Args:
        path: file.

    Raises:
        ValueError: too large, too deep, or no object.
        OSError: the file cannot be read.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"expected an object of JSON, received {type(value).__name__}")
    return value


def check_input(shape: tuple[int | None, ...]) -> None:
    """Refuses an input that no memory holds.

    Args:
        shape: shape of one example; sizes that are open count as 1.

    Raises:
        ValueError: it has more than `MOST_VALUES` numbers.
    """
    values = math.prod(size or 1 for size in shape)
    if values > MOST_VALUES:
        raise ValueError(f"an input of {shape} has {values:,} numbers, expected at most {MOST_VALUES:,}")


def check_keras_file(path: Path) -> None:
    """Refuses a `.keras` file whose `config.json` could end this process before Keras complains.

    Args:
        path: zip archive; one without the member is left to Keras.

    Raises:
        ValueError: too large, too deep, no JSON, or an input that no memory holds.
        OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if "config.json" not in archive.namelist():
                return
            if archive.getinfo("config.json").file_size > MOST_CONFIG:
                raise ValueError(f"its config.json has more than {MOST_CONFIG:,} bytes")
            text = archive.read("config.json")
        check_network(parse(text, most=MOST_CONFIG, depth=CONFIG_DEPTH))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    except ValueError as error:
        raise ValueError(f"config.json: {error}") from error


def check_h5_file(path: Path) -> None:
    """Refuses a whole model in HDF5 whose configuration or tensors could end this process before Keras complains.

    Args:
        path: file that `model.save("x.h5")` wrote.

    Raises:
        ValueError: no model in it, a configuration that is too large or too deep, an input or tensors that no memory
            holds.
        OSError: no HDF5 file.
    """
    import h5py

    total = 0

    def count(name: str, item: Any) -> None:
        nonlocal total
        total += item.nbytes if isinstance(item, h5py.Dataset) else 0

    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
        if config is None:
            raise ValueError("it holds weights without a net: pass the net's name with --weights FILE")
        file.visititems(count)
        if total > MOST_TENSORS:
            raise ValueError(f"its tensors have {total:,} bytes, expected at most {MOST_TENSORS:,}")
        check_network(parse(config, most=MOST_CONFIG, depth=CONFIG_DEPTH))


def check_network(config: Any) -> None:
    """Refuses a network whose inputs no memory holds, in the parsed `config.json` of a `.keras` file.

    Args:
        config: JSON value.

    Raises:
        ValueError: an input has more than `MOST_VALUES` numbers.
    """
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for key in ("batch_shape", "batch_input_shape", "build_input_shape", "input_shape"):
                sizes = value.get(key)
                if isinstance(sizes, list) and all(isinstance(size, int | None) for size in sizes):
                    check_input(tuple(sizes[1:]))
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)
