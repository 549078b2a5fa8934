"""The table of the commands of `export`."""

from __future__ import annotations

from export.formats.table import FORMATS
from keras_resnet.program import Command

FILES: tuple[Command, ...] = tuple(
    Command(
        name=f"export {name}",
        summary=f"one {name} file, verified against Keras",
        module="export.commands.one_file",
        given=(name,),
    )
    for name in FORMATS
)
COMMANDS: tuple[Command, ...] = (
    *FILES,
    Command(
        name="export all", summary="every format and precision, with a report", module="export.commands.every_file"
    ),
    Command(
        name="export bundle",
        summary="a folder that works in a place unchanged: a phone, a browser, ...",
        module="export.commands.bundles",
    ),
    Command(name="verify", summary="check a file against its Keras model again", module="export.commands.verify"),
    Command(
        name="debug", summary="error of every layer of a file, or the fewest in float", module="export.commands.debug"
    ),
    Command(
        name="fit", summary="what a file takes of a microcontroller, or which nets fit", module="export.commands.fit"
    ),
    Command(
        name="compress",
        summary="a smaller model: quantization-aware training, pruning, clustering",
        module="export.commands.compress",
    ),
)
SEVERAL = Command(
    name="export",
    summary="export several files, verify each against Keras, and write a report",
    module="export.commands.many_files",
)


def named(name: str) -> Command:
    """The row of a name."""
    return next(row for row in (*COMMANDS, SEVERAL) if row.name == name)
