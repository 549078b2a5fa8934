"""The index of TFRecord files, made by TensorFlow's reader."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_resnet.console import progress, without_chatter
from keras_resnet.errors import InputError
from keras_resnet.lazily import tf

# Features of the image and the class: TF-Slim's and ImageNet's usual ones, and those of tensorflow-datasets.
LAYOUTS = (("image/encoded", "image/class/label"), ("image", "label"))
_HEADER, _FOOTER = 12, 4  # bytes around a record: its length with checksum, its checksum


def scan(
    shards: Sequence[Path], is_readable: Callable[[bytes], bool], layouts: Sequence[tuple[str, str]] = LAYOUTS
) -> dict[str, np.ndarray]:
    """Reads every record of TFRecord files once: checksums by TensorFlow's reader, images by their decoder.

    Args:
        shards: TFRecord files.
        is_readable: says whether an encoded image can be decoded.
        layouts: names of the features of the image and of what is known of it: a class, or an encoded mask.

    Returns:
        Columns by name: for each of N records `shard`, its place in `shards`, int32 `(N,)`; `offset` and `length` in
        bytes, int64; `label`, int64, -1 where there is none, 0 for a mask; `readable`, bool. Besides `feature`, the
        name of the image's feature, and pairs of `named_labels` and `names`.

    Raises:
        InputError: a file is damaged or has another layout, or there are no records.
    """
    tf.train.Example  # noqa: B018 - or the line that says what is missing
    from google.protobuf.message import DecodeError  # comes with TensorFlow

    layout = None
    rows: dict[str, list] = {name: [] for name in ("shard", "offset", "length", "label", "readable")}
    names: dict[int, str] = {}

    with without_chatter(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, path in enumerate(progress(shards, "indexing the TFRecord files", len(shards))):
            try:
                raw = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
                layout = layout or _layout(raw, path, layouts)
                found = list(pool.map(lambda record, own=layout: _inspected(record, own, is_readable), raw))
            except (tf.errors.DataLossError, DecodeError) as error:
                raise _damaged(path) from error
            start = 0
            for label, readable, text, length in found:
                for name, value in zip(rows, (number, start + _HEADER, length, label, readable), strict=True):
                    rows[name].append(value)
                start += _HEADER + length + _FOOTER
                names.setdefault(label, text)
            if start != path.stat().st_size:  # TensorFlow takes less than a header for the end of the file
                raise _damaged(path)
    if layout is None:
        raise InputError(f"{shards[0]} and the {len(shards) - 1} other files hold no records")
    kinds = {"shard": np.int32, "offset": np.int64, "length": np.int64, "label": np.int64, "readable": bool}
    return {
        "feature": np.array(layout[0]),
        "named_labels": np.array(list(names), np.int64),
        "names": np.array(list(names.values()), np.str_),
        **{name: np.array(column, kinds[name]) for name, column in rows.items()},
    }


def objects(records: Sequence[bytes], prefix: str) -> list[dict[str, list[float]]]:
    """What records say of the objects of their picture.

    Args:
        records: serialised `tf.train.Example`s.
        prefix: name of the feature of objects, as tensorflow-datasets has it: its parts are `prefix/bbox`, ...

    Returns:
        Numbers of every record by the name of the part.
    """
    found = []
    for record in records:
        features = tf.train.Example.FromString(record).features.feature
        own = {
            name.removeprefix(f"{prefix}/"): each for name, each in features.items() if name.startswith(f"{prefix}/")
        }
        found.append({name: list(each.float_list.value or each.int64_list.value) for name, each in own.items()})
    return found


def _inspected(
    record: bytes, layout: tuple[str, str], is_readable: Callable[[bytes], bool]
) -> tuple[int, bool, str, int]:
    """Label, whether there is one image that can be decoded, name of the class, and length in bytes."""
    features = tf.train.Example.FromString(record).features.feature
    label = features[layout[1]].int64_list.value or [0] * len(features[layout[1]].bytes_list.value)
    encoded = features[layout[0]].bytes_list.value
    texts = [features[f"image/class/{name}"].bytes_list.value for name in ("text", "synset")]
    text = next((values[0].decode(errors="replace") for values in texts if values), "")
    readable = len(label) == 1 and len(encoded) == 1 and is_readable(encoded[0])
    return (label[0] if label else -1, readable, text, len(record))


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path} is damaged, compressed or no TFRecord file: expected uncompressed records of tf.train.Example"
    )


def _layout(records: Sequence[bytes], path: Path, layouts: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    if not records:
        return None
    features = tf.train.Example.FromString(records[0]).features.feature
    for layout in layouts:
        if all(name in features for name in layout):
            return layout
    expected = " or ".join(f"{image} and {label}" for image, label in layouts)
    raise InputError(f"{path}: expected the features {expected}, received {', '.join(sorted(features)[:8])}")
