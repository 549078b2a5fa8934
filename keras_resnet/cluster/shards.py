"""Finished shards in a folder beside the result: what a repeated command goes on from."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_resnet import __version__
from keras_resnet.errors import InputError

_MANIFEST = "manifest.json"


def digest(parts: Iterable[str | bytes]) -> str:
    """SHA-256 of texts or bytes, each apart from the next.

    Args:
        parts: texts or bytes.
    """
    sha = hashlib.sha256()
    for part in parts:
        each = part.encode(errors="surrogateescape") if isinstance(part, str) else part
        sha.update(len(each).to_bytes(8, "big") + each)
    return sha.hexdigest()


def beside(result: Path) -> Path:
    """The folder of a result's shards.

    Args:
        result: file or folder that will be made of them.
    """
    return result.with_name(f"{result.name}.shards")


class Shards:
    """Files of finished shards, each written beside its name and renamed, and a manifest that says of what they are."""

    def __init__(self, folder: Path, of: Mapping[str, Any]):
        """Opens the folder of an earlier call of the same work; a new one is made with the first shard.

        Args:
            folder: folder beside the result.
            of: what the work is, as JSON types.

        Raises:
            InputError: the folder is another work's.
        """
        self.folder = folder
        self._manifest = {**of, "version": __version__}
        if not folder.exists():
            return
        try:
            there = json.loads((folder / _MANIFEST).read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"{folder} exists and has no manifest of shards: choose another name") from error
        there = there if isinstance(there, dict) else {}
        changed = [name for name, value in self._manifest.items() if there.get(name) != value]
        if changed:
            raise InputError(
                f"{folder} holds shards of an earlier call with another {' and '.join(changed)}: repeat that call, "
                "remove the folder, or choose another name"
            )

    def has(self, name: str) -> bool:
        """Whether a shard is there.

        Args:
            name: name of its file.
        """
        return (self.folder / name).is_file()

    def put(self, name: str, contents: bytes) -> None:
        """Keeps a shard.

        Args:
            name: name of its file.
            contents: bytes of the file.
        """
        if not self.folder.exists():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix=".", ignore_cleanup_errors=True) as new:
                (made := Path(new, self.folder.name)).mkdir()
                (made / _MANIFEST).write_text(json.dumps(self._manifest, indent=1), encoding="utf-8")
                os.replace(made, self.folder)
        partial = self.folder / f".{name}.partial"
        partial.write_bytes(contents)
        os.replace(partial, self.folder / name)

    def become(self, folder: Path) -> None:
        """Turns the folder into the result, without the manifest.

        Args:
            folder: new name.
        """
        for each in (self.folder / _MANIFEST, *self.folder.glob(".*.partial")):
            each.unlink(missing_ok=True)
        os.replace(self.folder, folder)
